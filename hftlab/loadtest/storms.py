"""What is hard on a book, one feed after the other: cancel storms, deep books, thousands of instruments.

Every target builds the book, untimed, then runs the traffic: in pieces at once, which gives ns per message, and again message by
message as fast as it can, which gives the percentiles. All must end as the reference does: the same counts, faults, order bytes,
and the same depth of every instrument.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.errors import check_range
from hftlab.loadtest.storm_feeds import QUICK, STORMS, Size, Storm, storm_feed
from hftlab.loadtest.target import Batches, EngineTarget, Target, TargetSession, resolve_targets
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Interval, gc_paused
from hftlab.net.transports.percentiles import Summary, summary
from hftlab.presentation.document import Table
from hftlab.presentation.plain import PlainResult, rows_table
from hftlab.presentation.progress import track

if TYPE_CHECKING:
    import polars as pl

PIECES = 10
_SHOWN = ("p50", "p99", "p99.9", "max")
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
            **{name: self.service[name] for name in _SHOWN},
            "faults": self.faults,
            "order_bytes": self.memory.get("order_bytes", 0),
            "level_bytes": self.memory.get("level_bytes", 0),
            "equal": not self.differs,
        }


@dataclass(frozen=True)
class StormReport(PlainResult):
    """Every target under every storm."""

    schema = "hftlab-storms/1"

    machine: dict[str, Any] = field(repr=False)
    results: tuple[StormResult, ...]

    def frame(self) -> pl.DataFrame:
        """One row per storm and target: storm, target, messages (timed), live_orders (at the end), ns_per_message (low, high:
        95 % interval of its median), p50, p99, p99.9, max (ns of a message alone; null where the sample is too small), faults,
        order_bytes, level_bytes, equal."""
        import polars as pl

        return pl.DataFrame([one.row() for one in self.results], schema_overrides=dict.fromkeys(_SHOWN, pl.Float64))

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each: faults of a feed without faults, and ends that differ."""
        wrong = [(one, f"differs from the reference in {', '.join(one.differs)}") for one in self.results if one.differs]
        wrong += [(one, f"refused {one.faults:,} messages") for one in self.results if one.faults]
        return [f"{one.storm}: {one.target} {what}" for one, what in wrong]

    def derived(self) -> dict[str, Any]:
        return {"failures": self.failures, "summary": [one.row() for one in self.results]}

    def plot(self) -> Any:
        """ns per message and the tail of every storm, a colour per target."""
        from hftlab.charts import storm_chart

        return storm_chart(
            self.frame(), "traffic over a standing book: pushed in pieces, and message by message, the call with it"
        )

    def tables(self) -> list[Table]:
        calm = {one.target: one.ns.median for one in self.results if one.storm == "calm"}
        rows = [
            {**one.row(), "times_calm": one.ns.median / calm[one.target] if one.target in calm else None} for one in self.results
        ]
        return [rows_table("storms", rows, _COLUMNS, words=2, grouped=True)]

    def notes(self) -> list[str]:
        return [*(self.failures or ["every target ended as the reference did, without faults"]), describe(self.machine)]

    def __repr__(self) -> str:
        return f"<StormReport: {len(self.results)} runs, {len(self.failures)} failures>"


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
    check_range("seed", seed, 0)
    order, out = random.Random(seed), []
    for name in track(names, "storms"):
        feed = storm_feed(name, size or (QUICK if quick else Size()), seed)
        with gc_paused():
            runs = {target.label: _StormRun(target, feed) for target in order.sample(chosen, len(chosen))}
        reference = _reference(chosen)
        equal = [runs[target.label].ends[0] for target in chosen if _is_reference(target, reference)]
        wanted = equal[0] if equal else end_state(reference, feed)
        out += [runs[target.label].result(wanted) for target in chosen]
    return StormReport(fingerprint(), tuple(out))


def _reference(targets: Sequence[Target]) -> EngineTarget:
    """The reference engine, with the settings of the first engine among the targets."""
    engines = [target.engine for target in targets if target.engine]
    return EngineTarget(engines[0].as_reference() if engines else Engine("python"))


def _is_reference(target: Target, reference: EngineTarget) -> bool:
    """Whether a target is the reference engine itself, with the same settings: then it need not run once more."""
    engine = target.engine
    if engine is None or engine.backend != "python" or engine.stages:
        return False
    return engine.settings() == reference.engine.settings()


def end_state(target: Target, feed: Storm, session: TargetSession | None = None) -> dict[str, Any]:
    """How a target ends a storm: what all must have in common, and its memory."""
    if session is None:
        session = target.open()
        session.push(feed.build)
        session.push(feed.traffic)
    result = session.finish()
    depth = [session.depth(instrument) for instrument in range(1, feed.instruments + 1)]
    shared = {name: _plain(result[name]) for name in ("messages", "counts", "order_stream", "rejects")}
    memory = result["memory"]
    return {**shared, "faults": sum(result["faults"]), "live orders": memory["live_orders"], "depth": depth, "memory": memory}


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
        self.ends = [end_state(target, feed, each) for each in (session, again)]

    def result(self, wanted: dict[str, Any]) -> StormResult:
        """Compared with how the reference ended."""
        names = {name for end in self.ends for name in wanted if name != "memory" and end[name] != wanted[name]}
        return StormResult(
            storm=self.feed.name,
            target=self.target.label,
            messages=self.feed.messages,
            ns=Interval.of(np.array(self.ns)),
            service=summary(self.service),
            faults=self.ends[0]["faults"],
            memory=dict(self.ends[0]["memory"]),
            differs=tuple(sorted(names)),
        )


def _plain(value: Any) -> Any:
    """Arrays and tuples as lists, so that what is equal compares equal."""
    return list(value) if isinstance(value, (tuple, np.ndarray)) else value


def _passes(session: TargetSession, feed: Storm) -> Iterator[float]:
    """The traffic in pieces at once, ns per message each."""
    cut = Batches.of(feed.traffic, size=-(-feed.messages // PIECES))
    for number, piece in enumerate(cut.pieces):
        start = perf_counter_ns()
        session.push(piece)
        yield (perf_counter_ns() - start) / min(cut.size, feed.messages - number * cut.size)
