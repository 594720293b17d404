"""The book at any message of a feed: the levels, the queues and the signals after it, exactly.

One pass forward runs the engine and, at regular intervals, writes the whole book down as the adds that make it again: each
live order once, level by level, the front of a queue first. To go to a message is to open a session, add what the checkpoint
before it holds, and apply the messages from there on. Signals come from the rows of the run, so they are those of the engine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from hftlab.engine.engine import Engine, decode
from hftlab.engine.run import Run, depth_frame, queue_frame, queue_place
from hftlab.engine.session import Session
from hftlab.errors import ConfigError, FeedError, check_whole
from hftlab.events import EVENT_DTYPE, Events, Kind, Side, describe
from hftlab.feeds.feed import Feed, messages
from hftlab.protocols.itch_messages import fields
from hftlab.stages.signal import NAMES, NO_VALUES

CHECKPOINTS, CLOSEST = 64, 1_000  # of a feed; messages from one to the next, at least
MAX_MESSAGES = 5_000_000  # rows and events are kept in memory

_TOUCH = ("bid_price", "bid_qty", "ask_price", "ask_qty")


@dataclass(frozen=True)
class Trade:
    """An execution against the book, or a trade against a hidden order. `price` in units."""

    index: int
    ts_ns: int
    price: int
    qty: int
    hidden: bool


@dataclass(frozen=True)
class BookSnapshot:
    """One instrument after message `index`. `top`: bid price, its quantity, ask price, its quantity; 0 for an empty side.

    description : the message in words; wire: its bytes without the length, b"" where the feed has none; ts_ns: its time
    trade       : the last one of the instrument up to here, None before the first
    """

    index: int
    ts_ns: int
    symbol: str
    instrument: int
    description: str
    wire: bytes
    top: tuple[int, int, int, int]
    signals: dict[str, float]
    trade: Trade | None
    _session_here: Callable[[], Session]

    @property
    def _session(self) -> Session:  # asked anew each time: meanwhile the history may have gone elsewhere
        return self._session_here()

    @property
    def fields(self) -> dict[str, Any]:
        """The message field by field, as the wire has it; empty where there are no bytes."""
        return fields(self.wire) if self.wire else {}

    def book(self) -> pl.DataFrame:
        """side, price, qty, orders; bids then asks, best first: what `Run.book` gives at the end of a run."""
        return depth_frame(self._session.depth(self.instrument))

    def queue(self, side: str, price: int) -> pl.DataFrame:
        """order_id, qty of one level, the front first. `side` is "bid" or "ask"."""
        return queue_frame(self._session, self.instrument, side, price)

    def locate(self, order_id: int) -> tuple[str, int] | None:
        """Side ("bid", "ask") and price of a live order; None if it is not live."""
        place = self._session.locate(order_id)
        return place and ("bid" if place[1] == Side.BID else "ask", place[2])

    def queue_position(self, order_id: int) -> tuple[int, int] | None:
        """How many orders, and how many shares or lots, stand before a live order in its level; None if it is not live."""
        place = queue_place(self._session, order_id)
        return place and place[:2]


class BookHistory:
    """A feed, run once, and its book at every message.

    feed   : up to 5,000,000 messages
    engine : what runs it, and what answers at each message; default: the one that "auto" means
    every  : messages from one checkpoint to the next; default about a 64th of the feed
    raises : FeedError for a feed that breaks off, or that is too long; ConfigError
    """

    def __init__(self, feed: Feed, engine: Engine | None = None, *, every: int | None = None) -> None:
        self.feed, self.engine = feed, engine or Engine()
        self.events: Events = decode(feed, self.engine)
        if len(self) > MAX_MESSAGES:
            raise FeedError(f"{feed.name} must have at most {MAX_MESSAGES:,} messages, got {len(self):,}: take its head")
        self.every = max(CLOSEST, len(self) // CHECKPOINTS) if every is None else check_whole("every", every, 1)
        self.run: Run = self.engine.run(feed)
        self._books = self.engine.replace(until="book")
        self._rows: dict[int, np.ndarray[Any, Any]] = {}
        self._trades = _trades(self.events)
        self._checkpoints = self._written()
        self._at: tuple[int, Session] | None = None  # messages applied, and to what

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        return f"<BookHistory of {self.feed.name} on {self.engine.backend}: {len(self):,} messages>"

    @property
    def symbols(self) -> list[str]:
        """The instruments that have a book, the busiest first."""
        numbers, counts = np.unique(self.events["instrument"][self.events["kind"] == Kind.ADD], return_counts=True)
        return [self.run.name(int(number)) for number in numbers[np.argsort(-counts, kind="stable")]]

    def at(self, index: int, symbol: str | None = None) -> BookSnapshot:
        """One instrument after message `index`, counted from 0.

        symbol : default: the instrument of that message, or where it has none the busiest one
        raises : ConfigError for an index that is not there; UnknownName for another symbol
        """
        check_whole("index", index, 0, len(self) - 1)
        event = self.events[index]
        instrument = self.run.instrument(symbol) if symbol else int(event["instrument"])
        if not symbol and not self.run.name(instrument):
            instrument = self.run.instrument(self.symbols[0]) if self.symbols else 0
        row = self._row(index, instrument)
        columns = self.run.columns
        return BookSnapshot(
            index=index,
            ts_ns=int(event["ts_ns"]),
            symbol=self.run.name(instrument),
            instrument=instrument,
            description=describe(event),
            wire=self._wire[index] if self.feed.wire == "itch" else b"",
            top=(0, 0, 0, 0) if row is None else tuple(int(columns[name][row]) for name in _TOUCH),  # type: ignore[arg-type]
            signals={name: float(NO_VALUES[at] if row is None else columns[name][row]) for at, name in enumerate(NAMES)},
            trade=self._trade(index, instrument),
            _session_here=lambda: self._session_after(index + 1),
        )

    def trades(self, symbol: str) -> list[Trade]:
        """Every trade of an instrument, in order. Raises UnknownName."""
        return self._trades.get(self.run.instrument(symbol), [])

    def lifetimes(self) -> pl.DataFrame:
        """A row per order: order_id, born and gone (message numbers), end ("EXECUTE", "DELETE", "REPLACE", "CANCEL"; with `gone`
        null while it lives), executed (shares or lots). A replaced order ends; the one in its place is another."""
        schema = {"order_id": pl.UInt64, "born": pl.Int64, "gone": pl.Int64, "end": pl.String, "executed": pl.Int64}
        return pl.DataFrame(_lifetimes(self.events), schema=schema, orient="row")

    def follow(self, order_id: int) -> pl.DataFrame:
        """An order's way through its queue, a row where something changed: index, kind (of the message), orders_ahead, ahead
        (shares or lots), qty (its own, left). It ends with the message that took it off the book (null, null, 0).

        raises : ConfigError for an order that never comes
        """
        ids, kinds = (self.events["order_id"], self.events["new_order_id"]), self.events["kind"]
        joins = ((ids[0] == order_id) & (kinds == Kind.ADD)) | ((ids[1] == order_id) & (kinds == Kind.REPLACE))
        if not joins.any():
            raise ConfigError(f"order_id must be an order of {self.feed.name}, got {order_id}, which never comes")
        first = int(np.argmax(joins))
        rows: list[tuple[int, str, int | None, int | None, int]] = []
        for index in range(first, len(self)):
            place = queue_place(self._session_after(index + 1), order_id) or (None, None, 0)
            if not rows or place != rows[-1][2:]:
                rows.append((index, Kind(int(kinds[index])).name, *place))
            if not place[2]:
                break
        return pl.DataFrame(rows, schema=["index", "kind", "orders_ahead", "ahead", "qty"], orient="row")

    def frame(self, symbol: str) -> pl.DataFrame:
        """The rows of `Run.frame` of one instrument. Raises UnknownName."""
        frame = self.run.frame
        return frame.filter(frame["instrument"] == self.run.instrument(symbol))

    @cached_property
    def _wire(self) -> list[bytes]:
        return [bytes(data[at : at + size]) for data, at, size in messages(self.feed)]

    def _row(self, index: int, instrument: int) -> int | None:
        """The row of the last message of an instrument up to `index`; None before the first."""
        if instrument not in self._rows:
            self._rows[instrument] = np.flatnonzero(self.events["instrument"] == instrument)
        place = int(np.searchsorted(self._rows[instrument], index, side="right"))
        return int(self._rows[instrument][place - 1]) if place else None

    def _trade(self, index: int, instrument: int) -> Trade | None:
        trades = self._trades.get(instrument, [])
        place = bisect_right(trades, index, key=lambda trade: trade.index)
        return trades[place - 1] if place else None

    def _written(self) -> list[Events]:
        """The adds that make the book before message 0, `every`, 2 * `every`, ..."""
        session, numbers, out = self._open(), np.unique(self.events["instrument"]).tolist(), []
        for start in range(0, max(len(self), 1), self.every):
            out.append(_adds(session, numbers))
            session.push_events(self.events[start : start + self.every])
        return out

    def _open(self) -> Session:
        return self._books.open(self._books.settings(self.feed, record="none"))

    def _session_after(self, count: int) -> Session:
        """A session to which exactly the first `count` messages have been applied: the last one, taken further if it is near."""
        if self._at and self._at[0] <= count < self._at[0] + self.every:
            start, session = self._at
        else:
            place = min(count // self.every, len(self._checkpoints) - 1)
            start, session = place * self.every, self._open()
            session.push_events(self._checkpoints[place])
        session.push_events(self.events[start:count])
        self._at = (count, session)
        return session


def _adds(session: Session, instruments: list[int]) -> Events:
    """Every live order as an ADD."""
    rows = [
        (0, number, 0, price, qty, instrument, int(Kind.ADD), side)
        for instrument in instruments
        for side, price, _, _ in session.depth(instrument)
        for number, qty in session.queue(instrument, side, price)
    ]
    return np.array(rows, EVENT_DTYPE)


def _trades(events: Events) -> dict[int, list[Trade]]:
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
            trade = Trade(index, ts_ns, price or prices[order_id], qty, kind == Kind.TRADE)
            out.setdefault(instrument, []).append(trade)
    return out


def _lifetimes(events: Events) -> list[tuple[int, int, int | None, str | None, int]]:
    """(order id, message that made it, message that ended it, how, quantity executed) by order, in the order of their making."""
    live: dict[int, list[Any]] = {}
    ended: list[list[Any]] = []
    for index, (_, order_id, new_order_id, _, qty, _, kind, _) in enumerate(events.tolist()):
        if kind == Kind.ADD:
            live[order_id] = [order_id, index, None, None, 0, qty]
        elif kind in (Kind.EXECUTE, Kind.CANCEL, Kind.DELETE, Kind.REPLACE) and (life := live.get(order_id)):
            taken = qty if kind in (Kind.EXECUTE, Kind.CANCEL) else life[5]
            life[4] += qty if kind == Kind.EXECUTE else 0
            life[5] -= taken
            if life[5] <= 0:
                life[2:4] = index, Kind(kind).name
                ended.append(live.pop(order_id))
            if kind == Kind.REPLACE:
                live[new_order_id] = [new_order_id, index, None, None, 0, qty]
    lives = sorted([*ended, *live.values()], key=lambda life: life[1])
    return [tuple(life[:5]) for life in lives]
