"""The market data side of the exchange: a feed as numbered MoldUDP64 datagrams, each with the time at which it is meant to leave.

`Publisher` has no sockets and no clock: poll(now) -> datagrams that are due, beat(now) -> a heartbeat when nothing else has left.
`Broadcast` puts its datagrams onto two lines, and answers requests for what was lost: by ordinary MoldUDP64 packets with as many
of the wanted messages as fit into one datagram. The client asks again from where it stopped; what cannot be answered is counted
by reason and met with silence.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from hftlab.errors import ConfigError, FeedError, WireError
from hftlab.feeds import feed as feeds
from hftlab.feeds.feed import Feed
from hftlab.measurement.distribution import Times
from hftlab.net.endpoints import Address, System
from hftlab.net.exchange.settings import ExchangeSettings
from hftlab.protocols import moldudp64
from hftlab.protocols.channel import SECOND_NS, Bucket, LossyChannel, Pace, Schedule

_END_NS = SECOND_NS // 20  # between two ends of a session: who misses them all waits for it for ever
_REQUESTS = 64  # requests answered in one round


class Datagram(NamedTuple):
    """One to be sent now. blocks : its messages, framed."""

    data: bytes
    blocks: bytes


def messages(feed: Feed) -> Iterator[tuple[int, bytes]]:
    """(timestamp in ns, the message behind its u16 length) of every message of a feed.

    raises : FeedError where the feed breaks off, after the messages before it
    """
    for data, at, size in feeds.messages(feed):
        yield int.from_bytes(data[at + 5 : at + 11], "big") if size >= 11 else 0, bytes(data[at - 2 : at + size])


def read_directory(feed: Feed, limit: int = 200_000) -> tuple[dict[int, bytes], int]:
    """The stock directory before the first order of a feed, 8-byte symbol by stock locate; and its first timestamp, ns.

    limit : messages looked at, where no order comes
    """
    names: dict[int, bytes] = {}
    first = 0
    with suppress(FeedError):  # it is published as far as it goes, and reported then
        for _, (ts_ns, framed) in zip(range(limit), messages(feed), strict=False):
            first = first or ts_ns
            if framed[2:3] in (b"A", b"F"):
                break
            if framed[2:3] == b"R":
                names[int.from_bytes(framed[3:5], "big")] = framed[13:21]
    return names, first


def outlook(feed: Feed, settings: ExchangeSettings, limit: int = 1_000_000) -> tuple[int | None, float | None]:
    """Messages of a feed, and seconds that it takes at its pace (None at "max"); both None above `limit` messages."""
    schedule = Schedule(Pace.parse(settings.pace), settings.max_idle_gap_s * SECOND_NS)
    count, at_ns = 0, None
    with suppress(FeedError):
        for ts_ns, _ in messages(feed):
            count, at_ns = count + 1, schedule.next(ts_ns)
            if count > limit:
                return None, None
    return count, None if at_ns is None else round(at_ns / SECOND_NS, 1)


class Publisher:
    """One session of a feed.

    feed     : one of wire bytes
    session  : 10 bytes
    settings : pace, batch, retransmit_window, max_idle_gap_s and heartbeat_s count
    next     : number of the next message; finished : nothing is left of the feed
    error    : why the feed broke off, a FeedError; None if it did not. Everything before is published
    times    : "lag", how late messages left by when they were meant to, ns
    counts   : messages, datagrams, heartbeats, ends
    raises   : ConfigError for a feed of event records
    """

    def __init__(self, feed: Feed, session: bytes, settings: ExchangeSettings) -> None:
        if feed.wire != "itch":
            raise ConfigError(f"feed {feed.name!r} must be one of wire bytes (ITCH); it carries event records")
        self.session, self.batch, self.heartbeat_ns = session, settings.batch, int(settings.heartbeat_s * SECOND_NS)
        self.buffer = RetransmitBuffer(settings.retransmit_window)
        self.schedule = Schedule(Pace.parse(settings.pace), settings.max_idle_gap_s * SECOND_NS)
        self.finished = False
        self.error: FeedError | None = None
        self.started_ns = 0
        self.ts_ns = 0  # of the latest message that has left
        self.standing: dict[bytes, bytes] = {}  # the latest directory and trading state of each stock, by type and locate
        self.counts: Counter[str] = Counter()
        self.times = Times("lag")
        self._messages = messages(feed)
        self._waiting: tuple[int | None, int, bytes] | None = None  # intended ns, timestamp, framed message
        self._beat_ns: int | None = None
        self._left_ns: int | None = None  # when the latest message left

    @property
    def next(self) -> int:
        """The number of the next message."""
        return self.buffer.next

    def skip(self, upto: int) -> Iterator[bytes]:
        """Count messages as published until `upto` is the next number; yields them framed. For a session taken up again."""
        while self.next < upto and (message := self._read()):
            self.ts_ns = message[0] or self.ts_ns
            self._keep(message[1])
            yield message[1]

    def begin(self, now_ns: int) -> None:
        """Start the clock of the schedule."""
        self.started_ns = now_ns
        self._advance()

    def poll(self, now_ns: int, limit: int = 64) -> list[Datagram]:
        """The datagrams that are due, at most `limit`; each counts as sent."""
        out: list[Datagram] = []
        while len(out) < limit and self._due(now_ns):
            out.append(self._datagram(now_ns))
        if out:
            self._beat_ns = self._left_ns = now_ns
        return out

    def due_ns(self) -> int | None:
        """When the next message is meant to leave: None if there is none, 0 for at once."""
        return None if self._waiting is None else self._waiting[0] or 0

    def time_ns(self, now_ns: int) -> int:
        """The time of day in the feed, ns: that of the latest message, and with the feed's own pace what has passed since."""
        if self.schedule.pace.kind != "event" or self._left_ns is None:
            return self.ts_ns
        passed = self.ts_ns + int((now_ns - self._left_ns) * self.schedule.pace.value)
        return max(self.ts_ns, min(passed, self._waiting[1])) if self._waiting else passed

    def beat(self, now_ns: int) -> bytes | None:
        """A heartbeat, if nothing was sent for `heartbeat_ns`."""
        if self._beat_ns is not None and now_ns - self._beat_ns < self.heartbeat_ns:
            return None
        self._beat_ns = now_ns
        self.counts["heartbeats"] += 1
        return moldudp64.heartbeat(self.session, self.next)

    def end(self, now_ns: int) -> bytes:
        """The end of the session; nothing more is published."""
        self._waiting, self.finished, self._beat_ns = None, True, now_ns
        self.counts["ends"] += 1
        return moldudp64.end(self.session, self.next)

    def end_again(self, now_ns: int) -> bytes | None:
        """The end of the session once more, if it was not sent for a twentieth of a second: it may be lost on every line."""
        silent = self._beat_ns is None or now_ns - self._beat_ns >= min(self.heartbeat_ns, _END_NS)
        return self.end(now_ns) if silent else None

    def _due(self, now_ns: int) -> bool:
        return self._waiting is not None and (self._waiting[0] is None or self._waiting[0] <= now_ns)

    def _datagram(self, now_ns: int) -> Datagram:
        sequence, blocks, size = self.next, list[bytes](), 0
        while self._waiting and self._due(now_ns):
            at, ts_ns, framed = self._waiting
            if blocks and (not self.batch or size + len(framed) > moldudp64.LIMIT):
                break
            blocks.append(framed)
            size += len(framed)
            self._keep(framed)
            self.ts_ns = ts_ns or self.ts_ns
            if at is not None:
                self.times.add(now_ns - at)
            self._advance()
        self.counts["messages"] += len(blocks)
        self.counts["datagrams"] += 1
        joined = b"".join(blocks)
        return Datagram(moldudp64.HEADER.pack(self.session, sequence, len(blocks)) + joined, joined)

    def _advance(self) -> None:
        self._waiting = None
        message = self._read()
        if message is None:
            self.finished = True
            return
        at = self.schedule.next(message[0])
        self._waiting = (None if at is None else self.started_ns + at, *message)

    def _keep(self, framed: bytes) -> None:
        """A message is published."""
        self.buffer.append(framed)
        if framed[2:3] in (b"R", b"H"):
            self.standing[framed[2:5]] = framed[2:]

    def _read(self) -> tuple[int, bytes] | None:
        try:
            return next(self._messages, None)
        except FeedError as error:
            self.error = error
            return None


class RetransmitBuffer:
    """The latest published messages, framed, in a ring.

    window : how many are kept; next : the number of the next one to be appended
    """

    def __init__(self, window: int = 1 << 20) -> None:
        self.window, self.next = window, 1
        self._ring: list[bytes] = []

    @property
    def first(self) -> int:
        """The number of the oldest message that is kept."""
        return max(1, self.next - self.window)

    def append(self, framed: bytes) -> None:
        """The next message, behind its u16 length."""
        if self.next <= self.window:
            self._ring.append(framed)
        else:
            self._ring[(self.next - 1) % self.window] = framed
        self.next += 1

    def get(self, sequence: int, count: int, limit: int) -> list[bytes]:
        """Framed messages from `sequence` on: at most `count`, at most `limit` bytes but one at least; [] if it is not kept."""
        messages: list[bytes] = []
        if sequence < self.first:
            return messages
        size = 0
        for number in range(sequence, min(sequence + count, self.next)):
            framed = self._ring[(number - 1) % self.window]
            size += len(framed)
            if messages and size > limit:
                break
            messages.append(framed)
        return messages


class RetransmitServer:
    """Answers requests out of a buffer.

    rate, burst : datagrams per second, and at once; what asks for more gets nothing
    counts      : requests, answered, messages; unanswered by reason: malformed, foreign_session, nothing_asked, not_kept,
                  not_yet, throttled
    """

    def __init__(
        self, buffer: RetransmitBuffer, session: bytes, *, rate: float = 10_000, burst: int = 1_000, limit: int = moldudp64.LIMIT
    ) -> None:
        self.buffer, self.session, self.limit = buffer, session, limit
        self.counts: Counter[str] = Counter()
        self._bucket = Bucket(rate, burst)

    def answer(self, datagram: bytes, now_ns: int) -> bytes | None:
        """The packet that answers a request, or None."""
        self.counts["requests"] += 1
        wanted, refused = self._read(datagram, now_ns)
        if refused or wanted is None:
            self.counts[refused] += 1
            return None
        messages = self.buffer.get(wanted.sequence, min(wanted.count, moldudp64.MAX_MESSAGES), self.limit)
        self.counts["answered"] += 1
        self.counts["messages"] += len(messages)
        return moldudp64.HEADER.pack(self.session, wanted.sequence, len(messages)) + b"".join(messages)

    def _read(self, datagram: bytes, now_ns: int) -> tuple[moldudp64.Request | None, str]:
        """The request, and why it is not answered: "" if it is."""
        try:
            wanted = moldudp64.decode_request(datagram)
        except WireError:
            return None, "malformed"
        if wanted.session != self.session:
            return wanted, "foreign_session"
        if not wanted.count:
            return wanted, "nothing_asked"
        if wanted.sequence < self.buffer.first:
            return wanted, "not_kept"
        if wanted.sequence >= self.buffer.next:
            return wanted, "not_yet"
        return wanted, "" if self._bucket.take(now_ns) else "throttled"


class Broadcast:
    """Publisher, lines and request server of one session; `open` binds.

    lines   : "A" and "B"
    targets : where each goes to
    counts  : send_failed (datagrams the system did not take)
    """

    def __init__(self, feed: Feed, session: str, settings: ExchangeSettings, system: System) -> None:
        self.settings, self.system = settings, system
        self.publisher = Publisher(feed, session.ljust(10).encode(), settings)
        self.retransmit = RetransmitServer(self.publisher.buffer, self.publisher.session, rate=settings.retransmit_rate)
        chances = zip("AB", settings.chances, strict=True)
        self.lines = {name: LossyChannel(name, chance, settings.line_seed) for name, chance in chances}
        self.targets: dict[str, Address] = {}
        self.counts: Counter[str] = Counter()
        self.requests: socket.socket | None = None
        self._sender: socket.socket | None = None

    def open(self) -> socket.socket:
        """Bind; returns the socket on which requests come. raises : ConfigError"""
        wanted = {"A": self.settings.line_a, "B": self.settings.line_b}
        for name, text in wanted.items():
            self.targets[name] = self.system.destination(Address.parse(text, f"line {name}"), f"line {name}")
        self._sender = self.system.sender(self.settings.interface)  # closed by `close`, whatever follows
        self.requests = self.system.datagrams(Address.parse(self.settings.requests, "requests"), "requests")
        return self.requests

    def close(self) -> None:
        """Close the sockets."""
        for opened in (self._sender, self.requests):
            if opened:
                opened.close()

    def emit(self, data: bytes) -> None:
        """One datagram onto both lines."""
        for name, line in self.lines.items():
            for arriving in line.carry(data):
                self._send(arriving, self.targets[name])

    def beat(self, now_ns: int, *, ending: bool) -> None:
        """A heartbeat, or the end of the session again, if nothing has left for a while; what a line holds back goes first."""
        beat = self.publisher.end_again(now_ns) if ending else self.publisher.beat(now_ns)
        if beat:
            for name, line in self.lines.items():
                for held in line.flush():
                    self._send(held, self.targets[name])
            self.emit(beat)

    def answer(self, now_ns: int) -> None:
        """The requests that wait, a bounded number of them."""
        assert self.requests is not None
        for _ in range(_REQUESTS):
            try:
                request, peer = self.requests.recvfrom(64)
                if answer := self.retransmit.answer(request, now_ns):
                    self.requests.sendto(answer, peer)
            except OSError:  # nothing waits, or the answer was not taken: the client will ask again
                return

    def summary(self) -> dict[str, Any]:
        """What has been published, sent again and lost, in numbers; lags in ns."""
        return {
            "published": dict(self.publisher.counts),
            "lag": self.publisher.times["lag"].summary(),
            "idle_gaps_cut": self.publisher.schedule.idle_gaps_cut,
            "lines": {name: dict(line.counts) for name, line in self.lines.items()},
            "send_failed": self.counts["send_failed"],
            "retransmitted": dict(self.retransmit.counts),
            "feed_error": str(self.publisher.error or ""),
        }

    def _send(self, data: bytes, target: Address) -> None:
        assert self._sender is not None
        try:
            self._sender.sendto(data, target)
        except OSError:  # full buffers lose a datagram as a network does; the listener asks for it again
            self.counts["send_failed"] += 1
