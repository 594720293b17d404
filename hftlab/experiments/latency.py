"""hftlab.latency(engine, feed): how long a message takes, per stage and end to end, and how far the answer is to be trusted.

in a stream   stamps of every message of a feed that is all there; end to end has passes with stamps of its own, and is never a
              sum of percentiles. No engine looks ahead in the buffer: a live feed has no next message yet
alone, cold   each message by itself, after the caches were filled with something else; see open_loop.py
cold start    the first messages of the feed: an empty book, cold memory
whole passes  unstamped, until each stage: throughput; their differences say what a stage costs, and whether the stamps agree
open loop     messages sent at a fixed rate: from when they were due
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine, decode, synthetic
from hftlab.engine.resolve import as_engine
from hftlab.engine.timing import Capture
from hftlab.errors import check_choice
from hftlab.experiments.open_loop import Arrival, OpenLoop, arrivals, open_loop
from hftlab.experiments.recorder import Evidence, ages, record, record_open_loop
from hftlab.experiments.slowest import SlowestMessages
from hftlab.experiments.stage_timing import SAMPLES_LIMIT, StageTimer, StageTimings
from hftlab.feeds.feed import Feed
from hftlab.measurement.conditions import PREFIX, FeedResult, require_parity
from hftlab.measurement.distribution import MIN_TAIL_SAMPLES, STATISTICS, TITLES, Distribution
from hftlab.measurement.paired import check_rounds, gc_paused
from hftlab.presentation.document import Table, table
from hftlab.presentation.progress import track

if TYPE_CHECKING:
    import polars as pl

ARRIVALS = ("stream", "alone", "cold")
STEADY = 0.02  # p50 of passes that lie within so much of one another
MAX_WARM_UPS = 12
WINDOWS = 60  # of the feed, over which percentiles are drawn


@dataclass(frozen=True)
class WarmUp:
    """How the engine was warmed up: p50 of end to end in ns, pass by pass, and whether the last three lie within 2 %."""

    p50_ns: tuple[float, ...]
    steady: bool

    def __str__(self) -> str:
        passes = f"warmed up in {len(self.p50_ns)} passes over the head of the feed"
        return passes if self.steady else f"{passes}, and p50 was still moving: {self.p50_ns[-1]:,.0f} ns at last"


@dataclass(frozen=True, kw_only=True, repr=False)
class LatencyReport(FeedResult):
    """Latencies of one engine on one feed, in one run, on one machine.

    timings    : distributions, whole passes and their agreement
    arrival    : how the messages come that `report["total"]` is about: "stream", "alone" or "cold"
    arrivals   : end to end of messages that come one at a time; none for an engine without stamps
    open_loop  : None unless a rate was given
    slowest    : the slowest messages and what stood around them, of the open loop if there is one; None for an engine that
                 keeps none
    windows    : end to end in equal stretches of the feed: p50, p99 and max, ns
    """

    schema = "hftlab-latency/5"
    timings: StageTimings
    warm_up: WarmUp
    arrival: str
    arrivals: tuple[Arrival, ...]
    open_loop: OpenLoop | None
    slowest: SlowestMessages | None
    windows: tuple[tuple[float, float, float], ...]

    @property
    def label(self) -> str:
        """Of the engine."""
        return self.timings.label

    def phases(self) -> list[tuple[str, Distribution]]:
        """Every distribution, with its phase: in a stream, alone, cold, cold start."""
        out = [("in a stream", row) for row in self.timings.latency_ns]
        out += [(each.name, each.total) for each in self.arrivals]
        return [*out, *(("cold start", row) for row in self.timings.cold_start_ns)]

    def __getitem__(self, part: str) -> Distribution:
        """The distribution of a stage in a stream; of "total" as the messages come that were asked for; or of an arrival by its
        name. Raises KeyError with the known ones."""
        rows = {row.part: row for row in self.timings.latency_ns} | {each.name: each.total for each in self.arrivals}
        rows |= {"total": rows[self.arrival]} if self.arrival in rows else {}
        if part not in rows:
            raise KeyError(f"no part {part!r}; known: {', '.join(rows)}")
        return rows[part]

    def records(self) -> list[dict[str, Any]]:
        """One per phase and part: phase, stage, n, min, max, mean, p50 to p99.99 in ns (None where n is too small), raw_p50."""
        return [
            {"phase": phase, "stage": TITLES[row.part], "n": row.n, **row.values(), "raw_p50": row.raw_p50}
            for phase, row in self.phases()
        ]

    def spectrum(self, part: str = "total") -> pl.DataFrame:
        """Percentile against ns by phase: series, percentile, ns; as far as each sample bears."""
        import polars as pl

        rows = [{"series": phase, **point} for phase, row in self.phases() if row.part == part for point in row.spectrum()]
        return pl.DataFrame(rows, schema={"series": pl.String, "percentile": pl.Float64, "ns": pl.Float64})

    def plot(self) -> Any:
        """End to end, percentile by percentile, by how the messages come, as an Altair chart."""
        from hftlab.charts import percentile_chart

        return percentile_chart(self.spectrum(), "End to end", self.subtitle())

    def subtitle(self) -> str:
        return f"{self.label} on {super().subtitle()}"

    def timeline(self) -> pl.DataFrame:
        """End to end over the feed: series (p50, p99, max of a stretch), x (its first message number), y (ns)."""
        import polars as pl

        wide = min(self.messages, SAMPLES_LIMIT) / max(len(self.windows), 1)
        rows = [
            (name, at * wide, ns)
            for at, window in enumerate(self.windows)
            for name, ns in zip(("p50", "p99", "max"), window, strict=True)
        ]
        return pl.DataFrame(rows, schema=["series", "x", "y"], orient="row")

    def headline(self) -> str:
        return f"{self.subtitle()}; {self.warm_up}"

    def tables(self) -> list[Table]:
        rows = [(phase, TITLES[row.part], *row.cells()) for phase, row in self.phases()]
        title = f"{self.label}: latency per message, µs"
        recipes = "".join(f" {each.name.capitalize()}: {each.recipe}." for each in self.arrivals)
        note = f"In a stream: all messages are there, and each follows the one before.{recipes}"
        phases = table(title, ("arrival", "stage", *STATISTICS, "n"), rows, words=2, grouped=True, note=note)
        more = [part for part in (self.open_loop, self.slowest) if part]
        return [phases, *(each for part in more for each in part.tables())]

    def notes(self) -> list[str]:
        out = [*super().notes(), *self.timings.notes()]
        out += [agreement.sentence() for agreement in self.timings.agreement().values()]
        more = [note for part in (self.open_loop, self.slowest) if part for note in part.notes()]
        return list(dict.fromkeys([*out, *more]))

    def hgrm(self) -> dict[str, str]:
        """The warm distributions as HdrHistogram's tools read them, by part, raw ns."""
        return {row.part: row.raw.hgrm() for row in self.timings.latency_ns}


def latency(
    engine: Any = "auto",
    feed: Feed | None = None,
    *,
    rounds: int = 11,
    messages: int = 50_000,
    seed: int = 1,
    slowest: int = 5,
    rate: float | None = None,
    arrival: str = "stream",
) -> LatencyReport:
    """Measure how long a message takes in one engine.

    engine  : whatever `hftlab.as_engine` makes one of; compared with the Python engine before it is timed
    feed    : default: a calm generated feed of `messages` messages
    rounds  : 3 to 1000, every kind of pass once in each, in random order
    seed    : of the order within a round, and of the generated feed
    slowest : how many of the slowest messages are kept; with a rate those of the open loop, from when they were due
    rate    : messages per second, to be sent in an open loop, too
    arrival : how the messages come that the report is about: "stream", "alone" or "cold"; all are measured
    raises  : HftlabError if the engine differs from the reference, or is a debug build; ConfigError
    """
    check_rounds(rounds)
    check_choice("arrival", arrival, ARRIVALS)
    engine = as_engine(engine)
    feed = synthetic("calm", messages, seed, warm=True) if feed is None else feed
    if engine.backend != "python" or engine.stages:
        require_parity([engine.as_reference(), engine], feed)
    timer, order = StageTimer(engine.label, engine), random.Random(seed)
    warm = warm_up(engine, feed)
    timer.warm_up(feed)
    for _ in track(range(rounds), "latency"):
        timer.round(feed, order)
    sent = min(timer.messages, messages)
    captures, evidence = _recorded(timer.live, feed, slowest, rate, sent)
    with gc_paused():
        short = feed.head(SAMPLES_LIMIT) if timer.messages > SAMPLES_LIMIT else feed
        last = timer.live.run(short, record="none", latency="total").latency
    measured, clock = timer.conditions(feed, rounds), timer.clock
    return LatencyReport(
        **measured,
        timings=timer.timings(),
        warm_up=warm,
        arrival=arrival,
        arrivals=arrivals(timer.live, feed, clock),
        open_loop=None if rate is None else open_loop(timer.live, feed, rate, sent),
        slowest=_slowest(captures, evidence, feed, engine, measured["machine"], clock.step_ns) if captures else None,
        windows=() if last is None else tuple(_windows(np.maximum(last["total"] - clock.cost_p50_ns, 0.0))),
    )


def warm_up(engine: Engine, feed: Feed) -> WarmUp:
    """Run the head of the feed until p50 of three passes in a row lies within 2 %, at most 12 times."""
    short = feed.head(PREFIX)
    medians: list[float] = []
    with gc_paused():
        while len(medians) < MAX_WARM_UPS:
            stamps = engine.run(short, record="none", latency="total").latency
            if stamps is None or not len(stamps["total"]):
                return WarmUp((), steady=True)
            medians.append(float(np.median(stamps["total"])))
            last = medians[-3:]
            if len(last) == 3 and max(last) - min(last) <= STEADY * median(last):
                return WarmUp(tuple(medians), steady=True)
    return WarmUp(tuple(medians), steady=False)


def _recorded(
    engine: Engine, feed: Feed, slowest: int, rate: float | None, messages: int
) -> tuple[list[Capture], dict[int, Evidence]]:
    if not slowest:
        return [], {}
    return record(engine, feed, slowest) if rate is None else record_open_loop(engine, feed, slowest, rate, messages)


def _slowest(
    captures: list[Capture], evidence: dict[int, Evidence], feed: Feed, engine: Engine, machine: dict[str, Any], step_ns: float
) -> SlowestMessages:
    """The slowest messages with what was counted around them, and the age of what each touched, which the feed says."""
    events = decode(feed.warmed(0).head(max(evidence, default=0) + 1))
    aged = {at: replace(evidence[at], age=age) for at, age in ages(events, list(evidence)).items()}
    return SlowestMessages.of(captures, feed, engine.label, machine, aged, step_ns)


def _windows(ns: np.ndarray[Any, Any]) -> Iterator[tuple[float, float, float]]:
    """p50, p99 and max of equal stretches, each long enough for a p99."""
    stretches = max(min(WINDOWS, len(ns) // (100 * MIN_TAIL_SAMPLES)), 1)
    for stretch in np.array_split(ns, stretches):
        yield float(np.quantile(stretch, 0.5)), float(np.quantile(stretch, 0.99)), float(stretch.max())
