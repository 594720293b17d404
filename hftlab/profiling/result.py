"""Profile: what a tool saw of an engine, as rows under the tool's columns, as tables, notes and a chart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hftlab.errors import HftlabError
from hftlab.measurement.machine import describe
from hftlab.measurement.storage import StoredResult
from hftlab.presentation.document import NOT_KNOWN, Table, table

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
    "memory": "kind:str stage:str where:str allocations_per_message:float bytes_per_message:float "
    "kept_per_message:float kept_bytes_per_message:float",
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

    schema = "hftlab-profile/2"

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

        parts = _parts(self.tool, self.rows, self.tree)
        whole = sum(value for _, value in parts) or 1.0
        shares = [(name, sum(value for stage, value in parts if stage == name) / whole) for name in STAGES]
        rows = [(name, share) for name, share in shares if share > 0]
        return pl.DataFrame(rows, schema={"stage": pl.String, "share": pl.Float64}, orient="row")

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
        from hftlab.charts import empty_chart

        return _CHARTS[self.tool](self) if self else empty_chart(self.missing)

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


def _parts(tool: str, rows: Sequence[Row], tree: Sequence[Row]) -> list[tuple[str, float]]:
    """(stage, what it takes) of a profile."""
    if tree:  # where built-in functions stand below their callers
        return [(row["stage"], row["own"]) for row in tree]
    if tool == "line":
        return [(row["stage"], row["ns"]) for row in rows if not row["calls"]]
    if tool == "memory":
        return [(row["stage"], row["allocations_per_message"] or 0.0) for row in rows if row["kind"] == "stage"]
    if tool == "instructions":
        return [(row["stage"], row["per_message"]) for row in rows if row["event"] == "instructions"]
    return []


def _heaviest(tool: str, rows: Sequence[Row]) -> list[Row]:
    """The rows of a table: of a line profile, lines by their own time; of memory, some of each kind."""
    if tool == "line":
        return own_lines(rows)[:TABLE_ROWS]
    if tool == "memory":
        return [row for _, kind in groupby(rows, lambda row: row["kind"]) for row in list(kind)[:ROWS_PER_KIND]]
    return list(rows if tool == "instructions" else rows[:TABLE_ROWS])


def _sources(rows: Sequence[Row]) -> Iterator[Table]:
    """Every line of the functions whose own lines take most."""
    functions: dict[tuple[str, str], float] = {}
    for row in own_lines(rows):
        key = (row["file"], row["function"])
        functions[key] = functions.get(key, 0.0) + row["share"]
    for file, name in sorted(functions, key=lambda key: -functions[key])[:SOURCES]:
        lines = sorted((row for row in rows if (row["file"], row["function"]) == (file, name)), key=lambda row: row["line"])
        cells = [
            (
                _indented(row["source"]),
                *(_cell(name, row[name]) if row["hits"] else "" for name in ("share", "hits", "ns_per_hit")),
            )
            for row in lines
        ]
        yield table(f"{name}, {file}:{lines[0]['line']}", ("source", "share", "hits", "ns/hit"), cells)


def _indented(source: str) -> str:
    """A line of source with the indentation that HTML would collapse."""
    code = source.lstrip(" ")
    return "\N{NO-BREAK SPACE}" * (len(source) - len(code)) + code


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


def _line_chart(profile: Profile) -> Any:
    """The slowest lines with their source, as bars."""
    from hftlab.charts import bar_chart

    bars = [
        {
            "label": f"{row['file'].rpartition('/')[2]}:{row['line']}  {row['source'].strip()}",
            "value": 100 * row["share"],
            "group": row["stage"],
            "text": f"{row['ns_per_hit']:,.0f} ns x {row['hits']:,}",
        }
        for row in own_lines(profile.rows)[:BARS]
    ]
    return bar_chart(bars, TITLES["line"], profile.subtitle(), "share of the engine's loop (%)", monospace=True)


def _tree_chart(profile: Profile) -> Any:
    """An icicle: callers above, callees below, as wide as the time they take."""
    from hftlab.charts import icicle_chart

    what = {"calls": "share of the pass, callees included", "sample": "share of the samples"}[profile.tool]
    return icicle_chart(profile.tree, TITLES[profile.tool], profile.subtitle(), what)


def _instructions_chart(profile: Profile) -> Any:
    """A panel per event, a bar per stage."""
    from hftlab.charts import panel_chart

    bars = [
        {"panel": row["event"], "label": row["stage"], "value": row["per_message"]}
        for row in profile.rows
        if row["event"] in PANELS
    ]
    return panel_chart(bars, TITLES["instructions"], profile.subtitle(), "per message, simulated")


def _counters_chart(profile: Profile) -> Any:
    """Each event per message on a logarithmic axis; events that the machine does not count are named."""
    from hftlab.charts import dot_chart

    dots = [
        {
            "label": f"{row['event']} (ns)" if row["unit"] == "ns" else row["event"],
            "value": row["per_message"],
            "group": row["source"],
        }
        for row in profile.rows
    ]
    return dot_chart(dots, TITLES["counters"], profile.subtitle(), "per message (log scale)")


def _memory_chart(profile: Profile) -> Any:
    """Allocations per message: by stage where the engine counts them, by function with memray, else blocks kept by line."""
    from hftlab.charts import bar_chart

    kinds = {row["kind"] for row in profile.rows}
    kind = next(name for name in ("growth", "function", "line", "stage") if name in kinds)
    column, title, axis = "allocations_per_message", TITLES["memory"], "allocations per message"
    if kind == "line":
        column, title, axis = "kept_per_message", "Memory kept", "blocks kept per message"
    state = {"stage": ", steady state", "growth": ", growth"} if kind == "growth" else {kind: ""}
    bars = [
        {"label": row["where"] + state[row["kind"]], "value": row[column], "group": row["stage"]}
        for row in profile.rows
        if row["kind"] in state
    ]
    return bar_chart(bars[:BARS], title, profile.subtitle(), axis)


_CHARTS = {
    "line": _line_chart,
    "calls": _tree_chart,
    "sample": _tree_chart,
    "instructions": _instructions_chart,
    "counters": _counters_chart,
    "memory": _memory_chart,
}
