"""Paired measuring: contenders interleaved in random order, ratios round by round, and the A/A noise floor.

    round 1:  b  a  a'  c        a against b, c        the ratio of the same round: a slow spell of the machine hits both
    round 2:  a' c  b   a        a against a'          the A/A control: what of a ratio is the machine's own doing
    ...

Two workloads measured one after the other differ even if they are the same. Here each round runs every contender once, and the
median ratio over the rounds comes with its confidence interval.

Why the median of the ratios, and why random order: if two contenders are the same, chance alone says which of them ran when, so
each ratio of a round is as likely above 1 as below, whatever the machine does meanwhile: slow spells and heavy tails make a
ratio large, not one-sided. A ratio against the mean of both copies of the base would be less noisy, and biased by every spike.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from math import comb
from typing import Any, TypeVar

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.session import Session
from hftlab.errors import ConfigError, check_range
from hftlab.feeds.feed import Feed, cut
from hftlab.presentation.progress import track

CONFIDENCE = 0.95
SMALLEST = 0.005  # where code happens to lie in memory moves a ratio by as much, whatever it does
MIN_ROUNDS, MAX_ROUNDS = 3, 1_000
ENOUGH_ROUNDS = 6  # of fewer, even the range of all values holds the median less often than 95 % of the time

#: A pass shorter than this is run three times a round, and the fastest counts: where something else takes the core now and then,
#: it hits a whole short pass or none of it. All contenders and their controls are treated alike.
SHORT_NS, SHORT_PASSES = 50_000_000, 3

Series = np.ndarray[Any, Any]
Name = TypeVar("Name", bound=Hashable)


class Outcome(StrEnum):
    """What a comparison found."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "no difference seen"


@dataclass(frozen=True)
class Interval:
    """A median over rounds, and the interval that holds the true one with the confidence `level`.

    level : 0.95; None for fewer than 6 rounds, of which no interval can be made: then low and high are their range
    """

    median: float
    low: float
    high: float
    level: float | None = CONFIDENCE

    @classmethod
    def of(cls, values: Series) -> Interval:
        """Of one value per round, (n,) float, whatever their distribution.

        Interpolated order statistics (Hettmansperger and Sheather 1986, Statistics & Probability Letters 4, 75-79). Simulated,
        1,500 samples each of 6 to 41 rounds, normal, Student t with 3 degrees, lognormal: the interval held the true median
        93.9 to 95.8 % of the time; a bootstrap of the median 86 to 94 %.
        """
        ordered, n = np.sort(np.asarray(values, np.float64)), len(values)
        middle = float(np.median(ordered))
        if n < ENOUGH_ROUNDS:
            return cls(middle, float(ordered[0]), float(ordered[-1]), None)
        rank = max(rank for rank in range(1, n // 2 + 1) if _coverage(n, rank) >= CONFIDENCE)
        wide, narrow = _coverage(n, rank), _coverage(n, rank + 1)
        share = (wide - CONFIDENCE) / (wide - narrow)
        inward = (n - rank) * share / (rank + (n - 2 * rank) * share)
        low = (1 - inward) * ordered[rank - 1] + inward * ordered[rank]
        high = (1 - inward) * ordered[n - rank] + inward * ordered[n - rank - 1]
        return cls(middle, float(low), float(high))

    @property
    def side(self) -> int:
        """1 if it lies above 1, -1 if below, 0 if it holds 1."""
        return (self.low > 1) - (self.high < 1)

    def contains(self, value: float) -> bool:
        """Whether a value lies in the interval."""
        return self.low <= value <= self.high

    def widened(self, low: float, high: float) -> Interval:
        """Widened, if need be, so that `low` and `high` lie within."""
        return Interval(self.median, min(self.low, low), max(self.high, high), self.level)

    def inverse(self) -> Interval:
        """Of the ratio the other way round."""
        return Interval(1 / self.median, 1 / self.high, 1 / self.low, self.level)

    def columns(self, name: str) -> dict[str, float]:
        """Columns of a frame: the median by `name`, low, high."""
        return {name: self.median, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        digits = 2 if abs(self.median - 1) > 0.1 else 3  # next to 1, two decimals would hide the interval
        spread = f"[{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return f"{self.median:.{digits}f}x {spread if self.level else f'range {spread}'}"


def _coverage(n: int, rank: int) -> float:
    """How often the rank-th smallest and the rank-th greatest of n values have the median between them."""
    return float(1 - 2 * sum(comb(n, k) for k in range(rank)) / 2**n)


@dataclass(frozen=True)
class Paired:
    """One contender against its base in one metric, paired round by round.

    base_ns, ns : medians, ns per message
    ratio       : base / contender; above 1 the contender is faster
    control     : the ratio of the base to its second copy, which is the same thing: the A/A noise floor
    again       : the second copy of the base / contender; None where there is none

    A difference is one that both copies of the base show, either interval on the same side of 1, and that lies outside of the
    control's interval and more than half a percent from 1. How often that is wrong, and what it finds, was simulated, 500
    comparisons each, 1,500 of them A/A. Calm: a heavy tail of 1 %. Shared: drift, slow spells of up to 2.7 times that last some
    passes, spikes, heavy tails. The last columns are another rule: that the interval of `ratio` alone excludes 1.

    machine  rounds  width    wrong (A/A)  finds 5 %  finds 10 %    ratio alone: wrong
    calm     3       2.0 %    4.6 %        96 %       99 %          26 %
    calm     7       2.3 %    0.3 %        99 %       100 %         6 %
    calm     21      1.1 %    0.2 %        100 %      100 %         6 %
    shared   3       9.9 %    5.3 %        36 %       55 %          26 %
    shared   7       17 %     0.1 %        20 %       37 %          5 %
    shared   11      7.3 %    0.2 %        50 %       79 %          5 %
    shared   21      4.6 %    0.3 %        89 %       99 %          4 %
    shared   41      3.1 %    0.3 %        100 %      100 %         5 %
    """

    base_ns: float
    ns: float
    ratio: Interval
    control: Interval
    again: Interval | None = None

    @classmethod
    def of(cls, base: Series, other: Series, again: Series) -> Paired:
        """Compare series of the same rounds, ns per message; `again` is the second copy of the base."""
        ratio, second, control = (Interval.of(ratios) for ratios in (base / other, again / other, base / again))
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

    @property
    def judgement(self) -> str:
        """The verdict for a table; a control that excludes 1 is named beside it."""
        return f"{self.verdict}; the A/A control excludes 1" if self.control.side else self.verdict

    def record(self) -> dict[str, Any]:
        """Columns of a frame: ratio, low, high, verdict."""
        return {**self.ratio.columns("ratio"), "verdict": self.verdict}


def interleave(
    contenders: Mapping[Name, Callable[[], float | Series]], rounds: int, seed: int = 1, what: str = "rounds"
) -> dict[Name, Series]:
    """Run every contender once a round, in a new random order each; returns the values of each, (rounds,) float64 by name.

    contenders : each runs its work once and returns ns per message (or any other number, or (k,) of them: then (rounds, k))
    rounds     : 3 to 1000; one more is run first, to warm up, and not counted
    what       : names the rounds where progress is shown
    raises     : ConfigError
    """
    check_rounds(rounds)
    order, names = random.Random(seed), list(contenders)
    collected: dict[Name, list[float | Series]] = {name: [] for name in names}
    with gc_paused():
        for number in track(range(rounds + 1), what):
            for name in order.sample(names, len(names)):
                value = contenders[name]()
                if number:
                    collected[name].append(value)
    return {name: np.array(values) for name, values in collected.items()}


def run_paired(
    engines: Mapping[Any, Engine],
    feed: Feed,
    rounds: int,
    seed: int = 1,
    *,
    twice: Iterable[Any] = (),
    beside: Mapping[Any, tuple[Engine, Feed]] | None = None,
    what: str = "rounds",
) -> dict[tuple[Any, int], Series]:
    """Run engines over a feed, unstamped and interleaved; ns per message of each round by (name, copy).

    twice  : whatever others are compared with has a second copy, 1, its A/A control; the first one is 0
    beside : more engines, each with a feed of its own, in the same rounds
    """
    short = max(engine.run(feed, record="none").elapsed_ns for engine in engines.values()) < SHORT_NS
    passes = SHORT_PASSES if short else 1

    def fastest(engine: Engine, feed: Feed) -> Callable[[], float]:
        return lambda: min(engine.run(feed, record="none").ns_per_message for _ in range(passes))

    contenders = {(name, 0): fastest(engine, feed) for name, engine in engines.items()}
    contenders |= {(name, 1): fastest(engines[name], feed) for name in twice}
    contenders |= {(name, 0): fastest(*given) for name, given in (beside or {}).items()}
    return interleave(contenders, rounds, seed, what)


def run_pieces(
    engines: Mapping[Name, Engine], feed: Feed, rounds: int, messages: int, seed: int = 1, what: str = "rounds"
) -> tuple[dict[Name, Series], dict[Name, Session]]:
    """Sessions that stay: each fills its book with the warm-up of the feed; each round pushes the next `messages` of the rest.

    For a market of which filling the books takes longer than what is measured. Returns ns per message of each round, in the
    engine's own loop, (rounds,) by name, and the sessions.

    raises : ConfigError for a feed too short for one more round than `rounds`
    """
    filling, rest = feed.parts()
    pieces = list(islice(cut(rest, every=messages), rounds + 1))
    if len(pieces) <= rounds:
        least = (rounds + 1) * messages
        raise ConfigError(f"{feed.name} must have {least:,} messages after its warm-up for {rounds} rounds")
    sessions = {name: engine.open(engine.settings(feed, record="none")) for name, engine in engines.items()}

    def pushes(session: Session) -> Callable[[], float]:
        push = session.push if feed.wire == "itch" else session.push_events
        if filling is not None:
            push(filling)
        left = iter(pieces)

        def once() -> float:
            before = session.elapsed_ns  # not `counters`, which counts the memory of a book that is then no longer in the caches
            push(next(left))
            return (session.elapsed_ns - before) / messages

        return once

    return interleave({name: pushes(session) for name, session in sessions.items()}, rounds, seed, what), sessions


def check_rounds(rounds: int) -> None:
    """Raise ConfigError for a number of rounds that cannot be compared."""
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
