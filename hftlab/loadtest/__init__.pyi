"""The public names of the load tests; `lazy_loader` reads this file."""

from .bursts import microbursts as microbursts
from .faults import inject_faults as inject_faults
from .faults import run_seeds as run_seeds
from .overload import overload_test as overload_test
from .soak import soak_test as soak_test
from .storms import order_storms as order_storms
from .suite import PARTS as PARTS
from .suite import stress as stress
from .sweep import load_sweep as load_sweep
