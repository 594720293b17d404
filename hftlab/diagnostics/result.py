"""Diagnosis: the findings of doctor(), and one finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hftlab import __version__
from hftlab.measurement.machine import describe
from hftlab.measurement.storage import StoredResult
from hftlab.presentation.document import Table, table

if TYPE_CHECKING:
    import polars as pl

MARKS = {True: "ok", False: "--", None: ""}


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis.

    area    : engines, processor, system, network, clocks, rights or tools
    good    : None where nothing is right or wrong
    improve : how; empty where nothing is to be done
    """

    area: str
    topic: str
    state: str
    good: bool | None
    why: str
    improve: str = ""


@dataclass(frozen=True)
class Diagnosis(StoredResult):
    """The findings of `hftlab.doctor()`. Topics come and go with the machine; the fields of a finding keep their meanings.

    machine  : the fingerprint
    findings : by area
    """

    schema = "hftlab-doctor/2"

    machine: dict[str, Any]
    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, topic: str) -> Finding:
        """A finding by its topic. Raises KeyError."""
        return {finding.topic: finding for finding in self.findings}[topic]

    def headline(self) -> str:
        return f"hftlab {__version__} on {describe(self.machine)}"

    def tables(self) -> list[Table]:
        """One table, a group per area."""
        heads = ("area", "", "what", "state", "why it matters -> how to improve it")
        rows = [
            (one.area, MARKS[one.good], one.topic, one.state, one.why + (f" -> {one.improve}" if one.improve else ""))
            for one in self.findings
        ]
        return [table("", heads, rows, words=len(heads), grouped=True)] if rows else []

    def advice(self) -> list[str]:
        """What could be better and how, a sentence each."""
        return [f"{one.topic}: {one.state}; {one.improve}" for one in self.findings if one.good is False and one.improve]

    def frame(self) -> pl.DataFrame:
        """One row per finding: area, topic, state, good, why, improve."""
        import polars as pl

        names = ("area", "topic", "state", "good", "why", "improve")
        schema = {name: pl.Boolean if name == "good" else pl.String for name in names}
        return pl.DataFrame([asdict(finding) for finding in self.findings], schema=schema)

    def derived(self) -> dict[str, Any]:
        return {"hftlab": __version__}
