"""Latency as an object: how long from a message of the feed until our answer to it is at the exchange.

A constant, or what was measured: samples in the order in which they were taken, or a distribution (a report of `hftlab.latency`
or of the network, a `Histogram`, a `.hgrm` file). What is measured is drawn in blocks, so that bursts stay bursts: samples as
stretches of neighbours, a distribution by one rank for all that falls into the same millisecond. To each belongs a constant for
what was not measured: the network to the exchange and back, the exchange itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftlab.engine.timing import Histogram
from hftlab.errors import ConfigError, FeedError, check_range, check_whole

Times = NDArray[np.int64]
#: The default constants, ns.
LADDER = (0, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
#: Samples that are drawn as one stretch, and the time in which one rank holds.
STRETCH, BURST_NS = 64, 1_000_000


@dataclass(frozen=True)
class Latency:
    """A constant of `constant_ns`.

    name        : for tables and charts
    constant_ns : added to every draw: what was not measured
    """

    name: str
    constant_ns: int = 0

    def __post_init__(self) -> None:
        check_whole("constant_ns", self.constant_ns, 0, 10**15)

    def plus(self, ns: int) -> Latency:
        """The same with a stated constant on top."""
        return replace(self, constant_ns=self.constant_ns + check_whole("ns", ns, 0), name=f"{self.name} + {_short(ns)}")

    def draw(self, times_ns: Times, seed: Sequence[int]) -> Times:
        """One latency for each of these times, (n,) int64 ns; the same seed gives the same."""
        return np.full(len(times_ns), self.constant_ns, np.int64) + self._measured(times_ns, np.random.default_rng(seed))

    def quantile(self, q: float) -> float:
        """ns that a share q does not exceed, the constant with it."""
        return float(self.constant_ns)

    def _measured(self, times_ns: Times, random: np.random.Generator) -> Times:
        return np.zeros(len(times_ns), np.int64)


@dataclass(frozen=True)
class Distributed(Latency):
    """What a distribution says: shares (ascending, to 1) of all latencies are at or below `ns`; one rank holds for `burst_ns`."""

    shares: tuple[float, ...] = field(default=(1.0,), repr=False)
    ns: tuple[float, ...] = field(default=(0.0,), repr=False)
    burst_ns: int = BURST_NS

    def quantile(self, q: float) -> float:
        return float(self.constant_ns + np.interp(q, self.shares, self.ns))

    def _measured(self, times_ns: Times, random: np.random.Generator) -> Times:
        _, burst = np.unique(times_ns // self.burst_ns, return_inverse=True)
        ranks = random.random(int(burst.max()) + 1 if len(burst) else 0)
        return np.rint(np.interp(ranks[burst], self.shares, self.ns)).astype(np.int64)


@dataclass(frozen=True)
class Sampled(Latency):
    """Samples in the order in which they were taken, ns, drawn as stretches of `stretch` neighbours."""

    samples: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64), repr=False, compare=False)
    stretch: int = STRETCH

    def quantile(self, q: float) -> float:
        return float(self.constant_ns + np.quantile(self.samples, q))

    def _measured(self, times_ns: Times, random: np.random.Generator) -> Times:
        n, size = len(times_ns), len(self.samples)
        starts = random.integers(0, size, -(-n // self.stretch))
        places = (starts[:, None] + np.arange(self.stretch)[None, :]).ravel()[:n] % size
        drawn: Times = self.samples[places]
        return drawn


def constant(ns: float) -> Latency:
    """A constant latency, named by itself. Raises ConfigError unless it is between 0 and 1,000,000 s."""
    ns = int(check_range("latency", ns, 0, 10**15, "ns"))
    return Latency(_short(ns), ns)


def _short(ns: int) -> str:
    """A whole number of nanoseconds without needless digits: "10 µs"."""
    for unit, name in ((10**9, "s"), (10**6, "ms"), (10**3, "µs")):
        if ns >= unit:
            return f"{ns / unit:g} {name}"
    return f"{ns} ns" if ns else "0"


def sampled(name: str, ns: Any, stretch: int = STRETCH) -> Sampled:
    """From samples in the order in which they were taken, such as `run.latency["total"]`. Raises ConfigError without any."""
    samples = np.rint(np.asarray(ns, np.float64)).astype(np.int64)
    if samples.ndim != 1 or not samples.size or samples.min() < 0:
        raise ConfigError(f"samples of {name} must be one row of at least one latency, none below 0, got shape {samples.shape}")
    return Sampled(name, samples=samples, stretch=check_whole("stretch", stretch, 1))


def counted(name: str, histogram: Histogram, less_ns: float = 0.0) -> Distributed:
    """From a histogram, less what reading the clock took. Raises ConfigError for an empty one."""
    low, high, counts = histogram.buckets()
    if not counts.size:
        raise ConfigError(f"the histogram of {name} must have at least one latency, got none")
    shares = np.cumsum(counts) / counts.sum()
    ns = np.maximum((low + high) / 2 - less_ns, 0.0)
    return Distributed(name, shares=tuple(shares.tolist()), ns=tuple(ns.tolist()))


def quantiles(name: str, by_share: Mapping[float, float]) -> Distributed:
    """From quantiles, {share: ns}, straight lines between. Raises ConfigError without any, or where they descend."""
    shares, ns = zip(*sorted(by_share.items()), strict=True) if by_share else ((), ())
    if not shares or not 0 <= shares[0] <= shares[-1] <= 1 or list(ns) != sorted(ns):
        raise ConfigError(f"quantiles of {name} must ascend over shares between 0 and 1, got {dict(by_share)}")
    return Distributed(name, shares=shares, ns=ns)


def read_hgrm(path: str | Path) -> Distributed:
    """From a percentile distribution as HdrHistogram's tools write it, values in ns.

    raises : FeedError for a file that cannot be read or is none, naming the line
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FeedError(f"{path}: cannot be read: {error}") from None
    by_share: dict[float, float] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0] == "Value" or words[0].startswith("#"):
            continue
        try:
            by_share[float(words[1])] = float(words[0])
        except (IndexError, ValueError):
            raise FeedError(
                f"{path}: line {number} must begin with a value and a percentile, got {line!r}", index=number
            ) from None
    if not by_share:
        raise FeedError(f"{path}: must be a percentile distribution (.hgrm), got no line of one")
    return quantiles(Path(path).stem, by_share)


#: Names of percentiles in stored summaries.
_PERCENTILES = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999, "max": 1.0}


def of_result(result: Any) -> dict[str, Latency]:
    """The latencies that a result has measured, by name: the engine of a latency report, the paths of a tick-to-trade report
    (service time), the transports of a round-trip report (one way), a histogram, a distribution.

    raises : ConfigError for anything else
    """
    if isinstance(result, Histogram):
        return {"histogram": counted("histogram", result)}
    if hasattr(result, "raw") and hasattr(result, "clock_ns"):
        return {result.part: counted(result.part, result.raw, result.clock_ns)}
    if hasattr(result, "timings") and hasattr(result, "label"):
        total = result["total"]
        return {result.label: counted(result.label, total.raw, total.clock_ns)}
    out: dict[str, Latency] = {}
    for each in getattr(result, "results", ()):
        summary = each.times["service"] if hasattr(each, "times") else getattr(each, "one_way", {})
        known = {_PERCENTILES[name]: ns for name, ns in summary.items() if name in _PERCENTILES and ns is not None}
        if known:
            out[each.name] = quantiles(each.name, known)
    if not out:
        raise ConfigError(f"latency must be ns, a Latency, a .hgrm file or a measured result, got {type(result).__name__}")
    return out


def as_latencies(given: Any) -> list[Latency]:
    """Latencies from whatever says what they are: ns, a `Latency`, the path of a `.hgrm` file, a measured result, or several of
    these, also by name.

    raises : ConfigError for anything else, and for one name used twice
    """
    if isinstance(given, Mapping):
        named = [replace(each, name=str(name)) for name, value in given.items() for each in as_latencies(value)]
        return _distinct(named)
    if isinstance(given, Latency):
        return [given]
    if isinstance(given, str | Path):
        return [read_hgrm(given)]
    if isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool):
        return [constant(float(given))]
    if isinstance(given, Iterable) and not hasattr(given, "to_dict"):
        return _distinct([latency for each in given for latency in as_latencies(each)])
    return [*of_result(given).values()]


def marks_of(given: Any) -> dict[str, float]:
    """Where to mark an axis, ns by name: constants as they are, p50 and p99.9 of what was measured; see `as_latencies`."""
    out: dict[str, float] = {}
    for latency in as_latencies(given):
        if type(latency) is Latency:
            out[latency.name] = float(latency.constant_ns)
        else:
            out |= {f"{latency.name} p50": latency.quantile(0.5), f"{latency.name} p99.9": latency.quantile(0.999)}
    return out


def _distinct(latencies: list[Latency]) -> list[Latency]:
    names = [latency.name for latency in latencies]
    if again := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"latencies must have different names, got {', '.join(sorted(again))} more than once")
    return latencies
