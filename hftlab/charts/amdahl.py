"""Amdahl's law as a picture: what the whole gains while one part of it becomes faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hftlab.charts.base import WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import by_series, names_in, ticks_between

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

MOST = 100.0  # times as fast, at the right edge
_POINTS = 41


def amdahl_chart(
    parts: pl.DataFrame, title: str = "What a part can give at most", subtitle: str = "", what: str = "the part"
) -> alt.LayerChart | alt.Chart:
    """Speed-up of the whole against that of one part, a line per part; dots where something was measured.

    parts : columns part, share (0 to 1, of the whole); optional times and speed_up, a dot: a part made so many times as
            fast made the whole so many times as fast
    what  : names the horizontal axis
    """
    alt = altair()
    rows = rows_of(parts, text=["part"], real=["share"], what="amdahl_chart")
    rows = [row for row in rows if 0 <= row["share"] <= 1]
    if not rows:
        return nothing("no part has a share", title)
    names = names_in(rows, "part")
    share = {row["part"]: row["share"] for row in rows}
    across = [MOST ** (place / (_POINTS - 1)) for place in range(_POINTS)]
    points = [
        {"part": name, "times": round(times, 4), "speed_up": round(1 / ((1 - share[name]) + share[name] / times), 5)}
        for name in names
        for times in across
    ]
    dots = [row for row in rows if row.get("times") and row.get("speed_up")]
    high = 1.08 * max([row["speed_up"] for row in [*points, *dots]])
    x = alt.X("times:Q").scale(type="log", domain=[1, MOST], nice=False)
    x = x.axis(title=f"times as fast: {what} (log scale)", values=[1, 2, 5, 10, 20, 50, 100], format="~r")
    y = alt.Y("speed_up:Q").scale(type="log", domain=[0.98, high], nice=False)
    y = y.axis(title="times as fast: the whole (log scale)", values=ticks_between(1, high), format="~r")
    told = by_series(names, "part")
    tips = ["part:N", alt.Tooltip("times:Q", format=".3~r"), alt.Tooltip("speed_up:Q", format=".3~r")]
    lines = alt.Chart(alt.Data(values=points)).mark_line(strokeWidth=2)
    lines = lines.encode(x=x, y=y, color=told["color"], strokeDash=told["strokeDash"])
    marks = alt.Chart(alt.Data(values=dots)).mark_point(filled=True, size=90, opacity=1)
    marks = marks.encode(x=x, y=y, color=told["color"], tooltip=tips)
    layers = [lines, *([marks] if dots else [])]
    return alt.layer(*layers).properties(width=WIDTH - 90, height=300, title=head(title, subtitle))  # type: ignore[no-any-return]
