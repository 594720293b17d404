"""A feed that can be wound to any of its messages: the book, the queues and the signals after it, exactly.

One pass forward runs the engine and, every so many messages, writes the whole book down as the adds that make it again: each
live order once, level by level, the front of a queue first. To wind to a message is to open a session, add what the checkpoint
before it holds, and apply the messages from there on. Signals come from the rows of the run, so they are those of the engine.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine, decode
from hftlab.engine.moment import Moment, Trade, lives_of, trades_of
from hftlab.engine.run import Run
from hftlab.engine.session import Session
from hftlab.errors import ConfigError, FeedError
from hftlab.events import EVENT_DTYPE, Events, Kind, describe
from hftlab.feeds.feed import Feed
from hftlab.feeds.itch import Frames, Joiner
from hftlab.stages.signal import NAMES, NO_VALUES

if TYPE_CHECKING:
    import polars as pl

CHECKPOINTS, CLOSEST = 64, 1_000  # so many in a feed, but not closer together than so many messages
MOST = 5_000_000  # messages of a tape: rows and events are kept in memory


class Tape:
    """A feed, run once, that can be wound to any message.

    feed   : up to 5,000,000 messages
    engine : what runs it, and what answers at each message; default: the one that "auto" means
    every  : messages from one checkpoint to the next; default about a 64th of the feed
    raises : FeedError for a feed that breaks off, or that is too long; ConfigError
    """

    def __init__(self, feed: Feed, engine: Engine | None = None, *, every: int | None = None) -> None:
        self.feed, self.engine = feed, engine or Engine()
        self.events: Events = decode(feed, self.engine)
        if (there := len(self.events)) > MOST:
            raise FeedError(f"{feed.name} has {there:,} messages; a tape holds at most {MOST:,}: take its head")
        self.every = max(CLOSEST, len(self.events) // CHECKPOINTS) if every is None else every
        if self.every < 1:
            raise ConfigError(f"every is {every}; allowed is a whole number from 1")
        self.run: Run = self.engine.run(feed)
        self._books = self.engine.replace(until="book")
        self._rows: dict[int, np.ndarray[Any, Any]] = {}
        self._trades = trades_of(self.events)
        self._checkpoints = self._written()
        self._at: tuple[int, Session] | None = None  # messages applied, and to what

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        return f"<Tape of {self.feed.name} on {self.engine.backend}: {len(self):,} messages, a checkpoint every {self.every:,}>"

    @property
    def symbols(self) -> list[str]:
        """The instruments that have a book, the busiest first."""
        numbers, counts = np.unique(self.events["instrument"][self.events["kind"] == Kind.ADD], return_counts=True)
        return [self.run.name(int(number)) for number in numbers[np.argsort(-counts, kind="stable")]]

    def at(self, index: int, symbol: str | None = None) -> Moment:
        """One instrument after message `index`, counted from 0.

        symbol : default: the instrument of that message, or where it has none the busiest one
        raises : ConfigError for an index that is not there; UnknownName for another symbol
        """
        if not 0 <= index < len(self):
            raise ConfigError(f"message {index} is not there; {self.feed.name} has messages 0 to {len(self) - 1}")
        event = self.events[index]
        instrument = self.run.instrument(symbol) if symbol else int(event["instrument"])
        if not symbol and not self.run.name(instrument):
            instrument = self.run.instrument(self.symbols[0]) if self.symbols else 0
        row = self._row(index, instrument)
        columns = self.run.columns
        touch = ("bid_price", "bid_qty", "ask_price", "ask_qty")
        return Moment(
            index=index,
            ts_ns=int(event["ts_ns"]),
            symbol=self.run.name(instrument),
            instrument=instrument,
            said=describe(event),
            wire=self._wire[index] if self.feed.wire == "itch" else b"",
            top=(0, 0, 0, 0) if row is None else tuple(int(columns[name][row]) for name in touch),  # type: ignore[arg-type]
            signals={name: float(NO_VALUES[at] if row is None else columns[name][row]) for at, name in enumerate(NAMES)},
            trade=self._trade(index, instrument),
            _wound=lambda: self._wound(index + 1),
        )

    def trades(self, symbol: str) -> list[Trade]:
        """Every trade of an instrument, in order. Raises UnknownName."""
        return self._trades.get(self.run.instrument(symbol), [])

    def lives(self) -> pl.DataFrame:
        """A row per order: order_id, born and gone (message numbers), end ("EXECUTE", "DELETE", "REPLACE", "CANCEL"; with `gone`
        null while it lives), executed (shares or lots). A replaced order ends; the one in its place is another."""
        import polars as pl

        rows = lives_of(self.events)
        schema = {"order_id": pl.UInt64, "born": pl.Int64, "gone": pl.Int64, "end": pl.String, "executed": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def follow(self, order_id: int, most: int = 100_000) -> pl.DataFrame:
        """An order's way through its queue, a row where something changed: index, kind (of the message), orders_ahead, ahead
        (shares or lots), qty (its own, left). It ends with the message that took it off the book (null, null, 0), or after `most`

        raises : ConfigError for an order that never comes
        """
        import polars as pl

        made = np.flatnonzero(
            ((self.events["order_id"] == order_id) & (self.events["kind"] == Kind.ADD))
            | ((self.events["new_order_id"] == order_id) & (self.events["kind"] == Kind.REPLACE))
        )
        if not made.size:
            raise ConfigError(f"order {order_id} never comes in {self.feed.name}")
        rows: list[tuple[int, str, int | None, int | None, int]] = []
        for index in range(int(made[0]), min(len(self), int(made[0]) + most)):
            told = self._place(index, order_id)
            if not rows or told != rows[-1][2:]:
                rows.append((index, Kind(int(self.events["kind"][index])).name, *told))
            if not told[2]:
                break
        return pl.DataFrame(rows, schema=["index", "kind", "orders_ahead", "ahead", "qty"], orient="row")

    def _place(self, index: int, order_id: int) -> tuple[int | None, int | None, int]:
        """Orders and quantity before an order, and its own, after a message; None, None, 0 when it is gone."""
        session = self._wound(index + 1)
        place = session.locate(order_id)
        if place is None:
            return None, None, 0
        queue = session.queue(*place[:3])
        rank = [number for number, _ in queue].index(order_id)
        return rank, sum(qty for _, qty in queue[:rank]), queue[rank][1]

    def frame(self, symbol: str) -> pl.DataFrame:
        """The rows of `Run.frame` of one instrument. Raises UnknownName."""
        frame = self.run.frame
        return frame.filter(frame["instrument"] == self.run.instrument(symbol))

    @cached_property
    def _wire(self) -> list[bytes]:
        out, joiner = [], Joiner(self.feed.name)
        for block in self.feed.blocks():
            data = bytes(joiner.join(block))
            frames = Frames(data)
            out += [data[at : at + size] for at, size in frames]
            joiner.used(data, frames.used)
        return out

    def _row(self, index: int, instrument: int) -> int | None:
        """The row of the last message of an instrument up to `index`; None before the first."""
        if instrument not in self._rows:
            self._rows[instrument] = np.flatnonzero(self.events["instrument"] == instrument)
        place = int(np.searchsorted(self._rows[instrument], index, side="right"))
        return int(self._rows[instrument][place - 1]) if place else None

    def _trade(self, index: int, instrument: int) -> Trade | None:
        found = self._trades.get(instrument, [])
        place = int(np.searchsorted([trade.index for trade in found], index, side="right"))
        return found[place - 1] if place else None

    def _written(self) -> list[Events]:
        """The adds that make the book before message 0, `every`, 2 * `every`, ..."""
        session, numbers, out = self._open(), np.unique(self.events["instrument"]).tolist(), []
        for start in range(0, max(len(self), 1), self.every):
            out.append(_adds(session, numbers))
            session.push_events(self.events[start : start + self.every])
        return out

    def _open(self) -> Session:
        return self._books.open(self._books.settings(self.feed, record="none"))

    def _wound(self, count: int) -> Session:
        """A session to which exactly the first `count` messages have been applied: the last one, wound on, where it is near."""
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
