"""Lines: anything against anything else, in panels where wanted; latency against load, calls against their size, percentiles, and
ridges of histograms. A line ends with the rows of its frame: percentiles for which a sample is too small are left out before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import polars as pl

from hftlab.charts.base import QUIET, WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.scales import broken, by_name, by_series, line_legend, log_axis, names_in, panel_name, text_width, time_axis
from hftlab.errors import check_choice
from hftlab.presentation.document import duration

#: Points of a series from which dots would hide the line.
DENSE = 40
#: How the points of a series are joined: straight, a value that holds until the next one, or not at all.
MARKS = ("line", "step", "dots")
#: Values of the column `time` of `load_chart`, in the order in which their panels stand, and their titles.
TIMES = {"response": "response time, from the intended send time", "service": "service time, from the actual start"}
_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [1, 4])


def line_chart(
    frame: pl.DataFrame,
    title: str,
    subtitle: str | list[str] = "",
    *,
    x: str = "x",
    y: str = "y",
    log_x: bool = False,
    log_y: bool = False,
    ns: bool = False,
    x_format: str = ",~r",
    mark: str = "line",
    rule: float | None = None,
    marks: Mapping[str, float] | None = None,
    spans: Mapping[str, tuple[float, float]] | None = None,
    columns: int = 1,
    height: int = 280,
) -> Chart:
    """A line per series, a dot at each point, a panel per name in `panel`; panels share both axes.

    frame        : columns series, x, y, at most 5,000 rows; optional low and high, an interval around y; optional panel; optional
                   dash, a second name that parts a series into lines. Of a logarithmic axis only what is above 0 is drawn
    x, y         : titles of the axes, with the unit
    log_x, log_y : logarithmic axes; ns: y is nanoseconds, on a logarithmic axis with units
    x_format     : of the ticks on x, as d3-format has it
    mark         : "line", "step" (a value holds until the next one) or "dots"
    rule         : a horizontal line to compare with; the axis then need not begin at 0
    marks        : positions on x to be marked, by label; spans: (start, end) on x to be shaded, by panel
    columns      : panels beside each other; height: of a panel, px
    raises       : UnknownName for another mark
    """
    check_choice("mark", mark, MARKS)
    log_y = log_y or ns
    real, positive = ([name for name, log in (("x", log_x), ("y", log_y)) if log is wanted] for wanted in (False, True))
    rows = rows_of(frame, text=["series"], real=real, positive=positive, what="line_chart")
    if not rows:
        return empty_chart("no point to draw", title)
    reach = [row[name] for row in rows for name in ("y", "low", "high") if row.get(name) is not None]
    along = _axis([row["x"] for row in rows], x, log=log_x, zero=False, format=x_format)
    up = time_axis(y, reach) if ns else _axis(reach, y, log=log_y, zero=rule is None)
    panels = names_in(rows, "panel") if "panel" in rows[0] else [""]
    symbol = {"symbolType": "circle", "symbolSize": 60} if mark == "dots" else {}
    encodings = _told_apart(rows, offset=28 if marks and panels == [""] else 10, **symbol)  # labels of marks stand below

    def drawn(panel: str, along: Any, up: Any) -> Any:
        mine = [row for row in rows if row.get("panel", "") == panel]
        ruled = [*_span((spans or {}).get(panel)), *_rules(rule, marks, within=bool(panel))]
        return alt.layer(*ruled, *_layers(mine, along, up, encodings, mark), *([panel_name(panel)] if panel else []))

    return _grid(panels, drawn, along, up, min(columns, len(panels)), height).properties(title=head(title, subtitle))


def _grid(panels: list[str], drawn: Callable[..., Any], along: Any, up: Any, columns: int, height: int) -> Any:
    """Panels side by side and below one another; the outer ones have the labels of the axes."""
    width = (WIDTH - 112) // columns - (10 if columns > 1 else 0)
    charts = [
        drawn(panel, _bare(along, at < len(panels) - columns), _bare(up, at % columns > 0)).properties(width=width, height=height)
        for at, panel in enumerate(panels)
    ]
    lines = [alt.hconcat(*charts[at : at + columns], spacing=16) for at in range(0, len(charts), columns)]
    return alt.vconcat(*lines, spacing=24) if len(charts) > 1 else charts[0]


def _told_apart(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Colour and dash of each series; where there is a second name, that one has the dashes. more : of altair.Legend"""
    encodings = by_series(names_in(rows), **more)
    if "dash" in rows[0]:
        names = names_in(rows, "dash")
        dashes = dict(zip(names, cycle(_DASHES), strict=False))
        encodings["strokeDash"] = by_name(alt.StrokeDash, "dash", dashes, line_legend(names))
    return encodings


def _layers(rows: list[dict[str, Any]], along: Any, up: Any, encodings: dict[str, Any], mark: str) -> list[Any]:
    """The lines, intervals and dots of one panel."""
    names = ["series", *(["dash"] if "dash" in rows[0] else [])]
    tooltip = [*(f"{name}:N" for name in names), alt.Tooltip("x:Q", format=",.6~r"), alt.Tooltip("y:Q", format=",.6~r")]
    base = data(rows).encode(x=alt.X("x:Q", **along), color=encodings["color"], tooltip=tooltip)
    base, scaled = base.encode(detail=[f"{name}:N" for name in names]), alt.Y("y:Q", **up)
    shape = {"interpolate": "step-after"} if mark == "step" else {"strokeJoin": "round"}
    layers = []
    if mark != "dots":
        layers.append(base.mark_line(**shape).encode(y=scaled, strokeDash=encodings["strokeDash"]))
    if rows[0].get("low") is not None:
        layers.append(base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", **up), y2="high:Q"))
    if mark != "step":
        size = 8 if len(rows) > DENSE * len(names_in(rows)) else 36
        layers.append(base.mark_point(filled=True, size=size, opacity=1).encode(y=scaled))
    return layers


def _axis(values: list[float], title: str, *, log: bool, zero: bool, format: str = ",~r") -> dict[str, Any]:
    """Scale and axis around values."""
    if log:
        return log_axis(title, values, margin=1.1)
    return {"scale": alt.Scale(nice=True, zero=zero), "axis": alt.Axis(title=title, format=format, tickCount=7)}


def _bare(scaled: dict[str, Any], hidden: bool) -> dict[str, Any]:
    """The axis of a panel that another one continues has neither labels nor title, if `hidden`."""
    axis = scaled["axis"].copy()
    if hidden:
        axis.title, axis.labels, axis.ticks = None, False, False
    return {**scaled, "axis": axis}


def _rules(rule: float | None, marks: Mapping[str, float] | None, *, within: bool) -> list[Any]:
    """A dashed horizontal rule, and dotted vertical ones with their labels above the plot, or `within` it."""
    layers = []
    if rule is not None:
        layers.append(data([{"at": rule}]).mark_rule(color="#999999", strokeDash=[4, 3]).encode(y="at:Q"))
    if marks:
        base = data([{"label": name, "at": at} for name, at in marks.items()]).encode(x="at:Q")
        layers.append(base.mark_rule(color="#999999", strokeDash=[2, 3]))
        place = {"align": "right", "dx": -5, "dy": 8} if within else {"dy": -8}
        layers.append(base.mark_text(**place, color="#555555").encode(y=alt.value(0), text="label:N"))
    return layers


def _span(span: tuple[float, float] | None) -> list[Any]:
    if span is None:
        return []
    shade = data([{"from": span[0], "to": span[1]}]).mark_rect(color=QUIET, opacity=0.13)
    return [shade.encode(x="from:Q", x2="to:Q")]


def load_chart(
    frame: pl.DataFrame,
    load: str = "offered load (share of capacity)",
    title: str = "Latency under load",
    subtitle: str = "",
    *,
    load_format: str = ".0%",
    knee: float | None = None,
) -> Chart:
    """The hockey stick: ns against load, a line per series and percentile; response and service time side by side where the frame
    has both.

    frame       : columns load, percentile (text: "p50", "p99.9", in the order of the legend), ns (> 0); optional series;
                  optional time, which is "response", from the intended send time, or "service"
    load        : title of the horizontal axis, with its unit; load_format: of its ticks
    knee        : a load to be marked
    raises      : UnknownName for another time

    One series: its percentiles have the colours. Several: the series have the colours, the percentiles the dashes.
    """
    rows = rows_of(frame, text=["percentile"], real=["load"], positive=["ns"], what="load_chart")
    for row in rows:
        check_choice("time", row.get("time") or "", ("", *TIMES))
    if not rows:
        return empty_chart("no latency above 0 ns at any load", title)
    rows.sort(key=lambda row: list(TIMES).index(row["time"]) if row.get("time") else 0)
    several = len({row.get("series") for row in rows}) > 1
    points = [
        {
            "x": row["load"],
            "y": row["ns"],
            "series": row["series"] if several else row["percentile"],
            **({"dash": row["percentile"]} if several else {}),
            **({"panel": TIMES[row["time"]]} if row.get("time") else {}),
        }
        for row in rows
    ]
    drawn = pl.DataFrame(points, infer_schema_length=None)
    marks = None if knee is None else {"knee": knee}
    return line_chart(drawn, title, subtitle, x=load, y="latency", ns=True, x_format=load_format, marks=marks, columns=2)


def ffi_chart(calls: pl.DataFrame, subtitle: str = "") -> Chart:
    """ns per message against messages per call into Rust, a panel per last stage; calls of one message, and the Python engine.

    calls : columns way (entry point), until, messages_per_crossing, ns_per_message, low, high
    """
    size = pl.when(pl.col("way").str.starts_with("push")).then("messages_per_crossing").otherwise(1)
    points = calls.filter(pl.col("until") != "").select(
        panel=pl.format("until {}", "until"), series="way", x=size, y="ns_per_message", low="low", high="high"
    )
    end = points.filter(pl.col("series") == "Python engine").with_columns(x=pl.lit(points["x"].max(), points["x"].dtype))
    axes: dict[str, Any] = {"x": "messages per call", "y": "ns per message", "log_x": True, "log_y": True}
    return line_chart(pl.concat([points, end]), "FFI overhead", subtitle, **axes, columns=2)  # that engine: a horizontal line


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
