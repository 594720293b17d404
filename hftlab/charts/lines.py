"""Anything counted or measured against anything else: a line per series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import by_series, names_in

if TYPE_CHECKING:
    import altair as alt
    import polars as pl


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
    """A line with dots per series.

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
    encoded: dict[str, Any] = {
        "x": alt.X("x:Q").scale(**_scale(log_x)).axis(title=_title(x, log_x), format=",~r"),
        "y": alt.Y("y:Q").scale(**_scale(log_y)).axis(title=_title(y, log_y), format=",~r"),
        "tooltip": ["series:N", alt.Tooltip("x:Q", title=x, format=",~r"), alt.Tooltip("y:Q", title=y, format=",.6~r")],
    }
    base = alt.Chart(alt.Data(values=rows)).encode(color=told["color"], **encoded)
    lines = base.mark_line(strokeWidth=2, strokeJoin="round").encode(strokeDash=told["strokeDash"])
    dots = base.mark_point(filled=True, size=36, opacity=1)
    return (lines + dots).properties(width=WIDTH - 100, height=280, title=head(title, subtitle))  # type: ignore[no-any-return]


def _scale(log: bool) -> dict[str, Any]:
    return {"type": "log", "nice": False} if log else {"nice": True, "zero": True}


def _title(text: str, log: bool) -> str:
    return f"{text} (log scale)" if log else text
