"""What is hard on a book, one feed after the other: cancel storms, deep books, thousands of instruments.

Every target builds the book, untimed, then runs the traffic: in pieces at once, which gives ns per message, and again message by
message as fast as it can, which gives the percentiles. All must end as the reference does: the same counts, faults, order bytes,
and the same depth of every instrument.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.errors import check_choice, check_range
from hftlab.feeds.frames import walk
from hftlab.feeds.generate.steady import LOT, Seats, added, fill_head, framed, steady
from hftlab.feeds.generate.synthetic import generate
from hftlab.loadtest.report import SHOWN, LoadReport
from hftlab.loadtest.schedule import check_at_least
from hftlab.loadtest.target import Batches, EngineTarget, Target, TargetSession, differences, end_state, resolve_targets
from hftlab.measurement.distribution import Distribution, Summary
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import Interval, gc_paused
from hftlab.presentation.document import Table, rows_table
from hftlab.presentation.progress import track

STORMS: dict[str, str] = {
    "calm": "one liquid symbol, tens of levels a side: what the others are compared with",
    "burst": "sudden runs on one of eight symbols, full of executions in one direction",
    "cancel_storm": "waves in which deletes and replaces crowd out adds and the book thins, then refills",
    "mass_cancel": "every live order is cut down, then deleted, in random order, then the whole book comes again",
    "deep": "one symbol with very many live orders over thousands of levels, touched at random",
    "wide": "thousands of symbols, no two messages in a row on the same one",
}


@dataclass(frozen=True)
class Size:
    """How large the feeds are made.

    messages          : of the traffic, at least (a multiple of 10)
    deep, deep_levels : live orders of the deep book, and price levels a side
    wide              : instruments of the wide market, ten orders each
    """

    messages: int = 100_000
    deep: int = 200_000
    deep_levels: int = 5_000
    wide: int = 10_000


QUICK = Size(messages=10_000, deep=10_000, deep_levels=1_000, wide=1_000)


@dataclass(frozen=True)
class Storm:
    """`build` makes the book, `traffic` is what is timed; both are framed ITCH."""

    name: str
    build: bytes
    traffic: bytes
    instruments: int
    messages: int  # of the traffic

    @property
    def places(self) -> range:
        """Its instruments, by number."""
        return range(1, self.instruments + 1)


def storm_feed(name: str, size: Size | None = None, seed: int = 1) -> Storm:
    """The feed of that name, one of STORMS.

    raises : UnknownName; ConfigError for a size out of range
    """
    check_choice("storm", name, STORMS)
    return _MAKERS.get(name, _generated)(name, size or Size(), seed)


def _generated(name: str, size: Size, seed: int) -> Storm:
    """A regime of the generator: its first fifth builds the book."""
    data = generate(name, size.messages * 5 // 4, seed)
    at = [start - 2 for _, start, _ in walk([data], name)]
    cut = at[len(at) - size.messages]
    return Storm(name, data[:cut], data[cut:], {"calm": 1, "burst": 8, "cancel_storm": 4}[name], size.messages)


def _standing(name: str, size: Size, seed: int) -> Storm:
    """One symbol with very many orders, or very many symbols with ten each, as many orders at the end as at the beginning."""
    shape = (size.deep, 1, size.deep_levels) if name == "deep" else (10 * size.wide, size.wide, 5)
    made = steady(*shape, size.messages, seed)
    return Storm(name, made.build, made.steady, shape[1], made.messages)


def _mass_cancel(name: str, size: Size, seed: int) -> Storm:
    """Two waves, or as many as the messages take: half of the shares of every order go, then the orders, then new ones come."""
    orders, instruments, waves = max(size.messages // 6, 16), 8, 2
    seats, random = Seats(orders, instruments, 200), np.random.default_rng(seed)
    every, parts, number = np.arange(orders), [], orders
    for wave in range(waves):
        reference = 1 + orders * wave
        for letter in "XD":
            seat = random.permutation(orders)
            cut = np.zeros(orders, framed(letter))
            fill_head(cut, letter, seats.locate[seat], number + every)
            cut["ref"] = reference + seat
            if letter == "X":
                cut["shares"] = LOT // 2
            parts.append(cut.tobytes())
            number += orders
        parts.append(added(seats, every, reference + orders, number + every))
        number += orders
    return Storm(name, added(seats, every), b"".join(parts), instruments, 3 * orders * waves)


_MAKERS: dict[str, Callable[[str, Size, int], Storm]] = {"deep": _standing, "wide": _standing, "mass_cancel": _mass_cancel}


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
        from hftlab.charts import dot_chart

        rows = self.frame().to_dicts()
        tail = next((name for name in ("p99.9", "p99", "p50") if any(row[name] for row in rows)), "p50")
        figures = {"ns_per_message": "ns per message", tail: f"{tail} of a message"}
        dots = [
            {"label": row["storm"], "group": row["target"], "figure": figure, "value": row[name]}
            for row in rows
            for name, figure in figures.items()
        ]
        subtitle = "traffic over a standing book: pushed in pieces, and message by message, the call with it"
        return dot_chart(dots, "Order storms", subtitle, "time", ns=True, why="no storm")

    def tables(self) -> list[Table]:
        calm = {one.target: one.ns.median for one in self.results if one.storm == "calm"}
        rows = [{**row, "times_calm": row["ns_per_message"] / calm.get(row["target"], float("nan"))} for row in self.records()]
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
    session = target.open_book()
    session.push(feed.build)
    session.push(feed.traffic)
    return end_state(session, feed.places)


class _StormRun:
    """One target through one storm, twice: in pieces, and message by message."""

    def __init__(self, target: Target, feed: Storm) -> None:
        self.target, self.feed = target, feed
        session, again = target.open_book(), target.open_book()
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
