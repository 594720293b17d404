"""What each line of a feed brings: how often it is first, what it loses, and how far it is behind the other."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hftlab.net.times import Times

_REMEMBERED = 8_192  # datagrams whose arrival is remembered, to be compared with the other line's copy


class LineStatistics:
    """Per line, by name.

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
