"""Anything counted or measured against anything else: a line per series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import by_series, names_in, ticks_between

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

FEW = 40  # points of a series; dots of more would hide the line


def line_chart(
    frame: pl.DataFrame,
    title: str,
    subtitle: str = "",
    *,
    x: str = "x",
    y: str = "y",
    log_x: bool = False,
    log_y: bool = False,
) -> alt.LayerChart | alt.Chart:
    """A line per series, a dot at each point.

    frame        : columns series, x, y; at most 5,000 rows. Of a logarithmic axis only what is above 0 is drawn
    x, y         : titles of the axes, with the unit
    log_x, log_y : logarithmic axes
    """
    alt = altair()
    real, positive = ([name for name, log in (("x", log_x), ("y", log_y)) if log is wanted] for wanted in (False, True))
    rows = rows_of(frame, text=["series"], real=real, positive=positive, what="line_chart")
    if not rows:
        return nothing("no point to draw", title)
    told = by_series(names_in(rows))
    (x_scale, x_axis), (y_scale, y_axis) = (
        _drawn([row[name] for row in rows], title, log) for name, title, log in (("x", x, log_x), ("y", y, log_y))
    )
    encoded: dict[str, Any] = {
        "x": alt.X("x:Q").scale(**x_scale).axis(**x_axis),
        "y": alt.Y("y:Q").scale(**y_scale).axis(**y_axis),
        "tooltip": ["series:N", alt.Tooltip("x:Q", title=x, format=",~r"), alt.Tooltip("y:Q", title=y, format=",.6~r")],
    }
    base = alt.Chart(alt.Data(values=rows)).encode(color=told["color"], **encoded)
    lines = base.mark_line(strokeWidth=2, strokeJoin="round").encode(strokeDash=told["strokeDash"])
    dense = len(rows) > FEW * len(names_in(rows))
    dots = base.mark_point(filled=True, size=8 if dense else 36, opacity=1)
    return (lines + dots).properties(width=WIDTH - 100, height=280, title=head(title, subtitle))  # type: ignore[no-any-return]


def _drawn(values: list[float], title: str, log: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scale and axis around values."""
    if not log:
        return {"nice": True, "zero": True}, {"title": title, "format": ",~r"}
    low, high = min(values) / 1.1, max(values) * 1.1
    axis = {"title": f"{title} (log scale)", "format": ",~r", "values": ticks_between(low, high)}
    return {"type": "log", "nice": False, "domain": [low, high]}, axis
