"""The result of a run of faults: one row per fault and engine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hftlab.loadtest.report import LoadReport
from hftlab.presentation.document import Table, rows_table

_COLUMNS = {
    "what": ("fault", 1),
    "engine": ("engine", 1),
    "seen": ("effects", 1),
    "outcome": ("outcome", 1),
    "verdict": ("verdict", 1),
    "recovered_ms": ("recovered ms", 1),
}


class Verdict(StrEnum):
    """Of one fault and engine."""

    OK = "ok"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class FaultResult:
    """One fault, and one engine.

    how          : it was injected
    seen         : counts of its effects
    recovered_ms : the longest time for which orders were held back since it began; 0 if never, None if still at the end
    outcome: one sentence on what came of it, or on what is wrong
    failures     : everything that is wrong, a sentence each
    """

    fault: str
    engine: str
    how: str
    seen: dict[str, int]
    recovered_ms: float | None
    verdict: Verdict
    outcome: str
    failures: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """One row of `FaultReport.frame`; the effects in words: "gaps 3, recovered 12"."""
        effects = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in self.seen.items()) or "-"
        return {
            "fault": self.fault,
            "engine": self.engine,
            "how": self.how,
            "seen": effects,
            "recovered_ms": self.recovered_ms,
            "verdict": self.verdict.value,
            "outcome": self.outcome,
        }


@dataclass(frozen=True, repr=False)
class FaultReport(LoadReport):
    """Every fault that was tried.

    clock : "own" or "machine", see `inject_faults`
    frame : a row per fault and engine: fault, engine, how, seen (counts as text), recovered_ms (null: never), verdict, outcome
    """

    schema = "hftlab-faults/2"

    seed: int
    clock: str
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
        return Verdict.FAILED.value if self.failures else "survived"

    def headline(self) -> str:
        tried = [one for one in self.results if one.verdict != Verdict.SKIPPED]
        survived = sum(one.verdict == Verdict.OK for one in tried)
        early = ", interrupted" if self.interrupted else ""
        return f"{survived} of {len(tried)} faults survived, seed {self.seed}, ms by {self.clock} clock: {self.verdict}{early}"

    def derived(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "failures": self.failures}

    def tables(self) -> list[Table]:
        rows = [{**row, "what": f"{row['fault']}: {row['how']}"} for row in self.records()]
        rows = [{**row, "recovered_ms": "never"} if row["recovered_ms"] is None else row for row in rows]
        return [rows_table("faults", rows, _COLUMNS, words=5, grouped=True)]

    def notes(self) -> list[str]:
        skipped = [
            f"not tried: {one.fault}, {one.engine}: {one.outcome}" for one in self.results if one.verdict == Verdict.SKIPPED
        ]
        return [*skipped, *super().notes()]

    def plot(self) -> Any:
        """How long orders were held back, by fault and engine: an Altair chart."""
        from hftlab.charts import bar_chart

        frame = self.frame().drop_nulls("recovered_ms")
        bars = frame.select((frame["fault"] + ", " + frame["engine"]).alias("label"), frame["recovered_ms"].alias("value"))
        return bar_chart(bars, "Orders held back after a fault", f"seed {self.seed}, {self.clock} clock", "ms")
