"""The diagnosis in a terminal."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from rich.markup import escape
from rich.table import Table

from hftlab import __version__
from hftlab.diagnostics.finding import Diagnosis, Finding

#: Columns of a terminal from which each column of the table has room of its own; below, why and how share one.
WIDE = 130
_MARK = {True: "[green]ok[/]", False: "[yellow]--[/]", None: ""}


def doctor_table(found: Diagnosis, width: int) -> Table:
    """What, state, why it matters, how to improve it; a section per area."""
    wide = width >= WIDE
    table = Table(title=f"hftlab {__version__}: what this machine can do", title_justify="left", padding=(0, 1))
    table.add_column("", width=2)
    table.add_column("what", width=19, overflow="fold")
    table.add_column("state", ratio=7 if wide else 6)
    for name in ("why it matters", "how to improve it") if wide else ("why it matters, -> how to improve it",):
        table.add_column(name, ratio=6)
    table.expand = True
    for _, findings in groupby(found.findings, key=lambda finding: finding.area):
        table.add_section()
        for finding in findings:
            table.add_row(*_cells(finding, wide))
    return table


def _cells(finding: Finding, wide: bool) -> list[Any]:
    mark, (what, state, why, improve) = (
        _MARK[finding.good],
        map(escape, (finding.topic, finding.state, finding.why, finding.improve)),
    )
    if wide:
        return [mark, what, state, why, improve]
    return [mark, what, state, why + (f"\n[dim]-> {improve}[/]" if improve else "")]
