"""The stamps of a run: five readings of the clock per message, kept, counted into histograms, or both; and the slowest messages.

    t0 | tick | t1 | book | t2 | signal | t3 | order | t4

A reading is written into a block that was touched beforehand, and nothing else is done while a message runs. Full blocks are
counted between two messages, so that a run of any length needs the memory of one block and its histograms.
"""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

import numpy as np

from hftlab.engine.histogram import Histogram
from hftlab.settings import STAGES, Settings

PARTS = (*STAGES, "total")
_BLOCK = 1 << 16  # messages

Rows = np.ndarray[Any, np.dtype[np.int64]]


class Capture(NamedTuple):
    """One of the slowest messages, and those around it.

    at     : its message number
    first  : message number of the first row of `stamps`
    stamps : (m, 5) int64, ns since the first message of the run began: t0 before the message, t1 ... t4 after each stage
    """

    at: int
    first: int
    stamps: Rows


class Slowest:
    """The k messages of a stream that took longest, each with its neighbours, in bounded memory. Of equals the earlier stays.

    k      : how many are kept
    around : rows kept before and after each
    """

    def __init__(self, k: int, around: int) -> None:
        self.k, self.around = k, around
        self._rows = np.empty((0, 5), np.int64)  # the end of what came before, for neighbours
        self._first = 0  # message number of its first row
        self._best: list[tuple[int, int]] = []  # (-total, message number), longest first
        self._kept: dict[int, Capture] = {}

    def add(self, rows: Rows) -> None:
        """The next rows of the stream, (n, 5) int64."""
        new = self._first + len(self._rows)
        rows = np.concatenate([self._rows, rows])
        totals = rows[:, 4] - rows[:, 0]
        fresh = np.arange(new - self._first, len(rows))
        if len(self._best) == self.k:
            fresh = fresh[totals[fresh] > -self._best[-1][0]]
        longest = fresh[np.argsort(-totals[fresh], kind="stable")[: self.k]]
        found = [(-int(totals[place]), self._first + int(place)) for place in longest]
        self._best = sorted([*self._best, *found])[: self.k]
        for _, at in self._best:
            kept = self._kept.get(at)
            if kept is None or kept.first + len(kept.stamps) <= at + self.around:  # new, or its end was still to come
                self._kept[at] = self._capture(at, rows)
        self._kept = {at: self._kept[at] for _, at in self._best}
        over = max(0, len(rows) - 2 * self.around - 1)
        self._rows, self._first = rows[over:].copy(), self._first + over

    def _capture(self, at: int, rows: Rows) -> Capture:
        place = at - self._first
        low = max(0, place - self.around)
        return Capture(at, self._first + low, rows[low : place + self.around + 1].copy())

    def captures(self) -> list[Capture]:
        """The slowest first."""
        return list(self._kept.values())


class Stamps:
    """What a run keeps of its stamps, as `Settings.latency`, `.keep`, `.slowest` and `.around` say."""

    def __init__(self, settings: Settings) -> None:
        on = settings.latency != "off"
        self._samples, self._counted = on and settings.keep != "histogram", on and settings.keep != "samples"
        self._block = array("q", bytes(8 * 5 * _BLOCK)) if on else array("q")
        self._blocks: list[array[int]] = []
        self._used = self._start = 0
        self._histograms = {part: Histogram() for part in PARTS} if self._counted else None
        self._slowest = Slowest(settings.slowest, settings.around) if on and settings.slowest else None

    def add(self, t0: int, t1: int, t2: int, t3: int, t4: int) -> None:
        """Readings of the clock before the message and after each stage, ns."""
        block, at = self._block, self._used * 5
        block[at], block[at + 1], block[at + 2], block[at + 3], block[at + 4] = t0, t1, t2, t3, t4
        self._used += 1
        if self._used == _BLOCK:
            self._seal()

    def _seal(self) -> None:
        """Count a block and begin the next."""
        rows = np.frombuffer(self._block, np.int64, 5 * self._used).reshape(-1, 5)
        if self._histograms:
            for part, ns in durations(rows).items():
                self._histograms[part].record(ns)
        if self._slowest and self._used:
            self._start = self._start or int(rows[0, 0])
            self._slowest.add(rows - self._start)
        if self._samples:
            self._blocks.append(self._block[: 5 * self._used])
        self._used = 0

    def result(self) -> dict[str, Any]:
        """latency, histograms and slowest; see backends.Session."""
        if self._used:
            self._seal()
        parts = [np.empty(0, np.int64), *(np.frombuffer(block, np.int64) for block in self._blocks)]
        return {
            "latency": durations(np.concatenate(parts).reshape(-1, 5)) if self._samples else None,
            "histograms": self._histograms,
            "slowest": self._slowest.captures() if self._slowest else None,
        }


def durations(rows: Rows) -> dict[str, np.ndarray[Any, Any]]:
    """ns per message by stage, and "total"."""
    steps = np.diff(rows, axis=1)
    return {**{stage: steps[:, i] for i, stage in enumerate(STAGES)}, "total": rows[:, 4] - rows[:, 0]}
