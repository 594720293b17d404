"""ITCH 5.0 in BinaryFILE framing: plain or gzip, from a file or from memory, whole or filtered by symbols.

A file is read, and a gzip stream inflated, piece by piece: both may be larger than memory. Nothing is mapped into memory, so that
a file that shrinks meanwhile is an error like any other.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO

from hftlab.errors import FeedError, check_type
from hftlab.feeds.feed import Feed, stock_names, unknown_symbol
from hftlab.feeds.frames import Block, walk

#: The first 10,000 messages of one stock on one real morning.
AAPL_MORNING = "itch50/aapl_20200130_first10k.itch"

_PIECE = 1 << 16  # compressed bytes read at once
_BLOCK = 1 << 20  # bytes handed over at once


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
        check_type("source", source, str, os.PathLike, bytes, bytearray, memoryview)
        self._source = Path(source) if isinstance(source, str | os.PathLike) else bytes(source)
        self.name = name or (self._source.name if isinstance(self._source, Path) else f"{len(self._source)} bytes")
        if isinstance(self._source, Path):
            _open(self._source).close()
        self._locates = frozenset(self._locate(symbol) for symbol in check_type("symbols", symbols, Iterable))

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """By stock locate: from the stock directory (R), or from the first add where R is missing. Walks the whole feed."""
        return stock_names(walk(self._whole(), self.name))

    def blocks(self) -> Iterator[Block]:
        return self._filtered() if self._locates else self._whole()

    def _whole(self) -> Iterator[Block]:
        if isinstance(self._source, bytes):
            yield self._source
            return
        with _open(self._source) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            yield from (_inflate if packed else _read)(file, self.name)

    def _filtered(self) -> Iterator[bytes]:
        out = bytearray()
        for data, at, size in walk(self._whole(), self.name):
            locate = data[at + 1] << 8 | data[at + 2] if size > 2 else 0
            if locate in self._locates or not locate:
                out += data[at - 2 : at + size]
                if len(out) >= _BLOCK:
                    yield bytes(out)
                    out.clear()
        yield bytes(out)

    def _locate(self, symbol: str) -> int:
        if symbol and symbol in self.symbols:
            return self.symbols.index(symbol)
        raise unknown_symbol(symbol, self.symbols)


def _open(path: Path) -> IO[bytes]:
    try:
        if path.exists() and not path.is_file():
            raise FeedError(f"{path}: must be a regular file of ITCH messages, plain or gzip")
        return path.open("rb")
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise FeedError(f"{str(path)!r}: cannot be read: {error}") from None


def _read(file: IO[bytes], name: str) -> Iterator[bytes]:
    """A plain file, as long as it was when it was opened; what is written behind that meanwhile is not read."""
    given, size = 0, os.fstat(file.fileno()).st_size
    while given < size:
        block = _next(file, min(_BLOCK, size - given), name)
        if not block:
            text = f"{name}: offset {given}: the file ends here, but had {size} bytes when it was opened; it was cut meanwhile"
            raise FeedError(text, offset=given)
        given += len(block)
        yield block


def _next(file: IO[bytes], size: int, name: str) -> bytes:
    """At most so many bytes, b"" at the end."""
    at = file.tell()
    try:
        return file.read(size)
    except OSError as error:
        raise FeedError(f"{name}: byte {at} of the file cannot be read: {error.strerror}", offset=at) from None


def _inflate(file: IO[bytes], name: str) -> Iterator[bytes]:
    """gzip members one after the other, bounded pieces; every byte before a defect is handed over before it is reported."""
    given, inflate = 0, zlib.decompressobj(wbits=31)
    while raw := _next(file, _PIECE, name):
        while raw:
            spare = inflate.copy()
            try:
                piece = inflate.decompress(raw, _BLOCK)
            except zlib.error as error:
                yield from (good := list(_until_defect(spare, raw)))
                offset = given + sum(map(len, good))
                text = f"{name}: offset {offset} of the inflated stream: corrupt gzip ({error})"
                raise FeedError(text, offset=offset) from None
            given += len(piece)
            yield piece
            raw = inflate.unconsumed_tail
            if inflate.eof:
                raw = inflate.unused_data.lstrip(b"\0")
                if raw:
                    inflate = zlib.decompressobj(wbits=31)
    if not inflate.eof:
        raise FeedError(f"{name}: offset {given} of the inflated stream: gzip is cut off", offset=given)


def _until_defect(inflate: zlib._Decompress, raw: bytes) -> Iterator[bytes]:
    try:
        for byte in raw:
            yield inflate.decompress(bytes([byte]))
    except zlib.error:
        return


def real_data(name: str = AAPL_MORNING) -> ItchFeed | None:
    """A file below the folder that HFTLAB_DATA names, or ../shared/data beside the checkout; None where it is not there.

    raises : FeedError if HFTLAB_DATA names something that is no folder
    """
    named = os.environ.get("HFTLAB_DATA")
    folder = Path(named).expanduser() if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    if named and not folder.is_dir():
        raise FeedError(f"HFTLAB_DATA must be a folder, got {named!r}")
    return ItchFeed(folder / name) if (folder / name).is_file() else None
