"""Exercises of lesson 07, memory: when does a table rebuild, and a pool whose every call is short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

from course.exercise import Step, exercise
from hftlab.engine.engine import Engine
from hftlab.feeds.generate.steady import steady

WATCHED = 4_000  # adds, one by one
MEAN, WORST = 3.0, 4  # cells touched by a call of a pool


@cache
def observed_rebuilds() -> list[int]:
    """Live orders before each add at which the map of orders=fast asked for a new table, by the count of the Rust allocator."""
    adds = steady(WATCHED, messages=10).build
    size = len(adds) // WATCHED

    def bytes_asked(orders: str) -> list[int]:
        engine = Engine("rust", orders=orders)
        session, counter = engine.open(), engine.implementation.allocations  # type: ignore[attr-defined]
        asked = []
        for start in range(0, len(adds), size):
            before = counter()[1]
            session.push(adds[start : start + size])
            asked.append(counter()[1] - before)
        return asked

    grown = zip(bytes_asked("fast"), bytes_asked("flat"), strict=True)  # all else is the same
    return [live for live, (fast, flat) in enumerate(grown) if live and fast > flat]


@exercise("07.1", "When does a table rebuild?", minutes=10)
def when(rebuilds: Callable[[int], Any]) -> Iterator[Step]:
    """A function: largest number of live orders -> the numbers of live orders at which the next add makes the table rebuild."""
    observed = observed_rebuilds()
    for limit in (100, WATCHED):
        expected = [live for live in observed if live < limit]
        given = [int(live) for live in rebuilds(limit)]
        message = f"below {limit:,} live orders the allocator was asked for a larger table at {expected}"
        yield Step.claim("correct", given == expected, message if given == expected else f"{message}; the answer is {given}")
    many = [int(live) for live in rebuilds(2_000_000)]
    right = [3, *(7 * 2**power for power in range(19) if 7 * 2**power < 2_000_000)]
    yield Step.expect("further", many[-3:], right[-3:], "the last three below 2,000,000")


class Cells:
    """Memory of a fixed number of cells, None at first; `touched` counts reads and writes."""

    def __init__(self, size: int) -> None:
        self._cells: list[Any] = [None] * size
        self.touched = 0

    def __len__(self) -> int:
        return len(self._cells)

    def __getitem__(self, slot: int) -> Any:
        self.touched += 1
        return self._cells[slot]

    def __setitem__(self, slot: int, value: Any) -> None:
        self.touched += 1
        self._cells[slot] = value


class _Trial:
    """Random traffic through a pool, beside a dict that knows what must come back."""

    def __init__(self, pool: Callable[[Cells], Any], size: int, seed: int) -> None:
        self.cells, self.random, self.live = Cells(size), Random(seed), dict[int, str]()
        self.pool = pool(self.cells)
        self.touched: list[int] = []

    def put(self, value: str) -> str:
        """ "" or what is wrong."""
        slot = self._call(self.pool.put, value)
        if not isinstance(slot, int) or not 0 <= slot < len(self.cells):
            return f"put returned {slot!r}, which is no slot from 0 to {len(self.cells) - 1}"
        if slot in self.live:
            return f"put returned slot {slot}, in which {self.live[slot]!r} still is"
        self.live[slot] = value
        return ""

    def take(self) -> str:
        slot = self.random.choice(sorted(self.live)) if len(self.live) < 50 else next(iter(self.live))
        want, got = self.live.pop(slot), self._call(self.pool.take, slot)
        return "" if got == want else f"take({slot}) returned {got!r}, expected {want!r}"

    def _call(self, work: Callable[[Any], Any], argument: Any) -> Any:
        before = self.cells.touched
        result = work(argument)
        self.touched.append(self.cells.touched - before)
        return result

    def run(self, calls: int) -> str:
        """Fill it to the brim, take half of it, then put and take at random."""
        for number in range(len(self.cells)):
            if wrong := self.put(f"order {number}"):
                return wrong
        for _ in range(len(self.cells) // 2):
            if wrong := self.take():
                return wrong
        for number in range(calls):
            putting = len(self.live) < len(self.cells) and (self.random.random() < 0.5 or not self.live)
            if wrong := self.put(f"later {number}") if putting else self.take():
                return wrong
        return ""


@exercise("07.2", "A pool whose every call is short", minutes=15)
def pool(made: Callable[[Cells], Any]) -> Iterator[Step]:
    """A class `Pool(cells)` with put(value) -> slot and take(slot) -> value."""
    wrong = _Trial(made, 40, 1).run(2_000)
    yield Step.claim("correct", not wrong, wrong or "2,060 calls on 40 cells: each value came back, no slot was given twice")
    trial = _Trial(made, 2_000, 2)
    wrong = trial.run(6_000)
    yield Step.claim("correct", not wrong, wrong or "9,000 calls on 2,000 cells: each value came back")
    mean, worst = sum(trial.touched) / len(trial.touched), max(trial.touched)
    yield Step.claim("ratio", mean <= MEAN, f"{mean:,.2f} cells touched by a call on average; it must be at most {MEAN:g}")
    yield Step.claim("tail", worst <= WORST, f"{worst:,} cells touched by the worst call; it must be at most {WORST}")
