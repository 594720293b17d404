"""The generator's own book of one symbol: the touch, the front of each queue, and a pick of any live order.

Sides are 0 (bid) and 1 (ask). A price is kept as a key, in ticks: itself for bids, its negative for asks.
So the best level of either side is the greatest key, and a book is locked or crossed iff the best keys sum to
0 or more.
"""

from __future__ import annotations

from bisect import bisect_left, insort


class Order:
    """A live order. `slot` is its index in Book.live."""

    __slots__ = ("key", "qty", "reference", "side", "slot")

    def __init__(self, reference: int, side: int, key: int, qty: int) -> None:
        self.reference = reference
        self.side = side
        self.key = key
        self.qty = qty
        self.slot = 0


class Book:
    """Two sides of price levels, each level a FIFO queue; `live` lists all orders, the latest mostly last."""

    __slots__ = ("counts", "keys", "levels", "live")

    def __init__(self) -> None:
        self.keys: tuple[list[int], list[int]] = ([], [])
        self.levels: tuple[dict[int, dict[int, Order]], dict[int, dict[int, Order]]] = ({}, {})
        self.counts = [0, 0]
        self.live: list[Order] = []

    def insert(self, order: Order) -> None:
        """Put the order at the back of its level's queue."""
        side, key = order.side, order.key
        levels = self.levels[side]
        queue = levels.get(key)
        if queue is None:
            levels[key] = {order.reference: order}
            insort(self.keys[side], key)
        else:
            queue[order.reference] = order
        order.slot = len(self.live)
        self.live.append(order)
        self.counts[side] += 1

    def remove(self, order: Order) -> None:
        """Take the order out; the last of `live` takes its place there."""
        side, key = order.side, order.key
        queue = self.levels[side][key]
        del queue[order.reference]
        if not queue:
            self._drop(side, key)
        last = self.live.pop()
        if last is not order:
            self.live[order.slot] = last
            last.slot = order.slot
        self.counts[side] -= 1

    def _drop(self, side: int, key: int) -> None:
        del self.levels[side][key]
        keys = self.keys[side]
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]

    def front(self, side: int) -> Order:
        """The order that trades next: the oldest at the best price. The side must not be empty."""
        return next(iter(self.levels[side][self.keys[side][-1]].values()))

    def back(self, side: int) -> Order:
        """The youngest order at the best price. The side must not be empty."""
        return next(reversed(self.levels[side][self.keys[side][-1]].values()))
