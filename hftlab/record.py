"""The rows and stamps of a run, in preallocated blocks: growing is rare, and pages are touched before the clock reads."""

from __future__ import annotations

from array import array
from itertools import chain
from struct import Struct
from typing import Any

import numpy as np

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
