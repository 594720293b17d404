"""What results and reports consist of before they are drawn: texts, tables, figures and commands, plain values all.

Every format (terminal, HTML, Markdown) is drawn from these, so that none can say what the others do not. Strings here are text,
never markup: the renderers escape them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

#: Where a number would be that was not measured, or that the sample cannot bear.
NOT_KNOWN = "n/a"


@dataclass(frozen=True)
class Text:
    """Sentences. kind: "text" a paragraph, "lead" one that stands out, "list" an item each, "note" in small print."""

    lines: tuple[str, ...]
    kind: str = "text"


@dataclass(frozen=True)
class Tiles:
    """A few figures that come first: (value, unit, what it is)."""

    tiles: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Table:
    """A table.

    columns : names, units with them
    rows    : cells as text, as many as columns
    words   : how many columns from the left are words; the others are numbers, set to the right
    note    : how to read it
    source  : what the numbers come from: rounds, messages, fingerprint
    grouped : rows with the same first cell belong together: it is shown once, and groups are set apart
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    note: str = ""
    source: str = ""
    grouped: bool = False

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"table {self.title!r}: a row of {len(wrong[0])} cells under {len(self.columns)} columns")


@dataclass(frozen=True)
class Figure:
    """A chart. spec: Vega-Lite with its theme; caption: how to read it; name: of its file, letters and dashes."""

    name: str
    title: str
    spec: dict[str, Any]
    caption: str
    source: str = ""


@dataclass(frozen=True)
class Code:
    """Commands, to be typed as they stand."""

    text: str


Block = Text | Tiles | Table | Figure | Code


@dataclass(frozen=True)
class Section:
    """A chapter of the report."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def slug(self) -> str:
        """For links: letters, digits and dashes."""
        return slug(self.title)


@dataclass(frozen=True)
class Document:
    """The whole report. note: a line under the title."""

    title: str
    note: str
    sections: tuple[Section, ...]

    @property
    def figures(self) -> list[Figure]:
        return [block for section in self.sections for block in section.blocks if isinstance(block, Figure)]

    @property
    def tables(self) -> list[Table]:
        return [block for section in self.sections for block in section.blocks if isinstance(block, Table)]


def slug(text: str) -> str:
    """A heading as a link, the way code hosts make it: lower case, dashes for spaces, no punctuation."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def text(*lines: str, kind: str = "text") -> Text:
    """A paragraph, or with kind="list" an item for each line."""
    return Text(tuple(line for line in lines if line), kind)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], **more: Any) -> Table:
    """A table of whatever sequences; more: words, note, source, grouped."""
    return Table(title, tuple(columns), tuple(tuple(row) for row in rows), **more)


def rows_table(title: str, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, tuple[str, float]], **more: Any) -> Table:
    """Rows of plain values as a table.

    columns : key of a row -> the head of its column, and what numbers are divided by; 0: a share, as per cent
    more    : words, note, source, grouped; see `Table`
    """
    heads = [head for head, _ in columns.values()]
    return table(title, heads, [[_cell(row[key], scale) for key, (_, scale) in columns.items()] for row in rows], **more)


def _cell(value: Any, scale: float) -> str:
    """Whole numbers and those from 100 on without decimals, the others with two."""
    if isinstance(value, (str, bool)):
        return value if isinstance(value, str) else "yes" if value else "NO"
    if value is None or value != value:
        return NOT_KNOWN
    if not scale:
        return f"{value:.0%}"
    value = value / scale
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"


def number(value: float | None, digits: int = 1, unit: float = 1.0) -> str:
    """A number as text, thousands apart; "n/a" for None and for what is no number. unit: what it is divided by."""
    return NOT_KNOWN if value is None or value != value else f"{value / unit:,.{digits}f}"


def duration(ns: float | None) -> str:
    """Nanoseconds in the unit that reads best: "43.1 ns", "8.52 µs", "1.20 ms"."""
    if ns is None or ns != ns:
        return NOT_KNOWN
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if abs(ns) >= unit:
            return f"{ns / unit:,.2f} {name}"
    return f"{ns:,.1f} ns"


def moment(ns: int | None, epoch: str) -> str:
    """A time since midnight or since 1970 (epoch "unix") as people write it, to the nanosecond; "none" for None."""
    if ns is None:
        return "none"
    seconds, part = divmod(ns, 10**9)
    if epoch == "midnight":
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{part:09d}"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{part:09d} UTC" if seconds < 2**37 else f"{ns} ns"
