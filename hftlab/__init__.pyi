"""The door: every public name, once. `lazy_loader` reads this file when the package is imported; so do type checkers."""

from . import charts as charts
from . import conformance as conformance
from . import experiments as experiments
from . import feeds as feeds
from . import fills as fills
from . import loadtest as loadtest
from . import measurement as measurement
from . import net as net
from . import protocols as protocols
from .batch import sweep as sweep
from .diagnostics import doctor as doctor
from .engine.engine import Engine as Engine
from .engine.engine import decode as decode
from .engine.engine import synthetic as synthetic
from .engine.history import BookHistory as BookHistory
from .engine.live import LiveSession as LiveSession
from .engine.resolve import as_engine as as_engine
from .engine.run import Run as Run
from .engine.session import BackendInfo as BackendInfo
from .engine.session import backends as backends
from .engine.session import use_backend as use_backend
from .engine.variants import variants as variants
from .engine.verify import verify as verify
from .errors import HftlabError as HftlabError
from .events import EVENT_DTYPE as EVENT_DTYPE
from .events import Fault as Fault
from .events import Kind as Kind
from .events import Side as Side
from .experiments.ablation import ablate as ablate
from .experiments.compare import Comparison as Comparison
from .experiments.compare import compare as compare
from .experiments.ffi import ffi_overhead as ffi_overhead
from .experiments.latency import LatencyReport as LatencyReport
from .experiments.latency import latency as latency
from .experiments.scaling import scaling as scaling
from .experiments.stages import BenchReport as BenchReport
from .experiments.stages import bench as bench
from .feeds.feed import EventFeed as EventFeed
from .feeds.feed import Feed as Feed
from .feeds.itch import ItchFeed as ItchFeed
from .feeds.reader import load as load
from .fills.simulation import Fills as Fills
from .fills.simulation import simulate as simulate
from .fills.value import latency_value as latency_value
from .fills.value_result import LatencyValue as LatencyValue
from .loadtest import stress as stress
from .profiling import profile as profile
from .reporting import report as report
from .settings import OrderConfig as OrderConfig
from .settings import RiskConfig as RiskConfig
from .settings import SignalConfig as SignalConfig

__version__: str

def load_ipython_extension(ipython: object) -> None: ...
