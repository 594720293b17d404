"""History: the main figures of every bench, kept in one Parquet file, and where they changed to another level for good.

    $HFTLAB_HOME/history.parquet    one row per run, engine and metric; see SCHEMA

A series is what one engine did in one metric on one feed and one machine (`machine` is a hash of its fingerprint: another kernel,
Python or hftlab is another machine). levels.py finds its shifts; a single slow run is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.errors import HftlabError, UnknownName
from hftlab.experiments.compare import HEADLINE
from hftlab.experiments.levels import SHORTEST, Level, levels
from hftlab.experiments.report import Report
from hftlab.measurement.kept import commit, home, locked, machine_id, replace
from hftlab.measurement.paired import FEWEST_ROUNDS, Interval
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-history/1"
COLUMNS = ("time", "commit", "machine", "feed", "engine", "metric", "value", "low", "high")
_LATENCY = {"p50": "median", "p99": "p99", "p99.9": "p99.9"}  # metric -> as the rows of a report call it


@dataclass(frozen=True)
class Series:
    """One engine in one metric, on one feed and one machine; values in ns (per message), oldest first, times in UTC."""

    machine: str
    feed: str
    engine: str
    metric: str
    times: tuple[datetime, ...]
    commits: tuple[str | None, ...]
    values: tuple[float, ...]
    levels: tuple[Level, ...]

    @property
    def steps(self) -> list[tuple[Level, Level]]:
        """Every shift: the level before it and the one after."""
        return list(pairwise(self.levels))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of `History.frame`."""
        for number, level in enumerate(self.levels):
            for place in range(level.start if number else 0, level.end):
                yield {
                    "time": self.times[place],
                    "commit": self.commits[place],
                    "machine": self.machine,
                    "feed": self.feed,
                    "engine": self.engine,
                    "metric": self.metric,
                    "value": self.values[place],
                    "level": level.value,
                    "step": bool(number) and place == level.start,
                }

    def to_dict(self) -> dict[str, Any]:
        last = self.levels[-1]
        steps = [
            {
                "time": self.times[after.start].isoformat(),
                "commit": self.commits[after.start],
                "from": before.value,
                "to": after.value,
                "ratio": before.value / after.value,
            }
            for before, after in self.steps
        ]
        return {
            "machine": self.machine,
            "feed": self.feed,
            "engine": self.engine,
            "metric": self.metric,
            "runs": len(self.values),
            "last": self.values[-1],
            "level": last.value,
            "level_since": self.times[last.start].isoformat(),
            "steps": steps,
        }


@dataclass(frozen=True)
class History(Result):
    """Every series that was asked for."""

    path: Path
    series: tuple[Series, ...]

    def frame(self) -> pl.DataFrame:
        """One row per run and series: time (UTC), commit, machine, feed, engine, metric, value, level (of its
        piece), step (whether a new piece begins here)."""
        import polars as pl

        rows = [row for one in self.series for row in one.rows()]
        return pl.DataFrame(rows, infer_schema_length=None)

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "series": [one.to_dict() for one in self.series]}

    def plot(self) -> Any:
        """The values of every series and its levels, one panel each, as an Altair chart."""
        from hftlab.charts import history_chart

        return history_chart(self.frame())

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        if not self.series:
            return ["no run is kept yet; every `hftlab bench` adds one (in CI only where HFTLAB_HOME is set)"]
        return [f"a level is found from {SHORTEST} runs on; ratios are before / after: above 1, it became faster"]

    def __str__(self) -> str:
        out = self.lines()
        for one in self.series:
            name = f"{one.engine} {one.metric} on {one.feed} ({one.machine})"
            out.append(f"{name}: last {one.values[-1]:,.1f}, level {one.levels[-1].value:,.1f}")
            for before, after in one.steps:
                when = f"{one.times[after.start]:%Y-%m-%d %H:%M} UTC"
                out.append(f"  step {before.value:,.1f} -> {after.value:,.1f} at {when}")
        return "\n".join(out)

    def __repr__(self) -> str:
        return f"<History of {len(self.series)} series, {sum(len(one.steps) for one in self.series)} steps>"


def history(engine: str | None = None, metric: str | None = None) -> History:
    """What earlier benches gave, and where it changed.

    engine, metric : only these, by label ("rust best") and name (ns/message, p50, p99, p99.9)
    raises         : UnknownName with the known ones; HftlabError if the file is no history
    """
    kept = _read(_path())
    for column, wanted in (("engine", engine), ("metric", metric)):
        if wanted is not None:
            if wanted not in (known := kept[column].unique(maintain_order=True).to_list()):
                raise UnknownName(f"{column} in the history", wanted, known)
            kept = kept.filter(kept[column] == wanted)
    parts = kept.sort("time", maintain_order=True).partition_by("machine", "feed", "engine", "metric", maintain_order=True)
    return History(_path(), tuple(map(_series, parts)))


def _series(part: pl.DataFrame) -> Series:
    values = part["value"].to_list()
    names = part.row(0, named=True)
    return Series(
        names["machine"],
        names["feed"],
        names["engine"],
        names["metric"],
        tuple(part["time"]),
        tuple(part["commit"]),
        tuple(values),
        tuple(levels(values)),
    )


def kept_here() -> bool:
    """Whether runs are kept: not in CI, whose machines come and go, unless HFTLAB_HOME says where."""
    return bool(os.environ.get("HFTLAB_HOME")) or not os.environ.get("CI")


def keep(report: Report | Mapping[str, Any]) -> Path | None:
    """Append the main figures of a bench; returns where, or None where none are kept.

    raises : HftlabError if the file is no history (it is left as it is) or cannot be written
    """
    if not kept_here():
        return None
    import polars as pl

    told = report.to_dict() if isinstance(report, Report) else report
    path = _path()
    new = pl.DataFrame(list(_rows(told)), schema=_schema(), orient="row")
    with locked(path):
        whole = pl.concat([_read(path), new])
        replace(path, lambda target: whole.write_parquet(target))
    return path


def _rows(told: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    head = (datetime.now(UTC), commit(), machine_id(told["machine"]), told["feed"])
    for engine in told["engines"]:
        rounds = np.array(engine["rounds_ns_per_message"], np.float64)
        span = Interval.of(rounds) if len(rounds) >= FEWEST_ROUNDS else None
        yield (*head, engine["label"], HEADLINE, float(np.median(rounds)), span and span.low, span and span.high)
        total: dict[str, Any] = next((row for row in engine["latency_ns"] if row["stage"] == "total"), {})
        for metric, name in _LATENCY.items():
            if total.get(name):
                yield (*head, engine["label"], metric, float(total[name]), None, None)


def _path() -> Path:
    return home() / "history.parquet"


def _schema() -> dict[str, Any]:
    import polars as pl

    text = dict.fromkeys(("commit", "machine", "feed", "engine", "metric"), pl.String)
    return {"time": pl.Datetime("us", "UTC"), **text, **dict.fromkeys(("value", "low", "high"), pl.Float64)}


def _read(path: Path) -> pl.DataFrame:
    """The file, empty if there is none. Raises HftlabError if it is something else."""
    import polars as pl

    if not path.exists():
        return pl.DataFrame(schema=_schema())
    try:
        found = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise HftlabError(f"{path}: is not a history of hftlab, and is left as it is: {str(error).splitlines()[0]}") from None
    if dict(found.schema) != _schema():
        raise HftlabError(f"{path}: is not a history of hftlab, and is left as it is: it has columns {', '.join(found.columns)}")
    return found
