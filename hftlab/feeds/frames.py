"""Messages behind their lengths, as files and MoldUDP64 carry them: where each begins, and what is wrong with those that do not.

u16 length | message | u16 length | message ...      (big-endian, the length does not count itself)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hftlab.errors import FeedError
from hftlab.protocols.itch_messages import MESSAGES, SIZES

Block = bytes | memoryview

#: A block, where in it a message begins (its type byte), and the size of the message: `data[at : at + size]` is the message,
#: `data[at - 2 : at + size]` the same behind its length.
Message = tuple[Block, int, int]

_DIRECTORY, _ADDS = ord("R"), b"AF"

#: What a stock field holds that names nothing, in damaged data.
NO_NAME = bytes(8)

#: No ITCH message comes near this; a longer one of unknown type means that the bytes are something else.
LONGEST_UNKNOWN = 255


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
            text = f"{where}: length for type {letter!r} ({known.name}) must be {known.size}, got {self.size}"
        else:
            text = (
                f"{where}: length for unknown type {letter!r} must be at most {LONGEST_UNKNOWN}, got {self.size}: "
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


def learn_name(names: dict[int, bytes], data: Block, at: int) -> None:
    """Keep the 8-byte stock that the message at `data[at]` gives its stock locate, if it is a directory (R), or an add (A, F)
    of one that has no name yet."""
    letter, locate = data[at], data[at + 1] << 8 | data[at + 2]
    if letter == _DIRECTORY or (letter in _ADDS and locate not in names):
        stock = at + (11 if letter == _DIRECTORY else 24)
        name = bytes(data[stock : stock + 8])
        if name == NO_NAME:
            names.pop(locate, None)
        else:
            names[locate] = name


class Joiner:
    """Makes whole messages of blocks that end anywhere, and knows the offset in the stream.

    for data in joiner.pieces(blocks):      # a message that two blocks share comes alone, the rest without a copy
        joiner.used(data, n)                # the first n bytes of it were whole messages
    joiner.finish(messages)
    """

    def __init__(self, name: str) -> None:
        self.name, self.base = name, 0
        self._rest, self._last = b"", b""

    def pieces(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """What is to be walked next, again and again. Raises FeedError for a block that is no contiguous bytes."""
        for block in blocks:
            view, at = _checked(block, self.name), 0
            whole = block if isinstance(block, bytes) else view
            while self._rest and at < len(view) and (missing := self._missing()) > 0:
                self._rest, at = self._rest + bytes(view[at : at + missing]), at + missing
                if self._missing() <= 0:
                    yield self._rest
            if at < len(view):
                yield self._rest + bytes(view[at:]) if self._rest else view[at:] if at else whole

    def _missing(self) -> int:
        """Bytes that the message in `_rest` lacks; its first three are enough to see that it is none."""
        known = len(self._rest) >= 2
        return (max(2 + int.from_bytes(self._rest[:2], "big"), 3) if known else 3) - len(self._rest)

    def used(self, data: Block, used: int) -> None:
        """Tell how many bytes of `data` were whole messages."""
        if used:
            self._last = bytes(data[max(0, used - 14) : used])
        self._rest = bytes(data[used:])
        self.base += used

    def finish(self, index: int) -> None:
        """Raise FeedError if the stream ends inside a message, or holds none. `index`: messages so far."""
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


def walk(blocks: Iterable[Block], name: str) -> Iterator[Message]:
    """Every message in blocks that end anywhere. `name` of the stream, for errors.

    raises : FeedError for what is no message, and for a stream that ends inside one or holds none
    """
    joiner, index = Joiner(name), 0
    for data in joiner.pieces(blocks):
        at, end = 0, len(data)
        while at + 2 < end:
            size = data[at] << 8 | data[at + 1]
            if code := frame_problem(size, data[at + 2]):
                raise Problem(code, at, index, size, data[at + 2]).error(joiner.base, name)
            if at + 2 + size > end:
                break
            yield data, at + 2, size
            at += 2 + size
            index += 1
        joiner.used(data, at)
    joiner.finish(index)


def _checked(block: Block, name: str) -> memoryview:
    """A block as unsigned bytes that can be sliced without a copy."""
    try:
        view = memoryview(block)
    except TypeError:
        raise FeedError(f"{name}: a block must be bytes, got {type(block).__name__}") from None
    if view.ndim != 1 or view.itemsize != 1 or not view.c_contiguous:
        raise FeedError(f"{name}: a block must be contiguous bytes, got items of {view.itemsize} bytes, strides {view.strides}")
    return view.cast("B")
