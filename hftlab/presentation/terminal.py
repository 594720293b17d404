"""Blocks on a terminal, with rich: tables that fit its width, or are split by columns until they do."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from hftlab.presentation.document import Block, Code, Figure, Table, Text, Tiles

#: Where the width is not known: a pipe, a notebook, a test.
WIDTH = 100


def show(headline: str, blocks: Iterable[Block], console: Console | None = None) -> None:
    """Print a result. console: default that of stdout, 100 columns wide where it is no terminal."""
    console = console or _console()
    if headline:
        console.print(headline, markup=False, highlight=False, soft_wrap=not console.is_terminal)
    for block in blocks:
        _show(block, console)


def to_text(headline: str, blocks: Iterable[Block], width: int = WIDTH) -> str:
    """The same as text without colours."""
    out = io.StringIO()
    show(headline, blocks, Console(file=out, width=width, color_system=None, force_terminal=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).rstrip()


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=max(console.width, WIDTH))


def _show(block: Block, console: Console) -> None:
    if isinstance(block, Table):
        for part in _fitting(block, console.width):
            console.print(_rich(part))
        for line in filter(None, (block.note, block.source)):
            console.print(line, style="dim", markup=False, highlight=False)
    elif isinstance(block, Text):
        for line in block.lines:
            console.print(f"  {line}" if block.kind == "list" else line, markup=False, highlight=False)
    elif isinstance(block, Tiles):
        for value, unit, name in block.tiles:
            console.print(f"{name}: {value} {unit}".rstrip(), markup=False, highlight=False)
    elif isinstance(block, Code):
        console.print(block.text, markup=False, highlight=False, soft_wrap=True)
    elif isinstance(block, Figure):
        console.print(f"[chart] {block.title}: {block.caption}", markup=False, highlight=False)


def _rich(table: Table) -> RichTable:
    out = RichTable(
        title=escape(table.title) or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_header=any(table.columns),
    )
    for place, name in enumerate(table.columns):
        word = place < table.words
        out.add_column(escape(name), justify="left" if word else "right", overflow="fold", no_wrap=not word)
    group = ""
    for row in table.rows:
        if table.grouped and group not in ("", row[0]):
            out.add_section()
        cells = ("", *row[1:]) if table.grouped and row[0] == group else row
        out.add_row(*map(escape, cells))
        group = row[0]
    return out


def _fitting(table: Table, width: int) -> Iterator[Table]:
    """The table, or as many as it takes: each with the columns of words, and as many of numbers as fit beside them."""
    widths = [max([len(name), *(len(row[place]) for row in table.rows)]) + 3 for place, name in enumerate(table.columns)]
    words = range(table.words)
    # Words fold, numbers do not: words get what the widest column of numbers leaves them, or two thirds.
    fixed = min(sum(widths[: table.words]), width * 2 // 3) if table.words < len(widths) else 0
    part: list[int] = []
    used, title = fixed, table.title
    for place in range(table.words, len(widths)):
        if part and used + widths[place] + 1 > width:
            yield _columns(table, [*words, *part], title)
            part, used, title = [], fixed, f"{table.title} (continued)"
        part.append(place)
        used += widths[place]
    yield _columns(table, [*words, *part], title)


def _columns(table: Table, places: list[int], title: str) -> Table:
    rows = tuple(tuple(row[place] for place in places) for row in table.rows)
    return Table(title, tuple(table.columns[place] for place in places), rows, words=table.words, grouped=table.grouped)
