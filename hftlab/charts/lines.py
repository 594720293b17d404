"""Anything counted or measured against anything else: a line per series."""
"""Any figures against any others: lines, one per series, the plain chart for what no other chart is made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import by_series, names_in, ticks_between
from hftlab.charts.scales import by_series, names_in

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

def lines_chart(
    frame: pl.DataFrame,
    x: str,
    y: str,
    title: str = "",
    subtitle: str = "",
    *,
    step: bool = False,
    rule: float | None = None,
    height: int = 240,
) -> alt.LayerChart | alt.Chart:
    """y against x on linear axes, a line per series.

    frame : columns series, x, y, at most 5,000 rows, in the order in which they are joined
    x, y  : titles of the axes, with units
    step  : a value holds until the next one, and no dots; rule: a horizontal line to compare with
    """
    rows = rows_of(frame, text=["series"], real=["x", "y"], what="lines_chart")
    if not rows:
        return nothing("no point", title)
    alt = altair()
    told = by_series(names_in(rows, "series"), "series")
    scale: dict[str, Any] = {"zero": rule is None}
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("x:Q").scale(zero=False, nice=not step).axis(title=x, format=",~r", tickCount=7, grid=False),
        y=alt.Y("y:Q").scale(**scale).axis(title=y, format=",~r", tickCount=6),
        color=told["color"],
    )
    mark = {"interpolate": "step-after"} if step else {"point": {"size": 55}}
    layers = [base.mark_line(strokeWidth=2, **mark).encode(strokeDash=told["strokeDash"])]
    if rule is not None:
        layers.insert(
            0, alt.Chart(alt.Data(values=[{"at": rule}])).mark_rule(color="#999999", strokeDash=[4, 3]).encode(y="at:Q")
        )
    return alt.layer(*layers).properties(width=WIDTH - 100, height=height, title=head(title, subtitle))  # type: ignore[no-any-return]
