"""The result of a run of faults: one row per fault and engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hftlab.measurement.machine import fingerprint
from hftlab.presentation.document import Table, table
from hftlab.presentation.plain import PlainResult

if TYPE_CHECKING:
    import polars as pl


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
    verdict      : one of `Verdict`; outcome: one sentence on what came of it, or on what is wrong
    failures     : everything that is wrong, a sentence each
    """

    fault: str
    engine: str
    how: str
    seen: dict[str, int]
    recovered_ms: float | None
    verdict: str
    outcome: str
    failures: tuple[str, ...] = ()

    @property
    def effects(self) -> str:
        """The counts in words: "gaps 3, recovered 12"."""
        return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in self.seen.items()) or "-"


@dataclass(frozen=True)
class FaultReport(PlainResult):
    """Every fault that was tried; clock: "own" or "machine", see `inject_faults`."""

    schema = "hftlab-faults/1"

    seed: int
    clock: str
    rows: tuple[FaultResult, ...]
    machine: dict[str, Any] = field(default_factory=dict, repr=False)
    interrupted: bool = False

    @classmethod
    def of(cls, seed: int, clock: str, rows: Iterable[FaultResult], *, interrupted: bool = False) -> FaultReport:
        """On this machine."""
        return cls(seed, clock, tuple(rows), fingerprint(), interrupted)

    def __getitem__(self, name: str) -> list[FaultResult]:
        return [row for row in self.rows if row.fault == name]

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each."""
        return [f"{row.fault}, {row.engine}: {sentence}" for row in self.rows for sentence in row.failures]

    @property
    def verdict(self) -> str:
        """ "survived" or "FAILED"."""
        return Verdict.FAILED.value if self.failures else "survived"

    def headline(self) -> str:
        tried = [row for row in self.rows if row.verdict != Verdict.SKIPPED]
        survived = sum(row.verdict == Verdict.OK for row in tried)
        early = ", interrupted" if self.interrupted else ""
        return f"{survived} of {len(tried)} faults survived, seed {self.seed}, ms by {self.clock} clock: {self.verdict}{early}"

    def frame(self) -> pl.DataFrame:
        """One row per fault and engine: fault, engine, how, seen (counts as text), recovered_ms (null: never), verdict,
        outcome."""
        import polars as pl

        texts = dict.fromkeys(("fault", "engine", "how", "seen"), pl.String)
        schema: dict[str, Any] = {**texts, "recovered_ms": pl.Float64, "verdict": pl.String, "outcome": pl.String}
        rows = [{**asdict(row), "seen": row.effects, "verdict": str(row.verdict)} for row in self.rows]
        return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)

    def derived(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "failures": self.failures}

    def tables(self) -> list[Table]:
        rows = [
            (
                f"{row.fault}: {row.how}",
                row.engine,
                row.effects,
                row.outcome,
                row.verdict,
                "never" if row.recovered_ms is None else f"{row.recovered_ms:,.1f}",
            )
            for row in self.rows
        ]
        columns = ("fault", "engine", "effects", "outcome", "verdict", "recovered ms")
        return [table("faults", columns, rows, words=5, grouped=True)]

    def notes(self) -> list[str]:
        skipped = [f"not tried: {row.fault}, {row.engine}: {row.outcome}" for row in self.rows if row.verdict == Verdict.SKIPPED]
        return [*skipped, *self.failures]

    def plot(self) -> Any:
        """How long orders were held back, by fault and engine: an Altair chart."""
        from hftlab.charts import bar_chart

        frame = self.frame().drop_nulls("recovered_ms")
        bars = frame.select((frame["fault"] + ", " + frame["engine"]).alias("label"), frame["recovered_ms"].alias("value"))
        return bar_chart(bars, "Orders held back after a fault", f"seed {self.seed}, {self.clock} clock", "ms")

    def __repr__(self) -> str:
        return f"<FaultReport {len(self.rows)}: {self.verdict}>"
