"""Run two engines over one feed: are they the same, bit for bit, and if not, where do they part first?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from hftlab.engine.engine import Engine, decode
from hftlab.engine.recording import columns
from hftlab.engine.resolve import as_engine
from hftlab.engine.run import Run
from hftlab.errors import FeedError, HftlabError
from hftlab.events import Events, describe
from hftlab.feeds.feed import Feed
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import Result

_HISTORY = 8


@dataclass(frozen=True)
class Divergence(Result):
    """The first difference between two engines.

    what   : the field that differs: "event.qty", "imbalance", "faults", "order_stream", ...
    index  : message number, -1 where the difference belongs to no single message
    event  : the message, decoded
    a, b   : the state of each engine after it (the row of Run.frame), or the two values
    before : the latest messages on the same instrument before it, oldest first
    """

    what: str
    index: int
    event: str
    a: dict[str, Any]
    b: dict[str, Any]
    before: tuple[str, ...] = ()

    def headline(self) -> str:
        return f"{self.what} differs" + (f" at message {self.index}: {self.event}" if self.index >= 0 else "")

    def tables(self) -> list[Table]:
        pairs = [(name, self.a[name], self.b.get(name)) for name in self.a]
        rows = [(name, repr(a), repr(b), "" if _bits(a) == _bits(b) else "*") for name, a, b in pairs]
        return [table("After that message, * where they differ", ("field", "a", "b", ""), rows, words=4)]

    def notes(self) -> list[str]:
        return [f"before: {text}" for text in self.before]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "a": _plain(self.a), "b": _plain(self.b)}


@dataclass(frozen=True)
class Verdict(Result):
    """Whether two engines are the same on a feed. True in a condition if nothing differs.

    a, b       : their labels
    divergence : the first difference, None if there is none
    """

    a: str
    b: str
    feed: str
    messages: int
    divergence: Divergence | None = None

    def __bool__(self) -> bool:
        return self.divergence is None

    def headline(self) -> str:
        verdict = f"DIFFERENT, {self.divergence.headline()}" if self.divergence else "identical"
        return f"{self.a} and {self.b} on {self.feed}, {self.messages:,} messages: {verdict}"

    def tables(self) -> list[Table]:
        return self.divergence.tables() if self.divergence else []

    def notes(self) -> list[str]:
        return self.divergence.notes() if self.divergence else []

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "same": bool(self), "divergence": self.divergence and self.divergence.to_dict()}


def verify(a: Any, b: Any, feed: Feed) -> Verdict:
    """Run both engines over the feed and compare events, tops, the nine signals, faults, counts and order bytes.

    a, b   : names of backends, engines (whose settings should differ in nothing but the engine), or whatever else
             `hftlab.as_engine` makes an engine of
    raises : HftlabError if the feed cannot be read, but only after what is good of it was found identical
    """
    verdict, error = compare(as_engine(a), as_engine(b), feed)
    if verdict and error is not None:
        raise error
    return verdict


def compare(a: Engine, b: Engine, feed: Feed) -> tuple[Verdict, HftlabError | None]:
    """The verdict, and the error with which the first engine stopped, if it did."""
    run_a, error_a = _run(a, feed)
    run_b, error_b = _run(b, feed)
    difference = _first_row(run_a, run_b, _events(a, feed), _events(b, feed))
    ours, theirs = _totals(run_a, error_a), _totals(run_b, error_b)
    for name in ours:
        if not difference and ours[name] != theirs[name]:
            difference = Divergence(name, -1, "", {name: ours[name]}, {name: theirs[name]})
    return Verdict(a.label, b.label, feed.name, run_a.messages, difference), error_a


def _run(engine: Engine, feed: Feed) -> tuple[Run, HftlabError | None]:
    try:
        return engine.run(feed, record="all"), None
    except HftlabError as error:
        if error.run is None:
            raise
        return error.run, error


def _events(engine: Engine, feed: Feed) -> Events:
    try:
        return decode(feed, engine)
    except FeedError as error:
        return cast(Events, error.events)


def _bits(value: Any) -> Any:
    return np.float64(value).tobytes() if isinstance(value, float) else value


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has neither NaN nor bytes."""
    return {name: None if value != value else value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def first_difference(a: Any, b: Any) -> int | None:
    """Index of the first differing element of two columns, by their bits; None if there is none."""
    n = min(len(a), len(b))
    x, y = np.ascontiguousarray(a[:n]), np.ascontiguousarray(b[:n])
    if x.dtype == np.float64:
        x, y = x.view(np.uint64), y.view(np.uint64)
    wrong = np.flatnonzero(x != y)
    if wrong.size:
        return int(wrong[0])
    return None if len(a) == len(b) else n


def _first_row(run_a: Run, run_b: Run, events_a: Events, events_b: Events) -> Divergence | None:
    """The earliest message at which an event field or a column differs."""
    places: list[tuple[int, int, str]] = []
    for name in events_a.dtype.names or ():
        if (at := first_difference(events_a[name], events_b[name])) is not None:
            places.append((at, 0, f"event.{name}"))
    for name, column in run_a.columns.items():
        if (at := first_difference(column, run_b.columns[name])) is not None:
            places.append((at, 1, name))
    if not places:
        return None
    at, stage, what = min(places)
    event = describe(events_a[at]) if at < len(events_a) else "(past the end)"
    both = (columns(events_a), columns(events_b)) if stage == 0 else (run_a.columns, run_b.columns)
    a, b = ({name: column[at].item() for name, column in named.items() if at < len(column)} for named in both)
    return Divergence(what, at, event, a, b, _history(events_a, at))


def _history(events: Events, at: int) -> tuple[str, ...]:
    if at >= len(events):
        return ()
    same = np.flatnonzero(events["instrument"][:at] == events["instrument"][at])[-_HISTORY:]
    return tuple(f"message {i}: {describe(events[i])}" for i in same)


def _totals(run: Run, error: HftlabError | None) -> dict[str, Any]:
    """What belongs to no single message: faults with their records, orders, counts, order bytes, and why the run stopped."""
    frames = {name: getattr(run, name).to_dict(as_series=False) for name in ("first_faults", "orders")}
    plain = {name: getattr(run, name) for name in ("messages", "counts", "unknown", "faults", "rejects", "order_stream")}
    return {**frames, **plain, "error": str(error)}
