"""The receiving end of the feed: two lines and the answers to requests, arbitrated into one stream."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from enum import Enum

from hftlab.errors import ConfigError
from hftlab.net.endpoints import Address, System
from hftlab.net.trader.settings import TraderSettings
from hftlab.protocols.arbiter import Arbiter, Delivery
from hftlab.protocols.moldudp64 import END, HEADER

_LARGEST = 65_536  # no datagram is longer
_BURST = 64  # datagrams taken from one socket before the others have their turn
_END = END.to_bytes(2, "big")
ANSWERS = 2  # the line number of answers to requests


class FeedState(Enum):
    """What the feed can be relied on for. A lost message may have concerned any instrument, so only FRESH is traded on.

    FRESH      : everything up to now has come, and something was received lately
    GAP        : messages are missing, and requested
    SILENT     : nothing was received for a while, not even a heartbeat
    LOST       : messages are missing for good
    UNREADABLE : a message came that nobody can read
    SESSION    : another session has taken the place of ours
    """

    FRESH = "fresh"
    GAP = "gap"
    SILENT = "silent"
    LOST = "lost"
    UNREADABLE = "unreadable"
    SESSION = "session"


class FeedHandler:
    """Sockets and arbiter.

    on_datagram  : called with the number of the socket and each datagram, before the arbiter has it
    counts       : strangers (answers from elsewhere), refused (requests that the system did not take)
    last_seen_ns : when something of our session came last
    ending       : the latest that came without messages was the end of the session
    """

    def __init__(self, settings: TraderSettings, system: System) -> None:
        self.settings, self.system = settings, system
        self.arbiter = Arbiter(
            window=settings.window,
            gap_timeout_ns=settings.ns("gap_timeout"),
            request_interval_ns=settings.ns("request_interval"),
            max_requests=settings.max_requests if settings.requests else 0,
        )
        self.on_datagram: Callable[[int, bytes], None] | None = None
        self.counts: Counter[str] = Counter()
        self.last_seen_ns, self.ending, self._started = 0, False, False
        self.lines: list[socket.socket] = []
        self.requests: socket.socket | None = None
        self._server = Address.parse(settings.requests, "requests") if settings.requests else None

    def open(self) -> None:
        """Bind and join. raises : ConfigError for an address that cannot be had; then nothing stays open"""
        try:
            for number, text in enumerate(self.settings.lines):
                line = Address.parse(text, f"line {'AB'[number]}")
                self.lines.append(self.system.listener(line, self.settings.interface))
            if self._server:
                self.requests = self.system.towards(self._server, "requests")
        except ConfigError:
            self.close()
            raise

    def close(self) -> None:
        """Close the sockets."""
        for opened in (*self.lines, self.requests):
            if opened:
                opened.close()

    @property
    def numbered(self) -> dict[int, socket.socket]:
        """The sockets by the number that `receive` takes."""
        return {**dict(enumerate(self.lines)), **({ANSWERS: self.requests} if self.requests else {})}

    def state(self, now_ns: int, *, corrupted: bool = False) -> FeedState:
        """Where the feed stands. corrupted : whether the engine could not read a message that may have changed a book"""
        if self.arbiter.changed is not None:
            return FeedState.SESSION
        if corrupted:
            return FeedState.UNREADABLE
        if self.arbiter.lost:
            return FeedState.LOST
        if self.arbiter.stale or not self._started:
            return FeedState.GAP
        return FeedState.SILENT if now_ns - self.last_seen_ns > self.settings.ns("silence") else FeedState.FRESH

    def receive(self, number: int, take: Callable[[Delivery, int], None], clock: Callable[[], int]) -> int:
        """Take what waits on one socket, a burst at most; `take` gets each delivery, and when its datagram had come.

        number : of the line, ANSWERS for the answers to requests
        """
        opened = self.requests if number == ANSWERS else self.lines[number]
        assert opened is not None
        for count in range(_BURST):
            try:
                datagram, peer = opened.recvfrom(_LARGEST)
            except OSError:  # nothing waits, or an error of a datagram sent before: the next one tells
                return count
            now_ns = clock()
            if number == ANSWERS and peer != self._server:
                self.counts["strangers"] += 1
                continue
            if self.on_datagram:
                self.on_datagram(number, datagram)
            last_seen = self.arbiter.last_seen
            delivery = self.arbiter.receive(number, datagram, now_ns)
            if last_seen.get(number) == now_ns:
                self.last_seen_ns, self._started = now_ns, True
                self.ending = datagram[18:20] == _END if len(datagram) == HEADER.size else self.ending
            take(delivery, now_ns)
        return _BURST

    def due(self, now_ns: int) -> None:
        """Ask for what is missing, if it is time to."""
        for request in self.arbiter.due(now_ns):
            if self.requests and self._server:
                try:
                    self.requests.sendto(request.encode(), self._server)
                except OSError:  # asked again later
                    self.counts["refused"] += 1

    def restart(self, session: bytes | None) -> None:
        """Begin again at message 1, of this session or of a new one; there is a gap until something of it has come."""
        self.arbiter.restart(session, 1)
        self._started = False
