"""The order manager: our orders by UserRefNum, positions and cash by symbol, and what the engine must know of them.

Orders of an earlier process are learned from the messages that the exchange repeats when we log in, and what was in earlier
sessions from the journal, so a trader that comes back knows what it holds. The engine knows orders by UserRefNum and positions by
instrument, the exchange by symbol, and an engine that begins anew knows neither: `reconcile` gives it what the exchange has
reported. Until that is done for a symbol, its orders are withheld.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hftlab.engine.live import LiveSession
from hftlab.measurement.distribution import Times
from hftlab.net.trader.order_records import NO_WORD, Change, Order, OrderRecords, OrderState
from hftlab.protocols import ouch
from hftlab.stages.order import Accepted

if TYPE_CHECKING:
    import polars as pl

#: Writes one line of the journal: the event, and its values.
Note = Callable[..., None]


class OrderManager(OrderRecords):
    """The records of this trader, and its engine.

    live        : the engine; note : writes a line of the journal
    instruments : number by symbol, as far as the engine knows it
    times       : from an order's last byte to the first answer of the exchange to it, "acknowledged", ns
    """

    def __init__(self, live: LiveSession, note: Note) -> None:
        super().__init__()
        self.live, self.note = live, note
        self.instruments: dict[str, int] = {}
        self.times = Times("acknowledged")
        self._pending: set[str] = set()  # symbols of which the engine does not know everything yet
        self._unanswered: set[int] = set()  # on their way when the connection broke

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
        order = self.by_ref.get(getattr(message, "user_ref", 0))
        if order and order.sent_ns and not isinstance(message, ouch.AccountQueryResponse):
            self.times.add(now_ns - order.sent_ns)
            order.sent_ns = 0
        change = self.apply(message)
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
                order.state, order.reason = OrderState.UNKNOWN, NO_WORD
            self._note_state(order)
        if next_ref:
            self._unanswered.clear()

    def abandon(self) -> None:
        """The trader ends: of orders that are not answered by now it will never know whether they arrived."""
        for order in self.open:
            if order.state is OrderState.SENT:
                order.state, order.reason = OrderState.UNKNOWN, NO_WORD
                self._note_state(order)

    def session_ended(self) -> None:
        """Nothing of the session trades any more, and we have received all of it."""
        for change in self.end_session():
            self._inform(change)
            self._note_state(change.order)
        self._unanswered.clear()

    def session_lost(self) -> None:
        """The session is gone, and what it had not sent yet: what was open may have traded, so its shares stay reserved."""
        for order in self.lose_session():
            self._note_state(order)
        self._unanswered.clear()

    def carry_over(self, past: OrderRecords, last: int) -> None:
        """What an earlier session has left: positions, orders of which nobody knows what became, the last number it has used."""
        self.shares.update(past.shares)
        self.cash.update(past.cash)
        for order in past.open:
            self.add(order)
        self.live.set_next_order_id(last + 1)
        self._pending |= past.shares.keys() | {order.symbol for order in past.open}
        orders = [[order.ref, order.symbol, order.sign, order.quantity, order.price, order.left] for order in past.open]
        self.note("carried", shares=past.shares, cash=past.cash, orders=orders, last=last)

    def _note_state(self, order: Order) -> None:
        self.note("order", ref=order.ref, state=order.state.value, reason=order.reason)

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
