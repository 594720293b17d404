"""A lossy channel: loss, duplication and reordering of datagrams, on purpose and reproducibly.

Each channel has its own seed, so that two lines lose independently, and the same seed loses the same datagrams again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hftlab.errors import check_range


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
