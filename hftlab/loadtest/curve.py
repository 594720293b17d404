"""What a swept load says: points, whether a rate was sustained, capacity and knee, each by a stated rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import Any

import numpy as np

from hftlab.loadtest.target import Driven
from hftlab.measurement.distribution import has_enough_samples

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
#: Times of a call -> property of `Driven`: from when it was due, and from when it began.
TIMES = ("response", "service")
#: The knee is where p99 leaves: from there on it is more than so many times what it is at light load, up to half of the capacity.
LEAVES = 3.0
LIGHT = 0.5

KEEPS_UP = (
    "sustained: in most rounds, some call in the last tenth of the run was done within 1 % of the run's length after it was due, "
    "and a wire lost nothing; capacity is the highest rate that was"
)
KNEE = f"knee: from there on p99 of the response is above {LEAVES:g} times its median at loads up to {LIGHT:.0%} of the capacity"


@dataclass(frozen=True)
class LoadPoint:
    """One target at one offered rate, calls/s, over some rounds.

    achieved  : calls/s that were done, median over the rounds
    sustained : see KEEPS_UP
    n         : calls, of all rounds; over a wire those that were answered and are timed
    ns        : time -> percentile -> its values, a round each; None where all rounds together cannot bear it
    max_ns    : time -> the greatest
    late      : share of the calls that were due before the one before them was done
    lost      : what a wire lost on the way, of all rounds: packets sent again, orders that never came; None without a wire
    """

    offered: float
    achieved: float
    sustained: bool
    n: int
    ns: dict[str, dict[str, tuple[float, ...] | None]]
    max_ns: dict[str, float]
    late: float
    lost: int | None = None

    @classmethod
    def of(cls, offered: float, rounds: Sequence[Driven]) -> LoadPoint:
        """Of runs at the same rate."""
        n = sum(len(run.due) for run in rounds)
        ns: dict[str, dict[str, tuple[float, ...] | None]] = {}
        for time in TIMES:
            seen = [np.quantile(getattr(run, time), list(PERCENTILES.values())) for run in rounds]
            columns = zip(*(one.tolist() for one in seen), strict=True)
            ns[time] = {
                name: values if has_enough_samples(n, PERCENTILES[name]) else None
                for name, values in zip(PERCENTILES, columns, strict=True)
            }
        return cls(
            offered=offered,
            achieved=median(run.per_s for run in rounds),
            sustained=2 * sum(run.kept_up for run in rounds) > len(rounds),
            n=n,
            ns=ns,
            max_ns={time: float(max(getattr(run, time).max() for run in rounds)) for time in TIMES},
            lost=None if all(run.lost is None for run in rounds) else sum(run.lost or 0 for run in rounds),
            late=sum(int(np.count_nonzero(run.done[:-1] > run.due[1:])) for run in rounds) / max(n, 1),
        )

    def median(self, time: str, percentile: str) -> float | None:
        """Of a percentile over the rounds, ns."""
        values = self.ns[time][percentile]
        return None if values is None else median(values)

    def rows(self, target: str, capacity: float | None) -> Iterator[dict[str, Any]]:
        """A row per time and percentile: see `Sweep.frame`."""
        for time in TIMES:
            for percentile, values in self.ns[time].items():
                yield {
                    "target": target,
                    "offered_per_s": self.offered,
                    "load": self.offered / capacity if capacity else None,
                    "achieved_per_s": self.achieved,
                    "sustained": self.sustained,
                    "time": time,
                    "percentile": percentile,
                    "ns": None if values is None else median(values),
                    "low": None if values is None else min(values),
                    "high": None if values is None else max(values),
                    "n": self.n,
                    "lost": self.lost,
                }


@dataclass(frozen=True)
class Curve:
    """One target from light load to saturation.

    flat_out : calls/s when all are due at once: the closed loop's own rate
    capacity : the highest rate that was sustained, calls/s; None if not even the lowest was
    above    : the lowest rate above it that was not sustained; None if all were
    points   : by rising rate
    """

    target: str
    flat_out: float
    points: tuple[LoadPoint, ...]

    @property
    def capacity(self) -> float | None:
        return max((point.offered for point in self.points if point.sustained), default=None)

    @property
    def above(self) -> float | None:
        return min((point.offered for point in self.points if point.offered > (self.capacity or 0)), default=None)

    @property
    def percentile(self) -> str:
        """The one the knee is told by: p99 if every point bears it, else the highest that each does."""
        usable = [name for name in ("p99", "p90", "p50") if all(point.ns["response"][name] for point in self.points)]
        return usable[0] if usable else "p50"

    @property
    def knee(self) -> float | None:
        """The offered rate at which p99 leaves, calls/s, between two points by logarithm; None if it never does. See KNEE."""
        if not self.capacity:
            return None
        seen = [(point.offered, point.median("response", self.percentile) or 0.0) for point in self.points]
        light = [ns for offered, ns in seen if offered <= LIGHT * self.capacity] or [seen[0][1]]
        edge = LEAVES * median(light)
        inside = [place for place, (_, ns) in enumerate(seen) if ns <= edge]
        if not inside or inside[-1] == len(seen) - 1:
            return None
        (low, before), (high, after) = seen[inside[-1]], seen[inside[-1] + 1]
        return exp(log(low) + (log(high) - log(low)) * log(edge / before) / log(after / before))

    def to_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "flat_out_per_s": self.flat_out,
            "capacity_per_s": self.capacity,
            "not_sustained_per_s": self.above,
            "knee_per_s": self.knee,
            "points": [
                {
                    "offered_per_s": point.offered,
                    "achieved_per_s": point.achieved,
                    "sustained": point.sustained,
                    "n": point.n,
                    "late_share": point.late,
                    "lost": point.lost,
                    "max_ns": point.max_ns,
                    **{f"{time}_ns": {name: point.median(time, name) for name in PERCENTILES} for time in TIMES},
                }
                for point in self.points
            ],
        }

    def lines(self) -> list[str]:
        """What it says, a sentence each."""
        if not self.capacity:
            return [f"{self.target}: not even {self.points[0].offered:,.0f} calls/s were sustained", *self._lossy()]
        above = f"{self.above:,.0f} were not" if self.above else "no higher rate was tried"
        out = [f"{self.target}: capacity {self.capacity:,.0f} calls/s ({above}); {self.flat_out:,.0f} when all are due at once"]
        out.append(
            f"{self.target}: {self.percentile} leaves at {self.knee:,.0f} calls/s, {self.knee / self.capacity:.0%} of capacity"
            if self.knee
            else f"{self.target}: {self.percentile} does not leave within the loads that were offered"
        )
        return [*out, *self._lossy(), *self._hidden()]

    def _lossy(self) -> Iterator[str]:
        """At which rates a wire lost something."""
        lossy = [point for point in self.points if point.lost]
        if lossy:
            worst = max(lossy, key=lambda point: point.lost or 0)
            yield (
                f"{self.target}: from {lossy[0].offered:,.0f} calls/s on something was lost on the way, most at "
                f"{worst.offered:,.0f} calls/s: {worst.lost:,} packets sent again or orders that never came; that is no capacity"
            )

    def _hidden(self) -> list[str]:
        """What a closed loop hides: at the highest load that was sustained, or at the first that was not."""
        over = [point for point in self.points if not point.sustained] or list(self.points[-1:])
        name = self.percentile
        closed, real = over[0].median("service", name) or 0, over[0].median("response", name) or 0
        since = f"a closed loop reports {name}" if over[0].lost is None else f"from when its packet left a call's {name} is"
        return [
            f"{self.target}: at {over[0].offered:,.0f} calls/s {since} {closed:,.0f} ns; "
            f"from when the calls were due it is {real:,.0f} ns"
        ]
