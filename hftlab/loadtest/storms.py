"""What is hard on a book, one feed after the other: cancel storms, deep books, thousands of instruments.

Every target builds the book, untimed, then runs the traffic: in pieces at once, which gives ns per message, and again message by
message as fast as it can, which gives the percentiles. All must end as the reference does: the same counts, faults, order bytes,
and the same depth of every instrument.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.errors import check_range
from hftlab.loadtest.report import SHOWN, LoadReport
from hftlab.loadtest.schedule import check_at_least
from hftlab.loadtest.storm_feeds import QUICK, STORMS, Size, Storm, storm_feed
from hftlab.loadtest.target import Batches, EngineTarget, Target, TargetSession, differences, end_state, resolve_targets
from hftlab.measurement.distribution import Distribution, Summary
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import Interval, gc_paused
from hftlab.presentation.document import Table, rows_table
from hftlab.presentation.progress import track

PIECES = 10
_COLUMNS = {
    "storm": ("storm", 1),
    "target": ("target", 1),
    "live_orders": ("live orders", 1),
    "ns_per_message": ("ns/message", 1),
    "times_calm": ("x calm", 1),
    "p50": ("p50 ns", 1),
    "p99": ("p99 ns", 1),
    "p99.9": ("p99.9 ns", 1),
    "max": ("max us", 1e3),
    "faults": ("faults", 1),
    "order_bytes": ("orders MB", 1e6),
    "level_bytes": ("levels MB", 1e6),
    "equal": ("equal", 1),
}


@dataclass(frozen=True)
class StormResult:
    """One target under one storm.

    ns       : per message, of pieces of the traffic pushed at once, with the interval of their median
    service  : of each message alone, the call with it
    faults   : messages refused; memory: as `Run.memory`
    differs  : what ended otherwise than in the reference
    """

    storm: str
    target: str
    messages: int
    ns: Interval
    service: Summary
    faults: int
    memory: dict[str, int]
    differs: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """One row of `StormReport.frame`."""
        return {
            "storm": self.storm,
            "target": self.target,
            "messages": self.messages,
            "live_orders": self.memory.get("live_orders", 0),
            "ns_per_message": self.ns.median,
            "low": self.ns.low,
            "high": self.ns.high,
            **{name: self.service[name] for name in SHOWN},
            "faults": self.faults,
            "order_bytes": self.memory.get("order_bytes", 0),
            "level_bytes": self.memory.get("level_bytes", 0),
            "equal": not self.differs,
        }


@dataclass(frozen=True, repr=False)
class StormReport(LoadReport):
    """Every target under every storm.

    frame : a row each: storm, target, messages (timed), live_orders (at the end), ns_per_message (low, high: 95 % interval of its
            median), p50, p99, p99.9, max (ns of a message alone; null where the sample is too small), faults, order_bytes,
            level_bytes, equal
    """

    schema = "hftlab-storms/3"

    machine: dict[str, Any]
    results: tuple[StormResult, ...]

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each: faults of a feed without faults, and ends that differ."""
        wrong = [(one, f"differs from the reference in {', '.join(one.differs)}") for one in self.results if one.differs]
        wrong += [(one, f"refused {one.faults:,} messages") for one in self.results if one.faults]
        return [f"{one.storm}: {one.target} {what}" for one, what in wrong]

    def plot(self) -> Any:
        """ns per message and the tail of every storm, a colour per target."""
        from hftlab.charts import storm_chart

        subtitle = "traffic over a standing book: pushed in pieces, and message by message, the call with it"
        return storm_chart(self.frame(), subtitle)

    def tables(self) -> list[Table]:
        calm = {one.target: one.ns.median for one in self.results if one.storm == "calm"}
        rows = [{**row, "times_calm": row["ns_per_message"] / calm.get(row["target"], float("nan"))} for row in self.rows()]
        return [rows_table("storms", rows, _COLUMNS, words=2, grouped=True)]

    def notes(self) -> list[str]:
        return [*([] if self.failures else ["every target ended as the reference did, without faults"]), *super().notes()]


def order_storms(
    targets: Iterable[Any] | None = None,
    names: Iterable[str] = tuple(STORMS),
    *,
    size: Size | None = None,
    quick: bool = False,
    seed: int = 1,
) -> StormReport:
    """Put every target under every storm.

    targets : as for `hftlab.loadtest.load_sweep`; names: of STORMS
    size    : of the feeds; quick: small ones, a second or two each
    raises  : ConfigError, UnknownName. Engines that differ do not raise here: `failures` says so
    """
    chosen, names = resolve_targets(targets), tuple(names)
    check_range("number of storms", len(names), 1)
    check_at_least(0, seed=seed)
    order, out = random.Random(seed), []
    for name in track(names, "storms"):
        feed = storm_feed(name, size or (QUICK if quick else Size()), seed)
        with gc_paused():
            runs = {target.label: _StormRun(target, feed) for target in order.sample(chosen, len(chosen))}
        wanted = _reference_end(chosen, feed, runs)
        out += [runs[target.label].result(wanted) for target in chosen]
    return StormReport(fingerprint(), tuple(out))


def _reference_end(targets: Sequence[Target], feed: Storm, runs: dict[str, _StormRun]) -> dict[str, Any]:
    """How the reference engine ends, with the settings of the first engine; if it is a target, it need not run again."""
    engines = [target.engine for target in targets if target.engine]
    reference = engines[0].as_reference() if engines else Engine("python")
    for target in targets:
        engine = target.engine
        if engine and engine.backend == "python" and not engine.stages and engine.settings() == reference.settings():
            return runs[target.label].ends[0]
    return storm_end(EngineTarget(reference), feed)


def storm_end(target: Target, feed: Storm) -> dict[str, Any]:
    """How a target ends a storm that nothing is timed of; see `end_state`."""
    session = target.open()
    session.push(feed.build)
    session.push(feed.traffic)
    return end_state(session, feed.places)


class _StormRun:
    """One target through one storm, twice: in pieces, and message by message."""

    def __init__(self, target: Target, feed: Storm) -> None:
        self.target, self.feed = target, feed
        session, again = target.open(), target.open()
        session.push(feed.build)
        self.ns = list(_passes(session, feed))
        again.push(feed.build)
        batches = Batches.of(feed.traffic)
        self.service = again.drive(batches, np.zeros(len(batches), np.int64)).service
        self.ends = [end_state(each, feed.places) for each in (session, again)]

    def result(self, wanted: dict[str, Any]) -> StormResult:
        """Compared with how the reference ended."""
        names = {name for end in self.ends for name in differences(end, wanted)}
        return StormResult(
            storm=self.feed.name,
            target=self.target.label,
            messages=self.feed.messages,
            ns=Interval.of(np.array(self.ns)),
            service=Distribution.of("", self.service).summary(),
            faults=self.ends[0]["faults"],
            memory=dict(self.ends[0]["memory"]),
            differs=tuple(sorted(names)),
        )


def _passes(session: TargetSession, feed: Storm) -> Iterator[float]:
    """The traffic in pieces at once, ns per message each."""
    cut = Batches.of(feed.traffic, size=-(-feed.messages // PIECES))
    for number, piece in enumerate(cut.pieces):
        start = perf_counter_ns()
        session.push(piece)
        yield (perf_counter_ns() - start) / min(cut.size, feed.messages - number * cut.size)
