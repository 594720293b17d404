"""IEX DEEP+ 1.0.2 out of captures: every displayed order of the Investors Exchange, in the segments of IEX-TP 1.

    version u8 | u8 | protocol u16 | channel u32 | session u32 | length u16 | count u16 | offset i64 | number i64 | sent i64
    u16 length, message | u16 length, message ...        (little-endian)

Lines are arbitrated as MoldUDP64's are. Messages of one time are one event of the exchange.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from struct import Struct
from typing import Any

import numpy as np

from hftlab.errors import WireError
from hftlab.events import EVENT_DTYPE, Kind, Side
from hftlab.feeds.feed import Chunk
from hftlab.feeds.pcap import Capture, first_payloads, is_capture
from hftlab.feeds.records import MODIFY, MOST_SYMBOLS, RESET, Orders, RecordFeed, orders, whole_events
from hftlab.protocols import moldudp64

PROTOCOL = 0x8005  # DEEP+
OTHERS = {0x8003: "TOPS", 0x8004: "DEEP"}  # price levels alone
_SEGMENT = Struct("<BxHIIHHqqq")
_HEAD = Struct("<cBQ8s")  # type, a byte of flags or state, time, symbol
_ORDER = Struct("<cBQ8sQIq")  # a, M, L: id, size, price
_DELETE = Struct("<cBQ8sQ")
_TRADE = Struct("<cBQ8sIq")  # T, B: size, price
_BODIES = {b"a": _ORDER, b"M": _ORDER, b"L": _ORDER, b"R": _DELETE, b"T": _TRADE, b"B": _TRADE}
_KINDS = {b"a": Kind.ADD, b"M": Kind.REPLACE, b"L": Kind.EXECUTE, b"R": Kind.DELETE, b"T": Kind.TRADE, b"C": Kind.CLEAR}
_SIDES = {ord("8"): Side.BID, ord("5"): Side.ASK}
_SYSTEM, _STATUS, _KEEPS_PLACE = b"S", b"H", 1
_CHUNK = 1 << 16  # rows


def as_mold(payload: bytes) -> bytes:
    """A segment of DEEP+ as a datagram of MoldUDP64, session in hex; b"" for anything else."""
    if len(payload) < _SEGMENT.size:
        return b""
    version, protocol, channel, session, size, count, _, number, _ = _SEGMENT.unpack_from(payload)
    if (version, protocol) != (1, PROTOCOL) or len(payload) < _SEGMENT.size + size or number < 0:
        return b""
    messages, at = [], _SEGMENT.size
    for _ in range(count):
        length = int.from_bytes(payload[at : at + 2], "little")
        messages.append(payload[at + 2 : at + 2 + length])
        at += 2 + length
    if at != _SEGMENT.size + size:
        return b""
    try:
        return moldudp64.encode(b"%02x%08x" % (channel & 0xFF, session), number, messages)
    except WireError:
        return b""


class IexFeed(RecordFeed):
    """Orders of a capture of DEEP+; instruments are numbered as they appear, which takes a pass of its own."""

    epoch = "unix"

    @staticmethod
    def sniff(head: bytes) -> bool:
        """Whether a capture's first datagrams are segments of IEX-TP, of whatever feed of it."""
        begins = {payload[:4] for payload in first_payloads(head)} if is_capture(head) else set()
        return not begins.isdisjoint(b"\x01\0" + protocol.to_bytes(2, "little") for protocol in (PROTOCOL, *OTHERS))

    @cached_property
    def _capture(self) -> Capture:
        return Capture(self._source, as_mold, "IEX DEEP+")

    @cached_property
    def _numbers(self) -> dict[bytes, int]:
        numbers: dict[bytes, int] = {}
        for _, message in self._messages():
            if message[:1] != _SYSTEM:
                numbers.setdefault(message[10:18], len(numbers) + 1)
        if len(numbers) > MOST_SYMBOLS:
            raise self._wrong(0, f"a feed must have at most {MOST_SYMBOLS:,} instruments, got {len(numbers):,}")
        return numbers

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """By instrument, in order of appearance."""
        return ("", *(symbol.decode("latin-1").rstrip() for symbol in self._numbers))

    def notes(self) -> list[str]:
        return [*self._capture.notes(), *super().notes()]

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        """(time of capture, message) of every message that is as long as its type."""
        for ts_ns, delivery in self._capture.deliveries():
            for message in moldudp64.split(delivery.blocks):
                least = _BODIES.get(message[:1], _HEAD).size if message[:1] != _SYSTEM else 10
                if len(message) >= least:
                    yield ts_ns, message
                else:
                    self.skipped[f"messages are shorter than their type {message[:1]!r} is"] += 1

    def _records(self) -> Iterator[Chunk]:
        return whole_events((chunk, chunk.events["ts_ns"]) for chunk in self._chunks())

    def _chunks(self) -> Iterator[Chunk]:
        state, rows, numbers = orders(), list[tuple[Any, ...]](), self._numbers
        for ts_ns, message in self._messages():
            rows.append((*_row(message, numbers), ts_ns))
            if len(rows) == _CHUNK:
                yield _chunk(state, rows)
                rows = []
        yield _chunk(state, rows)


def _row(message: bytes, numbers: dict[bytes, int]) -> tuple[int, ...]:
    """The fields of the record, and what a modify does to the order's place (0: it is none)."""
    kind = message[:1]
    if kind == _SYSTEM:
        return int.from_bytes(message[2:10], "little"), 0, 0, 0, 0, 0, Kind.OTHER, 0, 0
    _, flags, ts_ns, symbol, *body = _BODIES.get(kind, _HEAD).unpack_from(message)
    order, qty, price = 0, 0, 0
    if kind in (b"T", b"B"):
        qty, price = body
    elif body:
        order, qty, price = (*body, 0, 0)[:3]
    if kind == _STATUS:
        return ts_ns, 0, 0, 0, flags, numbers[symbol], Kind.STATUS, 0, 0
    side = _SIDES.get(flags, 0) if kind == b"a" else 0
    place = 0 if kind != b"M" else MODIFY if flags & _KEEPS_PLACE else RESET
    return ts_ns, order, 0, price, qty, numbers[symbol], _KINDS.get(kind, Kind.OTHER), side, place


def _chunk(state: Orders, rows: list[tuple[Any, ...]]) -> Chunk:
    events = np.array([row[:8] for row in rows], EVENT_DTYPE)
    state.resolve(events, np.array([row[8] for row in rows], np.uint8))
    return Chunk(events, np.array([row[9] for row in rows], np.uint64))
