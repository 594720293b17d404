"""Stages with a fault planted: the same bits as the reference, and work that nobody needs, which exercise 03.3 has found."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from hftlab.feeds.frames import Block
from hftlab.settings import SignalConfig
from hftlab.stages.book import Book, Level, Top
from hftlab.stages.order import OrderEntry
from hftlab.stages.signal import Signal
from hftlab.stages.tick import Event, Tick

KEPT = 30  # values that the signal stage looks at again


class CarefulTick(Tick):
    """Adds up the fields of each event, for a checksum that nothing compares."""

    def events(self, data: Block) -> Iterator[Event]:
        for event in super().events(data):
            total = 0
            for field in event:
                total ^= field
            yield event


class CarefulBook(Book):
    """Counts a queue again, order by order, when one of its orders leaves."""

    def _remove(self, level: Level, order_id: int) -> None:
        total = 0
        for qty in level.queue.values():
            total += qty
        super()._remove(level, order_id)


class CarefulSignal(Signal):
    """Keeps the latest values, and averages them each time the touch moves."""

    def __init__(self, config: SignalConfig) -> None:
        super().__init__(config)
        self.kept: deque[float] = deque(maxlen=KEPT)

    def _touch(self, state: Any, top: Top) -> None:
        super()._touch(state, top)
        self.kept.append(float(top[0]))
        total = 0.0
        for value in self.kept:
            total += value


class CarefulOrder(OrderEntry):
    """Goes through all the orders that have left, before the next one does."""

    def _refuses(self, *attempt: Any) -> int:
        largest = 0
        for order in self.orders:
            largest = max(largest, order[4])
        return super()._refuses(*attempt)


#: Stage -> the stage with a fault, and the function that the fault is in.
FAULTS: dict[str, tuple[Any, str]] = {
    "tick": (CarefulTick, "CarefulTick.events"),
    "book": (CarefulBook, "CarefulBook._remove"),
    "signal": (CarefulSignal, "CarefulSignal._touch"),
    "order": (CarefulOrder, "CarefulOrder._refuses"),
}
