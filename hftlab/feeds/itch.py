"""ITCH 5.0 in BinaryFILE framing, from a file or from memory, whole or filtered by symbols."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from hftlab.errors import FeedError, check_type
from hftlab.feeds.feed import Feed, stock_names, unknown_symbol
from hftlab.feeds.frames import Block, frame_problem, walk
from hftlab.feeds.source import BLOCK, Source
from hftlab.protocols.itch_messages import SIZES

#: The first 10,000 messages of one stock on one real morning.
AAPL_MORNING = "itch50/aapl_20200130_first10k.itch"


class ItchFeed(Feed):
    """ITCH 5.0 from a path or from bytes.

    source  : a path (plain or gzip, told apart by content), or framed bytes, which are copied unless they are `bytes`
    symbols : keep only messages of these stocks, and those about none (system events)
    raises  : FeedError for what cannot be opened; UnknownName for a symbol the feed does not announce
    """

    wire = "itch"

    def __init__(
        self, source: str | os.PathLike[str] | bytes | bytearray | memoryview, *, symbols: Iterable[str] = (), name: str = ""
    ) -> None:
        self._source = Source(source, name)
        self.name = self._source.name
        self._locates = frozenset(self._locate(symbol) for symbol in check_type("symbols", symbols, Iterable))

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """By stock locate: from the stock directory (R), or from the first add where R is missing. Walks the whole feed."""
        return stock_names(walk(self._whole(), self.name))

    def blocks(self) -> Iterator[Block]:
        return self._filtered() if self._locates else self._whole()

    def _whole(self) -> Iterator[Block]:
        """Every message, of whatever symbol."""
        return self._source.blocks()

    def _filtered(self) -> Iterator[bytes]:
        out = bytearray()
        for data, at, size in walk(self._whole(), self.name):
            locate = data[at + 1] << 8 | data[at + 2] if size > 2 else 0
            if locate in self._locates or not locate:
                out += data[at - 2 : at + size]
                if len(out) >= BLOCK:
                    yield bytes(out)
                    out.clear()
        yield bytes(out)

    def _locate(self, symbol: str) -> int:
        if symbol and symbol in self.symbols:
            return self.symbols.index(symbol)
        raise unknown_symbol(symbol, self.symbols)


class Itch:
    """The reader of ITCH 5.0."""

    @staticmethod
    def sniff(head: bytes) -> bool:
        """Whether the first message, or what follows it, is one of ITCH 5.0 behind its length."""
        size = int.from_bytes(head[:2], "big")
        after = head[2 + size : 5 + size]
        return _is_message(head[:3]) or (0 < size < 256 and _is_message(after))

    @staticmethod
    def open(path: str | os.PathLike[str], symbols: Iterable[str] = ()) -> ItchFeed:
        """A feed of framed messages; its symbols are the stocks of the directory."""
        return ItchFeed(path, symbols=symbols)


def _is_message(start: bytes) -> bool:
    """Whether a length and a type byte belong together."""
    return len(start) == 3 and SIZES[start[2]] > 0 and not frame_problem(start[0] << 8 | start[1], start[2])


def real_data(name: str = AAPL_MORNING) -> ItchFeed | None:
    """A file below the folder that HFTLAB_DATA names, or ../shared/data beside the checkout; None where it is not there.

    raises : FeedError if HFTLAB_DATA names something that is no folder
    """
    named = os.environ.get("HFTLAB_DATA")
    folder = Path(named).expanduser() if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    if named and not folder.is_dir():
        raise FeedError(f"HFTLAB_DATA must be a folder, got {named!r}")
    return ItchFeed(folder / name) if (folder / name).is_file() else None
