"""Profile: what a tool saw of an engine, as rows under the tool's columns, as tables, notes and a chart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hftlab.errors import HftlabError
from hftlab.measurement.machine import describe
from hftlab.presentation.document import NOT_KNOWN, Table, table
from hftlab.presentation.result import StoredResult

if TYPE_CHECKING:
    import polars as pl

Row = dict[str, Any]

#: The stages in the order of the path; code of no stage comes last.
STAGES = ("tick", "book", "signal", "order", "engine", "other")
#: Tool -> the columns of its rows, as name:type.
COLUMNS = {
    "line": "file:str function:str line:int source:str hits:int ns:float ns_per_hit:float share:float stage:str calls:bool",
    "calls": "function:str file:str line:int stage:str calls:int own_ns:float cumulative_ns:float own_ns_per_call:float "
    "cumulative_ns_per_call:float share:float callers:str",
    "sample": "stack:str depth:int name:str file:str stage:str samples:int own:int share:float own_share:float",
    "instructions": "stage:str event:str code:str per_message:float until_per_message:float",
    "counters": "event:str source:str unit:str count:float per_message:float measured_share:float",
    "memory": "kind:str stage:str where:str allocations_per_message:float bytes_per_message:float",
}
_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
#: Tool -> title of its table and chart.
TITLES = {
    "line": "Slowest source lines",
    "calls": "Time by function",
    "sample": "Time by sampled stack",
    "instructions": "Processor events by stage",
    "counters": "Processor and kernel counters",
    "memory": "Allocations",
}
#: Tool -> the column that `Profile.by_stage` sums up, of the rows with this value in that column.
WEIGHTS = {
    "line": ("ns", "calls", False),
    "memory": ("allocations_per_message", "kind", "stage"),
    "instructions": ("per_message", "event", "instructions"),
}
#: Columns that a table leaves out.
_HIDDEN = {
    "line": {"ns", "calls"},
    "calls": {"own_ns", "cumulative_ns", "callers"},
    "sample": {"stack", "depth"},
}
TABLE_ROWS, ROWS_PER_KIND = 20, 8
#: Functions whose source a line profile shows whole.
SOURCES = 2
BARS = 16
#: Events of `instructions` that its chart shows, a panel each.
PANELS = ("instructions", "conditional branches mispredicted", "indirect jumps mispredicted", "first-level data misses")


class Unavailable(HftlabError):  # noqa: N818 - it reads as what it is
    """A tool that is not installed or may not look, or an engine that it cannot look into."""


@dataclass(frozen=True)
class Observation:
    """What a tool saw, see the fields of the same names in `Profile`."""

    rows: Sequence[Row]
    remarks: Sequence[str] = ()
    tree: Sequence[Row] = ()
    missing: str = ""
    slowdown: float | None = None


@dataclass(frozen=True, repr=False)
class Profile(StoredResult):
    """One engine on one feed, seen by one tool.

    tool     : its name, one of `hftlab.profiling.TOOLS`
    engine   : label of the engine; feed: name of the feed
    messages : messages of the feed that were run
    machine  : its fingerprint
    rows     : under `COLUMNS[tool]`, what weighs most first
    remarks  : sentences about this profile
    tree     : rectangles of the icicle, see `hftlab.profiling.calls.rectangles`; empty for tools without a call tree
    missing  : "", or one sentence: what cannot be seen here, and why
    slowdown : duration of a pass under the tool / duration of a plain pass; None for a tool in another process

    A profile without rows is false.
    """

    schema = "hftlab-profile/3"

    tool: str
    engine: str
    feed: str
    messages: int
    machine: Mapping[str, Any]
    rows: tuple[Row, ...] = ()
    remarks: tuple[str, ...] = ()
    tree: tuple[Row, ...] = ()
    missing: str = ""
    slowdown: float | None = None

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def columns(self) -> dict[str, type]:
        """Name -> type of every column of `frame()`."""
        return columns(self.tool)

    def headline(self) -> str:
        return f"{self.tool}: {self.subtitle()}" if self else self.missing

    def subtitle(self) -> str:
        """Engine, feed and number of messages, for a chart."""
        return f"{self.engine} on {self.feed}, {self.messages:,} messages"

    def frame(self) -> pl.DataFrame:
        """One row per line, function, stack, event or place, what weighs most first; empty where the tool is unavailable."""
        import polars as pl

        return pl.DataFrame(list(self.rows), schema=self.columns, orient="row")

    def by_stage(self) -> pl.DataFrame:
        """stage, share (0 to 1, of the whole), in the order of the path; stages without a share are left out.

        calls, sample, line  : own time, by the file of the code; the time of a library counts for its caller
        memory, instructions : allocations, instructions: what a pass until this stage has more than one until the stage before
        counters             : no rows, the counters do not tell stages apart
        """
        import polars as pl

        parts = pl.DataFrame(_parts(self), schema={"stage": pl.Enum(STAGES), "share": pl.Float64}, orient="row")
        sums = parts.group_by("stage").sum().filter(pl.col("share") > 0).sort("stage")
        return sums.with_columns(pl.col("stage").cast(pl.String), pl.col("share") / pl.col("share").sum())

    def tables(self) -> list[Table]:
        """The rows that weigh most; of a line profile the source of its slowest functions, too."""
        if not self:
            return []
        names = [name for name in self.columns if name not in _HIDDEN.get(self.tool, ())]
        names.sort(key=lambda name: self.columns[name] is not str)
        heads = [name.replace("_per_", "/").replace("_", " ") for name in names]
        rows = [[_cell(name, row[name]) for name in names] for row in _heaviest(self.tool, self.rows)]
        words = sum(self.columns[name] is str for name in names)
        sources = _sources(self.rows) if self.tool == "line" else []
        return [table(TITLES[self.tool], heads, rows, words=words), *sources]

    def notes(self) -> list[str]:
        return [*self.remarks, *filter(None, [self.missing if self else ""]), describe(dict(self.machine))]

    def plot(self) -> Any:
        """An Altair chart; without rows, the sentence that says why."""
        from hftlab import charts

        if not self:
            return charts.empty_chart(self.missing)
        title = (TITLES[self.tool], self.subtitle())
        match self.tool:
            case "line":
                return charts.bar_chart(_line_bars(self.rows), *title, "share of the engine's loop (%)", monospace=True)
            case "calls" | "sample":
                what = "pass, callees included" if self.tool == "calls" else "samples"
                return charts.icicle_chart(self.tree, *title, f"share of the {what}")
            case "instructions":
                dots = [{"label": row["event"], "group": row["stage"], "value": row["per_message"]} for row in self.rows]
                return charts.dot_chart([dot for dot in dots if dot["label"] in PANELS], *title, "per message, simulated")
            case "counters":
                states = {None: "not counted here", 0: "none"}
                names = [f"{row['event']} ({states.get(row['count'], row['unit'])})" for row in self.rows]
                dots = [
                    {"label": name, "value": row["per_message"], "group": row["source"]}
                    for name, row in zip(names, self.rows, strict=True)
                ]
                return charts.dot_chart(dots, *title, "per message")
        return charts.bar_chart(_memory_bars(self.rows), *title, "allocations per message")

    def __repr__(self) -> str:
        return f"<Profile {self.headline()}, {len(self.rows):,} rows>" if self else self.missing


def columns(tool: str) -> dict[str, type]:
    """Name -> type of the columns of a tool."""
    pairs = (column.split(":") for column in COLUMNS[tool].split())
    return {name: _TYPES[kind] for name, kind in pairs}


def row_of(tool: str, *values: Any) -> Row:
    """A row under the columns of a tool; trailing values that are left out are not known."""
    names = list(columns(tool))
    return dict(zip(names, (*values, *[None] * (len(names) - len(values))), strict=True))


def own_lines(rows: Iterable[Row]) -> list[Row]:
    """Rows of a line profile: the lines of the stages that were reached and call no profiled function, the slowest first."""
    return [row for row in rows if row["hits"] and not row["calls"] and row["stage"] != "engine"]


def _parts(profile: Profile) -> list[tuple[str, float]]:
    """(stage, what it takes) of a profile."""
    if profile.tree:  # where built-in functions stand below their callers
        return [(row["stage"], row["own"]) for row in profile.tree]
    if profile.tool not in WEIGHTS:
        return []
    weight, column, wanted = WEIGHTS[profile.tool]
    return [(row["stage"], row[weight]) for row in profile.rows if row[column] == wanted]


def _heaviest(tool: str, rows: Sequence[Row]) -> list[Row]:
    """The rows of a table: of a line profile, lines by their own time; of memory, some of each kind."""
    if tool == "line":
        return own_lines(rows)[:TABLE_ROWS]
    if tool == "memory":
        return [row for _, kind in groupby(rows, lambda row: row["kind"]) for row in list(kind)[:ROWS_PER_KIND]]
    return list(rows if tool == "instructions" else rows[:TABLE_ROWS])


def _sources(rows: Sequence[Row]) -> Iterator[Table]:
    """Every line of the functions whose own lines take most."""
    weights: Counter[tuple[str, str]] = Counter()
    for row in own_lines(rows):
        weights[row["file"], row["function"]] += row["share"]
    for place, _ in weights.most_common(SOURCES):
        lines = sorted((row for row in rows if (row["file"], row["function"]) == place), key=lambda row: row["line"])
        cells = [[_cell(name, row[name]) if row["hits"] else "" for name in ("share", "hits", "ns_per_hit")] for row in lines]
        sources = [re.sub("^ +", lambda match: "\N{NO-BREAK SPACE}" * len(match[0]), row["source"]) for row in lines]
        heads = ("source", "share", "hits", "ns/hit")  # the source keeps its indentation, which HTML would collapse
        named = [(source, *numbers) for source, numbers in zip(sources, cells, strict=True)]
        yield table(f"{place[1]}, {place[0]}:{lines[0]['line']}", heads, named)


def _cell(name: str, value: Any) -> str:
    """One value with about three digits."""
    if value is None:
        return NOT_KNOWN
    if isinstance(value, bool | str):
        return str(value).strip()
    if "share" in name:
        return f"{value:.1%}"
    if value == int(value) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _line_bars(rows: Sequence[Row]) -> list[Row]:
    """The slowest lines with their source."""
    return [
        {
            "label": f"{row['file'].rpartition('/')[2]}:{row['line']}  {row['source'].strip()}",
            "value": 100 * row["share"],
            "group": row["stage"],
            "text": f"{row['ns_per_hit']:,.0f} ns x {row['hits']:,}",
        }
        for row in own_lines(rows)[:BARS]
    ]


def _memory_bars(rows: Sequence[Row]) -> list[Row]:
    """Allocations per message: by function where memray counted them, by stage where the engine did."""
    functions = [row for row in rows if row["kind"] == "function"]
    state = {"function": "", "stage": ", steady state", "growth": ", growth"}
    return [
        {"label": row["where"] + state[row["kind"]], "value": row["allocations_per_message"], "group": row["stage"]}
        for row in (functions or rows)[:BARS]
    ]
