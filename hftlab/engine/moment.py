"""One instrument at one message of a tape: the message, the book, the queues, the signals, the last trade."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.session import Session
from hftlab.events import Events, Kind, Side
from hftlab.protocols.itch_messages import fields

if TYPE_CHECKING:
    import polars as pl

_SIDES = {"bid": int(Side.BID), "ask": int(Side.ASK)}


@dataclass(frozen=True)
class Trade:
    """An execution against the book, or a trade against a hidden order. `price` in units."""

    index: int
    ts_ns: int
    price: int
    qty: int
    hidden: bool


@dataclass(frozen=True)
class Moment:
    """One instrument after message `index`. `top`: bid price, its quantity, ask price, its quantity; 0 for an empty side.

    said : the message in words; wire: its bytes without the length, b"" where the feed has none; ts_ns: its time
    trade: the last one of the instrument up to here, None before the first
    """

    index: int
    ts_ns: int
    symbol: str
    instrument: int
    said: str
    wire: bytes
    top: tuple[int, int, int, int]
    signals: dict[str, float]
    trade: Trade | None
    _wound: Callable[[], Session]

    @property
    def _session(self) -> Session:  # asked anew each time: meanwhile the tape may have been wound elsewhere
        return self._wound()

    @property
    def fields(self) -> dict[str, Any]:
        """The message field by field, as the wire has it; empty where there are no bytes."""
        return fields(self.wire) if self.wire else {}

    def levels(self, side: str) -> list[tuple[int, int, int]]:
        """(price, quantity, orders) of "bid" or "ask", best first."""
        return [level[1:] for level in self._session.depth(self.instrument) if level[0] == _SIDES[side]]

    def orders_at(self, side: str, price: int | None = None) -> list[tuple[int, int]]:
        """(order id, quantity) of one level, the front first; default the best one of that side."""
        if price is None:
            price = self.top[0 if side == "bid" else 2]
        return list(self._session.queue(self.instrument, _SIDES[side], price))

    def book(self) -> pl.DataFrame:
        """side, price, qty, orders; bids then asks, best first: what `Run.book` gives at the end of a run."""
        import polars as pl

        schema = {"side": pl.String, "price": pl.Int64, "qty": pl.UInt64, "orders": pl.UInt32}
        return pl.DataFrame([(side, *one) for side in ("bid", "ask") for one in self.levels(side)], schema=schema, orient="row")

    def queue(self, side: str, price: int | None = None) -> pl.DataFrame:
        """order_id, qty of one level, the front first; default the best one of that side."""
        import polars as pl

        return pl.DataFrame(self.orders_at(side, price), schema={"order_id": pl.UInt64, "qty": pl.UInt32}, orient="row")

    def place(self, order_id: int) -> tuple[str, int] | None:
        """Side ("bid", "ask") and price of a live order; None if it is not live."""
        place = self._session.locate(order_id)
        return place and ("bid" if place[1] == Side.BID else "ask", place[2])

    def position(self, order_id: int) -> tuple[int, int] | None:
        """How many orders, and how many shares or lots, stand before a live order in its level; None if it is not live."""
        session = self._session
        place = session.locate(order_id)
        if place is None:
            return None
        queue = session.queue(*place[:3])
        rank = [number for number, _ in queue].index(order_id)
        return rank, sum(qty for _, qty in queue[:rank])


def trades_of(events: Events) -> dict[int, list[Trade]]:
    """Trades by instrument. An execution names an order, whose price and instrument are looked up; hidden ones say both."""
    out: dict[int, list[Trade]] = {}
    prices: dict[int, int] = {}
    for index in np.flatnonzero(np.isin(events["kind"], [Kind.ADD, Kind.REPLACE, Kind.EXECUTE, Kind.TRADE])).tolist():
        ts_ns, order_id, new_order_id, price, qty, instrument, kind, _ = events[index].item()
        if kind == Kind.ADD:
            prices[order_id] = price
        elif kind == Kind.REPLACE:
            prices[new_order_id] = price
        elif price or order_id in prices:
            found = out.setdefault(instrument, [])
            found.append(Trade(index, ts_ns, price or prices[order_id], qty, kind == Kind.TRADE))
    return out


def lives_of(events: Events) -> list[tuple[int, int, int | None, str | None, int]]:
    """(order id, message that made it, message that ended it, how, quantity executed) by order, in the order of their making."""
    live: dict[int, list[Any]] = {}
    done: list[list[Any]] = []
    for index, (_, order_id, new_order_id, _, qty, _, kind, _) in enumerate(events.tolist()):
        if kind == Kind.ADD:
            live[order_id] = [order_id, index, None, None, 0, qty]
        elif kind in (Kind.EXECUTE, Kind.CANCEL, Kind.DELETE, Kind.REPLACE) and (one := live.get(order_id)):
            taken = qty if kind in (Kind.EXECUTE, Kind.CANCEL) else one[5]
            one[4] += qty if kind == Kind.EXECUTE else 0
            one[5] -= taken
            if one[5] <= 0:
                one[2:4] = index, Kind(kind).name
                done.append(live.pop(order_id))
            if kind == Kind.REPLACE:
                live[new_order_id] = [new_order_id, index, None, None, 0, qty]
    found = sorted([*done, *live.values()], key=lambda one: one[1])
    return [tuple(one[:5]) for one in found]
