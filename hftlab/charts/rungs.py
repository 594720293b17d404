"""The ladder of transports: what a message there and back takes, one rung each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import GREY, PALETTE, QUIET, altair, head, nothing, rows_of
from hftlab.charts.scales import legend, say_ns, time_axis

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: Percentile -> colour and shape.
_MARKS = {"p50": (PALETTE[0], "circle"), "p99": (PALETTE[1], "diamond"), "p99.9": (PALETTE[5], "triangle-right")}


def round_trip_chart(
    frame: pl.DataFrame, subtitle: str = "", title: str = "What a message there and back takes", measure: str = "round trip"
) -> alt.LayerChart | alt.Chart:
    """p50, p99 and p99.9 by transport on a logarithmic axis, the quickest at the top; what a sample cannot bear is left out.

    frame   : columns transport, p50 (ns, > 0), p99, p99.9; optional measure, of which `measure` is drawn
    """
    if "measure" in frame.columns:
        frame = frame.filter(frame["measure"] == measure)
    rows = rows_of(frame, *_MARKS, text=["transport"], positive=["p50"], what="round_trip_chart")
    if not rows:
        return nothing("no transport was measured", title)
    alt = altair()
    rows.sort(key=lambda row: row["p50"])
    names = [row["transport"] for row in rows]
    dots = [{"transport": row["transport"], "percentile": name, "ns": row[name]} for row in rows for name in _MARKS if row[name]]
    spans = [{**_keys(row), "low": row["p50"], "high": max(row[name] for name in _MARKS if row[name])} for row in rows]
    low, high = min(dot["ns"] for dot in dots), max(dot["ns"] for dot in dots)
    scale, axis = time_axis(measure, [low / (1.2 * (high / low) ** 0.13), high])  # room for the text at the left
    y = alt.Y("transport:N", sort=names).axis(title=None, labelLimit=160, grid=True, gridColor="#f4f4f4")
    lines = alt.Chart(alt.Data(values=spans)).mark_rule(color=GREY, strokeWidth=1.5)
    lines = lines.encode(y=y, x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q")
    marks = [name for name in _MARKS if any(row[name] for row in rows)]
    colours, shapes = zip(*(_MARKS[name] for name in marks), strict=True)
    key = legend(marks, symbolSize=90)
    points = alt.Chart(alt.Data(values=dots)).mark_point(filled=True, size=75, opacity=1)
    points = points.encode(
        y=y,
        x=alt.X("ns:Q", scale=scale, axis=axis),
        color=alt.Color("percentile:N", sort=marks, legend=key).scale(domain=marks, range=colours),
        shape=alt.Shape("percentile:N", sort=marks, legend=key).scale(domain=marks, range=shapes),
        tooltip=["transport:N", "percentile:N", alt.Tooltip("ns:Q", format=",.0f", title="ns")],
    )
    told = [{**_keys(row), "ns": row["p50"], "text": say_ns(row["p50"])} for row in rows]
    text = alt.Chart(alt.Data(values=told)).mark_text(align="right", dx=-9, fontSize=10.5, color=QUIET)
    text = text.encode(y=y, x=alt.X("ns:Q", scale=scale, axis=axis), text="text:N")
    height = max(90, 24 * len(rows))
    return alt.layer(lines, points, text).properties(width=500, height=height, title=head(title, subtitle))  # type: ignore[no-any-return]


def _keys(row: dict[str, Any]) -> dict[str, Any]:
    return {"transport": row["transport"]}
