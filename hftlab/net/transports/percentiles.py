"""Percentiles of nanoseconds, as far as the sample bears them: the record that every result of the network and of load holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from hftlab.engine.timing import Histogram
from hftlab.measurement.distribution import has_enough_samples

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
#: min, p50 to p99.99, max in ns, None where fewer than 100 samples lie beyond; n samples.
Summary = dict[str, int | float | None]


def summary(ns: np.ndarray[Any, Any] | Histogram, clock_ns: float = 0.0) -> Summary:
    """Of raw nanoseconds. clock_ns : cost of a reading of the clock, which every value is less by, but never below 0"""
    counted = ns if isinstance(ns, Histogram) else Histogram.of(ns)

    def less(value: float) -> float:
        return max(value - clock_ns, 0.0)

    borne = {name: less(counted.quantile(q)) if has_enough_samples(counted.n, q) else None for name, q in PERCENTILES.items()}
    ends = (less(counted.min), less(counted.max)) if counted.n else (None, None)
    return {"n": counted.n, "min": ends[0], **borne, "max": ends[1]}
