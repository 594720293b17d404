"""THE REFERENCE of fills, in Python: for each message -> requests that are due, fills, book, places in the queue, the other side.

Never the other way round: an execution is asked whom it would have hit before it changes the book. The feed is not changed by
anything here: our orders take nothing away from it, and it does not react to them.

With price levels alone (L2) where in the queue we are is not known, and a model guesses it; every result says which. Who is ahead
is one number: at first the whole level. A trade at our price takes from it, and what it leaves fills ours. What else the level
loses was canceled, and the models differ in where:

    trades         behind us: only trades advance us (the cautious one; "risk adverse" elsewhere)
    proportional   anywhere alike: of what goes, the share that was ahead of us was ahead
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from hftlab.errors import check_choice
from hftlab.events import Kind, Side
from hftlab.fills.requests import FILL_DTYPE, OUTCOME_DTYPE, Action, Reason, State, TimeInForce
from hftlab.stages.book import Book
from hftlab.stages.tick import Event

Key = tuple[int, int, int]  # instrument, side, price


class Shadow:
    """A resting order that the feed does not know of. It joins the queue of its price without changing it.

    ahead   : order id -> shares left, of everybody who was at the price before it and still is
    awaited : those of them that a CLEAR took away; a snapshot may bring them back, with their place
    """

    __slots__ = (
        *("world", "order_id", "instrument", "side", "price", "qty", "left", "ahead", "awaited", "arrived_ns", "ended_ns"),
        *("front_ns", "ahead_orders", "ahead_qty", "filled", "through", "canceled", "expired", "state"),
    )

    def __init__(self, world: int, order_id: int, key: Key, qty: int, arrived_ns: int) -> None:
        self.world, self.order_id, self.qty, self.left = world, order_id, qty, qty
        self.instrument, self.side, self.price = key
        self.ahead: dict[int, int] = {}
        self.awaited: set[int] = set()
        self.arrived_ns = self.ended_ns = arrived_ns
        self.front_ns = -1
        self.ahead_orders = self.ahead_qty = 0
        self.filled = self.through = self.canceled = self.expired = 0
        self.state = State.LIVE

    @property
    def key(self) -> Key:
        """Where it rests."""
        return self.instrument, self.side, self.price

    def join(self, queue: list[tuple[int, int]], awaited: set[int]) -> None:
        """Stand behind everybody who is really there, and whom a snapshot is still to bring back."""
        self.ahead, self.awaited = dict(queue), awaited
        self.ahead_orders, self.ahead_qty = len(queue), sum(self.ahead.values())
        if not queue and not awaited:
            self.front_ns = self.arrived_ns

    def shrink(self, order_id: int, left: int, ts_ns: int) -> None:
        """An order at its price has `left` shares left; with none it has gone, and everybody behind it moves up."""
        if order_id not in self.ahead:
            return
        if left:
            self.ahead[order_id] = left
            return
        del self.ahead[order_id]
        if not self.ahead:
            self.reach_front(ts_ns)

    def reach_front(self, ts_ns: int) -> None:
        """Nobody is ahead of it any more."""
        if self.front_ns < 0:
            self.front_ns = ts_ns

    def clear(self) -> None:
        """The feed starts its book anew: an order that comes back at this price keeps the place before us."""
        self.awaited = self.awaited | self.ahead.keys()
        self.ahead = {}

    def restore(self, order_id: int, qty: int) -> None:
        """A snapshot brings an order back."""
        if order_id in self.awaited:
            self.awaited.discard(order_id)
            self.ahead[order_id] = qty

    def end(self, state: State, ts_ns: int) -> None:
        """It is over; what is left counts under what ended it."""
        self.state, self.ended_ns = state, ts_ns
        if state is not State.FILLED:
            name = state.name.lower()
            setattr(self, name, getattr(self, name) + self.left)
        self.left = 0


#: index, ts_ns, order_id, maker, price, qty, world, instrument, side, reason: FILL_DTYPE
Fill = tuple[int, int, int, int, int, int, int, int, int, int]
#: time_ns, after, order_id, new_order_id, price, qty, world, instrument, action, side, tif: REQUEST_DTYPE
Request = tuple[int, int, int, int, int, int, int, int, int, int, int]

_ADD, _EXECUTE, _CANCEL = int(Kind.ADD), int(Kind.EXECUTE), int(Kind.CANCEL)
_DELETE, _REPLACE, _TRADE, _CLEAR = int(Kind.DELETE), int(Kind.REPLACE), int(Kind.TRADE), int(Kind.CLEAR)
_BID, _ASK = int(Side.BID), int(Side.ASK)


class Simulator:
    """Shadow orders in the book of a feed.

    book  : makes the book they stand in
    index : messages run so far
    fills : in the order in which they happened
    """

    def __init__(self, book: Callable[[], Book] = Book) -> None:
        self.book = book()
        self.index = 0
        self.now_ns = 0
        self.fills: list[Fill] = []
        self._shadows: dict[tuple[int, int], Shadow] = {}  # every order of ours, by world and id, in the order of arrival
        # Those that rest: (instrument, side) -> price -> in the order of arrival.
        self._resting: dict[tuple[int, int], dict[int, list[Shadow]]] = {}
        self._taken: dict[int, dict[int, int]] = {}  # order of the feed -> world -> shares that it has taken of it
        self._cleared: dict[int, dict[int, tuple[int, int]]] = {}  # instrument -> orders lost in a CLEAR -> side, price
        self._touched: dict[int, None] = {}  # instruments that changed in this exchange event

    def run(self, events: Iterable[Event], ends: Sequence[bool] | None, requests: Iterable[tuple[int, Request]]) -> None:
        """Run messages, each request before the message of its number.

        ends     : by message, whether it is the last of an exchange event; None: each is
        requests : (number of the message it precedes, request), ascending
        """
        due = iter(requests)
        at, request = next(due, (-1, None))
        for number, event in enumerate(events):
            while request is not None and at <= self.index:
                self.request(request)
                at, request = next(due, (-1, None))
            self.apply(event)
            if ends is None or ends[number]:
                self.settle()
        while request is not None:
            self.request(request)
            at, request = next(due, (-1, None))

    # what the feed does

    def apply(self, event: Event) -> int:
        """Run one message; returns the book's answer (see Book.apply). One that the book refuses fills nobody."""
        ts_ns, order_id, new_order_id, price, qty, instrument, kind, side = event
        self.now_ns = max(self.now_ns, ts_ns)
        place = self.book.locate(order_id) if kind in (_EXECUTE, _CANCEL, _DELETE, _REPLACE, _TRADE) else None
        if kind == _CLEAR:
            self._clear(instrument)
        applied = self.book.apply(kind, instrument, side, order_id, new_order_id, price, qty)
        # A TRADE that names an order resting at its price is a fill of it, reported before its effect on the book.
        reported = kind == _TRADE and place is not None and (place[0], place[2]) == (instrument, price)
        if place is not None and (reported or (kind == _EXECUTE and applied > 0)):
            self._execute(place[:3], order_id, qty, ts_ns)
        if applied > 0:
            self._touched[instrument] = None
            if place is not None:
                self._leave(place[:3], kind, order_id, place[3] - qty, ts_ns)
            if kind == _ADD:
                self._add((instrument, side, price), order_id, qty)
            elif kind == _REPLACE:
                self._taken.pop(new_order_id, None)
        self.index += 1
        return applied

    def _execute(self, key: Key, maker: int, qty: int, ts_ns: int) -> None:
        """Shares of an order were executed. Those of ours that it was not ahead of would have been hit first."""
        flow: dict[int, int] = {}  # what is left of it, by world: no share fills two orders of ours
        for shadow in self._queue(key):
            if maker in shadow.ahead:
                continue
            share = min(shadow.left, flow.get(shadow.world, qty))
            flow[shadow.world] = flow.get(shadow.world, qty) - share
            if share:
                shadow.reach_front(ts_ns)
                self._fill(shadow, share, key[2], maker, Reason.QUEUE, self.index, ts_ns)

    def _leave(self, key: Key, kind: int, order_id: int, left: int, ts_ns: int) -> None:
        """An order at a price has shrunk or gone. One that is replaced goes, even if it comes back under the same id."""
        for shadow in self._queue(key):
            shadow.shrink(order_id, left if kind in (_EXECUTE, _CANCEL) else 0, ts_ns)

    def _add(self, key: Key, order_id: int, qty: int) -> None:
        """An order has come: behind ours, unless it is one that a CLEAR took away, at the price where it was."""
        if self._cleared.get(key[0], {}).pop(order_id, None) == key[1:]:
            for shadow in self._queue(key):
                shadow.restore(order_id, qty)
        else:
            self._taken.pop(order_id, None)

    def _clear(self, instrument: int) -> None:
        """The book of an instrument is about to be emptied."""
        lost = self._cleared.setdefault(instrument, {})
        for side, price, _, _ in self.book.depth(instrument):
            lost.update((order_id, (side, price)) for order_id, _ in self.book.queue(instrument, side, price))
        for side in (_BID, _ASK):
            for price in self._resting.get((instrument, side), ()):
                for shadow in self._queue((instrument, side, price)):
                    shadow.clear()

    def settle(self) -> None:
        """The end of an exchange event: whom has the other side reached?"""
        for instrument in self._touched:
            top = self.book.best(instrument)
            for side in (_BID, _ASK):
                price, qty = (top[2], top[3]) if side == _BID else (top[0], top[1])
                if qty:
                    self._through(instrument, side, price)
        self._touched.clear()

    def _through(self, instrument: int, side: int, opposite: int) -> None:
        """Orders of ours at or beyond the best price of the other side, the best of them first."""
        sign = 1 if side == _BID else -1
        reached = [price for price in self._resting.get((instrument, side), ()) if sign * price >= sign * opposite]
        for price in sorted(reached, key=lambda price: -sign * price):
            for shadow in self._queue((instrument, side, price)):
                offers = list(self._displayed(shadow))
                for maker, _, share in offers:
                    self._take(shadow.world, maker, share)
                if offers:
                    self._fill(shadow, shadow.left, price, 0, Reason.THROUGH, self.index - 1, self.now_ns)

    # what we do

    def request(self, request: Request) -> None:
        """Do what was asked, now: between two messages."""
        time_ns, _, order_id, new_order_id, price, qty, world, instrument, action, side, tif = request
        time_ns = time_ns or self.now_ns
        old = self._shadows.get((world, order_id))
        if action == Action.CANCEL:
            self._cancel(old, qty, time_ns)
        elif action == Action.ENTER:
            self._enter(Shadow(world, order_id, (instrument, side, price), qty, time_ns), tif)
        elif old is not None and old.state is State.LIVE:
            self._cancel(old, 0, time_ns)
            self._enter(Shadow(world, new_order_id, (old.instrument, old.side, price), qty, time_ns), tif)
        else:  # too late: there is nothing to replace
            void = self._shadows[world, new_order_id] = Shadow(world, new_order_id, (instrument, side, price), qty, time_ns)
            void.end(State.CANCELED, time_ns)

    def _cancel(self, shadow: Shadow | None, qty: int, time_ns: int) -> None:
        """Take back some shares, or with qty 0 all of them; nothing if the order is over."""
        if shadow is None or shadow.state is not State.LIVE:
            return
        if 0 < qty < shadow.left:
            shadow.left -= qty
            shadow.canceled += qty
        else:
            self._end(shadow, State.CANCELED, time_ns)

    def _enter(self, shadow: Shadow, tif: int) -> None:
        """An order of ours arrives: it takes, rests, both, or neither."""
        self._shadows[shadow.world, shadow.order_id] = shadow
        offers = list(self._displayed(shadow))
        if offers and tif == TimeInForce.POST_ONLY:
            return shadow.end(State.CANCELED, shadow.arrived_ns)
        for maker, price, share in offers:
            self._take(shadow.world, maker, share)
            self._fill(shadow, share, price, maker, Reason.TAKE, self.index, shadow.arrived_ns)
        if not shadow.left:
            return None
        if tif == TimeInForce.IOC:
            return shadow.end(State.CANCELED, shadow.arrived_ns)
        lost = self._cleared.get(shadow.instrument, {})
        awaited = {order_id for order_id, place in lost.items() if place == shadow.key[1:]}
        shadow.join(self.book.queue(*shadow.key), awaited)
        self._resting.setdefault(shadow.key[:2], {}).setdefault(shadow.price, []).append(shadow)
        return None

    def _displayed(self, shadow: Shadow) -> Iterator[tuple[int, int, int]]:
        """(order, price, shares): what it can have of the other side at its price or better, best first; nothing that its world
        has had already."""
        halves = self.book.halves.get(shadow.instrument)
        want, sign = shadow.left, 1 if shadow.side == _BID else -1
        for level in halves[2 - shadow.side].walk() if halves else ():
            if sign * level.price > sign * shadow.price:
                return
            for order_id, qty in level.queue.items():
                share = min(want, qty - self._taken.get(order_id, {}).get(shadow.world, 0))
                if share > 0:
                    want -= share
                    yield order_id, level.price, share

    def _take(self, world: int, order_id: int, qty: int) -> None:
        """Remember that a world has had these shares: it cannot have them again."""
        taken = self._taken.setdefault(order_id, {})
        taken[world] = taken.get(world, 0) + qty

    # what comes of it

    def _fill(self, shadow: Shadow, qty: int, price: int, maker: int, reason: Reason, index: int, ts_ns: int) -> None:
        self.fills.append(
            (index, ts_ns, shadow.order_id, maker, price, qty, shadow.world, shadow.instrument, shadow.side, int(reason))
        )
        if reason is Reason.THROUGH:
            return self._end(shadow, State.THROUGH, ts_ns)
        shadow.left -= qty
        shadow.filled += qty
        return None if shadow.left else self._end(shadow, State.FILLED, ts_ns)

    def _end(self, shadow: Shadow, state: State, ts_ns: int) -> None:
        """Take an order of ours out of its queue."""
        shadow.end(state, ts_ns)
        queues = self._resting.get(shadow.key[:2], {})
        if shadow in queues.get(shadow.price, ()):
            queues[shadow.price].remove(shadow)
            if not queues[shadow.price]:
                del queues[shadow.price]

    def _queue(self, key: Key) -> list[Shadow]:
        """Our orders at a price, in the order of arrival; a copy, so that they may end while it is walked."""
        return list(self._resting.get(key[:2], {}).get(key[2], ()))

    def finish(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The fills, and the outcome of every order; those that are still live have expired."""
        for shadow in self._shadows.values():
            if shadow.state is State.LIVE:
                self._end(shadow, State.EXPIRED, self.now_ns)
        names = OUTCOME_DTYPE.names or ()
        rows = [tuple(int(getattr(shadow, name)) for name in names) for shadow in self._shadows.values()]
        return np.array(self.fills, FILL_DTYPE), np.array(rows, OUTCOME_DTYPE)


#: Name -> what is left ahead of us, of: ahead, the level before, what was canceled of it.
MODELS: dict[str, Callable[[int, int, int], int]] = {
    "trades": lambda ahead, before, canceled: min(ahead, before - canceled),
    "proportional": lambda ahead, before, canceled: ahead - canceled * ahead // max(before, 1),
}


class LevelSimulator(Simulator):
    """Shadow orders in a book of levels, one synthetic order each. Raises UnknownName for a model that is not known."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.left_ahead = MODELS[check_choice("queue model", model, MODELS)]
        self._before = 0
        self._traded: dict[tuple[int, int], int] = {}  # (instrument, price) -> shares traded since the level was last set

    def apply(self, event: Event) -> int:
        """One message: a trade, or a level that is set."""
        ts_ns, order_id, _, price, qty, instrument, kind, _ = event
        if kind == Kind.TRADE:
            self._trade(instrument, price, qty, ts_ns)
        place = self.book.locate(order_id)
        self._before = place[3] if place else 0
        return super().apply(event)

    def _trade(self, instrument: int, price: int, qty: int, ts_ns: int) -> None:
        """Shares changed hands at a price: those ahead of us first, then ours."""
        self._traded[instrument, price] = self._traded.get((instrument, price), 0) + qty
        flow: dict[int, int] = {}
        for side in (1, 2):
            for shadow in self._queue((instrument, side, price)):
                rest = qty
                for order_id, ahead in list(shadow.ahead.items()):
                    shadow.shrink(order_id, max(0, ahead - rest), ts_ns)
                    rest = max(0, rest - ahead)
                share = min(shadow.left, rest, flow.get(shadow.world, rest))
                flow[shadow.world] = flow.get(shadow.world, rest) - share
                if share:
                    shadow.reach_front(ts_ns)
                    self._fill(shadow, share, price, 0, Reason.QUEUE, self.index, ts_ns)

    def _execute(self, key: Key, maker: int, qty: int, ts_ns: int) -> None:
        """Levels are not executed: trades are rows of their own."""

    def _leave(self, key: Key, kind: int, order_id: int, left: int, ts_ns: int) -> None:
        """A level was set: what it lost beyond its trades was canceled."""
        place = self.book.locate(order_id)
        after = place[3] if place and kind != Kind.DELETE else 0
        traded = self._traded.pop((key[0], key[2]), 0)
        canceled = max(0, self._before - after - traded)
        for shadow in self._queue(key):
            ahead = shadow.ahead.get(order_id, 0)
            rest = self.left_ahead(ahead, max(self._before - traded, ahead), canceled)
            shadow.shrink(order_id, min(rest, after), ts_ns)
