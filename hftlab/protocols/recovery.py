"""What a client of MoldUDP64 asks for: everything its arbiter misses, up to the newest message heard of, and never less.

A number that is missing for `gap_timeout_ns` is asked for, all of them side by side: an answer is one datagram, so a request is
for few numbers, the first and the last of which are missing. What an answer leaves out is asked for at once; where nothing comes,
again after `interval_ns`, which doubles up to `LONGEST` times as much while nothing comes, and is what it was with the first
message that does. Nothing is ever given up: a server that was away for a minute costs a minute.

No sockets, no clock: an arbiter and times in, requests out.
"""

from __future__ import annotations

from hftlab.protocols.arbiter import Arbiter
from hftlab.protocols.moldudp64 import Request

PIECE = 16  # numbers of one request: what fits into one datagram
LONGEST = 50  # times the interval, between two requests for a number that never comes


class Recovery:
    """Asks for what an arbiter misses.

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
