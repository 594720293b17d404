"""The flight recorder: what happened around the slowest messages of a stamped run, message by message and stage by stage.

An engine keeps the stamps around its slowest messages (`Run.slowest`). What such a message was, which stage took its time, and
whether the time passed between messages, where no stage of the engine was at work, stands here in rows, in a chart, and in a
trace for the Perfetto UI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.timing import Capture
from hftlab.errors import ConfigError
from hftlab.experiments.moments import Moment, moments
from hftlab.feeds.feed import Feed
from hftlab.measurement.machine import describe
from hftlab.measurement.result import Result, write
from hftlab.settings import STAGES

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-flight/1"
BETWEEN = "between messages"
#: What stands for the stage of a run that stamped only beginning and end (latency="total").
UNSTAMPED = "stages not stamped"
_UNSIGNED = ("ts_ns", "order_id", "new_order_id")  # may be above 2^63


@dataclass(frozen=True)
class Slow:
    """One slow message. Times are ns.

    stage    : the one that took most beyond its median over the neighbours; stage_ns: what it took
    usual_ns : median total of the neighbours, those that are slow themselves left out; None if there is none
    where    : `stage`, or "between messages" if the gap before the message is longer than the message itself
    """

    moment: Moment
    stage: str
    stage_ns: int
    usual_ns: float | None
    where: str

    @classmethod
    def of(cls, moment: Moment, neighbours: Sequence[Moment], *, stamped: bool = True) -> Slow:
        """Compare one message with its neighbours; `stamped` is false where only beginning and end were stamped."""
        usual = np.median([one.stages_ns for one in neighbours], axis=0) if neighbours else np.zeros(len(STAGES))
        place = int(np.argmax(np.array(moment.stages_ns) - usual))
        stage, ns = (STAGES[place], moment.stages_ns[place]) if stamped else (UNSTAMPED, moment.total_ns)
        total = float(np.median([one.total_ns for one in neighbours])) if neighbours else None
        waited = (moment.gap_ns or 0) > moment.total_ns
        return cls(moment, stage, ns, total, BETWEEN if waited else stage)

    @property
    def share(self) -> float:
        """Of the stage in the total, 0 to 1."""
        return self.stage_ns / self.moment.total_ns if self.moment.total_ns else 0.0

    @property
    def times(self) -> float | None:
        """The total as a multiple of `usual_ns`."""
        return self.moment.total_ns / self.usual_ns if self.usual_ns else None

    def words(self) -> str:
        """One sentence: what it was, how long it took, and where."""
        one = self.moment
        told = f"message {one.index:,} ({one.name}): {microseconds(one.total_ns)}"
        if self.times:
            told += f", {self.times:,.1f}x the median of its neighbours"
        stages = UNSTAMPED if self.stage == UNSTAMPED else f"{self.share:.0%} in {self.stage} ({microseconds(self.stage_ns)})"
        gap = f"; before it {microseconds(one.gap_ns or 0)} {BETWEEN}: nothing of the engine's own"
        return f"{told}; {stages}" + (gap if self.where == BETWEEN else "")

    def row(self) -> dict[str, Any]:
        """One row of `Flight.slowest`."""
        own = asdict(self.moment)
        told = ("rank", "window", "index", "kind", "side", "order_id", "instrument", "symbol", "price", "qty", "ts_ns")
        return {
            **{name: own[name] for name in (*told, "start_ns", "total_ns", "gap_ns")},
            "stage": self.stage,
            "stage_ns": self.stage_ns,
            "share": self.share,
            "usual_ns": self.usual_ns,
            "times": self.times,
            "where": self.where,
            "words": self.words(),
        }


@dataclass(frozen=True)
class Flight(Result):
    """The slowest messages of one run (`slow`, the slowest first) and all around them (`moments`, in the order of the feed)."""

    feed: str
    engine: str
    machine: dict[str, Any]
    price_scale: int
    moments: tuple[Moment, ...]
    slow: tuple[Slow, ...]

    @classmethod
    def of(cls, captures: Sequence[Capture], feed: Feed, engine: str, machine: Mapping[str, Any]) -> Flight:
        """Read the messages around each slow one from the feed, in one pass over it that ends with the last of them.

        captures : `Run.slowest`; those that overlap are merged
        feed     : the one that ran
        engine   : its label; machine: `hftlab.measurement.machine.fingerprint()`
        raises   : ConfigError for no captures, or captures of two runs; FeedError if the feed has no such message
        """
        if not captures:
            raise ConfigError("there are 0 captures; allowed is 1 or more, which a run that stamps every stage keeps")
        ranked = sorted(captures, key=lambda one: (-_total(one), one.at))
        found = moments(ranked, feed)
        slow, by = {one.at for one in ranked}, {one.index: one for one in found}
        stamped = any((one.stamps[:, 3] > one.stamps[:, 0]).any() for one in ranked)
        compared = []
        for one in ranked:
            beside = set(range(one.first, one.first + len(one.stamps))) - slow
            compared.append(Slow.of(by[one.at], [by[index] for index in beside], stamped=bool(stamped)))
        return cls(feed.name, engine, dict(machine), feed.price_scale, found, tuple(compared))

    def frame(self) -> pl.DataFrame:
        """One row per message, in the order of the feed; the columns are the fields of `Moment`."""
        return _frame([asdict(one) for one in self.moments])

    @property
    def slowest(self) -> pl.DataFrame:
        """One row per slow message, the slowest first.

        rank, window, index, kind, side, order_id, instrument, symbol, price, qty, ts_ns, start_ns, total_ns, gap_ns, stage,
        stage_ns, share (of the stage, 0 to 1), usual_ns (median total of the neighbours), times, where, words
        """
        return _frame([one.row() for one in self.slow])

    def plot(self, most: int = 3, around: int = 5) -> Any:
        """The slowest messages, at most `most`, with `around` neighbours a side, as an Altair chart."""
        from hftlab.charts.timeline import timeline_chart

        return timeline_chart(self.frame(), self.slowest, f"{self.engine} on {self.feed}", limit=most, around=around)

    def trace(self, path: str | Path) -> None:
        """Write the trace that `hftlab.experiments.trace` makes, for the Perfetto UI. Raises FeedError if that cannot be done."""
        from hftlab.experiments.trace import trace_events

        write(path, json.dumps(trace_events(self)) + "\n")

    def lines(self) -> list[str]:
        """A sentence per slow message, the slowest first, and the machine."""
        return [*(f"{one.moment.rank}. {one.words()}" for one in self.slow), describe(self.machine)]

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "feed": self.feed,
            "engine": self.engine,
            "machine": self.machine,
            "price_scale": self.price_scale,
            "slowest": [one.row() for one in self.slow],
            "messages": [asdict(one) for one in self.moments],
        }

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        longest = microseconds(self.slow[0].moment.total_ns)
        return f"<Flight of {self.engine} on {self.feed}: {len(self.slow)} slow messages, the slowest {longest}>"


def microseconds(ns: float) -> str:
    """A time in words: "0.42 us", "1,204 us"."""
    return f"{ns / 1e3:,.2f} us" if ns < 100_000 else f"{ns / 1e3:,.0f} us"


def _total(capture: Capture) -> int:
    row = capture.stamps[capture.at - capture.first]
    return int(row[4] - row[0])


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    large = {name: pl.UInt64 for name in _UNSIGNED if name in rows[0]}
    gaps = {
        name: kind for name, kind in (("gap_ns", pl.Int64), ("usual_ns", pl.Float64), ("times", pl.Float64)) if name in rows[0]
    }
    return pl.DataFrame(rows, schema_overrides={**large, **gaps}, infer_schema_length=None)
