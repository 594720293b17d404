"""The market our orders meet: the replayed book, what we have taken of it, and our own orders in its queues.

The feed is history and stays as it is: what we do is not published in it, and nobody in it reacts to us. So that nothing is
traded twice, three rules say what would have happened:

* **Taking.** A displayed order gives at most what it shows, less what we have taken of it already. What was taken stays taken
  while history goes on executing or cancelling that order, and follows it through replaces: the size that a replace states is
  that of the whole chain, so only what it states beyond that is new.
* **Resting.** An order of ours stands behind every displayed order that was at its price when it came, and before all later
  ones. History's executions fill it as far as they hit a worse price on its side, or an order behind it in its own queue; a
  trade against a hidden order (ITCH P) fills it if it was at a worse price. Each execution fills at most its own shares.
* **Crossing.** A displayed order that comes in at or through the price of a resting one of ours trades with it at our price,
  as far as it is larger than the displayed quantity ahead of ours; those shares count as taken.

Auctions (ITCH Q) fill nothing of ours. While an instrument is halted nothing trades; when it resumes, what crosses trades first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import groupby

from hftlab.events import Kind
from hftlab.net.exchange.orders import ASK, BID, OrderStore, Queues, RestingOrder, best_first, better
from hftlab.stages.book import Book, HalfBook
from hftlab.stages.tick import Event

_ADD, _EXECUTE, _CANCEL = int(Kind.ADD), int(Kind.EXECUTE), int(Kind.CANCEL)
_DELETE, _REPLACE, _TRADE = int(Kind.DELETE), int(Kind.REPLACE), int(Kind.TRADE)
_STATUS, _CLEAR = int(Kind.STATUS), int(Kind.CLEAR)
_TRADING = ord("T")
FIRST_MATCH = 1 << 62  # our match numbers start here, where no feed has its own

#: Called for every fill: order, shares, price, whether it took liquidity, match number. It must reduce `left`, and remove the
#: order from the store if nothing is left.
Fill = Callable[[RestingOrder, int, int, bool, int], None]
#: Called before `taker` would trade with `maker` of the same account: shares, price. It must cancel one of them.
SelfTrade = Callable[[RestingOrder, RestingOrder, int, int], None]


class Market:
    """All instruments.

    halted : instruments that the feed has halted
    taken  : shares of a displayed order that we have, by order id
    """

    def __init__(self, store: OrderStore, fill: Fill, self_trade: SelfTrade) -> None:
        self.book, self.store = Book(), store
        self.halted: set[int] = set()
        self.taken: dict[int, int] = {}
        self.last_match = FIRST_MATCH
        self._fill, self._self_trade = fill, self_trade

    # History goes on ------------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """One event of the feed; fills what it fills. An event that the book refuses fills nothing."""
        _, order_id, new_id, price, qty, instrument, kind, side = event
        ours = self.store.sides.get(instrument)
        if kind == _STATUS:
            self._status(instrument, qty == _TRADING)
            return
        if kind == _TRADE:
            if ours and side:  # a cross has no side
                self._traded_hidden(ours, price, qty)
            return
        where = self.book.locate(order_id) if ours and kind != _ADD else None
        applied = self.book.apply(kind, instrument, side, order_id, new_id, price, qty)
        if applied <= 0:
            return
        if kind != _ADD and self.taken:
            self._follow(kind, order_id, new_id)
        if not ours:
            return
        if kind == _CLEAR:
            for order in self.store.resting(instrument):
                order.ahead.clear()
        if where:
            at = ours[where[1] - 1]
            if kind == _EXECUTE:
                self._executed(at, order_id, where[1], where[2], qty)
            if kind == _REPLACE or order_id not in self.book.orders:
                for order in at.get(where[2], ()):
                    order.ahead.discard(order_id)
        if kind in (_ADD, _REPLACE):
            self._came(instrument, order_id if kind == _ADD else new_id)

    def _follow(self, kind: int, order_id: int, new_id: int) -> None:
        """What we took of an order goes with it, and is forgotten with it."""
        if kind == _CLEAR:
            self.taken = {order_id: shares for order_id, shares in self.taken.items() if order_id in self.book.orders}
        elif kind == _REPLACE:
            if shares := self.taken.pop(order_id, 0):
                self.taken[new_id] = shares
        elif order_id not in self.book.orders:
            self.taken.pop(order_id, None)

    def _executed(self, at: Queues, order_id: int, side: int, price: int, shares: int) -> None:
        """History executed a displayed order: ours on its side at better prices come first, then those before it in its queue."""
        for own_price in best_first(at, side):
            if better(price, own_price, side):
                return
            for order in list(at.get(own_price, ())):
                if shares and (own_price != price or order_id not in order.ahead):
                    shares -= self._give(order, shares)

    def _traded_hidden(self, ours: tuple[Queues, Queues], price: int, shares: int) -> None:
        for side, at in ((BID, ours[0]), (ASK, ours[1])):
            for own_price in best_first(at, side):
                for order in list(at.get(own_price, ())) if better(own_price, price, side) else ():
                    shares -= self._give(order, shares)

    def _came(self, instrument: int, order_id: int) -> None:
        """A displayed order came: it trades with ours on the other side, behind what is displayed before them."""
        where = self.book.locate(order_id)
        if where is None or instrument in self.halted:
            return
        _, side, price, _ = where
        other = BID + ASK - side
        at = self.store.queues(instrument, other)
        for own_price in best_first(at, other):
            if better(price, own_price, other):
                return
            for order in list(at.get(own_price, ())):
                room = self._available(order_id) - self._displayed_before(order)
                if room > 0:
                    self._take_of(order_id, self._give(order, room))

    def _give(self, order: RestingOrder, shares: int, match: int = 0) -> int:
        """Fill a resting order at its price, at most `shares`; returns how many."""
        shares = min(shares, order.left)
        if shares:
            self._fill(order, shares, order.price, False, match or self._next_match())
        return shares

    def _status(self, instrument: int, trading: bool) -> None:
        if not trading:
            self.halted.add(instrument)
        elif instrument in self.halted:
            self.halted.remove(instrument)
            for order in self.store.resting(instrument):
                if order.left:
                    self.trade(order)

    # Our orders -----------------------------------------------------------------------------------------------------------

    def rest(self, order: RestingOrder) -> None:
        """Put what is left into the queue of its price, behind everybody."""
        self.store.rest(order)
        order.ahead = {order_id for order_id, _ in self.book.queue(order.instrument, order.side, order.price)}

    def trade(self, taker: RestingOrder) -> None:
        """Trade a new order with everything that it reaches, best price first, and in the order of the queue at each price."""
        other = BID + ASK - taker.side
        for price in self._prices(taker.instrument, other):
            if not taker.left or better(taker.price, price, other):  # beyond the limit
                return
            for maker in self._queue(taker.instrument, other, price):
                if not taker.left:
                    return
                if isinstance(maker, RestingOrder):
                    self._trade_with(taker, maker)
                elif shares := min(taker.left, self._available(maker)):
                    self._take_of(maker, shares)
                    self._fill(taker, shares, price, True, self._next_match())

    def _trade_with(self, taker: RestingOrder, maker: RestingOrder) -> None:
        shares = min(taker.left, maker.left)
        if maker.account == taker.account:
            self._self_trade(taker, maker, shares, maker.price)
            return
        match = self._next_match()
        self._fill(taker, shares, maker.price, True, match)
        self._give(maker, shares, match)

    def _next_match(self) -> int:
        self.last_match += 1
        return self.last_match

    def _prices(self, instrument: int, side: int) -> Iterator[int]:
        """Every price of one side, displayed or ours, best first, as far as they are needed."""
        halves = self.book.halves.get(instrument)
        displayed = [(level.price for level in halves[side - 1].walk())] if halves else []
        own = best_first(self.store.queues(instrument, side), side)
        return (price for price, _ in groupby(merge(*displayed, own, reverse=side == BID)))

    def _queue(self, instrument: int, side: int, price: int) -> list[int | RestingOrder]:
        """Displayed orders (by id) and ours at one price, in time priority."""
        displayed = [order_id for order_id, _ in self.book.queue(instrument, side, price)]
        ours = self.store.queues(instrument, side).get(price, ())
        queue: list[int | RestingOrder] = []
        for order in ours:
            queue += [order_id for order_id in displayed if order_id in order.ahead]
            queue.append(order)
            displayed = [order_id for order_id in displayed if order_id not in order.ahead]
        return queue + displayed

    def _available(self, order_id: int) -> int:
        level = self.book.orders.get(order_id)
        return max(0, level.queue[order_id] - self.taken.get(order_id, 0)) if level else 0

    def _take_of(self, order_id: int, shares: int) -> None:
        if shares:
            self.taken[order_id] = self.taken.get(order_id, 0) + shares

    def _displayed_before(self, order: RestingOrder) -> int:
        """Displayed shares at better prices and before it at its own; 0 unless the market is locked or crossed."""
        halves = self.book.halves.get(order.instrument)
        half: HalfBook | None = halves[order.side - 1] if halves else None
        total = sum(self._available(order_id) for order_id in order.ahead)
        for level in half.walk() if half else ():
            if not better(level.price, order.price, order.side):
                break
            total += sum(self._available(order_id) for order_id in level.queue)
        return total
