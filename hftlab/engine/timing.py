"""The stamps of a run: five readings of the clock per message, kept, counted into histograms, or both; and the slowest messages.

    t0 | tick | t1 | book | t2 | signal | t3 | order | t4

A reading is written into a block that was touched beforehand, and nothing else is done while a message runs. Full blocks are
counted between two messages, so that a run of any length needs the memory of one block and its histograms.

A `Histogram` has the buckets of HdrHistogram (lowest 1, highest 3.6e12, 3 digits), which the Rust engine counts with, so that
counts of both can be added and compared: 1 ns wide up to 2,048 ns, 2 ns up to 4,096, 4 ns up to 8,192 and so on, 264 KiB in all.
Source: Gil Tene's HdrHistogram, http://hdrhistogram.org; a `.hgrm` file is its percentile distribution.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from hftlab.errors import ConfigError
from hftlab.settings import STAGES, Settings

PARTS = (*STAGES, "total")
_BLOCK = 1 << 16  # messages

Rows = np.ndarray[Any, np.dtype[np.int64]]


class Capture(NamedTuple):
    """One of the slowest messages, and those around it.

    at     : its message number
    first  : message number of the first row of `stamps`
    stamps : (m, 5) int64, ns since the first message of the run began: t0 before the message, t1 ... t4 after each stage
    """

    at: int
    first: int
    stamps: Rows


class Slowest:
    """The k messages of a stream that took longest, each with its neighbours, in bounded memory. Of equals the earlier stays.

    k      : how many are kept
    around : rows kept before and after each
    """

    def __init__(self, k: int, around: int) -> None:
        self.k, self.around = k, around
        self._rows = np.empty((0, 5), np.int64)  # the end of what came before, for neighbours
        self._first = 0  # message number of its first row
        self._best: list[tuple[int, int]] = []  # (-total, message number), longest first
        self._captures: dict[int, Capture] = {}

    def add(self, rows: Rows) -> None:
        """The next rows of the stream, (n, 5) int64."""
        new = self._first + len(self._rows)
        rows = np.concatenate([self._rows, rows])
        totals = rows[:, 4] - rows[:, 0]
        fresh = np.arange(new - self._first, len(rows))
        if len(self._best) == self.k:
            fresh = fresh[totals[fresh] > -self._best[-1][0]]
        longest = fresh[np.argsort(-totals[fresh], kind="stable")[: self.k]]
        candidates = [(-int(totals[place]), self._first + int(place)) for place in longest]
        self._best = sorted([*self._best, *candidates])[: self.k]
        for _, at in self._best:
            known = self._captures.get(at)
            if known is None or known.first + len(known.stamps) <= at + self.around:  # new, or its end was still to come
                self._captures[at] = self._capture(at, rows)
        self._captures = {at: self._captures[at] for _, at in self._best}
        over = max(0, len(rows) - 2 * self.around - 1)
        self._rows, self._first = rows[over:].copy(), self._first + over

    def _capture(self, at: int, rows: Rows) -> Capture:
        place = at - self._first
        low = max(0, place - self.around)
        return Capture(at, self._first + low, rows[low : place + self.around + 1].copy())

    def captures(self) -> list[Capture]:
        """The slowest first."""
        return list(self._captures.values())


class Timings(TypedDict):
    """The stamps of a run. The last two may be left out by an engine that does not count, or does not know the slowest."""

    latency: dict[str, np.ndarray[Any, Any]] | None  # (n,) int64 ns by stage and "total"; None if there are no samples
    histograms: NotRequired[Mapping[str, Histogram | tuple[Any, ...]] | None]  # the same, or arguments of Histogram.counted
    slowest: NotRequired[Sequence[Capture | tuple[Any, ...]] | None]  # the slowest first, or arguments of Capture


class Stamps:
    """What a run keeps of its stamps, as `Settings.latency`, `.keep`, `.slowest` and `.around` say."""

    def __init__(self, settings: Settings) -> None:
        on = settings.latency != "off"
        self._samples, self._counted = on and settings.keep != "histogram", on and settings.keep != "samples"
        self._block = array("q", bytes(8 * 5 * _BLOCK)) if on else array("q")
        self._blocks: list[array[int]] = []
        self._used = self._start = 0
        self._histograms = {part: Histogram() for part in PARTS} if self._counted else None
        self._slowest = Slowest(settings.slowest, settings.around) if on and settings.slowest else None

    def add(self, t0: int, t1: int, t2: int, t3: int, t4: int) -> None:
        """Readings of the clock before the message and after each stage, ns."""
        block, at = self._block, self._used * 5
        block[at], block[at + 1], block[at + 2], block[at + 3], block[at + 4] = t0, t1, t2, t3, t4
        self._used += 1
        if self._used == _BLOCK:
            self._seal()

    def _seal(self) -> None:
        """Count a block and begin the next."""
        rows = np.frombuffer(self._block, np.int64, 5 * self._used).reshape(-1, 5)
        if self._histograms:
            for part, ns in durations(rows).items():
                self._histograms[part].record(ns)
        if self._slowest and self._used:
            self._start = self._start or int(rows[0, 0])
            self._slowest.add(rows - self._start)
        if self._samples:
            self._blocks.append(self._block[: 5 * self._used])
        self._used = 0

    def result(self) -> Timings:
        """What was kept."""
        if self._used:
            self._seal()
        parts = [np.empty(0, np.int64), *(np.frombuffer(block, np.int64) for block in self._blocks)]
        return {
            "latency": durations(np.concatenate(parts).reshape(-1, 5)) if self._samples else None,
            "histograms": self._histograms,
            "slowest": self._slowest.captures() if self._slowest else None,
        }


def durations(rows: Rows) -> dict[str, np.ndarray[Any, Any]]:
    """ns per message by stage, and "total"."""
    steps = np.diff(rows, axis=1)
    return {**{stage: steps[:, i] for i, stage in enumerate(STAGES)}, "total": rows[:, 4] - rows[:, 0]}


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
        histogram = cls()
        histogram.record(ns)
        return histogram

    @classmethod
    def counted(cls, values: Any, counts: Any, low: float, high: float, total: float, saturated: int = 0) -> Histogram:
        """What has been counted elsewhere.

        values, counts   : a value of each bucket in use, whole ns, and how many fell into it
        low, high, total : the least, the greatest and the sum of what was counted
        raises           : ConfigError for a value out of range
        """
        histogram, values = cls(), np.asarray(values, np.int64)
        if values.size and not 0 <= values.min() <= values.max() <= HIGHEST:
            raise ConfigError(f"counted values must be between 0 and {HIGHEST:,} ns, got {values.min():,} to {values.max():,}")
        np.add.at(histogram.counts, slots_of(values), np.asarray(counts, np.uint64))
        if values.size:
            histogram.min, histogram.max, histogram.total = float(low), float(high), float(total)
            histogram.saturated = int(saturated)
        return histogram

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
