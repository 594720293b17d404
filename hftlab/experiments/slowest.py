"""The slowest messages of a stamped run: what each was, which stage took its time, and what stood around it.

An engine keeps the stamps around its slowest messages (`Run.slowest`). A feed never changes, so what those messages were is read
from it again. Whether the time passed in a stage or between messages, where the engine does nothing, stands here in rows, in a
chart; trace.py writes them for the Perfetto UI.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import decode
from hftlab.engine.timing import Capture
from hftlab.errors import ConfigError, FeedError
from hftlab.events import Kind, Side
from hftlab.experiments.recorder import Cause, Evidence
from hftlab.feeds.feed import Feed, cut
from hftlab.feeds.itch import ItchFeed
from hftlab.measurement.distribution import stamped, whole_steps
from hftlab.measurement.machine import describe
from hftlab.presentation.document import Table, duration, rows_table
from hftlab.presentation.result import StoredResult
from hftlab.settings import STAGES

if TYPE_CHECKING:
    import polars as pl

BETWEEN = "between messages"
UNSIGNED = ("ts_ns", "order_id", "new_order_id")  # may be above 2^63
#: Columns that are stamped.
_STAMPED = ("total_ns", "usual_ns", "gap_ns")
#: Column of the table -> its head and unit.
_SHOWN = {
    **{name: (name, 1.0) for name in ("rank", "kind", "symbol", "where", "cause")},
    "index": ("message", 1.0),
    "total_ns": ("end to end, µs", 1e3),
    "usual_ns": ("usual, µs", 1e3),
    "times": ("times", 1.0),
    "gap_ns": ("gap before, µs", 1e3),
    "late_ns": ("begun late, µs", 1e3),
}


@dataclass(frozen=True)
class TracedMessage:
    """One message near a slow one. Times are ns; `start_ns` counts from the start of the run.

    window : captures that overlap or touch are one window; its number is the rank of the slowest in it
    rank   : of the nearest slow message, 1 the slowest; offset: messages from that one, below 0 before it
    price  : integer price units; the fields from ts_ns to qty are those of the event record, kind and side by name
    gap_ns : from the end of the message before to the start of this one; None for the first of a window
    """

    window: int
    rank: int
    index: int
    offset: int
    ts_ns: int
    kind: str
    side: str
    order_id: int
    new_order_id: int
    instrument: int
    symbol: str
    price: int
    qty: int
    start_ns: int
    tick_ns: int
    book_ns: int
    signal_ns: int
    order_ns: int
    total_ns: int
    gap_ns: int | None

    @property
    def stages_ns(self) -> tuple[int, int, int, int]:
        """What each stage took."""
        return (self.tick_ns, self.book_ns, self.signal_ns, self.order_ns)

    @property
    def name(self) -> str:
        """ "ADD BID AAPL": what it did and where."""
        where = self.symbol or (f"instrument {self.instrument}" if self.instrument else "")
        return " ".join(filter(None, (self.kind, self.side if self.side != Side.NONE.name else "", where)))


@dataclass(frozen=True)
class SlowMessage:
    """One slow message. Times are ns.

    stage    : the one that took most beyond its median over the neighbours; "" where only beginning and end were stamped
    stage_ns : what it took
    usual_ns : median total of the neighbours, those that are slow themselves left out; None if there is none
    waited   : whether the gap before the message is longer than the message itself: then the engine did nothing
    evidence : what was counted around it; None where nobody counted
    step_ns  : of the clock that stamped it; 0 where nobody knows
    """

    message: TracedMessage
    stage: str
    stage_ns: int
    usual_ns: float | None
    waited: bool
    evidence: Evidence | None = None
    step_ns: float = 0.0

    @classmethod
    def of(
        cls,
        message: TracedMessage,
        neighbours: Sequence[TracedMessage],
        *,
        each_stage: bool = True,
        evidence: Evidence | None = None,
        step_ns: float = 0.0,
    ) -> SlowMessage:
        """Compare one message with its neighbours; `each_stage` is false where only beginning and end were stamped."""
        usual = np.median([each.stages_ns for each in neighbours], axis=0) if neighbours else np.zeros(len(STAGES))
        place = int(np.argmax(np.array(message.stages_ns) - usual))
        stage, ns = (STAGES[place], message.stages_ns[place]) if each_stage else ("", message.total_ns)
        total = float(np.median([each.total_ns for each in neighbours])) if neighbours else None
        return cls(message, stage, ns, total, (message.gap_ns or 0) > message.total_ns, evidence, step_ns)

    @property
    def share(self) -> float:
        """Of the stage in the total, 0 to 1."""
        return self.stage_ns / self.message.total_ns if self.message.total_ns else 0.0

    @property
    def times(self) -> float | None:
        """The total as a multiple of `usual_ns`."""
        return self.message.total_ns / self.usual_ns if self.usual_ns else None

    @property
    def late_ns(self) -> int:
        """How long it waited for those before it, from when it was due; 0 in a replay."""
        return self.evidence.waited_ns if self.evidence else 0

    @property
    def excess_ns(self) -> float:
        """Beyond the usual, from when it was due."""
        return max(self.late_ns + self.message.total_ns - (self.usual_ns or 0.0), 0.0)

    @property
    def cause(self) -> Cause:
        """What explains it, "unknown" where nothing that was counted does."""
        return self.evidence.cause(self.excess_ns) if self.evidence else Cause.UNKNOWN

    @property
    def where(self) -> str:
        """The stage, or "between messages", for people."""
        return BETWEEN if self.waited else self.stage or "stages not stamped"

    def sentence(self) -> str:
        """What it was, how long it took, and where."""
        out = f"message {self.message.index:,} ({self.message.name}): {self._time(self.message.total_ns)}"
        if self.times:
            out += f", {self.times:,.1f}x the median of its neighbours"
        stage = f"{self.share:.0%} in {self.stage} ({self._time(self.stage_ns)})" if self.stage else "stages not stamped"
        gap = f"; {duration(self.message.gap_ns or 0)} between messages before it, where the engine does nothing"
        out += f"; begun {duration(self.late_ns)} after it was due" if self.late_ns > self.message.total_ns else ""
        cause = f"; cause: {self.cause}" if self.evidence else ""
        return f"{out}; {stage}" + (gap if self.waited else "") + cause

    def cells(self) -> dict[str, Any]:
        """The same for a table: what lies below one step of the clock is "< step"."""
        row, step = self.record(), self.step_ns
        low = {name: stamped(row[name], step, 1e3, 2) for name in _STAMPED if row[name] is not None and row[name] < step}
        return {**row, **low}

    def _time(self, ns: float) -> str:
        """A stamped duration, never finer than the step of the clock."""
        return duration(whole_steps(ns, self.step_ns) or ns) if ns >= self.step_ns else f"< {duration(self.step_ns)}"

    def record(self) -> dict[str, Any]:
        """A row of `SlowestMessages.slow_frame`."""
        fields = ("rank", "window", "index", "kind", "side", "order_id", "instrument", "symbol", "price", "qty", "ts_ns")
        message = {name: getattr(self.message, name) for name in (*fields, "start_ns", "total_ns", "gap_ns")}
        found = {name: getattr(self, name) for name in ("stage", "stage_ns", "share", "usual_ns", "times", "where")}
        found |= {"late_ns": self.late_ns, "cause": self.cause.value if self.evidence else ""}
        return {**message, **found, "sentence": self.sentence()}


@dataclass(frozen=True, repr=False)
class SlowestMessages(StoredResult):
    """The slowest messages of one run (`slow`, the slowest first) and all around them (`messages`, in the order of the feed)."""

    schema = "hftlab-slowest/3"
    feed: str
    engine: str
    machine: dict[str, Any]
    price_scale: int
    messages: tuple[TracedMessage, ...]
    slow: tuple[SlowMessage, ...]

    @classmethod
    def of(
        cls,
        captures: Sequence[Capture],
        feed: Feed,
        engine: str,
        machine: Mapping[str, Any],
        evidence: Mapping[int, Evidence] | None = None,
        step_ns: float = 0.0,
    ) -> SlowestMessages:
        """Read the messages around each slow one from the feed, in one pass over it that ends with the last of them.

        captures : `Run.slowest`; those that overlap are merged
        feed     : the one that ran
        engine   : its label; machine: `hftlab.measurement.machine.fingerprint()`
        evidence : what was counted around each slow message, by its number
        step_ns  : of the clock that stamped them, ns
        raises   : ConfigError for no captures, or captures of two runs; FeedError if the feed has no such message
        """
        if not captures:
            raise ConfigError("captures must be at least 1, got 0; a run with slowest=N keeps them")
        counted = evidence or {}
        ranked = sorted(captures, key=lambda each: (-_total(each) - counted.get(each.at, Evidence()).waited_ns, each.at))
        traced = trace_messages(ranked, feed)
        slow, by = {capture.at for capture in ranked}, {message.index: message for message in traced}
        each_stage = any((capture.stamps[:, 3] > capture.stamps[:, 0]).any() for capture in ranked)
        compared = []
        for capture in ranked:
            beside = set(range(capture.first, capture.first + len(capture.stamps))) - slow
            near = [by[index] for index in beside]
            known = counted.get(capture.at)
            compared.append(SlowMessage.of(by[capture.at], near, each_stage=bool(each_stage), evidence=known, step_ns=step_ns))
        return cls(feed.name, engine, dict(machine), feed.price_scale, traced, tuple(compared))

    def frame(self) -> pl.DataFrame:
        """One row per message, in the order of the feed; the columns are the fields of `TracedMessage`."""
        return _frame([asdict(message) for message in self.messages])

    def slow_frame(self) -> pl.DataFrame:
        """One row per slow message, the slowest first.

        rank, window, index, kind, side, order_id, instrument, symbol, price, qty, ts_ns, start_ns, total_ns, gap_ns, stage,
        stage_ns, share (of the stage, 0 to 1), usual_ns (median total of the neighbours), times, where, late_ns (from when it
        was due until it was begun; 0 in a replay), cause, sentence
        """
        return _frame([slow.record() for slow in self.slow])

    def plot(self, limit: int = 3, around: int = 5) -> Any:
        """The slowest messages, at most `limit`, with `around` neighbours a side, as an Altair chart."""
        import altair as alt

        from hftlab.charts import dot_chart

        panels = []
        for slow in self.slow[:limit]:
            near = [message for message in self.messages if abs(message.index - slow.message.index) <= around]
            dots = [
                {"label": _beside(message, slow.message), "group": part, "value": ns}
                for message in near
                for part, ns in ((BETWEEN, message.gap_ns or 0), *zip(STAGES, message.stages_ns, strict=True))
            ]
            panel = dot_chart(dots, "", "", "latency", ns=True)
            words = textwrap.wrap(f"{slow.message.rank}. {slow.sentence()}", 108)
            panels.append(panel.properties(title=alt.Title(words, fontSize=11, fontWeight="normal")))
        title = alt.Title("Messages around the slowest ones", subtitle=f"{self.engine} on {self.feed}")
        return alt.vconcat(*panels, spacing=14).properties(title=title)

    def headline(self) -> str:
        longest = duration(self.slow[0].late_ns + self.slow[0].message.total_ns)
        return f"{self.engine} on {self.feed}: {len(self.slow)} slow messages, the slowest {longest}"

    def tables(self) -> list[Table]:
        note = "Usual: the median of the messages around it. The clock is not subtracted."
        shown = _SHOWN if any(slow.late_ns for slow in self.slow) else {n: head for n, head in _SHOWN.items() if n != "late_ns"}
        rows = [slow.cells() for slow in self.slow]
        return [rows_table(f"The slowest messages of {self.engine}", rows, shown, words=5, note=note)]

    def notes(self) -> list[str]:
        return [*(f"{slow.message.rank}. {slow.sentence()}" for slow in self.slow), describe(self.machine)]


def _beside(message: TracedMessage, slow: TracedMessage) -> str:
    """What a message is, and how far from the slow one it stands."""
    offset = message.index - slow.index
    return f"{message.kind}  {offset:+d}".replace("-", "−") if offset else f"{message.kind}  slow"


def _total(capture: Capture) -> int:
    row = capture.stamps[capture.at - capture.first]
    return int(row[4] - row[0])


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    kinds = {**dict.fromkeys(UNSIGNED, pl.UInt64), "gap_ns": pl.Int64, "usual_ns": pl.Float64, "times": pl.Float64}
    known = {name: kind for name, kind in kinds.items() if name in rows[0]}
    return pl.DataFrame(rows, schema_overrides=known, infer_schema_length=None)


def trace_messages(ranked: Sequence[Capture], feed: Feed) -> tuple[TracedMessage, ...]:
    """Every message of the captures once, in the order of the feed.

    ranked : captures of one run, the slowest first
    raises : ConfigError for captures that cannot be of one run; FeedError if the feed has no such message
    """
    stamps = _merged(ranked)
    events, symbols = messages_at(feed, stamps), feed.symbols
    places, windows = np.array([capture.at for capture in ranked]), _windows(stamps, ranked)
    out: list[TracedMessage] = []
    for index, row in stamps.items():
        nearest = int(np.argmin(np.abs(places - index)))  # of two as near, the slower
        before = stamps.get(index - 1)
        tick, book, signal, order = (after - start for start, after in pairwise(row))
        gap = row[0] - before[4] if before else None
        where = (windows[index], nearest + 1, index, int(index - places[nearest]))
        values = (*where, *_named(events[index], symbols), row[0], tick, book, signal, order, row[4] - row[0], gap)
        out.append(TracedMessage(*values))
    return tuple(out)


def _named(event: Any, symbols: Sequence[str]) -> tuple[Any, ...]:
    """The fields of `TracedMessage` from ts_ns to qty."""
    ts_ns, order_id, new_order_id, price, qty, instrument, kind, side = event.item()
    kind_ = Kind(kind).name if kind <= max(Kind) else f"kind {kind}"
    side_ = Side(side).name if side <= max(Side) else f"side {side}"
    symbol = symbols[instrument] if instrument < len(symbols) else ""
    return ts_ns, kind_, side_, order_id, new_order_id, instrument, symbol, price, qty


def _merged(captures: Sequence[Capture]) -> dict[int, list[int]]:
    """The five stamps by message number, each message once, in order."""
    stamps: dict[int, list[int]] = {}
    for place, capture in enumerate(captures):
        if capture.at in (other.at for other in captures[:place]):
            raise ConfigError(f"captures must be of one run, got two of message {capture.at}")
        for index, row in enumerate(capture.stamps.tolist(), capture.first):
            if stamps.setdefault(index, row) != row:
                raise ConfigError(f"captures must be of one run, got two that disagree about message {index}")
    return dict(sorted(stamps.items()))


def _windows(indices: Mapping[int, Any], ranked: Sequence[Capture]) -> dict[int, int]:
    """The window of each message: a run of consecutive ones, numbered by the rank of the slowest in it."""
    runs: list[list[int]] = []
    for index in indices:
        if index - 1 not in indices:
            runs.append([])
        runs[-1].append(index)
    ranks = {capture.at: rank for rank, capture in enumerate(ranked, 1)}
    return {index: min(ranks[at] for at in run if at in ranks) for run in runs for index in run}


def messages_at(feed: Feed, indices: Iterable[int]) -> dict[int, Any]:
    """The event records of the given messages by number, in one pass over the feed that ends with the last of them.

    raises : FeedError if the feed has fewer messages, or breaks off before
    """
    wanted, pieces, count = sorted(indices), [], 0
    these = set(wanted)
    for count, piece in enumerate(islice(cut(feed, every=1), wanted[-1] + 1), 1):
        if count - 1 in these:
            pieces.append(piece)
    if len(pieces) < len(wanted):
        raise FeedError(f"{feed.name}: has {count:,} messages; a capture names message {wanted[-1]:,}", index=wanted[-1])
    events = np.concatenate(pieces) if feed.wire == "events" else decode(ItchFeed(b"".join(pieces)), "python")
    return dict(zip(wanted, events, strict=True))
