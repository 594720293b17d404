"""Feeds of event records from files of other formats, and what most of them need: two mappings, and text in columns.

A feed of records does not change with the format: a modify, a set price level or a snapshot becomes what the book already knows.

    modify that only shrinks                  CANCEL of the difference; after fills of all that was shown a REPLACE
    modify of the price, or one that grows    REPLACE with the same id: it loses its place
    modify of nothing                         OTHER
    modify of an order nobody has seen        ADD
    level set (L2)                            one synthetic order per side and price: ADD, REPLACE with the same id, DELETE
"""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hftlab.errors import FeedError, check_type
from hftlab.events import Events, Kind
from hftlab.feeds.feed import NO_PRICE, Chunk, Feed, unknown_symbol
from hftlab.feeds.source import Source, rust

if TYPE_CHECKING:
    import polars as pl

#: The largest a record can hold.
MOST_QTY = 2**32 - 1
MOST_SYMBOLS = 2**16 - 1
LONGEST_LINE = 1 << 16  # bytes; what is longer is no line of market data
MODIFY, RESET = 1, 2  # what a modify does to an order's place: see `Orders.resolve`
_OTHER, _ADD, _EXECUTE, _CANCEL, _DELETE, _REPLACE, _TRADE, _CLEAR = (
    int(kind) for kind in (Kind.OTHER, Kind.ADD, Kind.EXECUTE, Kind.CANCEL, Kind.DELETE, Kind.REPLACE, Kind.TRADE, Kind.CLEAR)
)


class RecordFeed(Feed):
    """Records of a file, mapped block by block whenever they are asked for.

    path    : the file, plain, gzip or zstd
    symbols : keep only these instruments, and what is about none
    raises  : FeedError for what cannot be read; UnknownName for a symbol the file does not name
    """

    wire = "events"
    _names: Sequence[str] = ("",)  # by instrument

    def __init__(self, path: str | os.PathLike[str], symbols: Iterable[str] = ()) -> None:
        self._source = Source(path)
        self.name = self._source.name
        self.skipped: Counter[str] = Counter()  # what was no message of this feed, by what it was, in the last pass
        self._open()
        wanted = tuple(check_type("symbols", symbols, Iterable))
        if not set(wanted) <= set(self.symbols):
            self._learn()
        names = self.symbols
        for symbol in wanted:
            if not symbol or symbol not in names:
                raise unknown_symbol(symbol, names)
        self._kept = np.array([i for i, name in enumerate(names) if name in wanted or not i], np.uint16) if wanted else None

    @property
    def symbols(self) -> Sequence[str]:
        return tuple(self._names)

    @classmethod
    def open(cls, path: str | os.PathLike[str], symbols: Iterable[str] = ()) -> Self:
        """A feed of a file, of all symbols or of these: with `sniff` beside it the class is the reader of its format."""
        return cls(path, symbols)

    def _open(self) -> None:
        """Read what the feed must know before its first record: names, scales."""

    def _learn(self) -> None:
        """Find the names that only the records themselves tell."""

    @abstractmethod
    def _records(self) -> Iterator[Chunk]:
        """All records of the file, in order."""

    def chunks(self) -> Iterator[Chunk]:
        self.skipped.clear()
        for chunk in self._records():
            kept = chunk if self._kept is None else chunk.where(np.isin(chunk.events["instrument"], self._kept))
            if (kept.events["price"] == NO_PRICE).any():
                raise FeedError(f"{self.name}: a price must be above {NO_PRICE}, which has no negative, got {NO_PRICE}")
            if len(kept.events):
                kept.events.flags.writeable = False
                yield kept

    def event_blocks(self) -> Iterator[Events]:
        return (chunk.events for chunk in self.chunks())

    def notes(self) -> list[str]:
        return [f"{count:,} {what}" for what, count in self.skipped.items()]

    def _wrong(self, offset: int, text: str, index: int | None = None) -> FeedError:
        """The error for bytes that cannot be read."""
        return FeedError(f"{self.name}: offset {offset}: {text}", offset=offset, index=index)


def orders() -> Orders:
    """Ours in Rust where it is installed, which is the same some fifty times as fast."""
    extension = rust()
    return RustOrders(extension) if extension else Orders()


class Orders:
    """What is left of each live order, by which a modify becomes what the book knows: the reference."""

    def __init__(self) -> None:
        self._live: dict[int, list[int]] = {}  # id -> [instrument, price, qty, fills reported that are not taken off yet]

    def resolve(self, events: Events, modifies: NDArray[np.uint8]) -> None:
        """Give each modify among the records its kind, quantity and new id, in place; the others say what they do to orders.

        modifies : (n,) u8; MODIFY where a record sets an order to its price and quantity, RESET where it loses its place whatever
                   changes, 0 elsewhere
        """
        for row, (modify, *event) in enumerate(zip(modifies.tolist(), *_acting(events), strict=True)):
            if modify:
                _, order, _, instrument, price, qty = event
                events["kind"][row], events["qty"][row], events["new_order_id"][row] = self._modify(
                    modify, order, instrument, price, qty
                )
            else:
                self._apply(*event)

    def prices(self, events: Events) -> NDArray[np.int64]:
        """(n,) the price of each event; of an execution that names none, that of the order it takes.

        The events say what they do to orders.
        """
        out = events["price"].copy()
        for row, event in enumerate(zip(*_acting(events), strict=True)):
            kind, order, _, _, price, _ = event
            if kind == _EXECUTE and not price and order in self._live:
                out[row] = self._live[order][1]
            self._apply(*event)
        return out

    def _apply(self, kind: int, order: int, new: int, instrument: int, price: int, qty: int) -> None:
        """What an event that is no modify does to orders."""
        live = self._live
        if kind == _ADD:
            live[order] = [instrument, price, qty, 0]
        elif kind in (_CANCEL, _EXECUTE) and order in live:
            live[order][2:] = live[order][2] - qty, 0
            if live[order][2] <= 0:
                del live[order]
        elif kind in (_DELETE, _REPLACE):
            live.pop(order, None)
            if kind == _REPLACE:
                live[new] = [instrument, price, qty, 0]
        elif kind == _TRADE and order in live and live[order][1] == price:
            live[order][3] += qty
        elif kind == _CLEAR:
            self._live = {key: one for key, one in live.items() if one[0] != instrument}

    def _modify(self, modify: int, order: int, instrument: int, price: int, qty: int) -> tuple[int, int, int]:
        """Kind, quantity and new id."""
        before = self._live.get(order)
        self._live[order] = [instrument, price, qty, 0]
        if before is None:
            return _ADD, qty, 0
        less = before[2] - qty
        refreshed = before[3] >= before[2]  # all that was shown is filled: what stands there now came from behind
        if modify == RESET or price != before[1] or less < 0 or (refreshed and qty):
            return _REPLACE, qty, order
        if qty == 0:
            del self._live[order]
        return (_CANCEL, less, 0) if less else (_OTHER, qty, 0)


class RustOrders(Orders):
    """The same, by the extension."""

    def __init__(self, extension: Any) -> None:
        super().__init__()
        self._orders = extension.Orders()

    def resolve(self, events: Events, modifies: NDArray[np.uint8]) -> None:
        self._orders.resolve(events.view(np.uint8), modifies)

    def prices(self, events: Events) -> NDArray[np.int64]:
        out: NDArray[np.int64] = self._orders.prices(events.view(np.uint8))
        return out


def _acting(events: Events) -> Iterator[list[int]]:
    """What of events concerns orders, by column."""
    return (events[name].tolist() for name in ("kind", "order_id", "new_order_id", "instrument", "price", "qty"))


class Levels:
    """Price levels as synthetic orders, one each: a level that is set becomes ADD, REPLACE or DELETE of its order."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int, int], int] = {}  # (instrument, side, price) -> id, in order of appearance from 1 on
        self._live: dict[int, dict[int, tuple[int, int]]] = {}  # instrument -> id -> (side, price)

    def set(self, instrument: int, side: int, price: int, qty: int) -> tuple[int, int, int]:
        """Kind, id and new id for a level that now holds `qty`; OTHER where one that is not there is emptied."""
        live = self._live.setdefault(instrument, {})
        order = self._ids.setdefault((instrument, side, price), len(self._ids) + 1)
        if order in live:
            if qty:
                return _REPLACE, order, order
            del live[order]
            return _DELETE, order, 0
        if not qty:
            return _OTHER, 0, 0
        live[order] = side, price
        return _ADD, order, 0

    def clear(self, instrument: int) -> None:
        """Forget the levels of an instrument."""
        self._live.pop(instrument, None)

    def live(self, instrument: int) -> dict[int, tuple[int, int]]:
        """Side and price of each level there is, by id."""
        return self._live.get(instrument, {})


def whole_events(parts: Iterable[tuple[Chunk, NDArray[Any]]]) -> Iterator[Chunk]:
    """Chunks with their ends of events: an event is a run of rows whose key is the same, in the next chunk, too.

    parts : chunks, and the key of each of their rows
    """
    waiting: tuple[Chunk, NDArray[Any]] | None = None
    for chunk, key in parts:
        if not len(key):
            continue
        if waiting:
            yield _ended(*waiting, key[0])
        waiting = chunk, key
    if waiting:
        yield _ended(*waiting, None)


def _ended(chunk: Chunk, key: NDArray[Any], following: Any) -> Chunk:
    return chunk._replace(event_end=np.append(key[1:] != key[:-1], following is None or following != key[-1]))


class Lines(NamedTuple):
    """Whole lines, the offset of the first in the inflated stream, and how many were before them."""

    data: bytes
    offset: int
    row: int


def whole_lines(source: Source) -> Iterator[Lines]:
    """The lines of a file in blocks; the last may lack its end. raises : FeedError for a line without an end in sight"""
    rest, offset, row = b"", 0, 0
    for block in source.blocks():
        data = rest + block
        end = data.rfind(b"\n") + 1
        if end:
            yield Lines(data[:end], offset, row)
            row += data.count(b"\n", 0, end)
        rest, offset = data[end:], offset + end
        if len(rest) > LONGEST_LINE:
            text = f"{source.name}: offset {offset}, row {row}: a line must be at most {LONGEST_LINE:,} bytes, got {len(rest):,}"
            raise FeedError(text, offset=offset, index=row)
    if rest:
        yield Lines(rest, offset, row)


def columns(lines: Lines, types: Mapping[str, Any], name: str) -> pl.DataFrame:
    """Lines without a header as a frame of these columns.

    raises : FeedError for the first line that has other columns, or whose values are of another type
    """
    import polars as pl

    try:
        frame = _parsed(lines.data, types)
    except pl.exceptions.PolarsError:
        frame = None
    if frame is not None and not sum(frame.null_count().row(0)):
        return frame
    at = lines.offset
    for row, line in enumerate(lines.data.splitlines(keepends=True), start=lines.row):
        try:
            good = sum(_parsed(line, types).null_count().row(0)) == 0
        except pl.exceptions.PolarsError:
            good = False
        if not good:
            wanted = ", ".join(f"{column} {kind}" for column, kind in types.items())
            text = f"{name}: offset {at}, row {row}: must be {wanted}; got {line[:80]!r}"
            raise FeedError(text, offset=at, index=row)
        at += len(line)
    raise FeedError(f"{name}: offset {lines.offset}: lines that cannot be read as columns", offset=lines.offset, index=lines.row)


def _parsed(data: bytes, types: Mapping[str, Any]) -> pl.DataFrame:
    import polars as pl

    return pl.read_csv(io.BytesIO(data), has_header=False, schema=dict(types))


def scaled(texts: pl.Series, digits: int) -> NDArray[np.int64]:
    """Decimal texts as whole numbers of 10^-digits, exactly. raises : ValueError with the first that has more, or is no number"""
    import polars as pl

    parts = texts.str.extract_groups(r"^(-?)(\d+)(?:\.(\d*?)0*)?$").struct
    sign, whole, part = (parts[index] for index in range(3))
    part = part.fill_null("")
    wrong = whole.is_null() | (part.str.len_bytes() > digits) | (whole.str.len_bytes() > 18 - digits)
    if wrong.any():
        raise ValueError(texts.filter(wrong)[0])
    value = (whole + part.str.pad_end(digits, "0")).cast(pl.Int64)
    out: NDArray[np.int64] = np.where(sign == "-", -1, 1) * value.to_numpy()
    return out
