"""Do two engines compute the same? Everything is compared bit for bit; the answer is the first place where they part.

hftlab.verify("python", "rust", feed)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from hftlab.callable_module import make_callable
from hftlab.errors import FeedError, HftlabError
from hftlab.events import Events, describe
from hftlab.feeds.feed import Feed
from hftlab.replay import Engine, decode
from hftlab.run import Run

_HISTORY = 8


@dataclass(frozen=True)
class Divergence:
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

    def __str__(self) -> str:
        lines = [f"{self.what} differs" + (f" at message {self.index}: {self.event}" if self.index >= 0 else "")]
        for name in self.a:
            mark = "*" if _bits(self.a[name]) != _bits(self.b.get(name)) else " "
            lines.append(f"  {mark} {name:<16} {self.a[name]!r:>26} {self.b.get(name)!r:>26}")
        lines += [f"    before: {text}" for text in self.before]
        return "\n".join(lines)


@dataclass(frozen=True)
class Verdict:
    """What `verify` found. True in a condition if nothing differs."""

    a: str
    b: str
    feed: str
    messages: int
    divergence: Divergence | None = field(default=None)

    @property
    def same(self) -> bool:
        return self.divergence is None

    def __bool__(self) -> bool:
        return self.same

    def __str__(self) -> str:
        head = f"{self.a} and {self.b} on {self.feed}, {self.messages:,} messages: "
        return head + ("identical" if self.divergence is None else f"DIFFERENT\n{self.divergence}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = self.divergence
        return {
            "a": self.a,
            "b": self.b,
            "feed": self.feed,
            "messages": self.messages,
            "same": self.same,
            "divergence": None if found is None else {**vars(found), "a": _plain(found.a), "b": _plain(found.b)},
        }


def verify(a: str | Engine, b: str | Engine, feed: Feed) -> Verdict:
    """Run both engines over the feed and compare events, tops, the nine signals, faults, counts and order bytes.

    a, b   : names of backends, or engines (whose settings should differ in nothing but the engine)
    raises : HftlabError if the feed cannot be read, but only after what is good of it was found identical
    """
    first, second = _engine(a), _engine(b)
    run_a, error_a = _run(first, feed)
    run_b, error_b = _run(second, feed)
    found = (
        _compare_rows(run_a, run_b, feed, _events(first, feed), _events(second, feed))
        or _compare_totals(run_a, run_b)
        or _compare_errors(error_a, error_b)
    )
    verdict = Verdict(_label(first), _label(second), feed.name, run_a.messages, found)
    if found is None and error_a is not None:
        raise error_a
    return verdict


def _engine(engine: str | Engine) -> Engine:
    return Engine(engine) if isinstance(engine, str) else engine


def _label(engine: Engine) -> str:
    return " ".join([engine.backend, *(f"{axis}={value}" for axis, value in engine.variant.items())])


def _run(engine: Engine, feed: Feed) -> tuple[Run, HftlabError | None]:
    try:
        return engine.run(feed, record="all"), None
    except HftlabError as error:
        if error.run is None:
            raise
        return error.run, error


def _events(engine: Engine, feed: Feed) -> Events:
    try:
        return decode(feed, engine.backend)
    except FeedError as error:
        return cast(Events, error.events)


def _bits(value: Any) -> Any:
    return np.float64(value).tobytes() if isinstance(value, float) else value


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and value != value else value for name, value in row.items()}


def _first_difference(a: Any, b: Any) -> int | None:
    """Index of the first differing element of two columns, by their bits; None if there is none."""
    n = min(len(a), len(b))
    x, y = np.ascontiguousarray(a[:n]), np.ascontiguousarray(b[:n])
    if x.dtype == np.float64:
        x, y = x.view(np.uint64), y.view(np.uint64)
    wrong = np.flatnonzero(x != y)
    if wrong.size:
        return int(wrong[0])
    return None if len(a) == len(b) else n


def _compare_rows(run_a: Run, run_b: Run, feed: Feed, events_a: Events, events_b: Events) -> Divergence | None:
    """The earliest message at which an event field or a column differs."""
    places: list[tuple[int, int, str]] = []
    for name in events_a.dtype.names or ():
        if (at := _first_difference(events_a[name], events_b[name])) is not None:
            places.append((at, 0, f"event.{name}"))
    for name, column in run_a.columns.items():
        if (at := _first_difference(column, run_b.columns[name])) is not None:
            places.append((at, 1, name))
    if not places:
        return None
    at, stage, what = min(places)
    event = describe(events_a[at]) if at < len(events_a) else "(past the end)"
    if stage == 0:
        pair = [_event_row(events, at) for events in (events_a, events_b)]
    else:
        pair = [_row(run, at) for run in (run_a, run_b)]
    return Divergence(what, at, event, pair[0], pair[1], _history(events_a, at))


def _event_row(events: Events, at: int) -> dict[str, Any]:
    return dict(zip(events.dtype.names or (), events[at].tolist(), strict=True)) if at < len(events) else {}


def _row(run: Run, at: int) -> dict[str, Any]:
    return {name: column[at].item() for name, column in run.columns.items() if at < len(column)}


def _history(events: Events, at: int) -> tuple[str, ...]:
    if at >= len(events):
        return ()
    same = np.flatnonzero(events["instrument"][:at] == events["instrument"][at])[-_HISTORY:]
    return tuple(f"message {i}: {describe(events[i])}" for i in same)


def _compare_totals(a: Run, b: Run) -> Divergence | None:
    if not a.first_faults.equals(b.first_faults):
        return _total("first_faults", a.first_faults.to_dict(as_series=False), b.first_faults.to_dict(as_series=False))
    if not a.orders.equals(b.orders):
        return _total("orders", a.orders.to_dict(as_series=False), b.orders.to_dict(as_series=False))
    for name in ("messages", "counts", "unknown", "faults", "rejects", "order_stream"):
        if getattr(a, name) != getattr(b, name):
            return _total(name, getattr(a, name), getattr(b, name))
    return None


def _compare_errors(a: HftlabError | None, b: HftlabError | None) -> Divergence | None:
    return None if str(a) == str(b) else _total("error", str(a), str(b))


def _total(what: str, a: Any, b: Any) -> Divergence:
    return Divergence(what, -1, "", {what: a}, {what: b})


make_callable(__name__)
