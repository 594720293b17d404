"""Our own resting orders: one queue a price, in time priority, per instrument and side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hftlab.events import Side

BID, ASK = int(Side.BID), int(Side.ASK)


class Order:
    """An order of ours while it lives.

    ref      : UserRefNum; number: our order reference
    side     : 1 buys, 2 sells
    price    : 1/10,000
    left     : shares open
    executed : shares executed so far, over the whole chain of replaces
    ahead    : displayed orders at its price that came before it
    """

    __slots__ = ("account", "ahead", "executed", "expires_ns", "instrument", "left", "number", "price", "ref", "side", "terms")

    def __init__(self, account: str, ref: int, number: int, instrument: int, side: int, price: int, left: int) -> None:
        self.account, self.ref, self.number = account, ref, number
        self.instrument, self.side, self.price, self.left = instrument, side, price, left
        self.executed = 0
        self.expires_ns = 0  # 0: with the session
        self.ahead: set[int] = set()
        self.terms: Any = None  # what the matcher keeps with it; the market does not look


#: The queues of one side: price -> orders, the first in time first.
Queues = dict[int, list[Order]]


class Resting:
    """Every resting order of ours; `sides` has an entry only for an instrument with at least one."""

    def __init__(self) -> None:
        self.sides: dict[int, tuple[Queues, Queues]] = {}

    def add(self, order: Order) -> None:
        """Into the queue of its price, behind our others."""
        self.sides.setdefault(order.instrument, ({}, {}))[order.side - 1].setdefault(order.price, []).append(order)

    def remove(self, order: Order) -> None:
        """Out of its queue; nothing if it does not rest."""
        halves = self.sides.get(order.instrument)
        queue = halves[order.side - 1].get(order.price) if halves else None
        if halves is None or queue is None or order not in queue:
            return
        queue.remove(order)
        if not queue:
            del halves[order.side - 1][order.price]
            if not halves[0] and not halves[1]:
                del self.sides[order.instrument]

    def queues(self, instrument: int, side: int) -> Queues:
        """Those of one side; empty if nothing rests there."""
        halves = self.sides.get(instrument)
        return halves[side - 1] if halves else {}

    def orders(self, instrument: int) -> Iterator[Order]:
        """Those of one instrument, bids then asks, best first, in time priority."""
        for side, queues in zip((BID, ASK), self.sides.get(instrument, ()), strict=False):
            for price in best_first(queues, side):
                yield from queues[price]


def better(a: int, b: int, side: int) -> bool:
    """Whether price a is strictly better than b for an order on this side: higher to buy, lower to sell."""
    return a > b if side == BID else a < b


def best_first(prices: Iterable[int], side: int) -> list[int]:
    """Prices of one side, the best first."""
    return sorted(prices, reverse=side == BID)
