"""Answers to the exercises of lessons 13 and 14: right ones, and wrong ones with the step and the words that reject them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from course.lesson14 import Happening, queue_fills

# 13, what a microsecond is worth


def worth(ns: Any, reaction_ns: float) -> float:
    return float(np.exp(-np.asarray(ns) / reaction_ns).mean())


def by_the_mean(ns: Any, reaction_ns: float) -> float:
    return float(np.exp(-np.mean(ns) / reaction_ns))


def by_the_median(ns: Any, reaction_ns: float) -> float:
    return float(np.exp(-np.median(ns) / reaction_ns))


def by_minutes(early: Any, late: Any, minute: Any) -> tuple[float, float]:
    means = np.bincount(minute, late - early) / np.bincount(minute)
    drawn = np.random.default_rng(1).choice(means, (2_000, len(means))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def by_attempts(early: Any, late: Any, minute: Any) -> tuple[float, float]:
    return by_minutes(early, late, np.arange(len(early)))


def unpaired(early: Any, late: Any, minute: Any) -> tuple[float, float]:
    apart = late.mean() - early.mean()
    error = np.sqrt(early.var() / len(early) + late.var() / len(late))
    return float(apart - 1.96 * error), float(apart + 1.96 * error)


def turned_round(early: Any, late: Any, minute: Any) -> tuple[float, float]:
    low, high = by_minutes(early, late, minute)
    return high, low


# 14, is my fill real


def touched(ahead: dict[int, int], events: Sequence[Happening], qty: int) -> list[int]:
    """The price traded, so I was filled."""
    return queue_fills({}, events, qty)


def front_after_a_cancel(ahead: dict[int, int], events: Sequence[Happening], qty: int) -> list[int]:
    gone = any(what in ("cancel", "delete") and order in ahead for what, order, _ in events)
    return queue_fills({} if gone else ahead, events, qty)


def shrinking_loses(ahead: dict[int, int], events: Sequence[Happening], qty: int) -> list[int]:
    return queue_fills(ahead, [("delete" if what == "cancel" else what, *rest) for what, *rest in events], qty)  # type: ignore[misc]


def growing_keeps(ahead: dict[int, int], events: Sequence[Happening], qty: int) -> list[int]:
    return queue_fills(ahead, [("add" if what == "grow" else what, *rest) for what, *rest in events], qty)  # type: ignore[misc]


def without_end(ahead: dict[int, int], events: Sequence[Happening], qty: int) -> list[int]:
    return queue_fills(ahead, events, 10**9)


def markouts(side: Any, price: Any, filled_ns: Any, mid_ns: Any, mid: Any, after_ns: int, tick: float) -> Any:
    later = mid[np.searchsorted(mid_ns, filled_ns + after_ns, side="right") - 1]
    return np.where(side == 1, 1, -1) * (later - price) / tick


def at_once(side: Any, price: Any, filled_ns: Any, mid_ns: Any, mid: Any, after_ns: int, tick: float) -> Any:
    return markouts(side, price, filled_ns, mid_ns, mid, 0, tick)


def without_side(side: Any, *rest: Any) -> Any:
    return markouts(np.ones_like(side), *rest)


def the_next_mid(side: Any, price: Any, filled_ns: Any, mid_ns: Any, mid: Any, after_ns: int, tick: float) -> Any:
    later = mid[np.minimum(np.searchsorted(mid_ns, filled_ns + after_ns), len(mid) - 1)]
    return np.where(side == 1, 1, -1) * (later - price) / tick


RIGHT: dict[str, Any] = {"13.1": worth, "13.2": by_minutes, "14.1": queue_fills, "14.2": markouts}

#: (exercise, answer, what the step that fails is about, what it must say)
WRONG: list[tuple[str, Any, str, str]] = [
    ("13.1", by_the_mean, "correct", "the mean latency is nobody's latency"),
    ("13.1", by_the_median, "correct", "the mean latency is nobody's latency"),
    ("13.1", lambda ns, reaction_ns: 0.5, "correct", "ten latencies"),
    ("13.2", by_attempts, "holds", "draw whole minutes"),
    ("13.2", unpaired, "paired", "take the difference of each pair"),
    ("13.2", turned_round, "correct", "low must be below high"),
    ("14.1", touched, "correct", "that is not yours"),
    ("14.1", front_after_a_cancel, "correct", "who is left is still ahead"),
    ("14.1", shrinking_loses, "correct", "keeps its place"),
    ("14.1", growing_keeps, "correct", "loses its place"),
    ("14.1", without_end, "correct", "no more than you asked for"),
    ("14.2", without_side, "correct", "sold at 99"),
    ("14.2", at_once, "correct", "when its time has come"),
    ("14.2", the_next_mid, "correct", "the one of 1,000"),
]
