"""hftbacktest's .npz, both ways: their users' data runs here, and any feed of ours there.

A file holds one array of 64-byte rows: what happened (an event number and flags), when at the exchange and when here (ns), price,
quantity and, where orders are known, the order. Rows are taken in the exchange's order; those that only happen here, later,
say the same again and are left out. Prices and quantities are floats: the scales of the feed are as fine as the finest of them,
which takes a pass of its own.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from hftlab.errors import FeedError
from hftlab.events import EVENT_DTYPE, Events, Kind, Side
from hftlab.feeds.feed import Chunk, Feed, unknown_symbol
from hftlab.feeds.records import MODIFY, MOST_QTY, Levels, RecordFeed, orders, whole_events
from hftlab.presentation.output import atomic_path

ROW_DTYPE = np.dtype(
    [
        ("ev", "<u8"),
        ("exch_ts", "<i8"),
        ("local_ts", "<i8"),
        ("px", "<f8"),
        ("qty", "<f8"),
        ("order_id", "<u8"),
        ("ival", "<i8"),
        ("fval", "<f8"),
    ]
)
DEPTH, TRADE, DEPTH_CLEAR, DEPTH_SNAPSHOT, DEPTH_BBO = range(1, 6)
ADD_ORDER, CANCEL_ORDER, MODIFY_ORDER, FILL = range(10, 14)
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
_BOTH = EXCH | LOCAL
_KINDS = {TRADE: Kind.TRADE, ADD_ORDER: Kind.ADD, CANCEL_ORDER: Kind.DELETE, MODIFY_ORDER: Kind.REPLACE}
_ROWS = 1 << 16  # read at once
_MOST_DIGITS = 9


class NpzFeed(RecordFeed):
    """The rows of one file; instrument 1 is its asset, named as the file is."""

    epoch = "unix"

    @staticmethod
    def sniff(head: bytes) -> bool:
        """Whether it is a zip archive whose first member is an array."""
        size = int.from_bytes(head[26:28], "little")
        return head[:4] == b"PK\x03\x04" and head[30 : 30 + size].endswith(b".npy")

    def _open(self) -> None:
        self._names = ("", (self._source.path or Path(self.name)).name.partition(".")[0])
        self._digits, self.by_order = {"px": 0, "qty": 0}, False
        for index, rows in self._rows():
            self.by_order |= bool(((rows["ev"] & 0xFF) == ADD_ORDER).any())
            for name in self._digits:
                self._digits[name] = self._needed(rows[name], name, index)
        self.price_scale, self.qty_scale = 10 ** self._digits["px"], 10 ** self._digits["qty"]

    def _needed(self, values: Any, name: str, index: int) -> int:
        """Decimals that are enough for all values so far."""
        for digits in range(self._digits[name], _MOST_DIGITS + 1):
            exact = ((np.round(values * 10.0**digits) / 10.0**digits == values) & np.isfinite(values)) | np.isnan(values)
            if exact.all():
                return digits
        at = int((~exact).argmax())
        raise self._bad(index + at, f"{name} must be a finite number of at most {_MOST_DIGITS} decimals, got {values[at]!r}")

    def _bad(self, index: int, text: str) -> FeedError:
        offset = index * ROW_DTYPE.itemsize
        return FeedError(f"{self.name}: offset {offset} of the array, row {index}: {text}", offset=offset, index=index)

    def _rows(self) -> Iterator[tuple[int, Events]]:
        """(number of the first, rows) in blocks."""
        path = self._source.path or Path(self.name)
        try:
            with zipfile.ZipFile(path) as archive:
                member = next((name for name in archive.namelist() if name in ("data.npy", "arr_0.npy")), "")
                if not member:
                    raise self._wrong(0, f"must hold an array called data, got {archive.namelist()[:5]}")
                with archive.open(member) as file:
                    yield from self._blocks(file, self._count(file))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            if isinstance(error, FeedError):
                raise
            raise self._wrong(0, f"cannot be read as .npz: {error}") from None

    def _count(self, file: IO[bytes]) -> int:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = read(file)
        if len(shape) != 1 or kind != ROW_DTYPE:
            raise self._wrong(0, f"must be (n,) rows of {', '.join(ROW_DTYPE.names or ())}, got {shape} of {kind}")
        return int(shape[0])

    def _blocks(self, file: IO[bytes], count: int) -> Iterator[tuple[int, Events]]:
        for index in range(0, count, _ROWS):
            size = min(_ROWS, count - index) * ROW_DTYPE.itemsize
            data = file.read(size)
            whole = len(data) // ROW_DTYPE.itemsize
            if whole:
                yield index, np.frombuffer(data, ROW_DTYPE, whole)
            if len(data) < size:
                raise self._bad(index + whole, f"cut off; the array must have {count} rows")

    def _records(self) -> Iterator[Chunk]:
        return whole_events(self._chunks())

    def _chunks(self) -> Iterator[tuple[Chunk, Any]]:
        levels, state = Levels(), orders()
        for index, rows in self._rows():
            places = np.flatnonzero(rows["ev"] & EXCH)
            if len(places) < len(rows):
                self.skipped["rows only say that something came here later"] += len(rows) - len(places)
            there = rows[places]
            events, codes = self._events(there, index + places), (there["ev"] & 0xFF).astype(np.int64)
            state.resolve(events, (codes == MODIFY_ORDER).astype(np.uint8) * np.uint8(MODIFY))
            events, source = _levels(events, codes, levels)
            recv_ns = there["local_ts"].astype(np.uint64)[source]
            yield Chunk(events, recv_ns), events["ts_ns"]

    def _events(self, rows: Events, places: Any) -> Events:
        qty, price = (np.round(np.nan_to_num(rows[name]) * 10 ** self._digits[name]) for name in ("qty", "px"))
        wrong = (qty > MOST_QTY) | (qty < 0) | (np.abs(price) >= 2**63) | (rows["exch_ts"] < 0)
        if wrong.any():
            row = rows[int(wrong.argmax())]
            text = f"qty must be from 0 to {MOST_QTY} units of 1/{self.qty_scale}, prices must fit 64 bits, times be positive"
            raise self._bad(int(places[wrong.argmax()]), f"{text}; got {row['qty']}, {row['px']}, {row['exch_ts']}")
        events = np.zeros(len(rows), EVENT_DTYPE)
        codes = rows["ev"] & 0xFF
        events["ts_ns"], events["qty"], events["price"], events["instrument"] = rows["exch_ts"], qty, price, 1
        events["side"] = np.where(rows["ev"] & BUY, Side.BID, np.where(rows["ev"] & SELL, Side.ASK, Side.NONE))
        for code, kind in _KINDS.items():
            events["kind"][codes == code] = kind
        named = np.isin(codes, (ADD_ORDER, CANCEL_ORDER, MODIFY_ORDER, FILL))
        events["order_id"] = np.where(named, rows["order_id"], 0)
        return events


def _levels(events: Events, codes: Any, levels: Levels) -> tuple[Events, Any]:
    """Rows of levels as events of their orders, and from which row each event comes: a clear takes several levels away."""
    clears = np.flatnonzero(codes == DEPTH_CLEAR).tolist()
    inserted: list[tuple[int, tuple[int, int, int]]] = []  # (before which row, (id, side, price))
    for row in np.flatnonzero(np.isin(codes, (DEPTH, DEPTH_SNAPSHOT, DEPTH_CLEAR))).tolist():
        event = events[row]
        side, price = int(event["side"]), int(event["price"])
        if codes[row] != DEPTH_CLEAR:
            event["kind"], event["order_id"], event["new_order_id"] = levels.set(1, side, price, int(event["qty"]))
        elif side:
            sign = 1 if side == Side.BID else -1  # a price as far from the middle as the one given, or nearer; 0 takes all
            live = levels.live(1).items()
            for key, (which, level) in [
                one for one in live if one[1][0] == side and (not price or sign * (one[1][1] - price) >= 0)
            ]:
                levels.set(1, which, level, 0)
                inserted.append((row, (key, which, level)))
        else:
            event["kind"] = Kind.CLEAR
            levels.clear(1)
    events["price"][clears] = events["qty"][clears] = 0
    at = [row for row, _ in inserted]
    more = np.zeros(len(at), EVENT_DTYPE)
    more["kind"], more["instrument"], more["ts_ns"] = Kind.DELETE, 1, events["ts_ns"][at]
    if inserted:
        more["order_id"], more["side"], more["price"] = zip(*(one for _, one in inserted), strict=True)
    return np.insert(events, at, more), np.insert(np.arange(len(events)), at, at)


def write(feed: Feed, path: str | Path, symbol: str) -> int:
    """Write one instrument of a feed of orders as hftbacktest's Level 3 rows; how many. It is written whole or not at all.

    feed   : of event records; what has no `recv_ns` is taken as received when it happened
    symbol : which instrument
    raises : UnknownName for a symbol the feed does not have; OutputError if the file cannot be written
    """
    if not symbol or symbol not in feed.symbols:
        raise unknown_symbol(symbol, feed.symbols)
    writer = _Writer(feed, list(feed.symbols).index(symbol))
    rows = np.concatenate([np.empty(0, ROW_DTYPE), *(writer.rows(chunk) for chunk in feed.chunks())])
    with atomic_path(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, data=rows)
    return len(rows)


class _Writer:
    """Events of one instrument -> rows; what is left of each order, since a row says what is left and not what went."""

    def __init__(self, feed: Feed, number: int) -> None:
        self._feed, self._number = feed, number
        self._live: dict[int, tuple[int, int, int]] = {}  # id -> (side, price, qty)

    def rows(self, chunk: Chunk) -> Events:
        mine = chunk.where(chunk.events["instrument"] == self._number)
        recv_ns = mine.events["ts_ns"] if mine.recv_ns is None else mine.recv_ns
        out: list[tuple[Any, ...]] = []
        for event, at in zip(mine.events.tolist(), recv_ns.tolist(), strict=True):
            for code, side, price, qty, order in self._row(event):
                flags = _BOTH | (BUY if side == Side.BID else SELL if side == Side.ASK else 0)
                px, size = price / self._feed.price_scale, qty / self._feed.qty_scale
                out.append((code | flags, event[0], at, px, size, order, 0, 0.0))
        return np.array(out, ROW_DTYPE)

    def _row(self, event: tuple[int, ...]) -> Iterator[tuple[int, int, int, int, int]]:
        """(code, side, price, qty, id), none or several."""
        _, order, new, price, qty, _, kind, side = event
        live = self._live
        if kind == Kind.ADD:
            live[order] = side, price, qty
            yield ADD_ORDER, side, price, qty, order
        elif kind == Kind.TRADE:
            yield TRADE, side, price, qty, 0
        elif kind == Kind.CLEAR:
            live.clear()
            yield DEPTH_CLEAR, 0, 0, 0, 0
        elif order in live:
            yield from self._change(kind, order, new, price, qty)

    def _change(self, kind: int, order: int, new: int, price: int, qty: int) -> Iterator[tuple[int, int, int, int, int]]:
        side, at, left = self._live.pop(order)
        if kind == Kind.EXECUTE:
            yield FILL, side, at, qty, order
        if kind == Kind.REPLACE:
            self._live[new] = side, price, qty
            if new == order:
                yield MODIFY_ORDER, side, price, qty, order
            else:
                yield CANCEL_ORDER, side, at, left, order
                yield ADD_ORDER, side, price, qty, new
        elif kind in (Kind.EXECUTE, Kind.CANCEL) and qty < left:
            self._live[order] = side, at, left - qty
            yield MODIFY_ORDER, side, at, left - qty, order
        else:
            yield CANCEL_ORDER, side, at, left, order
