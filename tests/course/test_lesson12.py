"""Do the checks of lesson 12 pass what is right, and say of what is wrong why?"""

from typing import Any

import pytest
from course import check, lesson12

import hftlab
from hftlab.stages.book import Book


class Mended(Book):
    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        if kind in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL):
            level = self.orders.get(order_id)
            if level is not None and level.half and level.half.instrument == instrument and 0 < qty < level.queue[order_id]:
                level.queue[order_id] -= qty
                level.qty -= qty
                return level.half.side
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


class FallsBack(Mended):
    def apply(self, *event: int) -> int:
        said = super().apply(*event)
        if event[0] in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL) and said > 0 and event[3] in self.orders:
            queue = self.orders[event[3]].queue
            queue[event[3]] = queue.pop(event[3])
        return said


class Trusting(Book):
    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        level = self.orders.get(order_id)
        if kind == hftlab.Kind.CANCEL and level is not None and level.half:
            instrument = level.half.instrument
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


class Raises(Book):
    def apply(self, *event: int) -> int:
        raise RuntimeError("no book today")


class Slow(Book):
    def best(self, instrument: int) -> tuple[int, int, int, int]:
        sum(range(200))
        return super().best(instrument)


class Across:
    """The solution of the lesson."""

    def __init__(self) -> None:
        self.session = session = hftlab.Engine("rust", until="book").open()
        self._apply = session.apply
        self.best, self.depth, self.queue, self.locate = session.best, session.depth, session.queue, session.locate

    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        return self._apply(0, order_id, new_order_id, price, qty, instrument, kind, side)

    def depth_qty(self, instrument: int, side: int, n: int) -> int:
        return sum([qty for found, _, qty, _ in self.depth(instrument) if found == side][:n])

    def memory(self) -> dict[str, int]:
        return self.session.counters()["memory"]  # type: ignore[no-any-return]


def test_a_mended_book_passes() -> None:
    checked = check("12.1", Mended)
    assert checked, checked


@pytest.mark.parametrize(
    ("number", "wrong", "said"),
    [
        ("12.1", Book, "an `apply` of its own"),
        ("12.1", FallsBack, "the queue is"),
        ("12.1", Trusting, "refusals_of_cancel"),
        ("12.1", Raises, "RuntimeError: no book today"),
        ("12.1", lambda: None, "an `apply` of its own"),
        ("12.2", FallsBack, "the queue is"),
        ("12.2", Raises, "RuntimeError: no book today"),
        ("12.2", type("HalfABook", (), {"apply": Book.apply, "best": Book.best, "depth": Book.depth}), "lacks"),
        ("12.2", 3, "ConfigError"),
    ],
)
def test_a_wrong_answer_is_told_why(number: str, wrong: Any, said: str) -> None:
    checked = check(number, wrong)
    assert not checked
    assert said in checked.steps[-1].said


def test_a_book_that_is_right_and_slow_is_told_so() -> None:
    checked = check("12.2", Slow)
    assert not checked
    assert [step.passed for step in checked.steps] == [True, True, False]
    assert checked.steps[-1].about == "faster"


@pytest.mark.rust
def test_the_capstone_can_be_passed() -> None:
    checked = check("12.2", Across)
    assert checked, checked


def test_what_is_timed_is_decoded_before() -> None:
    assert lesson12._events().wire == "events"
