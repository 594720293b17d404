"""Diagnosis: the findings of doctor(), and one finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from hftlab import __version__
from hftlab.measurement.machine import describe
from hftlab.measurement.storage import StoredResult
from hftlab.presentation.document import Table, table

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
            (each.area, MARKS[each.good], each.topic, each.state, " -> ".join(filter(None, (each.why, each.improve))))
            for each in self.findings
        ]
        return [table("", heads, rows, words=len(heads), grouped=True)] if rows else []

    def advice(self) -> list[str]:
        """What could be better and how, a sentence each."""
        improvable = [each for each in self.findings if each.good is False and each.improve]
        return [f"{each.topic}: {each.state}; {each.improve}" for each in improvable]

    def records(self) -> list[dict[str, Any]]:
        """One per finding: area, topic, state, good, why, improve."""
        return [asdict(finding) for finding in self.findings]

    def derived(self) -> dict[str, Any]:
        return {"hftlab": __version__}
