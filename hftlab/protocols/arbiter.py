"""One stream out of two lines: MoldUDP64 arbitration with a bounded window for what comes early, and requests for the rest.

Both lines carry the same numbers, the first copy of a message wins. What comes early waits in the window, until the other line,
or the answer to a request, fills the hole before it. A hole nobody fills is given up and reported. What is delivered is in order.

    number < expected                       duplicate, dropped
    number = expected                       delivered, with what waited behind it
    expected < number < expected + window   waits (`buffered`), if the window's bytes suffice
    number >= expected + window             dropped (`overflow`); the hole before it is known now, and asked for

Nothing is given up on the word of one datagram, whose number may be damaged: that takes another one from beyond the hole, after
the last request went unanswered; and one from beyond the window must be near the one before. A number ahead that nobody repeats
for `end_grace_ns`, while the stream goes on behind it, is forgotten. No sockets, no clock: bytes and times in, bytes out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from hftlab.errors import WireError, check_range
from hftlab.protocols.moldudp64 import END, HEADER, Packet, Request, decode, frame, skip, split

COUNTS = (
    "packets",  # datagrams received, of any kind
    "messages",  # delivered
    "duplicates",  # messages that had been delivered, given up or held already
    "buffered",  # messages that had to wait
    "gaps",  # times the stream broke
    "requests",
    "recovered",  # messages that had been asked for when they came
    "lost",  # messages given up
    "truncated",  # datagrams shorter than the header
    "malformed",  # datagrams whose lengths or numbers are wrong
    "foreign_session",  # datagrams of another session
    "overflow",  # messages dropped, being beyond the window or its bytes
    "heartbeats",  # datagrams without messages, ends of session included
)
PIECE = 16  # numbers of one request of `Recovery`: what fits into one datagram
LONGEST = 50  # times the interval, between two requests for a number that never comes
_SESSION_CHANGE = 3  # datagrams of one other session in a row that mean that the session has changed


class Delivery(NamedTuple):
    """Messages in order: `blocks` as the engine reads them (may be empty), the number of the first, and how many."""

    blocks: bytes
    sequence: int
    count: int  # type: ignore[assignment]  # the field's word, over tuple.count


class Arbiter:
    """Arbitrates any number of lines, and the answers to requests, into one stream.

    session     : 10 bytes, or None to take the first one seen
    expected    : first number wanted; 0 to begin with whatever comes first
    window      : messages ahead of `expected` that may wait, in at most `buffer_bytes` bytes
    gap_timeout_ns : how long a hole may wait for the other line before it is asked for
    request_interval_ns    : how long an answer may take
    max_requests     : requests without any answer after which a hole is lost; 0 to ask for nothing
    end_grace_ns    : how long a number ahead counts that is not repeated; more than a few heartbeats
    raises      : ConfigError for a value outside its range
    """

    def __init__(
        self,
        session: bytes | None = None,
        expected: int = 1,
        window: int = 1024,
        gap_timeout_ns: int = 2_000_000,
        request_interval_ns: int = 50_000_000,
        max_requests: int = 10,
        *,
        buffer_bytes: int = 1 << 20,
        end_grace_ns: int = 3_000_000_000,
    ) -> None:
        self.window, self.buffer_bytes, self.max_requests = window, buffer_bytes, max_requests
        self.gap_timeout_ns, self.request_interval_ns, self.end_grace_ns = gap_timeout_ns, request_interval_ns, end_grace_ns
        check_range("window", window, 1, 0xFFFF, "messages")
        for name in ("gap_timeout_ns", "request_interval_ns", "end_grace_ns", "max_requests", "buffer_bytes"):
            check_range(name, getattr(self, name), 0)
        self.counts = dict.fromkeys(COUNTS, 0)
        self.restart(session, expected)

    def restart(self, session: bytes | None = None, expected: int = 1) -> None:
        """Begin anew, with another session or another number; the counts go on."""
        self.session, self.expected = session, expected
        self.accepted = False  # whether the latest datagram was whole, and of this session
        self.last_seen: dict[int, int] = {}  # line -> when it last brought something of this session, ns
        self.lost: deque[tuple[int, int]] = deque(maxlen=1024)  # (from, until) of what was given up, the latest 1024
        self.changed: bytes | None = None  # the session that has taken the place of ours
        self._other, self._other_count = b"", 0  # the latest other session, and how many datagrams of it came in a row
        self._held = Window(self.window, self.buffer_bytes)
        self._tail = 0  # the highest next number seen within the window
        self._far: tuple[int, int] | None = None  # (first, next) number of the latest datagram beyond the window
        self._ahead_ns = 0  # when the latest datagram from beyond a hole came
        self._end: int | None = None  # the number after the last of the session
        self._broken, self._asked, self._asked_until, self._due_ns = False, 0, 0, 0

    @property
    def gap(self) -> tuple[int, int] | None:
        """The first hole, (first missing number, number after the last missing one); None while the stream is whole."""
        if not self._broken:
            return None
        ends = (self._held.first or 0, self._tail, *(self._far or ()))
        return self.expected, next(end for end in ends if end > self.expected)

    @property
    def newest(self) -> int:
        """The number after the newest message heard of."""
        return max(self.expected, self._tail, self._far[1] if self._far else 0)

    def missing(self) -> list[int]:
        """Numbers that are missing, as far as the window reaches; cheap while there are none."""
        until = min(self.newest, self.expected + self.window)
        return [number for number in range(self.expected, until) if number not in self._held]

    def asked(self, requests: Iterable[Request]) -> None:
        """Somebody else than `due` has asked: what comes counts as recovered."""
        for request in requests:
            self.counts["requests"] += 1
            self._asked_until = max(self._asked_until, request.sequence + request.count)

    @property
    def stale(self) -> bool:
        """Whether what was delivered is not all there is: a hole is known or was given up, or the session has changed."""
        return self._broken or bool(self.lost) or self.changed is not None

    @property
    def finished(self) -> bool:
        """Whether the session has ended and all of it was delivered, or given up."""
        return self._end == self.expected

    @property
    def held(self) -> int:
        """Messages that wait in the window."""
        return len(self._held)

    def receive(self, line: int, datagram: bytes, now_ns: int) -> Delivery:
        """Take one datagram of a line, or an answer; give what is in order by now. Never raises for bytes that are wrong."""
        self.counts["packets"] += 1
        packet = self._own(datagram)
        self.accepted = packet is not None
        if packet is None:
            return Delivery(b"", self.expected, 0)
        self.last_seen[line] = now_ns
        self.expected = self.expected or packet.sequence
        if packet.count == END and packet.sequence >= self.expected:
            self._end = packet.sequence
        before = self.expected
        delivery = (self._early if packet.sequence > self.expected else self._timely)(packet, now_ns)
        self.counts["messages"] += delivery.count
        self._watch(before, now_ns)
        return delivery

    def due(self, now_ns: int) -> list[Request]:
        """The requests to send now: at most one, and one at a time. Call it often, it is cheap."""
        if not self._broken or now_ns < self._due_ns or self._asked >= self.max_requests or not (hole := self.gap):
            return []
        count = min(hole[1] - hole[0], self.window)
        self._asked, self._due_ns = self._asked + 1, now_ns + self.request_interval_ns
        self._asked_until = max(self._asked_until, hole[0] + count)
        self.counts["requests"] += 1
        return [Request(self.session or b"", hole[0], count)]

    def abandon(self) -> list[Delivery]:
        """Give up every hole at once, where no more datagrams will come; give what waited, a delivery for each run."""
        runs = []
        while hole := self.gap:
            self._lose(hole[1])
            runs.append(self._run())
            self._broken = self._missing
        self.counts["messages"] += sum(run.count for run in runs)
        return [run for run in runs if run.count]

    @property
    def _missing(self) -> bool:
        return self.expected < self._tail or (self._far is not None and self.expected < self._far[1])

    def _own(self, datagram: bytes) -> Packet | None:
        """The packet, if it is whole and of our session."""
        if len(datagram) < HEADER.size:
            self.counts["truncated"] += 1
            return None
        try:
            packet = decode(datagram)
        except WireError:
            self.counts["malformed"] += 1
            return None
        self.session = self.session or packet.session
        if packet.session != self.session:
            self.counts["foreign_session"] += 1
            self._other_count = self._other_count + 1 if packet.session == self._other else 1
            self._other = packet.session
            self.changed = packet.session if self._other_count >= _SESSION_CHANGE else self.changed
            return None
        self.changed, self._other, self._other_count = None, b"", 0
        self.counts["heartbeats"] += not packet.messages
        return packet

    def _timely(self, packet: Packet, now_ns: int) -> Delivery:
        """A datagram that begins with what is expected, or before it."""
        first, old = self.expected, min(packet.messages, self.expected - packet.sequence)
        self.counts["duplicates"] += old
        if now_ns - self._ahead_ns >= self.end_grace_ns and (not packet.count or (self._end or 0) <= first):
            self._far, self._tail = None, self._held.next
            self._end = None if (self._end or 0) > first else self._end  # a heartbeat says that it has not ended there
        if old == packet.messages:
            return Delivery(b"", first, 0)
        self.counts["recovered"] += max(0, min(packet.next, self._asked_until) - first)
        self.expected = packet.next
        self.counts["duplicates"] += self._held.drop(first, packet.next)
        behind = self._run()
        return Delivery(skip(packet.blocks, old) + behind.blocks, first, packet.next - first + behind.count)

    def _early(self, packet: Packet, now_ns: int) -> Delivery:
        """A datagram that begins beyond a hole."""
        self._ahead_ns = now_ns
        hopeless = self._broken and self._asked >= self.max_requests and now_ns >= self._due_ns
        if packet.sequence - self.expected >= self.window:
            agrees = self._far is not None and abs(packet.sequence - self._far[1]) <= self.window
            self._far = packet.sequence, packet.next
            if hopeless and agrees and not self._held:
                self._lose(packet.sequence)
                return self._timely(packet, now_ns)
            self.counts["overflow"] += packet.messages
            hopeless = hopeless and agrees
        else:
            self._tail = max(self._tail, packet.next)
            for number, message in enumerate(split(packet.blocks), packet.sequence):
                self._hold(number, frame(message))
        if hopeless:
            self._lose(self._held.first or packet.sequence)
        return self._run()

    def _hold(self, number: int, block: bytes) -> None:
        if number in self._held:
            self.counts["duplicates"] += 1
        elif self._held.hold(self.expected, number, block):
            self.counts["buffered"] += 1
            self.counts["recovered"] += number < self._asked_until
        else:
            self.counts["overflow"] += 1

    def _run(self) -> Delivery:
        """What waited and is expected now."""
        first, blocks = self.expected, self._held.run(self.expected)
        self.expected += len(blocks)
        return Delivery(b"".join(blocks), first, len(blocks))

    def _lose(self, until: int) -> None:
        self.lost.append((self.expected, until))
        self.counts["lost"] += until - self.expected
        self.expected = until

    def _watch(self, before: int, now_ns: int) -> None:
        """See whether the stream is broken, or whole again, and when to ask next."""
        if self._far and self._far[0] - self.expected < self.window:
            self._tail, self._far = max(self._tail, self._far[1]), None
        if not self._missing:
            self._broken = False
        elif not self._broken:
            self._broken = True
            self.counts["gaps"] += 1
            self._asked, self._due_ns = 0, now_ns + self.gap_timeout_ns
        elif self.expected > before:
            # Part of an answer: the rest of it may be on its way, so ask again soon, but not at once.
            soon = self.expected <= self._asked_until
            self._asked, self._due_ns = 0, now_ns + (self.gap_timeout_ns // 8 if soon else self.gap_timeout_ns)


class Window:
    """Messages that came early, framed, by number, until it is their turn.

    size : numbers after the expected one; limit : bytes of all that wait
    """

    def __init__(self, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        self.bytes = 0
        self._held: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, number: int) -> bool:
        return number in self._held

    @property
    def first(self) -> int | None:
        return min(self._held, default=None)

    @property
    def next(self) -> int:
        """The number after the last one that waits, 0 if none does."""
        return max(self._held, default=-1) + 1

    def hold(self, expected: int, number: int, block: bytes) -> bool:
        """Keep a message, if there is room for it."""
        if number - expected >= self.size or self.bytes + len(block) > self.limit:
            return False
        self._held[number] = block
        self.bytes += len(block)
        return True

    def drop(self, first: int, until: int) -> int:
        """Forget the messages from number `first` to before `until`; how many there were."""
        return sum(self._pop(number) is not None for number in range(first, until)) if self._held else 0

    def run(self, expected: int) -> list[bytes]:
        """Take the messages from `expected` on that follow each other."""
        blocks: list[bytes] = []
        while self._held and (block := self._pop(expected + len(blocks))) is not None:
            blocks.append(block)
        return blocks

    def _pop(self, number: int) -> bytes | None:
        block = self._held.pop(number, None)
        self.bytes -= len(block or b"")
        return block


class Recovery:
    """Asks for everything that an arbiter misses, up to the newest message heard of, and gives nothing up.

    A number that is missing for `gap_timeout_ns` is asked for, all of them side by side: an answer is one datagram, so a request
    is for few numbers, the first and the last of which are missing. What an answer leaves out is asked for at once; where nothing
    comes, again after `interval_ns`, which doubles up to `LONGEST` times as much while nothing comes, and is what it was with the
    first message that does. A server that was away for a minute costs a minute.

    gap_timeout_ns : how long a number may be missing before it is asked for
    interval_ns    : how long an answer may take
    asked          : requests so far
    """

    def __init__(self, arbiter: Arbiter, gap_timeout_ns: int, interval_ns: int) -> None:
        self.arbiter, self.gap_timeout_ns, self.interval_ns = arbiter, gap_timeout_ns, interval_ns
        self.asked = 0
        self._next_ns, self._known, self._expected = 0, 0, 0  # next look; newest and expected number at the latest one
        self._wait_ns = interval_ns
        self._under_way: dict[int, tuple[int, int]] = {}  # number -> (the first of its request, when it is asked for again)

    def due(self, now_ns: int) -> list[Request]:
        """The requests to send now. Call it often: it looks once in `gap_timeout_ns`, and only while something is missing."""
        if self.arbiter.gap is None:
            self._next_ns, self._wait_ns = 0, self.interval_ns
            self._under_way.clear()
            return []
        if not self._next_ns:  # the other line may bring it yet
            self._look(now_ns)
            return []
        if now_ns < self._next_ns:
            return []
        if self.arbiter.expected != self._expected:
            self._wait_ns = self.interval_ns
        missing = self.arbiter.missing()
        wanted = self._wanted(missing, now_ns)
        self._look(now_ns)
        return self._requests(wanted, now_ns)

    def _look(self, now_ns: int) -> None:
        self._next_ns = now_ns + max(self.gap_timeout_ns, 1)
        self._known, self._expected = self.arbiter.newest, self.arbiter.expected

    def _wanted(self, missing: list[int], now_ns: int) -> list[int]:
        """Of the missing numbers those that were at the latest look, too, and of which no answer is under way."""
        absent, under_way = set(missing), self._under_way
        self._under_way = {number: under_way[number] for number in missing if number in under_way}
        if any(first in absent and again_ns <= now_ns for first, again_ns in self._under_way.values()):
            self._wait_ns = min(2 * self._wait_ns, LONGEST * self.interval_ns)
        for number, (first, again_ns) in list(self._under_way.items()):
            if first not in absent or again_ns <= now_ns:  # the answer has come without it, or does not come
                del self._under_way[number]
        return [number for number in missing if number < self._known and number not in self._under_way]

    def _requests(self, wanted: list[int], now_ns: int) -> list[Request]:
        requests: list[Request] = []
        for number in wanted:
            if requests and number < requests[-1].sequence + PIECE:
                requests[-1] = requests[-1]._replace(count=number + 1 - requests[-1].sequence)
            else:
                requests.append(Request(self.arbiter.session or b"", number, 1))
            self._under_way[number] = requests[-1].sequence, now_ns + self._wait_ns
        self.asked += len(requests)
        self.arbiter.asked(requests)
        return requests
