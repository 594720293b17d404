"""The exchange as oracle: it says which order each execution hit, and so does first in, first out. How often do they agree?

An execution is taken as flow at a side and price; the prediction is the first order of that queue with shares left. Fills of one
exchange event that are reported before their cancels are taken off as they come. An exception is classified by what the same
exchange event does to the orders that were passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hftlab.engine.engine import decode
from hftlab.events import Kind, Side
from hftlab.feeds.feed import Feed
from hftlab.fills.simulation import exchange_events, require_orders
from hftlab.measurement.storage import StoredResult
from hftlab.presentation.document import Table, table
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
    return OracleResult(
        feed=feed.name,
        executions=asked.executions,
        front=asked.front,
        best=asked.best,
        exceptions=dict(asked.exceptions),
        examples=asked.examples,
    )
