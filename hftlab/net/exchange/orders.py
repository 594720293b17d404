"""Open orders of the accounts, as the exchange keeps them, and what an order must be to be accepted.

This exchange trades limit orders in continuous trading, displayed, in whole. What would change how an order trades and is not
done here (pegs, reserves, minimum quantity, routing, post only, discretion) is refused, never ignored.

ExpireTime, which the specification gives as "u32 seconds" alone, is taken as seconds to live from when the order is entered or
replaced, as public implementations of edition B do: an assumption.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heapify, heappop, heappush

from hftlab.events import Side
from hftlab.protocols.channel import SECOND_NS
from hftlab.protocols.ouch import HIGHEST_LIMIT, MAX_SHARES, EnterOrder

BID, ASK = int(Side.BID), int(Side.ASK)
FIRST_NUMBER = 1 << 62  # our order references start here, where no feed has its own
IMMEDIATE, UNTIL_TIME = "3", "6"
_TIMES_IN_FORCE = "0356E"  # day, immediate or cancel, extended hours, until a time, after hours
_DAY_SECONDS = 86_400
_MIN_COMPACTION = 4_096  # orders with a time of expiry, at which those that are gone are looked for


@dataclass(slots=True, eq=False)
class RestingOrder:
    """An order while it is open.

    ref        : UserRefNum; number: the exchange's order reference
    side       : 1 buys, 2 sells
    price      : 1/10,000
    left       : shares open
    executed   : shares executed so far, over the whole chain of replaces
    expires_ns : time of day, ns since midnight; 0 for the end of the session
    ahead      : displayed orders at its price that came before it
    """

    account: str
    terms: EnterOrder
    number: int
    instrument: int
    side: int
    left: int
    executed: int = 0
    expires_ns: int = 0
    ahead: set[int] = field(default_factory=set)

    @property
    def ref(self) -> int:
        return self.terms.user_ref

    @property
    def price(self) -> int:
        return self.terms.price


#: The queues of one side: price -> orders, the first in time first.
Queues = dict[int, list[RestingOrder]]


@dataclass
class Account:
    """One OUCH port: the next UserRefNum that is new, its open orders by UserRefNum, and whether it may not enter orders."""

    next_ref: int = 1
    open: dict[int, RestingOrder] = field(default_factory=dict)
    disabled: bool = False


class OrderStore:
    """Every open order: by account and UserRefNum, in the queue of its price, and by its time of expiry.

    sides : the queues by instrument; an entry only for an instrument with at least one resting order
    """

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.sides: dict[int, tuple[Queues, Queues]] = {}
        self.last_number = FIRST_NUMBER
        self._expiring: list[tuple[int, int, RestingOrder]] = []
        self._compact_at = _MIN_COMPACTION

    def open(
        self, name: str, terms: EnterOrder, instrument: int, side: int, left: int, now_ns: int, executed: int = 0
    ) -> RestingOrder:
        """A new order of an account; it does not rest yet."""
        self.last_number += 1
        order = RestingOrder(name, terms, self.last_number, instrument, side, left, executed)
        self.accounts[name].open[order.ref] = order
        if terms.time_in_force == UNTIL_TIME:
            order.expires_ns = now_ns + terms.option("expire_time") * SECOND_NS
            heappush(self._expiring, (order.expires_ns, order.number, order))
            self._compact()
        return order

    def rest(self, order: RestingOrder) -> None:
        """Into the queue of its price, behind our others."""
        self.sides.setdefault(order.instrument, ({}, {}))[order.side - 1].setdefault(order.price, []).append(order)

    def remove(self, order: RestingOrder) -> None:
        """Out of its queue, if it rests, and out of its account."""
        self.accounts[order.account].open.pop(order.ref, None)
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

    def resting(self, instrument: int) -> list[RestingOrder]:
        """Those of one instrument, bids then asks, best first, in time priority."""
        sides = zip((BID, ASK), self.sides.get(instrument, ()), strict=False)
        return [order for side, queues in sides for price in best_first(queues, side) for order in queues[price]]

    def expired(self, now_ns: int) -> Iterator[RestingOrder]:
        """The open orders whose time has come; each is given once."""
        while self._expiring and self._expiring[0][0] <= now_ns:
            order = heappop(self._expiring)[2]
            if self._is_open(order):
                yield order

    def _is_open(self, order: RestingOrder) -> bool:
        return self.accounts[order.account].open.get(order.ref) is order

    def _compact(self) -> None:
        """Forget orders that are gone before their time, once they may be half of those that wait for it."""
        if len(self._expiring) > self._compact_at:
            self._expiring = [entry for entry in self._expiring if self._is_open(entry[2])]
            heapify(self._expiring)
            self._compact_at = max(_MIN_COMPACTION, 2 * len(self._expiring))


def better(a: int, b: int, side: int) -> bool:
    """Whether price a is strictly better than b for an order on this side: higher to buy, lower to sell."""
    return a > b if side == BID else a < b


def best_first(prices: Iterable[int], side: int) -> list[int]:
    """Prices of one side, the best first."""
    return sorted(prices, reverse=side == BID)


class RejectReason(IntEnum):
    """Reject reasons of OUCH 5.0 that this exchange gives."""

    CLOSED = 0x02
    INVALID_DISPLAY = 0x03
    INVALID_MAX_FLOOR = 0x04
    HALTED = 0x07
    ISO_NOT_ALLOWED = 0x08
    INVALID_SIDE = 0x09
    PROCESSING_ERROR = 0x0A
    NOT_AUTHORIZED = 0x0C
    INVALID_MIN_QTY = 0x0D
    OTHER = 0x0F
    PEGGING_NOT_ALLOWED = 0x11
    INVALID_QUANTITY = 0x13
    INVALID_CROSS = 0x14
    REPLACE_NOT_ALLOWED = 0x15
    ROUTING_NOT_ALLOWED = 0x16
    INVALID_SYMBOL = 0x17
    INVALID_PRICE = 0x1D


# Options that change nothing here: who sent it, for whom, and how it is reported.
_HARMLESS = {"firm", "customer_type", "bbo_weight_indicator", "group_id", "shares_located", "locate_broker", "expire_time"}
# Options that would change how the order trades, with the value that says "not at all" and the reason for any other.
_REFUSED: dict[str, tuple[object, RejectReason]] = {
    "min_qty": (0, RejectReason.INVALID_MIN_QTY),
    "max_floor": (0, RejectReason.INVALID_MAX_FLOOR),
    "random_reserves": (0, RejectReason.INVALID_MAX_FLOOR),
    "price_type": ("L", RejectReason.PEGGING_NOT_ALLOWED),
    "route": ("", RejectReason.ROUTING_NOT_ALLOWED),
    "post_only": ("N", RejectReason.OTHER),
    "trade_now": ("N", RejectReason.OTHER),
    "handle_inst": (" ", RejectReason.OTHER),
    "user_ref_idx": (0, RejectReason.OTHER),
}


def check_order(order: EnterOrder) -> RejectReason | None:
    """Why an order is rejected for what it says, None if it may be accepted. Symbol, halts and the session are not looked at."""
    if order.side not in tuple("BSTE"):
        return RejectReason.INVALID_SIDE
    if not 1 <= order.quantity <= MAX_SHARES:
        return RejectReason.INVALID_QUANTITY
    if not 1 <= order.price <= HIGHEST_LIMIT:  # above are market orders, for crosses only
        return RejectReason.INVALID_PRICE
    if order.display not in tuple("YA"):
        return RejectReason.INVALID_DISPLAY
    if order.cross_type != "N":
        return RejectReason.INVALID_CROSS
    if order.intermarket_sweep not in tuple("YN"):
        return RejectReason.ISO_NOT_ALLOWED
    if order.time_in_force not in tuple(_TIMES_IN_FORCE) or order.capacity not in tuple("APRO"):
        return RejectReason.OTHER
    if order.time_in_force == UNTIL_TIME and not 0 <= (order.option("expire_time") or -1) < _DAY_SECONDS:
        return RejectReason.OTHER
    return _check_options(order)


def _check_options(order: EnterOrder) -> RejectReason | None:
    for name, value in order.options.items():
        neutral, reason = _REFUSED.get(name, (None, RejectReason.OTHER))
        if name not in _HARMLESS and value != neutral and value != " ":
            return reason
    return None
