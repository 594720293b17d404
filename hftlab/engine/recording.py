"""The rows of a run, in preallocated blocks: growing is rare, and pages are touched before the clock reads."""

from __future__ import annotations

from struct import Struct
from typing import Any

import numpy as np

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


def with_signals(recorded: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Recorded columns with those of the signals: an engine that ends at the book may leave out that they have no values.

    A column that is added takes no memory: it is one value, (n,) f64 with a stride of 0.
    """
    n = len(recorded["index"])
    none = {name: np.broadcast_to(np.float64(value), n) for name, value in zip(NAMES, NO_VALUES, strict=True)}
    return {**recorded, **{name: column for name, column in none.items() if name not in recorded}}


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
