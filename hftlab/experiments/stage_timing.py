"""One engine, stage by stage, in two ways side by side: whole passes until each stage, and stamps of every message.

A stage costs what a whole unstamped pass takes longer with it than without it; and it has a distribution, by stamps, which the
clock that stamps makes dearer. Both are taken in every round, and whether they agree is part of the result.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, cast

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.run import Run
from hftlab.engine.timing import PARTS, Histogram
from hftlab.feeds.feed import Feed
from hftlab.measurement.clock import ClockReport, clock_of
from hftlab.measurement.conditions import PREFIX, conditions, require_release_build
from hftlab.measurement.distribution import STATISTICS, TITLES, Distribution, stamped
from hftlab.measurement.paired import Interval, gc_paused
from hftlab.presentation.document import Table, table
from hftlab.settings import RECORDS, STAGES, Record

#: The first messages of a feed meet an empty book and cold memory: stamped in a pass of their own, and counted apart.
COLD_START = 1_000
#: A feed up to this long is stamped sample by sample; of a longer one the engine keeps counts, and memory stays as it is.
SAMPLES_LIMIT = 2_000_000
#: An engine slower than this runs the passes of the record modes on the head of the feed alone: they would take half the bench.
SLOW_NS = 1_000
#: Two ways agree within so much of the greater, or within one reading of the clock.
TOLERANCE = 0.25
#: A stage shorter than this many readings of the clock is not to be stamped alone.
READINGS = 10


@dataclass(frozen=True)
class Agreement:
    """The mean of the stamps of a stage beside the difference of whole passes, ns per message; cost and step of the clock."""

    stage: str
    stamps_ns: float
    passes_ns: float
    reading_ns: float
    step_ns: float = 0.0

    @property
    def agree(self) -> bool:
        """Within 25 % of the greater, or within one reading of the clock."""
        apart = abs(self.stamps_ns - self.passes_ns)
        return apart <= max(TOLERANCE * max(self.stamps_ns, self.passes_ns), self.reading_ns)

    def sentence(self) -> str:
        """Both figures, whether they agree, and which to believe."""
        both = f"{TITLES[self.stage]}: stamps {stamped(self.stamps_ns, self.step_ns)} ns, whole passes {self.passes_ns:,.1f} ns"
        if self.passes_ns <= 0:
            return f"{both}: the difference is lost in the noise; take more rounds, or a quieter machine"
        if self.passes_ns >= READINGS * self.reading_ns:
            return f"{both}; " + ("they agree" if self.agree else "they do not agree: look at both")
        outcome = "they agree within a reading" if self.agree else "they do not agree"
        short = f"it is shorter than {READINGS} readings of {self.reading_ns:.0f} ns"
        return f"{both}; {outcome}, and {short}: believe the passes"


@dataclass(frozen=True)
class StageTimings:
    """One engine on one feed.

    latency_ns      : distributions of the four stages and of end to end, by stamps, in a stream: after the warm-up of the feed,
                      or its first messages
    cold_start_ns   : the same of the first messages of the feed alone, which meet an empty book
    passes_ns       : whole unstamped passes by last stage, ns per message of each round
    stamped_ns      : passes that stamp every stage, ns per message, median over the rounds; None for an engine without stamps
    stage_means_ns  : mean of the stamps of each stage less the clock's cost, ns, median over the rounds
    control_ratios  : A/A ratios by round, if this engine was the control; else empty
    record_ns       : whole passes in ns per message by record mode, over the first `record_messages` messages
    order_bytes     : memory of the orders at the end of the feed
    """

    label: str
    backend: str
    variant: dict[str, Any]
    clock: ClockReport
    latency_ns: tuple[Distribution, ...]
    cold_start_ns: tuple[Distribution, ...]
    passes_ns: dict[str, tuple[float, ...]]
    stamped_ns: float | None
    stage_means_ns: dict[str, float]
    control_ratios: tuple[float, ...]
    record_ns: dict[str, float]
    record_messages: int
    live_orders: int
    order_bytes: int

    @property
    def until_ns(self) -> dict[str, float]:
        """Whole passes until each stage, ns per message, median over the rounds."""
        return {stage: median(values) for stage, values in self.passes_ns.items()}

    @property
    def rounds_ns(self) -> tuple[float, ...]:
        """The whole path, ns per message of each round."""
        return list(self.passes_ns.values())[-1]

    @property
    def whole_ns(self) -> float:
        """The whole path, ns per message: the loop of the engine alone."""
        return median(self.rounds_ns)

    @property
    def messages_per_s(self) -> float:
        """Of the engine's loop."""
        return 1e9 / self.whole_ns

    @property
    def stage_ns(self) -> dict[str, float]:
        """What each stage adds to a whole pass, ns per message."""
        return dict(zip(self.passes_ns, np.diff([0.0, *self.until_ns.values()]).tolist(), strict=True))

    @property
    def overhead(self) -> float | None:
        """Passes that stamp every stage against unstamped ones, a ratio; None without stamps."""
        return None if self.stamped_ns is None else self.stamped_ns / self.whole_ns

    def distribution(self, part: str, *, cold: bool = False) -> Distribution | None:
        """Of a stage, or of "total", warm or of the cold start; None where nothing was stamped."""
        return next((row for row in (self.cold_start_ns if cold else self.latency_ns) if row.part == part), None)

    def intervals(self) -> dict[str, Interval]:
        """What each stage adds to a whole pass of its round, and the whole as "total", ns per message with its interval."""
        out, before = {}, np.array(0.0)
        for stage, values in self.passes_ns.items():
            out[stage] = Interval.of(np.array(values) - before)
            before = np.array(values)
        return {**out, "total": Interval.of(before)}

    def agreement(self) -> dict[str, Agreement]:
        """By stage: whether stamps and whole passes agree."""
        clock = (self.clock.cost_p50_ns, self.clock.step_ns)
        return {stage: Agreement(stage, mean, self.stage_ns[stage], *clock) for stage, mean in self.stage_means_ns.items()}

    def table(self) -> Table:
        """Latency per message and stage in microseconds; end to end in milliseconds, too."""
        rows = []
        for row in self.latency_ns:
            rows.append((TITLES[row.part], *row.cells()))
            if row.part == "total":
                rows.append(("end to end, ms", *row.cells(1e6, 6)))
        if cold := self.distribution("total", cold=True):
            rows.append(("end to end, cold start", *cold.cells()))
        variant = " ".join(f"{axis}={value}" for axis, value in self.variant.items())
        title = f"{self.label}: latency per message, µs" + (f" ({variant})" if variant else "")
        return table(title, ("stage", *STATISTICS, "n"), rows)

    def notes(self) -> list[str]:
        """The clock, and what stamping costs."""
        if self.overhead is None:
            return [f"{self.label}: no stamps"]
        return [f"{self.label}: {self.clock}; stamping every stage makes a pass {self.overhead:.2f}x as long"]


def without_lookahead(engine: Engine) -> Engine:
    """The engine as it meets a live feed: of one that can look ahead in a buffer, the variant that does not."""
    return engine.replace(lookahead=False) if "lookahead" in engine.variant else engine


class StageTimer:
    """Times one engine round by round. Raises HftlabError for a debug build."""

    def __init__(self, label: str, engine: Engine, *, records: bool = False) -> None:
        self.label, self.engine = label, engine
        self.live = without_lookahead(engine)  # what is stamped: a live feed has no next message to look ahead to
        self.clock: ClockReport = clock_of(require_release_build(engine))
        self.stages = STAGES[: STAGES.index(engine.until) + 1]
        self.passes: dict[str, list[float]] = {stage: [] for stage in self.stages}
        self.records: dict[str, list[float]] = {mode: [] for mode in RECORDS} if records else {}
        self.stamped: list[float] = []  # ns per message of the passes that stamp every stage
        self.means: dict[str, list[float]] = {stage: [] for stage in self.stages}  # of the stamps of each round, raw
        self.warm = {part: Histogram() for part in PARTS}
        self.cold = {part: Histogram() for part in PARTS}
        self.record_messages = 0
        self._run: Run
        self._head: Feed
        self._start: Feed
        self._record_feed: Feed

    @property
    def messages(self) -> int:
        """Of the feed beyond its warm-up, known after `warm_up`."""
        return self._run.messages - self._run.warm_up

    def warm_up(self, feed: Feed) -> None:
        """Every kind of pass once, not counted."""
        with gc_paused():
            for until in self.stages:
                self._run = self._plain(until, feed)
            self._head, self._start = feed.head(PREFIX), feed.warmed(0).head(COLD_START)
            self._record_feed = feed if self._run.ns_per_message < SLOW_NS else self._head
            for mode in ("stages", "total"):
                self.live.run(self._head, record="none", latency=mode)

    def conditions(self, feed: Feed, rounds: int) -> dict[str, Any]:
        """See `hftlab.measurement.conditions.conditions`; after `warm_up`."""
        return conditions(self.engine, self._run, feed, rounds)

    def round(self, feed: Feed, order: random.Random) -> None:
        """Every kind of pass once, in random order."""
        kinds: list[Callable[[], None]] = [lambda until=until: self._pass(until, feed) for until in self.stages]  # type: ignore[misc]
        kinds += [lambda: self._stamp(feed, "stages", self.stages), lambda: self._stamp(feed, "total", ("total",))]
        kinds += [lambda mode=mode: self._record(mode) for mode in self.records]  # type: ignore[misc]
        with gc_paused():
            for kind in order.sample(kinds, len(kinds)):
                kind()

    def plain(self, feed: Feed) -> float:
        """ns per message of one unstamped pass over the whole path."""
        return self._plain(self.engine.until, feed).ns_per_message

    def _plain(self, until: str, feed: Feed) -> Run:
        return self.engine.replace(until=until).run(feed, record="none")

    def _pass(self, until: str, feed: Feed) -> None:
        self.passes[until].append(self._plain(until, feed).ns_per_message)

    def _record(self, mode: str) -> None:
        run = self.engine.run(self._record_feed, record=cast(Record, mode))
        self.records[mode].append(run.ns_per_message)
        self.record_messages = run.messages - run.warm_up

    def _stamp(self, feed: Feed, mode: str, parts: tuple[str, ...]) -> None:
        """A stamped pass, and a short one over the first messages, which the other leaves out if the feed has no warm-up."""
        run = self.live.run(feed, record="none", latency=mode, keep="samples" if self.messages <= SAMPLES_LIMIT else "histogram")
        start = self.live.run(self._start, record="none", latency=mode)
        skipped = 0 if run.warm_up else min(COLD_START, run.messages // 10)
        for part in parts:
            if start.latency is None:  # an engine without stamps
                continue
            self.cold[part].record(start.latency[part])
            warm = run.histograms[part] if run.histograms else Histogram.of((run.latency or start.latency)[part][skipped:])
            self.warm[part].add(warm)
            if part in self.means:
                self.means[part].append(warm.mean)
        if mode == "stages":
            self.stamped.append(run.ns_per_message)

    def timings(self, control: tuple[float, ...] = ()) -> StageTimings:
        """What was measured; `control` are the A/A ratios, if this engine is the control."""
        cost, step = self.clock.cost_p50_ns, self.clock.step_ns
        warm, cold = (
            tuple(Distribution(part, counted[part], cost, step) for part in PARTS if counted[part].n)
            for counted in (self.warm, self.cold)
        )
        return StageTimings(
            label=self.label,
            backend=self.engine.backend,
            variant=self.engine.variant,
            clock=self.clock,
            latency_ns=warm,
            cold_start_ns=cold,
            passes_ns={stage: tuple(values) for stage, values in self.passes.items()},
            stamped_ns=median(self.stamped) if warm else None,
            stage_means_ns={stage: max(median(values) - cost, 0.0) for stage, values in self.means.items()} if warm else {},
            control_ratios=control,
            record_ns={mode: median(values) for mode, values in self.records.items()},
            record_messages=self.record_messages,
            live_orders=self._run.memory["live_orders"],
            order_bytes=self._run.memory["order_bytes"],
        )
