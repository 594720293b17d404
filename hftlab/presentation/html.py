"""Blocks as HTML for a notebook. Everything that comes from data is escaped; nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from hftlab.presentation.document import Block, Code, Figure, Table, Text, Tiles

MAX_ROWS = 60
# With room of their own: a widget has none of the styles that JupyterLab gives to a table.
_RIGHT = "text-align:right;padding:2px 8px;font-variant-numeric:tabular-nums"
_LEFT = "text-align:left;padding:2px 8px"


def fragment(headline: str, blocks: Iterable[Block]) -> str:
    """A result for a notebook: its headline, then its blocks; of a long table the first 60 rows."""
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
        rows = (
            f"<tr>{_cell('th', name, _LEFT)}{_cell('td', f'{value} {unit}', _LEFT)}</tr>" for value, unit, name in block.tiles
        )
        return f"<table><tbody>{''.join(rows)}</tbody></table>"
    if isinstance(block, Figure):
        return f"<div>{escape(block.title)}: {escape(block.caption)}</div>"
    return f"<pre>{escape(block.text)}</pre>" if isinstance(block, Code) else ""


def _table(block: Table) -> str:
    styles = [_LEFT if place < block.words else _RIGHT for place in range(len(block.columns))]
    head = "".join(_cell("th", name, style) for name, style in zip(block.columns, styles, strict=True))
    body, group = "", None
    for row in block.rows[:MAX_ROWS]:
        cells = ("", *row[1:]) if block.grouped and row[0] == group else row
        body += f"<tr>{''.join(_cell('td', cell, style) for cell, style in zip(cells, styles, strict=True))}</tr>"
        group = row[0]
    more = f"<p>... and {len(block.rows) - MAX_ROWS:,} more rows</p>" if len(block.rows) > MAX_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(tag: str, text: str, style: str) -> str:
    return f"<{tag} style='{style}'>{escape(text)}</{tag}>"
