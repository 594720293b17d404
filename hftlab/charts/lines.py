"""Anything counted or measured against anything else: a line per series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hftlab.charts.base import WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import by_series, names_in, ticks_between

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: Points of a series from which dots would hide the line.
DENSE = 40


def line_chart(
    frame: pl.DataFrame,
    title: str,
    subtitle: str = "",
    *,
    x: str = "x",
    y: str = "y",
    log_x: bool = False,
    log_y: bool = False,
    step: bool = False,
    rule: float | None = None,
    marks: Mapping[str, float] | None = None,
    height: int = 280,
) -> alt.LayerChart | alt.Chart:
    """A line per series, a dot at each point.

    frame        : columns series, x, y, at most 5,000 rows; optional low and high, an interval around y. Of a logarithmic axis
                   only what is above 0 is drawn
    x, y         : titles of the axes, with the unit
    log_x, log_y : logarithmic axes
    step         : a value holds until the next one, and there are no dots
    rule         : a horizontal line to compare with; the axis then need not begin at 0
    marks        : positions on x to be marked, by label
    height       : of the plot, px
    """
    alt = altair()
    real, positive = ([name for name, log in (("x", log_x), ("y", log_y)) if log is wanted] for wanted in (False, True))
    rows = rows_of(frame, text=["series"], real=real, positive=positive, what="line_chart")
    if not rows:
        return nothing("no point to draw", title)
    series = by_series(names_in(rows), offset=28 if marks else 10)  # the labels of marks stand between legend and plot
    reach = [row[name] for row in rows for name in ("y", "low", "high") if row.get(name) is not None]
    along, up = _axis([row["x"] for row in rows], x, log_x, zero=False), _axis(reach, y, log_y, zero=rule is None)
    tooltip = ["series:N", alt.Tooltip("x:Q", title=x, format=",~r"), alt.Tooltip("y:Q", title=y, format=",.6~r")]
    base = alt.Chart(alt.Data(values=rows)).encode(x=alt.X("x:Q", **along), color=series["color"], tooltip=tooltip)
    scaled = alt.Y("y:Q", **up)
    shape = {"interpolate": "step-after"} if step else {"strokeJoin": "round"}
    layers = [*_rules(rule, marks), base.mark_line(**shape).encode(y=scaled, strokeDash=series["strokeDash"])]
    if rows[0].get("low") is not None:
        layers.append(base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", **up), y2="high:Q"))
    if not step:
        size = 8 if len(rows) > DENSE * len(names_in(rows)) else 36
        layers.append(base.mark_point(filled=True, size=size, opacity=1).encode(y=scaled))
    return alt.layer(*layers).properties(width=WIDTH - 112, height=height, title=head(title, subtitle))  # type: ignore[no-any-return]


def _axis(values: list[float], title: str, log: bool, *, zero: bool) -> dict[str, Any]:
    """Scale and axis around values."""
    alt = altair()
    if not log:
        return {"scale": alt.Scale(nice=True, zero=zero), "axis": alt.Axis(title=title, format=",~r", tickCount=7)}
    low, high = min(values) / 1.1, max(values) * 1.1
    scale = alt.Scale(type="log", nice=False, domain=[low, high])
    return {"scale": scale, "axis": alt.Axis(title=f"{title} (log scale)", format=",~r", values=ticks_between(low, high))}


def _rules(rule: float | None, marks: Mapping[str, float] | None) -> list[Any]:
    """A dashed horizontal rule, and dotted vertical ones with their labels above the plot."""
    alt = altair()
    layers = []
    if rule is not None:
        across = alt.Chart(alt.Data(values=[{"at": rule}])).mark_rule(color="#999999", strokeDash=[4, 3])
        layers.append(across.encode(y="at:Q"))
    if marks:
        base = alt.Chart(alt.Data(values=[{"label": name, "at": at} for name, at in marks.items()])).encode(x="at:Q")
        layers.append(base.mark_rule(color="#999999", strokeDash=[2, 3]))
        layers.append(base.mark_text(dy=-8, color="#555555").encode(y=alt.value(0), text="label:N"))
    return layers
