"""What a run of faults has found: one row per fault and engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hftlab.measurement.machine import fingerprint
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-stress-faults/1"
OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"


@dataclass(frozen=True)
class Survived:
    """One fault, and one engine.

    how          : it was injected
    seen         : counts of what was seen of it
    recovered_ms : the longest time for which orders were held back since it began; 0 if never, None if still at the end
    verdict      : "ok", "FAILED" or "skipped"; said: one sentence on what came of it, or on what is wrong
    failures     : everything that is wrong, a sentence each
    """

    fault: str
    engine: str
    how: str
    seen: dict[str, int]
    recovered_ms: float | None
    verdict: str
    said: str
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Faults(Result):
    """Every fault that was tried; clock: "own" or "machine", see `faults`."""

    seed: int
    clock: str
    rows: tuple[Survived, ...]
    interrupted: bool = False

    def __getitem__(self, name: str) -> list[Survived]:
        return [row for row in self.rows if row.fault == name]

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each."""
        return [f"{row.fault}, {row.engine}: {sentence}" for row in self.rows for sentence in row.failures]

    @property
    def verdict(self) -> str:
        """ "survived" or "FAILED", and that it was interrupted."""
        return ("FAILED" if self.failures else "survived") + (", as far as it came" if self.interrupted else "")

    def frame(self) -> pl.DataFrame:
        """One row per fault and engine: fault, engine, how, seen (counts as text), recovered_ms (null: never), verdict, said."""
        import polars as pl

        rows = [{**asdict(row), "seen": counted(row.seen)} for row in self.rows]
        schema = {
            "fault": pl.String, "engine": pl.String, "how": pl.String, "seen": pl.String, "recovered_ms": pl.Float64,
            "verdict": pl.String, "said": pl.String,
        }  # fmt: skip
        return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "failures": self.failures,
            "interrupted": self.interrupted,
            "seed": self.seed,
            "clock": self.clock,
            "machine": fingerprint(),
            "rows": [asdict(row) for row in self.rows],
        }

    def lines(self) -> list[str]:
        """How many there were, what could not be tried, what is wrong, and the verdict."""
        tried = [row for row in self.rows if row.verdict != SKIPPED]
        skipped = [f"not tried: {row.fault}, {row.engine}: {row.said}" for row in self.rows if row.verdict == SKIPPED]
        survived = sum(row.verdict == OK for row in tried)
        when = "their own clock" if self.clock == "own" else "the machine's clock"
        head = f"{survived} of {len(tried)} faults survived, seed {self.seed}, ms by {when}"
        return [head, *skipped, *self.failures, f"verdict: {self.verdict}"]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Faults {len(self.rows)}: {self.verdict}>"


def counted(seen: dict[str, int]) -> str:
    """Counts in words: "gaps 3, recovered 12"."""
    return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in seen.items()) or "-"
