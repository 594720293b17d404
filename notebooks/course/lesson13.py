"""Exercises of lesson 13, what a microsecond is worth: the value of a distribution, and an interval that holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from course.exercise import Step, exercise

#: Simulated days, minutes of each, attempts in a minute, and the difference that is planted.
DAYS, MINUTES, EACH, PLANTED = 60, 40, 25, 0.2
#: Of so many days the interval must hold the planted difference, and it may be so many times as wide as a right one.
MUST_HOLD, WIDEST = 51, 1.5


@exercise("13.1", "The value of a distribution", minutes=10)
def value_of_a_distribution(worth: Callable[[Any, float], float]) -> Iterator[Step]:
    """A function (latencies in ns, mean reaction of the rival in ns) -> probability of coming first."""
    same = float(worth(np.full(10, 100_000.0), 100_000.0))
    message = f"ten latencies, each as long as the mean reaction: {same:.4f}, expected {np.exp(-1):.4f}"
    yield Step.claim("correct", abs(same - np.exp(-1)) < 1e-6, message)
    two = float(worth(np.array([0.0, 1e9]), 100_000.0))
    message = f"half of the orders at once, half a second late: {two:.4f}, expected 0.5000: the mean latency is nobody's latency"
    yield Step.claim("correct", abs(two - 0.5) < 1e-6, message)
    for seed in range(3):
        drawn = np.random.default_rng(seed).lognormal(10, 2, 2_000)
        got, expected = float(worth(drawn, 50_000.0)), float(np.exp(-drawn / 50_000.0).mean())
        yield Step.claim("correct", abs(got - expected) < 1e-6, f"2,000 measured latencies: {got:.4f}, expected {expected:.4f}")


def simulated_day(seed: int) -> tuple[Any, Any, Any]:
    """What each attempt got early and late, and its minute. Minutes differ much, and in the difference, too."""
    random = np.random.default_rng(1_000 + seed)
    minute = np.repeat(np.arange(MINUTES), EACH)
    early = random.normal(0, 2, MINUTES)[minute] + random.normal(0, 1, len(minute))
    late = early + random.normal(PLANTED, 0.3, MINUTES)[minute] + random.normal(0, 0.1, len(minute))
    return early, late, minute


def right_width(early: Any, late: Any, minute: Any) -> float:
    """Of an interval over the means of the minutes, by the normal distribution."""
    means = np.bincount(minute, late - early) / EACH
    return float(2 * 1.96 * means.std(ddof=1) / np.sqrt(len(means)))


@exercise("13.2", "An interval that holds", minutes=20)
def interval_that_holds(interval: Callable[[Any, Any, Any], tuple[float, float]]) -> Iterator[Step]:
    """A function (early, late, minute) -> (low, high), 95 %, of the mean of late - early."""
    held, wide, right = 0, [], []
    for seed in range(DAYS):
        day = simulated_day(seed)
        low, high = (float(each) for each in interval(*day))
        if not low < high:
            yield Step.claim("correct", False, f"low must be below high, got {low:.4f} and {high:.4f}")
            return
        held += low <= PLANTED <= high
        wide.append(high - low)
        right.append(right_width(*day))
    message = f"the planted difference lies in {held} of {DAYS} intervals; it must be {MUST_HOLD} or more"
    hint = "" if held >= MUST_HOLD else ": attempts of one minute are alike, so draw whole minutes"
    yield Step.claim("holds", held >= MUST_HOLD, message + hint)
    ratio = float(np.median(wide) / np.median(right))
    message = f"{ratio:.2f} times as wide as needed; at most {WIDEST}"
    hint = "" if ratio <= WIDEST else ": both saw the same events, so take the difference of each pair first"
    yield Step.claim("paired", ratio <= WIDEST, message + hint)
