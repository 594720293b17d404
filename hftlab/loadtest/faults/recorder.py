"""What the trader received, and when it sent: read by offsets of the specification, independently of the trader's own view.

A trader that sends an order while it has seen a message beyond one that it lacks has traded on a stale book; and one that sends
on messages which had to wait for such a one, on old news.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import lru_cache

from hftlab.net.trader.trader import Trader

_HEADER = struct.Struct(">10sQH")
_END = 0xFFFF
_NEW_SESSION = 3  # datagrams of another session after which the old one's book must not be traded on


class Received:
    """The numbers of one session that have come. whole : the first that is missing; top : the one after the highest."""

    def __init__(self) -> None:
        self.whole, self.top, self.packets = 1, 1, 0
        self._early: set[int] = set()

    def take(self, sequence: int, count: int) -> None:
        self.packets += 1
        self.top = max(self.top, sequence + count)
        self._early.update(range(max(sequence, self.whole), sequence + count))
        while self.whole in self._early:
            self._early.discard(self.whole)
            self.whole += 1


class Recorder:
    """Listens at both ends of a trader, by its hooks.

    session   : the one that is published now, 10 bytes
    published : gives the number after the last message published in it; a higher one in a datagram is damage, not news
    stale     : one sentence for each order that left while messages were missing
    sent      : the bytes of every order that left
    datagrams : what came on the two lines; line : the number of the socket that was read last
    """

    def __init__(self, trader: Trader, session: bytes, published: Callable[[], int]) -> None:
        self.trader, self.session, self.published = trader, session, published
        self.sessions = defaultdict[bytes, Received](Received)
        self.stale: list[str] = []
        self.sent: list[bytes] = []
        self.datagrams = self.line = 0
        self._late = False  # whether a message was missing before the latest datagram
        self.counts: Counter[str] = Counter()
        trader.feed.on_datagram, trader.gateway.on_send = self._received, self._sending

    def _received(self, line: int, datagram: bytes) -> None:
        self.datagrams, self.line = self.datagrams + (line < 2), line
        now = self.sessions[self.session]
        self._late = now.top > now.whole
        header = read(datagram)
        if header and header[0] == self.session and header[1] + header[2] <= self.published():
            now.take(header[1], header[2])
        else:
            self.counts["damaged"] += 1

    def _sending(self, payload: bytes) -> None:
        if payload[:1] == b"O":
            self._judge(int.from_bytes(payload[1:5], "big"))
            self.sent.append(payload)

    def _judge(self, ref: int) -> None:
        ours, now = self.trader.feed.arbiter.session or b"", self.sessions[self.session]
        if ours != self.session and now.packets >= _NEW_SESSION:
            self.stale.append(f"order {ref} left on the book of session {ours!r}, when {self.session!r} had begun")
        seen = self.sessions[ours]
        if seen.top > seen.whole:
            self.stale.append(f"order {ref} left while message {seen.whole} was missing, and {seen.top - 1} had come")
        elif self._late:
            self.stale.append(f"order {ref} left on messages that had to wait for one that was missing")


@lru_cache(maxsize=4_096)  # both lines carry the same
def read(datagram: bytes) -> tuple[bytes, int, int] | None:
    """(session, number, messages) of a datagram that is whole, else None."""
    if len(datagram) < _HEADER.size:
        return None
    session, sequence, count = _HEADER.unpack_from(datagram)
    at, messages = _HEADER.size, 0 if count == _END else count
    for _ in range(messages):
        if at + 2 > len(datagram):
            return None
        at += 2 + int.from_bytes(datagram[at : at + 2], "big")
    return (session, sequence, messages) if at == len(datagram) else None
