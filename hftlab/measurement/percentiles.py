"""Percentiles of stamped passes, as far as the sample and the clock allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.measurement.distribution import PERCENTILES, has_enough_samples
from hftlab.measurement.paired import Paired, Series

SHOWN = {name: PERCENTILES[name] for name in ("p50", "p99", "p99.9")}


def percentiles(engine: Engine, feed: Feed, clock_ns: float) -> Series:
    """p50, p99, p99.9 of one pass in ns, (3,); NaN where too few samples lie beyond."""
    stamps = engine.run(feed, record="none", latency="total").latency
    assert stamps is not None  # asked before the rounds
    ns = np.maximum(stamps["total"] - clock_ns, 0.0)
    return np.array([np.quantile(ns, q) if has_enough_samples(ns.size, q) else np.nan for q in SHOWN.values()])


def half_step(stamps: Series) -> float:
    """Half the steps in which a clock counts, ns: of the least distance of two stamps that is more than the rounding to whole ns,
    and of that rounding."""
    gaps = np.diff(np.unique(stamps)).astype(np.float64)
    return float(min(gaps[gaps > 1.5], default=0.0)) / 2 + 0.5


def blurred(found: Paired, base_half: float, half: float) -> Paired:
    """The interval widened by half a step of the clock in either median: all rounds read the same step, and would seem exact."""
    a, b, ratio = base_half / found.base_ns, half / found.ns, found.ratio
    return replace(found, ratio=ratio.widened(ratio.low * (1 - a) / (1 + b), ratio.high * (1 + a) / (1 - b)))
