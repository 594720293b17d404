"""The exercises of lesson 10: a bounded queue that says what it dropped, and how large it must be."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from timeit import repeat
from typing import TYPE_CHECKING, Any

from course.exercise import Step, exercise

if TYPE_CHECKING:
    import numpy as np

#: Limit that an answer which takes from the front keeps by far, and one that moves all the others does not.
MAX_GROWTH = 8.0
#: Of ten times as many calls; an answer that compares each call with every other takes a hundred times as long.
LONGER, MAX_LONGER = 10, 40.0


class Expected:
    """The queue, as the exercise asks for it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting: list[tuple[int, bytes]] = []
        self.dropped: list[tuple[int, int]] = []
        self.stale = self.shedding = False

    def offer(self, number: int, message: bytes) -> bool:
        """Whether it was let in."""
        self.shedding = self.shedding or len(self.waiting) >= self.size
        if not self.shedding:
            self.waiting.append((number, message))
            return True
        self.stale = True
        if self.dropped and self.dropped[-1][1] == number:
            self.dropped[-1] = (self.dropped[-1][0], number + 1)
        else:
            self.dropped.append((number, number + 1))
        return False

    def take(self) -> bytes | None:
        """The oldest."""
        if not self.waiting:
            return None
        message = self.waiting.pop(0)[1]
        self.shedding = self.shedding and bool(self.waiting)
        return message

    def filled(self, upto: int) -> None:
        """Told that all before number `upto` is in the book."""
        self.dropped = [(max(first, upto), until) for first, until in self.dropped if until > upto]
        self.stale = bool(self.dropped)


@exercise("10.1", "A queue that reports what it dropped", minutes=25)
def queue(answer: Callable[[int], Any]) -> Iterator[Step]:
    """`answer(size)` makes one: offer(number, message), take(), filled(upto), `dropped` and `stale`."""
    ours = answer(2)
    yield Step.expect("correct", (ours.take(), ours.stale, _ranges(ours)), (None, False, []), "take(), stale, dropped when new")
    yield Step.expect("correct", [ours.offer(n, b"%d" % n) for n in (1, 2)], [True, True], "offer() of 1 and 2 to a queue of 2")
    yield Step.expect("correct", ours.offer(3, b"3"), False, "offer() of 3, for which there is no room")
    yield Step.expect("correct", (ours.stale, _ranges(ours)), (True, [(3, 4)]), "stale and dropped after it: [3, 4)")
    yield Step.expect("correct", ours.take(), b"1", "take(): the oldest is kept, the newest was dropped")
    yield Step.expect("correct", ours.offer(4, b"4"), False, "offer() of 4: there is room, but the queue sheds until it is empty")
    yield Step.expect("correct", _ranges(ours), [(3, 5)], "dropped: one range, not two")
    yield Step.expect("correct", (ours.take(), ours.take()), (b"2", None), "take() twice")
    yield Step.expect("correct", (ours.offer(5, b"5"), ours.stale), (True, True), "offer() of 5 when it is empty; stale")
    ours.filled(4)
    yield Step.expect("correct", (ours.stale, _ranges(ours)), (True, [(4, 5)]), "stale and dropped after filled(4): 4 is missing")
    ours.filled(5)
    yield Step.expect("correct", (ours.stale, _ranges(ours)), (False, []), "stale and dropped after filled(5)")
    for seed in range(3):
        yield _walk(answer, seed)
    few, many = _take_ns(answer, 64), _take_ns(answer, 100_000)
    message = f"take() of a queue of 100,000 takes {many / few:.1f} times as long as of 64; it must be below {MAX_GROWTH:.0f}"
    yield Step.claim("faster", many < MAX_GROWTH * few, message)


def _ranges(ours: Any) -> Any:
    return [tuple(one) for one in ours.dropped]


def _walk(answer: Callable[[int], Any], seed: int) -> Step:
    chance, size = random.Random(seed), (1, 3, 16)[seed]
    ours, theirs, number = answer(size), Expected(size), 0
    for _ in range(1_500):
        got: Any
        wanted: Any
        what = chance.choice(["offer", "offer", "offer", "take", "take", "take", "filled"])
        if what == "offer":
            number += 1
            got, wanted = ours.offer(number, b"%d" % number), theirs.offer(number, b"%d" % number)
        elif what == "take":
            got, wanted = ours.take(), theirs.take()
        else:
            upto = chance.randint(max(number - 40, 1), number + 1)
            got = wanted = None
            ours.filled(upto)
            theirs.filled(upto)
        seen, right = (got, bool(ours.stale), _ranges(ours)), (wanted, theirs.stale, theirs.dropped)
        if seen != right:
            return Step.expect("hidden", seen, right, f"{what}() of a queue of {size} at number {number}: answer, stale, dropped")
    return Step.claim("hidden", True, f"1,500 steps at random on a queue of {size}: {number:,} offered")


def _take_ns(answer: Callable[[int], Any], size: int) -> float:
    ours = answer(size)
    for number in range(1, size + 1):
        ours.offer(number, b"x")
    return min(repeat(ours.take, number=5, repeat=10)) / 5 * 1e9


def longest_queue(due: np.ndarray[Any, Any], service: np.ndarray[Any, Any]) -> int:
    """The longest queue of a server that takes calls in order, including the call in service, call by call."""
    done: list[int] = []
    longest = gone = 0
    for at, ns in zip(due.tolist(), service.tolist(), strict=True):
        done.append(max(at, done[-1] if done else 0) + ns)
        while done[gone] <= at:
            gone += 1
        longest = max(longest, len(done) - gone)
    return longest


@exercise("10.2", "How large must the ring be?", minutes=20)
def ring(answer: Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], int]) -> Iterator[Step]:
    """`answer(due, service)`: the most calls that are due and not done at any one time, (n,) ns each."""
    import numpy as np

    hand: list[tuple[list[int], list[int], int, str]] = [
        ([0, 100, 200], [50, 50, 50], 1, "three calls, each done before the next is due"),
        ([0, 0, 0], [50, 50, 50], 3, "three calls at once"),
        ([0, 50, 100], [50, 50, 50], 1, "each call is due in the moment in which the one before it is done"),
        ([0, 10, 20, 500], [30, 30, 30, 30], 3, "three calls 10 ns apart that take 30 ns, and one long after them"),
        ([0, 10, 20, 100, 110, 120, 130], [1_000, 1, 1, 1, 1, 1, 1], 7, "one stall, and six calls that take 1 ns"),
    ]
    for came, took, wanted, what in hand:
        yield Step.expect("correct", _whole(answer(np.array(came), np.array(took))), wanted, what)
    chance = np.random.default_rng(10)
    for load in (0.5, 0.9, 1.5):
        due = np.cumsum(chance.exponential(1_000, 3_000)).astype(np.int64)
        service = chance.exponential(1_000 * load, 3_000).astype(np.int64) + 1
        what = f"3,000 calls at random, load {load:.0%}"
        yield Step.expect("hidden", _whole(answer(due, service)), longest_queue(due, service), what)
    yield Step.expect("hidden", _whole(answer(np.array([], np.int64), np.array([], np.int64))), 0, "no call at all")
    short, long = _ring_ns(answer, 500), _ring_ns(answer, 500 * LONGER)
    message = f"{LONGER} times as many calls take {long / short:.0f} times as long; it must be below {MAX_LONGER:.0f}"
    yield Step.claim("faster", long < MAX_LONGER * short, message)


def _whole(got: Any) -> Any:
    return int(got) if hasattr(got, "__index__") else got


def _ring_ns(answer: Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], int], calls: int) -> float:
    """Of a queue that never ends: all wait for the first."""
    import numpy as np

    due, service = np.arange(calls, dtype=np.int64) * 10, np.full(calls, 1_000, np.int64)
    return min(repeat(lambda: answer(due, service), number=1, repeat=3)) * 1e9
