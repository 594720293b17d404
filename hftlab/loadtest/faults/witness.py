"""What the trader was handed, and when it sent: read by offsets of the specification, apart from the trader's own opinion.

A trader that sends an order while it has seen a message beyond one that it lacks has traded on a stale book; and one that sends
on messages which had to wait for such a one, on old news.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

from hftlab.net.trader.trader import Trader
from hftlab.protocols.arbiter import Delivery

_HEADER = struct.Struct(">10sQH")
_END = 0xFFFF
_STRANGERS = 3  # datagrams of another session after which the old one's book is no longer to be traded on


class Seen:
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


class Witness:
    """Stands at both doors of a trader.

    session   : the one that is published now, 10 bytes
    published : tells the number after the last message published in it; a higher one in a datagram is damage, not news
    stale     : one sentence for each order that left while messages were missing
    sent      : the bytes of every order that left
    datagrams : what came on the two lines
    """

    def __init__(self, trader: Trader, session: bytes, published: Callable[[], int]) -> None:
        self.trader, self.session, self.published = trader, session, published
        self.sessions: dict[bytes, Seen] = {}
        self.stale: list[str] = []
        self.sent: list[bytes] = []
        self.datagrams = 0
        self._late = False  # whether a message was missing before the latest datagram
        self.counts: Counter[str] = Counter()
        self._receive, self._send = trader.feed.arbiter.receive, trader.gateway.send
        doors: list[tuple[Any, str, Any]] = [
            (trader.feed.arbiter, "receive", self._received),
            (trader.gateway, "send", self._sending),
        ]
        for place, name, door in doors:
            setattr(place, name, door)

    def _received(self, line: int, datagram: bytes, now_ns: int) -> Delivery:
        self.datagrams += line < 2
        now = self.sessions.get(self.session, Seen())
        self._late = now.top > now.whole
        if (found := read(datagram)) and found[0] == self.session and found[1] + found[2] <= self.published():
            self.sessions.setdefault(self.session, Seen()).take(found[1], found[2])
        else:
            self.counts["damaged"] += 1
        return self._receive(line, datagram, now_ns)

    def _sending(self, payload: bytes, now_ns: int) -> bool:
        if payload[:1] == b"O":
            self._judge(int.from_bytes(payload[1:5], "big"))
        taken = self._send(payload, now_ns)
        if taken and payload[:1] == b"O":
            self.sent.append(payload)
        return taken

    def _judge(self, ref: int) -> None:
        ours, now = self.trader.feed.arbiter.session or b"", self.sessions.get(self.session, Seen())
        if ours != self.session and now.packets >= _STRANGERS:
            self.stale.append(f"order {ref} left on the book of session {ours!r}, when {self.session!r} had begun")
        seen = self.sessions.get(ours, Seen())
        if seen.top > seen.whole:
            self.stale.append(f"order {ref} left while message {seen.whole} was missing, and {seen.top - 1} had come")
        elif self._late:
            self.stale.append(f"order {ref} left on messages that had to wait for one that was missing")


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
