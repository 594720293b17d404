"""Clocks: which one stamps an engine, how fine it is, how far it can be trusted, what a reading costs.

Three figures that are often taken for one another: the *tick* is the unit a clock counts in, the *step* is how far two of its
readings differ at least, the *smallest cost* is the least time seen between two readings.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hftlab.engine.session import Backend, backends, resolve
from hftlab.measurement.affinity import each_core
from hftlab.measurement.distribution import PERCENTILES, Samples, percentiles, stamped
from hftlab.presentation.document import Table, rows_table
from hftlab.presentation.result import StoredResult

#: Readings for the cost of one clock: p99.9 needs 100,000, p99.99 a million.
READINGS, MANY = 100_000, 1_000_000
#: Column of the table -> its head and unit.
_SHOWN = {
    **{name: (name, 1.0) for name in ("clock", "reads")},
    "tick_ns": ("tick", 1.0),
    "step_ns": ("step", 1.0),
    "min": ("smallest cost", 1.0),
    **{name: (name, 1.0) for name in (*PERCENTILES, "max", "n", "monotonic")},
    "backwards": ("steps back", 1.0),
    "calibration_ppm": ("calibrated again, ppm", 1.0),
}
#: Readings in a row on one core before the next, and how often round the cores go in search of a step back.
HOP, ROUNDS = 25_000, 4
#: A difference says nothing of the step that is so much rarer than the most common one; gaps so near one another are one.
_RARE, _ALIKE = 2e-3, 0.1
_REFINED = 4  # times that the multiples are counted again with the step found


Stamps = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Calibration:
    """How many ns a tick is, and what that is worth; errors in parts per million (1 ppm is 1 us in a second).

    ns_per_tick : by the clock `against`, over `span_ns`
    bound_ppm   : what the uncertainty of its two moments leaves open
    again_ppm   : a second calibration of the same length, taken now, against the first
    drift_ppm   : the calibrated clock against `against` since the first calibration began, `drift_ns` ago
    """

    ns_per_tick: float
    against: str
    span_ns: int
    bound_ppm: float
    again_ppm: float
    drift_ppm: float
    drift_ns: int


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """What is known of a clock without measuring it.

    kind        : "counter", "system", "wall", or "engine" for one that only its engine can read
    reads       : the call or the instructions a reading is made of
    tick_ns     : the unit it counts in, as the system or the calibration says; None where nobody says
    calibration : None where a tick is a nanosecond by definition
    warning     : what it must not be used for
    """

    name: str
    kind: str
    reads: str
    tick_ns: float | None
    calibration: Calibration | None = None
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class Source(_Clock):
    """A clock that can be read. stamps : n -> that many readings back to back, in units of ns_per_tick"""

    ns_per_tick: float = 1.0
    stamps: Callable[[int], Stamps]


def python_stamps(clock: Callable[[], int]) -> Callable[[int], Stamps]:
    """A reader of a Python clock that answers in whole ns."""

    def stamps(n: int) -> Stamps:
        out = array("q", bytes(8 * n))
        for i in range(n):
            out[i] = clock()
        return np.frombuffer(out, np.int64)

    return stamps


def python_sources() -> list[Source]:
    """perf_counter_ns, and the wall clock as a warning."""
    warning = "it can step, back too, when the date is set: no interval may be taken with it"
    out = []
    for name, kind, read, warned in (
        ("perf_counter_ns", "system", time.perf_counter_ns, ""),
        ("time_ns", "wall", time.time_ns, warning),
    ):
        info, stamps = time.get_clock_info(name.removesuffix("_ns")), python_stamps(read)  # type: ignore[arg-type]
        tick_ns = info.resolution * 1e9
        out.append(Source(name=name, kind=kind, reads=info.implementation, tick_ns=tick_ns, stamps=stamps, warning=warned))
    return out


def rust_sources(backend: Any) -> list[Source]:
    """The clocks of an extension that offers `clock_info` and `clock_stamps`, the best first; none of another engine."""
    if not hasattr(backend, "clock_info"):
        return []
    return [_rust_source(backend, info) for info in backend.clock_info()]


def _rust_source(backend: Any, info: dict[str, Any]) -> Source:
    name, ns_per_tick = info["name"], info["ns_per_tick"]

    def stamps(n: int) -> Stamps:
        return np.asarray(backend.clock_stamps(name, n)).astype(np.int64)

    calibration = Calibration(**{field: info[field] for field in Calibration.__dataclass_fields__}) if "against" in info else None
    kind = "counter" if calibration else "system"
    known = {"name": name, "kind": kind, "reads": info["source"], "tick_ns": ns_per_tick, "calibration": calibration}
    return Source(**known, ns_per_tick=ns_per_tick, stamps=stamps)


def every_source() -> list[Source]:
    """All clocks that can be read here: those of the Rust engine where it is installed, then those of Python."""
    rust = [resolve(info.name)[1] for info in backends() if info.available and info.name == "rust"]
    return [*(source for backend in rust for source in rust_sources(backend)), *python_sources()]


def source_of(backend: Backend) -> Source | None:
    """The clock that stamps an engine, if it is one that can be read from here."""
    known = rust_sources(backend)
    if not hasattr(backend, "clock_cost"):  # one that measures itself may read the same clock at another price
        known += python_sources()
    return next((source for source in known if source.name == backend.clock), None)


@dataclass(frozen=True)
class Cost:
    """Distribution of the time between two readings back to back, in ns; None where n is too small for a percentile."""

    n: int
    min: float
    max: float
    percentiles: dict[str, float | None]

    @classmethod
    def of(cls, ns: Samples) -> Cost:
        """Summarise the differences of readings. One that is negative is a step back, not a cost, and counts as 0."""
        ns = np.maximum(np.asarray(ns, np.float64), 0.0)
        return cls(int(ns.size), float(ns.min()), float(ns.max()), percentiles(ns))

    def values(self) -> dict[str, float | None]:
        """min, p50 to p99.99, max, in ns."""
        return {"min": self.min, **self.percentiles, "max": self.max}


@dataclass(frozen=True, kw_only=True)
class ClockReport(_Clock):
    """One clock, measured.

    step_ns   : the step in which its readings differ; see `step_of`
    backwards : steps back among `watched` readings, on `cores` cores in turn; None where only costs are known
    """

    cost: Cost
    step_ns: float
    backwards: int | None = None
    watched: int = 0
    cores: int = 1

    @property
    def cost_p50_ns(self) -> float:
        """Median cost of a reading: what is subtracted from a stamped interval."""
        return self.cost.percentiles["p50"] or 0.0

    @property
    def monotonic(self) -> bool | None:
        """Whether no step back was seen; None where it was not watched."""
        return None if self.backwards is None else self.backwards == 0

    def record(self) -> dict[str, Any]:
        """A row of `Clocks.frame`."""
        again, drift = (self.calibration.again_ppm, self.calibration.drift_ppm) if self.calibration else (None, None)
        what = {"clock": self.name, "kind": self.kind, "reads": self.reads, "tick_ns": self.tick_ns, "step_ns": self.step_ns}
        trust = {"monotonic": self.monotonic, "backwards": self.backwards, "calibration_ppm": again, "drift_ppm": drift}
        return {**what, **self.cost.values(), "n": self.cost.n, **trust, "warning": self.warning}

    def __str__(self) -> str:
        cost = f"a reading costs {self.cost_p50_ns:,.0f} ns (median, subtracted)"
        return f"clock {self.name}, {cost} and counts in steps of {self.step_ns:.3g} ns"


@dataclass(frozen=True, repr=False)
class Clocks(StoredResult):
    """Every clock of this machine, those of the Rust engine first."""

    schema = "hftlab-clocks/3"
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

    def records(self) -> list[dict[str, Any]]:
        """One per clock: clock, kind, reads, tick_ns, step_ns, min, p50 ... max in ns (None where the sample is too small), n,
        monotonic, backwards, calibration_ppm, drift_ppm, warning."""
        return [report.record() for report in self.reports]

    def headline(self) -> str:
        return f"{len(self)} clocks"

    def tables(self) -> list[Table]:
        rows = [
            {**clock.record(), **{name: stamped(ns, clock.step_ns) for name, ns in clock.cost.values().items()}}
            for clock in self.reports
        ]
        note = "tick: the unit it counts in; step: what its readings differ by at least; smallest cost: between two readings"
        return [rows_table("What a reading of each clock costs, ns", rows, _SHOWN, words=2, note=note)]

    def notes(self) -> list[str]:
        return [f"{clock.name}: {clock.warning}" for clock in self.reports if clock.warning]

    def plot(self) -> Any:
        """What a reading of each costs, percentile by percentile, as an Altair chart.

        A cost below 1 ns, which only a clock coarser than its reading can show, is drawn at 1 ns.
        """
        import polars as pl

        from hftlab.charts import percentile_chart

        shares = {"min": 0.0, **{name: 100 * q for name, q in PERCENTILES.items()}}
        rows = [
            (clock.name, shares[name], max(ns, 1.0))
            for clock in self.reports
            for name, ns in clock.cost.values().items()
            if name in shares and ns is not None
        ]
        frame = pl.DataFrame(rows, schema=["series", "percentile", "ns"], orient="row")
        return percentile_chart(frame, "Cost of reading a clock", "two readings back to back", "cost of a reading")


def clocks(n: int = MANY) -> Clocks:
    """Measure every clock available here with n readings each; a million, about a second, give a p99.99."""
    return Clocks(tuple(report(source, n) for source in every_source()))


def clock_of(backend: Backend) -> ClockReport:
    """The clock that stamps a backend's stages, measured now."""
    if source := source_of(backend):
        return report(source)
    known: dict[str, Any] = {"name": backend.clock, "kind": "engine", "tick_ns": None}
    measure = getattr(backend, "clock_cost", None)
    if measure is None:  # an engine of somebody else's that says nothing: what Python's own clock costs
        return report(Source(**known, reads="unknown; measured was perf_counter_ns", stamps=python_sources()[0].stamps))
    ns = np.asarray(measure(READINGS), np.float64)
    return ClockReport(**known, reads="unknown", cost=Cost.of(ns), step_ns=step_of(ns))


def report(source: Source, n: int = READINGS) -> ClockReport:
    """Measure one clock: n readings for the cost, then some on every core in turn for steps back."""
    ticks = np.diff(source.stamps(n + 1))
    back, watched, cores = steps_back(source)
    return ClockReport(
        **{name: getattr(source, name) for name in _Clock.__dataclass_fields__},
        cost=Cost.of(ticks * source.ns_per_tick),
        step_ns=step_of(ticks) * source.ns_per_tick,
        backwards=back + int(np.count_nonzero(ticks < 0)),
        watched=watched + n,
        cores=cores,
    )


def step_of(differences: Samples) -> float:
    """The step of a clock, in the unit of its readings: the most common gap between neighbouring distinct differences.

    differences : of readings back to back, (n,); whole ticks, or ns

    A gap weighs as much as the rarer of the two values beside it, and values that hardly occur (a correction of the clock) count
    for nothing, as they would in the least gap or in a common divisor. A step that is not a whole number of ticks shows two
    neighbouring values for one multiple of it (24 and 25 ticks for 24.45, then 48 and 49): they are taken together, and the step
    is that of which all multiples fit best. Of equally common gaps the smaller one counts. 0 for a clock that stands still.
    """
    values, counts = np.unique(np.round(np.abs(differences), 6), return_counts=True)
    values, counts = np.append(values, 0.0), np.append(counts, 1)
    often = (counts >= _RARE * counts.max()) | (values == 0)
    values, first = np.unique(values[often], return_index=True)
    counts = counts[often][first]
    places = _merged(values)
    centres = np.bincount(places, values * counts) / np.bincount(places, counts)
    if len(centres) < 2:
        return 0.0
    weights = np.bincount(places, counts)
    gaps, common = np.diff(centres), np.minimum(weights[1:], weights[:-1])
    alike, same = (np.abs(gaps[:, None] - gaps) <= share * gaps for share in (_ALIKE, 1e-9))
    chosen = np.lexsort((gaps, -common @ same, -common @ alike))[0]
    if len(centres) == len(values):
        return float(gaps[chosen])
    step = float(np.average(gaps[alike[:, chosen]], weights=common[alike[:, chosen]]))
    for _ in range(_REFINED):
        multiple = np.maximum(np.round(centres / step), 1)
        fits = np.abs(centres - multiple * step) <= _ALIKE * step
        if not fits.any():
            break
        step = float((weights * centres * multiple)[fits].sum() / (weights * multiple**2)[fits].sum())
    return step


def _merged(values: Samples) -> np.ndarray[Any, Any]:
    """A number for each ascending value, the same for two that are one unit apart; unless there are three in a row, which a clock
    shows whose step is that unit."""
    apart = np.diff(values) != 1.0
    if (values % 1).any() or (~apart[1:] & ~apart[:-1]).any():
        return np.arange(len(values))
    return np.concatenate([[0], np.cumsum(apart)])


def steps_back(source: Source, rounds: int = ROUNDS) -> tuple[int, int, int]:
    """Steps back, readings, and cores they were taken on in turn: within a core, and from one core to the next."""
    parts, on = [], set()
    for core in each_core(rounds):
        parts.append(source.stamps(HOP))
        on.add(core)
    stamps = np.concatenate(parts)
    return int(np.count_nonzero(np.diff(stamps) < 0)), stamps.size, len(on)
