"""Two bench reports taken at different times: how far apart are they?

No paired rounds: what changed between the runs besides the code is in the ratio, and no interval shows it. So the words say it,
the A/A control of each run stands beside, and runs of different machines or feeds are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.errors import HftlabError, UnknownName
from hftlab.experiments.baselines import Baseline
from hftlab.experiments.compare import HEADLINE
from hftlab.measurement.kept import differences
from hftlab.measurement.machine import describe
from hftlab.measurement.paired import CONFIDENCE, FEWEST_ROUNDS, RESAMPLES, Interval, Paired
from hftlab.measurement.percentiles import PERCENTILES
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-drift/1"
NOT_INTERLEAVED = (
    "the two were NOT taken interleaved: what the machine did between them is in the ratios, and no interval shows it; "
    "`hftlab compare A B` with two engines takes them in pairs"
)
_LATENCY = dict(zip(PERCENTILES, ("median", "p99", "p99.9"), strict=True))  # as the rows of a report call them


@dataclass(frozen=True)
class Shift:
    """One metric of one engine in both runs. `found` is None where each run has one figure alone, of which no interval comes.

    controls : the A/A control of each run; None if it has none
    """

    engine: str
    metric: str
    before: float
    now: float
    found: Paired | None
    controls: tuple[Interval | None, Interval | None]

    @property
    def verdict(self) -> str:
        return self.found.verdict if self.found else "not judged: one figure a run"

    def row(self) -> dict[str, Any]:
        """One row of `Drift.frame`."""
        found = self.found
        out = {
            "engine": self.engine,
            "metric": self.metric,
            "a": self.before,
            "b": self.now,
            "unit": "ns" if self.metric in PERCENTILES else "ns per message",
            "ratio": found.ratio.median if found else self.before / self.now if self.now else None,
            "low": found and found.ratio.low,
            "high": found and found.ratio.high,
        }
        for run, control in zip("ab", self.controls, strict=True):
            out |= {f"control_{run}": control and control.median}
            out |= {f"control_{run}_low": control and control.low, f"control_{run}_high": control and control.high}
        return {**out, "verdict": self.verdict}


@dataclass(frozen=True)
class Drift(Result):
    """What run b is against run a, engine by engine. Ratios are a / b: above 1, b is the faster one."""

    a: Baseline
    b: Baseline
    forced: tuple[str, ...]
    shifts: tuple[Shift, ...]

    def frame(self) -> pl.DataFrame:
        """One row per engine and metric: engine, metric, a, b, unit, ratio (a / b), low, high, control_a, control_a_low,
        control_a_high, control_b, control_b_low, control_b_high, verdict; null where there is no interval or no control."""
        import polars as pl

        rows = [shift.row() for shift in self.shifts]
        numbers = {name: pl.Float64 for name in rows[0] if name not in ("engine", "metric", "unit", "verdict")}
        return pl.DataFrame(rows, schema_overrides=numbers)

    def to_dict(self) -> dict[str, Any]:
        runs = {
            run: {"name": one.name, "time": one.time, "commit": one.commit, "machine": one.report["machine"]}
            for run, one in (("a", self.a), ("b", self.b))
        }
        return {
            "schema": SCHEMA,
            **runs,
            "feed": self.b.report["feed"],
            "interleaved": False,
            "forced_over": list(self.forced),
            "shifts": [shift.row() for shift in self.shifts],
            "words": self.lines(),
        }

    def plot(self) -> Any:
        """Every ratio that has an interval, the wider of the two A/A controls beside it, as an Altair chart."""
        from hftlab.charts import comparison_chart

        rows = []
        for shift in self.shifts:
            if shift.found:
                wide = max((one for one in shift.controls if one), key=lambda one: one.high / one.low, default=None)
                control = {"control": wide and wide.median, "control_low": wide and wide.low, "control_high": wide and wide.high}
                rows.append({**shift.row(), "metric": f"{shift.engine}: {shift.metric}", **control})
        import polars as pl

        subtitle = [f"{run}: {one.name}, {one.time}" for run, one in (("a", self.a), ("b", self.b))]
        subtitle.append(f"{self.b.report['feed']}; two runs, NOT interleaved")
        return comparison_chart(pl.DataFrame(rows, infer_schema_length=None), "Two runs apart", subtitle)

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        out = [f"{run}: {one}" for run, one in (("a", self.a), ("b", self.b))]
        out += [describe(self.b.report["machine"]), NOT_INTERLEAVED]
        out += [f"FORCED over a difference: {text}" for text in self.forced]
        pinned = [one.report["machine"].get("affinity") for one in (self.a, self.b)]
        if pinned[0] != pinned[1]:
            out.append(f"the cores they might run on differ: {pinned[0]} / {pinned[1]}")
        loads = [one.report["machine"].get("load_1min") for one in (self.a, self.b)]
        out.append("load of the machine: " + " / ".join("unknown" if one is None else f"{one:.2f}" for one in loads))
        for one, other in ((self.a, self.b), (self.b, self.a)):
            if alone := [label for label in one.labels if label not in other.labels]:
                out.append(f"only in {one.name}: {', '.join(alone)}")
            if _control(one, "") is None:
                out.append(f"{one.name} has no A/A control; what its machine made of nothing is not known")
        return out

    def __str__(self) -> str:
        rows = [f"{one.engine:<24} {one.metric:<13} {one.before:,.1f} -> {one.now:,.1f} ns  {one.verdict}" for one in self.shifts]
        return "\n".join([*self.lines(), *rows])

    def __repr__(self) -> str:
        return f"<Drift from {self.a.name} to {self.b.name}: {', '.join(_words(self.shifts))}>"


def drift(a: Baseline, b: Baseline, *, engine: str | None = None, force: bool = False, seed: int = 1) -> Drift:
    """Compare two runs, ns per message with an unpaired bootstrap interval, other figures without one.

    engine : only this one, by its label or the name of its backend
    force  : even if machine, versions or feed differ; the result says in what
    raises : HftlabError naming every field that differs, with both values; UnknownName for an engine neither has
    """
    apart = [f"{key}: {a.report[key]} / {b.report[key]}" for key in ("feed", "messages") if a.report[key] != b.report[key]]
    apart += differences(a.report["machine"], b.report["machine"])
    if not force:
        refuse(a.name, b.name, apart)
    shifts = [shift for one, other in _shared(a, b, engine) for shift in _shifts(a, b, one, other, seed)]
    return Drift(a, b, tuple(apart), tuple(shifts))


def refuse(a: str, b: str, apart: list[str]) -> None:
    """Raise HftlabError if two runs are apart in anything."""
    if apart:
        raise HftlabError(f"{a} and {b} differ in what matters: {'; '.join(apart)}; --force (force=True) compares them")


def _shared(a: Baseline, b: Baseline, wanted: str | None) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The same engine in both reports."""
    others = {one["label"]: one for one in b.report["engines"]}
    shared = [(one, others[one["label"]]) for one in a.report["engines"] if one["label"] in others]
    found = [pair for pair in shared if wanted in (None, pair[0]["label"], pair[0]["backend"])]
    if not found:
        raise UnknownName(f"engine in both {a.name} and {b.name}:", wanted or "any", [one["label"] for one, _ in shared])
    return found


def _shifts(a: Baseline, b: Baseline, one: Mapping[str, Any], other: Mapping[str, Any], seed: int) -> Iterator[Shift]:
    label = one["label"]
    controls = _control(a, label), _control(b, label)
    before, now = (np.array(run["rounds_ns_per_message"], np.float64) for run in (one, other))
    found = None
    if min(len(before), len(now)) >= FEWEST_ROUNDS:
        spans = [control for control in controls if control]
        envelope = Interval(1.0, min([1.0, *(one.low for one in spans)]), max([1.0, *(one.high for one in spans)]))
        found = Paired(float(np.median(before)), float(np.median(now)), unpaired(before, now, seed), envelope)
    yield Shift(label, HEADLINE, float(np.median(before)), float(np.median(now)), found, controls)
    for stage in ("tick", "book", "signal"):
        left, right = (run["until_ns_per_message"].get(stage) for run in (one, other))
        if left and right:
            yield Shift(label, f"until {stage}", left, right, None, controls)
    rows: list[dict[str, Any]] = [next((row for row in run["latency_ns"] if row["stage"] == "total"), {}) for run in (one, other)]
    for metric, key in _LATENCY.items():
        left, right = (row.get(key) for row in rows)
        if left is not None and right is not None:
            yield Shift(label, metric, left, right, None, controls)


def unpaired(before: np.ndarray[Any, Any], now: np.ndarray[Any, Any], seed: int = 1) -> Interval:
    """The ratio of the medians of two series that share no rounds, each resampled on its own."""
    rng = np.random.default_rng(seed)
    medians = [np.median(one[rng.integers(0, len(one), (RESAMPLES, len(one)))], axis=1) for one in (before, now)]
    low, high = np.quantile(medians[0] / medians[1], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(np.median(before) / np.median(now)), float(low), float(high))


def _control(run: Baseline, label: str) -> Interval | None:
    """The A/A control of an engine, or of the engine that has one."""
    told = {one["label"]: one.get("control_ratios") or [] for one in run.report["engines"]}
    having = {name: ratios for name, ratios in told.items() if len(ratios) >= FEWEST_ROUNDS}
    ratios = having.get(label) or next(iter(having.values()), None)
    return Interval.of(np.array(ratios, np.float64)) if ratios else None


def _words(shifts: tuple[Shift, ...]) -> Iterator[str]:
    for shift in shifts:
        if shift.metric == HEADLINE:
            yield f"{shift.engine} {shift.verdict}"
