"""ITCH 5.0 messages as framed bytes, and those that frame the market: system events, directory, trading actions, Reg SHO.

A packer takes length, type, locate, stamp, then the body in order.

A stamp is tracking number << 48 | nanoseconds since midnight: two neighbours in the header as one word.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from hftlab.feeds.generate.instrument import Instrument

SYSTEM = Struct(">HcHQc").pack
DIRECTORY = Struct(">HcHQ8sccIcc2scccccIc").pack
ACTION = Struct(">HcHQ8scc4s").pack
REG_SHO = Struct(">HcHQ8sc").pack
ADD = Struct(">HcHQQcI8sI").pack
ADD_MPID = Struct(">HcHQQcI8sI4s").pack
EXECUTE = Struct(">HcHQQIQ").pack
EXECUTE_AT = Struct(">HcHQQIQcI").pack
CANCEL = Struct(">HcHQQI").pack
DELETE = Struct(">HcHQQ").pack
REPLACE = Struct(">HcHQQQII").pack
TRADE = Struct(">HcHQQcI8sIQ").pack

#: Bytes of the longest message the generator writes, frame included.
LONGEST = 46

SIDE = (b"B", b"S")

HOUR = 3_600_000_000_000
MINUTE = 60_000_000_000
START_OF_MESSAGES = 3 * HOUR
START_OF_SYSTEM = 4 * HOUR
OPEN = 9 * HOUR + 30 * MINUTE
CLOSE = 16 * HOUR
END_OF_SYSTEM = 20 * HOUR
END_OF_MESSAGES = 20 * HOUR + 5 * MINUTE

#: Messages of one symbol before the open (R, H, Y) and of the whole day (O, S, Q, M, E, C).
PER_SYMBOL, PER_DAY = 3, 6
CATEGORIES = (b"Q", b"G", b"S", b"N", b"A", b"P", b"Q", b"N")


def least_messages(symbols: int) -> int:
    """The shortest feed: a day without a market."""
    return PER_DAY + PER_SYMBOL * symbols


def opening(instruments: list[Instrument]) -> Iterator[bytes]:
    """Messages from the start of the day to the open, a microsecond apart."""
    now = START_OF_MESSAGES
    yield _system(now, b"O")
    for write in (_directory, _action, _reg_sho):
        for instrument in instruments:
            now += 1_000
            yield write(instrument, now)
    yield _system(START_OF_SYSTEM, b"S")
    yield _system(OPEN, b"Q")


def closing() -> Iterator[bytes]:
    """Messages from the close to the end of the day."""
    yield _system(CLOSE, b"M")
    yield _system(END_OF_SYSTEM, b"E")
    yield _system(END_OF_MESSAGES, b"C")


def _system(now: int, code: bytes) -> bytes:
    return SYSTEM(12, b"S", 0, now, code)


def _directory(instrument: Instrument, now: int) -> bytes:
    fund = instrument.locate % 8 == 0
    category, issue, kind, etp = (b"P", b"Q", b"E ", b"Y") if fund else (CATEGORIES[instrument.locate & 7], b"C", b"Z ", b"N")
    status = b"D" if instrument.tick == 1 else b"N"
    tier = b"1" if instrument.rank < 500 else b"2"
    stock = (39, b"R", instrument.locate, now, instrument.stock, category, status, instrument.odd, b"N", issue, kind)
    return DIRECTORY(*stock, b"P", b"N", b"N", tier, etp, int(fund), b"N")


def _action(instrument: Instrument, now: int) -> bytes:
    return ACTION(25, b"H", instrument.locate, now, instrument.stock, b"T", b" ", b"    ")


def _reg_sho(instrument: Instrument, now: int) -> bytes:
    """One symbol in 64 is still restricted from the day before."""
    return REG_SHO(20, b"Y", instrument.locate, now, instrument.stock, b"2" if instrument.locate % 64 == 63 else b"0")
