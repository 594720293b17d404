"""The distribution of one part of the path: percentiles where the sample bears them, the clock's cost taken off, the raw kept."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any, Self

import numpy as np

from hftlab.engine.timing import SLOTS, Histogram
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
    def percentiles(self) -> dict[str, float | None]:
        """By the names of PERCENTILES, ns."""
        return {name: self.quantile(q) for name, q in PERCENTILES.items()}

    def values(self) -> dict[str, float | None]:
        """By the names of STATISTICS, ns; all None without samples."""
        if not self.n:
            return dict.fromkeys(STATISTICS)
        return {"min": self.min, "max": self.max, "mean": self.mean, **self.percentiles}

    def summary(self) -> Summary:
        """n and `values`: what results hold of a distribution whose histogram they do not need."""
        return {"n": self.n, **self.values()}

    def cells(self, unit_ns: float = 1e3, digits: int = 3) -> list[str]:
        """`values` for a table, in units of so many ns, then n; nothing is shown finer than the step of the clock."""
        return [*(stamped(ns, self.step_ns, unit_ns, digits) for ns in self.values().values()), f"{self.n:,}"]

    def to_dict(self) -> dict[str, Any]:
        """Stage, n, clock_ns, step_ns, raw_p50, sd, the statistics in ns, and the histogram, from which all of them come."""
        return {
            "stage": self.part,
            "n": self.n,
            "clock_ns": self.clock_ns,
            "step_ns": self.step_ns,
            "raw_p50": self.raw.quantile(0.5) if self.n else None,
            "sd": self.raw.sd if self.n else None,
            **self.values(),
            "histogram": pack(self.raw),
        }

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises HftlabError."""
        try:
            return cls(payload["stage"], unpack(payload["histogram"]), payload["clock_ns"], payload["step_ns"])
        except (KeyError, TypeError, ValueError, zlib.error, struct.error) as error:
            raise HftlabError(f"a distribution cannot be read: {error!r}") from None

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


def stamped(ns: float | None, step_ns: float, unit_ns: float = 1.0, digits: int = 1) -> str:
    """A duration as text, in units of `unit_ns`, never finer than the step of the clock that took it.

    It is rounded to whole steps; what lies below one is "< step", and None is "n/a".
    """
    if ns is None or ns != ns:
        return "n/a"
    if step_ns > 0:
        least = max(step_ns, unit_ns / 10**digits)
        if ns < least:
            return f"< {least / unit_ns:,.{digits}f}"
        ns = round(ns / step_ns) * step_ns
    return f"{ns / unit_ns:,.{digits}f}"


# The V2 encoding of HdrHistogram, as its tools read it: base64 of a header and the deflated counts; each count is a zigzag LEB128
# number, a negative one so many empty slots. https://github.com/HdrHistogram/HdrHistogram (EncodableHistogram)
_PLAIN, _DEFLATED = 0x1C849303 | 0x10, 0x1C849304 | 0x10
_HEADER = struct.Struct(">iiiiqqd")


def pack(histogram: Histogram) -> dict[str, Any]:
    """A histogram for JSON: "hdr" in the V2 encoding, and what that rounds, exactly: min, max, total in ns, and saturated."""
    counts = np.trim_zeros(histogram.counts, "b").tolist()
    body, empty = bytearray(), 0
    for count in [*counts, None]:
        if count == 0:
            empty += 1
            continue
        for number in (-empty, count):
            if number:
                _append(body, number * 2 if number > 0 else -number * 2 - 1)
        empty = 0
    deflated = zlib.compress(_HEADER.pack(_PLAIN, len(body), 0, 3, 1, 3_600_000_000_000, 1.0) + body)
    text = base64.b64encode(struct.pack(">ii", _DEFLATED, len(deflated)) + deflated).decode()
    exact = {"min": histogram.min, "max": histogram.max, "total": histogram.total, "saturated": histogram.saturated}
    return {"hdr": text, **exact}


def _append(body: bytearray, number: int) -> None:
    """An unsigned LEB128 number, of at most nine bytes: the ninth has all eight bits."""
    for _ in range(8):
        if number < 0x80:
            break
        body.append(number & 0x7F | 0x80)
        number >>= 7
    body.append(number)


def unpack(payload: dict[str, Any]) -> Histogram:
    """The inverse of `pack`. Raises KeyError, ValueError, zlib.error or struct.error for what is none."""
    data = zlib.decompress(base64.b64decode(payload["hdr"])[8:])
    body, slot, out = data[_HEADER.size :], 0, Histogram()
    number = shift = 0
    for byte in body:
        number |= (byte if shift == 56 else byte & 0x7F) << shift
        if byte & 0x80 and shift < 56:
            shift += 7
            continue
        value = number >> 1 ^ -(number & 1)
        if value < 0:
            slot -= value
        else:
            if slot >= SLOTS:
                raise ValueError(f"slot must be below {SLOTS}, got {slot}")
            out.counts[slot] = value
            slot += 1
        number = shift = 0
    out.min, out.max, out.total = payload["min"], payload["max"], payload["total"]
    out.saturated = payload["saturated"]
    return out
