"""Clocks: which one stamps an engine, how fine it is, and what a reading costs, as a distribution."""

from __future__ import annotations

from array import array
from dataclasses import asdict, dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.backends import Backend

READINGS = 20_000


@dataclass(frozen=True)
class ClockReport:
    """One clock. `resolution_ns` is the smallest step seen above 0; the rest is the cost of a reading, back to back, in ns."""

    name: str
    resolution_ns: float
    cost_p50_ns: float
    cost_p99_ns: float
    cost_max_ns: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def python_cost_ns(n: int = READINGS) -> np.ndarray[Any, Any]:
    """n differences of back-to-back `perf_counter_ns` readings."""
    stamps = array("q", bytes(8 * (n + 1)))
    for i in range(n + 1):
        stamps[i] = perf_counter_ns()
    return np.diff(np.frombuffer(stamps, np.int64)).astype(np.float64)


def clock_of(backend: Backend) -> ClockReport:
    """The clock that stamps a backend's stages, measured now."""
    measure = getattr(backend, "clock_cost", None)
    cost = np.asarray(measure(READINGS)) if measure else python_cost_ns()
    steps = cost[cost > 0]
    p50, p99 = np.percentile(cost, [50, 99])
    resolution = float(steps.min()) if steps.size else 0.0
    return ClockReport(backend.clock, resolution, float(p50), float(p99), float(cost.max()))
