"""Answers to the exercises of lessons 10 to 12: right ones, and wrong ones with the step and the words that reject them."""

import itertools
from collections import deque
from itertools import permutations
from statistics import geometric_mean, median
from typing import Any

import numpy as np
from course import lesson10
from course.fake_server import completion_times

import hftlab
from hftlab.loadtest.schedule import queue_length
from hftlab.measurement.paired import Interval
from hftlab.stages.book import Book

# 10, under stress


class Bounded(lesson10.Expected):
    """The solution of the lesson."""

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
    """Makes room by dropping the oldest, and does not report it."""

    def offer(self, number: int, message: bytes) -> bool:
        if len(self.ring) == self.size:
            self.ring.popleft()
        self.ring.append(message)
        return True


class Eager(Bounded):
    """Accepts whatever finds room, while others are missing before it."""

    def offer(self, number: int, message: bytes) -> bool:
        self.shedding = len(self.ring) == self.size
        return super().offer(number, message)


class OneByOne(Bounded):
    """A range for every message."""

    def offer(self, number: int, message: bytes) -> bool:
        accepted = super().offer(number, message)
        self.dropped = [pair for first, until in self.dropped for pair in itertools.pairwise(range(first, until + 1))]
        return accepted


class Hasty(Bounded):
    """Fresh again as soon as anything was filled."""

    def filled(self, upto: int) -> None:
        super().filled(upto)
        self.stale = False


class Closed(Bounded):
    def take(self) -> bytes | None:
        raise RuntimeError("closed")


def ring(due: Any, service: Any) -> int:
    return int(queue_length(due, due, completion_times(due, service)).max()) if len(due) else 0


def average(due: Any, service: Any) -> int:
    return 1 if service.sum() <= due[-1] - due[0] + service[-1] else len(due)


def call_by_call(due: Any, service: Any) -> int:
    """Right, but each call is compared with all before it."""
    done = completion_times(due, service).tolist()
    return max((sum(end > at for end in done[: place + 1]) for place, at in enumerate(due.tolist())), default=0)


def counts_the_done(due: Any, service: Any) -> int:
    done = completion_times(due, service)
    return int((np.arange(1, len(due) + 1) - np.searchsorted(done, due, "left")).max())


# 11, the result


def shares(times: Any) -> dict[str, float]:
    factors: dict[str, list[float]] = {name: [] for name in max(times, key=len)}
    for order in permutations(sorted(factors)):
        for place, name in enumerate(order):
            factors[name].append(times[frozenset(order[:place])] / times[frozenset(order[: place + 1])])
    return {name: geometric_mean(ratios) for name, ratios in factors.items()}


def from_naive(times: Any) -> dict[str, float]:
    return {name: times[frozenset()] / times[frozenset(name)] for name in max(times, key=len)}


def in_one_order(times: Any) -> dict[str, float]:
    order = sorted(max(times, key=len))
    return {name: times[frozenset(order[:i])] / times[frozenset(order[: i + 1])] for i, name in enumerate(order)}


def alike(times: Any) -> dict[str, float]:
    names = max(times, key=len)
    return dict.fromkeys(names, (times[frozenset()] / times[names]) ** (1 / len(names)))


def claim(base: Any, other: Any, again: Any, *, small: bool = True) -> str:
    base, other, again = map(np.array, (base, other, again))
    ratio, copy, control = Interval.of(base / other), Interval.of(again / other), Interval.of(base / again)
    if not ratio.side or ratio.side != copy.side or (small and control.widened(0.995, 1.005).contains(ratio.median)):
        return "no difference seen"
    return "faster" if ratio.side > 0 else "slower"


def by_median(base: Any, other: Any, again: Any) -> str:
    return "faster" if median(other) < median(base) else "slower"


def overlap(base: Any, other: Any, again: Any) -> str:
    if max(min(base), min(other)) < min(max(base), max(other)):
        return "no difference seen"
    return by_median(base, other, again)


# 12, bring your own


class Mended(Book):
    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        if kind in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL):
            level = self.orders.get(order_id)
            if level is not None and level.half and level.half.instrument == instrument and 0 < qty < level.queue[order_id]:
                level.queue[order_id] -= qty
                level.change(-qty)
                return level.half.side
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


class FallsBack(Mended):
    """An order executed in part loses its place."""

    def apply(self, *event: int) -> int:
        acted = super().apply(*event)
        if event[0] in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL) and acted > 0 and event[3] in self.orders:
            queue = self.orders[event[3]].queue
            queue[event[3]] = queue.pop(event[3])
        return acted


class Trusting(Book):
    """Cancels an order of another instrument."""

    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        level = self.orders.get(order_id)
        if kind == hftlab.Kind.CANCEL and level is not None and level.half:
            instrument = level.half.instrument
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


class NoBook(Book):
    def apply(self, *event: int) -> int:
        raise RuntimeError("no book today")


class Slow(Book):
    def best(self, instrument: int) -> tuple[int, int, int, int]:
        sum(range(200))
        return super().best(instrument)


class AcrossIntoRust:
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


RIGHT: dict[str, Any] = {
    "10.1": Bounded,
    "10.2": ring,
    "11.1": shares,
    "11.2": claim,
    "12.1": Mended,
    "12.2": AcrossIntoRust,
}

#: (exercise, answer, what the step that fails is about, what it must say)
WRONG: list[tuple[str, Any, str, str]] = [
    ("10.1", Oldest, "correct", "no room"),
    ("10.1", Eager, "correct", "sheds until it is empty"),
    ("10.1", OneByOne, "correct", "one range, not two"),
    ("10.1", Hasty, "correct", "4 is missing"),
    ("10.1", lesson10.Expected, "faster", "as long as of 64"),
    ("10.1", Closed, "correct", "RuntimeError: closed"),
    ("10.2", average, "correct", "and one long after them"),
    ("10.2", call_by_call, "faster", "10 times as many calls"),
    ("10.2", counts_the_done, "correct", "in the moment"),
    ("11.1", from_naive, "correct", "multiply to 3.0000, the whole is 6.0000"),
    ("11.1", in_one_order, "fair", "an order that nobody chose"),
    ("11.1", alike, "fair", "fair over all orders"),
    ("11.1", lambda times: 6.0, "correct", "expected a dict"),
    ("11.2", by_median, "correct", "the same code twice"),
    ("11.2", lambda *given: claim(*given, small=False), "correct", "where code happens to lie"),
    ("11.2", overlap, "correct", "slow spells"),
    ("11.2", lambda *given: "yes", "correct", "expected one of faster, slower, no difference seen"),
    ("12.1", Book, "own", "an `apply` of its own"),
    ("12.1", FallsBack, "correct", "the queue must be"),
    ("12.1", Trusting, "correct", "refusals_of_cancel"),
    ("12.1", NoBook, "correct", "RuntimeError: no book today"),
    ("12.1", lambda: None, "own", "an `apply` of its own"),
    ("12.2", FallsBack, "correct", "the queue must be"),
    ("12.2", NoBook, "correct", "RuntimeError: no book today"),
    ("12.2", type("HalfABook", (), {"apply": Book.apply, "best": Book.best, "depth": Book.depth}), "correct", "lacks"),
    ("12.2", 3, "correct", "UnknownName"),
    ("12.2", Slow, "faster", "as fast as the reference"),
]
