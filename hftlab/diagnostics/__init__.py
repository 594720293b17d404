"""doctor(): what this machine can do, line by line: state, why it matters, how to improve it. Never fails because something is
missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from hftlab import __version__
from hftlab.diagnostics.probes import Finding as Finding
from hftlab.diagnostics.probes import probes
from hftlab.measurement.machine import describe, fingerprint
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import StoredResult

MARKS = {True: "ok", False: "--", None: ""}


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


def doctor(quick: bool = False) -> Diagnosis:
    """Probe engines, processor, system, network, clocks, rights and tools, in about 1.5 seconds.

    quick : without the spin of 0.7 seconds that measures the noise floor
    """
    machine = fingerprint()
    return Diagnosis(machine, tuple(probe.finding(machine) for probe in probes(quick)))
