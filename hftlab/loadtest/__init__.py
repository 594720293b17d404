"""Under stress: what an engine does when more comes than usual. `hftlab.stress()` runs all of it and gives a StressResult.

schedule.py target.py  when messages are due; the seam: what can be driven at those times
sweep.py curve.py      open loop, load swept to saturation: the hockey stick, capacity and knee, the closed loop beside it
over.py                exchange and trader over a pair of transports, as a target of the sweep
bursts.py              ten to a hundred times the load for some milliseconds: the queue, and how long it takes to drain
storms.py feeds.py     cancel storms, deep books, thousands of instruments, with equality checked
overload.py ingesting.py  more than can be worked off, on purpose: the policy of hftlab.net.trader.ingress at work
soak.py soaked.py trend.py  the same for minutes or days: memory, faults and latency watched, and what creeps found
whole.py table.py      all of them in one run, and its tables
faults/                every fault of the wire, injected into a real exchange and a real trader, and survived

A new kind of target needs `hftlab.loadtest.target.Target` and `Line` alone. Nothing here says how slow is too slow: what fails is
what is wrong (faults, ends that differ, memory that grows, a book that does not recover).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hftlab.loadtest.whole import StressResult

PARTS = ("sweep", "bursts", "storms", "overload", "soak")


def stress(*given: Any, **more: Any) -> StressResult:
    """Run every part, or some; see `hftlab.loadtest.whole.whole`."""
    from hftlab.loadtest.whole import whole

    return whole(*given, **more)


def __getattr__(name: str) -> Any:
    if name in (*PARTS, "faults"):  # modules that can be called, like this one
        return import_module(f"hftlab.loadtest.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
