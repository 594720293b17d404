"""One engine under observation: whole passes until each stage, stamped passes, the first messages apart; round by round.

Two ways to the cost of a stage, side by side in every round: differences of unstamped whole passes, and stamps of every message.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import median
from typing import cast

from hftlab.engine.engine import Engine
from hftlab.engine.run import Run
from hftlab.engine.timing import PARTS, Histogram
from hftlab.experiments.measured import Measured
from hftlab.feeds.feed import Feed
from hftlab.measurement.clock import ClockReport, clock_of
from hftlab.measurement.distribution import Distribution
from hftlab.measurement.paired import gc_paused
from hftlab.measurement.preconditions import PREFIX, require_release_build
from hftlab.settings import RECORDS, STAGES, Record

#: The first messages of every stamped pass, which meet an empty book and cold caches, are counted apart.
FIRST = 1_000
#: A feed up to this long is stamped sample by sample; of a longer one the engine keeps counts, and memory stays as it is.
BOUND = 2_000_000
#: An engine slower than this runs the passes of the record modes on the head of the feed alone: they would take half the bench.
SLOW_NS = 1_000


class Observer:
    """One engine, and what has been seen of it.

    raises : HftlabError for a debug build
    """

    def __init__(self, label: str, engine: Engine, *, records: bool = False) -> None:
        self.label, self.base = label, engine
        self.clock: ClockReport = clock_of(require_release_build(engine))
        self.stages = STAGES[: STAGES.index(engine.until) + 1]
        self.passes: dict[str, list[float]] = {stage: [] for stage in self.stages}
        self.records: dict[str, list[float]] = {mode: [] for mode in RECORDS} if records else {}
        self.stamped: list[float] = []  # ns per message of the passes that stamp every stage
        self.means: dict[str, list[float]] = {stage: [] for stage in self.stages}  # of the stamps of each round, raw
        self.warm = {part: Histogram() for part in PARTS}
        self.first = {part: Histogram() for part in PARTS}
        self.messages = self.record_messages = 0
        self._head: Feed
        self._record_feed: Feed
        self._memory: dict[str, int] = {}

    def warm_up(self, feed: Feed) -> None:
        """Every kind of pass once, not counted."""
        with gc_paused():
            for until in self.stages:
                run = self._plain(until, feed)
            self.messages, self._memory = run.messages, run.memory
            self._head = feed.head(PREFIX)
            self._record_feed = feed if run.ns_per_message < SLOW_NS else self._head
            for mode in ("stages", "total"):
                self.base.run(self._head, record="none", latency=mode)

    def round(self, feed: Feed, order: random.Random) -> None:
        """Every kind of pass once, in random order."""
        kinds: list[Callable[[], None]] = [lambda until=until: self._pass(until, feed) for until in self.stages]  # type: ignore[misc]
        kinds += [lambda: self._stages(feed), lambda: self._total(feed)]
        kinds += [lambda mode=mode: self._record(mode) for mode in self.records]  # type: ignore[misc]
        with gc_paused():
            for kind in order.sample(kinds, len(kinds)):
                kind()

    def plain(self, feed: Feed) -> float:
        """ns per message of one unstamped pass over the whole path."""
        return self._plain(self.base.until, feed).ns_per_message

    def _plain(self, until: str, feed: Feed) -> Run:
        return self.base.replace(until=until).run(feed, record="none")

    def _pass(self, until: str, feed: Feed) -> None:
        self.passes[until].append(self._plain(until, feed).ns_per_message)

    def _record(self, mode: str) -> None:
        run = self.base.run(self._record_feed, record=cast(Record, mode))
        self.records[mode].append(run.ns_per_message)
        self.record_messages = run.messages

    def _stages(self, feed: Feed) -> None:
        run = self._stamp(feed, "stages", self.stages)
        self.stamped.append(run.ns_per_message)

    def _total(self, feed: Feed) -> None:
        self._stamp(feed, "total", ("total",))

    def _stamp(self, feed: Feed, mode: str, parts: tuple[str, ...]) -> Run:
        """A stamped pass; the first messages are counted apart, of a long feed in a short pass of their own."""
        whole = self.messages <= BOUND
        run = self.base.run(feed, record="none", latency=mode, keep="samples" if whole else "histogram")
        head_ = run if whole else self.base.run(self._head, record="none", latency=mode)
        first = first_of(run.messages)
        for part in parts:
            if head_.latency is None:  # an engine without stamps
                continue
            self.first[part].record(head_.latency[part][:first])
            seen = Histogram.of(head_.latency[part][first:]) if run.histograms is None else run.histograms[part]
            self.warm[part].add(seen)
            if part in self.means:
                self.means[part].append(seen.mean)
        return run

    def measured(self, control: tuple[float, ...] = ()) -> Measured:
        """What has been seen; `control` are the A/A ratios, if this engine is the control."""
        cost = self.clock.cost_p50_ns
        warm = tuple(Distribution(part, self.warm[part], cost) for part in PARTS if self.warm[part].n)
        first = tuple(Distribution(part, self.first[part], cost) for part in PARTS if self.first[part].n)
        return Measured(
            label=self.label,
            backend=self.base.backend,
            variant=self.base.variant,
            clock=self.clock,
            rows=warm,
            first=first,
            until_ns={stage: median(values) for stage, values in self.passes.items()},
            rounds_ns=tuple(self.passes[self.base.until]),
            stamped_ns=median(self.stamped) if warm else None,
            stage_means={stage: max(median(values) - cost, 0.0) for stage, values in self.means.items()} if warm else {},
            control=control,
            record_ns={mode: median(values) for mode, values in self.records.items()},
            record_messages=self.record_messages,
            live_orders=self._memory["live_orders"],
            order_bytes=self._memory["order_bytes"],
            passes_ns={stage: tuple(values) for stage, values in self.passes.items()},
        )


def first_of(messages: int) -> int:
    """How many messages count as the first ones: a tenth of a short feed."""
    return min(FIRST, messages // 10)
