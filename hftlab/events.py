"""The event record: what one wire message becomes, the same 40 bytes in every engine.

This file owns the layout. The Rust engine mirrors it, and the two are compared when the backend loads.

    offset  0        8         16            24     32   36          38    39
            ts_ns u64 order_id u64 new_order_id u64 price i64 qty u32 instrument u16 kind u8 side u8
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftlab.errors import FeedError


class Kind(IntEnum):
    """What a message does. Only ADD, EXECUTE, CANCEL, DELETE, REPLACE and CLEAR can change a book."""

    OTHER = 0
    ADD = 1
    EXECUTE = 2
    CANCEL = 3
    DELETE = 4
    REPLACE = 5
    TRADE = 6
    STATUS = 7
    CLEAR = 8


class Side(IntEnum):
    """The side of the book; NONE where the wire does not say."""

    NONE = 0
    BID = 1
    ASK = 2


class Fault(IntEnum):
    """Why an event cannot be applied to the book (0: it can). The values travel between the engines."""

    NONE = 0
    BAD_SIDE = 1
    ZERO_QTY = 2
    ZERO_PRICE = 3
    DUPLICATE_ORDER = 4
    UNKNOWN_ORDER = 5
    WRONG_INSTRUMENT = 6
    EXCESS_QTY = 7


#: (field, NumPy format, offset in bytes)
EVENT_FIELDS: tuple[tuple[str, str, int], ...] = (
    ("ts_ns", "<u8", 0),
    ("order_id", "<u8", 8),
    ("new_order_id", "<u8", 16),
    ("price", "<i8", 24),
    ("qty", "<u4", 32),
    ("instrument", "<u2", 36),
    ("kind", "|u1", 38),
    ("side", "|u1", 39),
)

EVENT_DTYPE: np.dtype[np.void] = np.dtype([(name, form) for name, form, _ in EVENT_FIELDS])

Events = NDArray[np.void]


def as_events(array: Any) -> Events:
    """Check that `array` can be handed to an engine as it is, and return it.

    array  : (n,) EVENT_DTYPE, C-contiguous, little-endian
    raises : FeedError naming what is wrong and how to mend it
    """
    if not isinstance(array, np.ndarray):
        raise FeedError(f"events must be a NumPy array of EVENT_DTYPE, not {type(array).__name__}")
    if isinstance(array, np.ma.MaskedArray):
        raise FeedError("events must not be a masked array: fill it, or leave out what is masked (array.compressed())")
    if array.ndim != 1:
        raise FeedError(f"events must have one dimension, not shape {array.shape}")
    if array.dtype != EVENT_DTYPE:
        if array.dtype.newbyteorder("<") == EVENT_DTYPE:
            raise FeedError("events must be little-endian, got big-endian: use events.astype(hftlab.EVENT_DTYPE)")
        raise FeedError(f"events must have EVENT_DTYPE {_short(EVENT_DTYPE)}, got dtype {_short(array.dtype)}")
    if not array.flags.c_contiguous:
        raise FeedError(
            f"events must be contiguous (stride {EVENT_DTYPE.itemsize} bytes), got stride {array.strides[0]}: "
            "use numpy.ascontiguousarray(events)"
        )
    return array


def _short(dtype: np.dtype[Any]) -> str:
    if dtype.names is None:
        return str(dtype)
    return "(" + ", ".join(f"{name} {dtype[name].str}" for name in dtype.names) + ")"


def describe(event: Any) -> str:
    """One record in words: `ADD id 7 BID 100 @ 3216700 instrument 13 at 11244999000000 ns`."""
    kind, side = int(event["kind"]), int(event["side"])
    name = Kind(kind).name if kind <= max(Kind) else f"kind {kind}"
    words = [name, f"id {event['order_id']}"]
    if kind == Kind.REPLACE:
        words.append(f"-> {event['new_order_id']}")
    if side:
        words.append(Side(side).name if side <= max(Side) else f"side {side}")
    words.append(f"{event['qty']} @ {event['price']}")
    words.append(f"instrument {event['instrument']} at {event['ts_ns']} ns")
    return " ".join(words)
