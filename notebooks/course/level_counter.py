"""Counting price levels: what a running sum of the best levels costs, counted instead of timed.

`walk(feed, Sums, levels)` runs a feed of one instrument through the reference book, passes each change to an object of `Sums`,
and counts how many price levels that object reads. It is made by `Sums(levels)` and has one method:

    changed(sides, change) -> (shares of the best levels of the bids, of the asks)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hftlab.engine.engine import decode
from hftlab.feeds.feed import Feed
from hftlab.stages.book import Book, HalfBook, Level


class CountedSide:
    """One side of a book; `read` counts the levels that were asked for."""

    def __init__(self) -> None:
        self.half = HalfBook(0, 1)
        self.read = 0

    def best(self, n: int) -> list[tuple[int, int]]:
        """(key, shares) of the best n levels, the best first. The better the price, the larger its key, on both sides."""
        levels = [self.half.levels[key] for key in self.half.keys[: -n - 1 : -1]]
        self.read += len(levels)
        return [(level.key, level.qty) for level in levels]


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of one event on a book.

    side     : 0 bids, 1 asks
    key      : of the best level that changed: nothing better than it did
    gained   : shares that the level at `key` gained, negative if it lost some; meaningless if `reshaped`
    reshaped : a level appeared or vanished, or more than one changed
    """

    side: int
    key: int
    gained: int
    reshaped: bool


@dataclass(frozen=True)
class LevelCount:
    """Number of events that changed the book, number of levels read for them, and the sums after each."""

    events: int
    levels_read: int
    sums: list[tuple[int, int]]

    @property
    def per_event(self) -> float:
        return self.levels_read / self.events


class _RecordingBook(Book):
    """The reference book, which also records the levels that its latest event touched: (key, gained, appeared or vanished)."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: list[tuple[int, int, bool]] = []

    def _insert(self, half: HalfBook, order_id: int, price: int, qty: int) -> None:
        key = price * half.sign
        self.touched.append((key, qty, key not in half.levels))
        super()._insert(half, order_id, price, qty)

    def _remove(self, level: Level, order_id: int) -> None:
        self.touched.append((level.key, -level.queue[order_id], len(level.queue) == 1))
        super()._remove(level, order_id)


def changes(feed: Feed) -> Iterator[tuple[tuple[CountedSide, CountedSide], Change]]:
    """Every change of the book of a feed with one instrument, and both sides after it."""
    book, sides = _RecordingBook(), (CountedSide(), CountedSide())
    for _, order_id, new_id, price, qty, instrument, kind, side in decode(feed, "python").tolist():
        book.touched.clear()
        level = book.orders.get(order_id)
        acted = book.apply(kind, instrument, side, order_id, new_id, price, qty)
        if acted not in (1, 2):
            continue
        for counted, half in zip(sides, book.halves[instrument], strict=True):
            counted.half = half
        if not book.touched and level is not None:  # a part of an order was executed or cancelled
            book.touched.append((level.key, -qty, False))
        keys = {key for key, _, _ in book.touched}
        reshaped = len(keys) > 1 or any(new for _, _, new in book.touched)
        yield sides, Change(acted - 1, max(keys), sum(gained for _, gained, _ in book.touched), reshaped)


def walk(feed: Feed, sums: Callable[[int], Any], levels: int = 5) -> LevelCount:
    """Maintain the sums of the best `levels` levels of both sides over a feed of one instrument, and count the levels read."""
    keeper, results, read = sums(levels), [], 0
    for sides, change in changes(feed):
        for side in sides:
            side.read = 0
        results.append(tuple(keeper.changed(sides, change)))
        read += sides[0].read + sides[1].read
    return LevelCount(len(results), read, results)
