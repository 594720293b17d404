"""A history of benches: every run as a dot, the levels as lines, the steps between them marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import GREY, PALETTE, altair
from hftlab.errors import HftlabError

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

_MOST = 12  # panels; more are no picture


def history_chart(runs: pl.DataFrame) -> alt.VConcatChart:
    """One panel per series, run after run: benches are not evenly spread in time, and a gap is no information.

    runs   : `History.frame()`: time, commit, machine, feed, engine, metric, value, level, step
    raises : HftlabError if there is nothing to draw, or more than 12 series
    """
    if runs.is_empty():
        raise HftlabError("the history is empty; there is nothing to draw")
    parts = runs.partition_by("machine", "feed", "engine", "metric", maintain_order=True)
    if len(parts) > _MOST:
        raise HftlabError(f"the history has {len(parts)} series; allowed are {_MOST} in one chart (choose an engine or a metric)")
    alt = altair()
    head = alt.Title("Every bench kept, and its levels", subtitle="a step is a change that lasts, not a slow run", anchor="start")
    return alt.vconcat(*map(_panel, parts), spacing=18).properties(title=head)  # type: ignore[no-any-return]


def _panel(runs: pl.DataFrame) -> Any:
    alt = altair()
    rows = [
        {**row, "run": place, "time": row["time"].isoformat(" ", "minutes")} for place, row in enumerate(runs.to_dicts(), start=1)
    ]
    piece = 0
    for row in rows:
        piece += row["step"]
        row["piece"] = piece  # two pieces of the same level are two lines
    starts = [row for row in rows if row["step"]]
    for row in starts:
        before = rows[row["run"] - 2]["level"]
        row["text"] = f"{before:,.4g} → {row['level']:,.4g} ns"
    first = rows[0]
    name = f"{first['engine']}, {first['metric']}, {first['feed']} (machine {first['machine']})"
    unit = "ns per message" if first["metric"] == "ns/message" else f"{first['metric']}, ns"
    ticks = {"tickMinStep": 1, "format": "d"}
    x = alt.X("run:Q").axis(title="run, oldest first", grid=False, **ticks).scale(domain=[0.5, len(rows) + 0.5], nice=False)
    y = alt.Y("value:Q").axis(title=unit, format=",.4~g", tickCount=5).scale(zero=False)
    base = alt.Chart(alt.Data(values=rows))
    dots = base.mark_point(filled=True, size=40, opacity=0.8, color=GREY).encode(
        x=x, y=y, tooltip=["time:N", "commit:N", "value:Q", "level:Q"]
    )
    lines = base.mark_line(strokeWidth=2.5, color=PALETTE[0]).encode(x=x, y=alt.Y("level:Q"), detail="piece:N")
    marks = alt.Chart(alt.Data(values=starts)).mark_rule(color=PALETTE[5], strokeDash=[4, 3]).encode(x=x)
    texts = alt.Chart(alt.Data(values=starts)).mark_text(dy=-7, color=PALETTE[5])
    title = alt.Title(name, anchor="start", frame="group", fontSize=12, offset=6)
    layers = [dots, lines, *([marks, texts.encode(x=x, y=alt.value(0), text="text:N")] if starts else [])]
    return alt.layer(*layers).properties(width=540, height=150, title=title)
