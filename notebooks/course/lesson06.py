"""The exercises of lesson 06: a toy ladder, and where two curves cross."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from timeit import repeat
from typing import TYPE_CHECKING, Any

from course.exercise import Step, exercise

if TYPE_CHECKING:
    import polars as pl

BASE, TICK, SLOTS = 1_000_000, 100, 256
#: Limit that an answer without a search keeps by far, and one that searches 2,048 slots does not.
MAX_GROWTH = 8.0
_MANY = 2_048


@exercise("06.1", "A toy ladder", minutes=20)
def ladder(answer: Callable[[int, int, int], Any]) -> Iterator[Step]:
    """`answer(base, tick, slots)` makes one: put(price), drop(price), best(). The asks: the lowest price is the best one."""
    toy = answer(BASE, TICK, SLOTS)
    yield Step.expect("correct", toy.best(), None, "best() of an empty ladder")
    put = [toy.put(BASE + 3 * TICK), toy.put(BASE + TICK)]
    yield Step.expect("correct", put, [True, True], "put() of two prices that have a slot")
    yield Step.expect("correct", toy.best(), BASE + TICK, "best() after them")
    outside = {
        "a price below the window": BASE - TICK,
        "the first price above it": BASE + SLOTS * TICK,
        "a price between two ticks": BASE + TICK // 2,
    }
    for what, price in outside.items():
        yield Step.expect("correct", toy.put(price), False, f"put() of {what}, {price:,}, which has no slot")
        yield Step.expect("correct", toy.best(), BASE + TICK, f"best() after {what} was refused")
    toy.drop(BASE + TICK)
    yield Step.expect("correct", toy.best(), BASE + 3 * TICK, "best() after the best level was dropped")
    yield _walk(answer)
    near = _cycle_ns(answer, [0, 1])
    full, far = _cycle_ns(answer, range(_MANY)), _cycle_ns(answer, [_MANY - 1])
    message = (
        "drop the best, ask for the next, put it back: {:.1f} times the time of two levels in front; it must be below {:.0f}"
    )
    yield Step.claim("faster", full < MAX_GROWTH * near, f"{_MANY:,} levels; " + message.format(full / near, MAX_GROWTH))
    yield Step.claim("tail", far < MAX_GROWTH * near, "one level, in the last slot; " + message.format(far / near, MAX_GROWTH))


def _walk(answer: Callable[[int, int, int], Any]) -> Step:
    """Levels that come and go at random, beside a set."""
    chance = random.Random(6)
    for base, tick in ((BASE, TICK), (-4_096, 1), (7, 25)):
        toy, there = answer(base, tick, SLOTS), set[int]()
        for number in range(400):
            price = base + tick * chance.randrange(SLOTS)
            if price in there:
                toy.drop(price)
                there.remove(price)
            else:
                toy.put(price)
                there.add(price)
            if (best := toy.best()) != min(there, default=None):
                what = f"best() after {number + 1} random steps, base {base:,}, tick {tick}"
                return Step.expect("correct", best, min(there, default=None), what)
    return Step.claim("correct", True, "best() is right after each of 1,200 random steps, negative prices among them")


def _cycle_ns(answer: Callable[[int, int, int], Any], slots: Any) -> float:
    toy = answer(0, 1, _MANY)
    for slot in slots:
        toy.put(slot)
    best = toy.best()

    def cycle() -> None:
        toy.drop(best)
        toy.best()
        toy.put(best)

    return min(repeat(cycle, number=20, repeat=40)) / 20 * 1e9


def _curves(a: list[tuple[int, float, float]], b: list[tuple[int, float, float]]) -> pl.DataFrame:
    """A frame like that of `hftlab.scaling`, of (size, low, high); the median in the middle."""
    import polars as pl

    rows = [(name, size, (low + high) / 2, low, high) for name, part in (("a", a), ("b", b)) for size, low, high in part]
    return pl.DataFrame(rows, schema=["variant", "size", "ns_per_message", "low", "high"], orient="row")


@exercise("06.2", "Where do they cross?", minutes=15)
def crossing(answer: Callable[[pl.DataFrame, str, str], int | None]) -> Iterator[Step]:
    """`answer(frame, a, b)`: the size from which on b is seen to be slower than a, at it and at all larger sizes."""
    sizes = (1, 10, 100, 1_000)
    level = [(size, 40.0, 42.0) for size in sizes]
    plain = _curves(level, [(1, 30, 31), (10, 38, 39), (100, 60, 62), (1_000, 90, 99)])
    yield Step.expect("correct", answer(plain, "a", "b"), 100, "b starts below a and crosses it once")
    touching = _curves(level, [(1, 30, 31), (10, 41, 45), (100, 60, 62), (1_000, 90, 99)])
    what = "at 10 the median of b is above that of a, but their intervals overlap: nothing is seen there"
    yield Step.expect("correct", answer(touching, "a", "b"), 100, what)
    back = _curves(level, [(1, 50, 51), (10, 38, 39), (100, 60, 62), (1_000, 90, 99)])
    yield Step.expect("correct", answer(back, "a", "b"), 100, "b is above a at 1, below it at 10, and above from 100 on")
    yield Step.expect("correct", answer(plain, "b", "a"), None, "a is never seen to be slower than b at the largest size")
    always = _curves(level, [(size, 80.0, 82.0) for size in sizes])
    yield Step.expect("correct", answer(always, "a", "b"), 1, "b is above a everywhere")
    mixed = plain.sample(fraction=1.0, shuffle=True, seed=2)
    yield Step.expect("correct", answer(mixed, "a", "b"), 100, "the rows of the frame come in another order")
