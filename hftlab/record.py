"""The rows and stamps of a run, in preallocated blocks: growing is rare, and pages are touched before the clock reads."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from heapq import heappush, heapreplace
from itertools import chain
from struct import Struct
from typing import Any

import numpy as np

from hftlab.errors import ConfigError
from hftlab.settings import STAGES
from hftlab.stages.book import EMPTY_TOP, Top
from hftlab.stages.signal import NAMES, NO_VALUES

#: One row of `Run.frame`: the state of a message's instrument after it.
ROW_DTYPE = np.dtype(
    [
        ("index", "<u8"),
        ("ts_ns", "<u8"),
        ("instrument", "<u2"),
        ("bid_price", "<i8"),
        ("bid_qty", "<u8"),
        ("ask_price", "<i8"),
        ("ask_qty", "<u8"),
        *((name, "<f8") for name in NAMES),
    ]
)
_ROW = Struct("<QQHqQqQ9d")
#: Columns of the accepted orders.
ORDER_DTYPE = np.dtype(
    [
        ("index", "<u8"),
        ("ts_ns", "<u8"),
        ("instrument", "<u2"),
        ("side", "|u1"),
        ("qty", "<u4"),
        ("price", "<i8"),
        ("score", "<f8"),
        ("position", "<i8"),
        ("user_ref_num", "<u4"),
    ]
)
_GROW = 1 << 16


def columns(rows: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The fields of a structured array, by name."""
    return {name: rows[name] for name in rows.dtype.names or ()}


class Rows:
    """Rows of ROW_DTYPE, packed one after the other."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._used = 0

    def add(self, index: int, ts_ns: int, instrument: int, top: Top, values: tuple[float, ...]) -> None:
        """Add the row of one message; one that names no instrument has no book and no signals."""
        if not instrument:
            top, values = EMPTY_TOP, NO_VALUES
        if self._used == len(self._bytes):
            self._bytes += bytes(_GROW * _ROW.size)
        _ROW.pack_into(self._bytes, self._used, index, ts_ns, instrument, *top, *values)
        self._used += _ROW.size

    def columns(self) -> dict[str, np.ndarray[Any, Any]]:
        return columns(np.frombuffer(self._bytes, ROW_DTYPE, self._used // _ROW.size))


class Stamps:
    """Nanoseconds of the four stages and of the whole message, five integers per message."""

    def __init__(self) -> None:
        self._blocks: list[array[int]] = []
        self._count = 0

    def add(self, t0: int, t1: int, t2: int, t3: int, t4: int) -> None:
        """Readings of the clock before the message and after each stage."""
        at = self._count % _GROW * 5
        if at == 0:
            self._blocks.append(array("q", bytes(8 * 5 * _GROW)))
        block = self._blocks[-1]
        block[at], block[at + 1], block[at + 2] = t1 - t0, t2 - t1, t3 - t2
        block[at + 3], block[at + 4] = t4 - t3, t4 - t0
        self._count += 1

    def columns(self) -> dict[str, np.ndarray[Any, Any]]:
        """ns per message by stage, and "total"."""
        flat = np.fromiter(chain.from_iterable(self._blocks), np.int64, self._count * 5)
        return dict(zip((*STAGES, "total"), flat.reshape(-1, 5).T, strict=True))


@dataclass(frozen=True)
class Capture:
    """The stamps around one slow message.

    at     : message number of the slow one
    first  : message number of the first row of `stamps`; the rows are of consecutive messages
    stamps : (m, 5) int64, ns since the start of the run: before the message, after tick, book, signal and order
    """

    at: int
    first: int
    stamps: np.ndarray[Any, Any]


class Slowest:
    """Keeps the stamps around the k slowest messages of a run in bounded memory, and forgets the others.

    k      : messages kept, 1 to 1000; of two equally slow ones the earlier counts as the slower
    around : neighbours kept before and after each, 0 to 1000; fewer where the run begins or ends
    raises : ConfigError

    A ring holds the last 2 * around + 1 messages. What is slow when it comes is copied out of it once the last of its neighbours
    has come, so that a message which is not slow costs two comparisons and its place in the ring.
    """

    def __init__(self, k: int, around: int = 16) -> None:
        for name, value, low in (("k", k, 1), ("around", around, 0)):
            if not low <= value <= 1000:
                raise ConfigError(f"{name} is {value}; allowed is {low} to 1000")
        self._k, self._around, self._size = k, around, 2 * around + 1
        self._ring = array("q", bytes(8 * 5 * self._size))
        self._slow: list[tuple[int, int]] = []  # heap of (total, -message number): the one to be given up first stands first
        self._floor = -1  # total of the k-th slowest, from when there are k
        self._waiting: deque[int] = deque()  # message numbers whose neighbours are still to come
        self._due = -1  # the message that completes the first of them
        self._kept: dict[int, Capture] = {}
        self._first = self._last = -1
        self._start = 0

    def add(self, index: int, t0: int, t1: int, t2: int, t3: int, t4: int) -> None:
        """Readings of the clock before message `index` and after each stage. Numbers are consecutive; the first may be any."""
        self._last = index
        ring, at = self._ring, index % self._size * 5
        ring[at], ring[at + 1], ring[at + 2], ring[at + 3], ring[at + 4] = t0, t1, t2, t3, t4
        if t4 - t0 > self._floor:
            self._enter(index, t0, t4 - t0)
        if index == self._due:
            self._copy()

    def _enter(self, index: int, t0: int, total: int) -> None:
        if self._first < 0:  # the first message of a run is always among the slowest so far
            self._first, self._start = index, t0
        if len(self._slow) < self._k:
            heappush(self._slow, (total, -index))
        else:
            _, gone = heapreplace(self._slow, (total, -index))
            self._kept.pop(-gone, None)
        if len(self._slow) == self._k:
            self._floor = self._slow[0][0]
        self._waiting.append(index)
        self._due = self._waiting[0] + self._around

    def _copy(self) -> None:
        """Copy the one that is due out of the ring, unless slower ones have pushed it out meanwhile."""
        at = self._waiting.popleft()
        self._due = self._waiting[0] + self._around if self._waiting else -1
        if any(-number == at for _, number in self._slow):
            self._kept[at] = self._capture(at)

    def _capture(self, at: int) -> Capture:
        first, end = max(self._first, at - self._around), min(self._last, at + self._around) + 1
        places = np.arange(first, end) % self._size
        return Capture(at, first, np.array(self._ring, np.int64).reshape(-1, 5)[places] - self._start)

    def captures(self) -> list[Capture]:
        """The slowest so far, the slowest first; `stamps` count from the first reading that was added."""
        ranked = [-number for _, number in sorted(self._slow, reverse=True)]
        return [self._kept.get(at) or self._capture(at) for at in ranked]
