"""The matching engine: inbound OUCH messages and feed messages in, outbound OUCH messages out. No sockets, no clock of its own.

Every call takes the exchange's time, ns since midnight, and returns reports, (account, message), in the order in which they
happened. An account is one OUCH port: its UserRefNums rise strictly, and what does not rise is a retransmission and ignored.

Decisions where the specification leaves room:

* Two orders of one account never trade with each other: the older one is canceled (AIQ, strategy O, "cancel oldest").
* The quantity of a cancel or modify is the intended size of the whole chain, executed shares included, as in a replace.
* A replace with bad details, or to no more than has been executed, cancels the order; its number is not consumed.
* A lost connection cancels what its account has resting (reason Z), the end of the session everything (reason E).
* ExpireTime counts from when the order is entered or replaced; see `hftlab.net.exchange.orders`.
* Trading hours of the feed do not gate order entry: orders are matched from the start of the session to its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hftlab.net.exchange.market import Market
from hftlab.net.exchange.orders import ASK, BID, IMMEDIATE, Account, OrderStore, RejectReason, RestingOrder, check_order
from hftlab.protocols import ouch
from hftlab.protocols.ouch import EnterOrder, Message
from hftlab.stages.tick import Tick

#: An outbound message, and the account it goes to.
Report = tuple[str, Message]

_LAST_REF = 2**32 - 1  # the last that fits; an account that has used it gets it as the next one, too
_SIDE_CHANGES = {("S", "E"), ("S", "T"), ("E", "T")}  # the changes of side that a modify may make


class Matcher:
    """One session.

    max_open_orders : open orders an account may have; more are rejected
    accepting       : while False new orders and replaces are rejected, cancels are not
    counts          : every message sent, by its name, and entered, ignored, executed_shares
    """

    def __init__(self, *, max_open_orders: int = 10_000) -> None:
        self.max_open_orders, self.accepting, self.closed = max_open_orders, True, False
        self.store = OrderStore()
        self.market = Market(self.store, self._fill, self._self_trade)
        self.tick = Tick()
        self.counts: Counter[str] = Counter()
        self._now = 0
        self._out: list[Report] = []
        self._instruments: dict[str, int] = {}

    # What happens -----------------------------------------------------------------------------------------------------------

    def open(self, account: str, now_ns: int) -> list[Report]:
        """An account is used for the first time in this session: it hears of the start of the day."""
        if account not in self.store.accounts:
            self.store.accounts[account] = Account()
            self._out.append((account, ouch.SystemEvent(now_ns, "S")))
        return self._reports()

    def restore(self, account: str, next_ref: int, order_number: int, match_number: int) -> None:
        """An account of a session that is taken up again: its numbers go on after these."""
        self.store.accounts[account] = Account(next_ref)
        self.store.last_number = max(self.store.last_number, order_number)
        self.market.last_match = max(self.market.last_match, match_number)

    def feed(self, blocks: bytes, now_ns: int) -> list[Report]:
        """Whole framed ITCH messages, as they were published."""
        self._expire(now_ns)
        apply = self.market.apply
        for event in self.tick.events(blocks):
            apply(event)
        return self._reports()

    def inbound(self, account: str, message: Message, now_ns: int) -> list[Report]:
        """A message of a client; `open` must have been called for the account."""
        self._expire(now_ns)
        own = self.store.accounts[account]
        match message:
            case ouch.EnterOrder():
                self._enter(account, own, message)
            case ouch.ReplaceOrder():
                self._replace(account, own, message)
            case ouch.CancelOrder():
                self._cancel_down(own.open.get(message.user_ref), message.quantity)
            case ouch.ModifyOrder():
                self._modify(own.open.get(message.user_ref), message)
            case ouch.AccountQuery():
                self._report(account, ouch.AccountQueryResponse(now_ns, min(own.next_ref, _LAST_REF)))
            case ouch.MassCancel() | ouch.DisableOrderEntry() | ouch.EnableOrderEntry():
                self._whole_account(account, own, message)
        return self._reports()

    def disconnected(self, account: str, now_ns: int) -> list[Report]:
        """The connection of an account was lost: cancel what it has resting."""
        self._now = now_ns
        known = self.store.accounts.get(account)
        self._cancel_all(known.open.values() if known else (), "Z")
        return self._reports()

    def close(self, now_ns: int) -> list[Report]:
        """The end of the session: everything is canceled, every account hears of the end of the day, once."""
        self._now = now_ns
        for name, account in self.store.accounts.items() if not self.closed else ():
            self._cancel_all(account.open.values(), "E")
            self._report(name, ouch.SystemEvent(now_ns, "E"))
        self.closed = True
        return self._reports()

    def instrument(self, symbol: str) -> int | None:
        """The instrument of a symbol, None where the feed has not named it."""
        if len(self._instruments) != len(self.tick.names):
            self._instruments = {name.decode("latin-1").rstrip(): number for number, name in self.tick.names.items()}
        return self._instruments.get(symbol)

    # Messages ---------------------------------------------------------------------------------------------------------------

    def _enter(self, name: str, own: Account, order: EnterOrder) -> None:
        if order.user_ref < own.next_ref:
            self.counts["ignored"] += 1
            return
        own.next_ref = order.user_ref + 1
        self.counts["entered"] += 1
        instrument = self.instrument(order.symbol)
        if reason := self._reject_reason(own, order, instrument):
            self._report(name, ouch.Rejected(self._now, order.user_ref, reason, order.cl_ord_id))
            return
        side = BID if order.side == "B" else ASK
        opened = self.store.open(name, order, instrument or 0, side, order.quantity, self._now)
        self._report(name, ouch.Accepted(self._now, **_terms(order), order_reference=opened.number))
        self._work(opened)

    def _reject_reason(self, own: Account, order: EnterOrder, instrument: int | None) -> RejectReason | None:
        if self.closed:
            return RejectReason.CLOSED
        if not self.accepting:
            return RejectReason.PROCESSING_ERROR
        if own.disabled:
            return RejectReason.NOT_AUTHORIZED
        if instrument is None:
            return RejectReason.INVALID_SYMBOL
        if instrument in self.market.halted:
            return RejectReason.HALTED
        return check_order(order) or (RejectReason.OTHER if len(own.open) >= self.max_open_orders else None)

    def _replace(self, name: str, own: Account, message: ouch.ReplaceOrder) -> None:
        old = own.open.get(message.orig_user_ref)
        if old is None or message.user_ref < own.next_ref:
            self.counts["ignored"] += 1
            return
        if not self.accepting:
            own.next_ref = message.user_ref + 1
            reason = RejectReason.REPLACE_NOT_ALLOWED
            self._report(name, ouch.Rejected(self._now, message.user_ref, reason, message.cl_ord_id))
            return
        changed = {key: getattr(message, key) for key in (*message.CODES, "appendage") if key != "orig_user_ref"}
        terms = replace(old.terms, **changed)
        left = message.quantity - old.executed
        if old.instrument in self.market.halted:
            self._cancel(old, old.left, "H")
        elif check_order(terms) or left <= 0 or own.disabled:
            self._cancel(old, old.left, "U")
        else:
            own.next_ref = message.user_ref + 1
            self.store.remove(old)
            opened = self.store.open(name, terms, old.instrument, old.side, left, self._now, old.executed)
            values = {**_terms(terms), "quantity": left}
            self._report(name, ouch.Replaced(self._now, message.orig_user_ref, **values, order_reference=opened.number))
            self._work(opened)

    def _cancel_down(self, order: RestingOrder | None, intended: int) -> None:
        """Cancel an order down to an intended size; what is redundant is ignored."""
        surplus = order.left - max(0, intended - order.executed) if order else 0
        if order is None or surplus <= 0:
            self.counts["ignored"] += 1
            return
        self._cancel(order, surplus, "U")

    def _modify(self, order: RestingOrder | None, message: ouch.ModifyOrder) -> None:
        """A change of side among sells, or a smaller size; anything else is ignored, and the place in the queue stays."""
        change = (order.terms.side, message.side) if order else ("", "")
        if order is None or (change not in _SIDE_CHANGES and change[0] != change[1]):
            self.counts["ignored"] += 1
            return
        left = min(order.left, max(0, message.quantity - order.executed))
        if not left:
            self._cancel(order, order.left, "U")
            return
        order.left, order.terms = left, replace(order.terms, side=message.side)
        self._report(order.account, ouch.Modified(self._now, order.ref, message.side, left))

    def _whole_account(self, name: str, own: Account, message: Message) -> None:
        """Mass cancel, disable and enable (edition B): they use up a UserRefNum as orders do."""
        assert isinstance(message, ouch.MassCancel | ouch.DisableOrderEntry | ouch.EnableOrderEntry)
        if message.user_ref < own.next_ref:
            self.counts["ignored"] += 1
            return
        own.next_ref = message.user_ref + 1
        if isinstance(message, ouch.MassCancel):
            self._report(name, ouch.MassCancelResponse(self._now, message.user_ref, message.firm, message.symbol))
            side = message.option("side")
            meant = [o for o in own.open.values() if message.symbol in ("", o.terms.symbol) and side in (None, o.terms.side)]
            self._cancel_all(meant, "U")
            return
        own.disabled = isinstance(message, ouch.DisableOrderEntry)
        response = ouch.DisableResponse if own.disabled else ouch.EnableResponse
        self._report(name, response(self._now, message.user_ref, message.firm))

    # Orders -------------------------------------------------------------------------------------------------------------------

    def _work(self, order: RestingOrder) -> None:
        """A new order trades with what it reaches; what is left of it rests, or is canceled."""
        self.market.trade(order)
        if order.left and order.terms.time_in_force == IMMEDIATE:
            self._cancel(order, order.left, "I")
        elif order.left:
            self.market.rest(order)

    def _fill(self, order: RestingOrder, shares: int, price: int, took: bool, match: int) -> None:
        order.left -= shares
        order.executed += shares
        self.counts["executed_shares"] += shares
        self._report(order.account, ouch.Executed(self._now, order.ref, shares, price, "R" if took else "A", match))
        if not order.left:
            self.store.remove(order)

    def _self_trade(self, taker: RestingOrder, maker: RestingOrder, shares: int, price: int) -> None:
        self._report(maker.account, ouch.AiqCanceled(self._now, maker.ref, maker.left, "Q", shares, price, "A", "O"))
        maker.left = 0
        self.store.remove(maker)

    def _cancel(self, order: RestingOrder, shares: int, reason: str) -> None:
        order.left -= shares
        self._report(order.account, ouch.Canceled(self._now, order.ref, shares, reason))
        if not order.left:
            self.store.remove(order)

    def _cancel_all(self, orders: Iterable[RestingOrder], reason: str) -> None:
        for order in list(orders):
            self._cancel(order, order.left, reason)

    def _expire(self, now_ns: int) -> None:
        self._now = now_ns
        for order in self.store.expired(now_ns):
            self._cancel(order, order.left, "T")

    def _report(self, account: str, message: Message) -> None:
        self.counts[message.NAME] += 1
        self._out.append((account, message))

    def _reports(self) -> list[Report]:
        """What has been reported since the last call."""
        out, self._out = self._out, []
        return out


def _terms(order: EnterOrder) -> dict[str, Any]:
    """The fields that an accepted or replaced order has in common with what was asked for."""
    return {key: getattr(order, key) for key in (*order.CODES, "appendage")}
