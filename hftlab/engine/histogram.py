"""Histogram: latencies in the buckets of HdrHistogram, so that a run of any length fits into 264 KiB.

Buckets are 1 ns wide up to 2,048 ns, 2 ns up to 4,096, 4 ns up to 8,192 and so on: three significant digits everywhere, from 1 ns
to over an hour. They are those of HdrHistogram with (lowest 1, highest 3.6e12, 3 digits), which the Rust engine counts with, so
that counts of both can be added and compared. Arrays are counted whole: there is no loop over samples in Python.

Source: Gil Tene's HdrHistogram, http://hdrhistogram.org; a `.hgrm` file is its percentile distribution.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hftlab.errors import ConfigError

HIGHEST = 3_600_000_000_000  # ns; what is longer is counted here, and as saturated
_HALF_BITS = 10
_HALF = 1 << _HALF_BITS  # slots per bucket; the first bucket has twice as many
SLOTS = 33 * _HALF

Counts = np.ndarray[Any, np.dtype[np.uint64]]


def slots_of(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The slot of each value, (n,) int64 in [0, HIGHEST]."""
    _, exponents = np.frexp(values | (2 * _HALF - 1))  # exact: whole numbers below 2^53
    bucket = exponents - (_HALF_BITS + 1)
    slots: np.ndarray[Any, Any] = (bucket << _HALF_BITS) + (values >> bucket)
    return slots


def edges_of(slots: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Lowest and highest value, in ns, both inclusive, that are counted in each slot."""
    slots = np.asarray(slots, np.int64)
    bucket = np.maximum((slots >> _HALF_BITS) - 1, 0)
    low = (slots - (bucket << _HALF_BITS)) << bucket
    return low, low + (1 << bucket) - 1


class Histogram:
    """Latencies in whole nanoseconds.

    counts    : (33,792,) uint64, by slot
    min, max  : exact, ns; 0 where nothing was recorded
    total     : exact sum in ns
    saturated : how many were longer than HIGHEST
    """

    def __init__(self) -> None:
        self.counts: Counts = np.zeros(SLOTS, np.uint64)
        self.min = self.max = self.total = 0.0
        self.saturated = 0

    @classmethod
    def of(cls, ns: np.ndarray[Any, Any]) -> Histogram:
        """The histogram of an array of nanoseconds, whole or not."""
        made = cls()
        made.record(ns)
        return made

    @classmethod
    def counted(cls, values: Any, counts: Any, low: float, high: float, total: float, saturated: int = 0) -> Histogram:
        """What has been counted elsewhere.

        values, counts   : a value of each bucket in use, whole ns, and how many fell into it
        low, high, total : the least, the greatest and the sum of what was counted
        raises           : ConfigError for a value out of range
        """
        made, values = cls(), np.asarray(values, np.int64)
        if values.size and not 0 <= values.min() <= values.max() <= HIGHEST:
            raise ConfigError(f"a histogram counts {values.min()} to {values.max()} ns; allowed is 0 to {HIGHEST}")
        np.add.at(made.counts, slots_of(values), np.asarray(counts, np.uint64))
        if values.size:
            made.min, made.max, made.total, made.saturated = float(low), float(high), float(total), int(saturated)
        return made

    def record(self, ns: np.ndarray[Any, Any]) -> None:
        """Count every value of an array, rounded to whole ns; below 0 counts as 0."""
        if not len(ns):
            return
        values = np.asarray(ns, np.float64)
        first = not self.n
        whole = np.clip(np.rint(values), 0, HIGHEST).astype(np.int64)
        self.counts += np.bincount(slots_of(whole), minlength=SLOTS).astype(np.uint64)
        self.saturated += int(np.count_nonzero(values > HIGHEST))
        low, high = max(0.0, float(values.min())), float(values.max())
        self.min = low if first else min(self.min, low)
        self.max = max(self.max, high)
        self.total += float(np.maximum(values, 0).sum())

    def add(self, other: Histogram) -> None:
        """Count everything that another has counted."""
        if not other.n:
            return
        self.min = other.min if not self.n else min(self.min, other.min)
        self.max = max(self.max, other.max)
        self.counts = self.counts + other.counts
        self.total += other.total
        self.saturated += other.saturated

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Exact mean in ns, NaN where nothing was recorded."""
        return self.total / self.n if self.n else math.nan

    @property
    def sd(self) -> float:
        """Standard deviation in ns, from the middle of each bucket."""
        low, high, counts = self.buckets()
        if not counts.size:
            return math.nan
        return float(np.sqrt(np.average(((low + high) / 2 - self.mean) ** 2, weights=counts)))

    def buckets(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Of every bucket in use: lowest and highest ns (inclusive) and its count, ascending."""
        used = np.flatnonzero(self.counts)
        low, high = edges_of(used)
        return low, high, self.counts[used]

    def quantile(self, q: float | np.ndarray[Any, Any]) -> Any:
        """The value in ns that a share q of all is at or below: the top of its bucket, never above the maximum; NaN if empty."""
        _, high, counts = self.buckets()
        if not counts.size:
            return np.full_like(q, math.nan) if isinstance(q, np.ndarray) else math.nan
        # A share computed in binary may come out a hair above the whole number it means.
        rank = np.clip(np.ceil(np.asarray(q) * self.n - 1e-6), 1, self.n)
        place = np.searchsorted(np.cumsum(counts), rank)
        value = np.clip(high[place], self.min, self.max)
        return value if isinstance(q, np.ndarray) else float(value)

    def hgrm(self, per_half: int = 5) -> str:
        """The percentile distribution as HdrHistogram's tools read it, values in ns; `per_half` lines per halving of the rest."""
        lines = ["       Value     Percentile TotalCount 1/(1-Percentile)", ""]
        counts = self.buckets()[2]
        reached, n = np.cumsum(counts), self.n
        for share in _ticks(per_half, n):
            value, place = self.quantile(share), int(np.searchsorted(reached, math.ceil(share * n - 1e-6)))
            count = int(reached[min(place, len(reached) - 1)]) if n else 0
            tail = f"{1 / (1 - share):>14.2f}" if share < 1 else ""
            lines.append(f"{value:>12.3f} {share:>14.12f} {count:>10d}{' ' + tail if tail else ''}")
        sd, mean = (self.sd, self.mean) if n else (0.0, 0.0)
        lines.append(f"#[Mean    = {mean:>12.3f}, StdDeviation   = {sd:>12.3f}]")
        lines.append(f"#[Max     = {self.max:>12.3f}, Total count    = {n:>12d}]")
        lines.append(f"#[Buckets = {32:>12d}, SubBuckets     = {2 * _HALF:>12d}]")
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the lowest ns of each bucket in use, and its count."""
        low, _, counts = self.buckets()
        return {
            "values": low.tolist(),
            "counts": counts.tolist(),
            "min": self.min,
            "max": self.max,
            "total": self.total,
            "saturated": self.saturated,
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Histogram:
        """The inverse of `to_dict`."""
        return cls.counted(told["values"], told["counts"], told["min"], told["max"], told["total"], told["saturated"])

    def __repr__(self) -> str:
        return f"<Histogram of {self.n:,} latencies, {self.min:,.0f} to {self.max:,.0f} ns>"


def _ticks(per_half: int, n: int) -> list[float]:
    """Shares for the lines of a `.hgrm`: `per_half` of them up to 1/2, from there to 3/4, and so on until one sample is left."""
    out, half = [], 0
    while (1 << half) <= max(n, 1):
        start, step = 1 - 0.5**half, 0.5 ** (half + 1) / per_half
        out += [start + step * i for i in range(per_half)]
        half += 1
    return [share for share in out if share * n <= n - 1 or not out] + [1.0]
