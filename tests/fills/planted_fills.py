"""Simulators with a bug each, and the named check that must catch it."""

from collections.abc import Callable
from typing import Any

import hftlab
from hftlab.events import Kind
from hftlab.feeds.feed import Feed
from hftlab.fills.accounts import Account
from hftlab.fills.requests import Reason, Requests
from hftlab.fills.simulation import Fills, exchange_events, schedule
from hftlab.fills.simulator import Key, Shadow, Simulator
from hftlab.stages.book import Book, HalfBook, Level


def by(simulator: type[Simulator]) -> Callable[[Feed, Requests], Fills]:
    """`simulate` with a simulator of another class."""

    def simulate(feed: Feed, sent: Requests) -> Fills:
        events = hftlab.decode(feed)
        ends = exchange_events(feed, len(events))
        at, rows = schedule(events, ends, sent)
        run = simulator()
        run.run(events.tolist(), None if ends is None else ends.tolist(), zip(at.tolist(), rows.tolist(), strict=True))
        fills, orders = run.finish()
        return Fills(feed.name, "planted", fills, orders, len(events), 0, feed.price_scale)

    return simulate


class GrowthKeepsPlace(Simulator):
    def _leave(self, key: Key, kind: int, order_id: int, left: int, ts_ns: int) -> None:
        place = self.book.locate(order_id)
        if kind != Kind.REPLACE or place is None or place[:3] != key:
            super()._leave(key, kind, order_id, left, ts_ns)


class ShrinkLosesPlace(Simulator):
    def _leave(self, key: Key, kind: int, order_id: int, left: int, ts_ns: int) -> None:
        super()._leave(key, Kind.DELETE if kind == Kind.CANCEL else kind, order_id, left, ts_ns)


class CancelPutsAtTheFront(Simulator):
    def _leave(self, key: Key, kind: int, order_id: int, left: int, ts_ns: int) -> None:
        if kind in (Kind.CANCEL, Kind.DELETE):
            for shadow in self._queue(key):
                shadow.ahead.clear()
        super()._leave(key, kind, order_id, left, ts_ns)


class PartialFillsDropped(Simulator):
    def _fill(self, shadow: Shadow, qty: int, price: int, maker: int, reason: Reason, index: int, ts_ns: int) -> None:
        if qty == shadow.left:
            super()._fill(shadow, qty, price, maker, reason, index, ts_ns)


class SnapshotResetsPlace(Simulator):
    def _clear(self, instrument: int) -> None:
        super()._clear(instrument)
        self._cleared.clear()


class SharesTwice(Simulator):
    def _take(self, world: int, order_id: int, qty: int) -> None:
        pass


class FeesTwice(Account):
    def book(self, instrument: int, side: int, price: int, qty: int, reason: int) -> None:
        super().book(instrument, side, price, qty, reason)
        self.fees += self.fees


def _ours(feed: Feed, sent: Requests) -> Fills:
    return by(Simulator)(feed, sent)


#: (arguments of run_checks, the check that must fail)
BUGS: list[tuple[dict[str, Any], str]] = [
    ({"simulate": by(GrowthKeepsPlace)}, "growth_loses_place"),
    ({"simulate": by(ShrinkLosesPlace)}, "shrink_keeps_place"),
    ({"simulate": by(CancelPutsAtTheFront)}, "cancel_of_a_stranger"),
    ({"simulate": by(PartialFillsDropped)}, "partial_fills"),
    ({"simulate": by(SnapshotResetsPlace)}, "snapshot_keeps_place"),
    ({"simulate": by(SharesTwice)}, "take_each_share_once"),
    ({"simulate": _ours, "account": FeesTwice}, "fees_once"),
]


class GrowthKeepsPlaceBook(Book):
    """An order that is replaced at its own price keeps its place."""

    def _remove(self, level: Level, order_id: int) -> None:
        self.left_behind = (level, order_id, list(level.queue))
        super()._remove(level, order_id)

    def _insert(self, half: HalfBook, order_id: int, price: int, qty: int) -> None:
        super()._insert(half, order_id, price, qty)
        level, gone, order = getattr(self, "left_behind", (None, 0, []))
        queue = self.orders[order_id].queue
        if level is self.orders[order_id] and gone == order_id:
            self.orders[order_id].queue = {each: queue[each] for each in [*order, *queue] if each in queue}
        self.left_behind = (None, 0, [])


class ShrinkLosesPlaceBook(Book):
    """An order that shrinks goes to the back."""

    def apply(self, kind: int, *event: int) -> int:
        applied = super().apply(kind, *event)
        level = self.orders.get(event[2])
        if kind == Kind.CANCEL and applied > 0 and level is not None:
            level.queue[event[2]] = level.queue.pop(event[2])
        return applied
