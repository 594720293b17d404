"""Exercises of lesson 04, the fallback tuned: the best prices without sorting, and a batch decoded at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from struct import Struct
from time import perf_counter_ns
from typing import Any

from course.exercise import Step, exercise

LEVELS = 1_000
MEAN, WORST = 40.0, 100  # comparisons of a call, on so many levels
TIMES = 1.8
_DELETE = Struct(">HcHHHIQ")  # length, type, locate, tracking, ts high and low, reference


class Counted:
    """A price that counts how often it is compared."""

    __slots__ = ("value",)
    compared = 0

    def __init__(self, value: int) -> None:
        self.value = value

    def __lt__(self, other: Counted) -> bool:
        Counted.compared += 1
        return self.value < other.value

    def __gt__(self, other: Counted) -> bool:
        Counted.compared += 1
        return self.value > other.value

    def __le__(self, other: Counted) -> bool:
        return not self > other

    def __ge__(self, other: Counted) -> bool:
        return not self < other

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return isinstance(other, Counted) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __neg__(self) -> Counted:
        return Counted(-self.value)

    def __repr__(self) -> str:
        return str(self.value)


def _traffic(made: Callable[[], Any], levels: int, calls: int, seed: int) -> tuple[str, list[int]]:
    """What is wrong, or "", and the comparisons of every call once `levels` prices are there."""
    prices, random, there, spent = made(), Random(seed), set[int](), list[int]()
    for number in range(levels + calls):
        if number < levels or len(there) < 10 or (random.random() < 0.5 and len(there) < 2 * levels):
            price = _free(random, there, 4 * levels)
            there.add(price)
            work, argument = prices.add, Counted(price)
        else:
            price = random.choice(sorted(there)[-40:])
            there.remove(price)
            work, argument = prices.remove, Counted(price)
        Counted.compared = 0
        work(argument)
        if number < levels:
            continue
        got = [int(str(one)) for one in prices.best(5)]
        spent.append(Counted.compared)
        want = sorted(there, reverse=True)[:5]
        if got != want:
            return f"after {number + 1} changes best(5) is {got}, expected {want}", spent
    return "", spent


def _free(random: Random, there: set[int], below: int) -> int:
    while (price := random.randrange(below)) in there:
        pass
    return price


@exercise("04.1", "The best prices without sorting", minutes=10)
def best_prices(made: Callable[[], Any]) -> Iterator[Step]:
    """A class with add(price), remove(price) and best(n), the highest first."""
    wrong, _ = _traffic(made, 20, 300, 1)
    yield Step.claim("correct", not wrong, wrong or "20 prices and 300 changes: the five best were right after each")
    wrong, spent = _traffic(made, LEVELS, 400, 2)
    yield Step.claim("correct", not wrong, wrong or f"{LEVELS:,} prices and 400 changes: the five best were right after each")
    mean, worst = sum(spent) / len(spent), max(spent)
    message = f"{mean:,.1f} comparisons a change on average, with {LEVELS:,} prices; it must be at most {MEAN:g}"
    yield Step.claim("ratio", mean <= MEAN, message)
    yield Step.claim("tail", worst <= WORST, f"{worst:,} comparisons at the worst change; it must be at most {WORST}")


@cache
def deletes(messages: int, seed: int) -> tuple[bytes, list[tuple[int, int, int]]]:
    """Framed deletes (D), and (locate, ts_ns, reference) of each."""
    random = Random(seed)
    right = [(random.randrange(1, 9_000), random.getrandbits(46), random.getrandbits(60)) for _ in range(messages)]
    packed = (_DELETE.pack(19, b"D", locate, 0, ts >> 32, ts & 0xFFFFFFFF, ref) for locate, ts, ref in right)
    return b"".join(packed), right


def piecemeal(data: bytes) -> list[tuple[int, int, int]]:
    """Field by field."""
    out = []
    for at in range(0, len(data), _DELETE.size):
        locate = int.from_bytes(data[at + 3 : at + 5], "big")
        ts = int.from_bytes(data[at + 7 : at + 13], "big")
        out.append((locate, ts, int.from_bytes(data[at + 13 : at + 21], "big")))
    return out


def _ns(work: Callable[[bytes], Any], data: bytes) -> int:
    start = perf_counter_ns()
    work(data)
    return perf_counter_ns() - start


@exercise("04.2", "A batch at once", minutes=10)
def batch(decode: Callable[[bytes], Any]) -> Iterator[Step]:
    """A function: framed deletes -> [(locate, ts_ns, reference), ...]."""
    for messages, seed in ((0, 1), (1, 2), (500, 3)):
        data, right = deletes(messages, seed)
        given = [tuple(int(value) for value in row) for row in decode(data)]
        wrong = next((at for at, (one, other) in enumerate(zip(given, right, strict=False)) if one != other), None)
        message = f"{messages} messages"
        if len(given) != len(right):
            message += f": {len(given)} were returned"
        elif wrong is not None:
            message += f": message {wrong} is {given[wrong]}, expected {right[wrong]}"
        yield Step.claim("correct", given == right, message)
    data, _ = deletes(500, 4)
    rounds = [(_ns(piecemeal, data), _ns(decode, data)) for _ in range(60)]  # short ones: some are not disturbed
    ratio = min(slow for slow, _ in rounds) / min(quick for _, quick in rounds)
    yield Step.claim("faster", ratio > TIMES, f"{ratio:.2f} times as fast as field by field; it must be more than {TIMES:g}")
