"""What the exchange has said of our orders, and what we hold because of it: orders by UserRefNum, positions and cash by symbol.

A position is what was executed and not broken, nothing else. Orders of an earlier process are learned from the messages that the
exchange repeats when we log in, so a trader that comes back knows what it holds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from hftlab.protocols import ouch
from hftlab.stages.order import ENTER_BYTES

KEEP = 100_000  # orders that are over and still remembered; the journal has them all

MOST = 500_000  # orders at a time; of more, the exchange's word is not taken

#: What an order may be. `withheld` was decided on and not sent, `lost` never reached the exchange, `unknown` may have.
STATES = ("sent", "accepted", "executed", "canceled", "rejected", "withheld", "lost", "unknown")
OVER = frozenset({"executed", "canceled", "rejected", "withheld", "lost"})


@dataclass
class Order:
    """One order. left : shares that still work; sign : 1 buys, -1 sells; price in 1/10,000; reason : of a reject or cancel."""

    ref: int
    symbol: str
    sign: int
    quantity: int
    price: int
    left: int
    state: str = "sent"
    filled: int = 0
    paid: int = 0  # sum of shares times price of its executions
    reason: str = ""
    instrument: int = 0
    latency_ns: int = 0  # from the datagram that caused it to its last byte handed to the system

    @property
    def over(self) -> bool:
        return self.state in OVER


class Change(NamedTuple):
    """What a message changed, for the engine: shares filled (signed) and canceled, and whether the order is over."""

    order: Order
    filled: int = 0
    canceled: int = 0
    over: bool = False


class Positions:
    """Orders, positions and cash.

    orders : by UserRefNum; of those that are over the latest KEEP
    shares : by symbol, negative for a short position; cash : by symbol, in 1/10,000, negative for what was paid
    counts : messages by name, `unexpected` (of orders nobody knows, or that cannot be) and `unreadable`
    """

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}
        self.shares: Counter[str] = Counter()
        self.cash: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.rejects: Counter[str] = Counter()
        self._fills: dict[int, tuple[int, int, int]] = {}  # match number -> UserRefNum, signed shares, price
        self._over: list[int] = []

    def sent(self, raw: bytes, instrument: int = 0) -> Order:
        """An Enter Order that is about to leave."""
        found = ouch.EnterOrder.decode(raw[:ENTER_BYTES])
        sign = 1 if found.side == "B" else -1
        order = Order(found.user_ref, found.symbol, sign, found.quantity, found.price, found.quantity, instrument=instrument)
        self.orders[order.ref] = order
        return order

    def hear(self, message: ouch.Message) -> Change | None:
        """Take one message of the exchange; what it changed, None if it is of no order that we have."""
        self.counts[message.NAME] += 1
        match message:
            case ouch.Accepted():
                return self._accepted(message)
            case ouch.Executed():
                return self._executed(message)
            case ouch.Broken():
                return self._broken(message)
            case ouch.Canceled() | ouch.AiqCanceled():
                return self._shrunk(message.user_ref, message.quantity, message.reason)
            case ouch.Modified():
                order = self.orders.get(message.user_ref)
                return self._shrunk(message.user_ref, order.left - message.quantity if order else 0, "modified")
            case ouch.Rejected():
                return self._rejected(message)
            case ouch.Replaced():
                self.counts["unexpected"] += 1  # nothing is replaced here
        return None

    def ended(self, order: Order, state: str, reason: str) -> Change:
        """An order of which nothing more will be heard."""
        order.left, order.state, order.reason = 0, state, reason
        self._forget(order)
        return Change(order, over=True)

    @property
    def open(self) -> list[Order]:
        """Orders that may still trade, oldest first."""
        return [order for order in self.orders.values() if order.left]

    def profit(self, mids: dict[str, float]) -> float:
        """Cash and positions at these prices (1/10,000), in currency; a symbol without a price counts at what was paid."""
        total = 0.0
        for symbol, cash in self.cash.items():
            if not self.shares[symbol]:
                total += cash
            elif symbol in mids:
                total += cash + self.shares[symbol] * mids[symbol]
        return total / 10_000

    def _accepted(self, message: ouch.Accepted) -> Change | None:
        order = self.orders.get(message.user_ref)
        if order is None and (len(self.orders) >= MOST or not message.user_ref):  # no order has the number 0
            self.counts["unexpected"] += 1
            return None
        if order is None:  # of an earlier process
            sign = 1 if message.side == "B" else -1
            order = Order(message.user_ref, message.symbol, sign, message.quantity, message.price, message.quantity)
            self.orders[order.ref] = order
        if order.over:
            self.counts["unexpected"] += 1
            return Change(order)
        order.state = "accepted"
        return self.ended(order, "canceled", "dead on arrival") if message.order_state == "D" else Change(order)

    def _executed(self, message: ouch.Executed) -> Change | None:
        order = self.orders.get(message.user_ref)
        if order is None or message.quantity > order.left:
            self.counts["unexpected"] += 1
        if order is None:
            return None
        signed = order.sign * message.quantity
        order.left = max(0, order.left - message.quantity)
        order.filled += message.quantity
        order.paid += message.quantity * message.price
        self._move(order.symbol, signed, message.price)
        self._fills[message.match_number] = (order.ref, signed, message.price)
        while len(self._fills) > KEEP:
            del self._fills[next(iter(self._fills))]
        return self._left(order, "executed", Change(order, signed))

    def _broken(self, message: ouch.Broken) -> Change | None:
        """A trade is undone: the shares go back, the order stays over."""
        if not (found := self._fills.pop(message.match_number, None)) or found[0] not in self.orders:
            self.counts["unexpected"] += 1
            return None
        order, signed, price = self.orders[found[0]], *found[1:]
        order.filled -= abs(signed)
        order.paid -= abs(signed) * price
        self._move(order.symbol, -signed, price)
        return Change(order, -signed)

    def _shrunk(self, ref: int, shares: int, reason: str) -> Change | None:
        order = self.orders.get(ref)
        if order is None or not 0 <= shares <= order.left:
            self.counts["unexpected"] += 1
        if order is None:
            return None
        shares = max(0, min(shares, order.left))
        order.left -= shares
        order.reason = reason
        return self._left(order, "canceled", Change(order, 0, shares))

    def _rejected(self, message: ouch.Rejected) -> Change | None:
        reason = ouch.REJECT_REASONS.get(message.reason, f"0x{message.reason:04x}")
        self.rejects[reason] += 1
        order = self.orders.get(message.user_ref)
        if order is None or order.over:
            self.counts["unexpected"] += 1
            return None
        return self.ended(order, "rejected", reason)

    def _left(self, order: Order, state: str, change: Change) -> Change:
        """The change, knowing whether the order is over by it."""
        if order.left or order.over:
            order.state = order.state if order.over else "accepted"
            return change
        order.state = state
        self._forget(order)
        return change._replace(over=True)

    def _move(self, symbol: str, signed: int, price: int) -> None:
        self.shares[symbol] += signed
        self.cash[symbol] -= signed * price

    def _forget(self, order: Order) -> None:
        """An order is over: the oldest of those make room."""
        self._over.append(order.ref)
        if len(self._over) > 2 * KEEP:
            for ref in self._over[:KEEP]:
                self.orders.pop(ref, None)
            del self._over[:KEEP]
