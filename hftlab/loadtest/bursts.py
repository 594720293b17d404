"""Microbursts: for a few milliseconds the load is ten to a hundred times what it was. How long does the queue grow and last?

    base load ....|||||||||||||||||||.... base load
                  burst             `--- drain: from when the last call of the burst was due until nothing is due any more

Theory beside it, for a server that does C calls/s, a burst of n calls at r > C and a base of b: the queue grows to n(1 - C/r) and
is worked off in that many calls at C - b a second (the fluid approximation; Kleinrock, Queueing Systems II, ch. 2).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.callable_module import make_callable
from hftlab.engine.engine import synthetic
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.loadtest.schedule import Times, burst_at, idle_again, waiting
from hftlab.loadtest.target import Driven, Target, Work
from hftlab.loadtest.targets import flat_out, targets_of
from hftlab.measurement.distribution import Distribution
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import gc_paused
from hftlab.measurement.result import Result
from hftlab.presentation.progress import track

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-stress-bursts/1"
FACTORS = (10, 30, 100)
PERCENTILES = {"p50": "p50", "p99": "p99", "p99.9": "p99.9"}
_LEAD = 100  # calls before the burst
_POINTS = 150  # of a line of the chart
_FLAT_OUT_S = 0.1  # of a run


@dataclass(frozen=True)
class Burst:
    """One target and factor over some rounds.

    base, rate     : calls/s before and after the burst, and in it
    capacity       : calls/s of the target flat out, which the theory is told
    calls          : of the burst
    peak, drain_ns : longest queue; time from when the last call of the burst was due until the queue was gone; by round
    response       : of the calls of the burst, from when they were due, ns, all rounds together
    queue          : (ms since the burst began, calls waiting) of the round whose drain is the median
    """

    target: str
    factor: float
    base: float
    rate: float
    capacity: float
    calls: int
    peak: tuple[int, ...]
    drain_ns: tuple[int, ...]
    response: Distribution
    queue: tuple[tuple[float, int], ...]

    @property
    def peak_theory(self) -> float:
        return max(0.0, self.calls * (1 - self.capacity / self.rate))

    @property
    def drain_theory_ns(self) -> float:
        """NaN where the base alone is more than the target can do."""
        return self.peak_theory * 1e9 / (self.capacity - self.base) if self.capacity > self.base else float("nan")

    def row(self) -> dict[str, Any]:
        """One row of `Bursts.frame`."""
        return {
            "target": self.target,
            "factor": self.factor,
            "base_per_s": self.base,
            "burst_per_s": self.rate,
            "load": self.rate / self.capacity,
            "calls": self.calls,
            "peak_queue": median(self.peak),
            "peak_low": min(self.peak),
            "peak_high": max(self.peak),
            "peak_theory": self.peak_theory,
            "drain_ns": median(self.drain_ns),
            "drain_low": min(self.drain_ns),
            "drain_high": max(self.drain_ns),
            "drain_theory_ns": self.drain_theory_ns,
            **{name: self.response.percentiles[key] for name, key in PERCENTILES.items()},
            "max": self.response.max,
            "n": self.response.n,
        }


@dataclass(frozen=True)
class Bursts(Result):
    """Every target under every factor."""

    feed: str
    length_ms: float
    rounds: int
    machine: dict[str, Any]
    bursts: tuple[Burst, ...]

    def frame(self) -> pl.DataFrame:
        """One row per target and factor: target, factor, base_per_s, burst_per_s, load (burst / capacity), calls, peak_queue
        (median, peak_low and peak_high over the rounds, peak_theory), drain_ns (likewise), p50, p99, p99.9, max (response of
        the calls of the burst, ns; null where the sample is too small), n."""
        import polars as pl

        return pl.DataFrame([burst.row() for burst in self.bursts], schema_overrides=dict.fromkeys(PERCENTILES, pl.Float64))

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "feed": self.feed,
            "length_ms": self.length_ms,
            "rounds": self.rounds,
            "machine": self.machine,
            "bursts": [burst.row() for burst in self.bursts],
        }

    def plot(self) -> Any:
        """The queue during and after the burst, a panel per target."""
        import polars as pl

        from hftlab.charts import burst_chart

        rows = [(one.target, f"{one.factor:g}x", ms, depth) for one in self.bursts for ms, depth in one.queue]
        frame = pl.DataFrame(rows, schema=["target", "series", "ms", "waiting"], orient="row")
        return burst_chart(frame, self.length_ms, f"{self.feed}; the round of the median drain, of {self.rounds}")

    def lines(self) -> list[str]:
        """What it says, a sentence each."""
        out = [f"bursts of {self.length_ms:g} ms over an even base: {self.feed}, {self.rounds} rounds"]
        for one in self.bursts:
            row = one.row()
            out.append(
                f"{one.target}: {one.factor:g}x ({row['load']:.0%} of its capacity, {one.calls:,} calls): at most "
                f"{row['peak_queue']:,.0f} waiting (theory {one.peak_theory:,.0f}), gone {row['drain_ns'] / 1e6:,.2f} ms after "
                f"it (theory {one.drain_theory_ns / 1e6:,.2f}), slowest {one.response.max / 1e6:,.2f} ms"
            )
        return [*out, describe(self.machine)]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Bursts: {len(self.bursts)} of {self.length_ms:g} ms>"


def bursts(
    targets: Iterable[Any] | None = None,
    feed: Feed | None = None,
    *,
    factors: Iterable[float] = FACTORS,
    base: float = 0.05,
    length_ms: float = 5.0,
    capacity: Mapping[str, float] | None = None,
    rounds: int = 5,
    warm: int = 20_000,
    seed: int = 1,
) -> Bursts:
    """Put every target under bursts of each factor.

    targets   : as for `hftlab.loadtest.sweep`
    base      : load before and after the burst, share of the capacity, above 0 and below 1; factors: times that, in the burst
    length_ms : of a burst
    capacity  : calls/s by label; what is missing is measured flat out
    raises    : ConfigError for a number out of range, or a burst of fewer than two calls; HftlabError as `sweep`
    """
    factors = tuple(factors)
    if not 0 < base < 1 or not factors or min(factors) < 1 or not 0 < length_ms <= 1_000 or rounds < 1:
        raise ConfigError(
            f"bursts of {length_ms} ms, {factors} times a base of {base}, {rounds} rounds; "
            "allowed are above 0 to 1000 ms, factors from 1, a base between 0 and 1, and 1 round or more"
        )
    with gc_paused():
        found, rates = _rates(targets, feed, capacity or {}, warm, rounds, seed)
        plans = {(label, factor): _plan(rate, base, factor, length_ms) for label, rate in rates.items() for factor in factors}
        most = max(len(due) for due, _ in plans.values())
        work = Work.of(feed or synthetic("calm", most + warm, seed), warm, most)
        if len(work.calls) < most:
            raise ConfigError(
                f"{work.name} has {len(work.calls):,} messages after {warm:,} to warm up; these bursts need {most:,}"
            )
        seen: dict[tuple[str, float], list[Driven]] = {cell: [] for cell in plans}
        order, named = random.Random(seed), {target.label: target for target in found}
        for _ in track(range(rounds), "bursts"):
            for label, factor in order.sample(list(plans), len(plans)):
                seen[label, factor].append(work.drive(named[label], plans[label, factor][0]))
    made = [_burst(cell, base, rates[cell[0]], plans[cell][1], runs) for cell, runs in seen.items()]
    return Bursts(work.name, length_ms, rounds, fingerprint(), tuple(made))


def _rates(
    targets: Iterable[Any] | None, feed: Feed | None, known: Mapping[str, float], warm: int, rounds: int, seed: int
) -> tuple[list[Target], dict[str, float]]:
    """The targets, and what each does flat out, calls/s."""
    work = Work.of(feed or synthetic("calm", 20_000 + warm, seed), warm, 20_000)
    found = targets_of(targets, work)
    return found, {one.label: known.get(one.label) or flat_out(one, work, rounds, _FLAT_OUT_S) for one in found}


def _plan(capacity: float, base: float, factor: float, length_ms: float) -> tuple[Times, slice]:
    """When the calls are due, and which are the burst; the base goes on for half as long again as the drain shall take."""
    low, high = base * capacity, base * capacity * factor
    drained = max(0.0, high * length_ms / 1e3 * (1 - capacity / high)) / (capacity - low)
    return burst_at(low, factor, length_ms * 1e6, _LEAD, _LEAD + int(1.5 * drained * low))


def _burst(cell: tuple[str, float], base: float, capacity: float, part: slice, runs: Sequence[Driven]) -> Burst:
    peaks = [int(waiting(run.due[part], run.due, run.done).max()) for run in runs]
    ends = [idle_again(run.due, run.done, part.stop - 1) for run in runs]
    drains = [end - int(run.due[part.stop - 1]) for end, run in zip(ends, runs, strict=True)]
    response = np.concatenate([run.response[part] for run in runs])
    middle = int(np.argsort(drains)[(len(drains) - 1) // 2])
    return Burst(
        target=cell[0],
        factor=cell[1],
        base=base * capacity,
        rate=base * capacity * cell[1],
        capacity=capacity,
        calls=part.stop - part.start,
        peak=tuple(peaks),
        drain_ns=tuple(drains),
        response=Distribution.of("total", response),
        queue=tuple(_line(runs[middle], part, ends[middle])),
    )


def _line(run: Driven, part: slice, end: int) -> Iterator[tuple[float, int]]:
    """The queue from a little before the burst until a little after it is worked off."""
    start = int(run.due[part.start])
    span = max(end, int(run.due[part.stop - 1])) - start
    at = np.linspace(start - 0.05 * span, start + 1.1 * span, _POINTS).astype(np.int64)
    for when, depth in zip(at.tolist(), waiting(at, run.due, run.done).tolist(), strict=True):
        yield (when - start) / 1e6, depth


make_callable(__name__)
