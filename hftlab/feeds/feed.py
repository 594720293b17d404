"""Feed: an immutable stream of messages, as wire bytes or as event records, handed over block by block.

An engine never sees where a feed comes from. A block may end in the middle of a message: what drives the engine carries
the rest into the next one, exactly as with bytes from a socket. Beside the records two columns may stand, aligned with them: when
the capture received each, and whether it is the last of what the exchange did in one step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hftlab.errors import FeedError, UnknownName, check_choice, check_type, check_whole
from hftlab.events import EVENT_DTYPE, Events, Kind, as_events
from hftlab.feeds.frames import Block, Message, learn_name, walk
from hftlab.presentation.document import Table, table

NO_PRICE = -(2**63)  # has no negative, which a side-signed price needs


class Chunk(NamedTuple):
    """Some records in order, and what stands beside them.

    recv_ns   : (n,) u64, when the capture received each, ns since 1970; None where nobody wrote it down
    event_end : (n,) bool, the last record of an exchange event; None where every record is one
    """

    events: Events
    recv_ns: NDArray[np.uint64] | None = None
    event_end: NDArray[np.bool_] | None = None

    def where(self, mask: Any) -> Chunk:
        """Some of the rows: a mask, or a slice."""
        beside = (None if column is None else column[mask] for column in (self.recv_ns, self.event_end))
        return Chunk(self.events[mask], *beside)


class Feed(ABC):
    """A stream of messages.

    name        : what it is, for tables and file names
    price_scale : integer price units per 1.0 of currency
    qty_scale   : integer units of qty per 1.0 share, lot or coin
    epoch       : "midnight" or "unix", what ts_ns counts from
    wire        : "itch" if blocks() yields framed ITCH 5.0, "events" if chunks() and event_blocks() yield records
    by_order    : whether it carries single orders (L3); False where an order stands for a whole price level (L2)
    format      : what it was read from, by the name of its reader; "" for a feed in memory
    warm_up     : messages at its start that fill the book: an engine runs them before the clock and does not stamp them
    """

    name: str
    price_scale: int = 10_000
    qty_scale: int = 1
    epoch: str = "midnight"
    wire: str
    by_order: bool = True
    format: str = ""
    warm_up: int = 0

    @property
    @abstractmethod
    def symbols(self) -> Sequence[str]:
        """Names by instrument number; "" where the feed gives none. Instrument 0 is no instrument."""

    def blocks(self) -> Iterator[Block]:
        """Wire bytes in order, without loss; raises FeedError where the source breaks off."""
        raise NotImplementedError(f"{type(self).__name__} carries event records, not wire bytes")

    def passing_blocks(self) -> Iterator[Block]:
        """The same; each is good until the next one is asked for, when a file may be read into the same memory again."""
        return self.blocks()

    def event_blocks(self) -> Iterator[Events]:
        """Event records in order, EVENT_DTYPE, read-only."""
        raise NotImplementedError(f"{type(self).__name__} carries wire bytes, not event records")

    def chunks(self) -> Iterator[Chunk]:
        """The same, with what stands beside them."""
        return map(Chunk, self.event_blocks())

    @property
    def recv_ns(self) -> NDArray[np.uint64] | None:
        """(n,) u64, when the capture received each message; None where nobody wrote it down. Reads the whole feed."""
        column: NDArray[np.uint64] | None = self._column("recv_ns")
        return column

    @property
    def event_end(self) -> NDArray[np.bool_] | None:
        """(n,) bool, the last record of each exchange event; None where every message is one. Reads the whole feed."""
        column: NDArray[np.bool_] | None = self._column("event_end")
        return column

    def _column(self, name: str) -> Any:
        if self.wire != "events":
            return None
        parts = [getattr(chunk, name) for chunk in self.chunks()]
        return np.concatenate(parts) if parts and all(part is not None for part in parts) else None

    @property
    def spent_ns(self) -> dict[str, int]:
        """Time that reading and decompressing its source have taken so far, in whatever thread; zeros for a feed in memory."""
        source = getattr(self, "_source", None)
        return {"reading": getattr(source, "read_ns", 0), "decompressing": getattr(source, "inflate_ns", 0)}

    def notes(self) -> list[str]:
        """What of the source is no message of this feed and why, as far as it has been read: sentences, [] for none."""
        return []

    def head(self, n: int) -> Feed:
        """The first n messages beyond the warm-up, or as many as there are, in memory; the warm-up before them.

        raises : FeedError where the feed breaks off before; ConfigError unless n is at least 1
        """
        more: dict[str, Any] = {"price_scale": self.price_scale, "epoch": self.epoch, "name": f"head of {self.name}"}
        n = check_whole("n", n, 1) + self.warm_up
        return self._of(bytes(next(iter(cut(self, every=n)), b"")) if self.wire == "itch" else _first(self.chunks(), n), more)

    def warmed(self, warm_up: int) -> Feed:
        """The same messages in memory, the first `warm_up` of them to fill the book. Raises as `head`."""
        more: dict[str, Any] = {"price_scale": self.price_scale, "epoch": self.epoch, "name": self.name}
        out = self._of(b"".join(map(bytes, self.blocks())) if self.wire == "itch" else self.chunks(), more)
        out.warm_up = check_whole("warm_up", warm_up, 0)
        return out

    def parts(self) -> tuple[Any, Feed]:
        """The warm-up as one piece, framed bytes or event records, and a feed of what comes after it, in memory."""
        more: dict[str, Any] = {"price_scale": self.price_scale, "epoch": self.epoch, "name": self.name}
        if self.wire == "itch":
            blocks = self.blocks()
            filling: Any = next(blocks) if self.warm_up else None
            return filling, BytesFeed(*map(bytes, blocks), **more)
        chunks = self.chunks()
        filling = next(chunks).events if self.warm_up else None
        rest = self._of(chunks, more)
        rest.warm_up = 0
        return filling, rest

    def _of(self, content: bytes | Iterator[Chunk], more: dict[str, Any]) -> Feed:
        """A feed in memory with the symbols and the warm-up of this one."""
        out: Feed
        if isinstance(content, bytes):
            out = BytesFeed(content, **more)
        else:
            whole = joined(content)
            more |= {"qty_scale": self.qty_scale, "recv_ns": whole.recv_ns, "event_end": whole.event_end}
            out = EventFeed(whole.events, symbols=self.symbols, **more)
        out.warm_up, out.by_order = self.warm_up, self.by_order
        return out

    def tables(self) -> list[Table]:
        """What the feed is, for people."""
        named = [name for name in self.symbols if name]
        few = ", ".join(named[:8]) + (", ..." if len(named) > 8 else "")
        rows = [
            ("carries", "framed ITCH 5.0" if self.wire == "itch" else "event records"),
            ("symbols", f"{len(named):,}" + (f": {few}" if named else "")),
            ("price units per 1.0", f"{self.price_scale:,}"),
            ("time counts from", self.epoch),
        ]
        return [table("", ("", ""), rows, words=2)]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _repr_html_(self) -> str:
        from hftlab.presentation import html

        return html.fragment(f"{type(self).__name__} {self.name}", self.tables())


class BytesFeed(Feed):
    """Framed ITCH 5.0 in memory, in the blocks that are given, wherever they end."""

    wire = "itch"

    def __init__(self, *blocks: Block, price_scale: int = 10_000, epoch: str = "midnight", name: str = "bytes") -> None:
        self._blocks, self.price_scale, self.epoch, self.name = blocks, price_scale, epoch, name

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """By stock locate, as far as these messages tell."""
        return by_locate(stock_names(messages(self)))

    @cached_property
    def _filled(self) -> int:
        """Bytes of the warm-up."""
        return sum(size + 2 for _, _, size in islice(walk(iter(self._blocks), self.name), self.warm_up))

    def blocks(self) -> Iterator[Block]:
        if not self.warm_up:
            return iter(self._blocks)
        whole = memoryview(b"".join(map(bytes, self._blocks)) if len(self._blocks) > 1 else self._blocks[0])
        return iter((whole[: self._filled], whole[self._filled :]))


class EventFeed(Feed):
    """Messages that are event records already, for data from any source.

    array     : (n,) EVENT_DTYPE; copied once, so that nobody can change it under a running engine
    symbols   : names by instrument number, symbols[0] being no instrument
    recv_ns   : (n,) u64, when the capture received each message; default: unknown
    event_end : (n,) bool, the last record of each exchange event; default: every record
    raises    : FeedError for a wrong dtype, byte order, stride or kind, naming the index; ConfigError for the other arguments
    """

    wire = "events"
    _BLOCK = 1 << 18

    def __init__(
        self,
        array: Events,
        *,
        symbols: Sequence[str] = (),
        price_scale: int = 10_000,
        qty_scale: int = 1,
        epoch: str = "midnight",
        recv_ns: NDArray[np.uint64] | None = None,
        event_end: NDArray[np.bool_] | None = None,
        name: str = "events",
    ) -> None:
        check_choice("epoch", epoch, ("midnight", "unix"))
        events = as_events(array).copy()
        _refuse(events, "kind", events["kind"] > max(Kind), f"between 0 and {int(max(Kind))}")
        _refuse(events, "price", events["price"] == NO_PRICE, f"above {NO_PRICE}")
        self._whole = Chunk(
            events, _beside("recv_ns", recv_ns, np.uint64, len(events)), _beside("event_end", event_end, np.bool_, len(events))
        )
        for column in self._whole:
            if column is not None:
                column.flags.writeable = False
        self._symbols = tuple(check_type("symbols", symbols, Iterable))
        for number, symbol in enumerate(self._symbols):
            check_type(f"symbols[{number}]", symbol, str)
        self.price_scale = check_whole("price_scale", price_scale, 1, 10**12)
        self.qty_scale = check_whole("qty_scale", qty_scale, 1, 10**12)
        self.epoch, self.name = epoch, check_type("name", name, str)

    @property
    def symbols(self) -> Sequence[str]:
        return self._symbols

    def event_blocks(self) -> Iterator[Events]:
        return (chunk.events for chunk in self.chunks())

    def chunks(self) -> Iterator[Chunk]:
        if self.warm_up:
            yield self._whole.where(slice(0, self.warm_up))
        for start in range(self.warm_up, len(self._whole.events), self._BLOCK):
            yield self._whole.where(slice(start, start + self._BLOCK))

    def _column(self, name: str) -> Any:
        return getattr(self._whole, name)


def _refuse(events: Events, field: str, wrong: np.ndarray[Any, Any], allowed: str) -> None:
    if wrong.any():
        at = int(wrong.argmax())
        raise FeedError(f"event {at}: {field} must be {allowed}, got {events[field][at]}", index=at)


def _beside(name: str, column: Any, kind: type, size: int) -> Any:
    """A column beside `size` records, copied; None if there is none."""
    if column is None:
        return None
    array = np.asarray(column)
    if array.shape != (size,) or array.dtype != kind:
        raise FeedError(f"{name} must be ({size},) of {np.dtype(kind)}, got {array.shape} of {array.dtype}")
    return array.copy()


def _first(chunks: Iterator[Chunk], n: int) -> Iterator[Chunk]:
    """The first n rows."""
    for chunk in chunks:
        yield chunk.where(slice(0, n))
        n -= len(chunk.events)
        if n <= 0:
            return


def joined(chunks: Iterable[Chunk]) -> Chunk:
    """Chunks of one feed as one; a column that one of them lacks is lacking."""
    parts = list(chunks) or [Chunk(np.empty(0, EVENT_DTYPE))]
    events, *beside = zip(*parts, strict=True)
    columns = (None if any(part is None for part in column) else np.concatenate(column) for column in beside)
    return Chunk(np.concatenate(events), *columns)


def unknown_symbol(symbol: str, known: Iterable[str]) -> UnknownName:
    """The error for a symbol that is not there, with the first twelve of those that are."""
    names = [name for name in known if name]
    return UnknownName("symbol", symbol, names[:12] + ([f"... {len(names) - 12} more"] if names[12:] else []))


def messages(feed: Feed) -> Iterator[Message]:
    """Every message of a feed of wire bytes, in order and without a copy; see `Message`.

    raises : FeedError for what is no message, and where the feed breaks off
    """
    return walk(feed.blocks(), feed.name)


def cut(feed: Feed, *, every: int) -> Iterator[Any]:
    """A feed in pieces of `every` messages, the last one shorter: framed bytes, or event records, whatever it carries.

    raises : as `messages`; ConfigError unless `every` is at least 1
    """
    check_whole("every", every, 1)
    return _cut_bytes(feed, every) if feed.wire == "itch" else _cut_events(feed, every)


def _cut_bytes(feed: Feed, every: int) -> Iterator[bytes]:
    piece, count = bytearray(), 0
    for data, at, size in messages(feed):
        piece += data[at - 2 : at + size]
        count += 1
        if count == every:
            yield bytes(piece)
            piece, count = bytearray(), 0
    if count:
        yield bytes(piece)


def _cut_events(feed: Feed, every: int) -> Iterator[Events]:
    rest: list[Events] = []
    for block in feed.event_blocks():
        rows = np.concatenate([*rest, as_events(block)]) if rest else as_events(block)
        whole = len(rows) // every * every
        for start in range(0, whole, every):
            yield rows[start : start + every]
        rest = [rows[whole:]] if whole < len(rows) else []
    yield from rest


def stock_names(whole: Iterator[Message]) -> dict[int, bytes]:
    """The stock of each locate: from the stock directory (R), or from the first add where R is missing."""
    names: dict[int, bytes] = {}
    for data, at, _ in whole:
        learn_name(names, data, at)
    return names


def by_locate(names: dict[int, bytes]) -> tuple[str, ...]:
    """Names by number, "" where there is none."""
    return tuple(names.get(locate, b"").decode("latin-1").strip() for locate in range(max(names, default=0) + 1))
