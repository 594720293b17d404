"""Blocks as HTML: a fragment for a notebook, or one page that needs no network. What comes from data is escaped.

In a page each chart is there twice: as a picture, which shows at once and without JavaScript, and as a Vega-Lite specification,
which takes its place when the page has been loaded. The page forbids itself every request (Content-Security-Policy).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from functools import cache, lru_cache
from html import escape
from typing import Any

from hftlab.errors import HftlabError
from hftlab.presentation.document import Block, Code, Document, Figure, Table, Text, Tiles

#: A page is smaller than this, bytes.
LIMIT = 3_000_000
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


def page(document: Document) -> str:
    """The page."""
    from importlib.resources import files

    from jinja2 import Environment, PackageLoader, StrictUndefined

    options: dict[str, Any] = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=PackageLoader("hftlab.presentation"), autoescape=True, **options)
    environment.globals.update(kind=lambda block: type(block).__name__, picture=picture)
    style = (files("hftlab.presentation") / "templates" / "page.css").read_text()
    specs = {figure.name: figure.spec for figure in document.figures}
    return environment.get_template("page.html").render(
        document=document, style=style, specs=script_json(specs), bundle=bundle() if specs else ""
    )


def script_json(value: Any) -> str:
    """JSON that may stand in a <script>: nothing in it can end the element or begin a comment."""
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def svg(spec: dict[str, Any]) -> str:
    """A chart as a picture, the same bytes for the same chart."""
    return _svg(json.dumps(spec, sort_keys=True))


@lru_cache(maxsize=64)
def _svg(spec: str) -> str:
    import vl_convert

    numbers: dict[str, str] = {}

    def renumbered(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"{found[1]}{len(numbers)}")

    # Vega goes on counting its gradients and clips from chart to chart, as long as the process lives.
    return re.sub(r"\b(gradient_|clip)\d+\b", renumbered, str(vl_convert.vegalite_to_svg(spec)))


def picture(spec: dict[str, Any]) -> str:
    """A chart as a picture in an address, for <img>: nothing in it can be run, and its names cannot meet those of another."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg(spec).encode()).decode()


@cache
def bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one program."""
    import vl_convert

    make: Any = vl_convert.javascript_bundle  # what is asked for beside the bundle is optional, whatever its types say
    program = str(make())
    if "</script" in program.lower() or "<!--" in program:
        raise HftlabError("the Vega bundle of this vl-convert cannot stand in a page: it holds the end of a script")
    return program
