"""BOOK: every order of every instrument, in price-time priority.

An order is a quantity in the queue of a level, a level stands in a side, two sides make the book of an instrument. One table
finds the level of any live order, because references are unique over the whole feed. The exchange has matched already: the book
only follows the feed, and refuses what cannot be.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain
from typing import cast

from hftlab.events import Fault, Kind, Side

#: best bid price, its quantity, best ask price, its quantity; quantity 0 and price 0 for an empty side
Top = tuple[int, int, int, int]
EMPTY_TOP: Top = (0, 0, 0, 0)

BOTH = 3  # what apply() returns for a CLEAR, which has no side of its own

_ADD, _EXECUTE, _CANCEL = int(Kind.ADD), int(Kind.EXECUTE), int(Kind.CANCEL)
_DELETE, _REPLACE, _CLEAR = int(Kind.DELETE), int(Kind.REPLACE), int(Kind.CLEAR)
_BID, _ASK = int(Side.BID), int(Side.ASK)
_LOWEST, _HIGHEST = -(2**64), 2**64  # beyond every key

# A refusal is the negative of its reason, so that one integer says both "applied, on this side" and "why not".
_BAD_SIDE, _ZERO_QTY, _ZERO_PRICE = -Fault.BAD_SIDE.value, -Fault.ZERO_QTY.value, -Fault.ZERO_PRICE.value
_DUPLICATE, _UNKNOWN = -Fault.DUPLICATE_ORDER.value, -Fault.UNKNOWN_ORDER.value
_WRONG_INSTRUMENT, _EXCESS = -Fault.WRONG_INSTRUMENT.value, -Fault.EXCESS_QTY.value


class Level:
    """All orders at one price: their total, and the queue. A dict keeps insertion order, so the first key is the front."""

    __slots__ = ("half", "key", "price", "qty", "queue")

    def __init__(self, half: HalfBook, key: int, price: int) -> None:
        self.half = half
        self.key = key
        self.price = price
        self.qty = 0
        self.queue: dict[int, int] = {}  # order id -> quantity left, in time priority

    def change(self, qty: int) -> None:
        """The total grows by `qty`, which may be negative; so does that of the best levels, if this is one of them."""
        self.qty += qty
        half = self.half
        if self.key >= half.floor:
            half.near += qty


class HalfBook:
    """One side of one instrument. Keys are side-signed prices (bid: +price, ask: -price), so the best level has the LARGEST
    key on both sides, and one piece of code serves both.

    near : quantity of the best `depth` levels, kept by change; the last of them is at `floor`
    """

    __slots__ = ("best", "depth", "floor", "instrument", "keys", "levels", "near", "side", "sign")

    def __init__(self, instrument: int, side: int, depth: int = 0) -> None:
        self.instrument = instrument
        self.side = side
        self.sign = 1 if side == _BID else -1
        self.keys: list[int] = []  # sorted, the best at the end, where a list is cheap to change
        self.levels: dict[int, Level] = {}
        self.best: Level = NO_LEVEL
        self.floor = _HIGHEST
        self.count(depth)

    def open(self, key: int) -> Level:
        """A new, empty level."""
        level = self.levels[key] = Level(self, key, key * self.sign)
        keys = self.keys
        if key > self.best.key or not keys:
            keys.append(key)
            self.best = level
        else:
            keys.insert(bisect_left(keys, key), key)
        if key >= self.floor and (behind := len(keys) - self.depth) >= 0:  # it moves another one out
            self.floor = keys[behind]
            if behind:
                self.near -= self.levels[keys[behind - 1]].qty
        return level

    def close(self, key: int) -> None:
        """Drop a level that has become empty."""
        keys = self.keys
        del self.levels[key]
        del keys[bisect_left(keys, key)]
        if key == self.best.key:
            self.best = self.levels[keys[-1]] if keys else NO_LEVEL
        if key >= self.floor:
            behind = len(keys) - self.depth
            self.floor = keys[behind] if behind >= 0 else _LOWEST
            if behind >= 0:  # another one moves in
                self.near += self.levels[keys[behind]].qty

    def count(self, depth: int) -> None:
        """From now on `near` is that of the best `depth` levels."""
        keys = self.keys[-depth:] if depth else []
        self.depth, self.near = depth, sum([self.levels[key].qty for key in keys])
        self.floor = _HIGHEST if not depth else keys[0] if len(keys) == depth else _LOWEST

    def walk(self) -> Iterator[Level]:
        """Levels, best first."""
        return map(self.levels.__getitem__, reversed(self.keys))


NO_LEVEL = Level(cast(HalfBook, None), 0, 0)  # the best level of an empty side: price 0, quantity 0


class Book:
    """The books of all instruments: which level each live order rests in, and the two sides of each instrument.

    near_levels : levels a side whose quantity is kept by change; 0 until somebody asks for it
    """

    def __init__(self) -> None:
        self.orders: dict[int, Level] = {}
        self.halves: dict[int, tuple[HalfBook, HalfBook]] = {}
        self.near_levels = 0

    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        """Apply one event; the fields are those of the event record. Returns the side it acted on (1 bid, 2 ask, 3 both),
        0 if this kind never changes a book, or the negative of its `Fault` if it was refused; then nothing has changed."""
        if kind == _ADD:
            if side != _BID and side != _ASK:
                return _BAD_SIDE
            if qty == 0:
                return _ZERO_QTY
            if price == 0:
                return _ZERO_PRICE
            if order_id in self.orders:
                return _DUPLICATE
            halves = self.halves.get(instrument) or self._open(instrument)
            self._insert(halves[side - 1], order_id, price, qty)
            return side
        if kind == _CLEAR:
            return self._clear(instrument)
        if kind != _DELETE and kind != _EXECUTE and kind != _CANCEL and kind != _REPLACE:
            return 0
        level = self.orders.get(order_id)
        if level is None:
            return _UNKNOWN
        half = level.half
        if half.instrument != instrument:
            return _WRONG_INSTRUMENT
        if kind == _DELETE:
            self._remove(level, order_id)
            return half.side
        if qty == 0:
            return _ZERO_QTY
        if kind == _REPLACE:
            if price == 0:
                return _ZERO_PRICE
            if new_order_id in self.orders and new_order_id != order_id:
                return _DUPLICATE
            self._remove(level, order_id)
            self._insert(half, new_order_id, price, qty)
            return half.side
        left = level.queue[order_id]  # EXECUTE, CANCEL
        if qty > left:
            return _EXCESS
        if qty == left:
            self._remove(level, order_id)
        else:
            level.queue[order_id] = left - qty
            level.change(-qty)
        return half.side

    def _open(self, instrument: int) -> tuple[HalfBook, HalfBook]:
        bids, asks = (HalfBook(instrument, side, self.near_levels) for side in (_BID, _ASK))
        halves = self.halves[instrument] = (bids, asks)
        return halves

    def _insert(self, half: HalfBook, order_id: int, price: int, qty: int) -> None:
        key = price * half.sign
        level = half.levels.get(key) or half.open(key)
        level.change(qty)
        level.queue[order_id] = qty
        self.orders[order_id] = level

    def _remove(self, level: Level, order_id: int) -> None:
        del self.orders[order_id]
        level.change(-level.queue.pop(order_id))
        if not level.queue:
            level.half.close(level.key)

    def _clear(self, instrument: int) -> int:
        for half in self.halves.pop(instrument, ()):
            for level in half.levels.values():
                for order_id in level.queue:
                    del self.orders[order_id]
        return BOTH

    def best(self, instrument: int) -> Top:
        """Best bid and ask with their quantities."""
        halves = self.halves.get(instrument)
        if halves is None:
            return EMPTY_TOP
        bid, ask = halves[0].best, halves[1].best
        return (bid.price, bid.qty, ask.price, ask.qty)

    def depth_qty(self, instrument: int, side: int, n: int) -> int:
        """Total quantity of the best n levels of one side."""
        if n != self.near_levels:
            self.near_levels = n
            for half in chain.from_iterable(self.halves.values()):
                half.count(n)
        halves = self.halves.get(instrument)
        return halves[side - 1].near if halves else 0

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        """(side, price, quantity, order count) of every level, bids then asks, best first."""
        return [
            (half.side, level.price, level.qty, len(level.queue))
            for half in self.halves.get(instrument, ())
            for level in half.walk()
        ]

    def queue(self, instrument: int, side: int, price: int) -> list[tuple[int, int]]:
        """(order id, quantity) of one level in time priority, the front first; empty if there is no such level."""
        halves = self.halves.get(instrument)
        if halves is None or side not in (_BID, _ASK):
            return []
        half = halves[side - 1]
        level = half.levels.get(price * half.sign)
        return list(level.queue.items()) if level else []

    def locate(self, order_id: int) -> tuple[int, int, int, int] | None:
        """(instrument, side, price, quantity left) of a live order; None if it is not live."""
        level = self.orders.get(order_id)
        if level is None:
            return None
        return level.half.instrument, level.half.side, level.price, level.queue[order_id]

    def memory(self) -> dict[str, int]:
        """Live orders, the bytes they take in the index and the queues (an id and a quantity each), and those of the levels."""
        number = sys.getsizeof(1 << 40)
        levels = [level for half in chain.from_iterable(self.halves.values()) for level in half.walk()]
        queues = sum(sys.getsizeof(level.queue) for level in levels)
        return {
            "live_orders": len(self.orders),
            "order_bytes": sys.getsizeof(self.orders) + queues + 2 * number * len(self.orders),
            "level_bytes": sum(map(sys.getsizeof, levels)),
        }
