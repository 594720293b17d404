"""BOOK: orders by id (orders.py), queues as linked lists, each side a sorted stretch of one arena.

No price is lost, however far it is from the others: a side holds the keys it has and nothing for those between them.
"""

from __future__ import annotations

import numpy as np

from hftlab.events import Fault
from hftlab_numba.jit import inner
from hftlab_numba.orders import enter, find, leave
from hftlab_numba.state import ARENA, FREE_LEVEL, FREE_LEVELS, FREE_ORDER, FREE_ORDERS, LARGEST, LIVE, NEW_LEVEL, NEW_ORDER

_ADD, _EXECUTE, _CANCEL, _DELETE, _REPLACE, _CLEAR = 1, 2, 3, 4, 5, 8
_BID, _ASK, _BOTH = 1, 2, 3
_BAD_SIDE, _ZERO_QTY, _ZERO_PRICE = -int(Fault.BAD_SIDE), -int(Fault.ZERO_QTY), -int(Fault.ZERO_PRICE)
_DUPLICATE, _UNKNOWN = -int(Fault.DUPLICATE_ORDER), -int(Fault.UNKNOWN_ORDER)
_WRONG_INSTRUMENT, _EXCESS = -int(Fault.WRONG_INSTRUMENT), -int(Fault.EXCESS_QTY)

_SMALLEST_ROOM = 8


@inner
def search(c, half, key):
    """How many keys of a side are smaller. Most of what happens, happens near the best, so the walk begins there."""
    start, n = c.start[half], np.int64(c.length[half])
    for back in range(min(n, 4)):
        if c.keys[start + n - 1 - back] < key:
            return n - back
    low, high = np.int64(0), max(n - 4, 0)
    while low < high:
        middle = (low + high) >> 1
        if c.keys[start + middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def _make_room(c, half):
    """Move a full side to the end of the arena, with twice the room. The caller has seen that it fits."""
    t, start, n = c.tally, c.start[half], c.length[half]
    room = max(2 * c.room[half], _SMALLEST_ROOM)
    for i in range(n):
        c.keys[t[ARENA] + i] = c.keys[start + i]
        c.places[t[ARENA] + i] = c.places[start + i]
    c.start[half], c.room[half] = t[ARENA], room
    t[ARENA] += room
    t[LARGEST] = max(t[LARGEST], room)


@inner
def _open(c, half, key, price, at):
    """A new, empty level as the at-th of its side."""
    t = c.tally
    level = t[FREE_LEVEL]
    if level >= 0:
        t[FREE_LEVEL] = c.front[level]
        t[FREE_LEVELS] -= 1
    else:
        level = t[NEW_LEVEL]
        t[NEW_LEVEL] += 1
    c.half[level], c.price[level], c.total[level], c.orders[level] = half, price, 0, 0
    c.front[level] = c.back[level] = -1
    if c.length[half] == c.room[half]:
        _make_room(c, half)
    start = c.start[half]
    for i in range(start + c.length[half], start + at, -1):
        c.keys[i], c.places[i] = c.keys[i - 1], c.places[i - 1]
    c.keys[start + at], c.places[start + at] = key, level
    c.length[half] += 1
    return level


@inner
def _free_level(c, level):
    t = c.tally
    c.front[level] = t[FREE_LEVEL]
    t[FREE_LEVEL] = level
    t[FREE_LEVELS] += 1


@inner
def _close(c, level):
    """Drop a level that has become empty."""
    half = c.half[level]
    at = c.start[half] + search(c, half, c.price[level] if half % 2 == 0 else -c.price[level])
    c.length[half] -= 1
    for i in range(at, c.start[half] + c.length[half]):
        c.keys[i], c.places[i] = c.keys[i + 1], c.places[i + 1]
    _free_level(c, level)


@inner
def _insert(c, half, order_id, price, qty):
    key = price if half % 2 == 0 else -price
    at = search(c, half, key)
    if at < c.length[half] and c.keys[c.start[half] + at] == key:
        level = np.int64(c.places[c.start[half] + at])
    else:
        level = _open(c, half, key, price, at)
    t = c.tally
    slot = t[FREE_ORDER]
    if slot >= 0:
        t[FREE_ORDER] = c.after[slot]
        t[FREE_ORDERS] -= 1
    else:
        slot = t[NEW_ORDER]
        t[NEW_ORDER] += 1
    c.ids[slot], c.left[slot], c.level[slot] = order_id, qty, level
    last = c.back[level]
    c.before[slot], c.after[slot], c.back[level] = last, -1, slot
    if last >= 0:
        c.after[last] = slot
    else:
        c.front[level] = slot
    c.total[level] += qty
    c.orders[level] += 1
    enter(c.table, order_id, slot)
    t[LIVE] += 1


@inner
def _free_order(c, at):
    """Take the order at a place of the table out of it."""
    t, slot = c.tally, c.table[at] - 1
    leave(c, at)
    c.after[slot] = t[FREE_ORDER]
    t[FREE_ORDER] = slot
    t[FREE_ORDERS] += 1
    t[LIVE] -= 1


@inner
def _remove(c, at):
    """Take the order at a place of the table out of its queue, and the level away with its last order."""
    slot = c.table[at] - 1
    level, before, after = c.level[slot], c.before[slot], c.after[slot]
    if before >= 0:
        c.after[before] = after
    else:
        c.front[level] = after
    if after >= 0:
        c.before[after] = before
    else:
        c.back[level] = before
    c.total[level] -= c.left[slot]
    c.orders[level] -= 1
    _free_order(c, at)
    if c.orders[level] == 0:
        _close(c, level)


@inner
def _clear(c, instrument):
    for half in (2 * instrument, 2 * instrument + 1):
        for i in range(c.start[half], c.start[half] + c.length[half]):
            level = c.places[i]
            slot = c.front[level]
            while slot >= 0:
                after = c.after[slot]
                _free_order(c, find(c, c.ids[slot]))
                slot = after
            _free_level(c, level)
        c.length[half] = 0
    return _BOTH


@inner
def _add(c, instrument, side, order_id, price, qty):
    if side != _BID and side != _ASK:
        return _BAD_SIDE
    if qty == 0:
        return _ZERO_QTY
    if price == 0:
        return _ZERO_PRICE
    if find(c, order_id) >= 0:
        return _DUPLICATE
    _insert(c, 2 * instrument + side - 1, order_id, price, qty)
    return side


@inner
def _replace(c, at, half, order_id, new_order_id, price, qty):
    if price == 0:
        return _ZERO_PRICE
    if new_order_id != order_id and find(c, new_order_id) >= 0:
        return _DUPLICATE
    _remove(c, at)
    _insert(c, half, new_order_id, price, qty)
    return half % 2 + 1


@inner
def apply(c, kind, instrument, side, order_id, new_order_id, price, qty):
    """Apply one event: the side it acted on, 0 if this kind never changes a book, or minus its fault, having changed nothing."""
    if kind == _ADD:
        return _add(c, instrument, side, order_id, price, qty)
    if kind == _CLEAR:
        return _clear(c, instrument)
    if kind != _DELETE and kind != _EXECUTE and kind != _CANCEL and kind != _REPLACE:
        return 0
    at = find(c, order_id)
    if at < 0:
        return _UNKNOWN
    slot = c.table[at] - 1
    level = c.level[slot]
    half = np.int64(c.half[level])
    if half // 2 != instrument:
        return _WRONG_INSTRUMENT
    if kind == _DELETE:
        _remove(c, at)
        return half % 2 + 1
    if qty == 0:
        return _ZERO_QTY
    if kind == _REPLACE:
        return _replace(c, at, half, order_id, new_order_id, price, qty)
    if qty > c.left[slot]:
        return _EXCESS
    if qty == c.left[slot]:
        _remove(c, at)
    else:
        c.left[slot] -= qty
        c.total[level] -= qty
    return half % 2 + 1


@inner
def depth_qty(c, instrument, side, n):
    """Total quantity of the best n levels of one side."""
    half = 2 * instrument + side - 1
    end, total = c.start[half] + c.length[half], np.int64(0)
    for i in range(max(c.start[half], end - n), end):
        total += c.total[c.places[i]]
    return total


@inner
def best(c, half):
    """Price and quantity of the best level of a side; zeros if it is empty."""
    if c.length[half] == 0:
        return np.int64(0), np.int64(0)
    level = c.places[c.start[half] + c.length[half] - 1]
    return c.price[level], c.total[level]
