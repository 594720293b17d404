"""A profile as text for a terminal, and as HTML for a notebook."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from hftlab.profiling.result import Profile, Row

SHOWN = 20  # rows of a table
FUNCTIONS = 8  # whose source a notebook shows
WIDTH = 140
_HIDDEN = {"line": {"ns", "calls"}, "calls": {"own_ns", "cumulative_ns", "callers"}, "sample": {"stack", "depth"}}
_FOLDED = {"source", "function", "name", "where", "file"}  # may take more than a line
_MONO = "font-family:monospace;font-size:12px;white-space:pre;text-align:left;padding:0 6px"


def table(profile: Profile) -> Table:
    """The rows that weigh most, for rich."""
    from rich.markup import escape as plain
    from rich.table import Table

    columns = [name for name in profile.columns if name not in _HIDDEN.get(profile.how, set())]
    out = Table(title=f"{profile.how}: {plain(profile.subtitle())}")
    for name in columns:
        side: Any = "left" if profile.columns[name] is str else "right"
        out.add_column(name.replace("_", " "), justify=side, no_wrap=name not in _FOLDED)
    for row in shown(profile):
        out.add_row(*(plain(cell(name, row[name])) for name in columns))
    return out


def shown(profile: Profile) -> list[Row]:
    """Rows for a table: of lines, those that are dear of their own; of memory, some of each kind."""
    if profile.how == "line":
        from hftlab.profiling.line import own_lines

        return own_lines(profile.rows)[:SHOWN]
    if profile.how == "memory":
        kinds = groupby(profile.rows, lambda row: row["kind"])
        return [row for _, rows in kinds for row in list(rows)[:8]]
    return list(profile.rows[:SHOWN] if profile.how != "instructions" else profile.rows)


def cell(name: str, value: Any) -> str:
    """One value as a reader wants it."""
    if value is None:
        return "n/a"
    if isinstance(value, bool | str):
        return str(value).strip()
    if "share" in name:
        return f"{value:.1%}"
    if isinstance(value, int) or value == int(value):
        return f"{value:,.0f}"
    size = abs(value)
    return (
        f"{value:,.0f}"
        if size >= 1000
        else f"{value:,.1f}"
        if size >= 10
        else f"{value:.3g}"
        if size >= 0.001
        else f"{value:.1e}"
    )


def text(profile: Profile) -> str:
    """The table and the sentences, as wide as a page."""
    if not profile:
        return "\n".join(profile.lines())
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None).print(table(profile))
    return out.getvalue() + "\n".join(profile.lines())


def html(profile: Profile) -> str:
    """Annotated source for lines, a table for everything else, the sentences below."""
    said = "".join(f"<div>{escape(line)}</div>" for line in profile.lines())
    if not profile:
        return f"<div><b>{escape(profile.missing)}</b></div>"
    body = "".join(_source(profile.rows)) if profile.how == "line" else _table(profile)
    return f'<div class="hftlab-profile" style="overflow-x:auto">{body}<div style="font-size:12px;opacity:.8">{said}</div></div>'


def _table(profile: Profile) -> str:
    columns = [name for name in profile.columns if name not in _HIDDEN.get(profile.how, set())]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(name, row[name]))}</td>" for name in columns) + "</tr>" for row in shown(profile)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _source(rows: Iterable[Row]) -> Iterator[str]:
    """Every line of the dearest functions, the warmer the background the more of the loop's time it takes."""
    functions: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        functions.setdefault((row["file"], row["function"]), []).append(row)
    warmest = max((row["share"] for row in rows if not row["calls"]), default=0.0) or 1.0
    for (file, name), lines in list(functions.items())[:FUNCTIONS]:
        yield f'<div style="margin-top:8px"><b>{escape(name)}</b> <span style="opacity:.7">{escape(file)}</span></div>'
        yield '<table style="border-collapse:collapse;margin:0"><tr>'
        yield "".join(f'<th style="{_MONO}">{word}</th>' for word in ("line", "share", "hits", "ns/hit", "")) + "</tr>"
        for row in sorted(lines, key=lambda row: row["line"]):
            yield _line(row, warmest)
        yield "</table>"


def _line(row: Row, warmest: float) -> str:
    # What is called shows its own heat elsewhere.
    heat = min(row["share"] / warmest, 1.0) * (0.25 if row["calls"] else 0.75)
    seen = (f"{row['share']:.1%}", f"{row['hits']:,}", f"{row['ns_per_hit']:,.0f}") if row["hits"] else ("", "", "")
    numbers = "".join(f'<td style="{_MONO};text-align:right;opacity:.7">{text}</td>' for text in (f"{row['line']}", *seen))
    return f'<tr style="background:rgba(213,94,0,{heat:.2f})">{numbers}<td style="{_MONO}">{escape(row["source"])}</td></tr>'
