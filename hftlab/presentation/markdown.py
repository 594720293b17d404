"""A document as Markdown that code hosts show: GitHub tables, charts as pictures in a folder beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hftlab.presentation.document import Block, Code, Document, Figure, Table, Text, Tiles

#: What means something within a line of Markdown or HTML, and what does at its beginning; a backslash takes the meaning away.
_WITHIN = re.compile(r"([\\`*_{}\[\]<>|~#$^&])")
_FIRST = re.compile(r"^([-+=]+|\d+(?=[.)]))(?=[.)]?(?:\s|$))")


def markdown(document: Document, folder: str) -> str:
    """The text. folder: where the pictures are, relative to it."""
    lines = [f"# {escape(document.title)}", "", escape(document.note), ""]
    lines += [f"- [{escape(section.title)}](#{section.slug})" for section in document.sections]
    for section in document.sections:
        lines += ["", f"## {escape(section.title)}"]
        for block in section.blocks:
            lines += ["", *_block(block, folder)]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that stays text, on one line: nothing in it is a table's bar, code, a heading, a link, an entity or a tag."""
    plain = _WITHIN.sub(r"\\\1", " ".join(text.split())).replace("://", "&#58;//")
    return _FIRST.sub(lambda found: found[1] + "&#8203;" if found[1].isdigit() else "\\" + found[1], plain)


def fenced(text: str) -> list[str]:
    """A block of code, its fence longer than any in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return [f"{fence}console", text, fence]


def _block(block: Block, folder: str) -> Iterator[str]:
    if isinstance(block, Text):
        if block.kind == "list":
            yield from (f"- {escape(line)}" for line in block.lines)
        else:
            yield "\n\n".join(map(escape, block.lines))
    elif isinstance(block, Tiles):
        yield from _table(("what", "value"), [(name, f"{value} {unit}") for value, unit, name in block.tiles], words=1)
    elif isinstance(block, Table):
        yield f"**{escape(block.title)}**"
        yield ""
        yield from _table(block.columns, block.rows, block.words)
        yield from _small(block.note, block.source)
    elif isinstance(block, Figure):
        yield f"![{escape(block.title)}]({folder}/{block.name}.svg)"
        yield from _small(f"{block.title}. {block.caption}", block.source)
    elif isinstance(block, Code):
        yield from fenced(block.text)


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], words: int) -> Iterator[str]:
    yield _row(columns)
    yield "|" + "|".join(":--" if place < words else "--:" for place in range(len(columns))) + "|"
    yield from map(_row, rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(escape(cell) or " " for cell in cells) + " |"


def _small(*lines: str) -> Iterator[str]:
    for line in filter(None, lines):
        yield ""
        yield f"<sub>{escape(line)}</sub>"
