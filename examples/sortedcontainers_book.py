"""A book stage by an outsider: every side a SortedDict of price levels, every level a dict of orders in time priority.

    hftlab conformance examples/sortedcontainers_book.py:SortedBook
    hftlab bench --with examples/sortedcontainers_book.py:SortedBook

What its methods must do is written in `hftlab.stages.book.Book`. Nothing else of hftlab's book is used.
"""

from __future__ import annotations

import sys
from itertools import islice

from sortedcontainers import SortedDict

from hftlab.events import Fault, Kind

BID, BOTH = 1, 3


class Side:
    """One side of one instrument. A key is the price, negative for bids, so that the best level comes first on both sides."""

    def __init__(self, instrument: int, side: int) -> None:
        self.instrument, self.side = instrument, side
        self.sign = -1 if side == BID else 1
        self.levels: SortedDict = SortedDict()  # key -> {order id: quantity left}, the front first

    def walk(self, n: int | None = None) -> list[tuple[int, int, int]]:
        """(price, quantity, orders) of the best n levels, or of all."""
        return [(key * self.sign, sum(queue.values()), len(queue)) for key, queue in islice(self.levels.items(), n)]

    def touch(self) -> tuple[int, int]:
        """Price and quantity of the best level; zeros if there is none."""
        if not self.levels:
            return (0, 0)
        key, queue = self.levels.peekitem(0)
        return (key * self.sign, sum(queue.values()))


class SortedBook:
    """The books of all instruments."""

    def __init__(self) -> None:
        self.sides: dict[int, tuple[Side, Side]] = {}
        self.orders: dict[int, tuple[Side, int]] = {}  # order id -> its side and the key of its level

    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        if kind == Kind.ADD:
            return self._add(instrument, side, order_id, price, qty)
        if kind == Kind.CLEAR:
            return self._clear(instrument)
        if kind not in (Kind.EXECUTE, Kind.CANCEL, Kind.DELETE, Kind.REPLACE):
            return 0
        if order_id not in self.orders:
            return -Fault.UNKNOWN_ORDER
        place, key = self.orders[order_id]
        if place.instrument != instrument:
            return -Fault.WRONG_INSTRUMENT
        if kind == Kind.DELETE:
            self._remove(order_id)
            return place.side
        if qty == 0:
            return -Fault.ZERO_QTY
        if kind == Kind.REPLACE:
            return self._replace(place, order_id, new_order_id, price, qty)
        queue = place.levels[key]
        if qty > queue[order_id]:
            return -Fault.EXCESS_QTY
        queue[order_id] -= qty
        if not queue[order_id]:
            self._remove(order_id)
        return place.side

    def _add(self, instrument: int, side: int, order_id: int, price: int, qty: int) -> int:
        if side not in (1, 2):
            return -Fault.BAD_SIDE
        if qty == 0:
            return -Fault.ZERO_QTY
        if price == 0:
            return -Fault.ZERO_PRICE
        if order_id in self.orders:
            return -Fault.DUPLICATE_ORDER
        if instrument not in self.sides:
            self.sides[instrument] = (Side(instrument, 1), Side(instrument, 2))
        self._insert(self.sides[instrument][side - 1], order_id, price, qty)
        return side

    def _replace(self, place: Side, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        if price == 0:
            return -Fault.ZERO_PRICE
        if new_order_id != order_id and new_order_id in self.orders:
            return -Fault.DUPLICATE_ORDER
        self._remove(order_id)
        self._insert(place, new_order_id, price, qty)
        return place.side

    def _insert(self, place: Side, order_id: int, price: int, qty: int) -> None:
        key = price * place.sign
        place.levels.setdefault(key, {})[order_id] = qty
        self.orders[order_id] = (place, key)

    def _remove(self, order_id: int) -> None:
        place, key = self.orders.pop(order_id)
        del place.levels[key][order_id]
        if not place.levels[key]:
            del place.levels[key]

    def _clear(self, instrument: int) -> int:
        for place in self.sides.pop(instrument, ()):
            for queue in place.levels.values():
                for order_id in queue:
                    del self.orders[order_id]
        return BOTH

    def best(self, instrument: int) -> tuple[int, int, int, int]:
        if instrument not in self.sides:
            return (0, 0, 0, 0)
        bids, asks = self.sides[instrument]
        return (*bids.touch(), *asks.touch())

    def depth_qty(self, instrument: int, side: int, n: int) -> int:
        if instrument not in self.sides:
            return 0
        return sum(qty for _, qty, _ in self.sides[instrument][side - 1].walk(n))

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        return [(place.side, *level) for place in self.sides.get(instrument, ()) for level in place.walk()]

    def queue(self, instrument: int, side: int, price: int) -> list[tuple[int, int]]:
        if instrument not in self.sides or side not in (1, 2):
            return []
        place = self.sides[instrument][side - 1]
        return list(place.levels.get(price * place.sign, {}).items())

    def locate(self, order_id: int) -> tuple[int, int, int, int] | None:
        if order_id not in self.orders:
            return None
        place, key = self.orders[order_id]
        return place.instrument, place.side, key * place.sign, place.levels[key][order_id]

    def memory(self) -> dict[str, int]:
        sides = [place for both in self.sides.values() for place in both]
        queues = sum(sys.getsizeof(queue) for place in sides for queue in place.levels.values())
        return {
            "live_orders": len(self.orders),
            "order_bytes": sys.getsizeof(self.orders) + queues,
            "level_bytes": sum(sys.getsizeof(place.levels) for place in sides),
        }
