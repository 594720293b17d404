"""Small pieces of HTML for notebooks. Everything that comes from data is escaped; nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from hftlab.presentation.document import Block, Code, Figure, Table, Text, Tiles

MOST_ROWS = 60
# With room of their own: a widget has none of the styles that JupyterLab gives to a table.
_RIGHT = "text-align:right;padding:2px 8px;font-variant-numeric:tabular-nums"
_LEFT = "text-align:left;padding:2px 8px"


def fragment(headline: str, blocks: Iterable[Block]) -> str:
    """A result for a notebook: its headline, then its blocks."""
    return f"<div><b>{escape(headline)}</b>{''.join(map(_block, blocks))}</div>"


def _block(block: Block) -> str:
    if isinstance(block, Table):
        small = "".join(f"<div style='font-size:11px'>{escape(line)}</div>" for line in (block.note, block.source) if line)
        return f"<div>{escape(block.title)}</div>{_table(block)}{small}"
    if isinstance(block, Text):
        tag = "li" if block.kind == "list" else "p"
        body = "".join(f"<{tag}>{escape(line)}</{tag}>" for line in block.lines)
        return f"<ul>{body}</ul>" if tag == "li" else body
    if isinstance(block, Tiles):
        return facts({name: f"{value} {unit}" for value, unit, name in block.tiles})
    if isinstance(block, Figure):
        return f"<div>{escape(block.title)}: {escape(block.caption)}</div>"
    return f"<pre>{escape(block.text)}</pre>" if isinstance(block, Code) else ""


def _table(block: Table) -> str:
    styles = [_LEFT if place < block.words else _RIGHT for place in range(len(block.columns))]
    head = "".join(f"<th style='{style}'>{escape(name)}</th>" for name, style in zip(block.columns, styles, strict=True))
    body, group = "", None
    for row in block.rows[:MOST_ROWS]:
        cells = ("", *row[1:]) if block.grouped and row[0] == group else row
        body += "<tr>" + "".join(f"<td style='{s}'>{escape(c)}</td>" for c, s in zip(cells, styles, strict=True)) + "</tr>"
        group = row[0]
    more = f"<p>... and {len(block.rows) - MOST_ROWS:,} more rows</p>" if len(block.rows) > MOST_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def cell(value: Any) -> str:
    """A value as text: numbers with thousands marked, n/a for what is not known."""
    if value is None or value != value:
        return "n/a"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.2f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table, at most 60 rows of it."""
    aligned = [_aligned(value) for value in rows[0]] if rows else [_LEFT] * len(columns)
    head = "".join(f"<th style='{style}'>{escape(name)}</th>" for name, style in zip(columns, aligned, strict=True))
    body = "".join(f"<tr>{''.join(map(_td, row))}</tr>" for row in rows[:MOST_ROWS])
    more = f"<p>... and {len(rows) - MOST_ROWS:,} rows more</p>" if len(rows) > MOST_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def facts(pairs: Mapping[str, str]) -> str:
    """A table of names and what they are."""
    rows = "".join(f"<tr><th style='{_LEFT}'>{escape(name)}</th>{_td(value)}</tr>" for name, value in pairs.items())
    return f"<table><tbody>{rows}</tbody></table>"


def block(title: str, body: str, lines: Iterable[str] = ()) -> str:
    """A title, HTML that has been escaped already, and sentences."""
    said = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<div><b>{escape(title)}</b>{body}{f'<ul>{said}</ul>' if said else ''}</div>"


def _td(value: Any) -> str:
    return f"<td style='{_aligned(value)}'>{escape(cell(value))}</td>"


def _aligned(value: Any) -> str:
    """Numbers to the right, and what is not known with them."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return _RIGHT if number or value is None else _LEFT
