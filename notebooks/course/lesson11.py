"""The exercises of lesson 11, The result."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np

from course.exercise import Step, exercise
from hftlab.measurement.paired import Paired

Times = dict[frozenset[str], float]
TOLERANCE = 1e-6

#: What the exercise shows: b is worth twice as much once a is there.
SHOWN: Times = {frozenset(): 240.0, frozenset("a"): 120.0, frozenset("b"): 160.0, frozenset("ab"): 40.0}


def fair(times: Times) -> dict[str, float]:
    """The mean of the logarithm of each one's ratio over all orders, as a factor."""
    names = sorted(frozenset().union(*times))
    logs = dict.fromkeys(names, 0.0)
    ways = list(permutations(names))
    for way in ways:
        for place, name in enumerate(way):
            logs[name] += math.log(times[frozenset(way[:place])] / times[frozenset(way[: place + 1])])
    return {name: math.exp(value / len(ways)) for name, value in logs.items()}


@exercise("11.1", "Whose speed-up is it?", minutes=20)
def shared(answer: Callable[[Times], dict[str, float]]) -> Iterator[Step]:
    """answer(times): ns per message by the set of optimisations that are on -> the factor that is due to each."""
    yield from _shares(answer(SHOWN), SHOWN, "the two of the text")
    idle = {on: 100.0 / (2.0 if "a" in on else 1.0) for on in _sets("ab")}
    yield from _shares(answer(idle), idle, "one of which does nothing")
    alike = {on: (100.0, 90.0, 30.0)[len(on)] for on in _sets("ab")}
    yield from _shares(answer(alike), alike, "two that only help together")
    rng = random.Random(11)
    for number, names in enumerate(("abc", "abc", "abcd", "abcd"), 1):
        times = {on: rng.uniform(50, 500) for on in _sets(names)}
        yield from _shares(answer(times), times, f"hidden table {number}, of {len(names)}")


def _sets(names: str) -> list[frozenset[str]]:
    return [frozenset(on) for size in range(len(names) + 1) for on in combinations(names, size)]


def _shares(got: Any, times: Times, what: str) -> Iterator[Step]:
    names: frozenset[str] = frozenset().union(*times)
    if not isinstance(got, dict) or set(got) != names:
        yield Step("correct", False, f"{what}: {got!r}, expected a dict with a factor for each of {', '.join(sorted(names))}")
        return
    whole, product = times[frozenset()] / times[names], math.prod(got.values())
    near = math.isclose(product, whole, rel_tol=TOLERANCE)
    yield Step.claim("correct", near, f"{what}: the factors multiply to {product:.4f}, the whole is {whole:.4f}")
    for name, wanted in sorted(fair(times).items()):
        near = math.isclose(got[name], wanted, rel_tol=TOLERANCE)
        why = "" if near else f", fair over all orders is {wanted:.4f}: does yours depend on an order that nobody chose?"
        yield Step.claim("fair", near, f"{what}: {name} gets {got[name]:.4f}{why}")


WORDS = ("faster", "slower", "no difference seen")
_ROUNDS = 31


@exercise("11.2", "May this be claimed?", minutes=20)
def claimed(answer: Callable[[Sequence[float], Sequence[float], Sequence[float]], str]) -> Iterator[Step]:
    """answer(base, other, again): ns per message by round, `again` being a second copy of the base -> one of three words."""
    for what, wanted, series in _cases():
        base, other, again = map(np.array, series)
        assert Paired.of(base, other, again).outcome == wanted, what
        got = answer(*(list(map(float, one)) for one in series))
        if got not in WORDS:
            yield Step("correct", False, f"{what}: {got!r}, expected one of {', '.join(WORDS)}")
            return
        yield Step.expect("correct", got, wanted, what)


def _cases() -> Iterator[tuple[str, str, tuple[Any, Any, Any]]]:
    """(what happened, the word, (base, other, again)): none of them is a close call."""
    rng = np.random.default_rng(11)

    def noise(wide: float) -> Any:
        return np.exp(rng.normal(0, wide, _ROUNDS))

    base = 100 * noise(0.01)
    yield "twice as fast on a quiet machine", "faster", (base, 50 * noise(0.01), 100 * noise(0.01))
    yield "a third slower on a quiet machine", "slower", (base, 133 * noise(0.01), 100 * noise(0.01))
    yield "the same code twice, on a noisy machine", "no difference seen", _same(rng)
    slow = np.where(np.arange(_ROUNDS) % 3 == 0, 1.8, 1.0) * np.linspace(1, 1.5, _ROUNDS)
    spells = (100 * slow * noise(0.01), 93 * slow * noise(0.01), 100 * slow * noise(0.01))
    yield "a little faster, while slow spells hit every contender of a round alike", "faster", spells
    yield (
        "faster by less than where code happens to lie in memory",
        "no difference seen",
        (
            100 * noise(0.0002),
            99.8 * noise(0.0002),
            100 * noise(0.0002),
        ),
    )
    lucky = (100 * noise(0.002), 96 * noise(0.002), 95.5 * noise(0.002))
    yield "faster than the base, but so is its second copy", "no difference seen", lucky
    yield (
        "slower than the base, but so is its second copy",
        "no difference seen",
        (1e4 / lucky[0], 1e4 / lucky[1], 1e4 / lucky[2]),
    )


def _same(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Three noisy series of the same thing, of which the second has the better median all the same."""
    while True:
        base, other, again = (100 * np.exp(rng.normal(0, 0.08, _ROUNDS)) for _ in range(3))
        found = Paired.of(base, other, again)
        if found.outcome == "no difference seen" and np.median(other) < 0.985 * np.median(base) and found.ratio.contains(1.0):
            return base, other, again
