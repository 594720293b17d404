"""A reader of one's own: the full channel of Coinbase Exchange, order by order, as JSON lines with the time each was received.

    1723161254024619568 {"type":"open","order_id":"d50e-...","side":"buy","price":"2683.8","remaining_size":"1.5",...}

Ids are UUIDs, so they are numbered in order of appearance; prices and sizes are decimal texts, so they are scaled exactly. An
entry point of the group `hftlab.feeds` makes hftlab.load, the command line and the notebooks find it:

    [project.entry-points."hftlab.feeds"]
    coinbase = "coinbase_reader:Coinbase"

    python -c "import hftlab, coinbase_reader as c; print(hftlab.conformance.reader(c.Coinbase, 'sample.jsonl'))"
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np

from hftlab.errors import FeedError
from hftlab.events import EVENT_DTYPE, Kind, Side
from hftlab.feeds.feed import Chunk
from hftlab.feeds.records import MOST_QTY, RecordFeed, whole_lines

PRICE_SCALE, QTY_SCALE = 10**8, 10**6
SIDES = {"buy": Side.BID, "sell": Side.ASK}

Row = tuple[int, int, int, int, int, int, int, int]


class CoinbaseFeed(RecordFeed):
    """The book of each product: open -> ADD, change -> CANCEL, match -> EXECUTE, done -> DELETE."""

    price_scale, qty_scale, epoch = PRICE_SCALE, QTY_SCALE, "unix"

    def _open(self) -> None:
        self._products: dict[str, int] = {}
        for _ in self._messages():
            pass  # a pass of its own, for the names
        if not self._products:
            raise FeedError(f"{self.name}: offset 0: no bytes; a capture has at least one message", offset=0)

    @property
    def symbols(self) -> tuple[str, ...]:
        return ("", *self._products)

    def _messages(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """(offset, time of receipt, message) of every line."""
        for lines in whole_lines(self._source):
            at = lines.offset
            for line in lines.data.splitlines(keepends=True):
                try:
                    received, _, text = line.partition(b" ")
                    message = json.loads(text)
                    self._products.setdefault(str(message["product_id"]), len(self._products) + 1)
                    yield at, int(received), message
                except (ValueError, KeyError, TypeError) as error:
                    text = f"offset {at}: must be a time and a message, got {line[:60]!r} ({error})"
                    raise FeedError(f"{self.name}: {text}", offset=at) from None
                at += len(line)

    def _records(self) -> Iterator[Chunk]:
        ids: dict[str, int] = {}
        left: dict[int, int] = {}
        rows: list[Row] = []
        times: list[int] = []
        for at, received, message in self._messages():
            try:
                rows.append(self._row(message, ids, left))
            except (KeyError, ValueError, InvalidOperation, TypeError, OverflowError) as error:
                raise FeedError(f"{self.name}: offset {at}: a message that cannot be read: {error!r}", offset=at) from None
            times.append(received)
        yield Chunk(np.array(rows, EVENT_DTYPE), np.array(times, np.uint64))

    def _row(self, message: dict[str, Any], ids: dict[str, int], left: dict[int, int]) -> Row:
        name = message.get("maker_order_id") or message.get("order_id", "")
        order = ids.setdefault(str(name), len(ids) + 1)
        product, kind, qty, price, side = self._products[str(message["product_id"])], Kind.OTHER, 0, 0, Side.NONE
        if message["type"] == "open":
            kind, side = Kind.ADD, SIDES[message["side"]]
            qty, price = _units(message["remaining_size"], QTY_SCALE), _units(message["price"], PRICE_SCALE)
            left[order] = qty
        elif order in left and message["type"] == "match":
            kind, qty = Kind.EXECUTE, _units(message["size"], QTY_SCALE)
            left[order] -= qty
        elif order in left and message["type"] == "change":
            kind, qty = Kind.CANCEL, left[order] - _units(message["new_size"], QTY_SCALE)
            left[order] -= qty
        elif order in left and message["type"] == "done":
            kind = Kind.DELETE if left.pop(order) else Kind.OTHER  # what was filled whole has left already
        time = datetime.fromisoformat(message["time"])
        ts_ns = int(time.timestamp()) * 10**9 + time.microsecond * 1_000
        return ts_ns, order, 0, price, qty, product, kind, side


def _units(text: str, scale: int) -> int:
    """A decimal as whole units, exactly. raises : ValueError for one that is finer, or that no record can hold"""
    value = Decimal(text) * scale
    if value != value.to_integral_value() or not 0 <= value <= (MOST_QTY if scale == QTY_SCALE else 2**62):
        raise ValueError(f"{text} does not fit 1/{scale}")
    return int(value)


class Coinbase:
    """The reader: hftlab finds it through its entry point."""

    @staticmethod
    def sniff(head: bytes) -> bool:
        """Whether the first line is a time and a JSON message that has a product."""
        received, _, text = head.partition(b"\n")[0].partition(b" ")
        return received.isdigit() and text.startswith(b"{") and b'"product_id"' in text

    @staticmethod
    def open(path: str | Path, symbols: Iterable[str] = ()) -> CoinbaseFeed:
        """A feed of the file."""
        return CoinbaseFeed(path, symbols)
