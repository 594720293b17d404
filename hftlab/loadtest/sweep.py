"""Load swept to saturation, open loop: latency against offered load for every target, with the closed loop's view beside it.

Each target is first run flat out, all batches due at once, to know where to look. Then batches are offered at shares of that
rate, due at times that were fixed before (`hftlab.loadtest.schedule`), the rounds of all targets and rates in random order. Last
the highest rate that was sustained is bracketed by bisection. Service time, from when a batch began, is what a closed loop
reports; response time, from when it was due, is what the market sees.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import exp, log
from statistics import median
from typing import Any

import numpy as np

from hftlab.engine.engine import synthetic
from hftlab.errors import check_choice, check_range
from hftlab.feeds.feed import Feed
from hftlab.loadtest.path_target import path_targets
from hftlab.loadtest.report import LoadReport
from hftlab.loadtest.schedule import ARRIVALS, check_above_0, check_at_least, due_at
from hftlab.loadtest.target import MIN_BATCHES, Target, Timings, Workload, flat_out_rate, resolve_targets, shuffled_rounds
from hftlab.measurement.distribution import PERCENTILES, has_enough_samples
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import gc_paused
from hftlab.presentation.document import Table, rows_table

#: Offered rates as shares of the rate flat out.
LOADS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1, 1.3)
#: Times of a batch -> property of `Timings`: from when it was due, and from when it began.
TIMES = ("response", "service")
SWEPT = ("p50", "p90", "p99", "p99.9")
#: The knee is where p99 is more than KNEE_FACTOR times what it is at light load, up to half of the capacity.
KNEE_FACTOR, LIGHT_LOAD = 3.0, 0.5
RULES = (
    "sustained: in most rounds, some batch in the last tenth of the run was done within 1 % of the run's length after it was "
    "due, and a network lost nothing; capacity is the highest rate that was",
    f"knee: from there on p99 of the response is above {KNEE_FACTOR:g} times its median at loads up to {LIGHT_LOAD:.0%} of the "
    "capacity",
)
_NS = ("ns", "low", "high")
TAIL_BATCHES = 12_000  # of all rounds together, to bear p99, also over a network, where not all can be timed
_BISECTIONS = 4  # of the gap between the highest rate that was sustained and the next
_MAX_STEPS_UP = 6  # while everything is sustained
_CAPACITY = {
    "target": ("target", 1),
    "capacity_per_s": ("capacity/s", 1),
    "not_sustained_per_s": ("not sustained/s", 1),
    "flat_out_per_s": ("flat out/s", 1),
    "knee_per_s": ("knee/s", 1),
    "knee": ("of capacity", 0),
    "saturation": ("at saturation", 1),
    "service": ("closed loop us", 1e3),
    "response": ("open loop us", 1e3),
}
_CURVE = {
    "offered_per_s": ("offered/s", 1),
    "load": ("of capacity", 0),
    "achieved_per_s": ("achieved/s", 1),
    "sustained": ("sustained", 1),
    **{f"response {name}": (f"{name} us", 1e3) for name in ("p50", "p99", "p99.9", "max")},
    **{f"service {name}": (f"service {name} us", 1e3) for name in ("p50", "p99")},
}


@dataclass(frozen=True)
class LoadPoint:
    """One target at one offered rate, batches/s, over some rounds.

    achieved  : batches/s that were done, median over the rounds
    sustained : see RULES
    n         : batches, of all rounds; over a network those that were answered and are timed
    ns        : time -> percentile -> its values, a round each; None where all rounds together cannot bear it
    max_ns    : time -> the greatest
    lost      : what a network lost, of all rounds: packets sent again, orders that never came; None without a network
    """

    offered: float
    achieved: float
    sustained: bool
    n: int
    ns: dict[str, dict[str, tuple[float, ...] | None]]
    max_ns: dict[str, float]
    lost: int | None = None

    @classmethod
    def of(cls, offered: float, rounds: Sequence[Timings]) -> LoadPoint:
        """Of runs at the same rate."""
        n = sum(len(run.due) for run in rounds)
        ns: dict[str, dict[str, tuple[float, ...] | None]] = {}
        for time in TIMES:
            columns = np.array([np.quantile(getattr(run, time), [PERCENTILES[name] for name in SWEPT]) for run in rounds]).T
            ns[time] = {
                name: tuple(values.tolist()) if has_enough_samples(n, PERCENTILES[name]) else None
                for name, values in zip(SWEPT, columns, strict=True)
            }
        return cls(
            offered=offered,
            achieved=median(run.per_s for run in rounds),
            sustained=2 * sum(run.kept_up for run in rounds) > len(rounds),
            n=n,
            ns=ns,
            max_ns={time: float(max(getattr(run, time).max() for run in rounds)) for time in TIMES},
            lost=None if all(run.lost is None for run in rounds) else sum(run.lost or 0 for run in rounds),
        )

    def median(self, time: str, percentile: str) -> float | None:
        """Of a percentile over the rounds, ns."""
        values = self.ns[time][percentile]
        return None if values is None else median(values)

    def row(self, capacity: float | None) -> dict[str, Any]:
        """What holds for the point as a whole: see `LoadSweep.frame`."""
        return {
            "offered_per_s": self.offered,
            "load": self.offered / capacity if capacity else None,
            "achieved_per_s": self.achieved,
            "sustained": self.sustained,
        }

    def rows(self, target: str, capacity: float | None) -> Iterator[dict[str, Any]]:
        """A row per time and percentile: see `LoadSweep.frame`."""
        whole = {"target": target, **self.row(capacity)}
        for time in TIMES:
            for percentile, values in self.ns[time].items():
                ns = {"ns": median(values), "low": min(values), "high": max(values)} if values else dict.fromkeys(_NS)
                yield {**whole, "time": time, "percentile": percentile, **ns, "n": self.n, "lost": self.lost}


@dataclass(frozen=True)
class CapacityCurve:
    """One target from light load to saturation.

    flat_out : batches/s when all are due at once: the closed loop's own rate
    points   : by rising rate
    """

    target: str
    flat_out: float
    points: tuple[LoadPoint, ...]

    @property
    def capacity(self) -> float | None:
        """The highest rate that was sustained, batches/s; None if not even the lowest was."""
        return max((point.offered for point in self.points if point.sustained), default=None)

    @property
    def above(self) -> float | None:
        """The lowest rate above the capacity, which was not sustained; None if all were."""
        return min((point.offered for point in self.points if point.offered > (self.capacity or 0)), default=None)

    @property
    def percentile(self) -> str:
        """The one that defines the knee: p99 if every point bears it, else the highest that each does."""
        usable = [name for name in ("p99", "p90", "p50") if all(point.ns["response"][name] for point in self.points)]
        return usable[0] if usable else "p50"

    @property
    def knee(self) -> float | None:
        """The offered rate of the knee, batches/s, between two points by logarithm; None if there is none. See RULES."""
        if not self.capacity:
            return None
        seen = [(point.offered, point.median("response", self.percentile) or 0.0) for point in self.points]
        light = [ns for offered, ns in seen if offered <= LIGHT_LOAD * self.capacity] or [seen[0][1]]
        edge = KNEE_FACTOR * median(light)
        inside = [place for place, (_, ns) in enumerate(seen) if ns <= edge]
        if not inside or inside[-1] == len(seen) - 1:
            return None
        (low, before), (high, after) = seen[inside[-1]], seen[inside[-1] + 1]
        return exp(log(low) + (log(high) - log(low)) * log(edge / before) / log(after / before))

    @property
    def saturated(self) -> LoadPoint:
        """The first point that was not sustained, or the last: where a closed loop hides the most."""
        return next((point for point in self.points if not point.sustained), self.points[-1])

    def table(self) -> Table:
        """A row per offered rate."""
        rows = []
        for point in self.points:
            times = {f"{time} {name}": point.median(time, name) for time in TIMES for name in SWEPT}
            largest = {f"{time} max": point.max_ns[time] for time in TIMES}
            rows.append({**point.row(self.capacity), **times, **largest, "lost": point.lost})
        columns = _CURVE if self.points[0].lost is None else {**_CURVE, "lost": ("lost", 1)}
        note = "response time, from when a batch was due; service time, from when it began"
        return rows_table(f"{self.target} under load", rows, columns, words=0, note=note)

    def row(self) -> dict[str, Any]:
        """Capacity, knee, and what a closed loop hides where the target is saturated."""
        point = self.saturated
        return {
            "target": self.target,
            "capacity_per_s": self.capacity,
            "not_sustained_per_s": self.above,
            "flat_out_per_s": self.flat_out,
            "knee_per_s": self.knee,
            "knee": self.knee / self.capacity if self.knee and self.capacity else None,
            "saturation": f"{self.percentile} at {point.offered:,.0f}/s",
            **{time: point.median(time, self.percentile) for time in TIMES},
        }


@dataclass(frozen=True, repr=False)
class LoadSweep(LoadReport):
    """The curves of all targets, measured in one run on one machine.

    arrivals   : "poisson" or "even"; batch: messages of a batch; seconds: at most so long a round at each rate
    conditions : what the paths are and do, and which were asked for and do not work here, a sentence each
    frame      : a row per target, offered rate, time ("response", "service") and percentile: target, offered_per_s, load (share
                 of the capacity), achieved_per_s, sustained, time, percentile, ns (median over the rounds; null where the sample
                 is too small), low, high (least and greatest round), n, lost (over a network; null without one)
    """

    schema = "hftlab-load-sweep/2"

    feed: str
    arrivals: str
    batch: int
    rounds: int
    seconds: float
    machine: dict[str, Any]
    curves: tuple[CapacityCurve, ...]
    conditions: tuple[str, ...] = ()

    def records(self) -> list[dict[str, Any]]:
        return [row for curve in self.curves for point in curve.points for row in point.rows(curve.target, curve.capacity)]

    def __getitem__(self, target: str) -> CapacityCurve:
        """By target. Raises UnknownName."""
        curves = {curve.target: curve for curve in self.curves}
        return curves[check_choice("target", target, curves)]

    def derived(self) -> dict[str, Any]:
        return {"rules": list(RULES), "summary": [curve.row() for curve in self.curves]}

    def plot(self, target: str | None = None, *, quietest: bool = False) -> Any:
        """Response beside service time: the percentiles of one target, or p50 and p99 of several against the share of each one's
        own capacity.

        target   : one of several; default all of them
        quietest : the least of the rounds instead of their median; steadier on a machine that is disturbed
        """
        from hftlab.charts import load_chart

        one = self[target or self.curves[0].target] if target or len(self.curves) == 1 else None
        frame = self.frame()
        frame = frame.with_columns(frame["low"].alias("ns")) if quietest else frame
        frame = frame.drop_nulls("ns")
        subtitle = f"{self.feed}, {self.arrivals} arrivals, {'the least' if quietest else 'median'} of {self.rounds} rounds"
        if one is None:
            frame = frame.filter(frame["percentile"].is_in(["p50", "p99"])).rename({"target": "series"})
            return load_chart(frame.drop_nulls("load"), title="Latency under load", subtitle=subtitle)
        frame = frame.filter((frame["target"] == one.target) & frame["percentile"].is_in(["p50", "p99", "p99.9"]))
        frame = frame.drop("load").rename({"offered_per_s": "load"})
        load = "offered load (batches/s)"
        return load_chart(frame, load, f"Latency of {one.target} under load", subtitle, load_format="~s", knee=one.knee)

    def tables(self) -> list[Table]:
        note = "flat out: all due at once; closed loop: service time; open loop: response time, from when a batch was due"
        capacity = rows_table("capacity", [curve.row() for curve in self.curves], _CAPACITY, note=note)
        return [capacity, *(curve.table() for curve in self.curves)]

    def notes(self) -> list[str]:
        size = f"{self.batch} message{'s' * (self.batch > 1)} a batch"
        head = f"open loop: {self.feed}, {self.arrivals} arrivals, {size}, {self.rounds} rounds"
        return [head, *self.conditions, *RULES, *super().notes()]


def load_sweep(
    targets: Iterable[Any] | None = None,
    feed: Feed | None = None,
    *,
    over: Iterable[str] = (),
    loads: Sequence[float] = LOADS,
    arrivals: str = "poisson",
    batch: int = 1,
    rounds: int = 3,
    messages: int = 200_000,
    warm: int = 20_000,
    seconds: float = 0.3,
    seed: int = 1,
) -> LoadSweep:
    """Sweep the load of every target.

    targets  : engines as `hftlab.as_engine` takes them, or targets; default every engine there is
    feed     : wire bytes; default a calm generated one
    over     : paths such as "shm", "udp-spin+tcp-spin", over which each Rust engine among the targets is swept, too
    loads    : shares of the rate flat out, each above 0
    batch    : messages of a batch, which is what comes in one packet
    messages : of a run, at most, after `warm` ones that are not timed; seconds: a run at most
    raises   : ConfigError, UnknownName; HftlabError for engines that differ, a debug build, or an order that is wrong
    """
    loads = tuple(sorted(set(loads)))
    check_range("number of loads", len(loads), 1)
    check_above_0("loads", loads[0])
    check_above_0("seconds", seconds)
    check_choice("arrivals", arrivals, ARRIVALS)
    check_at_least(1, rounds=rounds, batch=batch, messages=messages)
    check_at_least(0, warm=warm, seed=seed)
    engines = resolve_targets(targets)
    paths, skipped = path_targets(engines, over)
    chosen = resolve_targets([*engines, *paths])
    workload = Workload.of(feed or synthetic("calm", messages + warm, seed), warm, messages // batch, batch)
    for target in chosen:
        target.precheck(workload)
    conditions = dict.fromkeys([*skipped, *(note for target in chosen for note in target.notes())])
    runs = _Runs(workload, arrivals, rounds, seconds, seed)
    with gc_paused():
        flat = {target.label: flat_out_rate(target, workload, rounds, seconds) for target in chosen}
        points = runs.grid(chosen, {label: [load * rate for load in loads] for label, rate in flat.items()})
        curves = [runs.bracket(one, CapacityCurve(one.label, flat[one.label], tuple(points[one.label]))) for one in chosen]
    return LoadSweep(workload.name, arrivals, batch, rounds, seconds, fingerprint(), tuple(curves), tuple(conditions))


class _Runs:
    """Runs at offered rates, some rounds each."""

    def __init__(self, workload: Workload, arrivals: str, rounds: int, seconds: float, seed: int) -> None:
        self.workload, self.arrivals, self.rounds, self.seconds = workload, arrivals, rounds, seconds
        self.random = random.Random(seed)

    def run(self, target: Target, rate: float) -> Timings:
        # As many as there is time for, and up to four times as long where p99 needs as many.
        wanted = min(TAIL_BATCHES // self.rounds + 1, 4 * int(rate * self.seconds))
        count = min(max(MIN_BATCHES, int(rate * self.seconds), wanted), len(self.workload.batches))
        limit = target.max_batches(rate)
        count = count if limit is None else min(count, limit)
        return self.workload.drive(target, due_at(count, rate, self.arrivals, self.random.randrange(1 << 32)))

    def grid(self, targets: Sequence[Target], rates: dict[str, list[float]]) -> dict[str, list[LoadPoint]]:
        """Every target at each of its rates, in random order in each round."""
        cells = {(one.label, rate): partial(self.run, one, rate) for one in targets for rate in rates[one.label]}
        timings = shuffled_rounds(cells, self.rounds, self.random, "rounds")
        return {label: [LoadPoint.of(rate, timings[label, rate]) for rate in offered] for label, offered in rates.items()}

    def bracket(self, target: Target, curve: CapacityCurve) -> CapacityCurve:
        """The curve with more points around its capacity."""
        points = {point.offered: point for point in curve.points}

        def tried(rate: float) -> CapacityCurve:
            points[rate] = LoadPoint.of(rate, [self.run(target, rate) for _ in range(self.rounds)])
            return CapacityCurve(curve.target, curve.flat_out, tuple(points[at] for at in sorted(points)))

        for _ in range(_MAX_STEPS_UP):
            if curve.above:
                break
            curve = tried(1.25 * curve.points[-1].offered)
        for _ in range(_BISECTIONS):
            if curve.capacity and curve.above:
                curve = tried((curve.capacity + curve.above) / 2)
        return curve
