"""Microbursts: for a few milliseconds the load is ten to a hundred times what it was. How long does the queue grow and last?

    base load ....|||||||||||||||||||.... base load
                  burst             `--- drain: from when the last batch of the burst was due until nothing is due any more

Theory beside it, for a server that does C batches/s, a burst of n batches at r > C and a base of b: the queue grows to n(1 - C/r)
and drains in that many batches at C - b a second (the fluid approximation; Kleinrock, Queueing Systems II, ch. 2).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import synthetic
from hftlab.errors import ConfigError, check_range
from hftlab.feeds.feed import Feed
from hftlab.loadtest.schedule import Times, burst_at, check_above_0, drained_at, queue_length
from hftlab.loadtest.target import Target, Timings, Workload, flat_out_rate, resolve_targets
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import gc_paused
from hftlab.net.transports.percentiles import Summary, summary
from hftlab.presentation.document import Table
from hftlab.presentation.plain import PlainResult, rows_table
from hftlab.presentation.progress import track

if TYPE_CHECKING:
    import polars as pl

FACTORS = (10, 30, 100)
_LEAD = 100  # batches before the burst
_POINTS = 150  # of a line of the chart
_FLAT_OUT_S = 0.1  # of a run
_SHOWN = ("p50", "p99", "p99.9", "max")
_COLUMNS = {
    "target": ("target", 1),
    "burst": ("burst", 1),
    "load": ("of capacity", 0),
    "batches": ("batches", 1),
    "peak_queue": ("peak queue", 1),
    "peak_theory": ("theory", 1),
    "drain_ns": ("drain ms", 1e6),
    "drain_theory_ns": ("theory ms", 1e6),
    **{name: (f"{name} us", 1e3) for name in _SHOWN},
}


@dataclass(frozen=True)
class Burst:
    """One target and factor over some rounds.

    base, rate     : batches/s before and after the burst, and in it
    capacity       : batches/s of the target flat out, which the theory is computed from
    batches        : of the burst
    peak, drain_ns : longest queue; time from when the last batch of the burst was due until the queue was empty; by round
    response       : of the batches of the burst, from when they were due, all rounds together
    queue          : (ms since the burst began, batches waiting) of the round whose drain is the median
    """

    target: str
    factor: float
    base: float
    rate: float
    capacity: float
    batches: int
    peak: tuple[int, ...]
    drain_ns: tuple[int, ...]
    response: Summary
    queue: tuple[tuple[float, int], ...]

    @property
    def peak_theory(self) -> float:
        return max(0.0, self.batches * (1 - self.capacity / self.rate))

    @property
    def drain_theory_ns(self) -> float:
        """NaN where the base alone is more than the target can do."""
        return self.peak_theory * 1e9 / (self.capacity - self.base) if self.capacity > self.base else float("nan")

    def row(self) -> dict[str, Any]:
        """One row of `BurstReport.frame`."""
        return {
            "target": self.target,
            "factor": self.factor,
            "base_per_s": self.base,
            "burst_per_s": self.rate,
            "load": self.rate / self.capacity,
            "batches": self.batches,
            "peak_queue": median(self.peak),
            "peak_low": min(self.peak),
            "peak_high": max(self.peak),
            "peak_theory": self.peak_theory,
            "drain_ns": median(self.drain_ns),
            "drain_low": min(self.drain_ns),
            "drain_high": max(self.drain_ns),
            "drain_theory_ns": self.drain_theory_ns,
            **{name: self.response[name] for name in (*_SHOWN, "n")},
        }


@dataclass(frozen=True)
class BurstReport(PlainResult):
    """Every target under every factor."""

    schema = "hftlab-bursts/1"

    feed: str
    length_ms: float
    rounds: int
    machine: dict[str, Any] = field(repr=False)
    bursts: tuple[Burst, ...]

    def frame(self) -> pl.DataFrame:
        """One row per target and factor: target, factor, base_per_s, burst_per_s, load (burst / capacity), batches, peak_queue
        (median, peak_low and peak_high over the rounds, peak_theory), drain_ns (likewise), p50, p99, p99.9, max (response of
        the batches of the burst, ns; null where the sample is too small), n."""
        import polars as pl

        return pl.DataFrame([burst.row() for burst in self.bursts], schema_overrides=dict.fromkeys(_SHOWN, pl.Float64))

    def derived(self) -> dict[str, Any]:
        return {"summary": [burst.row() for burst in self.bursts]}

    def plot(self) -> Any:
        """The queue during and after the burst, a panel per target."""
        import polars as pl

        from hftlab.charts import burst_chart

        rows = [(one.target, f"{one.factor:g}x", ms, depth) for one in self.bursts for ms, depth in one.queue]
        frame = pl.DataFrame(rows, schema=["target", "series", "ms", "waiting"], orient="row")
        return burst_chart(frame, self.length_ms, f"{self.feed}; the round of the median drain, of {self.rounds}")

    def tables(self) -> list[Table]:
        rows = [{**burst.row(), "burst": f"{burst.factor:g}x"} for burst in self.bursts]
        note = "response of the batches of the burst; theory: fluid approximation of a server of that capacity"
        return [rows_table(f"bursts of {self.length_ms:g} ms", rows, _COLUMNS, note=note, grouped=True)]

    def notes(self) -> list[str]:
        return [f"bursts over an even base: {self.feed}, {self.rounds} rounds", describe(self.machine)]

    def __repr__(self) -> str:
        return f"<BurstReport: {len(self.bursts)} of {self.length_ms:g} ms>"


def microbursts(
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
) -> BurstReport:
    """Put every target under bursts of each factor.

    targets   : as for `hftlab.loadtest.load_sweep`
    base      : load before and after the burst, share of the capacity, above 0 and below 1; factors: times that, in the burst
    length_ms : of a burst, above 0 to 1000
    capacity  : batches/s by label; what is missing is measured flat out
    raises    : ConfigError for a number out of range, or a burst of fewer than two batches; HftlabError as `load_sweep`
    """
    factors = tuple(map(float, factors))
    check_range("number of factors", len(factors), 1)
    check_range("factors", min(factors), 1)
    check_above_0("base", base, 0.999)
    check_above_0("length_ms", length_ms, 1_000)
    for name, value, low in (("rounds", rounds, 1), ("warm", warm, 0), ("seed", seed, 0)):
        check_range(name, value, low)
    with gc_paused():
        chosen, rates = _rates(targets, feed, capacity or {}, warm, rounds, seed)
        plans = {(label, factor): _plan(rate, base, factor, length_ms) for label, rate in rates.items() for factor in factors}
        longest = max(len(due) for due, _ in plans.values())
        workload = Workload.of(feed or synthetic("calm", longest + warm, seed), warm, longest)
        if len(workload.batches) < longest:
            available = len(workload.batches)
            raise ConfigError(
                f"feed must have {longest:,} messages for these bursts after {warm:,} to warm up, got {available:,}"
            )
        seen: dict[tuple[str, float], list[Timings]] = {cell: [] for cell in plans}
        order, named = random.Random(seed), {target.label: target for target in chosen}
        for _ in track(range(rounds), "bursts"):
            for label, factor in order.sample(list(plans), len(plans)):
                seen[label, factor].append(workload.drive(named[label], plans[label, factor][0]))
    bursts = [_burst(cell, base, rates[cell[0]], plans[cell][1], runs) for cell, runs in seen.items()]
    return BurstReport(workload.name, length_ms, rounds, fingerprint(), tuple(bursts))


def _rates(
    targets: Iterable[Any] | None, feed: Feed | None, known: Mapping[str, float], warm: int, rounds: int, seed: int
) -> tuple[list[Target], dict[str, float]]:
    """The targets, and what each does flat out, batches/s."""
    workload = Workload.of(feed or synthetic("calm", 20_000 + warm, seed), warm, 20_000)
    chosen = resolve_targets(targets)
    for target in chosen:
        target.precheck(workload)
    return chosen, {
        target.label: known.get(target.label) or flat_out_rate(target, workload, rounds, _FLAT_OUT_S) for target in chosen
    }


def _plan(capacity: float, base: float, factor: float, length_ms: float) -> tuple[Times, slice]:
    """When the batches are due, and which are the burst; the base goes on for half as long again as the drain should take."""
    low, high = base * capacity, base * capacity * factor
    drained = max(0.0, high * length_ms / 1e3 * (1 - capacity / high)) / (capacity - low)
    return burst_at(low, factor, length_ms * 1e6, _LEAD, _LEAD + int(1.5 * drained * low))


def _burst(cell: tuple[str, float], base: float, capacity: float, part: slice, runs: Sequence[Timings]) -> Burst:
    peaks = [int(queue_length(run.due[part], run.due, run.done).max()) for run in runs]
    ends = [drained_at(run.due, run.done, part.stop - 1) for run in runs]
    drains = [end - int(run.due[part.stop - 1]) for end, run in zip(ends, runs, strict=True)]
    middle = int(np.argsort(drains)[(len(drains) - 1) // 2])
    return Burst(
        target=cell[0],
        factor=cell[1],
        base=base * capacity,
        rate=base * capacity * cell[1],
        capacity=capacity,
        batches=part.stop - part.start,
        peak=tuple(peaks),
        drain_ns=tuple(drains),
        response=summary(np.concatenate([run.response[part] for run in runs])),
        queue=tuple(_queue_line(runs[middle], part, ends[middle])),
    )


def _queue_line(run: Timings, part: slice, end: int) -> Iterator[tuple[float, int]]:
    """The queue from a little before the burst until a little after it is drained."""
    start = int(run.due[part.start])
    span = max(end, int(run.due[part.stop - 1])) - start
    at = np.linspace(start - 0.05 * span, start + 1.1 * span, _POINTS).astype(np.int64)
    for when, depth in zip(at.tolist(), queue_length(at, run.due, run.done).tolist(), strict=True):
        yield (when - start) / 1e6, depth
