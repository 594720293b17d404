"""Do the checks of lesson 10 pass what is right, and say of what is wrong why? Is the known server what it is called?"""

from collections import deque
from typing import Any

import numpy as np
import pytest
from course import check
from course.known import Known, served
from course.lesson10 import Expected

from hftlab.errors import ConfigError
from hftlab.loadtest.schedule import waiting
from hftlab.loadtest.target import Calls


class Bounded(Expected):
    """As the lesson solves it."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.ring: deque[bytes] = deque()

    def offer(self, number: int, message: bytes) -> bool:
        self.shedding = self.shedding or len(self.ring) == self.size
        if not self.shedding:
            self.ring.append(message)
            return True
        self.stale = True
        first = self.dropped.pop()[0] if self.dropped and self.dropped[-1][1] == number else number
        self.dropped.append((first, number + 1))
        return False

    def take(self) -> bytes | None:
        message = self.ring.popleft() if self.ring else None
        self.shedding = self.shedding and bool(self.ring)
        return message


class Oldest(Bounded):
    """Makes room by dropping what has waited longest, and says nothing."""

    def offer(self, number: int, message: bytes) -> bool:
        if len(self.ring) == self.size:
            self.ring.popleft()
        self.ring.append(message)
        return True


class Eager(Bounded):
    """Lets in whatever finds room, while others are missing before it."""

    def offer(self, number: int, message: bytes) -> bool:
        self.shedding = len(self.ring) == self.size
        return super().offer(number, message)


class OneByOne(Bounded):
    """A range for every message."""

    def offer(self, number: int, message: bytes) -> bool:
        let_in = super().offer(number, message)
        self.dropped = [(one, one + 1) for first, until in self.dropped for one in range(first, until)]
        return let_in


class Hasty(Bounded):
    """Fresh again as soon as anything was filled."""

    def filled(self, upto: int) -> None:
        super().filled(upto)
        self.stale = False


class Broken(Bounded):
    def take(self) -> bytes | None:
        raise RuntimeError("closed")


def test_the_queue_passes() -> None:
    checked = check("10.1", Bounded)
    assert checked, checked


@pytest.mark.parametrize(
    ("wrong", "about", "said"),
    [
        (Oldest, "correct", "no room"),
        (Eager, "correct", "sheds until it is empty"),
        (OneByOne, "correct", "one range, not two"),
        (Hasty, "correct", "4 is missing"),
        (Expected, "faster", "as long as of 64"),
        (Broken, "correct", "RuntimeError: closed"),
    ],
)
def test_a_wrong_queue_is_told_why(wrong: Any, about: str, said: str) -> None:
    checked = check("10.1", wrong)
    assert not checked
    assert checked.steps[-1].about == about, checked
    assert said in checked.steps[-1].said


def ring(due: Any, service: Any) -> int:
    if not len(due):
        return 0
    done = served(due, service)
    return int(waiting(due, due, done).max())


def test_the_ring_passes() -> None:
    checked = check("10.2", ring)
    assert checked, checked


def on_the_average(due: Any, service: Any) -> int:
    return 1 if service.sum() <= due[-1] - due[0] + service[-1] else len(due)


def call_by_call(due: Any, service: Any) -> int:
    """Right, but each call is compared with all before it."""
    done = served(due, service).tolist()
    return max((sum(end > at for end in done[: place + 1]) for place, at in enumerate(due.tolist())), default=0)


def counts_the_done(due: Any, service: Any) -> int:
    done = served(due, service)
    return int((np.arange(1, len(due) + 1) - np.searchsorted(done, due, "left")).max())


@pytest.mark.parametrize(
    ("wrong", "about", "said"),
    [
        (on_the_average, "correct", "and one long after them"),
        (call_by_call, "faster", "10 times as many calls"),
        (counts_the_done, "correct", "in the moment"),
        (lambda due, service: 1 / 0, "correct", "ZeroDivisionError"),
    ],
)
def test_a_wrong_ring_is_told_why(wrong: Any, about: str, said: str) -> None:
    checked = check("10.2", wrong)
    assert not checked
    assert checked.steps[-1].about == about, checked
    assert said in checked.steps[-1].said


def test_the_known_server_takes_as_long_as_it_says() -> None:
    due = np.array([0, 10, 20, 500])
    run = Known(30).open().drive(Calls(b"", due), due)
    assert run.service.tolist() == [30] * 4
    assert run.response.tolist() == [30, 50, 70, 30]
    stalled = Known(30, stalls={1: 100}).open().drive(Calls(b"", due), due)
    assert stalled.response.tolist() == [30, 120, 140, 30]
    with pytest.raises(ConfigError, match="a server of 0 ns a call"):
        Known(0)
