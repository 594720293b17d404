"""The first place where two runs part. Everything is compared bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hftlab.engine.recording import columns
from hftlab.engine.run import Run
from hftlab.errors import HftlabError
from hftlab.events import Events, describe
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


def compare_rows(run_a: Run, run_b: Run, events_a: Events, events_b: Events) -> Divergence | None:
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


def compare_totals(a: Run, b: Run) -> Divergence | None:
    """What belongs to no single message: faults with their records, orders, counts, order bytes."""
    for name in ("first_faults", "orders"):
        if not getattr(a, name).equals(getattr(b, name)):
            return total(name, *(getattr(run, name).to_dict(as_series=False) for run in (a, b)))
    for name in ("messages", "counts", "unknown", "faults", "rejects", "order_stream"):
        if getattr(a, name) != getattr(b, name):
            return total(name, getattr(a, name), getattr(b, name))
    return None


def compare_errors(a: HftlabError | None, b: HftlabError | None) -> Divergence | None:
    """The sentence with which each stopped, if it did."""
    return None if str(a) == str(b) else total("error", str(a), str(b))


def total(what: str, a: Any, b: Any) -> Divergence:
    """A difference that belongs to no single message."""
    return Divergence(what, -1, "", {what: a}, {what: b})
