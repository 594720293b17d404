"""Leave one out: a real displayed order is taken out of the feed and put back as an order of ours, without any latency.

What it really got is known: it must get the same again, share for share and at the same times. Taken out means: its ADD, CANCEL
and DELETE are not in the feed any more, and who executed it hits instead an order that comes to the back of the queue and is gone
at once, so that the flow stays and the place is free.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hftlab.engine.engine import decode
from hftlab.events import EVENT_DTYPE, Events, Kind
from hftlab.feeds.feed import EventFeed, Feed
from hftlab.fills.requests import Action, Reason, Requests, TimeInForce, requests
from hftlab.fills.simulation import resolved, simulate
from hftlab.measurement.storage import StoredResult
from hftlab.presentation.document import Table, table
from hftlab.stages.book import Book

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
