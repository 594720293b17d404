"""Where an order goes and how large it is: pure arithmetic on one symbol and some random bits."""

from __future__ import annotations

from hftlab.feeds.generate.instrument import Instrument
from hftlab.feeds.generate.random import OCTAVE, octave_number

BID, ASK = 0, 1


def drift(instrument: Instrument, up: int) -> None:
    """Move the fair price one step, unless the touch is already more than a step behind it."""
    fair, step = instrument.fair, instrument.step
    bids, asks = instrument.book.keys
    if up:
        if fair + step <= instrument.bounds[1] and asks and -asks[-1] >= fair - step:
            instrument.fair = fair + step
    elif fair - step >= instrument.bounds[0] and bids and bids[-1] < fair + step:
        instrument.fair = fair - step


def stale(instrument: Instrument) -> int:
    """The side whose best price the fair price has left behind; -1 if neither."""
    bids, asks = instrument.book.keys
    if asks and -asks[-1] < instrument.fair:
        return ASK
    if bids and bids[-1] >= instrument.fair:
        return BID
    return -1


def key(instrument: Instrument, side: int, bits: int) -> int:
    """A price key: some octaves behind the fair price, and behind the best of the other side."""
    base = instrument.fair - instrument.half if side == BID else 1 - instrument.fair - instrument.half
    opposite = instrument.book.keys[1 - side]
    if opposite and base >= -opposite[-1]:
        base = -opposite[-1] - 1
    octave = OCTAVE[bits >> 1 & 0xFFF]
    if octave > instrument.reach:
        octave = instrument.reach
    scale = instrument.scale
    key = base - octave_number(octave, bits >> 13) * scale - ((bits >> 26 & 0xFF) * scale >> 8)
    lowest = instrument.lowest[side]
    return key if key > lowest else lowest


def shares(instrument: Instrument, bits: int) -> int:
    """Of 16: 8 one lot, 3 odd lots, 3 two to nine lots, 2 a power of two with a heavy tail."""
    kind, size = bits >> 34 & 15, bits >> 38 & 0xFFF
    if kind < 8:
        return instrument.lot
    if kind < 11:
        return 1 + (size * (instrument.odd - 1) >> 12)
    if kind < 14:
        return instrument.lot * (2 + (size & 7))
    return instrument.lot << min(1 + OCTAVE[size], 8)


def part(instrument: Instrument, qty: int, bits: int) -> int:
    """Some of `qty` > 1 shares, never all; whole lots where there are more than one."""
    lot = instrument.odd
    if qty > lot:
        return lot * (1 + ((bits & 0xFFFF) * ((qty - 1) // lot) >> 16))
    return 1 + ((bits & 0xFFFF) * (qty - 1) >> 16)


def middle(instrument: Instrument) -> int:
    """Half way between the best prices, in 1e-4 dollars, rounded down: where hidden orders trade."""
    bids, asks = instrument.book.keys
    return (bids[-1] - asks[-1]) * instrument.tick >> 1
