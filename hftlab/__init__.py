"""hftlab: a laboratory for the tick-to-trade path. The public surface, on one screen; each name is imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hftlab.axes import variants as variants
    from hftlab.backends import BackendInfo as BackendInfo
    from hftlab.backends import backends as backends
    from hftlab.backends import use_backend as use_backend
    from hftlab.bench.ablate import ablate as ablate
    from hftlab.bench.border import border as border
    from hftlab.bench.chain import chain as chain
    from hftlab.bench.compare import Comparison as Comparison
    from hftlab.bench.compare import compare as compare
    from hftlab.bench.history import history as history
    from hftlab.bench.latency import LatencyReport as LatencyReport
    from hftlab.bench.latency import latency as latency
    from hftlab.bench.scale import scale as scale
    from hftlab.course.exercise import check as check
    from hftlab.errors import HftlabError as HftlabError
    from hftlab.events import EVENT_DTYPE as EVENT_DTYPE
    from hftlab.events import Fault as Fault
    from hftlab.events import Kind as Kind
    from hftlab.events import Side as Side
    from hftlab.feeds.feed import EventFeed as EventFeed
    from hftlab.feeds.feed import Feed as Feed
    from hftlab.feeds.itch import ItchFeed as ItchFeed
    from hftlab.profiling import profile as profile
    from hftlab.replay import Engine as Engine
    from hftlab.replay import decode as decode
    from hftlab.replay import load as load
    from hftlab.replay import synthetic as synthetic
    from hftlab.run import Run as Run
    from hftlab.settings import OrderConfig as OrderConfig
    from hftlab.settings import RiskConfig as RiskConfig
    from hftlab.settings import SignalConfig as SignalConfig
    from hftlab.verify import verify as verify

_HOME = {
    "ablate": "hftlab.bench.ablate",
    "border": "hftlab.bench.border",
    "chain": "hftlab.bench.chain",
    "latency": "hftlab.bench.latency",
    "LatencyReport": "hftlab.bench.latency",
    "check": "hftlab.course.exercise",
    "compare": "hftlab.bench.compare",
    "Comparison": "hftlab.bench.compare",
    "history": "hftlab.bench.history",
    "scale": "hftlab.bench.scale",
    "variants": "hftlab.axes",
    "use_backend": "hftlab.backends",
    "BackendInfo": "hftlab.backends",
    "HftlabError": "hftlab.errors",
    "EVENT_DTYPE": "hftlab.events",
    "Fault": "hftlab.events",
    "Kind": "hftlab.events",
    "Side": "hftlab.events",
    "EventFeed": "hftlab.feeds.feed",
    "Feed": "hftlab.feeds.feed",
    "ItchFeed": "hftlab.feeds.itch",
    "profile": "hftlab.profiling",
    "Engine": "hftlab.replay",
    "decode": "hftlab.replay",
    "load": "hftlab.replay",
    "synthetic": "hftlab.replay",
    "Run": "hftlab.run",
    "OrderConfig": "hftlab.settings",
    "RiskConfig": "hftlab.settings",
    "SignalConfig": "hftlab.settings",
}
# Modules that are called like functions; see callable_module.py.
_MODULES = ("course", "backends", "bench", "doctor", "report", "stress", "verify")

__all__ = ["__version__", *_MODULES, *_HOME]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"hftlab.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'hftlab' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext hftlab`: the magics, and charts that show offline; see hftlab.jupyter."""
    import_module("hftlab.jupyter").load(ipython)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
