"""LOBSTER: the message file of one stock and day, seeded from the first row of the order book file if that lies beside it.

    time (s after midnight), type, order id, size, price (1/10,000 dollar), direction (1 buy, -1 sell)

The file may begin in the middle of a day. Then its first messages act on orders nobody has announced: where the order book file
is there, what rests at each visible level before the first message is one synthetic order, with an id from 2^63 on, and those
messages act on it. The seed belongs to the event of the first message, so the n-th end of an event is the n-th message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.errors import FeedError
from hftlab.events import EVENT_DTYPE, Events, Kind, Side
from hftlab.feeds.feed import Chunk
from hftlab.feeds.records import MOST_QTY, Lines, RecordFeed, columns, whole_lines
from hftlab.feeds.source import Source

if TYPE_CHECKING:
    import polars as pl

SEED = 1 << 63  # the id of the first synthetic order
_NAME = re.compile(r"(?P<ticker>[^_]+)_\d{4}-\d\d-\d\d_\d+_\d+_message_\d+\.csv.*")
_LINE = re.compile(rb"\d+(\.\d+)?,[1-7],-?\d+,-?\d+,-?\d+,-?[01]\r?\n")
_COLUMNS = ("time", "type", "order", "size", "price", "direction")
_NO_LEVEL = 9_999_999_999  # the price of a level that is not there, and its negative
_ADD, _CANCEL, _DELETE, _EXECUTE, _HIDDEN, _CROSS, _HALT = range(1, 8)
_KINDS = np.zeros(8, np.uint8)
_KINDS[[_ADD, _CANCEL, _DELETE, _EXECUTE]] = Kind.ADD, Kind.CANCEL, Kind.DELETE, Kind.EXECUTE
_KINDS[[_HIDDEN, _CROSS, _HALT]] = Kind.TRADE, Kind.TRADE, Kind.STATUS
_STATES = {-1: ord("H"), 0: ord("Q"), 1: ord("T")}  # what the price of a halt message says, as ITCH says it

Level = tuple[int, int]  # (side, price)


class LobsterFeed(RecordFeed):
    """One message file; instrument 1 is its stock, named as the file is."""

    @staticmethod
    def sniff(head: bytes) -> bool:
        """Whether the first line has six columns, with a type from 1 to 7 and a direction."""
        return _LINE.match(head) is not None

    def _open(self) -> None:
        path = self._source.path or Path(self.name)
        named = _NAME.fullmatch(path.name)
        self._names = ("", named["ticker"] if named else path.name.partition(".")[0])
        beside = path.name.replace("_message_", "_orderbook_")
        stem = beside.partition(".csv")[0] + ".csv"
        books = [path.with_name(name) for name in (beside, stem, f"{stem}.gz", f"{stem}.zst") if name != path.name]
        self.book = next((book for book in books if book.is_file()), None)

    def _records(self) -> Iterator[Chunk]:
        seeded = None
        for lines in whole_lines(self._source):
            events = self._events(lines)
            end = np.ones(len(events), np.bool_)
            if seeded is None:
                seed = self._seed(events)
                seeded = _Seeded(seed)
                events, end = np.concatenate([seed, events]), np.concatenate([np.zeros(len(seed), np.bool_), end])
            seeded.resolve(events)
            yield Chunk(events, None, end)
        if seeded is None:
            raise self._wrong(0, "no bytes; a message file has at least one line")

    def _events(self, lines: Lines) -> Events:
        import polars as pl

        types = {name: pl.String if name == "time" else pl.Int64 for name in _COLUMNS}
        frame = columns(lines, types, self.name)
        table = {name: frame[name].to_numpy() for name in _COLUMNS[1:]}
        self._check(lines, "a type must be between 1 and 7", (table["type"] < 1) | (table["type"] > 7))
        self._check(lines, f"a size must be between 0 and {MOST_QTY}", (table["size"] < 0) | (table["size"] > MOST_QTY))
        self._check(lines, "a direction must be 1 or -1", np.abs(table["direction"]) != 1)
        events = np.zeros(len(frame), EVENT_DTYPE)
        events["ts_ns"] = self._times(lines, frame["time"])
        halts = table["type"] == _HALT
        events["kind"], events["instrument"] = _KINDS[table["type"]], 1
        events["side"] = np.where(halts, Side.NONE, np.where(table["direction"] > 0, Side.BID, Side.ASK))
        events["order_id"] = np.maximum(table["order"], 0)
        events["price"] = np.where(halts, 0, table["price"])
        events["qty"] = np.where(halts, [_STATES.get(state, 0) for state in table["price"].tolist()], table["size"])
        return events

    def _times(self, lines: Lines, texts: pl.Series) -> Any:
        """Nanoseconds. What stands behind the ninth decimal is what a float has left there: it is rounded."""
        import polars as pl

        self._check(lines, "a time must be seconds after midnight", ~texts.str.contains(r"^\d{1,8}(\.\d+)?$").to_numpy())
        parts = texts.str.splitn(".", 2).struct
        tenths = parts[1].fill_null("").str.slice(0, 10).str.pad_end(10, "0").cast(pl.Int64)
        return parts[0].cast(pl.Int64).to_numpy() * 10**9 + (tenths.to_numpy() + 5) // 10

    def _check(self, lines: Lines, rule: str, wrong: Any) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            line = lines.data.split(b"\n", row + 1)[row]
            offset = lines.offset + len(b"\n".join(lines.data.split(b"\n", row)[:row])) + (row > 0)
            text = f"{self.name}: offset {offset}, row {lines.row + row}: {rule}, got {line[:80]!r}"
            raise FeedError(text, offset=offset, index=lines.row + row)

    def _seed(self, events: Events) -> Events:
        """An add for each visible level of the book before the first message; none where there is no book file."""
        if self.book is None or not len(events):
            return np.empty(0, EVENT_DTYPE)
        levels = _before(_first_row(self.book), events[0])
        out = np.zeros(len(levels), EVENT_DTYPE)
        for row, ((side, price), qty) in zip(out, levels.items(), strict=True):
            row["side"], row["price"], row["qty"] = side, price, qty
        out["kind"], out["instrument"], out["ts_ns"] = Kind.ADD, 1, events["ts_ns"][0]
        out["order_id"] = SEED + np.arange(len(out), dtype=np.uint64)
        return out


def _first_row(book: Path) -> dict[Level, int]:
    """The first row of an order book file: quantity by side and price. raises : FeedError for what is none"""
    for lines in whole_lines(Source(book)):
        line = lines.data.partition(b"\n")[0]
        cells = line.strip().split(b",")
        if len(cells) % 4 or not all(cell.lstrip(b"-").isdigit() for cell in cells):
            text = (
                f"{book.name}: offset 0: a row must be ask price, ask size, bid price, bid size of each level, got {line[:80]!r}"
            )
            raise FeedError(text, offset=0)
        values = iter(map(int, cells))
        levels: dict[Level, int] = {}
        for ask, ask_qty, bid, bid_qty in zip(values, values, values, values, strict=True):
            levels |= {(Side.ASK, ask): ask_qty, (Side.BID, bid): bid_qty}
        return {level: qty for level, qty in levels.items() if abs(level[1]) != _NO_LEVEL and qty}
    return {}


def _before(levels: dict[Level, int], first: np.void) -> dict[Level, int]:
    """The levels before the message whose effect their row shows."""
    kind, level = first["kind"], (int(first["side"]), int(first["price"]))
    change = {Kind.ADD: -1, Kind.CANCEL: 1, Kind.DELETE: 1, Kind.EXECUTE: 1}.get(Kind(kind), 0) * int(first["qty"])
    after = {**levels, level: levels.get(level, 0) + change} if change else levels
    return {level: qty for level, qty in after.items() if qty > 0}


class _Seeded:
    """Which messages act on a seed, since nobody has announced the order they name."""

    def __init__(self, seed: Events) -> None:
        self._left = {(row["side"], row["price"]): [int(row["order_id"]), int(row["qty"])] for row in seed}
        self._announced: set[int] = set()

    def resolve(self, events: Events) -> None:
        """Name the seed in those that act on one, in place; a delete of an order in it is a cancel of what was left of that."""
        self._announced.update(events["order_id"][events["kind"] == Kind.ADD].tolist())
        acting = np.isin(events["kind"], (Kind.CANCEL, Kind.DELETE, Kind.EXECUTE))
        for row in np.flatnonzero(acting).tolist() if self._left else ():
            event = events[row]
            left = self._left.get((event["side"], event["price"]))
            if int(event["order_id"]) in self._announced or left is None or left[1] < event["qty"]:
                continue
            left[1] -= int(event["qty"])
            event["order_id"] = left[0]
            if event["kind"] == Kind.DELETE:
                event["kind"] = Kind.CANCEL
