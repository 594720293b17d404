"""Figures as dots on one logarithmic axis, a row per thing: stages, storms, transports, paths, counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from hftlab.charts.base import GREY, PALETTE, QUIET, WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.scales import by_name, colours_of, legend, log_axis, names_in, rows_in, stacked, text_width, time_axis
from hftlab.presentation.document import duration

#: Percentile -> colour and shape.
PERCENTILES = {"p50": (PALETTE[0], "circle"), "p99": (PALETTE[1], "diamond"), "p99.9": (PALETTE[5], "triangle-right")}
#: Part of a tick-to-trade latency -> colour; the order is that of the bars.
PARTS = {"transport": PALETTE[4], "engine": PALETTE[1], "scheduling": GREY}
_SHARES_WIDTH, _DOTS_WIDTH = 190, 300
#: A share narrower than this has no room for its time.
_NARROW = 0.12


def stage_chart(stages: pl.DataFrame, subtitle: str = "", title: str = "Time by stage") -> Chart:
    """What each stage adds to an unstamped pass, ns per message, one dot per engine on a logarithmic axis.

    stages : one row per engine and stage, columns engine, stage, ns_per_message

    A stage that the noise hides (differences of passes can be at or below 0) is drawn at 1 ns.
    """
    rows = rows_of(stages, text=["engine", "stage"], real=["ns_per_message"], what="stage_chart")
    dots = [{"label": row["stage"], "group": row["engine"], "value": max(1.0, row["ns_per_message"])} for row in rows]
    return dot_chart(dots, title, subtitle, "ns per message", why="no stage was timed")


def storm_chart(frame: pl.DataFrame, subtitle: str = "") -> Chart:
    """ns per message of each order storm, and the highest known percentile of a single message, a colour per target.

    frame : `Storms.frame()`: storm, target, ns_per_message, p50, p99, p99.9
    """
    rows = rows_of(frame, text=["storm", "target"], positive=["ns_per_message"], what="storm_chart")
    tail = next((name for name in ("p99.9", "p99", "p50") if any(row.get(name) for row in rows)), "p50")
    figures = {"ns_per_message": "ns per message", tail: f"{tail} of a message"}
    dots = [
        {"label": row["storm"], "group": row["target"], "figure": figure, "value": row[name]}
        for row in rows
        for name, figure in figures.items()
        if row.get(name)
    ]
    return dot_chart(dots, "Order storms", subtitle, "time, ns", why="no storm")


def dot_chart(
    frame: pl.DataFrame | Iterable[Mapping[str, Any]],
    title: str,
    subtitle: str = "",
    x_title: str = "",
    *,
    why: str = "nothing above 0",
) -> Chart:
    """Values that lie orders of magnitude apart, on a logarithmic axis: a row per label, a colour per group, a shape per figure.

    frame : rows or a frame with label, group, value (no dot without one above 0); optional figure
    why   : what is written where there is no dot at all
    """
    rows = rows_in(frame)
    dots = [{"figure": "", **row} for row in rows if row["value"] and row["value"] > 0]
    if not dots:
        return empty_chart(why, title)
    labels, groups, figures = names_in(rows, "label"), names_in(rows, "group"), names_in(dots, "figure")
    color = by_name(alt.Color, "group", colours_of(groups), legend(groups, symbolType="circle"))
    shapes = dict(zip(figures, ("circle", "triangle-right"), strict=False))
    shape = by_name(alt.Shape, "figure", shapes, legend(figures) if len(figures) > 1 else None)
    x = alt.X("value:Q", **log_axis(x_title, [dot["value"] for dot in dots], margin=1.25))
    y = alt.Y("label:N").scale(domain=labels).axis(title=None, grid=True, ticks=False, domain=False, labelLimit=240)
    layers = _dots(dots, "label", x, y, color, shape, by=("group",) if len(figures) > 1 else ())
    width = WIDTH - 50 - min(240, max(text_width(name, 11) for name in labels))
    return layers.properties(width=width, height=34 * len(labels) + 20, title=head(title, subtitle))


def round_trip_chart(
    frame: pl.DataFrame, subtitle: str = "", title: str = "Round trip by transport", measure: str = "round trip"
) -> Chart:
    """p50, p99 and p99.9 by transport on a logarithmic axis, the fastest at the top; refused percentiles are left out.

    frame : columns transport, p50 (ns, > 0), p99, p99.9; optional measure, of which `measure` is drawn
    """
    if "measure" in frame.columns:
        frame = frame.filter(frame["measure"] == measure)
    rows = rows_of(frame, *PERCENTILES, text=["transport"], positive=["p50"], what="round_trip_chart")
    if not rows:
        return empty_chart("no transport was measured", title)
    rows.sort(key=lambda row: row["p50"])
    dots = _percentile_dots(rows, "transport", measure, ticks=9)
    return dots.properties(width=500, height=max(90, 24 * len(rows)), title=head(title, subtitle))


def tick_to_trade_chart(
    frame: pl.DataFrame, shares: pl.DataFrame, subtitle: str | list[str] = "", title: str = "Tick to trade by path"
) -> Chart:
    """Two panels, a row per path, the fastest at the top: the parts of p50 as shares, since the paths lie further apart than one
    linear axis of time could show; p50, p99 and p99.9 on a logarithmic axis.

    frame  : columns path, p50 (ns, > 0), p99, p99.9; refused percentiles are left out
    shares : columns path, part (transport, engine, scheduling), ns, share; of p50; none where the engine was not stamped
    """
    rows = rows_of(frame, *PERCENTILES, text=["path"], positive=["p50"], what="tick_to_trade_chart")
    if not rows:
        return empty_chart("no path was measured", title)
    rows.sort(key=lambda row: row["p50"])
    names = names_in(rows, "path")
    parts = rows_of(shares, text=["path", "part"], real=["ns", "share"], what="tick_to_trade_chart")
    parts = [row for row in parts if row["path"] in names]
    height, what = max(90, 28 * len(rows)), "due time to order arrival"
    dots = _percentile_dots(rows, "path", what, ticks=6, labels=not parts)
    dots = dots.properties(width=_DOTS_WIDTH + (0 if parts else 160), height=height)
    if not parts:
        return dots.properties(title=head(title, subtitle))
    bars = _share_bars(parts, names).properties(width=_SHARES_WIDTH, height=height)
    both = alt.hconcat(bars, dots, spacing=14).resolve_scale(color="independent", shape="independent")
    return both.properties(title=head(title, subtitle))


def _dots(rows: list[dict[str, Any]], label: str, x: Any, y: Any, color: Any, shape: Any, by: tuple[str, ...] = ()) -> Any:
    """A dot per row of data and a thin line through those of one label. by: fields that part the dots of a label into lines"""
    base = data(rows).encode(x=x, y=y)
    lines = base.mark_line(strokeWidth=1.5, color="#cccccc").encode(detail=[f"{name}:N" for name in (label, *by)])
    fields = [f"{name}:N" for name in rows[0] if name != "value"]
    tooltip = [*fields, alt.Tooltip("value:Q", format=",.4~r")]
    return lines + base.mark_point(filled=True, size=80, opacity=1).encode(color=color, shape=shape, tooltip=tooltip)


def _percentile_dots(rows: list[dict[str, Any]], label: str, what: str, *, ticks: int, labels: bool = True) -> Any:
    """Percentiles of each row on a logarithmic axis, p50 as text beside it. labels: of the rows, on the axis"""
    dots = [{label: row[label], "percentile": name, "value": row[name]} for row in rows for name in PERCENTILES if row[name]]
    low, high = min(dot["value"] for dot in dots), max(dot["value"] for dot in dots)
    room = low / (1.25 * max(high / low, 3) ** (1.2 / ticks))  # for the text at the left
    x = alt.X("value:Q", **time_axis(what, [room, high], limit=ticks))
    known = [name for name in PERCENTILES if any(dot["percentile"] == name for dot in dots)]
    key = legend(known, symbolSize=90, columns=3)
    color = by_name(alt.Color, "percentile", {name: PERCENTILES[name][0] for name in known}, key)
    shape = by_name(alt.Shape, "percentile", {name: PERCENTILES[name][1] for name in known}, key)
    axis = {"title": None, "labelLimit": 170, "grid": True, "gridColor": "#f4f4f4", "labels": labels, "ticks": labels}
    y = alt.Y(f"{label}:N", sort=names_in(rows, label)).axis(**axis)
    texts = data([{label: row[label], "value": row["p50"], "text": duration(row["p50"])} for row in rows])
    text = texts.mark_text(align="right", dx=-9, fontSize=10.5, color=QUIET).encode(x=x, y=y, text="text:N")
    return _dots(dots, label, x, y, color, shape) + text


def _share_bars(parts: list[dict[str, Any]], names: list[str]) -> Any:
    """Stacked shares of p50, each with its time where there is room."""
    order = list(PARTS)
    placed = []
    for name in names:
        mine = [row for row in parts if row["path"] == name]
        placed += stacked(sorted(mine, key=lambda row: order.index(row["part"])), "share")
    for row in placed:
        text = duration(row["ns"])
        row["text"] = text if row["share"] >= _NARROW * len(text) / 4 else ""
    y = alt.Y("path:N", sort=names).axis(title=None, labelLimit=170, grid=True, gridColor="#f4f4f4")
    base = data(placed).encode(y=y)
    bars = base.mark_bar(height={"band": 0.72}).encode(
        x=alt.X("start:Q", axis=alt.Axis(title="share of p50", format="%", values=[0, 0.5, 1])).scale(domain=[0, 1]),
        x2="end:Q",
        color=by_name(alt.Color, "part", PARTS, legend(list(PARTS), columns=3)),
        tooltip=["path:N", "part:N", alt.Tooltip("ns:Q", format=",.0f", title="ns"), alt.Tooltip("share:Q", format=".1%")],
    )
    return bars + base.mark_text(fontSize=9.5, color="black").encode(x="middle:Q", text="text:N")
