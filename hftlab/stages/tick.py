"""TICK: wire bytes -> event. One ITCH message becomes one tuple, in the order of the event record's fields.

The commonest types come first in `decode`. A `Struct` reads all fields of a message in one call; `x` skips what is not needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from struct import Struct

from hftlab.events import Kind, Side
from hftlab.feeds.frames import Block, Problem, frame_problem, learn_name
from hftlab.protocols.itch_messages import SIZES

#: (ts_ns, order_id, new_order_id, price, qty, instrument, kind, side)
Event = tuple[int, int, int, int, int, int, int, int]

# Every message starts: type, locate u16, tracking u16, timestamp u48; the last two are read as one u64.
_HEAD = ">xHQ"
_TIME = 2**48 - 1
_head = Struct(_HEAD).unpack_from
_add = Struct(_HEAD + "QBI8xI").unpack_from
_delete = Struct(_HEAD + "Q").unpack_from
_reduce = Struct(_HEAD + "QI").unpack_from
_execute_at = Struct(_HEAD + "QI9xI").unpack_from
_replace = Struct(_HEAD + "QQII").unpack_from
_cross = Struct(_HEAD + "Q8xI").unpack_from
_status = Struct(_HEAD + "8xB").unpack_from

_SIDES = tuple({ord("B"): int(Side.BID), ord("S"): int(Side.ASK)}.get(code, int(Side.NONE)) for code in range(256))
_MAX_QTY = 2**32 - 1

_ADD, _EXECUTE, _CANCEL = int(Kind.ADD), int(Kind.EXECUTE), int(Kind.CANCEL)
_DELETE, _REPLACE, _TRADE, _STATUS = int(Kind.DELETE), int(Kind.REPLACE), int(Kind.TRADE), int(Kind.STATUS)


def decode(data: Block, at: int) -> Event:
    """Decode the message whose type byte stands at `data[at]`; its size has been checked."""
    letter = data[at]
    if letter == 65 or letter == 70:  # A, F: add
        locate, time, ref, side, qty, price = _add(data, at)
        return (time & _TIME, ref, 0, price, qty, locate, _ADD, _SIDES[side])
    if letter == 68:  # D: delete
        locate, time, ref = _delete(data, at)
        return (time & _TIME, ref, 0, 0, 0, locate, _DELETE, 0)
    if letter == 85:  # U: replace
        locate, time, ref, new_ref, qty, price = _replace(data, at)
        return (time & _TIME, ref, new_ref, price, qty, locate, _REPLACE, 0)
    if letter == 69:  # E: executed at the order's price
        locate, time, ref, qty = _reduce(data, at)
        return (time & _TIME, ref, 0, 0, qty, locate, _EXECUTE, 0)
    if letter == 88:  # X: partial cancel
        locate, time, ref, qty = _reduce(data, at)
        return (time & _TIME, ref, 0, 0, qty, locate, _CANCEL, 0)
    if letter == 80:  # P: trade against a hidden order
        locate, time, ref, side, qty, price = _add(data, at)
        return (time & _TIME, ref, 0, price, qty, locate, _TRADE, _SIDES[side])
    if letter == 67:  # C: executed at another price, which does not move the book
        locate, time, ref, qty, price = _execute_at(data, at)
        return (time & _TIME, ref, 0, price, qty, locate, _EXECUTE, 0)
    if letter == 81:  # Q: cross; 8 bytes of shares
        locate, time, shares, price = _cross(data, at)
        return (time & _TIME, 0, 0, price, min(shares, _MAX_QTY), locate, _TRADE, 0)
    if letter == 72:  # H: trading state
        locate, time, state = _status(data, at)
        return (time & _TIME, 0, 0, 0, state, locate, _STATUS, 0)
    locate, time = _head(data, at)
    return (time & _TIME, 0, 0, 0, 0, locate, 0, 0)


#: What an unknown message gives that is too short for the common header.
NO_EVENT: Event = (0, 0, 0, 0, 0, 0, 0, 0)
_HEAD_BYTES, _DIRECTORY = 11, ord("R")


class Tick:
    """Turns blocks of framed ITCH into events, one per message, and learns the names of the instruments.

    names   : 8-byte stock by locate, from the stock directory (R), or from the first add where R is missing
    unknown : how many messages of each unknown type were skipped, by type byte
    """

    def __init__(self, names: dict[int, bytes] | None = None, *, strict: bool = False) -> None:
        self.names = names if names is not None else {}
        self.unknown: Counter[int] = Counter()
        self.strict = strict
        self.used = 0
        self.problem: Problem | None = None

    def events(self, data: Block) -> Iterator[Event]:
        """Yield the event of each whole message in `data`; then .used bytes were read, and .problem says why it stopped early.

        `.used` counts a message once the caller has come back for the next one; which number a message has, the caller knows.
        """
        at, end, names = 0, len(data), self.names
        self.used, self.problem = 0, None
        while at + 2 < end:
            size, letter = data[at] << 8 | data[at + 1], data[at + 2]
            known = size == SIZES[letter]
            if not known and (code := frame_problem(size, letter)):
                self.problem = Problem(code, at, 0, size, letter)
                return
            message, behind = at + 2, at + 2 + size
            if behind > end:
                return
            if known:
                event = decode(data, message)
                if event[5] not in names or letter == _DIRECTORY:
                    learn_name(names, data, message)
            elif self.strict:
                self.problem = Problem("unknown_type", at, 0, size, letter)
                return
            else:
                self.unknown[letter] += 1
                event = decode(data, message) if size >= _HEAD_BYTES else NO_EVENT
            yield event
            at = self.used = behind
