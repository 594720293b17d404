"""Orders, positions and cash by what the exchange has reported, message by message; of no engine.

A position is what was executed and not broken, nothing else. Of an order that we have not sent ourselves, in an earlier process
say, the message that it was accepted tells everything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from hftlab.protocols import ouch
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES

MAX_FINISHED = 100_000  # orders that are over and still remembered; the journal has them all
MAX_ORDERS = 500_000  # orders at a time; of more, the exchange's word is not taken

NO_WORD = "no word of it"


class OrderState(Enum):
    """What an order may be. WITHHELD was decided on and not sent, LOST never reached the exchange, UNKNOWN may have."""

    SENT = "sent"
    ACCEPTED = "accepted"
    EXECUTED = "executed"
    CANCELED = "canceled"
    REJECTED = "rejected"
    WITHHELD = "withheld"
    LOST = "lost"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """Whether nothing more can come of it."""
        return self not in (OrderState.SENT, OrderState.ACCEPTED, OrderState.UNKNOWN)


@dataclass
class Order:
    """One order. left : shares that still work; sign : 1 buys, -1 sells; price in 1/10,000; reason : of a reject or cancel."""

    ref: int
    symbol: str
    sign: int
    quantity: int
    price: int
    left: int
    state: OrderState = OrderState.SENT
    filled: int = 0
    paid: int = 0  # sum of shares times price of its executions
    reason: str = ""
    instrument: int = 0
    latency_ns: int = 0  # from the kernel's stamp of the datagram that caused it to its last byte handed to the system
    sent_ns: int = 0  # monotonic; 0 for an order of an earlier process, and for one that was answered
    waited_ns: int = 0  # of these, before the datagram was read

    @classmethod
    def of(cls, terms: ouch.EnterOrder | ouch.Accepted) -> Order:
        """From the message that entered it, or that says it was accepted."""
        sign = 1 if terms.side == "B" else -1
        return cls(terms.user_ref, terms.symbol, sign, terms.quantity, terms.price, terms.quantity)


class Change(NamedTuple):
    """What a message changed, for the engine: shares filled (signed) and canceled, and whether the order is over."""

    order: Order
    filled: int = 0
    canceled: int = 0
    over: bool = False


class OrderRecords:
    """Orders, positions and cash.

    by_ref      : orders by UserRefNum; of those that are over the latest MAX_FINISHED
    shares      : by symbol, negative for a short position; cash : by symbol, in 1/10,000, negative for what was paid
    counts      : messages by name; `repeated` fills, which are not counted again; and what must not be: `overfills` (larger than
                  what is left of the order), `unknown_fills` (of orders nobody knows), `unexpected` others and `unreadable`
    rejects     : orders that the exchange has rejected, by reason
    """

    def __init__(self) -> None:
        self.by_ref: dict[int, Order] = {}
        self.shares: Counter[str] = Counter()
        self.cash: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.rejects: Counter[str] = Counter()
        self._fills: dict[tuple[int, int], tuple[int, int]] = {}  # (UserRefNum, match number) -> signed shares, price
        self._open: dict[int, Order] = {}  # those of `by_ref` that are not over
        self._finished: list[int] = []

    @property
    def fills(self) -> set[tuple[int, int]]:
        """The latest executions, those that were broken left out: (UserRefNum, match number)."""
        return set(self._fills)

    @property
    def open(self) -> list[Order]:
        """Orders that may still trade, oldest first."""
        return [order for order in self._open.values() if order.left]

    def add(self, order: Order) -> Order:
        """One that works, or may."""
        self.by_ref[order.ref] = self._open[order.ref] = order
        return order

    def sent(self, raw: bytes) -> Order:
        """An Enter Order that leaves, or is to be withheld."""
        return self.add(Order.of(ouch.EnterOrder.decode(raw[:ENTER_ORDER_BYTES])))

    def apply(self, message: ouch.Message) -> Change | None:
        """What a message changed; None if it is of no order that we have."""
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
                order = self.by_ref.get(message.user_ref)
                return self._shrunk(message.user_ref, order.left - message.quantity if order else 0, "modified")
            case ouch.Rejected():
                return self._rejected(message)
            case ouch.Replaced():
                self.counts["unexpected"] += 1  # nothing is replaced here
        return None

    def end_session(self) -> list[Change]:
        """Nothing of the session trades any more, and all of it has arrived: what becomes of the orders that were open."""
        states = {OrderState.ACCEPTED: OrderState.CANCELED, OrderState.SENT: OrderState.UNKNOWN}
        return [self._end(order, states[order.state], "end of session") for order in self.open if order.state in states]

    def lose_session(self) -> list[Order]:
        """The session is gone, and with it what had not arrived: the orders that were open are unknown from now on."""
        lost = [order for order in self.open if order.state is not OrderState.UNKNOWN]
        for order in lost:
            order.state, order.reason = OrderState.UNKNOWN, NO_WORD
        return lost

    def _accepted(self, message: ouch.Accepted) -> Change | None:
        order = self.by_ref.get(message.user_ref)
        if order is None and (len(self.by_ref) >= MAX_ORDERS or not message.user_ref):  # no order has the number 0
            self.counts["unexpected"] += 1
            return None
        if order is None:  # of an earlier process
            order = self.add(Order.of(message))
        if order.state.final:
            self.counts["unexpected"] += 1
            return Change(order)
        order.state = OrderState.ACCEPTED
        if message.order_state == "D":
            return self._end(order, OrderState.CANCELED, "dead on arrival")
        less = max(0, order.left - message.quantity) if not order.filled else 0  # accepted for fewer shares than asked for
        order.left -= less
        return Change(order, 0, less)

    def _executed(self, message: ouch.Executed) -> Change | None:
        order, fill = self.by_ref.get(message.user_ref), (message.user_ref, message.match_number)
        if fill in self._fills:  # repeated after a login, say: no second fill
            self.counts["repeated"] += 1
            return None
        if order is None:
            self.counts["unknown_fills"] += 1
            return None
        if message.quantity > order.left:
            self.counts["overfills"] += 1
        signed = order.sign * message.quantity
        order.left = max(0, order.left - message.quantity)
        order.filled += message.quantity
        order.paid += message.quantity * message.price
        self._move(order.symbol, signed, message.price)
        self._fills[fill] = (signed, message.price)
        while len(self._fills) > MAX_FINISHED:
            del self._fills[next(iter(self._fills))]
        return self._settle(order, OrderState.EXECUTED, Change(order, signed))

    def _broken(self, message: ouch.Broken) -> Change | None:
        """A trade is undone: the shares go back, the order stays over."""
        order, fill = self.by_ref.get(message.user_ref), self._fills.pop((message.user_ref, message.match_number), None)
        if order is None or fill is None:
            self.counts["unexpected"] += 1
            return None
        signed, price = fill
        order.filled -= abs(signed)
        order.paid -= abs(signed) * price
        self._move(order.symbol, -signed, price)
        return Change(order, -signed)

    def _shrunk(self, ref: int, shares: int, reason: str) -> Change | None:
        order = self.by_ref.get(ref)
        if order is None or not 0 <= shares <= order.left:
            self.counts["unexpected"] += 1
        if order is None:
            return None
        shares = max(0, min(shares, order.left))
        order.left -= shares
        order.reason = reason
        return self._settle(order, OrderState.CANCELED, Change(order, 0, shares))

    def _rejected(self, message: ouch.Rejected) -> Change | None:
        reason = ouch.REJECT_REASONS.get(message.reason, f"0x{message.reason:04x}")
        self.rejects[reason] += 1
        order = self.by_ref.get(message.user_ref)
        if order is None or order.state.final:
            self.counts["unexpected"] += 1
            return None
        return self._end(order, OrderState.REJECTED, reason)

    def _settle(self, order: Order, state: OrderState, change: Change) -> Change:
        """The change, knowing whether the order is over by it."""
        if order.left or order.state.final:
            order.state = order.state if order.state.final else OrderState.ACCEPTED
            return change
        order.state = state
        self._forget(order)
        return change._replace(over=True)

    def _end(self, order: Order, state: OrderState, reason: str) -> Change:
        """An order of which no report will come any more."""
        order.left, order.state, order.reason = 0, state, reason
        self._forget(order)
        return Change(order, over=True)

    def _move(self, symbol: str, signed: int, price: int) -> None:
        self.shares[symbol] += signed
        self.cash[symbol] -= signed * price

    def _forget(self, order: Order) -> None:
        """An order is over: the oldest of those make room."""
        self._open.pop(order.ref, None)
        self._finished.append(order.ref)
        if len(self._finished) > 2 * MAX_FINISHED:
            for ref in self._finished[:MAX_FINISHED]:
                self.by_ref.pop(ref, None)
            del self._finished[:MAX_FINISHED]
