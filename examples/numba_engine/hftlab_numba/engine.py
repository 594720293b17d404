"""THE MAIN PATH, in Numba: for each message -> tick, book, signal, order."""

from __future__ import annotations

import math
import time

import numpy as np
from numba import types

from hftlab_numba import book, order, signal, tick
from hftlab_numba.jit import inner, kernel
from hftlab_numba.state import ARENA, FIRST_FAULTS, KEPT, LARGEST, MESSAGES, ROWS, STAMPS

_STATUS = 7
_OFF, _TOTAL, _STAGES = range(3)
_MONOTONIC = time.CLOCK_MONOTONIC
_clock_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.voidptr))


@inner
def _now(c):
    """Nanoseconds of the system's monotonic clock."""
    _clock_gettime(_MONOTONIC, c.now.ctypes)
    return c.now[0] * 1_000_000_000 + c.now[1]


@kernel
def run(c, r, data, events, at, most):
    """Run at most so many whole messages of `data`, or records of `events` where `data` is empty, from `at` on.

    Returns where it stopped, what the book said of the last message, and the code, size and type byte of a problem. It stops
    before the end, without a problem, where a side of the book might find no room to grow.
    """
    wire, n, applied = len(data) > 0, 0, 0
    size, letter = np.int64(0), np.int64(0)
    while n < most and len(c.keys) - c.tally[ARENA] > 2 * c.tally[LARGEST] + 8:
        t0 = _now(c) if r.timed else 0
        if wire:  # TICK
            if at + 2 >= len(data):
                break
            size, letter = np.int64(data[at]) << 8 | np.int64(data[at + 1]), np.int64(data[at + 2])
            code = tick.frame_problem(size, letter)
            if code:
                return at, applied, code, size, letter
            if at + 2 + size > len(data):
                break
            if not tick.is_known(letter):
                if r.strict:
                    return at, applied, tick.UNKNOWN_TYPE, size, letter
                c.unknown[letter] += 1
            event = tick.decode(data, at + 2, size)
            tick.learn(data, at + 2, letter, event[5], c.names, c.named)
        else:
            event = _read(events, at)
        applied = _step(c, r, event, t0)
        if applied < 0 and r.strict:
            return at, applied, tick.FAULT, np.int64(-applied), np.int64(0)
        at += size + 2 if wire else 1
        n += 1
    return at, applied, tick.FINE, size, letter


@inner
def _read(events, at):
    e = events[at]
    instrument, kind, side = np.int64(e.instrument), np.int64(e.kind), np.int64(e.side)
    return e.ts_ns, e.order_id, e.new_order_id, e.price, np.int64(e.qty), instrument, kind, side


@inner
def _step(c, r, event, t0):
    """One event through book, signal and order: the side acted on, 0, or minus the fault."""
    ts_ns, order_id, new_order_id, price, qty, instrument, kind, side = event
    index, applied, e = c.tally[MESSAGES], np.int64(0), np.int64(0)
    changed = False
    c.counts[kind] += 1
    t1 = _now(c) if r.timed == _STAGES else t0
    if r.until >= 1:  # BOOK
        applied = np.int64(book.apply(c, kind, instrument, side, order_id, new_order_id, price, qty))
        if applied > 0:
            e, changed = _touch(c, instrument)
        elif applied < 0:
            _refuse(c, index, event, -applied)
            if r.strict:
                return applied
    t2 = _now(c) if r.timed == _STAGES else t1
    if r.until >= 2 and applied > 0:  # SIGNAL
        signal.update(c, r, instrument, kind, qty, applied, e)
    t3 = _now(c) if r.timed == _STAGES else t2
    if r.until >= 3:  # ORDER
        if applied > 0 and instrument:
            order.update(c, r, index, ts_ns, instrument)
        elif kind == _STATUS:
            order.status(c, instrument, qty)
    if r.timed:
        _stamp(c, t0, t1, t2, t3, _now(c))
    if r.recorded == 2 or (r.recorded == 1 and instrument and changed):
        _record(c, index, ts_ns, instrument)
    c.tally[MESSAGES] += 1
    return applied


@inner
def _touch(c, instrument):
    """Bring the best prices up to date: the order flow imbalance of the change, and whether there was one."""
    top = c.tops[instrument]
    pb0, qb0, pa0, qa0 = top[0], top[1], top[2], top[3]
    pb, qb = book.best(c, 2 * instrument)
    pa, qa = book.best(c, 2 * instrument + 1)
    top[0], top[1], top[2], top[3] = pb, qb, pa, qa
    changed = pb != pb0 or qb != qb0 or pa != pa0 or qa != qa0
    return signal.order_flow_imbalance(pb0, qb0, pa0, qa0, pb, qb, pa, qa), changed


@inner
def _refuse(c, index, event, reason):
    c.faults[reason] += 1
    kept = c.tally[KEPT]
    if kept < FIRST_FAULTS:
        c.fault_index[kept], c.fault_reason[kept] = index, reason
        record = c.fault_events[kept]
        record.ts_ns, record.order_id, record.new_order_id, record.price = event[0], event[1], event[2], event[3]
        record.qty, record.instrument, record.kind, record.side = event[4], event[5], event[6], event[7]
        c.tally[KEPT] += 1


@inner
def _stamp(c, t0, t1, t2, t3, t4):
    stamps = c.stamps[c.tally[STAMPS]]
    stamps[0], stamps[1], stamps[2], stamps[3], stamps[4] = t1 - t0, t2 - t1, t3 - t2, t4 - t3, t4 - t0
    c.tally[STAMPS] += 1


@inner
def _record(c, index, ts_ns, instrument):
    """The row of one message; one that names no instrument has no book, one without signals NaN and zeros."""
    row = c.rows[c.tally[ROWS]]
    c.tally[ROWS] += 1
    row.index, row.ts_ns, row.instrument = index, ts_ns, instrument
    top, values = c.tops[instrument], c.values[instrument]
    if instrument:
        row.bid_price, row.bid_qty, row.ask_price, row.ask_qty = top[0], top[1], top[2], top[3]
    else:
        row.bid_price = row.bid_qty = row.ask_price = row.ask_qty = 0
    if instrument and c.seen[instrument]:
        row.mid, row.spread, row.microprice, row.imbalance = values[0], values[1], values[2], values[3]
        row.depth_imbalance, row.ofi, row.flow = values[4], values[5], values[6]
        row.volatility, row.score = values[7], values[8]
    else:
        row.mid = row.spread = row.microprice = row.imbalance = row.depth_imbalance = math.nan
        row.ofi = row.flow = row.volatility = row.score = 0.0


@kernel
def decode_all(data, events):
    """Decode whole messages into `events`: how many, the bytes used, and the code, size and type byte of a problem."""
    at = n = 0
    while at + 2 < len(data):
        size, letter = np.int64(data[at]) << 8 | np.int64(data[at + 1]), np.int64(data[at + 2])
        code = tick.frame_problem(size, letter)
        if code:
            return n, at, code, size, letter
        if at + 2 + size > len(data):
            break
        e = events[n]
        ts_ns, order_id, new_order_id, price, qty, instrument, kind, side = tick.decode(data, at + 2, size)
        e.ts_ns, e.order_id, e.new_order_id, e.price = ts_ns, order_id, new_order_id, price
        e.qty, e.instrument, e.kind, e.side = qty, instrument, kind, side
        at += size + 2
        n += 1
    return n, at, 0, np.int64(0), np.int64(0)


@kernel
def clock_readings(now, out):
    """Back-to-back readings of the clock."""
    for i in range(len(out)):
        _clock_gettime(_MONOTONIC, now.ctypes)
        out[i] = now[0] * 1_000_000_000 + now[1]


def clock_cost(n):
    """n differences of back-to-back readings, ns."""
    readings = np.zeros(n + 1, np.int64)
    clock_readings(np.zeros(2, np.int64), readings)
    return np.diff(readings).astype(np.float64)
