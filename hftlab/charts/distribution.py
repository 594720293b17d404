"""Distributions of latency: percentiles, and ridges of histograms.

A line ends with the rows of its frame: percentiles that a sample cannot bear are left out before.
"""

from __future__ import annotations

import json
import math
from typing import Any

import polars as pl

from hftlab.charts.base import WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.scales import broken, by_series, names_in, text_width, time_axis
from hftlab.presentation.document import duration

#: How far a ridge reaches, in distances between two of them.
_REACH = 1.7


def percentile_chart(
    frame: pl.DataFrame, title: str = "Latency by percentile", subtitle: str = "", what: str = "latency"
) -> Chart:
    """HDR percentile plot: ns against 1 / (1 - p), on two logarithmic axes, so that each further nine has as much room.

    frame : columns series, percentile (0 to 100, e.g. 99.99), ns (> 0); a row at 100, the maximum, has no place and is left out
    what  : what is measured, for the axis

    After Gil Tene's HdrHistogram. A dot marks where a series ends.
    """
    rows = _beyond(frame)
    if not rows:
        return empty_chart("no percentile above 0 ns", title)
    deepest = max(row["one_in"] for row in rows)
    nines = range(1, max(1, math.ceil(math.log10(deepest) - 1e-9)) + 1)
    labels = {1: "0%", 2: "50%", **{10**n: f"{100 - 10 ** (2 - n):.{max(0, n - 2)}f}%" for n in nines}}
    expression = " : ".join(f"datum.value == {at} ? '{text}'" for at, text in labels.items()) + " : ''"
    x = alt.X("one_in:Q").scale(type="log", domain=[1, max(10, deepest * 1.05)], nice=False)
    x = x.axis(title="percentile (log scale of 1 / (1 - p))", values=list(labels), labelExpr=expression)
    y = alt.Y("ns:Q", **time_axis(what, [row["ns"] for row in rows]))
    return _lines(rows, x, y).properties(title=head(title, subtitle))


def _beyond(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows with a percentile from 0 to below 100, and one message in how many lies beyond it."""
    rows = rows_of(frame, text=["series"], real=["percentile"], positive=["ns"], what="percentile_chart")
    rows = [{name: row[name] for name in ("series", "percentile", "ns")} for row in rows if 0 <= row["percentile"] < 100]
    return [{**row, "one_in": float(f"{100 / (100 - row['percentile']):.9g}")} for row in rows]


def _lines(rows: list[dict[str, Any]], x: Any, y: Any) -> Any:
    names = names_in(rows)
    tooltip = ["series:N", alt.Tooltip("percentile:Q", format=".6~r"), alt.Tooltip("ns:Q", format=",.1f", title="ns")]
    series = by_series(names)
    base = data(rows).encode(x=x, y=y, color=series["color"], tooltip=tooltip)
    lines = base.mark_line(strokeWidth=2, strokeJoin="round").encode(strokeDash=series["strokeDash"], order="percentile:Q")
    ends = [max((row for row in rows if row["series"] == name), key=lambda row: row["percentile"]) for name in names]
    dots = data(ends).mark_point(filled=True, size=36, opacity=1)
    dots = dots.encode(x=x, y=y, color=series["color"], tooltip=tooltip)
    return (lines + dots).properties(width=WIDTH - 100, height=300)


def ridge_chart(frame: pl.DataFrame, title: str = "Distribution of latency", subtitle: str = "", what: str = "latency") -> Chart:
    """Histograms one above the other on one logarithmic axis, each scaled to its own mode; a line marks its median.

    frame : columns series, low_ns, high_ns (> low_ns), count; bins equally wide on a logarithmic axis; empty ones may lack
    """
    rows = rows_of(frame, text=["series"], positive=["low_ns", "high_ns", "count"], what="ridge_chart")
    rows = [row for row in rows if row["high_ns"] > row["low_ns"]]
    if not rows:
        return empty_chart("no bin with a count", title)
    names = names_in(rows)
    bins = {name: sorted((row for row in rows if row["series"] == name), key=lambda row: row["low_ns"]) for name in names}
    offsets = {name: len(names) - 1 - place for place, name in enumerate(names)}
    medians = {name: _median(bins[name]) for name in names}
    beside = {name: [*broken(name), "p50 " + duration(medians[name])] for name in names}
    lines = max(map(len, beside.values()))
    lines_at = {offsets[name]: json.dumps([""] * (lines - len(text)) + text) for name, text in beside.items()}
    labels = " : ".join([*(f"datum.value == {at} ? {text}" for at, text in lines_at.items()), "''"])
    left = max(text_width(line, 11) for text in beside.values() for line in text)
    x = alt.X("ns:Q", **time_axis(what, [row[edge] for row in rows for edge in ("low_ns", "high_ns")], limit=8))
    y = alt.Y("top:Q").scale(domain=[0, len(names) - 1 + _REACH], nice=False, zero=False)
    beneath = {"labelOffset": 2 - 9 * lines, "labelLimit": 300, "domain": False, "ticks": False}
    y = y.axis(title=None, values=list(offsets.values()), labelExpr=labels, **beneath)
    series = {name: encoding.legend(None) for name, encoding in by_series(names).items()}
    points = [point for name in names for point in _outline(bins[name], name, offsets[name])]
    areas = data(points).mark_area(fillOpacity=0.72, line={"strokeWidth": 1.2}, orient="vertical")
    areas = areas.encode(x=x, y=y, y2="base:Q", **series, tooltip=["series:N", alt.Tooltip("ns:Q", format=",.0f")])
    marks = [{"series": name, "ns": medians[name], "base": offsets[name], "top": offsets[name] + 0.5} for name in names]
    rules = data(marks).mark_rule(color="white", strokeWidth=2).encode(x=x, y=y, y2="base:Q")
    height = max(44, 15 * lines) * (len(names) - 1 + _REACH)
    width = WIDTH - 50 - left
    return alt.layer(areas, rules).properties(width=width, height=height, title=head(title, subtitle))


def _median(bins: list[dict[str, Any]]) -> float:
    """The middle of the counts, between the edges of its bin on a logarithmic scale."""
    left = sum(row["count"] for row in bins) / 2
    for row in bins:
        if left <= row["count"]:
            return float(row["low_ns"] * (row["high_ns"] / row["low_ns"]) ** (left / row["count"]))
        left -= row["count"]
    raise AssertionError("half of the counts lie in some bin")


def _outline(bins: list[dict[str, Any]], name: str, offset: int) -> list[dict[str, Any]]:
    """Density over the logarithm, highest 1, as points at the middles of the bins; it falls to 0 where bins lack."""
    density = [row["count"] / math.log(row["high_ns"] / row["low_ns"]) for row in bins]
    points: list[tuple[float, float]] = []
    for at, row in enumerate(bins):
        low, high = row["low_ns"], row["high_ns"]
        if at == 0 or bins[at - 1]["high_ns"] < low * (1 - 1e-9):
            points.append((low, 0.0))
        points.append((math.sqrt(low * high), density[at] / max(density)))
        if at == len(bins) - 1 or bins[at + 1]["low_ns"] > high * (1 + 1e-9):
            points.append((high, 0.0))
    return [{"series": name, "ns": ns, "base": offset, "top": offset + _REACH * height} for ns, height in points]
