"""What every profile is: rows under fixed columns, a picture, sentences; and the one sentence where a tool cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hftlab.errors import HftlabError
from hftlab.measurement.machine import describe
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-profile/1"
Row = dict[str, Any]


class Missing(HftlabError):  # noqa: N818 - it says what it is
    """Something that cannot be profiled here, and why: a tool that is not there, an engine that does not fit."""


@dataclass(frozen=True)
class Found:
    """What one way of looking has found. `tree` holds the rectangles of an icicle, see `stacks.rectangles`."""

    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    tree: list[Row] = field(default_factory=list)
    missing: str = ""  # what could not be seen, although something was
    slowdown: float | None = None  # times as long as the plain pass beside it, where the tool works in this process


@dataclass(frozen=True, repr=False)
class Profile(Result):
    """One engine on one feed, looked at in one way.

    how      : the way, one of `hftlab.profiling.HOWS`
    engine   : label of the engine; feed: name of the feed
    messages : messages of the feed that were looked at
    machine  : its fingerprint
    columns  : name -> type of every column of `frame()`
    rows     : the rows, what weighs most first
    notes    : sentences about this profile
    tree     : the rectangles of the icicle; empty where there is none
    missing  : "" or one sentence: what cannot be seen here, and why
    slowdown : how many times as long a pass took under the tool as the plain one beside it; None where that is not known

    A profile without a row is false.
    """

    how: str
    engine: str
    feed: str
    messages: int
    machine: Mapping[str, Any]
    columns: Mapping[str, type]
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    tree: tuple[Row, ...] = ()
    missing: str = ""
    slowdown: float | None = None

    def __bool__(self) -> bool:
        return bool(self.rows)

    def frame(self) -> pl.DataFrame:
        """One row per line, function, stack, event or place, what weighs most first; no row where the tool is missing."""
        import polars as pl

        return pl.DataFrame(list(self.rows), schema=dict(self.columns), orient="row")

    def by_stage(self) -> pl.DataFrame:
        """stage, share (0 to 1, of the whole): what each stage takes by this way of looking, in the order of the path.

        calls, sample, line  : own time, by the file that the code stands in; what a library does counts for who called it
        memory, instructions : allocations, instructions, by what a pass asks for more when it runs until this stage, too
        counters             : no row, nothing is told apart by stage
        """
        import polars as pl

        from hftlab.profiling.where import shares

        rows = list(shares(self.how, self.rows, self.tree).items())
        return pl.DataFrame(rows, schema={"stage": pl.String, "share": pl.Float64}, orient="row")

    def plot(self) -> Any:
        """An Altair chart; where there is nothing to draw, the sentence that says why."""
        from hftlab.charts import nothing

        if not self:
            return nothing(self.missing)
        return import_module(f"hftlab.profiling.{self.how}").chart(self)

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        out = [*self.notes, *filter(None, [self.missing])]
        return [*([f"{self.subtitle()}, {self.how}"] if self else []), *out, describe(dict(self.machine))]

    def subtitle(self) -> str:
        """Engine, feed and number of messages."""
        return f"{self.engine} on {self.feed}, {self.messages:,} messages"

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "how": self.how,
            "engine": self.engine,
            "feed": self.feed,
            "messages": self.messages,
            "machine": dict(self.machine),
            "missing": self.missing,
            "slowdown": self.slowdown,
            "notes": list(self.notes),
            "rows": list(self.rows),
            "tree": list(self.tree),
        }

    def __repr__(self) -> str:
        if not self:
            return self.missing
        return f"<Profile {self.how} of {self.engine} on {self.feed}: {self.messages:,} messages, {len(self.rows):,} rows>"

    def __str__(self) -> str:
        from hftlab.profiling.view import text

        return text(self)

    def _repr_html_(self) -> str:
        from hftlab.profiling.view import html

        return html(self)
