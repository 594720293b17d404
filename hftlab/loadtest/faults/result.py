"""The results of faults: one row per fault and engine; of days by the thousand what happened in them, and which went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hftlab.loadtest.report import LoadReport
from hftlab.presentation.document import Table, rows_table

_FAULT_COLUMNS = {
    "what": ("fault", 1),
    "engine": ("engine", 1),
    "seen": ("effects", 1),
    "outcome": ("outcome", 1),
    "verdict": ("verdict", 1),
    "recovered_ms": ("recovered ms", 1),
}
_SEED_COLUMNS = {"kind": ("what goes wrong", 1), "days": ("days", 1), "failed": ("of these failed", 1)}
_SCRIPT_COLUMNS = {"step": ("the shortest day that fails in the same way", 1)}


@dataclass(frozen=True)
class FaultResult:
    """One fault, and one engine.

    how          : it was injected
    seen         : counts of its effects
    recovered_ms : the longest time for which orders were held back since it began; 0 if never, None if still at the end
    outcome      : one sentence on what came of it, or on what is wrong
    failures     : everything that is wrong, a sentence each
    """

    fault: str
    engine: str
    how: str
    seen: dict[str, int]
    recovered_ms: float | None
    outcome: str
    failures: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """ "ok" or "FAILED"."""
        return "FAILED" if self.failures else "ok"

    def row(self) -> dict[str, Any]:
        """One row of `FaultReport.frame`; the effects in words: "gaps 3, recovered 12"."""
        effects = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in self.seen.items()) or "-"
        return {
            "fault": self.fault,
            "engine": self.engine,
            "how": self.how,
            "seen": effects,
            "recovered_ms": self.recovered_ms,
            "verdict": self.verdict,
            "outcome": self.outcome,
        }


@dataclass(frozen=True, repr=False)
class FaultReport(LoadReport):
    """Every fault that was tried.

    frame : a row per fault and engine: fault, engine, how, seen (counts as text), recovered_ms (of the network's own clock; null:
            never), verdict, outcome
    """

    schema = "hftlab-faults/3"

    seed: int
    results: tuple[FaultResult, ...]
    machine: dict[str, Any]
    interrupted: bool = False

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each."""
        return [f"{one.fault}, {one.engine}: {sentence}" for one in self.results for sentence in one.failures]

    @property
    def verdict(self) -> str:
        """ "survived" or "FAILED"."""
        return "FAILED" if self.failures else "survived"

    def headline(self) -> str:
        survived = sum(not one.failures for one in self.results)
        early = ", interrupted" if self.interrupted else ""
        return f"{survived} of {len(self.results)} faults survived, seed {self.seed}: {self.verdict}{early}"

    def derived(self) -> dict[str, Any]:
        return {"verdict": self.verdict, **super().derived()}

    def tables(self) -> list[Table]:
        rows = [{**row, "what": f"{row['fault']}: {row['how']}"} for row in self.records()]
        rows = [{**row, "recovered_ms": "never"} if row["recovered_ms"] is None else row for row in rows]
        return [rows_table("faults", rows, _FAULT_COLUMNS, words=5, grouped=True)]

    def plot(self) -> Any:
        """How long orders were held back, by fault and engine: an Altair chart."""
        from hftlab.charts import bar_chart

        frame = self.frame().drop_nulls("recovered_ms")
        bars = frame.select((frame["fault"] + ", " + frame["engine"]).alias("label"), frame["recovered_ms"].alias("value"))
        return bar_chart(bars, "Orders held back after a fault", f"seed {self.seed}, the network's own clock", "ms")


@dataclass(frozen=True)
class FailedDay:
    """One seed whose day went wrong.

    failures : what is wrong, a sentence each
    steps    : of the shortest day that fails in the same way, a sentence each; messages : of its feed
    trace    : checksum of everything that arrived in the whole day, and when; the same seed gives the same
    """

    seed: int
    engine: str
    failures: tuple[str, ...]
    steps: tuple[str, ...]
    messages: int
    trace: int


@dataclass(frozen=True, repr=False)
class SeedReport(LoadReport):
    """Days made by seeds.

    first, seeds : the first seed, and how many
    elapsed_s    : of all of them; kinds, failed : in how many days each kind of step was, and in how many that failed
    results      : the days that failed
    frame        : a row per kind of step: kind, days, failed
    """

    schema = "hftlab-fault-seeds/1"

    first: int
    seeds: int
    engines: tuple[str, ...]
    elapsed_s: float
    kinds: dict[str, int]
    failed: dict[str, int]
    results: tuple[FailedDay, ...]
    machine: dict[str, Any]
    interrupted: bool = False

    def records(self) -> list[dict[str, Any]]:
        kinds = sorted(self.kinds.items(), key=lambda kind: -kind[1])
        return [{"kind": kind, "days": days, "failed": self.failed.get(kind, 0)} for kind, days in kinds]

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each."""
        return [f"seed {one.seed}, {one.engine}: {sentence}" for one in self.results for sentence in one.failures]

    def headline(self) -> str:
        verdict = f"{len(self.results):,} FAILED" if self.results else "all survived"
        early = ", interrupted" if self.interrupted else ""
        rate = f"{self.seeds * len(self.engines) / max(self.elapsed_s, 1e-9):,.0f} days/s"
        return f"{self.seeds:,} seeds from {self.first:,} on, {', '.join(self.engines)}: {verdict}, {rate}{early}"

    def tables(self) -> list[Table]:
        scripts = [
            rows_table(f"seed {one.seed}, {one.engine}", [{"step": step} for step in one.steps or ("no step",)], _SCRIPT_COLUMNS)
            for one in self.results
        ]
        return [rows_table("days", self.records(), _SEED_COLUMNS), *scripts]

    def plot(self) -> Any:
        """In how many days each kind of step was: an Altair chart."""
        from hftlab.charts import bar_chart

        frame = self.frame()
        bars = frame.select(frame["kind"].alias("label"), frame["days"].cast(float).alias("value"))
        return bar_chart(bars, "What goes wrong in the days", self.headline(), "days")
