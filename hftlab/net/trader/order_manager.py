"""The order manager: our orders by UserRefNum, positions and cash by symbol, and what the engine must know of them.

A position is what was executed and not broken, nothing else. Orders of an earlier process are learned from the messages that the
exchange repeats when we log in, so a trader that comes back knows what it holds. The engine knows orders by UserRefNum and
positions by instrument, the exchange by symbol, and an engine that begins anew knows neither: `reconcile` gives it what the
exchange has reported. Until that is done for a symbol, its orders are withheld.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from hftlab.engine.live import LiveSession
from hftlab.net.times import Times
from hftlab.protocols import ouch
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES
from hftlab.stages.order import Accepted

if TYPE_CHECKING:
    import polars as pl

MAX_FINISHED = 100_000  # orders that are over and still remembered; the journal has them all
MAX_ORDERS = 500_000  # orders at a time; of more, the exchange's word is not taken

_NO_WORD = "no word of it"

#: Writes one line of the journal: the event, and its values.
Note = Callable[..., None]


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


class OrderManager:
    """Orders, positions and cash.

    live        : the engine; note : writes a line of the journal
    by_ref      : orders by UserRefNum; of those that are over the latest MAX_FINISHED
    shares      : by symbol, negative for a short position; cash : by symbol, in 1/10,000, negative for what was paid
    instruments : number by symbol, as far as the engine knows it
    counts      : messages by name; `repeated` fills, which are not counted again; and what must not be: `overfills` (larger than
                  what is left of the order), `unknown_fills` (of orders nobody knows), `unexpected` others and `unreadable`
    times       : from an order's last byte to the first answer of the exchange to it, "acknowledged", ns
    rejects     : orders that the exchange has rejected, by reason
    """

    def __init__(self, live: LiveSession, note: Note) -> None:
        self.live, self.note = live, note
        self.by_ref: dict[int, Order] = {}
        self.shares: Counter[str] = Counter()
        self.cash: Counter[str] = Counter()
        self.instruments: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self.rejects: Counter[str] = Counter()
        self.times = Times("acknowledged")
        self._fills: dict[tuple[int, int], tuple[int, int]] = {}  # (UserRefNum, match number) -> signed shares, price
        self._open: dict[int, Order] = {}  # those of `by_ref` that are not over
        self._finished: list[int] = []
        self._pending: set[str] = set()  # symbols of which the engine does not know everything yet
        self._unanswered: set[int] = set()  # on their way when the connection broke

    @property
    def open(self) -> list[Order]:
        """Orders that may still trade, oldest first."""
        return [order for order in self._open.values() if order.left]

    # The engine -------------------------------------------------------------------------------------------------------------

    def attach(self, live: LiveSession) -> None:
        """A new engine, which is to learn what we hold and what still works."""
        self.live = live
        self.instruments.clear()
        held = {symbol for symbol, shares in self.shares.items() if shares}
        self._pending = held | {order.symbol for order in self.open}

    def is_known(self, raw: bytes) -> bool:
        """Whether the engine knew position and open orders of the symbol of this Enter Order when it decided on it."""
        return not self._pending or raw[10:18].decode("latin-1").rstrip() not in self._pending

    def sent(self, raw: bytes) -> Order:
        """An Enter Order that leaves, or is to be withheld."""
        order = Order.of(ouch.EnterOrder.decode(raw[:ENTER_ORDER_BYTES]))
        self.by_ref[order.ref] = self._open[order.ref] = order
        return order

    def withheld(self, order: Order, reason: str) -> None:
        """The engine decided on an order that did not leave."""
        self._inform(self._end(order, OrderState.WITHHELD, reason))

    def decided(self, rows: Iterable[Accepted]) -> None:
        """The engine's own record of orders that have just left, or were withheld."""
        for index, ts_ns, instrument, side, qty, price, score, _, ref, _ in rows:
            order = self.by_ref[ref]
            order.instrument = self.instruments[order.symbol] = instrument
            self.note(
                "order", ref=ref, index=index, ts_ns=ts_ns, instrument=instrument, symbol=order.symbol, side="BS"[side - 1],
                quantity=qty, price=price, limit=order.price, score=score,
                state=order.state.value, reason=order.reason, latency_ns=order.latency_ns,
                waited_ns=order.waited_ns,
            )  # fmt: skip

    def reconcile(self) -> None:
        """Teach the engine what it does not know: positions, and open orders of others than itself."""
        if not self._pending:
            return
        self.instruments |= {symbol: instrument for instrument, symbol in self.live.names.items()}
        positions, working = self.live.positions, {ref for ref, *_ in self.live.working}
        known = [symbol for symbol in self._pending if symbol in self.instruments]
        for symbol in known:
            instrument = self.instruments[symbol]
            self.live.adjust_position(instrument, self.shares[symbol] - positions.get(instrument, 0))
            for order in self.open:
                if order.symbol == symbol and order.ref not in working:
                    self.live.restore_order(order.ref, instrument, 1 if order.sign > 0 else 2, order.left)
            self._pending.discard(symbol)
        if known:
            self.note("reconciled")

    def _inform(self, change: Change) -> None:
        """Let the engine know. What it does not know of an order it learns with `reconcile`."""
        order = change.order
        if change.filled * order.sign >= 0 and self.live.on_report(order.ref, abs(change.filled), change.canceled, change.over):
            return
        instrument = self.instruments.get(order.symbol)
        if not instrument or order.symbol in self._pending or order.left:
            self._pending.add(order.symbol)
        elif change.filled:
            self.live.adjust_position(instrument, change.filled)

    # The exchange -----------------------------------------------------------------------------------------------------------

    def on_message(self, message: ouch.Message, now_ns: int = 0) -> None:
        """One message of the exchange, read at a time of the monotonic clock."""
        self.counts[message.NAME] += 1
        order = self.by_ref.get(getattr(message, "user_ref", 0))
        if order and order.sent_ns and not isinstance(message, ouch.AccountQueryResponse):
            self.times.add(now_ns - order.sent_ns)
            order.sent_ns = 0
        change = self._apply(message)
        self.note("in", message=message)
        if isinstance(message, ouch.Accepted):
            self.live.set_next_order_id(message.user_ref + 1)  # of an earlier process, it may be ahead of the engine's
        if change:
            self._inform(change)

    def disconnected(self) -> None:
        """The connection is gone: of orders without an answer nobody knows whether they arrived."""
        self._unanswered |= {order.ref for order in self.open if order.state is OrderState.SENT}

    def resynced(self, next_ref: int) -> None:
        """The exchange has repeated everything; the next UserRefNum it takes is `next_ref`, 0 if unknown."""
        if next_ref:
            self.live.set_next_order_id(next_ref)
        for ref in sorted(self._unanswered):
            order = self.by_ref.get(ref)
            if order is None or order.state not in (OrderState.SENT, OrderState.UNKNOWN):
                continue
            if next_ref and ref >= next_ref:
                self._inform(self._end(order, OrderState.LOST, "never arrived"))
            else:
                # Its shares stay reserved: a report may still come.
                order.state, order.reason = OrderState.UNKNOWN, _NO_WORD
            self.note("order", ref=ref, state=order.state.value, reason=order.reason)
        if next_ref:
            self._unanswered.clear()

    def abandon(self) -> None:
        """The trader ends: of orders that are not answered by now it will never know whether they arrived."""
        for order in self.open:
            if order.state is OrderState.SENT:
                order.state, order.reason = OrderState.UNKNOWN, _NO_WORD
                self.note("order", ref=order.ref, state=order.state.value, reason=order.reason)

    def session_ended(self) -> None:
        """Nothing of the session trades any more, and we have been told all of it."""
        for order in self.open:
            if order.state is not OrderState.UNKNOWN:
                state = OrderState.CANCELED if order.state is OrderState.ACCEPTED else OrderState.UNKNOWN
                self._inform(self._end(order, state, "end of session"))
                self.note("order", ref=order.ref, state=order.state.value, reason=order.reason)
        self._unanswered.clear()

    def session_lost(self) -> None:
        """The session is gone, and what it had not told us: what was open may have traded, so its shares stay reserved."""
        for order in self.open:
            if order.state is not OrderState.UNKNOWN:
                order.state, order.reason = OrderState.UNKNOWN, _NO_WORD
                self.note("order", ref=order.ref, state=order.state.value, reason=order.reason)
        self._unanswered.clear()

    def _apply(self, message: ouch.Message) -> Change | None:
        """What a message changed; None if it is of no order that we have."""
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

    def _accepted(self, message: ouch.Accepted) -> Change | None:
        order = self.by_ref.get(message.user_ref)
        if order is None and (len(self.by_ref) >= MAX_ORDERS or not message.user_ref):  # no order has the number 0
            self.counts["unexpected"] += 1
            return None
        if order is None:  # of an earlier process
            order = self.by_ref[message.user_ref] = self._open[message.user_ref] = Order.of(message)
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

    # What it comes to -------------------------------------------------------------------------------------------------------

    def profit(self) -> float:
        """Realised and at the mid, in currency; a symbol whose book has not two sides counts at what was paid."""
        total = 0.0
        for symbol, cash in self.cash.items():
            if not (shares := self.shares[symbol]):
                total += cash
            elif instrument := self.instruments.get(symbol):
                bid, bids, ask, asks = self.live.session.best(instrument)
                if bids and asks:
                    total += cash + shares * ((bid + ask) / 2)
        return total / 10_000

    def summary(self) -> dict[str, Any]:
        """Orders by state, messages by name, rejects by reason, positions in shares, profit in currency."""
        return {
            "orders": dict(Counter(order.state.value for order in self.by_ref.values())),
            "received": dict(self.counts),
            "rejected": dict(self.rejects),
            "positions": {symbol: shares for symbol, shares in sorted(self.shares.items()) if shares},
            "profit": round(self.profit(), 4),
        }

    def frame(self) -> pl.DataFrame:
        """One row per order: user_ref u32, symbol, side, quantity, limit (1/10,000), state, filled, average_price (1/10,000; null
        if nothing was executed), reason, latency_ns, of which waited_ns."""
        import polars as pl

        rows = [
            (order.ref, order.symbol, "B" if order.sign > 0 else "S", order.quantity, order.price, order.state.value,
             order.filled, order.paid / order.filled if order.filled else None, order.reason, order.latency_ns, order.waited_ns)
            for order in self.by_ref.values()
        ]  # fmt: skip
        schema = {
            "user_ref": pl.UInt32, "symbol": pl.String, "side": pl.String, "quantity": pl.UInt32, "limit": pl.Int64,
            "state": pl.String, "filled": pl.UInt32, "average_price": pl.Float64, "reason": pl.String, "latency_ns": pl.Int64,
            "waited_ns": pl.Int64,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")
