"""Where bytes come from: a file or memory, plain, gzip or zstd (by content), in bounded blocks read ahead of time.

A file is read, and a compressed stream inflated, piece by piece: both may be larger than memory. Nothing is mapped, so that a
file that shrinks meanwhile is an error like any other. Reading and inflating let go of the interpreter, so for a large file they
run in a thread of their own. ISA-L inflates gzip where `isal` is installed, zlib otherwise.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import perf_counter_ns
from typing import IO, Any, TypeVar

from hftlab.errors import FeedError, check_type
from hftlab.feeds.frames import Block

T = TypeVar("T")

BLOCK = 1 << 20  # bytes handed over at once
HEAD = 1 << 16  # bytes in which a format is recognised
_PIECE = 1 << 18  # compressed bytes read at once
_ZSTD_PIECE = 1 << 12  # a block of zstd may inflate 32,768-fold: what comes of one piece stays bounded
_AHEAD = 4  # blocks that wait for the engine
_LARGE = 1 << 24  # bytes of a file from which on a thread pays
_WAIT_S = 0.05  # how soon a reader notices that nobody wants more
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Source:
    """A path, or bytes, as a stream of inflated blocks, as often as one likes.

    raises : FeedError for what cannot be opened; ConfigError for what is neither
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | bytearray | memoryview, name: str = "") -> None:
        check_type("source", source, str, os.PathLike, bytes, bytearray, memoryview)
        self.path = Path(source) if isinstance(source, str | os.PathLike) else None
        self._bytes = b"" if isinstance(source, str | os.PathLike) else bytes(source)
        self.name = name or (self.path.name if self.path else f"{len(self._bytes)} bytes")
        self.read_ns = self.inflate_ns = 0  # time that all reading of it has taken so far, in whatever thread
        if self.path:
            _open(self.path).close()

    def head(self) -> bytes:
        """The first bytes, inflated, as far as they can be read: enough to tell a format by. raises : FeedError if none can"""
        out = bytearray()
        try:
            for block in self._blocks():
                out += block
                if len(out) >= HEAD:
                    break
        except FeedError:
            if not out:
                raise
        return bytes(out[:HEAD])

    def blocks(self) -> Iterator[bytes]:
        """All bytes in order. raises : FeedError, after every byte before a defect"""
        return ahead(self._blocks()) if self._large else self._blocks()

    def passing_blocks(self) -> Iterator[Block]:
        """The same; each block is good until the next one is asked for.

        A plain file is read into the same memory again and again: what the system takes to hand out new pages for all its bytes
        is as much as what it takes to copy them.
        """
        # Besides those that wait, one is read and one is used.
        return ahead(self._blocks(_AHEAD + 2)) if self._large else self._blocks(1)

    @property
    def _large(self) -> bool:
        return self.path is not None and self.path.stat().st_size > _LARGE

    def _blocks(self, buffers: int = 0) -> Iterator[Any]:
        """`buffers`: into which a plain file is read in turn; 0 for a new one each time."""
        if self.path is None:
            yield self._bytes
            return
        with _open(self.path) as file:
            magic = file.read(4)
            file.seek(0)
            packed = _gunzip if magic[:2] == _GZIP else _unzstd if magic == _ZSTD else None
            timed = _Timed(file)
            pieces = packed(timed, self.name) if packed else _read(timed, self.name, buffers)  # type: ignore[arg-type]
            while True:
                start, timed.ns = perf_counter_ns(), 0
                block = next(pieces, None)
                spent = perf_counter_ns() - start
                self.read_ns += timed.ns if packed else spent
                self.inflate_ns += spent - timed.ns if packed else 0
                if block is None:
                    return
                yield block


class _Timed:
    """A file that knows how long it was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.ns = file, 0

    def read(self, size: int) -> bytes:
        start = perf_counter_ns()
        out = self._file.read(size)
        self.ns += perf_counter_ns() - start
        return out

    def readinto(self, buffer: memoryview) -> int:
        start = perf_counter_ns()
        size: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self.ns += perf_counter_ns() - start
        return size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def rust() -> Any:
    """The extension, which walks some hundred times as fast; None where it is not installed."""
    try:
        import hftlab_rust
    except ImportError:
        return None
    return hftlab_rust


def ahead(items: Iterator[T], depth: int = _AHEAD) -> Iterator[T]:
    """What an iterator gives, taken in a thread of its own, at most `depth` items ahead; its error comes where it occurred."""
    queue: Queue[tuple[bool, Any]] = Queue(depth)
    unwanted = Event()

    def put(item: tuple[bool, Any]) -> bool:
        while not unwanted.is_set():
            with suppress(Full):
                queue.put(item, timeout=_WAIT_S)
                return not unwanted.is_set()  # closing makes room in the queue; what is then read would overwrite a block in use
        return False

    def work() -> None:
        try:
            more = all(put((True, item)) for item in items)
            failure = None
        except BaseException as error:
            more, failure = True, error
        if more:
            put((False, failure))

    thread = Thread(target=work, name="hftlab-read-ahead", daemon=True)
    thread.start()
    try:
        while (item := queue.get())[0]:
            yield item[1]
        if item[1] is not None:
            raise item[1]
    finally:
        unwanted.set()
        with suppress(Empty):
            queue.get_nowait()
        thread.join()


def _open(path: Path) -> IO[bytes]:
    try:
        if path.exists() and not path.is_file():
            raise FeedError(f"{path}: must be a regular file of market data, plain, gzip or zstd")
        return path.open("rb")
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise FeedError(f"{str(path)!r}: cannot be read: {error}") from None


def _read(file: IO[bytes], name: str, buffers: int) -> Iterator[Block]:
    """A plain file, as long as it was when it was opened; what is written behind that meanwhile is not read."""
    given, size = 0, os.fstat(file.fileno()).st_size
    turn = cycle([memoryview(bytearray(min(BLOCK, size))) for _ in range(buffers)])
    while given < size:
        wanted = min(BLOCK, size - given)
        block = _next(file, wanted, name, next(turn)[:wanted] if buffers else None)
        if not block:
            text = f"{name}: offset {given}: the file ends here, but had {size} bytes when it was opened; it was cut meanwhile"
            raise FeedError(text, offset=given)
        given += len(block)
        yield block


def _next(file: IO[bytes], size: int, name: str, buffer: memoryview | None = None) -> Any:
    """At most `size` bytes, none at the end; in the buffer, if there is one."""
    at = file.tell()
    try:
        return file.read(size) if buffer is None else buffer[: file.readinto(buffer)].toreadonly()  # type: ignore[attr-defined]
    except OSError as error:
        raise FeedError(f"{name}: byte {at} of the file cannot be read: {error.strerror}", offset=at) from None


def _gunzip(file: IO[bytes], name: str) -> Iterator[bytes]:
    """gzip members one after the other; every byte before a defect is handed over before it is reported."""
    if not find_spec("isal"):
        yield from _inflate(file, name, zlib.decompressobj)
        return
    isal, given = import_module("isal.isal_zlib"), 0  # about twice as fast, but it cannot say where a defect begins
    try:
        for piece in _inflate(file, name, isal.decompressobj):
            given += len(piece)
            yield piece
    except isal.error:
        file.seek(0)
        yield from _beyond(given, _inflate(file, name, zlib.decompressobj))


def _beyond(given: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What comes after the first `given` bytes."""
    for piece in pieces:
        yield piece[given:]
        given = max(0, given - len(piece))


def _inflate(file: IO[bytes], name: str, start: Callable[..., Any]) -> Iterator[bytes]:
    given, inflate = 0, start(wbits=31)
    while raw := _next(file, _PIECE, name):
        while raw:
            spare = inflate.copy() if start is zlib.decompressobj else None
            try:
                piece = inflate.decompress(raw, BLOCK)
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
                    inflate = start(wbits=31)
    if not inflate.eof:
        raise FeedError(f"{name}: offset {given} of the inflated stream: gzip is cut off", offset=given)


def _until_defect(inflate: Any, raw: bytes) -> Iterator[bytes]:
    try:
        for byte in raw:
            yield inflate.decompress(bytes([byte]))
    except zlib.error:
        return


def _unzstd(file: IO[bytes], name: str) -> Iterator[bytes]:
    """zstd frames one after the other, bounded pieces; every byte before a defect is handed over before it is reported."""
    try:
        zstandard = import_module("zstandard")
    except ImportError:
        raise FeedError(f"{name}: is compressed with zstd; reading it needs `pip install 'hftlab[fast]'`") from None
    start = zstandard.ZstdDecompressor().decompressobj
    given, out, inflate, begun = 0, bytearray(), start(), False
    while raw := _next(file, _ZSTD_PIECE, name):
        try:
            while raw:
                out += inflate.decompress(raw)
                raw, begun = (inflate.unused_data, False) if inflate.eof else (b"", True)
                inflate = start() if inflate.eof else inflate
        except zstandard.ZstdError as error:
            yield bytes(out)
            given += len(out)
            text = f"{name}: offset {given} of the inflated stream: corrupt zstd ({error})"
            raise FeedError(text, offset=given) from None
        if len(out) >= BLOCK:
            given += len(out)
            yield bytes(out)
            out.clear()
    yield bytes(out)
    given += len(out)
    if begun:
        raise FeedError(f"{name}: offset {given} of the inflated stream: zstd is cut off", offset=given)
