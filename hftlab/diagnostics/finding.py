"""One line of the doctor, and all of them."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hftlab import __version__
from hftlab.measurement.machine import describe
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-doctor/1"
MARKS = {True: "ok", False: "--", None: ""}


@dataclass(frozen=True)
class Finding:
    """One line. `good` is None where nothing is right or wrong, `improve` empty where nothing is to be done; `area` is set by
    `hftlab.diagnostics.examine`: engines, processor, system, clocks, rights, tools."""

    topic: str
    state: str
    good: bool | None
    why: str
    improve: str = ""
    area: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Diagnosis(Result):
    """What `hftlab.doctor()` found.

    machine  : the fingerprint
    findings : the lines, by area
    """

    machine: dict[str, Any]
    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, topic: str) -> Finding:
        """A line by its topic. Raises KeyError."""
        return {finding.topic: finding for finding in self.findings}[topic]

    def to_dict(self) -> dict[str, Any]:
        """schema, hftlab (version), machine (fingerprint), findings: each with topic, state, good (true, false, null), why,
        improve, area. Topics come and go with the machine; names and meanings of the fields stay while the schema does."""
        findings = [finding.to_dict() for finding in self.findings]
        return {"schema": SCHEMA, "hftlab": __version__, "machine": self.machine, "findings": findings}

    def frame(self) -> pl.DataFrame:
        """One row per line: area, topic, state, good, why, improve."""
        import polars as pl

        names = {"area": pl.String, "topic": pl.String, "state": pl.String, "good": pl.Boolean, "why": pl.String}
        schema = {**names, "improve": pl.String}
        return pl.DataFrame([{name: getattr(finding, name) for name in schema} for finding in self.findings], schema=schema)

    def advice(self) -> list[str]:
        """What could be better and how, a sentence each."""
        return [f"{one.topic}: {one.state}; {one.improve}" for one in self.findings if one.good is False and one.improve]

    def __str__(self) -> str:
        width = max((len(finding.topic) for finding in self.findings), default=0)
        lines = [describe(self.machine)]
        lines += [f"{MARKS[one.good]:>2} {one.topic:<{width}}  {one.state}" for one in self.findings]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th style="text-align:left">{name}</th>' for name in ("", "what", "state", "why it matters", "how to improve")
        )
        rows, area = [], None
        for one in self.findings:
            if one.area != area:
                area = one.area
                rows.append(f'<tr><th colspan="5" style="text-align:left">{html.escape(area)}</th></tr>')
            cells = (MARKS[one.good], one.topic, one.state, one.why, one.improve)
            rows.append("<tr>" + "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in cells) + "</tr>")
        return f"<p>{html.escape(describe(self.machine))}</p><table><tr>{head}</tr>{''.join(rows)}</table>"
