"""Lines: anything against anything else, and the experiments that are curves: scaling, FFI overhead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from hftlab.charts.base import WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.scales import by_series, log_axis, names_in

#: Points of a series from which dots would hide the line.
DENSE = 40


def line_chart(
    frame: pl.DataFrame,
    title: str,
    subtitle: str | list[str] = "",
    *,
    x: str = "x",
    y: str = "y",
    log_x: bool = False,
    log_y: bool = False,
    step: bool = False,
    rule: float | None = None,
    marks: Mapping[str, float] | None = None,
    height: int = 280,
) -> Chart:
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
    real, positive = ([name for name, log in (("x", log_x), ("y", log_y)) if log is wanted] for wanted in (False, True))
    rows = rows_of(frame, text=["series"], real=real, positive=positive, what="line_chart")
    if not rows:
        return empty_chart("no point to draw", title)
    series = by_series(names_in(rows), offset=28 if marks else 10)  # the labels of marks stand between legend and plot
    reach = [row[name] for row in rows for name in ("y", "low", "high") if row.get(name) is not None]
    along, up = _axis([row["x"] for row in rows], x, log_x, zero=False), _axis(reach, y, log_y, zero=rule is None)
    tooltip = ["series:N", alt.Tooltip("x:Q", title=x, format=",~r"), alt.Tooltip("y:Q", title=y, format=",.6~r")]
    base = data(rows).encode(x=alt.X("x:Q", **along), color=series["color"], tooltip=tooltip)
    scaled = alt.Y("y:Q", **up)
    shape = {"interpolate": "step-after"} if step else {"strokeJoin": "round"}
    layers = [*_rules(rule, marks), base.mark_line(**shape).encode(y=scaled, strokeDash=series["strokeDash"])]
    if rows[0].get("low") is not None:
        layers.append(base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", **up), y2="high:Q"))
    if not step:
        size = 8 if len(rows) > DENSE * len(names_in(rows)) else 36
        layers.append(base.mark_point(filled=True, size=size, opacity=1).encode(y=scaled))
    return alt.layer(*layers).properties(width=WIDTH - 112, height=height, title=head(title, subtitle))


def _axis(values: list[float], title: str, log: bool, *, zero: bool) -> dict[str, Any]:
    """Scale and axis around values."""
    if log:
        return log_axis(title, values, margin=1.1)
    return {"scale": alt.Scale(nice=True, zero=zero), "axis": alt.Axis(title=title, format=",~r", tickCount=7)}


def _rules(rule: float | None, marks: Mapping[str, float] | None) -> list[Any]:
    """A dashed horizontal rule, and dotted vertical ones with their labels above the plot."""
    layers = []
    if rule is not None:
        layers.append(data([{"at": rule}]).mark_rule(color="#999999", strokeDash=[4, 3]).encode(y="at:Q"))
    if marks:
        base = data([{"label": name, "at": at} for name, at in marks.items()]).encode(x="at:Q")
        layers.append(base.mark_rule(color="#999999", strokeDash=[2, 3]))
        layers.append(base.mark_text(dy=-8, color="#555555").encode(y=alt.value(0), text="label:N"))
    return layers


def scaling_chart(points: pl.DataFrame, title: str, rules: Mapping[str, float] | None = None, subtitle: str = "") -> Chart:
    """ns per message against size, one line per variant, the control dashed.

    points : columns variant, size, ns_per_message, low, high; title: of the horizontal axis; rules: positions on it, by label
    """
    frame = points.rename({"variant": "series", "size": "x", "ns_per_message": "y"})
    dotted = ["dotted: the reserved bytes of the best variant's book outgrow a cache"] if rules else []
    axes: dict[str, Any] = {"x": title, "y": "ns per message", "log_x": True, "log_y": True}
    return line_chart(frame, f"ns per message by {title}", [subtitle, *dotted], **axes, marks=rules, height=320)


def ffi_chart(calls: pl.DataFrame, subtitle: str = "") -> Chart:
    """ns per message against messages per call into Rust, a panel per last stage; calls of one message, and the Python engine.

    calls : columns way (entry point), until, messages_per_crossing, ns_per_message, low, high
    """
    messages = calls.filter(pl.col("until") != "")
    if messages.is_empty():
        return empty_chart("no entry point was measured", "FFI overhead")
    points = calls.select(
        "until",
        series="way",
        x=pl.when(pl.col("way").str.starts_with("push")).then("messages_per_crossing").otherwise(1),
        y="ns_per_message",
        low="low",
        high="high",
    )
    end = pl.lit(points["x"].max(), points["x"].dtype)
    points = pl.concat([points, points.filter(pl.col("series") == "Python engine").with_columns(x=end)])  # a horizontal line
    stages = messages["until"].unique(maintain_order=True).to_list()
    axes: dict[str, Any] = {"x": "messages per call", "y": "ns per message", "log_x": True, "log_y": True}
    panels = []
    for until in stages:
        panel = line_chart(points.filter(pl.col("until").is_in([until, ""])).drop("until"), "", **axes)
        width, name = (WIDTH - 94) // len(stages) - 40, alt.Title(f"until {until}", fontSize=12)
        panels.append(panel.properties(width=width, title=name))
    row = alt.hconcat(*panels, spacing=24).resolve_scale(y="shared", color="shared", strokeDash="shared")
    return row.properties(title=head("FFI overhead", subtitle))
