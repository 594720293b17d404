"""Microbursts: for a few milliseconds the load is ten to a hundred times what it was. How long does the queue grow and last?

    base load ....|||||||||||||||||||.... base load
                  burst             `--- drain: from when the last batch of the burst was due until nothing is due any more

Theory beside it, for a server that does C batches/s, a burst of n batches at r > C and a base of b: the queue grows to n(1 - C/r)
and drains in that many batches at C - b a second (the fluid approximation; Kleinrock, Queueing Systems II, ch. 2).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from hftlab.engine.engine import synthetic
from hftlab.errors import ConfigError, check_range
from hftlab.feeds.feed import Feed
from hftlab.loadtest.report import SHOWN, LoadReport
from hftlab.loadtest.schedule import Times, burst_at, check_above_0, check_at_least, drained_at, queue_length
from hftlab.loadtest.target import Target, Timings, Workload, flat_out_rate, resolve_targets, shuffled_rounds
from hftlab.measurement.distribution import Distribution, Summary
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import gc_paused
from hftlab.presentation.document import Table, rows_table

FACTORS = (10, 30, 100)
_LEAD = 100  # batches before the burst
_POINTS = 150  # of a line of the chart
_FLAT_OUT_S = 0.1  # of a run
_COLUMNS = {
    "target": ("target", 1),
    "factor": ("times the base", 1),
    "load": ("of capacity", 0),
    "batches": ("batches", 1),
    "peak_queue": ("peak queue", 1),
    "peak_theory": ("theory", 1),
    "drain_ns": ("drain ms", 1e6),
    "drain_theory_ns": ("theory ms", 1e6),
    **{name: (f"{name} us", 1e3) for name in SHOWN},
}


@dataclass(frozen=True)
class Burst:
    """One target and factor over some rounds.

    base           : batches/s before and after the burst
    capacity       : batches/s of the target flat out, which the theory is computed from
    batches        : of the burst
    peak, drain_ns : longest queue; time from when the last batch of the burst was due until the queue was empty; by round
    response       : of the batches of the burst, from when they were due, all rounds together
    queue          : (ms since the burst began, batches waiting) of the round whose drain is the median
    """

    target: str
    factor: float
    base: float
    capacity: float
    batches: int
    peak: tuple[int, ...]
    drain_ns: tuple[int, ...]
    response: Summary
    queue: tuple[tuple[float, int], ...]

    @property
    def rate(self) -> float:
        """Batches/s in the burst."""
        return self.base * self.factor

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
            **_spread("peak", "queue", self.peak),
            "peak_theory": self.peak_theory,
            **_spread("drain", "ns", self.drain_ns),
            "drain_theory_ns": self.drain_theory_ns,
            **{name: self.response[name] for name in (*SHOWN, "n")},
        }


def _spread(name: str, unit: str, values: Sequence[int]) -> dict[str, float]:
    """Median, least and greatest round."""
    return {f"{name}_{unit}": median(values), f"{name}_low": min(values), f"{name}_high": max(values)}


@dataclass(frozen=True, repr=False)
class BurstReport(LoadReport):
    """Every target under every factor.

    frame : a row each: target, factor, base_per_s, burst_per_s, load (burst / capacity), batches, peak_queue (median, peak_low
            and peak_high over the rounds, peak_theory), drain_ns (likewise), p50, p99, p99.9, max (response of the batches of
            the burst, ns; null where the sample is too small), n
    """

    schema = "hftlab-bursts/3"

    feed: str
    length_ms: float
    rounds: int
    machine: dict[str, Any]
    results: tuple[Burst, ...]

    def plot(self) -> Any:
        """The queue during and after the burst, a panel per target."""
        import polars as pl

        from hftlab.charts import line_chart

        rows = [(one.target, f"{one.factor:g}x", ms, depth) for one in self.results for ms, depth in one.queue]
        frame = pl.DataFrame(rows, schema=["panel", "series", "x", "y"], orient="row")
        subtitle = f"{self.feed}; shaded: the burst; the round of the median drain, of {self.rounds}"
        axes: dict[str, Any] = {"x": "time since the burst began (ms)", "y": "calls waiting", "mark": "step", "height": 160}
        spans = {one.target: (0.0, self.length_ms) for one in self.results}
        return line_chart(frame, "Queue length during a burst", subtitle, spans=spans, **axes)

    def tables(self) -> list[Table]:
        note = "response of the batches of the burst; theory: fluid approximation of a server of that capacity"
        return [rows_table(f"bursts of {self.length_ms:g} ms", self.records(), _COLUMNS, note=note, grouped=True)]

    def notes(self) -> list[str]:
        return [f"bursts over an even base: {self.feed}, {self.rounds} rounds", *super().notes()]


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
    check_at_least(1, rounds=rounds)
    check_at_least(0, warm=warm, seed=seed)
    chosen = {target.label: target for target in resolve_targets(targets)}
    with gc_paused():
        rates = _rates(chosen.values(), feed, capacity or {}, warm, rounds, seed)
        plans = {(label, factor): _plan(rate, base, factor, length_ms) for label, rate in rates.items() for factor in factors}
        longest = max(len(due) for due, _ in plans.values())
        workload = Workload.of(feed or synthetic("calm", longest + warm, seed), warm, longest)
        if len(workload.batches) < longest:
            available = len(workload.batches)
            raise ConfigError(
                f"feed must have {longest:,} messages for these bursts after {warm:,} to warm up, got {available:,}"
            )
        cells = {cell: partial(workload.drive, chosen[cell[0]], due) for cell, (due, _) in plans.items()}
        runs = shuffled_rounds(cells, rounds, random.Random(seed), "bursts")
    bursts = [_burst(cell, base * rates[cell[0]], rates[cell[0]], plans[cell][1], runs[cell]) for cell in plans]
    return BurstReport(workload.name, length_ms, rounds, fingerprint(), tuple(bursts))


def _rates(
    targets: Iterable[Target], feed: Feed | None, known: Mapping[str, float], warm: int, rounds: int, seed: int
) -> dict[str, float]:
    """What each target does flat out, batches/s, once it has shown that it does the work right."""
    workload = Workload.of(feed or synthetic("calm", 20_000 + warm, seed), warm, 20_000)
    rates = {}
    for target in targets:
        target.precheck(workload)
        rates[target.label] = known.get(target.label) or flat_out_rate(target, workload, rounds, _FLAT_OUT_S)
    return rates


def _plan(capacity: float, base: float, factor: float, length_ms: float) -> tuple[Times, slice]:
    """When the batches are due, and which are the burst; the base goes on for half as long again as the drain should take."""
    low, high = base * capacity, base * capacity * factor
    drained = max(0.0, high * length_ms / 1e3 * (1 - capacity / high)) / (capacity - low)
    return burst_at(low, factor, length_ms * 1e6, _LEAD, _LEAD + int(1.5 * drained * low))


def _burst(cell: tuple[str, float], base: float, capacity: float, part: slice, runs: Sequence[Timings]) -> Burst:
    ends = [drained_at(run.due, run.done, part.stop - 1) for run in runs]
    drains = [end - int(run.due[part.stop - 1]) for end, run in zip(ends, runs, strict=True)]
    middle = int(np.argsort(drains)[(len(drains) - 1) // 2])
    return Burst(
        *cell,
        base=base,
        capacity=capacity,
        batches=part.stop - part.start,
        peak=tuple(int(queue_length(run.due[part], run.due, run.done).max()) for run in runs),
        drain_ns=tuple(drains),
        response=Distribution.of("", np.concatenate([run.response[part] for run in runs])).summary(),
        queue=tuple(_queue_line(runs[middle], part, ends[middle])),
    )


def _queue_line(run: Timings, part: slice, end: int) -> Iterator[tuple[float, int]]:
    """The queue from a little before the burst until a little after it is drained."""
    start = int(run.due[part.start])
    span = max(end, int(run.due[part.stop - 1])) - start
    at = np.linspace(start - 0.05 * span, start + 1.1 * span, _POINTS).astype(np.int64)
    for when, depth in zip(at.tolist(), queue_length(at, run.due, run.done).tolist(), strict=True):
        yield (when - start) / 1e6, depth
