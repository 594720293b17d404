"""Between a sender and its receivers: when a message is meant to leave, how many may, and what a lossy line makes of them.

The intended time of a message does not depend on when those before it really left (Gil Tene's coordinated omission): a publisher
that has fallen behind sends what is overdue at once, and the lag says by how much it was late. A lossy channel loses, repeats and
reorders on purpose and reproducibly: each has its own seed, so that two lines lose independently, and alike the next time.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from hftlab.errors import ConfigError, check_range

SECOND_NS = 1_000_000_000
_PACE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(x|/s)")


class Pace(NamedTuple):
    """How a feed is paced. kind : "event" (its own time, `value` times as fast), "rate" (`value` messages per second), "max"."""

    kind: str
    value: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Pace:
        """From "8x", "50000/s" or "max". raises : ConfigError"""
        if text == "max":
            return cls("max")
        found = _PACE.fullmatch(text)
        value = float(found[1]) if found else 0.0
        if not found or not 1e-6 <= value <= 1e9:
            forms = "8x or 0.5x (times the feed's own speed), 50000/s (messages per second) or max"
            raise ConfigError(f"pace must be {forms}, got {text!r}")
        return cls("event" if found[2] == "x" else "rate", value)


class Schedule:
    """Intended times of one publication, message after message.

    max_idle_gap_ns : a longer wait between two messages of an "event" pace is cut to this, in real time (feeds start hours
                      before the market does); how many were cut is in `idle_gaps_cut`
    """

    def __init__(self, pace: Pace, max_idle_gap_ns: float = math.inf) -> None:
        self.pace, self.max_idle_gap_ns = pace, max_idle_gap_ns
        self.idle_gaps_cut = 0
        self._at = 0.0  # ns since the start
        self._count = 0
        self._last_ts: int | None = None

    def next(self, ts_ns: int) -> int | None:
        """ns after the start at which the message with this timestamp is meant to leave; None: at once."""
        if self.pace.kind == "max":
            return None
        if self.pace.kind == "rate":
            self._at = self._count * SECOND_NS / self.pace.value
            self._count += 1
            return int(self._at)
        if self._last_ts is None or not ts_ns:  # what has no timestamp goes with the message before it
            self._last_ts = self._last_ts or ts_ns or None
            return int(self._at)
        wait = max(0, ts_ns - self._last_ts) / self.pace.value
        if wait > self.max_idle_gap_ns:
            wait = self.max_idle_gap_ns
            self.idle_gaps_cut += 1
        self._last_ts = max(self._last_ts, ts_ns)
        self._at += wait
        return int(self._at)


class Bucket:
    """At most `rate` per second on average, and `burst` at once. The clock is the caller's."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._left, self._at = float(burst), 0

    def take(self, now_ns: int) -> bool:
        """Take one if it is there."""
        there = self.left(now_ns) >= 1
        self._left -= there
        return there

    def spend(self, now_ns: int, count: int) -> None:
        """Take `count` in any case; the debt has to be made up for before there is anything again."""
        self._left = self.left(now_ns) - count

    def left(self, now_ns: int) -> float:
        """How many could be taken now."""
        if now_ns > self._at:
            self._left = min(self.burst, self._left + (now_ns - self._at) * self.rate / SECOND_NS)
            self._at = now_ns
        return self._left


@dataclass(frozen=True)
class Impairment:
    """Probabilities per datagram, each in [0, 1]. depth : how many later datagrams overtake a delayed one, 1 to `depth`."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    depth: int = 3

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder"):
            check_range(name, getattr(self, name), 0, 1)
        check_range("depth", self.depth, 1, 1000, "datagrams")


class LossyChannel:
    """One channel from a sender to its receivers.

    down   : while True nothing gets through
    mangle : what is done to each datagram that gets through, for faults; b"" swallows it
    counts : sent, lost, duplicated, delayed, dropped (channel down)
    """

    def __init__(self, name: str, impairment: Impairment | None = None, seed: int = 1) -> None:
        self.name, self.impairment = name, impairment or Impairment()
        self.down = False
        self.mangle: Callable[[bytes], bytes] | None = None
        self.counts: Counter[str] = Counter()
        self._random = random.Random(f"{seed}/{name}")
        self._held: list[tuple[int, bytes]] = []  # (datagrams still to overtake it, datagram)
        self._plain = not (self.impairment.loss or self.impairment.duplicate or self.impairment.reorder)

    def carry(self, datagram: bytes) -> list[bytes]:
        """What arrives because this one was sent: none, one or more datagrams."""
        if self.down:
            self.counts["dropped"] += 1
            return []
        if self._plain and not self.mangle:
            self.counts["sent"] += 1
            return [datagram]
        out = self._chance(datagram)
        if self._held:
            self._held = [(left - 1, held) for left, held in self._held]
            out += [held for left, held in self._held if left <= 0]
            self._held = [(left, held) for left, held in self._held if left > 0]
        return self._through(out)

    def flush(self) -> list[bytes]:
        """What is still delayed; to be sent when nothing follows that could overtake it."""
        out, self._held = [held for _, held in self._held], []
        return self._through(out) if not self.down else []

    def _chance(self, datagram: bytes) -> list[bytes]:
        # The three numbers are always drawn, so that one chance does not change what another one hits.
        lose, repeat, delay = self._random.random(), self._random.random(), self._random.random()
        overtaken = self._random.randint(1, self.impairment.depth)
        if lose < self.impairment.loss:
            self.counts["lost"] += 1
            return []
        copies = [datagram]
        if repeat < self.impairment.duplicate:
            self.counts["duplicated"] += 1
            copies.append(datagram)
        if delay < self.impairment.reorder:
            self.counts["delayed"] += 1
            self._held.append((overtaken + 1, copies.pop()))
        return copies

    def _through(self, out: list[bytes]) -> list[bytes]:
        if self.mangle:
            out = [mangled for datagram in out if (mangled := self.mangle(datagram))]
        self.counts["sent"] += len(out)
        return out
