"""The receiving end of the feed: two lines and the answers to requests, arbitrated into one stream."""

from __future__ import annotations

import socket
from collections import Counter, defaultdict
from collections.abc import Callable
from enum import Enum
from typing import Any

from hftlab.errors import ConfigError
from hftlab.measurement.distribution import Times
from hftlab.net.endpoints import Address, System
from hftlab.net.trader.settings import TraderSettings
from hftlab.protocols.arbiter import Arbiter, Delivery, Recovery
from hftlab.protocols.moldudp64 import END, HEADER

_BURST = 64  # datagrams taken from one socket before the others have their turn
_END = END.to_bytes(2, "big")
_STEP_NS = 1_000_000  # by which the wall clock does not stray from the monotonic one between two datagrams
ANSWERS = 2  # the line number of answers to requests
_REMEMBERED = 8_192  # datagrams whose arrival is remembered, to be compared with the other line's copy


class FeedState(Enum):
    """What the feed can be relied on for. A lost message may have concerned any instrument, so only FRESH is traded on.

    FRESH      : everything up to now has come, and something was received lately
    GAP        : messages are missing, and requested
    LATE       : what came last had waited for longer than `max_age_ms` before it was read
    SILENT     : nothing was received for a while, not even a heartbeat
    LOST       : messages are missing for good, since there is nobody to ask
    UNREADABLE : a message came that nobody can read
    SESSION    : another session has taken the place of ours
    """

    FRESH = "fresh"
    GAP = "gap"
    LATE = "late"
    SILENT = "silent"
    LOST = "lost"
    UNREADABLE = "unreadable"
    SESSION = "session"


class FeedHandler:
    """Sockets and arbiter.

    on_datagram  : called with the number of the socket and each datagram, before the arbiter has it
    counts       : strangers (answers from elsewhere), refused (requests that the system did not take), late (datagrams with new
                   messages that had waited too long), unstamped (of which nobody knows how long they have waited)
    statistics   : what each line brings
    late         : what came last had waited too long: the books show what was
    last_seen_ns : when something of our session came last
    ending       : the latest that came without messages was the end of the session
    """

    def __init__(self, settings: TraderSettings, system: System) -> None:
        self.settings, self.system = settings, system
        self.arbiter = Arbiter(
            window=settings.window,
            gap_timeout_ns=settings.ns("gap_timeout"),
            request_interval_ns=settings.ns("request_interval"),
            max_requests=1 if settings.requests else 0,  # `recovery` asks, and gives nothing up
        )
        self.recovery = Recovery(self.arbiter, settings.ns("gap_timeout"), settings.ns("request_interval"))
        self.on_datagram: Callable[[int, bytes], None] | None = None
        self.counts: Counter[str] = Counter()
        self.last_seen_ns, self.ending, self._started = 0, False, False
        self.late = False
        self._before = 0, 0  # the newest number that was known before the session was requested again, and until when it counts
        self._max_age_ns, self._silence_ns = settings.ns("max_age"), settings.ns("silence")
        self.statistics = LineStatistics("AB"[: len(settings.lines)])
        self._waits = defaultdict[int, WaitingTime](lambda: WaitingTime(system))
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
        if now_ns > self._before[1]:  # as the arbiter forgets a number ahead that nobody repeats
            self._before = 0, 0
        if self.arbiter.stale or not self._started or self.arbiter.expected < self._before[0]:
            return FeedState.GAP
        if self.late:
            return FeedState.LATE
        return FeedState.SILENT if now_ns - self.last_seen_ns > self._silence_ns else FeedState.FRESH

    @property
    def current(self) -> bool:
        """Whether what was delivered is all that has been heard of, and had not waited too long."""
        return not self.arbiter.stale and not self.late and self.arbiter.expected >= self._before[0]

    def receive(self, number: int, take: Callable[[Delivery, int, int], None]) -> int:
        """Take what waits on one socket, a burst at most; `take` gets each delivery, when it was read, and how long it waited.

        number : of the line, ANSWERS for the answers to requests
        """
        opened = self.requests if number == ANSWERS else self.lines[number]
        assert opened is not None
        wait = self._waits[number]
        for count in range(_BURST):
            try:
                datagram, peer, stamp_ns = self.system.receive(opened)
            except OSError:  # nothing waits, or an error of a datagram sent before: the next one tells
                wait.drained()
                return count
            now_ns, waited_ns = wait.read(stamp_ns)
            if number == ANSWERS and peer != self._server:
                self.counts["strangers"] += 1
                continue
            if self.on_datagram:
                self.on_datagram(number, datagram)
            delivery = self.arbiter.receive(number, datagram, now_ns)
            if self.arbiter.accepted:
                self.last_seen_ns, self._started = now_ns, True
                self.ending = datagram[18:20] == _END if len(datagram) == HEADER.size else self.ending
                self._judge(delivery, waited_ns, stamp_ns)
                if number != ANSWERS:
                    _, sequence, count = HEADER.unpack_from(datagram)
                    self.statistics.receive(number, sequence, count % END, now_ns - waited_ns)
            take(delivery, now_ns, waited_ns)
        return _BURST

    def _judge(self, delivery: Delivery, waited_ns: int, stamp_ns: int | None) -> None:
        """See whether we are behind: from a message that is too old, until something comes that is half as old at most."""
        if stamp_ns is None and self.system.wall_clock is not None:
            self.counts["unstamped"] += 1
        if delivery.count and waited_ns > self._max_age_ns:
            self.counts["late"] += 1
            self.late = True
        elif waited_ns <= self._max_age_ns // 2:
            self.late = False

    def due(self, now_ns: int) -> None:
        """Ask for what is missing, if it is time to."""
        if self.requests and self._server:
            for request in self.recovery.due(now_ns):
                try:
                    self.requests.sendto(request.encode(), self._server)
                except OSError:  # asked again later
                    self.counts["refused"] += 1

    def restart(self, session: bytes | None, expected: int = 1) -> None:
        """Begin again at a message, of this session or of a new one; there is a gap until something of it has come."""
        again = session is not None and session == self.arbiter.session
        self._before = (self.arbiter.newest, self.system.clock() + self.arbiter.end_grace_ns) if again else (0, 0)
        self.arbiter.restart(session, expected)
        self.statistics.restart()
        self._started = False


class WaitingTime:
    """How long what is read from one socket had waited there, by the kernel's stamps.

    These are by the wall clock. While it may have been stepped between stamp and reading, until the socket has been empty once,
    the longer of both readings counts: who waits for nothing loses a moment, who trades on old data loses money.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self._offsets: list[int] = []  # wall clock less monotonic, ns: the latest, and behind it those before steps
        self._drained_ns = system.clock()

    def read(self, stamp_ns: int | None) -> tuple[int, int]:
        """Now, and how long a datagram with this stamp had waited; both ns. 0 without a stamp"""
        now_ns = self.system.clock()
        if stamp_ns is None or self.system.wall_clock is None:
            return now_ns, 0
        offset = self.system.wall_clock() - now_ns
        if self._offsets and abs(offset - self._offsets[0]) < _STEP_NS:
            self._offsets[0] = offset
        else:
            self._offsets.insert(0, offset)
        waited_ns = now_ns + max(self._offsets) - stamp_ns
        if waited_ns < -_STEP_NS:  # stamped by a clock that was ahead and is not any more: no longer than since nothing waited
            waited_ns = now_ns - self._drained_ns
        return now_ns, max(0, waited_ns)

    def drained(self) -> None:
        """Nothing waits: what comes now is stamped by the clock as it is."""
        del self._offsets[1:]
        self._drained_ns = self.system.clock()


class LineStatistics:
    """What each line brings, by name: how often it is first, what it loses, and how far it is behind the other.

    counts : datagrams; messages; of these first (before any other line), second (behind another), repeated (by the line itself)
    lost   : messages between the first and the last number of a line that it has not brought
    behind : of a second copy, ns after the first
    """

    def __init__(self, names: str) -> None:
        self.names = names
        self.counts = [Counter[str]() for _ in names]
        self.times = [Times("behind") for _ in names]
        self.restart()

    def restart(self) -> None:
        """Another session: its numbers are others; counts go on."""
        self._came: dict[int, tuple[int, int]] = {}  # number of a datagram's first message -> (line, when it came)
        self._span: list[tuple[int, int]] = [(0, 0)] * len(self.names)

    def receive(self, line: int, sequence: int, messages: int, came_ns: int) -> None:
        """A datagram of the session: its messages by number, and when it came, ns of the monotonic clock."""
        counts, (low, high) = self.counts[line], self._span[line]
        counts["datagrams"] += 1
        if not messages:
            return
        counts["messages"] += messages
        self._span[line] = min(low or sequence, sequence), max(high, sequence + messages)
        first = self._came.setdefault(sequence, (line, came_ns))
        if first == (line, came_ns):
            counts["first"] += messages
            if len(self._came) > _REMEMBERED:
                del self._came[next(iter(self._came))]
        elif first[0] == line:
            counts["repeated"] += messages
        else:
            counts["second"] += messages
            self.times[line].add(max(0, came_ns - first[1]))

    def summary(self) -> dict[str, dict[str, Any]]:
        """By line: counts, lost, and `behind` as n and percentiles in ns."""
        out = {}
        for name, counts, times, (low, high) in zip(self.names, self.counts, self.times, self._span, strict=True):
            lost = max(0, high - low - counts["messages"] + counts["repeated"])
            out[name] = {**counts, "lost": lost, "behind": times["behind"].summary()}
        return out
