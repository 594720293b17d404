"""The distribution of one part of the path: percentiles where the sample bears them, the clock's cost taken off, the raw kept."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import numpy as np

from hftlab.engine.timing import Histogram, edges_of
from hftlab.errors import HftlabError

#: Part of the path -> its name in tables.
TITLES = {
    "tick": "tick processing",
    "book": "order book update",
    "signal": "signal generation",
    "order": "order",
    "total": "end to end",
}
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
#: Columns of a table of latencies.
STATISTICS = ("min", "max", "mean", *PERCENTILES)
#: A percentile above p50 with fewer samples beyond it is not given.
MIN_TAIL_SAMPLES = 100
_BATCH = 1024  # values of `Times` that wait to be counted at once

Samples = np.ndarray[Any, Any]
#: n, and min, max, mean, p50 to p99.99 in ns; None where the sample is too small.
Summary = dict[str, int | float | None]


def has_enough_samples(n: int, q: float) -> bool:
    """Whether n samples bear the percentile q (0 to 1): 100 must lie beyond it; p50 needs one sample."""
    return n > 0 and (q <= 0.5 or n * (1 - q) >= MIN_TAIL_SAMPLES * (1 - 1e-9))


def percentiles(ns: Samples) -> dict[str, float | None]:
    """p50 to p99.99 of an array, by name; None where the sample is too small."""
    return {name: float(np.quantile(ns, q)) if has_enough_samples(ns.size, q) else None for name, q in PERCENTILES.items()}


class Distribution:
    """Latencies of one part of the path.

    part     : "tick", "book", "signal", "order" or "total"
    raw      : as stamped, ns
    clock_ns : median cost of a reading of the clock, which every value but the raw ones is less by; never below 0
    step_ns  : of the clock; a shorter duration is shown as "< step". 0: not known
    """

    def __init__(self, part: str, raw: Histogram, clock_ns: float = 0.0, step_ns: float = 0.0) -> None:
        self.part, self.raw, self.clock_ns, self.step_ns = part, raw, clock_ns, step_ns

    @classmethod
    def of(cls, part: str, ns: Samples, clock_ns: float = 0.0, step_ns: float = 0.0) -> Distribution:
        """Of an array of raw nanoseconds."""
        return cls(part, Histogram.of(ns), clock_ns, step_ns)

    def _less(self, ns: float) -> float:
        return max(ns - self.clock_ns, 0.0)

    @property
    def n(self) -> int:
        """Samples."""
        return self.raw.n

    @property
    def min(self) -> float:
        """In ns; 0 without samples."""
        return self._less(self.raw.min)

    @property
    def max(self) -> float:
        """In ns; 0 without samples."""
        return self._less(self.raw.max)

    @property
    def mean(self) -> float:
        """In ns, NaN if there is no sample."""
        low, high, counts = self.raw.buckets()
        if not counts.size:
            return float("nan")
        below = np.maximum(self.clock_ns - (low + high) / 2, 0.0)  # what would be negative counts as 0
        return max(self.raw.mean - self.clock_ns + float(np.average(below, weights=counts)), 0.0)

    def quantile(self, q: float) -> float | None:
        """The value in ns that a share q is at or below; None where the sample is too small."""
        return self._less(self.raw.quantile(q)) if has_enough_samples(self.n, q) else None

    @property
    def raw_p50(self) -> float | None:
        """The median of the raw stamps, ns; None below one step of the clock, or where there are none."""
        return whole_steps(self.raw.quantile(0.5), self.step_ns) if self.n else None

    @property
    def percentiles(self) -> dict[str, float | None]:
        """By the names of PERCENTILES, ns."""
        return {name: self.quantile(q) for name, q in PERCENTILES.items()}

    def values(self) -> dict[str, float | None]:
        """By the names of STATISTICS, ns, in whole steps of the clock; None where `reasons` says why."""
        if not self.n:
            return dict.fromkeys(STATISTICS)
        figures = {"min": self.min, "max": self.max, "mean": self.mean, **self.percentiles}
        return {name: None if ns is None else whole_steps(ns, self.step_ns) for name, ns in figures.items()}

    def reasons(self) -> dict[str, str]:
        """Why a figure is None, by its name: too few samples beyond it, or shorter than one step of the clock."""
        few, short = f"fewer than {MIN_TAIL_SAMPLES} samples beyond it", f"below one step of the clock, {self.step_ns:g} ns"
        missing = [name for name, value in self.values().items() if value is None]
        bears = {name: has_enough_samples(self.n, PERCENTILES.get(name, 0.0)) for name in missing}
        return {name: (short if bears[name] else few if self.n else "no sample") for name in missing}

    def summary(self) -> Summary:
        """n and `values`: what results hold of a distribution whose histogram they do not need."""
        return {"n": self.n, **self.values()}

    def cells(self, unit_ns: float = 1e3, digits: int = 3) -> list[str]:
        """The figures for a table, in units of `unit_ns`, then n; nothing is shown finer than the step of the clock."""
        figures = [self.min, self.max, self.mean, *self.percentiles.values()] if self.n else [None] * len(STATISTICS)
        return [*(stamped(ns, self.step_ns, unit_ns, digits) for ns in figures), f"{self.n:,}"]

    def to_dict(self) -> dict[str, Any]:
        """Stage, n, clock_ns, step_ns, raw_p50, sd, the statistics in ns, why some are None, and the histogram: the lowest ns of
        each bucket in use with its count, and the exact min, max, total and saturated."""
        raw, used = self.raw, np.flatnonzero(self.raw.counts)
        counted = {"ns": edges_of(used)[0].tolist(), "counts": raw.counts[used].tolist()}
        exact = {"min": raw.min, "max": raw.max, "total": raw.total, "saturated": raw.saturated}
        return {
            "stage": self.part,
            "n": self.n,
            "clock_ns": self.clock_ns,
            "step_ns": self.step_ns,
            "raw_p50": self.raw_p50,
            "sd": raw.sd if self.n else None,
            **self.values(),
            "reasons": self.reasons(),
            "histogram": {**counted, **exact},
        }

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises HftlabError."""
        try:
            raw = Histogram.counted(
                *(payload["histogram"][name] for name in ("ns", "counts", "min", "max", "total", "saturated"))
            )
            return cls(payload["stage"], raw, payload["clock_ns"], payload["step_ns"])
        except (KeyError, TypeError, ValueError) as error:
            raise HftlabError(f"a distribution cannot be read: {error!r}") from None

    def spectrum(self, points: int = 201) -> list[dict[str, Any]]:
        """Percentile (0 to 100) against ns, closer together towards the tail, as far as the sample bears: for charts. What is
        below one step of the clock stands at that step."""
        shares = 1 - np.logspace(0, -6, points)
        shares = shares[[has_enough_samples(self.n, q) for q in shares]]
        ns = np.maximum(self.raw.quantile(shares) - self.clock_ns, self.step_ns)
        return [{"percentile": 100 * q, "ns": value} for q, value in zip(shares, ns.tolist(), strict=True)]

    def bins(self, per_decade: int = 24) -> list[dict[str, Any]]:
        """Counts in bins that are equally wide on a logarithmic scale: low_ns, high_ns, count; for charts, as `spectrum`."""
        low, high, counts = self.raw.buckets()
        middle = np.maximum((low + high) / 2 - self.clock_ns, max(self.step_ns, 1.0))
        place = np.floor(np.log10(middle) * per_decade).astype(int)
        totals = np.bincount(place, weights=counts) if counts.size else np.empty(0)
        edge = 10 ** (np.arange(len(totals) + 1) / per_decade)
        return [{"low_ns": edge[i], "high_ns": edge[i + 1], "count": int(totals[i])} for i in np.flatnonzero(totals)]

    def __str__(self) -> str:
        if not self.n:
            return "no sample"
        shown = ", ".join(
            f"{name} {stamped(ns, self.step_ns, 1.0, 0)}" for name, ns in self.percentiles.items() if ns is not None
        )
        return f"{shown} ns, n {self.n:,}"

    def __repr__(self) -> str:
        return f"<Distribution of {TITLES[self.part]}: {self}>"


def whole_steps(ns: float, step_ns: float) -> float | None:
    """A duration in whole steps of the clock that took it; None below one step, of which that clock says nothing."""
    if step_ns <= 0:
        return ns
    return None if ns < step_ns else round(ns / step_ns) * step_ns


def stamped(ns: float | None, step_ns: float, unit_ns: float = 1.0, digits: int = 1) -> str:
    """A duration as text, in units of `unit_ns`, never finer than the step of the clock that took it.

    What lies below one step, or below the last digit, is "< step", and None is "n/a".
    """
    if ns is None or ns != ns:
        return "n/a"
    least = max(step_ns, unit_ns / 10**digits) if step_ns > 0 else 0.0
    if ns < least:
        return f"< {least / unit_ns:,.{digits}f}"
    return f"{(whole_steps(ns, step_ns) or ns) / unit_ns:,.{digits}f}"


class Times:
    """Nanoseconds by name, counted as they come: kept in a list until there are enough for a histogram to count at once.

    add(*ns)    : one of each name, in their order
    times[name] : the distribution of one of them
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._pending: list[tuple[int, ...]] = []

    def add(self, *ns: int) -> None:
        self._pending.append(ns)
        if len(self._pending) >= _BATCH:
            self._count()

    def __getitem__(self, name: str) -> Distribution:
        self._count()
        return Distribution(name, self._histograms[name])

    def summary(self) -> dict[str, Summary]:
        """n, min, max, mean and percentiles by name, ns; percentiles None where there are too few."""
        return {name: self[name].summary() for name in self._names}

    @cached_property
    def _histograms(self) -> dict[str, Histogram]:
        return {name: Histogram() for name in self._names}

    def _count(self) -> None:
        if self._pending:
            for histogram, ns in zip(self._histograms.values(), np.array(self._pending, np.int64).T, strict=True):
                histogram.record(ns)
            self._pending.clear()
