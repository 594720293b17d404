"""The exercises of lesson 02, Reading the market."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from course.exercise import Step, exercise
from hftlab.engine.engine import synthetic
from hftlab.engine.history import BookHistory
from hftlab.events import Kind, Side
from hftlab.protocols.itch_messages import build

FIELDS = ("ts_ns", "order_id", "side", "qty", "symbol", "price")
#: The add that the exercise shows, and what it says.
SHOWN = build(
    "A", locate=13, tracking=2, ts=34_200_000_000_123, ref=4_294_967_301, side="S", shares=300, stock="AAPL", price=3_216_700
)
SAID = (34_200_000_000_123, 4_294_967_301, "S", 300, "AAPL", 3_216_700)


@exercise("02.1", "Decode an add by hand", minutes=10)
def decoded(answer: Callable[[bytes], Any]) -> Iterator[Step]:
    """answer(message): (ts_ns, order_id, side, qty, symbol, price) of an add order, 36 bytes without the length."""
    yield _each_field(answer(SHOWN), SAID, "the add shown above")
    for what, values in _hidden():
        ts, ref, side, shares, stock, price = values
        message = build("A", locate=1, ts=ts, ref=ref, side=side, shares=shares, stock=stock, price=price)
        yield _each_field(answer(message), values, what)


def _hidden() -> Iterator[tuple[str, tuple[int, int, str, int, str, int]]]:
    yield "one that is all small numbers", (1, 2, "B", 3, "A", 4)
    yield "a time just before midnight, which needs all six bytes", (86_399_999_999_999, 2**63 + 1, "S", 1, "ABCDEFGH", 1)
    yield "the highest price and the largest quantity", (2**47, 7, "B", 999_999, "ZZZ", 0x77359400)
    rng = random.Random(2)
    for number in range(50):
        side, stock = rng.choice("BS"), "".join(rng.choices("ABCXYZ", k=rng.randint(1, 8)))
        values = (
            rng.randrange(86_400 * 10**9),
            rng.randrange(2**64),
            side,
            rng.randrange(1, 10**6),
            stock,
            rng.randrange(1, 2**31),
        )
        yield f"hidden add number {number + 1}", values


def _each_field(got: Any, wanted: tuple[Any, ...], what: str) -> Step:
    """The first field that is wrong, with a hint where the mistake is a known one."""
    if not isinstance(got, tuple) or len(got) != len(wanted):
        return Step("correct", False, f"{what}: {got!r}, expected a tuple of six: {', '.join(FIELDS)}")
    for name, one, right in zip(FIELDS, got, wanted, strict=True):
        if type(one) is not type(right) or one != right:
            return Step("correct", False, f"{what}: {name} is {one!r}, expected {right!r}{_why(one, right)}")
    return Step("correct", True, f"{what}: every field")


def _why(got: Any, right: Any) -> str:
    if isinstance(got, bytes) and isinstance(right, str):
        return "; bytes are not text yet: .decode()"
    if isinstance(got, str) and isinstance(right, str) and got.strip() == right:
        return "; the wire pads a symbol with spaces"
    if isinstance(got, float) and isinstance(right, int):
        return "; a price stays an integer, here 1/10,000 of a dollar"
    if isinstance(got, int) and isinstance(right, int):
        for width in (4, 6, 8):
            if 0 <= right < 256**width and got == int.from_bytes(right.to_bytes(width, "big"), "little"):
                return "; the wire sends the most significant byte first: big-endian"
            if right >= 0 and got == right % 256**width and got != right:
                return f"; only its last {width} bytes were read"
    return ""


#: (kind, order id, new order id, side, price, qty): what exercise 02.2 is given, all of one instrument.
Change = tuple[int, int, int, int, int, int]
_ADD, _EXECUTE, _CANCEL, _DELETE, _REPLACE = Kind.ADD, Kind.EXECUTE, Kind.CANCEL, Kind.DELETE, Kind.REPLACE
_BID, _ASK = int(Side.BID), int(Side.ASK)
_START: list[Change] = [(_ADD, 1, 0, _BID, 100, 10), (_ADD, 2, 0, _BID, 100, 20), (_ADD, 3, 0, _BID, 100, 30)]
#: What happens then, and what stands before order 3 after it.
_CASES: list[tuple[str, list[Change], int | None]] = [
    ("three orders join one after the other", [], 30),
    ("an order of the other side at the same price", [(_ADD, 4, 0, _ASK, 100, 50)], 30),
    ("one at a better price, which is another queue", [(_ADD, 4, 0, _BID, 101, 50)], 30),
    ("one that joins behind", [(_ADD, 4, 0, _BID, 100, 50)], 30),
    ("the front is executed in part", [(_EXECUTE, 1, 0, 0, 0, 4)], 26),
    ("the front is executed whole", [(_EXECUTE, 1, 0, 0, 0, 10)], 20),
    ("an order ahead is deleted", [(_DELETE, 2, 0, 0, 0, 0)], 10),
    ("an order ahead is cancelled in part, and keeps its place", [(_CANCEL, 2, 0, 0, 0, 5)], 25),
    ("an order ahead is replaced, and goes to the back under a new id", [(_REPLACE, 1, 5, 0, 100, 10)], 20),
    ("an order behind is deleted", [(_ADD, 4, 0, _BID, 100, 50), (_DELETE, 4, 0, 0, 0, 0)], 30),
    ("our own order is cut, and keeps its place", [(_CANCEL, 3, 0, 0, 0, 29)], 30),
    ("our own order is gone", [(_DELETE, 3, 0, 0, 0, 0)], None),
]


@exercise("02.2", "What stands before an order", minutes=20)
def ahead(answer: Callable[[list[Change], int], Any]) -> Iterator[Step]:
    """answer(changes, order_id): shares before the order in its queue after all the changes, None if it is not live."""
    for what, more, wanted in _CASES:
        yield Step.expect("correct", answer([*_START, *more], 3), wanted, what)
    tape = BookHistory(synthetic("calm", 3_000, seed=22))
    changes: list[Change] = [
        (kind, order_id, new_order_id, side, price, qty)
        for _, order_id, new_order_id, price, qty, _, kind, side in tape.events.tolist()
    ]
    lives = tape.lifetimes()
    for index in range(500, 3_000, 125):
        live = lives.filter((lives["born"] <= index) & (lives["gone"].fill_null(10**9) > index))["order_id"].to_list()
        for order_id in live[:: max(1, len(live) // 4)]:
            place = tape.at(index).queue_position(order_id)
            what = f"order {order_id} after message {index} of a hidden feed"
            yield Step.expect("correct", answer(changes[: index + 1], order_id), place and place[1], what)
