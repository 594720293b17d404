"""What a paired difference is worth: block bootstrap over time, and a correction for the number of comparisons.

Attempts of the same minutes are not independent, so whole blocks of time are drawn, with all that happened in them, for every
latency alike. The rate of a latency is the sum over the blocks drawn of what it got, by the sum of what was tried. The intervals
are studentised (Efron and Tibshirani 1993, chapter 12): a plain percentile interval over some dozens of blocks is too short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Blocks with an attempt below which no interval is given; and draws of the bootstrap.
MIN_BLOCKS, DRAWS = 10, 4_000
LEVEL = 0.95


class Verdict(Enum):
    """What a difference comes to, after the correction."""

    SAME = "no difference seen"
    HIGHER = "higher"
    LOWER = "lower"
    UNKNOWN = "too few blocks of time"


@dataclass(frozen=True)
class Difference:
    """A rate less that of the base. low, high: 95 %, of this comparison alone; NaN where there are too few blocks.

    p        : of no difference, by the same bootstrap
    adjusted : p for the number of comparisons made together (Holm 1979); the verdict goes by it
    """

    value: float
    low: float
    high: float
    p: float
    adjusted: float

    @property
    def verdict(self) -> Verdict:
        if self.p != self.p:
            return Verdict.UNKNOWN
        if self.adjusted >= 1 - LEVEL:
            return Verdict.SAME
        return Verdict.HIGHER if self.value > 0 else Verdict.LOWER


def block_of(times_ns: NDArray[Any], blocks: int) -> NDArray[np.int64]:
    """The number of the block, equal spans from the first to the last, that each time falls into: (n,) int64."""
    if not len(times_ns):
        return np.zeros(0, np.int64)
    first, last = int(times_ns.min()), int(times_ns.max())
    return ((times_ns.astype(np.int64) - first) * blocks // (last - first + 1)).astype(np.int64)


def sums(blocks: NDArray[np.int64], values: NDArray[Any], count: int) -> Floats:
    """Sums of values by block, (count,) float64."""
    return np.bincount(blocks, np.asarray(values, np.float64), minlength=count).astype(np.float64)


def compare(
    base: tuple[Floats, Floats], others: Sequence[tuple[Floats, Floats]], seed: int = 1, busy: int | None = None
) -> list[Difference]:
    """Each of the others less the base, by sums per block.

    base, others : (got, tried), each (blocks,) float64; a rate is the sum of got by that of tried
    seed         : of the draws; busy: blocks with an attempt, default those where something was tried
    """
    tried = base[1] + sum((other[1] for other in others), np.zeros_like(base[1]))
    used = tried > 0
    n = int(used.sum())
    picks = np.random.default_rng(seed).integers(0, n, (DRAWS, n)) if (n if busy is None else busy) >= MIN_BLOCKS else None
    raw = [_difference(_used(base, used), _used(other, used), picks) for other in others]
    return adjust(raw)


def _used(pair: tuple[Floats, Floats], used: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    return pair[0][used], pair[1][used]


def _rate(got: Any, tried: Any) -> Any:
    return np.divide(got, tried, out=np.zeros_like(np.asarray(got, np.float64)), where=np.asarray(tried) > 0)


def _difference(base: tuple[Floats, Floats], other: tuple[Floats, Floats], picks: NDArray[np.int64] | None) -> Difference:
    """One difference with its interval and p, not yet adjusted."""
    value = float(_rate(other[0].sum(), other[1].sum()) - _rate(base[0].sum(), base[1].sum()))
    if picks is None:
        return Difference(value, np.nan, np.nan, np.nan, np.nan)
    drawn, error = _estimates(base, other, picks)
    own, own_error = _estimates(base, other, np.arange(len(base[0]))[None, :])
    if own_error[0] <= 1e-15 * max(1.0, abs(value)):  # every block says the same
        p = 1.0 if abs(value) < 1e-15 else 0.0
        return Difference(value, value, value, p, p)
    usable = error > 0
    t = (drawn[usable] - own[0]) / error[usable]
    low, high = np.quantile(t, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    observed = value / own_error[0]
    tail = min(np.mean(t >= observed), np.mean(t <= observed))
    p = float(min(1.0, 2 * (tail * len(t) + 1) / (len(t) + 1)))
    return Difference(value, float(value - high * own_error[0]), float(value - low * own_error[0]), p, p)


def _estimates(base: tuple[Floats, Floats], other: tuple[Floats, Floats], picks: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Of each draw of blocks: the difference of the rates and its standard error, by the linearised ratio."""
    n = picks.shape[1]
    rates, residuals = [], []
    for got, tried in (base, other):
        g, t = got[picks], tried[picks]
        rate = _rate(g.sum(1), t.sum(1))
        mean = np.maximum(t.mean(1), 1e-300)
        rates.append(rate)
        residuals.append((g - rate[:, None] * t) / mean[:, None])
    apart = residuals[1] - residuals[0]
    return rates[1] - rates[0], np.sqrt((apart**2).sum(1) / (n - 1) / n)


def adjust(differences: Sequence[Difference]) -> list[Difference]:
    """Holm's step-down correction over all of them: no more than 5 % of such families hold one false difference."""
    known = sorted((each.p, at) for at, each in enumerate(differences) if each.p == each.p)
    out, running = list(differences), 0.0
    for rank, (p, at) in enumerate(known):
        running = max(running, min(1.0, p * (len(known) - rank)))
        each = differences[at]
        out[at] = Difference(each.value, each.low, each.high, each.p, running)
    return out
