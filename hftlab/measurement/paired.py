"""Paired measuring: contenders interleaved in random order, ratios round by round, and the A/A noise floor.

    round 1:  b  a  a'  c        a against b, c        the ratio of the same round: a slow spell of the machine hits both
    round 2:  a' c  b   a        a against a'          the A/A control: what of a ratio is the machine's own doing
    ...

Two workloads measured one after the other differ even if they are the same. Here each round runs every contender once, and the
median ratio over the rounds comes with a bootstrap confidence interval.

Why the median of the ratios, and why random order: if two contenders are the same, chance alone says which of them ran when, so
each ratio of a round is as likely above 1 as below, whatever the machine does meanwhile: slow spells and heavy tails make a
ratio large, not one-sided. A ratio against the mean of both copies of the base would be less noisy, and biased by every spike.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from hftlab.errors import check_range
from hftlab.presentation.progress import track

RESAMPLES = 10_000
CONFIDENCE = 0.95
SMALLEST = 0.005  # where code happens to lie in memory moves a ratio by as much, whatever it does
MIN_ROUNDS, MAX_ROUNDS = 3, 1_000  # of fewer, no interval can be made

Series = np.ndarray[Any, Any]
Name = TypeVar("Name", bound=Hashable)


class Outcome(StrEnum):
    """What a comparison found."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "no difference seen"


@dataclass(frozen=True)
class Interval:
    """A median, and the interval in which it lies with 95 % confidence."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Series, seed: int = 1) -> Interval:
        """Bootstrap: the median of 10,000 resamples of `values`, (n,) float; the same seed gives the same interval."""
        drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
        medians = np.median(np.asarray(values)[drawn], axis=1)
        low, high = np.quantile(medians, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return cls(float(np.median(values)), float(low), float(high))

    @property
    def side(self) -> int:
        """1 if it lies above 1, -1 if below, 0 if it holds 1."""
        return (self.low > 1) - (self.high < 1)

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high

    def widened(self, low: float, high: float) -> Interval:
        """Widened, if need be, so that `low` and `high` lie within."""
        return Interval(self.median, min(self.low, low), max(self.high, high))

    def inverse(self) -> Interval:
        return Interval(1 / self.median, 1 / self.high, 1 / self.low)

    def to_dict(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        digits = 2 if abs(self.median - 1) > 0.1 else 3  # next to 1, two decimals would hide the interval
        return f"{self.median:.{digits}f}x [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True)
class Paired:
    """One contender against its base in one metric, paired round by round.

    base_ns, ns : medians, ns per message
    ratio       : base / contender; above 1 the contender is faster
    control     : the ratio of the base to its second copy, which is the same thing: the A/A noise floor
    again       : the second copy of the base / contender; None where there is none

    A difference is one that both copies of the base show, either interval on the same side of 1, and that lies outside of the
    control's interval and more than half a percent from 1. How often that is wrong, and what it finds, was simulated, 500
    comparisons each, 1500 of them A/A: drift, slow spells of up to 2.7 times that last some passes, spikes, heavy tails. The last
    columns are two other rules: the interval of `ratio` alone, and that it does not overlap the control's.

    machine  rounds  width    wrong (A/A)  finds 5 %  finds 10 %    ratio alone: wrong    no overlap: wrong, finds 10 %
    calm     21      1.8 %    0.8 %        100 %      100 %         9 %                   0.3 %  100 %
    usual    3       31 %     4.5 %        37 %       59 %          26 %                  2.5 %  52 %
    usual    7       13 %     1.1 %        48 %       76 %          13 %                  0.4 %  71 %
    usual    21      4.2 %    0.9 %        93 %       100 %         8 %                   0.3 %  99 %
    usual    41      3.1 %    0.3 %        100 %      100 %         6 %                   0.1 %  100 %
    rough    21      16 %     0.6 %        11 %       45 %          9 %                   0.2 %  19 %
    rough    41      11 %     0.3 %        22 %       81 %          6 %                   0.0 %  39 %
    """

    base_ns: float
    ns: float
    ratio: Interval
    control: Interval
    again: Interval | None = None

    @classmethod
    def of(cls, base: Series, other: Series, again: Series, seed: int = 1) -> Paired:
        """Compare series of the same rounds, ns per message; `again` is the second copy of the base."""
        ratio, second, control = (Interval.of(one, seed) for one in (base / other, again / other, base / again))
        return cls(float(np.median(base)), float(np.median(other)), ratio, control, second)

    @property
    def noise_band(self) -> Interval:
        """The control, widened to half a percent around 1: where the ratio of two equal contenders may lie."""
        return self.control.widened(1 - SMALLEST, 1 + SMALLEST)

    @property
    def outcome(self) -> Outcome:
        """Of the contender against its base; the class says by which rule."""
        sides = {interval.side for interval in (self.ratio, self.again) if interval}
        if len(sides) > 1 or not self.ratio.side or self.noise_band.contains(self.ratio.median):
            return Outcome.SAME
        return Outcome.FASTER if self.ratio.side > 0 else Outcome.SLOWER

    @property
    def verdict(self) -> str:
        """The outcome with its numbers: "faster 2.31x [2.24, 2.38]"; "slower 2.00x" takes twice the time."""
        ratio = {Outcome.FASTER: f" {self.ratio}", Outcome.SLOWER: f" {self.ratio.inverse()}"}
        return self.outcome.value + ratio.get(self.outcome, "")

    def to_dict(self) -> dict[str, Any]:
        return {
            "base_ns_per_message": self.base_ns,
            "ns_per_message": self.ns,
            "ratio": self.ratio.median,
            "low": self.ratio.low,
            "high": self.ratio.high,
            "verdict": self.verdict,
        }


def interleave(
    contenders: Mapping[Name, Callable[[], float | Series]], rounds: int, seed: int = 1, what: str = "rounds"
) -> dict[Name, Series]:
    """Run every contender once a round, in a new random order each; returns what each gave, (rounds,) float64 by name.

    contenders : each runs its work once and returns ns per message (or any other number, or (k,) of them: then (rounds, k))
    rounds     : 3 to 1000; one more is run first, to warm up, and not counted
    what       : names the rounds where progress is shown
    raises     : ConfigError
    """
    check_rounds(rounds)
    order, names = random.Random(seed), list(contenders)
    seen: dict[Name, list[float | Series]] = {name: [] for name in names}
    with gc_paused():
        for number in track(range(rounds + 1), what):
            for name in order.sample(names, len(names)):
                value = contenders[name]()
                if number:
                    seen[name].append(value)
    return {name: np.array(values) for name, values in seen.items()}


def check_rounds(rounds: int) -> None:
    """Raise ConfigError if so many rounds cannot be compared."""
    check_range("rounds", rounds, MIN_ROUNDS, MAX_ROUNDS)


@contextmanager
def gc_paused() -> Iterator[None]:
    """No garbage collection within: one of the bench's own garbage would be booked on a contender."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
