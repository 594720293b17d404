"""Do the checks of lesson 06 pass what is right, and say of what is wrong why?"""

from typing import Any

import polars as pl
import pytest
from course import check


class Ladder:
    def __init__(self, base: int, tick: int, slots: int) -> None:
        self.base, self.tick, self.slots, self.bits = base, tick, slots, 0

    def slot(self, price: int) -> int | None:
        slot, rest = divmod(price - self.base, self.tick)
        return slot if rest == 0 and 0 <= slot < self.slots else None

    def put(self, price: int) -> bool:
        slot = self.slot(price)
        if slot is None:
            return False
        self.bits |= 1 << slot
        return True

    def drop(self, price: int) -> None:
        slot = self.slot(price)
        assert slot is not None
        self.bits &= ~(1 << slot)

    def best(self) -> int | None:
        return self.base + self.tick * ((self.bits & -self.bits).bit_length() - 1) if self.bits else None


class Searching(Ladder):
    def best(self) -> int | None:
        slots = (slot for slot in range(self.slots) if self.bits >> slot & 1)
        return next((self.base + self.tick * slot for slot in slots), None)


class Minimum(Ladder):
    def __init__(self, *window: int) -> None:
        super().__init__(*window)
        self.there: set[int] = set()

    def put(self, price: int) -> bool:
        if self.slot(price) is None:
            return False
        self.there.add(price)
        return True

    def drop(self, price: int) -> None:
        self.there.discard(price)

    def best(self) -> int | None:
        return min(self.there, default=None)


class Clamping(Ladder):
    def slot(self, price: int) -> int | None:
        return min(max((price - self.base) // self.tick, 0), self.slots - 1)


class Broken(Ladder):
    def best(self) -> int | None:
        raise RuntimeError("no best today")


def test_a_ladder_passes() -> None:
    checked = check("06.1", Ladder)
    assert checked, checked


@pytest.mark.parametrize(
    ("wrong", "about", "said"),
    [
        (Minimum, "faster", "2,048 levels"),
        (Searching, "tail", "one level, in the last slot"),
        (Clamping, "correct", "a price below the window"),
        (Broken, "correct", "RuntimeError: no best today"),
    ],
)
def test_a_wrong_ladder_is_told_why(wrong: Any, about: str, said: str) -> None:
    checked = check("06.1", wrong)
    assert not checked
    assert checked.steps[-1].about == about
    assert said in checked.steps[-1].said


def crossing(frame: pl.DataFrame, a: str, b: str) -> int | None:
    one, other = (frame.filter(variant=name).sort("size") for name in (a, b))
    slower = (other["low"] > one["high"]).to_list()
    sizes = one["size"].to_list()
    return next((size for at, size in enumerate(sizes) if all(slower[at:])), None)


def test_the_crossing_passes() -> None:
    checked = check("06.2", crossing)
    assert checked, checked


def by_median(frame: pl.DataFrame, a: str, b: str) -> int | None:
    one, other = (frame.filter(variant=name).sort("size") for name in (a, b))
    above = (other["ns_per_message"] > one["ns_per_message"]).to_list()
    return next((size for at, size in enumerate(one["size"].to_list()) if all(above[at:])), None)


def first_above(frame: pl.DataFrame, a: str, b: str) -> int | None:
    one, other = (frame.filter(variant=name).sort("size") for name in (a, b))
    return next((s for s, high, low in zip(one["size"], one["high"], other["low"], strict=True) if low > high), None)


def raising(frame: pl.DataFrame, a: str, b: str) -> int | None:
    raise KeyError(a)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(by_median, "their intervals overlap"), (first_above, "above it at 1|b is above a at 1"), (raising, "KeyError: 'a'")],
)
def test_a_wrong_crossing_is_told_why(wrong: Any, said: str) -> None:
    checked = check("06.2", wrong)
    assert not checked
    assert any(part in checked.steps[-1].said for part in said.split("|"))
