"""The report of a bench: the seed's table, side by side, with the columns it lacked. Nothing is measured here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.experiments.measured import Measured
from hftlab.measurement.distribution import TITLES
from hftlab.measurement.machine import describe
from hftlab.measurement.paired import Interval
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-bench/3"


@dataclass(frozen=True)
class Report(Result):
    """Every engine on one feed, in one run, on one machine."""

    feed: str
    messages: int
    rounds: int
    machine: dict[str, Any]
    measured: tuple[Measured, ...]
    missing: dict[str, str]

    def ratios(self) -> dict[str, Interval]:
        """How many times the messages per second of the first engine each other one makes, with its 95 % interval."""
        base = np.array(self.measured[0].rounds_ns)
        return {other.label: Interval.of(base / np.array(other.rounds_ns)) for other in self.measured[1:]}

    @property
    def control(self) -> Interval | None:
        """The ratio of the last engine to itself, taken in the same rounds."""
        return Interval.of(np.array(self.measured[-1].control)) if self.measured[-1].control else None

    def frame(self) -> pl.DataFrame:
        """One row per engine and stage: latency in ns; null where the sample is too small."""
        import polars as pl

        rows = [
            {"engine": one.label, "stage": TITLES[row.part], "n": row.n, **row.values()}
            for one in self.measured
            for row in one.rows
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def stages(self) -> pl.DataFrame:
        """One row per engine and stage: ns per message that the stage adds to an unstamped pass."""
        import polars as pl

        rows = [
            {"engine": one.label, "stage": TITLES[stage], "ns_per_message": ns}
            for one in self.measured
            for stage, ns in one.stage_ns.items()
        ]
        return pl.DataFrame(rows)

    def intervals(self) -> pl.DataFrame:
        """One row per engine and stage, and end to end: ns per message of unstamped passes, low and high of the 95 % interval."""
        import polars as pl

        rows = [
            (one.label, TITLES[part], found.median, found.low, found.high)
            for one in self.measured
            for part, found in one.intervals().items()
        ]
        return pl.DataFrame(rows, schema=["engine", "stage", "ns_per_message", "low", "high"], orient="row")

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "feed": self.feed,
            "messages": self.messages,
            "rounds": self.rounds,
            "machine": self.machine,
            "engines": [one.to_dict() for one in self.measured],
            "ratios": {label: ratio.to_dict() for label, ratio in self.ratios().items()},
            "control": self.control and {"engine": self.measured[-1].label, **self.control.to_dict()},
            "missing": self.missing,
        }

    def plot(self) -> Any:
        """The stages of every engine as an Altair chart; see `hftlab.charts.stage_chart`."""
        from hftlab.charts import stage_chart

        return stage_chart(self.stages(), f"{self.feed}, {self.messages:,} messages")

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        out = [describe(self.machine)]
        for one in self.measured:
            out += one.lines()
        for label, ratio in self.ratios().items():
            out.append(f"{label} makes {ratio} the messages per second of {self.measured[0].label}")
        if self.control:
            out.append(f"A/A control, {self.measured[-1].label} against itself in the same rounds: {self.control}")
        for one in self.measured:
            apart = [said for agree, said in one.agreement().values() if not agree]
            out += [f"{one.label}, {said}" for said in apart]
        out += [
            f"{one.label} ran the record modes on the first {one.record_messages:,} messages alone, being slow"
            for one in self.measured
            if one.record_messages < self.messages
        ]
        out += [f"{name} is ABSENT: {why}" for name, why in self.missing.items()]
        return out

    def __repr__(self) -> str:
        return f"<Report {self.feed}: {', '.join(one.label for one in self.measured)}>"
