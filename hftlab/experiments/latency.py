"""hftlab.latency(engine, feed): how long a message takes, per stage and end to end, and how far the answer is to be trusted.

warm          stamps of every message but the first of each pass; end to end has passes with stamps of its own, and is never a
              sum of percentiles
first         the first messages of each pass: an empty book, cold memory
caches swept  each message alone, after the caches have been swept with something else
whole passes  unstamped, until each stage: their differences say what a stage costs in a stream, and whether the stamps agree
open loop     messages sent at a fixed rate: from when they were due
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.resolve import as_engine
from hftlab.engine.timing import Capture
from hftlab.experiments.flight import Flight
from hftlab.experiments.measured import Measured
from hftlab.experiments.openloop import OpenLoop, paced
from hftlab.experiments.swept import swept
from hftlab.feeds.feed import Feed
from hftlab.measurement.distribution import PERCENTILES, TITLES, Distribution
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.observe import BOUND, Observer
from hftlab.measurement.paired import check_rounds, gc_paused
from hftlab.measurement.preconditions import PREFIX, require_parity
from hftlab.measurement.result import Result
from hftlab.presentation.progress import track

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-latency/1"
STEADY = 0.02  # medians of passes that lie within so much of one another
MOST_WARM_UPS = 12
WINDOWS = 60  # of the heat map
PER_DECADE = 24  # bins of the heat map


@dataclass(frozen=True)
class WarmUp:
    """How the engine was warmed up: medians of end to end in ns, pass by pass, and whether the last three lie within 2 %."""

    medians: tuple[float, ...]
    steady: bool

    def __str__(self) -> str:
        told = f"warmed up in {len(self.medians)} passes over the head of the feed"
        return told if self.steady else f"{told}, and its median was still moving: {self.medians[-1]:,.0f} ns at last"


@dataclass(frozen=True)
class LatencyReport(Result):
    """Latencies of one engine on one feed, in one run, on one machine.

    measured  : distributions, whole passes and their agreement; see `hftlab.experiments.measured.Measured`
    swept     : end to end with swept caches; None for an engine without stamps
    open_loop : None unless a rate was given
    slowest   : the slowest messages with their neighbours; see `flight`
    heat      : (window, bin, count) of end to end over the feed, bins equally wide on a logarithmic scale
    """

    feed: str
    messages: int
    rounds: int
    machine: dict[str, Any]
    measured: Measured
    warm_up: WarmUp
    swept: Distribution | None
    open_loop: OpenLoop | None
    slowest: tuple[Capture, ...]
    heat: tuple[tuple[int, int, int], ...]
    source: Feed

    @property
    def label(self) -> str:
        return self.measured.label

    @property
    def flight(self) -> Flight | None:
        """The flight recorder: the slowest messages and what stood around them; None for an engine that keeps none."""
        return Flight.of(self.slowest, self.source, self.label, self.machine) if self.slowest else None

    def phases(self) -> list[tuple[str, Distribution]]:
        """Every distribution, with its phase: warm, first, caches swept."""
        out = [("warm", row) for row in self.measured.rows] + [("first", row) for row in self.measured.first]
        return [*out, ("caches swept", self.swept)] if self.swept else out

    def __getitem__(self, part: str) -> Distribution:
        """The warm distribution of a stage, or of "total". Raises KeyError with the known ones."""
        rows = {row.part: row for row in self.measured.rows}
        if part not in rows:
            raise KeyError(f"no part {part!r}; known: {', '.join(rows)}")
        return rows[part]

    def frame(self) -> pl.DataFrame:
        """One row per phase and part: n, min, max, mean, median to p99.99 in ns (null where n is too small), raw_median."""
        import polars as pl

        rows = [
            {"phase": phase, "stage": TITLES[row.part], "n": row.n, **row.values(), "raw_median": row.raw.quantile(0.5)}
            for phase, row in self.phases()
        ]
        schema = dict.fromkeys(("min", "max", "mean", *PERCENTILES, "raw_median"), pl.Float64)
        return pl.DataFrame(rows, schema={"phase": pl.String, "stage": pl.String, "n": pl.Int64, **schema})

    def spectrum(self, part: str = "total") -> pl.DataFrame:
        """Percentile against ns by phase: series, percentile, ns; as far as each sample bears."""
        import polars as pl

        rows = [{"series": phase, **point} for phase, row in self.phases() if row.part == part for point in row.spectrum()]
        return pl.DataFrame(rows, schema={"series": pl.String, "percentile": pl.Float64, "ns": pl.Float64})

    def bins(self) -> pl.DataFrame:
        """Histograms of the warm parts: series, low_ns, high_ns, count."""
        import polars as pl

        return pl.DataFrame([{"series": TITLES[row.part], **one} for row in self.measured.rows for one in row.bins()])

    def plot(self) -> Any:
        """End to end, percentile by percentile, warm, first and with swept caches, as an Altair chart."""
        from hftlab.charts import percentile_chart

        return percentile_chart(self.spectrum(), "End to end", f"{self.label} on {self.feed}, {self.messages:,} messages")

    def timeline(self) -> pl.DataFrame:
        """End to end over the feed: start and end (message numbers), low_ns, high_ns, count."""
        import polars as pl

        wide = min(self.messages, BOUND) / WINDOWS
        rows = [
            (window * wide, (window + 1) * wide, 10 ** (bin_ / PER_DECADE), 10 ** ((bin_ + 1) / PER_DECADE), count)
            for window, bin_, count in self.heat
        ]
        return pl.DataFrame(rows, schema=["start", "end", "low_ns", "high_ns", "count"], orient="row")

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        out = [f"latencies in ns; {self.feed}, {self.messages:,} messages, {self.rounds} rounds; {self.warm_up}"]
        out += self.measured.lines()
        out += [said for _, said in self.measured.agreement().values()]
        out += self.open_loop.lines() if self.open_loop else []
        return [*out, describe(self.machine)]

    def hgrm(self) -> dict[str, str]:
        """The warm distributions as HdrHistogram's tools read them, by part, raw ns."""
        return {row.part: row.raw.hgrm() for row in self.measured.rows}

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "feed": self.feed,
            "messages": self.messages,
            "rounds": self.rounds,
            "machine": self.machine,
            "warm_up": {"medians_ns": list(self.warm_up.medians), "steady": self.warm_up.steady},
            **self.measured.to_dict(),
            "swept_ns": self.swept and self.swept.to_dict(),
            "open_loop": self.open_loop and self.open_loop.to_dict(),
            "histograms": {row.part: row.raw.to_dict() for row in self.measured.rows},
        }

    def __repr__(self) -> str:
        told = f"end to end {self['total']}" if self.measured.rows else "no stamps"
        return f"<LatencyReport of {self.label} on {self.feed}: {told}>"


def latency(
    engine: Any = "auto",
    feed: Feed | None = None,
    *,
    rounds: int = 5,
    messages: int = 100_000,
    seed: int = 1,
    slowest: int = 5,
    rate: float | None = None,
) -> LatencyReport:
    """Measure how long a message takes in one engine.

    engine  : whatever `hftlab.as_engine` makes one of; compared with the Python engine before a clock starts
    feed    : default: a calm generated feed of `messages` messages
    rounds  : 3 to 1000, every kind of pass once in each, in random order
    slowest : how many of the slowest messages the flight recorder keeps
    rate    : messages per second, to be sent in an open loop, too
    raises  : HftlabError if the engine differs from the reference, or is a debug build; ConfigError
    """
    check_rounds(rounds)
    engine = as_engine(engine)
    feed = synthetic("calm", messages, seed) if feed is None else feed
    if engine.backend != "python" or engine.stages:
        require_parity([engine.as_reference(), engine], feed)
    seen, order = Observer(engine.label, engine), random.Random(seed)
    warm = warm_up(engine, feed)
    seen.warm_up(feed)
    for _ in track(range(rounds), "latency"):
        seen.round(feed, order)
    with gc_paused():
        flight = engine.run(feed, record="none", latency=True, keep="histogram", slowest=slowest)
        last = engine.run(feed.head(BOUND) if seen.messages > BOUND else feed, record="none", latency="total").latency
    return LatencyReport(
        feed=feed.name,
        messages=seen.messages,
        rounds=rounds,
        machine=fingerprint(),
        measured=seen.measured(),
        warm_up=warm,
        swept=swept(engine, feed, seen.clock.cost_p50_ns),
        open_loop=None if rate is None else paced(engine, feed, rate, min(seen.messages, messages)),
        slowest=tuple(flight.slowest or ()),
        heat=() if last is None else tuple(_heat(last["total"] - seen.clock.cost_p50_ns)),
        source=feed,
    )


def warm_up(engine: Engine, feed: Feed) -> WarmUp:
    """Run the head of the feed until the medians of three passes in a row lie within 2 %, at most 12 times."""
    short = feed.head(PREFIX)
    medians: list[float] = []
    with gc_paused():
        while len(medians) < MOST_WARM_UPS:
            seen = engine.run(short, record="none", latency="total").latency
            if seen is None or not len(seen["total"]):
                return WarmUp((), steady=True)
            medians.append(float(np.median(seen["total"])))
            last = medians[-3:]
            if len(last) == 3 and max(last) - min(last) <= STEADY * median(last):
                return WarmUp(tuple(medians), steady=True)
    return WarmUp(tuple(medians), steady=False)


def _heat(ns: np.ndarray[Any, Any]) -> list[tuple[int, int, int]]:
    windows = np.arange(len(ns)) * WINDOWS // max(len(ns), 1)
    bins = np.floor(np.log10(np.maximum(ns, 1.0)) * PER_DECADE).astype(int)
    found, counts = np.unique(np.stack([windows, bins]), axis=1, return_counts=True)
    return [(int(window), int(bin_), int(n)) for (window, bin_), n in zip(found.T, counts, strict=True)]
