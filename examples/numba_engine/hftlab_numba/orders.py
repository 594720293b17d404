"""Orders by id: an open-addressed table from any 64-bit id to the slot of its order, never more than half full."""

from __future__ import annotations

import numpy as np

from hftlab_numba.jit import inner, kernel

# Odd, and its bits are those of the golden ratio: neighbouring ids land far from each other (Knuth).
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@inner
def _home(table, order_id):
    """Where an id belongs in the table."""
    return np.int64((order_id * _SPREAD) >> np.uint64(32)) & (len(table) - 1)


@inner
def find(c, order_id):
    """The place of an id in the table, -1 if it is not live."""
    mask = len(c.table) - 1
    at = _home(c.table, order_id)
    while c.table[at]:
        if c.ids[c.table[at] - 1] == order_id:
            return at
        at = (at + 1) & mask
    return np.int64(-1)


@inner
def enter(table, order_id, slot):
    """Enter an id that is not there."""
    mask = len(table) - 1
    at = _home(table, order_id)
    while table[at]:
        at = (at + 1) & mask
    table[at] = slot + 1


@inner
def leave(c, at):
    """Empty a place of the table and move back what has come to stand behind it."""
    mask = len(c.table) - 1
    gap = at
    at = (at + 1) & mask
    while c.table[at]:
        home = _home(c.table, c.ids[c.table[at] - 1])
        if ((at - home) & mask) >= ((at - gap) & mask):
            c.table[gap] = c.table[at]
            gap = at
        at = (at + 1) & mask
    c.table[gap] = 0


@kernel
def rehash(old, table, ids):
    """Enter all live orders of one table into a larger one."""
    for at in range(len(old)):
        if old[at]:
            enter(table, ids[old[at] - 1], old[at] - 1)


@kernel
def locate(c, order_id):
    """The slot of a live order, -1 if it is not live."""
    at = find(c, order_id)
    return c.table[at] - 1 if at >= 0 else np.int64(-1)
