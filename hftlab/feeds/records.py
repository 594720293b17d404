"""Feeds of event records from files of other formats, and the two mappings most of them need.

A feed of records does not change with the format: a modify, a set price level or a snapshot becomes what the book already knows.

    modify that only shrinks                  CANCEL of the difference
    modify of the price, or one that grows    REPLACE with the same id: it loses its place
    modify of nothing                         OTHER
    modify of an order nobody has seen        ADD
    level set (L2)                            one synthetic order per side and price: ADD, REPLACE with the same id, DELETE
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftlab.errors import FeedError, check_type
from hftlab.events import Events, Kind
from hftlab.feeds.feed import Chunk, Feed, unknown_symbol
from hftlab.feeds.source import Source

#: Prices and quantities of the record, as powers of ten of a decimal text may need them.
MOST_QTY, MOST_PRICE = 2**32 - 1, 2**63 - 1
MOST_SYMBOLS = 2**16 - 1
MODIFY, RESET = 1, 2  # what a modify does to an order's place: see `Orders.resolve`
_OTHER, _ADD, _EXECUTE, _CANCEL, _DELETE, _REPLACE, _CLEAR = (
    int(kind) for kind in (Kind.OTHER, Kind.ADD, Kind.EXECUTE, Kind.CANCEL, Kind.DELETE, Kind.REPLACE, Kind.CLEAR)
)


class RecordFeed(Feed):
    """Records of a file, mapped block by block whenever they are asked for.

    path    : the file, plain, gzip or zstd
    symbols : keep only these instruments, and what is about none
    raises  : FeedError for what cannot be read; UnknownName for a symbol the file does not name
    """

    wire = "events"

    def __init__(self, path: str | os.PathLike[str], symbols: Iterable[str] = ()) -> None:
        self._source = Source(path)
        self.name = self._source.name
        self.skipped: Counter[str] = Counter()  # what was no message of this feed, by what it was, in the last pass
        self._open()
        names, wanted = self.symbols, tuple(check_type("symbols", symbols, Iterable))
        for symbol in wanted:
            if not symbol or symbol not in names:
                raise unknown_symbol(symbol, names)
        self._kept = np.array([i for i, name in enumerate(names) if name in wanted or not i], np.uint16) if wanted else None

    def _open(self) -> None:
        """Read what the feed must know before its first record: names, scales."""

    @abstractmethod
    def _records(self) -> Iterator[Chunk]:
        """All records of the file, in order."""

    def chunks(self) -> Iterator[Chunk]:
        self.skipped.clear()
        for chunk in self._records():
            kept = chunk if self._kept is None else chunk.where(np.isin(chunk.events["instrument"], self._kept))
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


class Orders:
    """What is left of each live order, by which a modify becomes what the book knows."""

    def __init__(self) -> None:
        self._live: dict[int, list[int]] = {}  # id -> [instrument, price, qty]

    def resolve(self, events: Events, modifies: NDArray[np.uint8]) -> None:
        """Give each modify among the records its kind, quantity and new id, in place; the others say what they do to orders.

        modifies : (n,) u8; MODIFY where a record sets an order to its price and quantity, RESET where it loses its place whatever
                   changes, 0 elsewhere
        """
        live = self._live
        columns = (events[name].tolist() for name in ("kind", "order_id", "instrument", "price", "qty"))
        for row, (modify, kind, order, instrument, price, qty) in enumerate(zip(modifies.tolist(), *columns, strict=True)):
            if modify:
                events["kind"][row], events["qty"][row], events["new_order_id"][row] = self._modify(
                    modify, order, instrument, price, qty
                )
            elif kind == _ADD:
                live[order] = [instrument, price, qty]
            elif kind in (_CANCEL, _EXECUTE) and order in live:
                live[order][2] -= qty
                if live[order][2] <= 0:
                    del live[order]
            elif kind == _DELETE:
                live.pop(order, None)
            elif kind == _CLEAR:
                self._live = live = {key: one for key, one in live.items() if one[0] != instrument}

    def _modify(self, modify: int, order: int, instrument: int, price: int, qty: int) -> tuple[int, int, int]:
        """Kind, quantity and new id."""
        before = self._live.get(order)
        self._live[order] = [instrument, price, qty]
        if before is None:
            return _ADD, qty, 0
        less = before[2] - qty
        if modify == RESET or price != before[1] or less < 0:
            return _REPLACE, qty, order
        if qty == 0:
            del self._live[order]
        return (_CANCEL, less, 0) if less else (_OTHER, qty, 0)


class Levels:
    """Price levels as synthetic orders, one each: a level that is set becomes ADD, REPLACE or DELETE of its order."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int, int], int] = {}  # (instrument, side, price) -> id, in order of appearance from 1 on
        self._live: set[int] = set()

    def set(self, instrument: int, side: int, price: int, qty: int) -> tuple[int, int, int]:
        """Kind, id and new id for a level that now holds `qty`; OTHER where one that is not there is emptied."""
        order = self._ids.setdefault((instrument, side, price), len(self._ids) + 1)
        if order in self._live:
            if qty:
                return _REPLACE, order, order
            self._live.discard(order)
            return _DELETE, order, 0
        if not qty:
            return _OTHER, 0, 0
        self._live.add(order)
        return _ADD, order, 0

    def clear(self, instrument: int, side: int = 0) -> list[int]:
        """Forget the levels of an instrument, of one side or of both (0); the ids that were live."""
        gone = [
            order
            for (number, which, _), order in self._ids.items()
            if number == instrument and side in (0, which) and order in self._live
        ]
        self._live.difference_update(gone)
        return gone


def ends(groups: Any) -> NDArray[np.bool_]:
    """(n,) bool: the last of each run of equal numbers; the last of all ends one, too."""
    return np.append(groups[1:] != groups[:-1], True) if len(groups) else np.empty(0, np.bool_)
