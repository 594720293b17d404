"""TICK: wire bytes -> event, as eight numbers in the order of the event record."""

from __future__ import annotations

import numpy as np

from hftlab.feeds.frames import LONGEST_UNKNOWN
from hftlab.protocols.itch_messages import SIZES
from hftlab_numba.jit import inner

#: Why a block stopped; the places of `session.CODES`.
FINE, ZERO_LENGTH, BAD_LENGTH, UNKNOWN_TYPE, FAULT = range(5)

_SIZES = np.array(SIZES, np.int64)
_MOST = 2**32 - 1
_HEAD_BYTES = 11
_A, _C, _D, _E, _F, _H, _P, _Q, _R, _U, _X = (ord(letter) for letter in "ACDEFHPQRUX")
_ADD, _EXECUTE, _CANCEL, _DELETE, _REPLACE, _TRADE, _STATUS = range(1, 8)


@inner
def be32(data, at):
    """Four bytes as an unsigned number; 64 bits wide, as all that follow."""
    high = np.uint64(data[at]) << np.uint64(24) | np.uint64(data[at + 1]) << np.uint64(16)
    return high | np.uint64(data[at + 2]) << np.uint64(8) | np.uint64(data[at + 3])


@inner
def be64(data, at):
    return be32(data, at) << np.uint64(32) | be32(data, at + 4)


@inner
def _side(data, at):
    letter = data[at]
    return 1 if letter == 66 else 2 if letter == 83 else 0


@inner
def frame_problem(size, letter):
    """What is wrong with a frame, FINE if it can be read or skipped."""
    known = _SIZES[letter]
    if size == known:
        return FINE
    if size == 0:
        return ZERO_LENGTH
    if known >= 0 or size > LONGEST_UNKNOWN:
        return BAD_LENGTH
    return FINE


@inner
def is_known(letter):
    return _SIZES[letter] > 0


@inner
def decode(data, at, size):
    """Decode the message of `size` bytes whose type byte stands at `data[at]`."""
    zero = np.uint64(0)
    if size < _HEAD_BYTES:
        return zero, zero, zero, np.int64(0), np.int64(0), np.int64(0), 0, 0
    letter = data[at]
    locate = np.int64(data[at + 1]) << 8 | np.int64(data[at + 2])
    ts_ns = (np.uint64(data[at + 5]) << np.uint64(8) | np.uint64(data[at + 6])) << np.uint64(32) | be32(data, at + 7)
    order_id = new_id = zero
    price = qty = np.int64(0)
    kind = side = 0
    if letter == _A or letter == _F or letter == _P:
        kind = _TRADE if letter == _P else _ADD
        order_id, side = be64(data, at + 11), _side(data, at + 19)
        qty, price = np.int64(be32(data, at + 20)), np.int64(be32(data, at + 32))
    elif letter == _D:
        kind, order_id = _DELETE, be64(data, at + 11)
    elif letter == _U:
        kind, order_id, new_id = _REPLACE, be64(data, at + 11), be64(data, at + 19)
        qty, price = np.int64(be32(data, at + 27)), np.int64(be32(data, at + 31))
    elif letter == _E or letter == _X or letter == _C:
        kind, order_id = _CANCEL if letter == _X else _EXECUTE, be64(data, at + 11)
        qty = np.int64(be32(data, at + 19))
        if letter == _C:
            price = np.int64(be32(data, at + 32))
    elif letter == _Q:
        kind, price = _TRADE, np.int64(be32(data, at + 27))
        qty = np.int64(_MOST) if be32(data, at + 11) else np.int64(be32(data, at + 15))
    elif letter == _H:
        kind, qty = _STATUS, np.int64(data[at + 19])
    return ts_ns, order_id, new_id, price, qty, locate, kind, side


@inner
def learn(data, at, letter, instrument, names, named):
    """Keep the stock of a directory message, or of the first add of an instrument without a name."""
    if letter == _R or ((letter == _A or letter == _F) and not named[instrument]):
        stock = at + (11 if letter == _R else 24)
        named[instrument] = 0  # eight NUL bytes are no name
        for i in range(8):
            names[instrument, i] = data[stock + i]
            if data[stock + i]:
                named[instrument] = 1
