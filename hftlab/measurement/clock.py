"""Clocks: which one stamps an engine, how fine it is, how far it can be trusted, and what a reading costs, as a distribution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.session import Backend
from hftlab.measurement.affinity import each_core
from hftlab.measurement.clock_sources import Calibration, Source, every_source, python_sources, source_of
from hftlab.measurement.distribution import has_enough_samples
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-clocks/1"
#: Readings for the cost of one clock: p99.9 needs 100,000, p99.99 a million.
READINGS, MANY = 100_000, 1_000_000
#: Readings in a row on one core before the next, and how often round the cores go in search of a step back.
HOP, ROUNDS = 25_000, 4
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}


@dataclass(frozen=True)
class Cost:
    """Distribution of the time between two readings back to back, in ns; None where n is too small for a percentile."""

    n: int
    min: float
    max: float
    quantiles: dict[str, float | None]

    @classmethod
    def of(cls, ns: np.ndarray[Any, Any]) -> Cost:
        """Summarise the differences of readings. One that is negative is a step back, not a cost, and counts as 0."""
        ns = np.maximum(np.asarray(ns, np.float64), 0.0)
        quantiles = {name: float(np.quantile(ns, q)) if has_enough_samples(ns.size, q) else None for name, q in QUANTILES.items()}
        return cls(int(ns.size), float(ns.min()), float(ns.max()), quantiles)

    def values(self) -> dict[str, float | None]:
        """min, p50, p90, p99, p99.9, p99.99, max, in ns."""
        return {"min": self.min, **self.quantiles, "max": self.max}


@dataclass(frozen=True)
class ClockReport:
    """One clock, measured.

    kind          : "counter", "system", "wall", or "engine" for one that only its engine can read
    reads         : the call or the instructions a reading is made of
    tick_ns       : what it counts in, nominally; None where nobody says
    resolution_ns : smallest step above 0 that was seen, which a reading that costs more than a tick cannot show
    grain_ns      : the greatest step of which all differences seen are multiples; None where only costs are told
    backwards     : steps back among `watched` readings, on `cores` cores in turn; None where only costs are told
    """

    name: str
    kind: str
    reads: str
    cost: Cost
    tick_ns: float | None
    resolution_ns: float
    grain_ns: float | None
    calibration: Calibration | None
    backwards: int | None
    watched: int
    cores: int
    warning: str = ""

    @property
    def cost_p50_ns(self) -> float:
        """Median cost of a reading: what is subtracted from a stamped interval."""
        return self.cost.quantiles["p50"] or 0.0

    @property
    def monotonic(self) -> bool | None:
        """Whether no step back was seen."""
        return None if self.backwards is None else self.backwards == 0

    def row(self) -> dict[str, Any]:
        """Flat, for a frame."""
        trust = self.calibration
        return {
            "clock": self.name,
            "kind": self.kind,
            "reads": self.reads,
            "tick_ns": self.tick_ns,
            "step_ns": self.resolution_ns,
            "grain_ns": self.grain_ns,
            **self.cost.values(),
            "n": self.cost.n,
            "monotonic": self.monotonic,
            "backwards": self.backwards,
            "calibration_ppm": trust and trust.again_ppm,
            "drift_ppm": trust and trust.drift_ppm,
            "warning": self.warning,
        }

    def to_dict(self) -> dict[str, Any]:
        cost = self.cost.values()
        flat = {f"cost_{name}_ns": cost[name] for name in ("p50", "p99", "max")}
        return {**asdict(self), **flat, "monotonic": self.monotonic}

    def __str__(self) -> str:
        told = {name: value for name, value in self.cost.values().items() if name != "p50" and value is not None}
        tail = ", ".join(f"{name} {value:,.0f}" for name, value in told.items())
        trust = self.calibration
        found = f"; found again within {abs(trust.again_ppm):.1f} ppm" if trust else ""
        back = f"; {self.backwards} STEPS BACK" if self.backwards else ""
        return f"{self.name} by {self.reads}: a reading costs {self.cost_p50_ns:,.0f} ns ({tail}){found}{back}"


@dataclass(frozen=True)
class Clocks(Result):
    """Every clock of this machine, those of the Rust engine first."""

    reports: tuple[ClockReport, ...]

    def __iter__(self) -> Iterator[ClockReport]:
        return iter(self.reports)

    def __len__(self) -> int:
        return len(self.reports)

    def __getitem__(self, which: int | str) -> ClockReport:
        """By place or by name."""
        if isinstance(which, int):
            return self.reports[which]
        return {report.name: report for report in self.reports}[which]

    def frame(self) -> pl.DataFrame:
        """One row per clock: clock, kind, reads, tick_ns, step_ns, grain_ns, min, p50 ... max in ns (null where the sample is too
        small), n, monotonic, backwards, calibration_ppm, drift_ppm, warning."""
        import polars as pl

        return pl.DataFrame([report.row() for report in self.reports], infer_schema_length=None)

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "clocks": [report.to_dict() for report in self.reports]}

    def lines(self) -> list[str]:
        """A sentence for each clock."""
        return [f"{report}" + (f"; {report.warning}" if report.warning else "") for report in self.reports]

    def plot(self) -> Any:
        """What a reading of each costs as an Altair chart; see `hftlab.charts.clock_chart`."""
        from hftlab.charts import clock_chart

        return clock_chart(self.frame())

    def __str__(self) -> str:
        return "\n".join(self.lines())


def clocks(n: int = MANY) -> Clocks:
    """Measure every clock available here with n readings each; a million, about a second, give a p99.99."""
    return Clocks(tuple(report(source, n) for source in every_source()))


def clock_of(backend: Backend) -> ClockReport:
    """The clock that stamps a backend's stages, measured now."""
    if source := source_of(backend):
        return report(source)
    measure = getattr(backend, "clock_cost", None)
    if measure is None:  # an engine of somebody else's that says nothing: what Python's own clock costs
        return report(
            Source(backend.clock, "engine", "unknown; measured was perf_counter_ns", 1.0, 1.0, python_sources()[0].stamps)
        )
    ns = np.asarray(measure(READINGS), np.float64)
    steps = ns[ns > 0]
    step = float(steps.min()) if steps.size else 0.0
    return ClockReport(backend.clock, "engine", "unknown", Cost.of(ns), None, step, None, None, None, 0, 1)


def report(source: Source, n: int = READINGS) -> ClockReport:
    """Measure one clock: n readings for the cost, then some on every core in turn for steps back."""
    ticks = np.diff(source.stamps(n + 1))
    steps = np.abs(ticks[ticks != 0])
    back, watched, cores = steps_back(source)
    ns = source.ns_per_tick
    return ClockReport(
        name=source.name,
        kind=source.kind,
        reads=source.reads,
        cost=Cost.of(ticks * ns),
        tick_ns=source.tick_ns,
        resolution_ns=float(steps.min()) * ns if steps.size else 0.0,
        grain_ns=float(np.gcd.reduce(steps)) * ns if steps.size else 0.0,
        calibration=source.calibration,
        backwards=back + int(np.count_nonzero(ticks < 0)),
        watched=watched + n,
        cores=cores,
        warning=source.warning,
    )


def steps_back(source: Source, rounds: int = ROUNDS) -> tuple[int, int, int]:
    """Steps back, readings, and cores they were taken on in turn: within a core, and from one core to the next."""
    parts, on = [], set()
    for core in each_core(rounds):
        parts.append(source.stamps(HOP))
        on.add(core)
    stamps = np.concatenate(parts)
    return int(np.count_nonzero(np.diff(stamps) < 0)), stamps.size, len(on)
