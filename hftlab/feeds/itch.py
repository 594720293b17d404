"""ITCH 5.0 in BinaryFILE framing: plain or gzip, from a file or from memory, whole or filtered by symbols.

    u16 length | message | u16 length | message ...      (big-endian, the length does not count itself)

A plain file is mapped, never read as a whole; a gzip stream is inflated piece by piece: both may be larger than memory.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, NamedTuple

from hftlab.errors import FeedError, UnknownName
from hftlab.feeds.feed import Block, Feed
from hftlab.protocols.itch_messages import MESSAGES, SIZES

#: No ITCH message comes near this; a longer one of unknown type means that the bytes are something else.
LONGEST_UNKNOWN = 255

_PIECE = 1 << 16  # compressed bytes read at once
_BLOCK = 1 << 22  # bytes handed over at once


class Problem(NamedTuple):
    """Why a run over wire bytes stopped: `at` bytes into the block that was given, at message number `message`."""

    code: str  # zero_length, bad_length, unknown_type (strict), fault (strict)
    at: int
    message: int
    size: int
    kind: int  # the type byte

    def error(self, base: int, name: str) -> FeedError:
        """The sentence for it; `base` is the stream offset of the block."""
        where = f"{name}: offset {base + self.at}, message {self.message}"
        letter = chr(self.kind) if 32 < self.kind < 127 else f"0x{self.kind:02x}"
        known = MESSAGES.get(chr(self.kind))
        if self.code == "zero_length":
            text = f"{where}: length prefix 0; a message has at least 1 byte"
        elif self.code == "unknown_type":
            text = f"{where}: unknown message type {letter!r}; known: {' '.join(MESSAGES)}"
        elif known:
            text = f"{where}: length {self.size} for type {letter!r} ({known.name}); allowed is {known.size}"
        else:
            text = (
                f"{where}: length {self.size} with unknown type {letter!r}; allowed is at most {LONGEST_UNKNOWN}: "
                "is this ITCH 5.0 in BinaryFILE framing?"
            )
        return FeedError(text, offset=base + self.at, index=self.message)


def frame_problem(size: int, kind: int) -> str:
    """What is wrong with a frame of `size` bytes and type byte `kind`: "" if it can be read (or skipped)."""
    if size == 0:
        return "zero_length"
    if size != SIZES[kind] and (SIZES[kind] >= 0 or size > LONGEST_UNKNOWN):
        return "bad_length"
    return ""


class Frames:
    """Walks whole messages in a block: iterate for (position of the type byte, size); then .used and .problem tell the end."""

    def __init__(self, data: Block | mmap.mmap, index: int = 0) -> None:
        self.data, self.index = data, index
        self.used = 0
        self.problem: Problem | None = None

    def __iter__(self) -> Iterator[tuple[int, int]]:
        data, end, at = self.data, len(self.data), 0
        while at + 2 < end:
            size = data[at] << 8 | data[at + 1]
            if code := frame_problem(size, data[at + 2]):
                self.problem = Problem(code, at, self.index, size, data[at + 2])
                return
            if at + 2 + size > end:
                return
            yield at + 2, size
            at = self.used = at + 2 + size
            self.index += 1


class Joiner:
    """Puts the rest of one block before the next, so that a message split between two is seen whole. Knows the offset."""

    def __init__(self, name: str) -> None:
        self.name, self.base = name, 0
        self._rest, self._last = b"", b""

    def join(self, block: Block) -> Block:
        return self._rest + block if self._rest else block

    def used(self, data: Block, used: int) -> None:
        """Tell how many bytes of `data` were whole messages."""
        if used:
            self._last = bytes(data[max(0, used - 14) : used])
        self._rest = bytes(data[used:])
        self.base += used

    def finish(self, index: int) -> None:
        """Raise FeedError if the stream ends inside a message, or holds none."""
        if not self.base and not self._rest:
            raise FeedError(f"{self.name}: offset 0: no bytes; a feed has at least one message", offset=0, index=0)
        # A length of 0 after the day's last message (S, event C) is BinaryFILE's own end-of-session mark.
        if self._rest == b"\0\0" and self._last[:3] == b"\0\x0cS" and self._last[-1:] == b"C":
            return
        if self._rest:
            needs = int.from_bytes(self._rest[:2], "big") + 2 if len(self._rest) > 1 else 2
            if needs == 2 and len(self._rest) == 2:
                raise Problem("zero_length", 0, index, 0, 0).error(self.base, self.name)
            raise FeedError(
                f"{self.name}: offset {self.base}, message {index}: cut off; it needs {needs} bytes, {len(self._rest)} are left",
                offset=self.base,
                index=index,
            )


class ItchFeed(Feed):
    """ITCH 5.0 from a path or from bytes.

    source  : a path (plain or gzip, told apart by content), or framed bytes
    symbols : keep only messages of these stocks, and those about none (system events)
    raises  : FeedError for what cannot be opened; UnknownName for a symbol the feed does not announce
    """

    wire = "itch"

    def __init__(self, source: str | os.PathLike[str] | bytes, *, symbols: Iterable[str] = (), name: str = "") -> None:
        self._data = source if isinstance(source, bytes) else None
        self._path = None if isinstance(source, bytes) else Path(source)
        self.name = name or (self._path.name if self._path else f"{len(source)} bytes")  # type: ignore[arg-type]
        if self._path:
            _open(self._path).close()
        self._kept = frozenset(self._locate(symbol) for symbol in symbols)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """By stock locate: from the stock directory (R), or from the first add where R is missing. Walks the whole feed."""
        names: dict[int, str] = {}
        for data, at, _ in self._messages():
            if data[at] == 82 or (data[at] in (65, 70) and data[at + 1] << 8 | data[at + 2] not in names):
                stock = at + (11 if data[at] == 82 else 24)
                names[data[at + 1] << 8 | data[at + 2]] = bytes(data[stock : stock + 8]).decode("latin-1").strip()
        return tuple(names.get(locate, "") for locate in range(max(names, default=0) + 1))

    def blocks(self) -> Iterator[Block]:
        return self._filtered() if self._kept else self._whole()

    def _whole(self) -> Iterator[Block]:
        if self._path is None:
            yield self._data or b""
            return
        with _open(self._path) as file:
            if file.read(2) == b"\x1f\x8b":
                file.seek(0)
                yield from _inflate(file, self.name)
            elif size := os.fstat(file.fileno()).st_size:
                # Left to the garbage collector: somebody may still hold a piece of it when this generator ends.
                yield memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))

    def _messages(self) -> Iterator[tuple[Block, int, int]]:
        joiner, index = Joiner(self.name), 0
        for block in self._whole():
            data = joiner.join(block)
            frames = Frames(data, index)
            for at, size in frames:
                yield data, at, size
            if frames.problem:
                raise frames.problem.error(joiner.base, self.name)
            joiner.used(data, frames.used)
            index = frames.index
        joiner.finish(index)

    def _filtered(self) -> Iterator[bytes]:
        out = bytearray()
        for data, at, size in self._messages():
            locate = data[at + 1] << 8 | data[at + 2] if size > 2 else 0
            if locate in self._kept or not locate:
                out += data[at - 2 : at + size]
                if len(out) >= _BLOCK:
                    yield bytes(out)
                    out.clear()
        yield bytes(out)

    def _locate(self, symbol: str) -> int:
        if symbol and symbol in self.symbols:
            return self.symbols.index(symbol)
        known = [name for name in self.symbols if name]
        more = [f"... {len(known) - 12} more"] if len(known) > 12 else []
        raise UnknownName("symbol", symbol, known[:12] + more)


def _open(path: Path) -> IO[bytes]:
    try:
        if path.exists() and not path.is_file():
            raise FeedError(f"{path}: is not a regular file; allowed is a file of ITCH messages, plain or gzip")
        return path.open("rb")
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from None


def _inflate(file: IO[bytes], name: str) -> Iterator[bytes]:
    """gzip members one after the other, bounded pieces; every byte before a defect is handed over before it is reported."""
    given, inflate = 0, zlib.decompressobj(wbits=31)
    while raw := file.read(_PIECE):
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
