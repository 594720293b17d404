"""ORDER: decide, check the risk, encode an OUCH 5.0 Enter Order. Limits are compared in 128-bit integers where 64 are too few."""

from __future__ import annotations

import numpy as np

from hftlab.protocols.ouch_fields import HIGHEST_LIMIT
from hftlab_numba.jit import inner
from hftlab_numba.state import ACCEPTED, OUCH_BYTES, RECENT, SENT

_BID, _ASK = 1, 2
_KILL, _QTY, _NOTIONAL, _COLLAR, _POSITION, _RATE = range(1, 7)
_OUCH_SCALE = 10_000
_SECOND_NS = np.uint64(1_000_000_000)
_TRADING = ord("T")
_CHOICES = np.frombuffer(b"3YPNN", np.uint8)
_LOW = np.uint64(2**32 - 1)
_HALF = np.uint64(32)


@inner
def _size(a):
    """abs(a) without a sign bit."""
    return np.uint64(a) if a >= 0 else np.uint64(0) - np.uint64(a)


@inner
def _product(a, b):
    """High and low 64 bits of a * b."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = a1 * b0 + (a0 * b0 >> _HALF)
    other = a0 * b1 + (middle & _LOW)
    return a1 * b1 + (middle >> _HALF) + (other >> _HALF), a * b


@inner
def _exceeds(a, b, c, d):
    """a * b > c * d, exactly."""
    high, low = _product(a, b)
    other_high, other_low = _product(c, d)
    return high > other_high or (high == other_high and low > other_low)


@inner
def _twice_mid(pb, pa):
    """abs(pb + pa)."""
    b, a = _size(pb), _size(pa)
    if (pb < 0) == (pa < 0):
        return b + a
    return b - a if b > a else a - b


@inner
def ouch_price(price, side, scale):
    """Price in 1/10,000, rounded so that the order reaches its quote; 0 or too high where OUCH has none."""
    if price <= 0:
        return np.int64(0)
    whole, rest = price // scale, (price % scale) * _OUCH_SCALE
    if whole > HIGHEST_LIMIT:
        return np.int64(HIGHEST_LIMIT + 1)
    return whole * _OUCH_SCALE + (rest + (scale - 1 if side == _BID else 0)) // scale


@inner
def _refuses(c, r, ts_ns, price, limit, pb, pa, position):
    """The first limit that the order breaks, 0 if none."""
    if r.kill:
        return _KILL
    if r.lot > r.max_order_qty:
        return _QTY
    if _exceeds(np.uint64(r.lot), _size(price), np.uint64(r.max_notional), np.uint64(r.price_scale)):
        return _NOTIONAL
    apart = np.uint64(pa) - np.uint64(pb) if pa >= pb else np.uint64(pb) - np.uint64(pa)
    too_far = _exceeds(apart, np.uint64(10_000), np.uint64(r.collar_bps), _twice_mid(pb, pa))
    if too_far or limit <= 0 or limit > HIGHEST_LIMIT:
        return _COLLAR
    if abs(position) > r.position_limit:
        return _POSITION
    oldest = c.recent[c.tally[RECENT]]
    if c.tally[SENT] == r.rate and (ts_ns < oldest or ts_ns - oldest < _SECOND_NS):
        return _RATE
    return 0


@inner
def _remember(c, r, ts_ns):
    t = c.tally
    if t[SENT] < r.rate:
        c.recent[t[SENT]] = ts_ns
        t[SENT] += 1
    else:
        c.recent[t[RECENT]] = ts_ns
        t[RECENT] = (t[RECENT] + 1) % r.rate


@inner
def _put(stream, at, value, width):
    for i in range(width):
        stream[at + i] = np.uint8((value >> (8 * (width - 1 - i))) & 255)


@inner
def _encode(c, r, number, side, instrument, limit):
    at, stream = (number - 1) * OUCH_BYTES, c.stream
    stream[at] = ord("O")
    _put(stream, at + 1, number, 4)
    stream[at + 5] = ord("B") if side == _BID else ord("S")
    _put(stream, at + 6, r.lot, 4)
    for i in range(8):
        stream[at + 10 + i] = c.names[instrument, i] if c.named[instrument] else 32
    _put(stream, at + 18, limit, 8)
    for i in range(5):
        stream[at + 26 + i] = _CHOICES[i]
    stream[at + 31], stream[at + 32] = ord("H"), ord("L")
    rest = number
    for i in range(11, -1, -1):
        stream[at + 33 + i] = np.uint8(48 + rest % 10)
        rest //= 10
    stream[at + 45] = stream[at + 46] = 0


@inner
def _attempt(c, r, index, ts_ns, instrument, score):
    top = c.tops[instrument]
    side, price = (_BID, top[2]) if score > 0.0 else (_ASK, top[0])
    limit = ouch_price(price, side, r.price_scale)
    position = c.position[instrument] + (r.lot if side == _BID else -r.lot)
    refused = _refuses(c, r, ts_ns, price, limit, top[0], top[2], position)
    if refused:
        c.rejects[refused - 1] += 1
        return
    c.position[instrument] = position
    _remember(c, r, ts_ns)
    c.tally[ACCEPTED] += 1
    number = c.tally[ACCEPTED]
    _encode(c, r, number, side, instrument, limit)
    order = c.accepted[number - 1]
    order.index, order.ts_ns, order.instrument, order.side = index, ts_ns, instrument, side
    order.qty, order.price, order.score = r.lot, price, score
    order.position, order.user_ref_num = position, number


@inner
def update(c, r, index, ts_ns, instrument):
    """Act, or not, on one applied event of an instrument."""
    if c.wait[instrument]:
        c.wait[instrument] -= 1
        if c.wait[instrument]:
            return
    score = c.values[instrument, 8]
    if -r.threshold <= score and score <= r.threshold:
        return
    if c.halted[instrument] or not c.tops[instrument, 1] or not c.tops[instrument, 3]:
        return
    c.wait[instrument] = r.cooldown  # an attempt counts, whatever risk says
    _attempt(c, r, index, ts_ns, instrument, score)


@inner
def status(c, instrument, code):
    """The trading state of an instrument changed; only T is trading."""
    c.halted[instrument] = code != _TRADING
