"""Real feeds as proof of the simulator: the exchange as oracle, and orders that are left out and put back.

oracle         The exchange says which order each execution hit, and so does first in, first out. How often do they agree? An
               execution is taken as flow at a side and price; the prediction is the first order of that queue with shares left.
               Fills of one exchange event that are reported before their cancels are taken off as they come. An exception is
               classified by what the same exchange event does to the orders that were passed over.
leave_one_out  A real displayed order is taken out of the feed and put back as an order of ours, without any latency: it must get
               the same again, share for share and at the same times. Taken out means: its ADD, CANCEL and DELETE are not in the
               feed any more, and who executed it hits instead an order that comes to the back of the queue and is gone at once,
               so that the flow stays and the place is free.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hftlab.engine.engine import decode
from hftlab.events import EVENT_DTYPE, Events, Kind, Side
from hftlab.feeds.feed import EventFeed, Feed
from hftlab.fills.requests import Action, Reason, Requests, TimeInForce, requests
from hftlab.fills.simulation import exchange_events, require_orders, resolved, simulate
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import StoredResult
from hftlab.stages.book import Book
from hftlab.stages.tick import Event

#: Class of an exception -> what it means.
CLASSES = {
    "self_match": "those passed over were canceled in the same event without a fill: self-match prevention",
    "refreshed": "those passed over were filled later in the same event: icebergs, whose hidden part has no place",
    "self_match_and_refreshed": "some of those passed over were the one, some the other",
    "relisted": "the order hit is older than those passed over: it was there before the feed listed it",
    "stayed": "those passed over stayed as they were: a rule of the venue that its public feed does not show",
}


@dataclass(frozen=True, repr=False)
class OracleResult(StoredResult):
    """Executions of one feed against the queue.

    executions : of resting orders that the book knows, at their own price
    front      : hit the order predicted
    best       : were at the best price of their side
    exceptions : by class, see CLASSES
    examples   : (message number, order hit, orders passed over) of the first of each class
    """

    schema = "hftlab-oracle/1"
    feed: str
    executions: int
    front: int
    best: int
    exceptions: dict[str, int]
    examples: dict[str, tuple[int, int, tuple[int, ...]]]

    def headline(self) -> str:
        return f"the exchange as oracle: {self.front:,} of {self.executions:,} executions of {self.feed} hit the order predicted"

    def records(self) -> list[dict[str, Any]]:
        """One per class: class, executions, meaning."""
        rows = [{"class": "front", "executions": self.front, "meaning": "the order predicted"}]
        return rows + [{"class": name, "executions": n, "meaning": CLASSES[name]} for name, n in self.exceptions.items()]

    def tables(self) -> list[Table]:
        rows = [(row["class"], row["meaning"], f"{row['executions']:,}") for row in self.records()]
        return [table("Which order was hit", ("class", "what it means", "executions"), rows, words=2)]

    def notes(self) -> list[str]:
        return [f"{self.best:,} of {self.executions:,} at the best price of their side"]


class _Oracle:
    """Runs a feed and compares, one exchange event at a time."""

    def __init__(self, book: Callable[[], Book]) -> None:
        self.book = book()
        self.pending: Counter[int] = Counter()  # reported as filled in this event, not yet taken out of the book
        self.canceled: set[int] = set()
        self.hit: set[int] = set()
        self.passed: list[tuple[int, int, tuple[int, ...]]] = []
        self.executions = self.front = self.best = 0
        self.exceptions: Counter[str] = Counter()
        self.examples: dict[str, tuple[int, int, tuple[int, ...]]] = {}

    def apply(self, index: int, event: Event) -> None:
        """One message."""
        _, order_id, new_order_id, price, qty, instrument, kind, side = event
        place = self.book.locate(order_id) if order_id else None
        if kind == Kind.TRADE and place and (place[0], place[2]) == (instrument, price):
            self._compare(index, order_id, place)
            self.pending[order_id] += qty
        elif kind == Kind.EXECUTE and place and place[0] == instrument and 0 < qty <= place[3]:
            self._compare(index, order_id, place)
        elif kind in (Kind.CANCEL, Kind.DELETE) and place:
            left = self.pending[order_id]
            self.pending[order_id] = max(0, left - (qty if kind == Kind.CANCEL else place[3]))
            if not left:
                self.canceled.add(order_id)
        elif kind == Kind.REPLACE:
            self.pending.pop(order_id, None)
        self.book.apply(kind, instrument, side, order_id, new_order_id, price, qty)

    def _compare(self, index: int, order_id: int, place: tuple[int, int, int, int]) -> None:
        instrument, side, price, _ = place
        self.hit.add(order_id)
        self.executions += 1
        self.best += self._is_best(instrument, side, price)
        over: list[int] = []
        for other, left in self.book.queue(instrument, side, price):
            if other == order_id:
                break
            if left > self.pending[other]:
                over.append(other)
        if over:
            self.passed.append((index, order_id, tuple(over)))
        else:
            self.front += 1

    def _is_best(self, instrument: int, side: int, price: int) -> bool:
        """Whether everybody at a better price has been filled in this event."""
        for half_side, level, qty, _ in self.book.depth(instrument):
            if half_side == side and level != price:
                better = level > price if side == Side.BID else level < price
                if better and qty > sum(self.pending[order] for order, _ in self.book.queue(instrument, side, level)):
                    return False
            elif half_side == side:
                return True
        return True

    def settle(self) -> None:
        """The end of an exchange event: why was somebody passed over?"""
        for index, order_id, over in self.passed:
            name = self._class(order_id, over)
            self.exceptions[name] += 1
            self.examples.setdefault(name, (index, order_id, over))
        for state in (self.passed, self.pending, self.canceled, self.hit):
            state.clear()

    def _class(self, order_id: int, over: tuple[int, ...]) -> str:
        canceled = [order in self.canceled and order not in self.hit for order in over]
        if all(canceled):
            return "self_match"
        if self.hit.issuperset(over):
            return "refreshed"
        if all(gone or order in self.hit for gone, order in zip(canceled, over, strict=True)):
            return "self_match_and_refreshed"
        return "relisted" if order_id < min(over) else "stayed"


def oracle(feed: Feed, *, book: Callable[[], Book] = Book) -> OracleResult:
    """Compare every execution of a feed with the order that first in, first out predicts.

    book   : makes the book that is asked; a wrong one is found out
    raises : HftlabError for data without orders (L2)
    """
    require_orders(feed)
    events = decode(feed)
    ends = exchange_events(feed, len(events))
    asked = _Oracle(book)
    for index, event in enumerate(events.tolist()):
        asked.apply(index, event)
        if ends is None or ends[index]:
            asked.settle()
    asked.settle()
    counts = (asked.executions, asked.front, asked.best)
    return OracleResult(feed.name, *counts, exceptions=dict(asked.exceptions), examples=asked.examples)


#: Of the order that is hit in place of the one left out; no exchange gives it.
_STAND_IN = 2**64 - 1
_CHANGES = (Kind.ADD, Kind.EXECUTE, Kind.CANCEL, Kind.DELETE, Kind.REPLACE)


@dataclass(frozen=True, repr=False)
class LeaveOneOut(StoredResult):
    """Orders left out of one feed and put back.

    tested    : orders that allow it
    equal     : of those, with the same fills
    executed  : of those, how many were executed at all; fills: their executions
    excluded  : orders that do not allow it, by why
    different : (order, fills it really had, fills of ours) of the first that differ; a fill is (ts_ns, price, qty)
    """

    schema = "hftlab-leave-one-out/1"
    feed: str
    backend: str
    tested: int
    equal: int
    executed: int
    fills: int
    excluded: dict[str, int]
    different: tuple[tuple[int, list[list[int]], list[list[int]]], ...]

    def headline(self) -> str:
        return f"leave one out: {self.equal:,} of {self.tested:,} orders of {self.feed} get their own fills again"

    def records(self) -> list[dict[str, Any]]:
        """One row: tested, equal, executed, fills."""
        return [{name: getattr(self, name) for name in ("feed", "backend", "tested", "equal", "executed", "fills")}]

    def tables(self) -> list[Table]:
        row = (self.feed, self.backend, *(f"{n:,}" for n in (self.tested, self.equal, self.executed, self.fills)))
        heads = ("feed", "simulator", "orders left out", "equal fills", "of them executed", "executions")
        return [table("Leave one out", heads, [row], words=2)]

    def notes(self) -> list[str]:
        return [f"not tested: {n:,} orders, {why}" for why, n in self.excluded.items()]


def leave_one_out(feed: Feed, *, orders: int | None = None, seed: int = 1, backend: str = "auto") -> LeaveOneOut:
    """Take orders out of a feed, one at a time, put each back as ours at the same message, and compare the fills.

    orders  : how many, drawn at random, first those that were executed; None: every one that allows it
    seed    : of the draw
    backend : "auto", "python" or "rust"
    """
    events = decode(feed)
    lives, excluded = _lives(events)
    drawn = random.Random(seed).sample([*lives], len(lives))
    hit = set(events["order_id"][events["kind"] == Kind.EXECUTE].tolist())
    chosen = sorted(drawn, key=lambda each: each not in hit)[:orders]
    different: list[tuple[int, list[list[int]], list[list[int]]]] = []
    executed = count = 0
    for order_id in chosen:
        own = events["instrument"] == events["instrument"][lives[order_id].places[0]]
        places = (np.cumsum(own) - 1)[lives[order_id].places].tolist()
        without, sent, real = _take_out(events[own], order_id, replace(lives[order_id], places=places))
        run = simulate(EventFeed(without, symbols=feed.symbols, price_scale=feed.price_scale), sent, backend=backend)
        ours = run.fills[run.fills["reason"] == Reason.QUEUE][["ts_ns", "price", "qty"]].tolist()
        executed, count = executed + bool(real), count + len(real)
        if ours != real or len(run.fills) != len(real):
            different.append((order_id, [list(fill) for fill in real], [list(fill) for fill in ours]))
    return LeaveOneOut(
        feed=feed.name,
        backend=resolved(backend),
        tested=len(chosen),
        equal=len(chosen) - len(different),
        executed=executed,
        fills=count,
        excluded=dict(excluded),
        different=tuple(different[:10]),
    )


@dataclass
class _Life:
    """An order from its ADD, or the REPLACE that brings it, to its end: the messages about it."""

    side: int
    price: int
    places: list[int]


def _lives(events: Events) -> tuple[dict[int, _Life], Counter[str]]:
    """Each order that may be left out, by id; and why others may not."""
    lives: dict[int, _Life] = {}
    wrong: dict[int, str] = {}
    book = Book()
    for at, row in enumerate(events.tolist()):
        _, order_id, new, price, qty, instrument, kind, side = row
        acted = book.apply(kind, instrument, side, order_id, new, price, qty)
        if kind == Kind.CLEAR and acted > 0:
            wrong |= {each: "lost in a CLEAR" for each in lives if each not in book.orders}
        if kind not in _CHANGES:
            continue
        if acted <= 0:
            wrong[order_id] = "refused by the book"
        if kind == Kind.ADD:
            if order_id in lives:
                wrong[order_id] = "its id is used twice"
            lives.setdefault(order_id, _Life(side, price, [])).places.append(at)
        elif order_id in lives:
            lives[order_id].places.append(at)
        if kind == Kind.REPLACE and new == order_id:
            wrong[order_id] = "replaced under its own id"
        elif kind == Kind.REPLACE:
            lives[new] = _Life(acted, price, [at])
    return {each: life for each, life in lives.items() if each not in wrong}, Counter(wrong.values())


def _take_out(events: Events, order_id: int, life: _Life) -> tuple[Events, Requests, list[tuple[int, int, int]]]:
    """The feed without an order, what it sends as one of ours, and the fills (ts_ns, price, qty) that it really had."""
    parts: list[Any] = []
    sent: list[dict[str, Any]] = []
    real: list[tuple[int, int, int]] = []
    side, price = life.side, life.price
    own = {"world": 0, "order_id": order_id, "instrument": int(events["instrument"][0])}
    start = count = 0
    for at in life.places:
        parts.append(events[start:at])
        count += at - start
        start = at + 1
        ts_ns, named, new, moved, qty, instrument, kind, _ = events[at].item()
        now = {**own, "after": count - 1, "time_ns": ts_ns}
        if kind == Kind.ADD or new == order_id:
            sent.append({**now, "side": side, "price": price, "qty": qty, "tif": TimeInForce.REST})
            stays = [(ts_ns, named, 0, 0, 0, instrument, Kind.DELETE, 0)] if new == order_id else []
        elif kind == Kind.EXECUTE:
            real.append((ts_ns, price, qty))
            stays = [
                (ts_ns, _STAND_IN, 0, price, qty, instrument, Kind.ADD, side),
                (ts_ns, _STAND_IN, 0, 0, qty, instrument, Kind.EXECUTE, 0),
            ]
        else:
            sent.append({**now, "action": Action.CANCEL, "qty": qty if kind == Kind.CANCEL else 0})
            stays = [(ts_ns, new, 0, moved, qty, instrument, Kind.ADD, side)] if kind == Kind.REPLACE else []
        parts.append(np.array(stays, EVENT_DTYPE))
        count += len(stays)
    return np.concatenate([*parts, events[start:]]), requests(sent), real
