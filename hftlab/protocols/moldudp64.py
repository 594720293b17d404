"""MoldUDP64 1.00: a numbered stream of messages in UDP datagrams, and the requests for what got lost.

    session 10 | sequence u64 | count u16 | u16 length, message | u16 length, message ...      (big-endian)

The k-th message of a datagram has the number `sequence` + k; the first of a session is number 1. A count of 0 is a heartbeat,
0xFFFF the end of the session: neither has blocks, and both carry the next number that will be sent. A request has the same
20 bytes and nothing more; which of the two a datagram is follows from the port it comes to, never from its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple

from hftlab.errors import WireError

HEADER = Struct(">10sQH")  # session, sequence number, message count
HEARTBEAT = 0
END = 0xFFFF
MAX_MESSAGES = 0xFFFE  # in one datagram: 0xFFFF means the end of the session
HIGHEST = (1 << 64) - 1  # no number, nor the one after it, can be larger
LIMIT = 1400  # bytes of blocks that fit below the usual MTU, with all headers
LARGEST = 65_507 - HEADER.size  # bytes of blocks in the largest datagram of IPv4
_LENGTH = 2  # bytes before each message
_MAX_LENGTH = 0xFFFF


class Packet(NamedTuple):
    """One downstream datagram; `blocks` are its messages, each still behind its u16 length, as the engine reads them."""

    session: bytes
    sequence: int
    count: int  # type: ignore[assignment]  # the field's word, over tuple.count
    blocks: bytes

    @property
    def messages(self) -> int:
        """How many messages it holds: none in a heartbeat or an end of session."""
        return 0 if self.count == END else self.count

    @property
    def next(self) -> int:
        """The number after its last message."""
        return self.sequence + self.messages


class Request(NamedTuple):
    """A request for `count` messages (at most 65,535) from number `sequence` on, 20 bytes. raises : WireError, from `encode`"""

    session: bytes
    sequence: int
    count: int  # type: ignore[assignment]  # the field's word, over tuple.count

    def encode(self) -> bytes:
        if not 0 <= self.count <= _MAX_LENGTH:
            raise WireError(f"the count of a MoldUDP64 request must be between 0 and {_MAX_LENGTH}, got {self.count}")
        return _pack(*self)


def decode(datagram: bytes) -> Packet:
    """One downstream datagram, every length in it checked.

    raises : WireError for a header cut off, a block that reaches past the end, bytes after the last block,
             or numbers that leave 64 bits
    """
    session, sequence, count = _header(datagram, "packet")
    packet = Packet(session, sequence, count, bytes(datagram[HEADER.size :]))
    if packet.next > HIGHEST:
        raise WireError.at("MoldUDP64 packet", 10, f"the next number must be at most {HIGHEST}, got {sequence} + {count}")
    end = _walk(packet.blocks, packet.messages)
    if end < len(packet.blocks):
        extra, at = len(packet.blocks) - end, HEADER.size + end
        text = f"the packet must end after {packet.messages} messages, got {extra} more bytes"
        raise WireError.at("MoldUDP64 packet", at, text)
    return packet


def decode_request(datagram: bytes) -> Request:
    """One request. raises : WireError unless it has exactly 20 bytes."""
    request = Request(*_header(datagram, "request"))
    if len(datagram) > HEADER.size:
        raise WireError.at("MoldUDP64 request", HEADER.size, f"a request must be {HEADER.size} bytes, got {len(datagram)}")
    return request


def encode(session: bytes, sequence: int, messages: Sequence[bytes]) -> bytes:
    """A data packet with these messages, the first being number `sequence`; an empty sequence gives a heartbeat.

    raises : WireError for a session that has not 10 bytes, a number outside u64, more messages or longer ones than fit
    """
    if len(messages) > MAX_MESSAGES:
        raise WireError(f"a MoldUDP64 packet must have at most {MAX_MESSAGES} messages, got {len(messages)}")
    blocks = b"".join(frame(message) for message in messages)
    if len(blocks) > LARGEST:
        raise WireError(f"the messages of a MoldUDP64 packet must be at most {LARGEST} bytes, got {len(blocks)}")
    return _pack(session, sequence, len(messages), last=sequence + len(messages)) + blocks


def heartbeat(session: bytes, next: int) -> bytes:
    """A heartbeat; `next` is the number of the next message that will be sent."""
    return _pack(session, next, HEARTBEAT)


def end(session: bytes, next: int) -> bytes:
    """The end of the session; `next` is the number after its last message."""
    return _pack(session, next, END)


def frame(message: bytes) -> bytes:
    """A message behind its u16 length. raises : WireError for one that is too long."""
    if len(message) > _MAX_LENGTH:
        raise WireError(f"a MoldUDP64 message must be at most {_MAX_LENGTH} bytes, got {len(message)}")
    return len(message).to_bytes(_LENGTH, "big") + message


def split(blocks: bytes) -> list[bytes]:
    """The messages of framed blocks. raises : WireError for a block that reaches past the end."""
    messages, at = [], 0
    while at < len(blocks):
        start, at = at + _LENGTH, _walk(blocks, 1, at)
        messages.append(bytes(blocks[start:at]))
    return messages


def pack(session: bytes, sequence: int, messages: Sequence[bytes], limit: int = LIMIT) -> Iterator[bytes]:
    """The datagrams for many messages, each with as many as fit in `limit` bytes of blocks; a larger message goes alone.

    raises : WireError as `encode`
    """
    first, size, limit = 0, 0, min(limit, LARGEST)
    for index, message in enumerate(messages):
        more = _LENGTH + len(message)
        if index > first and size + more > limit:
            yield encode(session, sequence + first, messages[first:index])
            first, size = index, 0
        size += more
    if first < len(messages):
        yield encode(session, sequence + first, messages[first:])


def skip(blocks: bytes, count: int) -> bytes:
    """Framed blocks without the first `count` messages. raises : WireError where there are fewer."""
    return blocks[_walk(blocks, count) :]


def _header(datagram: bytes, what: str) -> tuple[bytes, int, int]:
    if (size := len(datagram)) < HEADER.size:
        raise WireError.at(f"MoldUDP64 {what}", size, f"the header must be {HEADER.size} bytes, got {size}")
    session, sequence, count = HEADER.unpack_from(datagram)
    return session, sequence, count


def _walk(blocks: bytes, count: int, at: int = 0) -> int:
    """Where `count` messages end, the first of which starts at `at`."""
    size = len(blocks)
    for _ in range(count):
        end = at + _LENGTH
        if end <= size:
            end += blocks[at] << 8 | blocks[at + 1]
        if end > size:
            text = f"the message must be {end - at} bytes with its length, got the last {size - at} of the datagram"
            raise WireError.at("MoldUDP64 message", HEADER.size + at, text)
        at = end
    return at


def _pack(session: bytes, sequence: int, count: int, last: int | None = None) -> bytes:
    if len(session) != 10:
        raise WireError(f"a MoldUDP64 session must be 10 bytes, padded with spaces, got {session!r}")
    if not 0 <= sequence <= HIGHEST or (last or 0) > HIGHEST:
        raise WireError(f"MoldUDP64 numbers must be between 0 and {HIGHEST}, got {sequence} and {count} messages")
    return HEADER.pack(session, sequence, count)
