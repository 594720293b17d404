"""What happens when more comes than can be worked off: the policy, and the bounded ring of datagrams that keeps it.

An L3 feed cannot be conflated: each message changes the book, and a book that has missed one is wrong until it has it. So:

1. queue    up to a bound. Nothing is lost; but while something waits longer than `late_ns` the book shows what was, and no
            order leaves (`may_trade`). Every message is still applied.
2. shed     when a datagram finds the ring full, the book is stale from that moment, and no order leaves. That datagram and
            all behind it are dropped, at no cost to the engine, until the ring has drained to `resume`. The newest are
            dropped, not the oldest: what waits stays an unbroken run, and what is missing is one range, not many. (Were
            every datagram that finds room let in, a sustained overload would leave hundreds of holes, each to be asked for
            while there is no time for it.)
3. recover  what comes next is let in; it shows the hole to the arbiter behind the ring, which asks for the range and holds
            back what came early. When all that was dropped is in the book (`recovered`), orders may leave again. A hole that
            cannot be filled leaves the book stale: until another session, nothing is traded.

Never dropped: what is not market data. Answers to requests are asked for one at a time, and reports about our own orders come
over a connection with flow control; neither passes this ring. Everything that is dropped is counted by reason.

No sockets, no clock: bytes and times in, bytes out. Memory is bounded by datagrams and by bytes.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hftlab.errors import check_range
from hftlab.protocols.moldudp64 import END, HEADER

COUNTS = (
    "offered",  # datagrams that came
    "queued",
    "taken",
    "full",  # dropped, for want of room: the first of each overflow
    "shedding",  # dropped, while the ring drained
    "oversized",  # dropped, being longer than a datagram may be
    "late",  # taken after having waited longer than `late_ns`
    "overflows",  # times the ring was full
    "recoveries",  # times the book was whole again after that
)


class Waiting(NamedTuple):
    """A datagram on its way to the arbiter: the line it came from, its bytes, and when it came."""

    line: int
    datagram: bytes
    came_ns: int


class Ingress:
    """The ring between the sockets and the engine.

    datagrams, size : limits of what may wait, in datagrams and bytes
    resume          : share of `datagrams` to which the ring must drain before anything is let in again, 0 to 0.999
    late_ns         : how long a datagram may wait before the book counts as late
    longest         : bytes of one datagram
    raises          : ConfigError for a value out of range
    """

    def __init__(
        self,
        datagrams: int = 4096,
        size: int = 8 << 20,
        *,
        resume: float = 0.25,
        late_ns: int = 1_000_000,
        longest: int = 65_507,
    ) -> None:
        check_range("datagrams", datagrams, 1)
        check_range("longest", longest, 1, unit="bytes")
        check_range("size", size, longest, unit="bytes")
        check_range("resume", resume, 0, 0.999)
        check_range("late_ns", late_ns, 0, unit="ns")
        self.datagrams, self.size, self.late_ns, self.longest = datagrams, size, late_ns, longest
        self.resume = int(resume * datagrams)
        self.counts = dict.fromkeys(COUNTS, 0)
        self.bytes = self.peak = self.peak_bytes = self.longest_wait_ns = self.stale_ns = 0
        self.shedding = False
        self._stale_since: int | None = None
        self._owed = 0  # the number after the last message that was dropped
        self._ring: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def stale(self) -> bool:
        """Whether something was dropped that has not been recovered."""
        return self._stale_since is not None

    def offer(self, line: int, datagram: bytes, now_ns: int) -> bool:
        """A datagram that came; whether it was let in."""
        self.counts["offered"] += 1
        if reason := self._refuses(datagram):
            self.counts[reason] += 1
            if reason == "full":
                self.shedding = True
                self.counts["overflows"] += 1
            if reason != "oversized":  # which is no datagram of ours
                self._owe(datagram, now_ns)
            return False
        self._ring.append(Waiting(line, datagram, now_ns))
        self.counts["queued"] += 1
        self.bytes += len(datagram)
        self.peak, self.peak_bytes = max(self.peak, len(self._ring)), max(self.peak_bytes, self.bytes)
        return True

    def take(self, now_ns: int) -> Waiting | None:
        """The oldest that waits; None if none does."""
        if not self._ring:
            return None
        oldest = self._ring.popleft()
        self.bytes -= len(oldest.datagram)
        self.counts["taken"] += 1
        waited = now_ns - oldest.came_ns
        self.counts["late"] += waited > self.late_ns
        self.longest_wait_ns = max(self.longest_wait_ns, waited)
        if self.shedding and len(self._ring) <= self.resume:
            self.shedding = False
        return oldest

    def recovered(self, expected: int, now_ns: int) -> bool:
        """Told that every message before number `expected` is in the book; whether nothing that was dropped is missing now."""
        if self._stale_since is None:
            return True
        if self.shedding or expected < self._owed:
            return False
        self.stale_ns += max(0, now_ns - self._stale_since)
        self._stale_since = None
        self.counts["recoveries"] += 1
        return True

    def may_trade(self, now_ns: int) -> bool:
        """Whether an order may leave: the book is whole, and nothing waits for longer than it may."""
        return not self.stale and not (self._ring and now_ns - self._ring[0].came_ns > self.late_ns)

    def _refuses(self, datagram: bytes) -> str:
        """The reason for which a datagram is dropped, "" if it is not."""
        if len(datagram) > self.longest:
            return "oversized"
        if self.shedding:
            return "shedding"
        return "full" if len(self._ring) >= self.datagrams or self.bytes + len(datagram) > self.size else ""

    def _owe(self, datagram: bytes, now_ns: int) -> None:
        """The book is stale until what this datagram brought is in it. A damaged number may leave it so for good."""
        if self._stale_since is None:
            self._stale_since = now_ns
        if len(datagram) >= HEADER.size:
            _, sequence, count = HEADER.unpack_from(datagram)
            self._owed = max(self._owed, sequence + (0 if count == END else count))
