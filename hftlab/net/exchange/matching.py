"""The matching engine: inbound OUCH messages and feed messages in, outbound OUCH messages out. No sockets, no clock of its own.

Every call takes the exchange's time, ns since midnight, and returns reports, (account, message), in the order in which they
happened. An account is one OUCH port: its UserRefNums rise strictly, and what does not rise is a retransmission and ignored.

Decisions where the specification leaves room:

* Two orders of one account never trade with each other: the older one is canceled (AIQ, strategy O, "cancel oldest").
* The quantity of a cancel or modify is the intended size of the whole chain, executed shares included, as in a replace.
* A replace with bad details, or to no more than has been executed, cancels the order; its number is not consumed.
* A lost connection cancels what its account has resting (reason Z), the end of the session everything (reason E).
* Trading hours of the feed do not gate order entry: orders are matched from the start of the session to its end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hftlab.net.exchange import rules
from hftlab.net.exchange.ledger import Account, Ledger, Report
from hftlab.net.exchange.resting import ASK, BID, Order
from hftlab.protocols import ouch
from hftlab.protocols.ouch import EnterOrder, Message
from hftlab.stages.tick import Tick

_LAST_REF = 2**32 - 1  # that fits; who has used it is told of it once more
_NEVER_UP = {("S", "E"), ("S", "T"), ("E", "T")}  # the changes of side that a modify may make


class Matcher(Ledger):
    """One session.

    most_live : live orders an account may have; more are rejected
    accepting : while False new orders and replaces are rejected, cancels are not
    counts    : orders by outcome (entered, accepted, rejected, replaced, executed, canceled, self_trades, ignored ...)
    """

    def __init__(self, *, most_live: int = 10_000) -> None:
        super().__init__()
        self.most_live, self.accepting, self.closed = most_live, True, False
        self.tick = Tick()
        self._instruments: dict[str, int] = {}

    # What happens -----------------------------------------------------------------------------------------------------------

    def open(self, account: str, now_ns: int) -> list[Report]:
        """An account is used for the first time in this session: it hears of the start of the day."""
        if account not in self.accounts:
            self.accounts[account] = Account()
            self._out.append((account, ouch.SystemEvent(now_ns, "S")))
        return self._taken()

    def restore(self, account: str, next_ref: int, order_number: int, match_number: int) -> None:
        """An account of a session that is taken up again: its numbers go on after these."""
        self.accounts[account] = own = Account()
        own.next_ref = next_ref
        self._number = max(self._number, order_number)
        self.market.last_match = max(self.market.last_match, match_number)

    def feed(self, blocks: bytes, now_ns: int) -> list[Report]:
        """Whole framed ITCH messages, as they were published."""
        self._now = now_ns
        self._expire()
        apply = self.market.apply
        for event in self.tick.events(blocks):
            apply(event)
        return self._taken()

    def inbound(self, account: str, message: Message, now_ns: int) -> list[Report]:
        """A message of a client; `open` must have been called for the account."""
        self._now = now_ns
        self._expire()
        own = self.accounts[account]
        match message:
            case ouch.EnterOrder():
                self._enter(account, own, message)
            case ouch.ReplaceOrder():
                self._replace(account, own, message)
            case ouch.CancelOrder():
                self._cancel_down(own.live.get(message.user_ref), message.quantity)
            case ouch.ModifyOrder():
                self._modify(own.live.get(message.user_ref), message)
            case ouch.AccountQuery():
                self._say(account, ouch.AccountQueryResponse(now_ns, min(own.next_ref, _LAST_REF)))
            case ouch.MassCancel() | ouch.DisableOrderEntry() | ouch.EnableOrderEntry():
                self._whole_account(account, own, message)
        return self._taken()

    def disconnected(self, account: str, now_ns: int) -> list[Report]:
        """The connection of an account was lost: cancel what it has resting."""
        self._now = now_ns
        self._cancel_all(self.accounts[account].live.values() if account in self.accounts else (), "Z")
        return self._taken()

    def close(self, now_ns: int) -> list[Report]:
        """The end of the session: everything is canceled, every account hears of the end of the day, once."""
        self._now = now_ns
        for name, account in self.accounts.items() if not self.closed else ():
            self._cancel_all(account.live.values(), "E")
            self._say(name, ouch.SystemEvent(now_ns, "E"))
        self.closed = True
        return self._taken()

    def instrument(self, symbol: str) -> int | None:
        """The instrument of a symbol, as far as the feed has told."""
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
        if reason := self._refuses(own, order, instrument):
            self._say(name, ouch.Rejected(self._now, order.user_ref, reason, order.cl_ord_id))
            return
        live = self._order(name, order, instrument or 0, BID if order.side == "B" else ASK, order.quantity)
        self._say(name, ouch.Accepted(self._now, **_terms(order), order_reference=live.number))
        self._work(live)

    def _refuses(self, own: Account, order: EnterOrder, instrument: int | None) -> int:
        if self.closed:
            return rules.CLOSED
        if not self.accepting:
            return rules.PROCESSING_ERROR
        if own.disabled:
            return rules.NOT_AUTHORIZED
        if instrument is None:
            return rules.INVALID_SYMBOL
        if instrument in self.market.halted:
            return rules.HALTED
        return rules.refuses(order) or (rules.OTHER if len(own.live) >= self.most_live else 0)

    def _replace(self, name: str, own: Account, message: ouch.ReplaceOrder) -> None:
        old = own.live.get(message.orig_user_ref)
        if old is None or message.user_ref < own.next_ref:
            self.counts["ignored"] += 1
            return
        if not self.accepting:
            own.next_ref = message.user_ref + 1
            reason = rules.REPLACE_NOT_ALLOWED
            self._say(name, ouch.Rejected(self._now, message.user_ref, reason, message.cl_ord_id))
            return
        changed = {key: getattr(message, key) for key in (*message.CODES, "appendage") if key != "orig_user_ref"}
        terms = replace(old.terms, **changed)
        left = message.quantity - old.executed
        if old.instrument in self.market.halted:
            self._cancel(old, old.left, "H")
        elif rules.refuses(terms) or left <= 0 or own.disabled:
            self._cancel(old, old.left, "U")
        else:
            own.next_ref = message.user_ref + 1
            self._gone(old)
            live = self._order(name, terms, old.instrument, old.side, left, old.executed)
            values = {**_terms(terms), "quantity": left}
            self._say(name, ouch.Replaced(self._now, message.orig_user_ref, **values, order_reference=live.number))
            self._work(live)

    def _cancel_down(self, order: Order | None, intended: int) -> None:
        """Cancel an order down to an intended size; what is redundant is ignored."""
        surplus = order.left - max(0, intended - order.executed) if order else 0
        if order is None or surplus <= 0:
            self.counts["ignored"] += 1
            return
        self._cancel(order, surplus, "U")

    def _modify(self, order: Order | None, message: ouch.ModifyOrder) -> None:
        """A change of side among sells, or a smaller size; anything else is ignored, and the place in the queue stays."""
        change = (order.terms.side, message.side) if order else ("", "")
        if order is None or (change not in _NEVER_UP and change[0] != change[1]):
            self.counts["ignored"] += 1
            return
        left = min(order.left, max(0, message.quantity - order.executed))
        if not left:
            self._cancel(order, order.left, "U")
            return
        order.left, order.terms = left, replace(order.terms, side=message.side)
        self._say(order.account, ouch.Modified(self._now, order.ref, message.side, left))

    def _whole_account(self, name: str, own: Account, message: Message) -> None:
        """Mass cancel, disable and enable (edition B): they use up a UserRefNum as orders do."""
        assert isinstance(message, ouch.MassCancel | ouch.DisableOrderEntry | ouch.EnableOrderEntry)
        if message.user_ref < own.next_ref:
            self.counts["ignored"] += 1
            return
        own.next_ref = message.user_ref + 1
        if isinstance(message, ouch.MassCancel):
            self._say(name, ouch.MassCancelResponse(self._now, message.user_ref, message.firm, message.symbol))
            side = message.option("side")
            found = [o for o in own.live.values() if message.symbol in ("", o.terms.symbol) and side in (None, o.terms.side)]
            self._cancel_all(found, "U")
            return
        own.disabled = isinstance(message, ouch.DisableOrderEntry)
        response = ouch.DisableResponse if own.disabled else ouch.EnableResponse
        self._say(name, response(self._now, message.user_ref, message.firm))


def _terms(order: EnterOrder) -> dict[str, Any]:
    """The fields that an accepted or replaced order has in common with what was asked for."""
    return {key: getattr(order, key) for key in (*order.CODES, "appendage")}
