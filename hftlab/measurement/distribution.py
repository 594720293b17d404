"""The distribution of one part of the path: percentiles where the sample bears them, the clock's cost taken off, the raw kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hftlab.engine.timing import Histogram

#: Part of the path -> its name in tables; the first three and the last are rows of the seed's table.
TITLES = {
    "tick": "tick processing",
    "book": "order book update",
    "signal": "signal generation",
    "order": "order",
    "total": "end to end",
}
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
#: A percentile above the median with fewer samples beyond it says nothing.
MIN_TAIL_SAMPLES = 100


def has_enough_samples(n: int, q: float) -> bool:
    """Whether n samples can bear the percentile q."""
    return n > 0 and (q <= 0.5 or n * (1 - q) >= MIN_TAIL_SAMPLES * (1 - 1e-9))


@dataclass(frozen=True)
class Distribution:
    """Latencies of one part of the path.

    part     : "tick", "book", "signal", "order" or "total"
    raw      : as stamped, ns
    clock_ns : median cost of a reading of the clock, which every value but the raw ones is less by; never below 0
    """

    part: str
    raw: Histogram
    clock_ns: float = 0.0

    @classmethod
    def of(cls, part: str, ns: np.ndarray[Any, Any], clock_ns: float = 0.0) -> Distribution:
        """Of an array of raw nanoseconds."""
        return cls(part, Histogram.of(ns), clock_ns)

    def _less(self, ns: float) -> float:
        return max(ns - self.clock_ns, 0.0)

    @property
    def n(self) -> int:
        return self.raw.n

    @property
    def min(self) -> float:
        return self._less(self.raw.min)

    @property
    def max(self) -> float:
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
        """The value in ns that a share q is at or below; None where the sample is too small to say."""
        return self._less(self.raw.quantile(q)) if has_enough_samples(self.n, q) else None

    @property
    def quantiles(self) -> dict[str, float | None]:
        """By the names of PERCENTILES, ns."""
        return {name: self.quantile(q) for name, q in PERCENTILES.items()}

    def values(self) -> dict[str, float | None]:
        """min, max, mean and the percentiles, ns."""
        return {"min": self.min, "max": self.max, "mean": self.mean, **self.quantiles}

    def to_dict(self) -> dict[str, Any]:
        return {
            "stage": self.part,
            "n": self.n,
            "clock_ns": self.clock_ns,
            "raw_median": self.raw.quantile(0.5) if self.n else None,
            "sd": self.raw.sd if self.n else None,
            **(self.values() if self.n else dict.fromkeys(("min", "max", "mean", *PERCENTILES))),
        }

    def spectrum(self, points: int = 201) -> list[dict[str, Any]]:
        """Percentile (0 to 100) against ns, closer together towards the tail, as far as the sample bears: for charts."""
        shares = 1 - np.logspace(0, -6, points)
        shares = shares[[has_enough_samples(self.n, q) for q in shares]]
        return [{"percentile": 100 * q, "ns": self._less(ns)} for q, ns in zip(shares, self.raw.quantile(shares), strict=True)]

    def bins(self, per_decade: int = 24) -> list[dict[str, Any]]:
        """Counts in bins that are equally wide on a logarithmic scale: low_ns, high_ns, count; for charts."""
        low, high, counts = self.raw.buckets()
        middle = np.maximum((low + high) / 2 - self.clock_ns, 1.0)
        place = np.floor(np.log10(middle) * per_decade).astype(int)
        found = np.bincount(place, weights=counts) if counts.size else np.empty(0)
        edge = 10 ** (np.arange(len(found) + 1) / per_decade)
        return [{"low_ns": edge[i], "high_ns": edge[i + 1], "count": int(found[i])} for i in np.flatnonzero(found)]

    def __str__(self) -> str:
        if not self.n:
            return "no sample"
        told = ", ".join(f"{name} {ns:,.0f}" for name, ns in self.quantiles.items() if ns is not None)
        return f"{told} ns, n {self.n:,}"

    def __repr__(self) -> str:
        return f"<Distribution of {TITLES[self.part]}: {self}>"
