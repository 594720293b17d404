"""A file of market data as another one, or as tables: a whole day streams through, memory is bounded.

out.npz          hftbacktest's rows of one symbol
..._message_10.csv   LOBSTER's two files of one symbol, with ten levels
out.parquet      the event records, with the times of receipt and the ends of events where they are known
out.itch[.gz]    framed ITCH 5.0, of what carries it (a capture, a filtered day)
out/ (a folder)  a Parquet file for each of the tables
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from hftlab.engine.engine import Engine, decode, decoded
from hftlab.engine.recording import ROW_DTYPE
from hftlab.engine.session import Session
from hftlab.errors import ConfigError, check_choice
from hftlab.events import EVENT_DTYPE, Kind, Side
from hftlab.feeds import hftbacktest
from hftlab.feeds.feed import EventFeed, Feed, messages
from hftlab.feeds.frames import walk
from hftlab.feeds.itch import selected
from hftlab.feeds.reader import load
from hftlab.feeds.records import orders
from hftlab.presentation.document import Table, table
from hftlab.presentation.output import atomic_path, parquet_rows
from hftlab.presentation.result import StoredResult
from hftlab.protocols.itch_messages import MESSAGES, fields

Put = Callable[[dict[str, Any]], None]
TABLES = ("bbo", "trades", "depth", "orders", "noii", "halts", "symbols")
_BBO = np.dtype([(name, ROW_DTYPE[name]) for name in (ROW_DTYPE.names or ())[:7]])  # without the signals
_EVENT = [(name, EVENT_DTYPE[name]) for name in EVENT_DTYPE.names or ()]
_INDEXED = np.dtype([("index", "<u8"), *_EVENT])
_WIRE = {"noii": "I", "halts": "Hh", "symbols": "R"}  # tables whose rows are messages of ITCH of these types
_PRINTS = (Kind.EXECUTE, Kind.TRADE)


@dataclass(frozen=True, repr=False)
class Conversion(StoredResult):
    """What `convert` wrote: rows by table or file, and whether the book kept its rules.

    faults  : events the book refused, by reason; crossed: changes of the touch after which a book was locked or crossed
    live    : orders that were live at the end; None where no book was built
    """

    schema: ClassVar[str] = "hftlab-convert/1"
    source: str
    target: str
    messages: int
    rows: dict[str, int]
    faults: dict[str, int]
    crossed: int
    live: int | None

    def headline(self) -> str:
        return f"{self.source} -> {self.target}: {self.messages:,} messages"

    def tables(self) -> list[Table]:
        return [table("", ("written", "rows"), [(name, f"{count:,}") for name, count in self.rows.items()], words=1)]

    def notes(self) -> list[str]:
        if self.live is None:
            return []
        refused = ", ".join(f"{reason} {count:,}" for reason, count in self.faults.items()) or "no event"
        return [f"the book refused {refused}; it was locked or crossed {self.crossed:,} times; {self.live:,} orders are left"]


def convert(
    source: str, target: str, *, tables: Sequence[str] = (), symbols: Iterable[str] = (), backend: str = "auto"
) -> Conversion:
    """Convert a file; what it becomes, the end of the name of `target` says.

    source  : a file of any format that a reader knows
    target  : .npz, .parquet, .itch, .itch.gz or ..._message_LEVELS.csv; anything else is a folder for tables
    tables  : which tables: bbo trades depth orders noii halts symbols; default: all that the format has
    symbols : keep only these
    backend : the engine that builds the books
    raises  : FeedError, UnknownName, ConfigError, OutputError; a file is written whole or not at all
    """
    feed, path = load(source, symbols), Path(target)
    names = tuple(name for text in tables for name in text.split(","))
    for name in names:
        check_choice("table", name, TABLES)
    if path.suffix == ".npz":
        return _as_npz(feed, path, backend)
    if is_message_file(path):
        return _as_lobster(feed, path, backend)
    if path.suffix == ".parquet":
        return _as_records(feed, path, backend)
    if path.name.endswith((".itch", ".itch.gz")):
        return _as_itch(feed, path)
    return _as_tables(feed, path, names, backend)


def _written(feed: Feed, path: Path, messages: int, rows: dict[str, int]) -> Conversion:
    return Conversion(feed.name, str(path), messages, rows, {}, 0, None)


def _as_npz(feed: Feed, path: Path, backend: str) -> Conversion:
    if feed.wire == "itch":
        feed = EventFeed(decode(feed, backend), symbols=feed.symbols, price_scale=feed.price_scale, name=feed.name)
    count = hftbacktest.write(feed, path, _one_symbol(feed, path, backend))
    return _written(feed, path, count, {path.name: count})


def _as_lobster(feed: Feed, path: Path, backend: str) -> Conversion:
    count = write_lobster(feed, path, _one_symbol(feed, path, backend), backend)
    return _written(feed, path, count, {path.name: count, path.name.replace("_message_", "_orderbook_"): count})


def _one_symbol(feed: Feed, path: Path, backend: str) -> str:
    """The only symbol of a feed. raises : ConfigError for a feed of several"""
    names = [name for name in feed.symbols if name]
    if len(set(names)) != 1:
        numbers = {number for events in decoded(feed, backend) for number in np.unique(events["instrument"]).tolist()}
        names = [feed.symbols[number] for number in sorted(numbers - {0})]
    if len(names) != 1:
        raise ConfigError(f"symbols must be one for {path.name}, which holds one asset, got {len(names)}: {', '.join(names[:8])}")
    return names[0]


def _as_records(feed: Feed, path: Path, backend: str) -> Conversion:
    chunks = feed.chunks() if feed.wire == "events" else ((events, None, None) for events in decoded(feed, backend))
    whole = iter(chunks)
    first = next(whole, (np.empty(0, EVENT_DTYPE), None, None))
    known = zip((("recv_ns", "<u8"), ("event_end", "?")), first[1:], strict=True)
    beside = [field for field, column in known if column is not None]
    with parquet_rows(path, np.dtype([*_EVENT, *beside])) as put:
        count = sum(_put_records(put, chunk) for chunk in chain([first], whole))
    return _written(feed, path, count, {path.name: count})


def _put_records(put: Put, chunk: Any) -> int:
    events, recv_ns, event_end = chunk
    put({name: events[name] for name, _ in _EVENT} | {"recv_ns": recv_ns, "event_end": event_end})
    return len(events)


def _as_itch(feed: Feed, path: Path) -> Conversion:
    if feed.wire != "itch":
        raise ConfigError(f"target must be .parquet, .npz or a folder for a feed of records, got {path.name}")
    count = 0
    with atomic_path(path) as beside, beside.open("wb") as file:
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) if path.suffix == ".gz" else file
        for data, at, size in messages(feed):
            packed.write(data[at - 2 : at + size])
            count += 1
        if packed is not file:
            packed.close()
    return _written(feed, path, count, {path.name: count})


def _as_tables(feed: Feed, folder: Path, names: Sequence[str], backend: str) -> Conversion:
    has = [name for name in TABLES if name not in _WIRE or feed.wire == "itch"]
    for name in names:
        check_choice(f"table of {feed.format or 'this feed'}", name, has)
    wanted = list(names) or has
    book = _Books(feed, folder, wanted, backend)
    rows = {**book.rows, **_event_tables(feed, folder, wanted, backend), **_wire_tables(feed, folder, wanted)}
    rows = {name: rows[name] for name in wanted}
    run = book.run
    return Conversion(feed.name, str(folder), run.messages, rows, run.faults, book.crossed, run.memory["live_orders"])


class _Books:
    """The tables of the book: bbo while the engine runs, depth at its end; and how often a book was locked or crossed."""

    def __init__(self, feed: Feed, folder: Path, wanted: Sequence[str], backend: str) -> None:
        self.rows = {"bbo": 0, "depth": 0}
        self.crossed = 0
        with ExitStack() as stack:
            self._put = stack.enter_context(parquet_rows(folder / "bbo.parquet", _BBO)) if "bbo" in wanted else None
            self.run = Engine(backend, until="book").run(feed, "top", rows=self._take)
            if len(self.run.columns["index"]):  # an engine that kept them to the end
                self._take(self.run.columns)
        if "depth" in wanted:
            self._depth(folder)

    def _take(self, columns: dict[str, Any]) -> None:
        bid, ask = columns["bid_price"], columns["ask_price"]
        self.crossed += int(((bid >= ask) & (columns["bid_qty"] > 0) & (columns["ask_qty"] > 0)).sum())
        self.rows["bbo"] += len(bid)
        if self._put:
            self._put(columns)

    def _depth(self, folder: Path) -> None:
        """Every price level that is left at the end."""
        import polars as pl

        schema = {"instrument": pl.UInt16, "side": pl.String, "price": pl.Int64, "qty": pl.UInt64, "orders": pl.UInt32}
        with parquet_rows(folder / "depth.parquet", schema) as put:
            for number in self.run.names:
                levels = self.run.book(number).select(pl.lit(number).cast(pl.UInt16).alias("instrument"), pl.all())
                put(levels)
                self.rows["depth"] += len(levels)


def _event_tables(feed: Feed, folder: Path, wanted: Sequence[str], backend: str) -> dict[str, int]:
    """orders: every event that acts on one; trades: every print, an execution at the price of the order it took."""
    names = [name for name in ("trades", "orders") if name in wanted]
    rows = dict.fromkeys(names, 0)
    if not names:
        return rows
    with ExitStack() as stack:
        puts = {name: stack.enter_context(parquet_rows(folder / f"{name}.parquet", _INDEXED)) for name in names}
        resting, index = orders(), 0
        for events in decoded(feed, backend):
            prices = resting.prices(events)
            chosen = {
                "trades": np.isin(events["kind"], _PRINTS),
                "orders": ~np.isin(events["kind"], (Kind.OTHER, Kind.STATUS, Kind.TRADE)),
            }
            for name, put in puts.items():
                at = np.flatnonzero(chosen[name])
                some = events[at]
                columns = {column: some[column] for column in EVENT_DTYPE.names or ()}
                put({"index": (index + at).astype(np.uint64), **columns, "price": prices[at]})
                rows[name] += len(at)
            index += len(events)
    return rows


def _wire_tables(feed: Feed, folder: Path, wanted: Sequence[str]) -> dict[str, int]:
    """Messages of ITCH, field by field."""
    import polars as pl

    names = [name for name in _WIRE if name in wanted]
    rows = dict.fromkeys(names, 0)
    letters = {ord(letter): name for name in names for letter in _WIRE[name]}
    schemas = {name: _wire_schema(_WIRE[name]) for name in names}
    with ExitStack() as stack:
        puts = {name: stack.enter_context(parquet_rows(folder / f"{name}.parquet", schemas[name])) for name in names}
        for block in selected(feed.passing_blocks(), feed.name, types=bytes(letters)) if names else ():
            parts: dict[str, list[dict[str, Any]]] = {}
            for data, at, size in walk([block], feed.name):
                parts.setdefault(letters[data[at]], []).append(fields(bytes(data[at : at + size])))
            for name, found in parts.items():
                puts[name](pl.DataFrame([{part: row.get(part) for part in schemas[name]} for row in found], schema=schemas[name]))
                rows[name] += len(found)
    return rows


def _wire_schema(letters: str) -> dict[str, Any]:
    """Polars type by field, over some types of messages."""
    import polars as pl

    return {part.name: pl.String if part.ascii else pl.UInt64 for letter in letters for part in MESSAGES[letter].parts}


_NAME = re.compile(r".+_message_(\d{1,3})\.csv")
_SUBMITTED, _REDUCED, _DELETED, _EXECUTED, _HIDDEN, _HALT = 1, 2, 3, 4, 5, 7
_STATES = {ord("H"): -1, ord("P"): -1, ord("Q"): 0, ord("T"): 1}
_NO_LEVEL = {Side.BID: -9_999_999_999, Side.ASK: 9_999_999_999}

Row = tuple[int, int, int, int, int]  # type, order, size, price, direction


def is_message_file(path: Path) -> bool:
    """Whether a name is that of a message file: TICKER_..._message_LEVELS.csv."""
    return _NAME.fullmatch(path.name) is not None


def write_lobster(feed: Feed, path: Path, symbol: str, backend: str = "auto") -> int:
    """Write a message file, and the order book file beside it with as many levels as the name says; how many rows.

    raises : ConfigError for a feed whose times or prices LOBSTER cannot hold; FeedError, OutputError
    """
    found = _NAME.fullmatch(path.name)
    if found is None or feed.price_scale != 10_000 or feed.epoch != "midnight":
        raise ConfigError(
            f"{path.name}: LOBSTER holds prices of 1/10,000 and times since midnight in files called ..._message_LEVELS.csv, "
            f"got 1/{feed.price_scale:,} and times since {feed.epoch}"
        )
    number, levels, rows = list(feed.symbols).index(symbol), int(found[1]), 0
    session = Engine(backend, until="book").open()
    with _writing(path) as out, _writing(path.with_name(path.name.replace("_message_", "_orderbook_"))) as book:
        for events in decoded(feed, backend):
            for event in events[events["instrument"] == number].tolist():
                for row in _rows(session, event):
                    out.write(f"{event[0] // 10**9}.{event[0] % 10**9:09d},{','.join(map(str, row))}\n")
                    book.write(_levels(session, number, levels))
                    rows += 1
    return rows


@contextmanager
def _writing(path: Path) -> Iterator[IO[str]]:
    """A text file that takes its place when all went well."""
    with atomic_path(path) as beside, beside.open("w", encoding="ascii", newline="") as file:
        yield file


def _rows(session: Session, event: tuple[int, ...]) -> Iterator[Row]:
    """What LOBSTER says of an event, step by step; the book has taken each step when it is given. A replace is two of them."""
    ts_ns, order, new, price, qty, instrument, kind, side = event
    before = session.locate(order)
    if kind == Kind.REPLACE and before:
        yield from _rows(session, (ts_ns, order, 0, 0, 0, instrument, Kind.DELETE, 0))
        yield from _rows(session, (ts_ns, new, 0, price, qty, instrument, Kind.ADD, before[1]))
        return
    if session.apply(*event) < 0:
        return  # the book has refused it
    if kind == Kind.ADD:
        yield _SUBMITTED, order, qty, price, _direction(side)
    elif kind == Kind.TRADE:
        yield _HIDDEN, 0, qty, price, _direction(side)
    elif kind == Kind.STATUS and qty in _STATES:
        yield _HALT, 0, 0, _STATES[qty], -1
    elif before and kind in (Kind.CANCEL, Kind.EXECUTE, Kind.DELETE):
        _, which, at, left = before
        gone = left if kind == Kind.DELETE else qty
        code = _EXECUTED if kind == Kind.EXECUTE else _DELETED if gone == left else _REDUCED
        yield code, order, gone, at, _direction(which)


def _direction(side: int) -> int:
    return 1 if side == Side.BID else -1


def _levels(session: Session, instrument: int, levels: int) -> str:
    """A row of the order book file: ask price, ask size, bid price, bid size of each level."""
    depth = session.depth(instrument)
    sides = {side: [(price, qty) for which, price, qty, _ in depth if which == side][:levels] for side in (Side.ASK, Side.BID)}
    full = {side: [*found, *[(_NO_LEVEL[side], 0)] * (levels - len(found))] for side, found in sides.items()}
    both = zip(full[Side.ASK], full[Side.BID], strict=True)
    return ",".join(f"{ask},{ask_qty},{bid},{bid_qty}" for (ask, ask_qty), (bid, bid_qty) in both) + "\n"
