"""What is hard on a book, one feed after the other: cancel storms, deep books, thousands of instruments.

Every target builds the book, untimed, then runs the traffic: in pieces at once, which gives ns per message, and again message by
message as fast as it can, which gives the percentiles. Everybody must end as the reference does: the same counts, faults, order
bytes, and the same depth of every instrument.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.callable_module import make_callable
from hftlab.engine.engine import Engine
from hftlab.errors import ConfigError
from hftlab.loadtest.feeds import QUICK, STORMS, Size, Storm, storm
from hftlab.loadtest.target import Calls, EngineTarget, Line, Target
from hftlab.loadtest.targets import targets_of
from hftlab.measurement.distribution import Distribution
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Interval, gc_paused
from hftlab.measurement.result import Result
from hftlab.presentation.progress import track

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-stress-storms/1"
PIECES = 10
PERCENTILES = {"p50": "p50", "p99": "p99", "p99.9": "p99.9"}


@dataclass(frozen=True)
class Weathered:
    """One target under one storm.

    ns       : per message, of pieces of the traffic pushed at once, with the interval of their median
    service  : of each message alone, ns, the call with it
    faults   : by reason; memory: as `Run.memory`
    differs  : in what it ended otherwise than the reference, "" in nothing
    """

    storm: str
    target: str
    messages: int
    ns: Interval
    service: Distribution
    faults: int
    memory: dict[str, int]
    differs: str

    def row(self) -> dict[str, Any]:
        """One row of `Storms.frame`."""
        return {
            "storm": self.storm,
            "target": self.target,
            "messages": self.messages,
            "live_orders": self.memory.get("live_orders", 0),
            "ns_per_message": self.ns.median,
            "low": self.ns.low,
            "high": self.ns.high,
            **{name: self.service.percentiles[key] for name, key in PERCENTILES.items()},
            "max": self.service.max,
            "faults": self.faults,
            "order_bytes": self.memory.get("order_bytes", 0),
            "level_bytes": self.memory.get("level_bytes", 0),
            "equal": not self.differs,
        }


@dataclass(frozen=True)
class Storms(Result):
    """Every target under every storm."""

    machine: dict[str, Any]
    weathered: tuple[Weathered, ...]

    def frame(self) -> pl.DataFrame:
        """One row per storm and target: storm, target, messages (timed), live_orders (at the end), ns_per_message (low, high:
        95 % interval of its median), p50, p99, p99.9, max (ns of a message alone; null where the sample is too small), faults,
        order_bytes, level_bytes, equal."""
        import polars as pl

        return pl.DataFrame([one.row() for one in self.weathered], schema_overrides=dict.fromkeys(PERCENTILES, pl.Float64))

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each: faults of a feed without faults, and ends that differ."""
        out = [f"{one.storm}: {one.target} differs from the reference in {one.differs}" for one in self.weathered if one.differs]
        return out + [f"{one.storm}: {one.target} refused {one.faults:,} messages" for one in self.weathered if one.faults]

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "machine": self.machine,
            "storms": [{**one.row(), "differs": one.differs} for one in self.weathered],
            "failures": self.failures,
        }

    def plot(self) -> Any:
        """ns per message and the tail of every storm, a colour per target."""
        from hftlab.charts import storm_chart

        return storm_chart(
            self.frame(), "traffic over a standing book: pushed in pieces, and message by message, the call with it"
        )

    def lines(self) -> list[str]:
        """What it says, a sentence each."""
        out = []
        for one in self.weathered:
            calm = next((other for other in self.weathered if other.storm == "calm" and other.target == one.target), None)
            times = f", {one.ns.median / calm.ns.median:.2f} times calm" if calm and calm is not one else ""
            live, size = one.memory.get("live_orders", 0), one.memory.get("order_bytes", 0) + one.memory.get("level_bytes", 0)
            out.append(
                f"{one.storm}: {one.target} {one.ns.median:,.1f} ns/message{times}; {live:,} orders live in {size / 1e6:,.1f} MB"
            )
        return [*out, *(self.failures or ["every target ended as the reference did, without faults"]), describe(self.machine)]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Storms: {len(self.weathered)} runs, {len(self.failures)} failures>"


def storms(
    targets: Iterable[Any] | None = None,
    names: Iterable[str] = tuple(STORMS),
    *,
    size: Size | None = None,
    quick: bool = False,
    seed: int = 1,
) -> Storms:
    """Put every target under every storm.

    targets : as for `hftlab.loadtest.sweep`; names: of STORMS
    size    : of the feeds; quick: small ones, a second or two each
    raises  : ConfigError, UnknownName. Engines that differ do not raise here: `failures` says so
    """
    found, names = targets_of(targets), tuple(names)
    if not names:
        raise ConfigError(f"0 storms; allowed is one or more of {', '.join(STORMS)}")
    order, out = random.Random(seed), []
    for name in track(names, "storms"):
        feed = storm(name, size or (QUICK if quick else Size()), seed)
        with gc_paused():
            seen = {target.label: _Weather(target, feed) for target in order.sample(found, len(found))}
        known = [seen[target.label].ends[0] for target in found if _is_reference(target, found)]
        wanted = known[0] if known else state(_reference(found), feed)
        out += [seen[target.label].told(wanted) for target in found]
    return Storms(fingerprint(), tuple(out))


def _reference(targets: Sequence[Target]) -> EngineTarget:
    """The reference engine, told what the first engine among the targets was told."""
    engines = [target.engine for target in targets if isinstance(target, EngineTarget)]
    return EngineTarget(engines[0].as_reference() if engines else Engine("python"))


def _is_reference(target: Target, targets: Sequence[Target]) -> bool:
    """Whether a target is the reference engine itself, told the same: then it need not run once more."""
    if not isinstance(target, EngineTarget) or target.engine.backend != "python" or target.engine.stages:
        return False
    return target.engine.settings() == _reference(targets).engine.settings()


def state(target: Target, feed: Storm, line: Line | None = None) -> dict[str, Any]:
    """How a target ends a storm: what all must have in common, and its memory."""
    if line is None:
        line = target.open()
        line.push(feed.build)
        line.push(feed.traffic)
    result = line.finish()
    depth = [line.depth(instrument) for instrument in range(1, feed.instruments + 1)]
    shared = {name: _plain(result[name]) for name in ("messages", "counts", "order_stream", "rejects")}
    live = result["memory"]["live_orders"]
    return {**shared, "faults": sum(result["faults"]), "live orders": live, "depth": depth, "memory": result["memory"]}


class _Weather:
    """One target through one storm, twice: in pieces, and message by message."""

    def __init__(self, target: Target, feed: Storm) -> None:
        self.target, self.feed = target, feed
        line = target.open()
        line.push(feed.build)
        self.ns = list(_passes(line, feed))
        again = target.open()
        again.push(feed.build)
        calls = Calls.of(feed.traffic)
        self.service = again.drive(calls, np.zeros(len(calls), np.int64)).service
        self.ends = [state(target, feed, one) for one in (line, again)]

    def told(self, wanted: dict[str, Any]) -> Weathered:
        """Compared with how the reference ended."""
        names = {name for end in self.ends for name in wanted if name != "memory" and end[name] != wanted[name]}
        return Weathered(
            storm=self.feed.name,
            target=self.target.label,
            messages=self.feed.messages,
            ns=Interval.of(np.array(self.ns)),
            service=Distribution.of("total", self.service),
            faults=self.ends[0]["faults"],
            memory=self.ends[0]["memory"],
            differs=", ".join(sorted(names)),
        )


def _plain(value: Any) -> Any:
    """Arrays and tuples as lists, so that what is equal compares equal."""
    return list(value) if isinstance(value, (tuple, np.ndarray)) else value


def _passes(line: Line, feed: Storm) -> Iterator[float]:
    """The traffic in pieces at once, ns per message each."""
    cut = Calls.of(feed.traffic, each=-(-feed.messages // PIECES))
    for number, piece in enumerate(cut.pieces):
        start = perf_counter_ns()
        line.push(piece)
        yield (perf_counter_ns() - start) / min(cut.each, feed.messages - number * cut.each)


make_callable(__name__)
