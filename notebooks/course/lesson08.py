"""Exercises of lesson 08, signals: walk less, and the score of a whole day at once, to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from time import perf_counter_ns
from typing import Any

import numpy as np

from course.exercise import Step, exercise
from course.level_counter import LevelCount, walk
from hftlab.engine.engine import Engine, synthetic
from hftlab.settings import SignalConfig

SHARE = 0.25  # of the levels that walking the changed side reads; keeping the sum reads less than a sixth of them
TIMES = 3.0
#: Weights that are no powers of two: a product is then rounded, and its place in a formula shows.
HIDDEN = SignalConfig(weights=(0.3, 0.2, 0.35, 0.1, 0.05), k=700.0)


class ChangedSide:
    """The way of the Python engine: walk the side that changed."""

    def __init__(self, levels: int) -> None:
        self.levels, self.sums = levels, [0, 0]

    def changed(self, sides: Any, change: Any) -> tuple[int, int]:
        """The sums after a change."""
        self.sums[change.side] = sum(qty for _, qty in sides[change.side].best(self.levels))
        return self.sums[0], self.sums[1]


@cache
def reference(levels: int, seed: int) -> LevelCount:
    """The levels that ChangedSide reads, and the right sums."""
    return walk(synthetic("calm", 6_000, seed, symbols=1), ChangedSide, levels)


@exercise("08.1", "Walk less", minutes=15)
def walk_less(sums: Callable[[int], Any]) -> Iterator[Step]:
    """A class `Sums(levels)` with `changed(sides, change)`; see level_counter.py."""
    for levels, seed in ((5, 11), (1, 12), (20, 13)):
        right = reference(levels, seed)
        mine = walk(synthetic("calm", 6_000, seed, symbols=1), sums, levels)
        wrong = [place for place, (one, other) in enumerate(zip(mine.sums, right.sums, strict=True)) if one != other]
        message = f"the sums of the best {levels} levels after each of {right.events:,} changes"
        if wrong:
            at = wrong[0]
            message += f" are wrong from change {at:,} on: {mine.sums[at]}, expected {right.sums[at]}"
        yield Step.claim("correct", not wrong, message)
        if levels == 5:
            base, counted = right, mine
    message = f"{counted.levels_read:,} levels read, walking the changed side reads {base.levels_read:,}"
    yield Step.claim(
        "less", counted.levels_read < SHARE * base.levels_read, f"{message}; it must be less than {SHARE:.0%} of that"
    )


def score(columns: Mapping[str, Any], config: SignalConfig, row: int) -> float:
    """The contract, one row at a time."""
    mid, spread, micro, near, deep, ofi, flow = (
        float(columns[name][row]) for name in ("mid", "spread", "microprice", "imbalance", "depth_imbalance", "ofi", "flow")
    )
    w0, w1, w2, w3, w4 = config.weights
    if not spread > 0:
        return 0.0
    total = w0 * near + w1 * deep + (w2 * (micro - mid)) / spread + (w3 * ofi) / (abs(ofi) + config.k)
    total += (w4 * flow) / (abs(flow) + config.k)
    return total if total == total else 0.0


@cache
def day() -> tuple[dict[str, Any], Any, float]:
    """Columns of a run, the right scores, and the ns that the loop over the rows takes."""
    columns = Engine("python", signal_config=HIDDEN).run(synthetic("calm", 5_000, 21)).columns
    columns = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    right = columns.pop("score")
    start = perf_counter_ns()
    for row in range(len(right)):
        score(columns, HIDDEN, row)
    return columns, right, perf_counter_ns() - start


@exercise("08.2", "The score of a whole day, to the last bit", minutes=15)
def whole_day(scores: Callable[[Mapping[str, Any], SignalConfig], Any]) -> Iterator[Step]:
    """A function (columns, config) -> (n,) float64."""
    columns, right, loop_ns = day()
    took = []
    with np.errstate(all="ignore"):
        for _ in range(3):
            start = perf_counter_ns()
            given = scores(columns, HIDDEN)
            took.append(perf_counter_ns() - start)
    got = np.asarray(given, np.float64)
    yield Step.expect("correct", got.shape, right.shape, "shape of the scores")
    lacking = int(np.isnan(got).sum())
    yield Step.expect("correct", lacking, 0, "scores that are NaN (0.0 if any term is NaN or the spread is not above 0)")
    near = bool(np.allclose(got, right, rtol=1e-9, atol=1e-9))
    yield Step.claim("correct", near, "the scores " + ("are right to nine digits" if near else "are not those of the contract"))
    wrong = np.flatnonzero(got.view(np.int64) != right.view(np.int64))
    message = f"{len(wrong):,} of {len(right):,} scores differ in their bits"
    if len(wrong):
        message += f"; the first at row {wrong[0]}: {float(got[wrong[0]])!r}, expected {float(right[wrong[0]])!r}"
    yield Step.claim("same bits", not len(wrong), message)
    ratio = loop_ns / min(took)
    yield Step.claim(
        "faster", ratio > TIMES, f"{ratio:.1f} times as fast as a loop over the rows; it must be more than {TIMES:.0f}"
    )
