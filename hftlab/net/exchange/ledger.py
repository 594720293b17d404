"""Live orders of ours: how each comes to be, trades, shrinks and ends, and who is told.

Every happening is one report, (account, outbound message), in the order in which they happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from hftlab.net.exchange import rules
from hftlab.net.exchange.market import Market
from hftlab.net.exchange.resting import Order
from hftlab.protocols import ouch
from hftlab.protocols.ouch import EnterOrder, Message

Report = tuple[str, Message]

ORDERS = 1 << 62  # our order references start here, where no feed has its own
_SECOND_NS = 1_000_000_000
_CROWDED = 4_096  # orders with a time of expiry, at which those that are gone are looked for


class Account:
    """One port: the next UserRefNum that is new, its live orders by UserRefNum, and whether it may enter orders."""

    def __init__(self) -> None:
        self.next_ref = 1
        self.live: dict[int, Order] = {}
        self.disabled = False


class Ledger:
    """The orders of all accounts, in the market. `counts` has every message sent, by its name, and a few sums besides."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.market = Market(self._fill, self._self_trade)
        self.counts: Counter[str] = Counter()
        self._now = 0
        self._number = ORDERS
        self._out: list[Report] = []
        self._expiring: list[tuple[int, int, Order]] = []
        self._crowded = _CROWDED

    def _order(self, name: str, terms: EnterOrder, instrument: int, side: int, left: int, executed: int = 0) -> Order:
        self._number += 1
        order = Order(name, terms.user_ref, self._number, instrument, side, terms.price, left)
        order.terms, order.executed = terms, executed
        if terms.time_in_force == rules.UNTIL_TIME:
            order.expires_ns = terms.option("expire_time") * _SECOND_NS
            heappush(self._expiring, (order.expires_ns, order.number, order))
            self._tidy()
        self.accounts[name].live[order.ref] = order
        return order

    def _work(self, order: Order) -> None:
        self.market.trade(order)
        if order.left and order.terms.time_in_force == rules.IMMEDIATE:
            self._cancel(order, order.left, "I")
        elif order.left:
            self.market.rest(order)

    def _fill(self, order: Order, shares: int, price: int, took: bool, match: int) -> None:
        order.left -= shares
        order.executed += shares
        self.counts["executed_shares"] += shares
        self._say(order.account, ouch.Executed(self._now, order.ref, shares, price, "R" if took else "A", match))
        if not order.left:
            self.accounts[order.account].live.pop(order.ref, None)

    def _self_trade(self, taker: Order, maker: Order, shares: int, price: int) -> None:
        self._say(maker.account, ouch.AiqCanceled(self._now, maker.ref, maker.left, "Q", shares, price, "A", "O"))
        maker.left = 0
        self._gone(maker)

    def _cancel(self, order: Order, shares: int, reason: str) -> None:
        order.left -= shares
        self._say(order.account, ouch.Canceled(self._now, order.ref, shares, reason))
        if not order.left:
            self._gone(order)

    def _cancel_all(self, orders: Iterable[Order], reason: str) -> None:
        for order in list(orders):
            self._cancel(order, order.left, reason)

    def _gone(self, order: Order) -> None:
        self.market.resting.remove(order)
        self.accounts[order.account].live.pop(order.ref, None)

    def _expire(self) -> None:
        while self._expiring and self._expiring[0][0] <= self._now:
            order = heappop(self._expiring)[2]
            if self.accounts[order.account].live.get(order.ref) is order:
                self._cancel(order, order.left, "T")

    def _tidy(self) -> None:
        """Forget orders that are gone before their time, once they may be half of those that wait for it."""
        if len(self._expiring) > self._crowded:
            self._expiring = [one for one in self._expiring if self.accounts[one[2].account].live.get(one[2].ref) is one[2]]
            heapify(self._expiring)
            self._crowded = max(_CROWDED, 2 * len(self._expiring))

    def _say(self, account: str, message: Message) -> None:
        self.counts[message.NAME] += 1
        self._out.append((account, message))

    def _taken(self) -> list[Report]:
        out, self._out = self._out, []
        return out
