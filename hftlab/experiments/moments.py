"""From stamps to messages: what stood in the feed where an engine was slow. A feed never changes, so it is read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.session import backends
from hftlab.engine.timing import Capture
from hftlab.errors import ConfigError, FeedError
from hftlab.events import Events, Kind, Side
from hftlab.feeds.feed import Feed
from hftlab.feeds.frames import Joiner

_PIECE = 1 << 20  # bytes decoded at once, more than the longest message


@dataclass(frozen=True)
class Moment:
    """One message near a slow one. Times are ns; `start_ns` counts from the start of the run.

    window : captures that overlap or touch are one window; its number is the rank of the slowest in it
    rank   : of the nearest slow message, 1 the slowest; offset: messages from that one, below 0 before it
    price  : integer price units; the fields from ts_ns to qty are those of the event record, kind and side by name
    gap_ns : from the end of the message before to the start of this one; None for the first of a window
    """

    window: int
    rank: int
    index: int
    offset: int
    ts_ns: int
    kind: str
    side: str
    order_id: int
    new_order_id: int
    instrument: int
    symbol: str
    price: int
    qty: int
    start_ns: int
    tick_ns: int
    book_ns: int
    signal_ns: int
    order_ns: int
    total_ns: int
    gap_ns: int | None

    @property
    def stages_ns(self) -> tuple[int, int, int, int]:
        return (self.tick_ns, self.book_ns, self.signal_ns, self.order_ns)

    @property
    def name(self) -> str:
        """ "ADD BID AAPL": what it did and where."""
        where = self.symbol or (f"instrument {self.instrument}" if self.instrument else "")
        return " ".join(filter(None, (self.kind, self.side if self.side != Side.NONE.name else "", where)))


def moments(ranked: Sequence[Capture], feed: Feed) -> tuple[Moment, ...]:
    """Every message of the captures once, in the order of the feed.

    ranked : captures of one run, the slowest first
    raises : ConfigError for captures that cannot be of one run; FeedError if the feed has no such message
    """
    stamps = _merged(ranked)
    events, names = messages_at(feed, stamps)
    places, windows = np.array([one.at for one in ranked]), _windows(stamps, ranked)
    out: list[Moment] = []
    for index, row in stamps.items():
        nearest = int(np.argmin(np.abs(places - index)))  # of two as near, the slower
        before = stamps.get(index - 1)
        tick, book, signal, order = (after - start for start, after in pairwise(row))
        gap = row[0] - before[4] if before else None
        where = (windows[index], nearest + 1, index, int(index - places[nearest]))
        values = (*where, *_named(events[index], names), row[0], tick, book, signal, order, row[4] - row[0], gap)
        out.append(Moment(*values))
    return tuple(out)


def _named(event: Any, names: Mapping[int, str]) -> tuple[Any, ...]:
    """The fields of `Moment` from ts_ns to qty."""
    ts_ns, order_id, new_order_id, price, qty, instrument, kind, side = event.item()
    kind_ = Kind(kind).name if kind <= max(Kind) else f"kind {kind}"
    side_ = Side(side).name if side <= max(Side) else f"side {side}"
    return ts_ns, kind_, side_, order_id, new_order_id, instrument, names.get(instrument, ""), price, qty


def _merged(captures: Sequence[Capture]) -> dict[int, list[int]]:
    """The five stamps by message number, each message once, in order."""
    found: dict[int, list[int]] = {}
    for place, capture in enumerate(captures):
        if capture.at in (one.at for one in captures[:place]):
            raise ConfigError(f"two captures are of message {capture.at}; allowed are captures of one run")
        for index, row in enumerate(capture.stamps.tolist(), capture.first):
            if found.setdefault(index, row) != row:
                raise ConfigError(f"two captures disagree about message {index}; allowed are captures of one run")
    return dict(sorted(found.items()))


def _windows(indices: Mapping[int, Any], ranked: Sequence[Capture]) -> dict[int, int]:
    """The window of each message: a run of consecutive ones, numbered by the rank of the slowest in it."""
    runs: list[list[int]] = []
    for index in indices:
        if index - 1 not in indices:
            runs.append([])
        runs[-1].append(index)
    ranks = {one.at: rank for rank, one in enumerate(ranked, 1)}
    return {index: min(ranks[at] for at in run if at in ranks) for run in runs for index in run}


class _Piece(NamedTuple):
    """`events` is None where no message of the piece is wanted; names: symbols by instrument, as far as told."""

    first: int
    messages: int
    events: Events | None
    names: Mapping[int, str]


def messages_at(feed: Feed, indices: Iterable[int]) -> tuple[dict[int, Any], Mapping[int, str]]:
    """The event records of the given messages by number, and the symbols by instrument, as far as the feed has told by then.

    One pass, a piece at a time, that ends with the last message asked for. Raises FeedError if the feed has fewer messages.
    """
    wanted, found, piece = np.array(sorted(indices)), {}, _Piece(0, 0, None, {})
    for piece in _pieces(feed, wanted):
        if piece.events is not None:
            for index in _within(wanted, piece.first, piece.messages).tolist():
                found[index] = piece.events[index - piece.first]
        if len(found) == len(wanted):
            return found, piece.names
    last, messages = int(wanted[-1]), piece.first + piece.messages
    raise FeedError(f"{feed.name}: has {messages:,} messages; a capture names message {last:,}", index=last)


def _within(wanted: np.ndarray[Any, Any], first: int, messages: int) -> np.ndarray[Any, Any]:
    return wanted[(wanted >= first) & (wanted < first + messages)]


def _pieces(feed: Feed, wanted: np.ndarray[Any, Any]) -> Iterator[_Piece]:
    """The feed piece by piece, decoded where a message is wanted, until it ends or breaks off."""
    if feed.wire == "events":
        first, names = 0, dict(enumerate(feed.symbols))
        for events in feed.event_blocks():
            yield _Piece(first, len(events), events, names)
            first += len(events)
        return
    fast = any(info.name == "rust" and info.available for info in backends())
    engine = Engine("rust" if fast else "python", until="tick")
    session, joiner = engine.open(), Joiner(feed.name)
    for block in joiner.pieces(feed.blocks()):
        data, used = memoryview(block), 0
        while piece := data[used : used + _PIECE]:
            first = session.messages
            step, problem = session.push(piece)  # counts the messages, and learns the symbols
            messages = session.messages - first
            if _within(wanted, first, messages).size:
                yield _Piece(first, messages, engine.implementation.decode(piece)[0], _symbols(session.names()))
            else:
                yield _Piece(first, messages, None, {})
            if problem:
                return  # whoever ran the feed knows already, and got no further either
            if not step:
                break
            used += step
        joiner.used(data, used)


def _symbols(names: Mapping[int, bytes]) -> dict[int, str]:
    return {number: stock.decode("latin-1").strip() for number, stock in names.items()}
