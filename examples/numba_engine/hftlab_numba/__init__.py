"""An engine for hftlab by an outsider: Numba over flat arrays. This module is the backend; see `hftlab.engine.session.Backend`.

jit.py      how functions are compiled, and where the result is kept
state.py    the arrays that live from message to message
tick.py     wire bytes -> event
orders.py   orders by id
book.py     queues, levels and sides
signal.py   the nine signals
order.py    decide, check the risk, encode
engine.py   THE MAIN PATH: for each message tick, book, signal, order
session.py  what hftlab calls: arrays in, results out
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hftlab.events import EVENT_DTYPE, EVENT_FIELDS
from hftlab.feeds.frames import Block
from hftlab.settings import Settings
from hftlab_numba import engine
from hftlab_numba.session import CODES, Session, as_bytes
from hftlab_numba.state import Core

__version__ = "0.1.0"
name = "numba"
clock = "clock_gettime"


def event_layout() -> list[tuple[str, str, int]]:
    """The event record that the kernels are compiled for."""
    return list(EVENT_FIELDS)


def variants() -> dict[str, tuple[str, ...]]:
    """There is one way only."""
    return {}


def session(settings: Settings) -> Session:
    """Open a run."""
    return Session(settings)


def decode(data: Block) -> tuple[np.ndarray[Any, Any], int, tuple[str, int, int, int, int] | None]:
    """Events of every whole framed message in `data`, the bytes used, and the problem that stopped it."""
    raw = as_bytes(data)
    events = np.empty(len(raw) // 3 + 1, EVENT_DTYPE)  # the shortest frame has three bytes
    count, used, code, size, letter = engine.decode_all(raw, events)
    return events[:count].copy(), used, (CODES[code], used, count, size, letter) if code else None


def clock_cost(n: int) -> np.ndarray[Any, Any]:
    """n differences of back-to-back readings of the clock that stamps the stages, ns."""
    return engine.clock_cost(n)


__all__ = ["Core", "clock", "clock_cost", "decode", "event_layout", "name", "session", "variants"]
