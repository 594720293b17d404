"""Retransmission: the latest published messages, and the server that sends them again on request.

Answers are ordinary MoldUDP64 packets with as many of the wanted messages as fit into one datagram; the client asks again from
where it stopped. There is no negative answer: what cannot be answered is counted by reason and met with silence.
"""

from __future__ import annotations

from collections import Counter

from hftlab.errors import WireError
from hftlab.protocols import moldudp64
from hftlab.protocols.channel import Bucket


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
