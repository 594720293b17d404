"""Between the engine and the exchange: what the one decided and the other said, brought to agreement.

The engine knows orders by UserRefNum and positions by instrument, the exchange by symbol, and an engine that begins anew knows
neither: `reconcile` gives it what the exchange has told. Until that is done for a symbol, its orders are withheld.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hftlab.engine.live import LiveSession
from hftlab.net.exchange.audit import message_to_dict
from hftlab.net.trader.positions import Change, Order, Positions
from hftlab.net.trader.settings import TraderSettings
from hftlab.protocols import ouch

if TYPE_CHECKING:
    from hftlab.stages.order import Accepted

Note = Callable[..., None]


class BookKeeping:
    """positions : all that the exchange has told; instruments : number by symbol, as far as known."""

    def __init__(self, live: LiveSession) -> None:
        self.live, self.positions = live, Positions()
        self.instruments: dict[str, int] = {}
        self._pending: set[str] = set()  # symbols of which the engine does not know everything yet
        self._doubtful: set[int] = set()  # on their way when the connection broke

    @property
    def open(self) -> list[Order]:
        """Orders that may still trade, oldest first."""
        return self.positions.open

    def attach(self, live: LiveSession) -> None:
        """A new engine, which is to learn what we hold and what still works."""
        self.live = live
        self.instruments.clear()
        held = {symbol for symbol, shares in self.positions.shares.items() if shares}
        self._pending = held | {order.symbol for order in self.open}

    def objects(self, raw: bytes) -> str:
        """Why an order must not leave, "" if nothing is against it."""
        if self._pending and raw[10:18].decode("latin-1").rstrip() in self._pending:
            return "position not known to the engine"
        return ""

    def decided(self, rows: list[Accepted], note: Note) -> None:
        """The engine's own record of orders that have just left, or were withheld."""
        for index, ts_ns, instrument, side, qty, price, score, _, ref in rows:
            order = self.positions.orders[ref]
            order.instrument = self.instruments[order.symbol] = instrument
            said = {"state": order.state, "reason": order.reason, "latency_ns": order.latency_ns}
            note(
                "order", ref=ref, index=index, ts_ns=ts_ns, instrument=instrument, symbol=order.symbol,
                side="BS"[side - 1], quantity=qty, price=price, limit=order.price, score=score, **said,
            )  # fmt: skip

    def hear(self, message: ouch.Message, note: Note) -> None:
        """One message of the exchange."""
        change = self.positions.hear(message)
        note("in", message=message_to_dict(message))
        if isinstance(message, ouch.Accepted):
            self.live.set_next_order_id(message.user_ref + 1)  # of an earlier process, it may be ahead of the engine's
        if change:
            self.tell(change)

    def tell(self, change: Change) -> None:
        """Let the engine know. What it does not know of an order it learns with `reconcile`."""
        order = change.order
        if change.filled * order.sign >= 0 and self.live.on_report(order.ref, abs(change.filled), change.canceled, change.over):
            return
        instrument = self.instruments.get(order.symbol)
        if instrument and order.symbol not in self._pending and not order.left:
            if change.filled:
                self.live.adjust_position(instrument, change.filled)
        else:
            self._pending.add(order.symbol)

    def broken(self) -> None:
        """The connection is gone: of orders without an answer nobody knows whether they arrived."""
        self._doubtful |= {order.ref for order in self.open if order.state == "sent"}

    def settled(self, following: int, note: Note) -> None:
        """The exchange has repeated everything; the next UserRefNum it takes is `following`, 0 if it has not said."""
        if following:
            self.live.set_next_order_id(following)
        for ref in sorted(self._doubtful):
            order = self.positions.orders.get(ref)
            if order is None or order.state not in ("sent", "unknown"):
                continue
            if following and ref >= following:
                self.tell(self.positions.ended(order, "lost", "never arrived"))
            else:
                # Its shares stay reserved: it may still be heard of.
                order.state, order.reason = "unknown", "no word of it"
            note("order", ref=ref, state=order.state, reason=order.reason)
        if following:
            self._doubtful.clear()

    def session_over(self, note: Note) -> None:
        """Nothing of the session trades any more."""
        for order in self.open:
            known = order.state == "accepted"
            self.tell(self.positions.ended(order, "canceled" if known else "unknown", "end of session"))
            note("order", ref=order.ref, state=order.state, reason=order.reason)
        self._doubtful.clear()

    def reconcile(self, note: Note) -> None:
        """Teach the engine what it does not know: positions, and open orders of others than itself."""
        if not self._pending:
            return
        before = len(self._pending)
        self.instruments |= {symbol: instrument for instrument, symbol in self.live.names.items()}
        held, working = self.live.positions, {ref for ref, *_ in self.live.working}
        for symbol in [symbol for symbol in self._pending if symbol in self.instruments]:
            instrument = self.instruments[symbol]
            self.live.adjust_position(instrument, self.positions.shares[symbol] - held.get(instrument, 0))
            for order in self.open:
                if order.symbol == symbol and order.ref not in working:
                    self.live.restore_order(order.ref, instrument, 1 if order.sign > 0 else 2, order.left)
            self._pending.discard(symbol)
        if len(self._pending) < before:
            note("reconciled")

    def mids(self) -> dict[str, float]:
        """The mid of every symbol that we hold and whose book has two sides, in 1/10,000."""
        found = {}
        for symbol, shares in self.positions.shares.items():
            if shares and (instrument := self.instruments.get(symbol)):
                bid, bids, ask, asks = self.live.session.best(instrument)
                if bids and asks:
                    found[symbol] = (bid + ask) / 2
        return found

    def profit(self) -> float:
        """Realised and at the mid, in currency."""
        return self.positions.profit(self.mids())

    def breaks(self, settings: TraderSettings) -> str:
        """Why the kill switch is to fall, "" if it is not."""
        if settings.kill_file and os.path.exists(settings.kill_file):
            return f"the file {settings.kill_file} is there"
        if settings.max_loss is not None and self.positions.shares:
            profit = self.profit()
            if profit < -settings.max_loss:
                return f"a loss of {-profit:,.2f}; allowed is {settings.max_loss:,.2f}"
        return ""

    def told(self) -> dict[str, Any]:
        """Orders by state, rejects by reason, positions."""
        states: dict[str, int] = {}
        for order in self.positions.orders.values():
            states[order.state] = states.get(order.state, 0) + 1
        return {
            "orders": states,
            "heard": dict(self.positions.counts),
            "rejected": dict(self.positions.rejects),
            "positions": {symbol: shares for symbol, shares in sorted(self.positions.shares.items()) if shares},
            "profit": round(self.profit(), 4),
        }
