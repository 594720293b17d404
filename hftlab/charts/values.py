"""Values by name: bars, bars stacked by stage, the icicle of a call tree, and dots where they lie orders of magnitude apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import polars as pl

from hftlab.charts.base import (
    DARK,
    MAX_ROWS,
    PALETTE,
    QUIET,
    STAGE_COLOURS,
    WIDTH,
    Chart,
    alt,
    data,
    empty_chart,
    head,
    rows_of,
    stage_colours,
)
from hftlab.charts.scales import (
    broken,
    by_name,
    legend,
    log_axis,
    names_in,
    number,
    rows_in,
    stacked,
    text_width,
    time_axis,
)
from hftlab.presentation.document import duration

_ROW = 22  # px of a depth of an icicle
_LETTER = 6.2  # px, at the size of the labels
#: Where totals lie this many times apart, bars on one scale would show one engine alone.
_FAR_APART = 8.0
#: Percentile -> colour of its dots.
PERCENTILES = {"p50": PALETTE[0], "p99": PALETTE[1], "p99.9": PALETTE[5]}
SHAPES = ("circle", "triangle-right", "diamond", "square")

Rows = Iterable[Mapping[str, Any]]


def bar_chart(frame: pl.DataFrame | Rows, title: str, subtitle: str = "", x_title: str = "", *, monospace: bool = False) -> Chart:
    """Bars, the first at the top.

    frame : rows or a frame with label, value (0 or above); optional group (its colour) and text (beside the bar; default: value)
    """
    rows = [
        {
            "group": "other", "text": number(row["value"] or 0), **row, "value": max(row["value"] or 0.0, 0.0),
            "name": f"{place}|{row['label']}",  # a label may come twice
        }
        for place, row in enumerate(rows_in(frame)[:MAX_ROWS])
    ]  # fmt: skip
    font = {"labelFont": "monospace", "labelFontSize": 10} if monospace else {}
    expression = "slice(datum.label, indexof(datum.label, '|') + 1)"
    axis = alt.Axis(labelExpr=expression, labelLimit=360, ticks=False, domain=False, **font)
    y = alt.Y("name:N", sort=[row["name"] for row in rows], title=None).axis(axis)
    high = max((row["value"] for row in rows), default=1.0) or 1.0
    x = alt.X("value:Q").scale(domain=[0, 1.32 * high], nice=False).axis(title=x_title, format=",~f", tickCount=5)
    base, color = data(rows).encode(x=x, y=y), _colour(rows, legend)
    bars = base.mark_bar().encode(color=color, tooltip=["label:N", "value:Q", "text:N"])
    bars += base.mark_text(align="left", dx=4, fontSize=10).encode(text="text:N")
    return bars.properties(title=head(title, subtitle), width=320, height=20 * max(len(rows), 1))


def icicle_chart(frame: pl.DataFrame | Rows, title: str, subtitle: str = "", x_title: str = "share") -> Chart:
    """A call tree as rectangles, the root at the top: a function stands below its caller, as wide as its share.

    frame : rows or a frame with name, depth, start, end, share (start and end as shares of the whole, 0 to 1); optional stage
            (its colour), own (share without callees) and file
    """
    width = WIDTH - 20
    rows = []
    for row in sorted(rows_in(frame), key=lambda row: -(row["end"] - row["start"]))[:MAX_ROWS]:
        fits = int((row["end"] - row["start"]) * width / _LETTER) - 1
        name = str(row["name"])
        label = name if len(name) <= fits else f"{name[: fits - 1]}…" if fits >= 5 else ""
        rows.append({**row, "group": row.get("stage", "other"), "label": label, "middle": (row["start"] + row["end"]) / 2})
    deepest = max((row["depth"] for row in rows), default=0)
    y = alt.Y("depth:O").scale(domain=list(range(deepest + 1)), paddingInner=0, paddingOuter=0).axis(None)
    base = data(rows).encode(y=y)
    x = alt.X("start:Q").scale(domain=[0, 1], nice=False).axis(format="%", title=x_title, grid=False)
    known = rows[0].keys() if rows else ()
    tooltip = [alt.Tooltip("name:N"), *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("share", "own") if name in known)]
    tooltip += [alt.Tooltip(f"{name}:N") for name in ("stage", "file") if name in known]
    boxes = base.mark_rect(stroke="white", strokeWidth=0.7).encode(x=x, x2="end:Q", color=_colour(rows, legend), tooltip=tooltip)
    dark = [name for name, colour in STAGE_COLOURS.items() if colour in DARK]
    ink = alt.condition(alt.FieldOneOfPredicate(field="group", oneOf=dark), alt.value("white"), alt.value("black"))
    texts = base.transform_filter("datum.label != ''").mark_text(fontSize=10, clip=True)
    texts = texts.encode(x="middle:Q", text="label:N", color=ink)
    size = {"width": width, "height": _ROW * (deepest + 1)}
    return (boxes + texts).properties(title=head(title, subtitle), **size)


def _colour(rows: list[dict[str, Any]], key: Any) -> Any:
    """Colours of the groups that occur, the stages first. key : makes the legend of their names"""
    groups = names_in(rows, "group")
    names = [name for name in STAGE_COLOURS if name in groups] + sorted(set(groups) - STAGE_COLOURS.keys())
    return by_name(alt.Color, "group", dict(zip(names, stage_colours(names), strict=True)), key(names))


def budget_chart(
    frame: pl.DataFrame,
    title: str = "Latency budget by stage",
    subtitle: str = "",
    what: str = "ns per message",
) -> Chart:
    """Stacked bars of ns per message by stage, a bar per engine, from 0 on a linear axis; each part has its share as text.

    frame  : columns engine, stage, ns (per message); a stage at or below 0, which differences of passes can give, is drawn as 0
    what   : what `ns` holds; anything but ns per message, shares of a pass for instance, has no total written beside the bars

    Where totals lie more than 8 times apart each bar has its own scale, so that the parts of a fast one can be seen beside a slow
    one.
    """
    rows = rows_of(frame, text=["engine", "stage"], real=["ns"], what="budget_chart")
    engines, stages = names_in(rows, "engine"), names_in(rows, "stage")
    parts = {engine: _parts([row for row in rows if row["engine"] == engine], stages) for engine in engines}
    parts = {engine: mine for engine, mine in parts.items() if mine}
    if not parts:
        return empty_chart("no stage took more than 0 ns", title)
    totals = {engine: mine[-1]["end"] for engine, mine in parts.items()}
    own = max(totals.values()) > _FAR_APART * min(totals.values())
    colours = dict(zip(stages, stage_colours(stages), strict=True))
    color = by_name(alt.Color, "stage", colours, legend(stages, symbolType="square"))
    left = max(text_width(line, 12) for engine in engines for line in broken(engine, 30))
    texts = [subtitle] if subtitle else []
    if own and len(parts) > 1:
        texts.append("each bar on its own scale: compare shares here, and the totals by their numbers")
    charts = []
    for place, (engine, mine) in enumerate(parts.items()):
        mine = [{**part, "ink": "white" if colours[part["stage"]] in DARK else "black"} for part in mine]
        reach, last = totals[engine] if own else max(totals.values()), place == len(parts) - 1
        chart = _budget_bar(mine, engine, reach, color, axis=own, title=last, what=what)
        charts.append(chart.properties(width=WIDTH - 130 - left, height=34))
    return alt.vconcat(*charts, spacing=14 if own else 6).properties(title=head(title, texts))


def _parts(rows: list[dict[str, Any]], stages: list[str]) -> list[dict[str, Any]]:
    """The stages of one engine in their order, with the start and end of each bar; none if all are 0."""
    parts = stacked(sorted(rows, key=lambda row: stages.index(row["stage"])), "ns")
    total = parts[-1]["end"]
    return [{**part, "share": (part["end"] - part["start"]) / total} for part in parts] if total else []


def _budget_bar(parts: list[dict[str, Any]], engine: str, reach: float, color: Any, *, axis: bool, title: bool, what: str) -> Any:
    x = alt.X("start:Q").scale(domain=[0, reach], nice=False)
    named = f"{what} (linear scale)" if title else None
    x = x.axis(title=named, tickCount=6, format=",~r", grid=False) if axis or title else x.axis(None)
    name = broken(engine, 30)
    label = {"labelExpr": json.dumps(name), "labelLimit": 260, "labelFontSize": 11.5, "labelOffset": -7 * (len(name) - 1)}
    y = alt.Y("engine:N").axis(title=None, domain=False, ticks=False, **label)
    tooltip = ["engine:N", "stage:N", alt.Tooltip("ns:Q", format=",.1f"), alt.Tooltip("share:Q", format=".1%")]
    bars = data(parts).mark_bar(height=30, stroke="white").encode(x=x, x2="end:Q", y=y, color=color, tooltip=tooltip)
    wide = [{**part, "text": f"{part['share']:.0%}"} for part in parts if (part["end"] - part["start"]) / reach > 0.07]
    shares = data(wide).mark_text(fontSize=11)
    shares = shares.encode(x="middle:Q", y=y, text="text:N", color=alt.Color("ink:N", scale=None))
    end = parts[-1]["end"]
    total = data([{"engine": engine, "end": end, "text": duration(end) if what == "ns per message" else ""}])
    total = total.mark_text(align="left", dx=8, fontSize=12, fontWeight="bold").encode(x="end:Q", y=y, text="text:N")
    return alt.layer(bars, shares, total)


def dot_chart(
    frame: pl.DataFrame | Rows,
    title: str,
    subtitle: str | list[str] = "",
    x_title: str = "",
    *,
    ns: bool = False,
    why: str = "nothing above 0",
) -> Chart:
    """Values that lie orders of magnitude apart, on a logarithmic axis: a row per label, a colour per group, a shape per figure.

    frame : rows or a frame with label, group (a stage has its colour), value (no dot without one above 0); optional figure;
            optional text, left of the dot
    ns    : the values are nanoseconds, and the ticks have units
    why   : what is written where there is no dot at all
    """
    rows = rows_in(frame)
    dots = [{"figure": "", "text": "", **row} for row in rows if row["value"] and row["value"] > 0]
    if not dots:
        return empty_chart(why, title)
    labels, figures = names_in(rows, "label"), names_in(dots, "figure")
    shapes = dict(zip(figures, SHAPES * len(figures), strict=False))
    shape = by_name(alt.Shape, "figure", shapes, legend(figures) if len(figures) > 1 else None)
    values = [dot["value"] for dot in dots]
    values += [min(values) / 1.6] if any(dot["text"] for dot in dots) else []  # room for the text
    x = alt.X("value:Q", **(time_axis(x_title, values, limit=9) if ns else log_axis(x_title, values, margin=1.25)))
    y = alt.Y("label:N").scale(domain=labels).axis(title=None, grid=True, ticks=False, domain=False, labelLimit=240)
    base = data(dots).encode(x=x, y=y)
    lines = base.mark_line(strokeWidth=1.5, color="#cccccc").encode(detail=["label:N", *(["group:N"] * (len(figures) > 1))])
    key = partial(legend, symbolType="circle")
    color = _colour(rows, key) if not set(PERCENTILES) & set(names_in(rows, "group")) else _by_percentile(rows, key)
    tooltip = ["label:N", "group:N", "figure:N", alt.Tooltip("value:Q", format=",.4~r")]
    points = base.mark_point(filled=True, size=80, opacity=1).encode(color=color, shape=shape, tooltip=tooltip)
    texts = base.mark_text(align="right", dx=-9, fontSize=10.5, color=QUIET).encode(text="text:N")
    width = WIDTH - 50 - min(240, max(text_width(name, 11) for name in labels))
    return (lines + points + texts).properties(width=width, height=28 * len(labels) + 20, title=head(title, subtitle))


def _by_percentile(rows: list[dict[str, Any]], key: Any) -> Any:
    known = {name: colour for name, colour in PERCENTILES.items() if name in names_in(rows, "group")}
    return by_name(alt.Color, "group", known, key(list(known)))


def round_trip_chart(
    frame: pl.DataFrame, subtitle: str | list[str] = "", title: str = "Round trip by transport", measure: str = "round trip"
) -> Chart:
    """p50, p99 and p99.9 by transport on a logarithmic axis, the fastest at the top; refused percentiles are left out.

    frame : columns transport, p50 (ns, > 0), p99, p99.9; optional measure, of which `measure` is drawn
    """
    if "measure" in frame.columns:
        frame = frame.filter(frame["measure"] == measure)
    rows = rows_of(frame, *PERCENTILES, text=["transport"], positive=["p50"], what="round_trip_chart")
    dots = [
        {"label": row["transport"], "group": name, "value": row[name], "text": duration(row[name]) if name == "p50" else ""}
        for row in sorted(rows, key=lambda row: row["p50"])
        for name in PERCENTILES
    ]
    return dot_chart(dots, title, subtitle, measure, ns=True, why="nothing was measured")


def tick_to_trade_chart(frame: pl.DataFrame, shares: pl.DataFrame, subtitle: str | list[str] = "") -> Chart:
    """Paths, the fastest at the top: p50, p99 and p99.9 as `round_trip_chart`, and below what p50 is made of.

    frame  : columns path, p50 (ns, > 0), p99, p99.9; refused percentiles are left out
    shares : columns path, part (transport, engine, scheduling), ns; of p50; none where the engine was not stamped
    """
    paths = frame.rename({"path": "transport"}).drop("measure", strict=False)
    dots = round_trip_chart(paths, subtitle, "Tick to trade by path", "due time to order arrival")
    parts = shares.join(frame.sort("p50").select("path"), on="path", maintain_order="right")
    if parts.is_empty():
        return dots
    bars = budget_chart(parts.rename({"path": "engine", "part": "stage"}), "What p50 is made of")
    return alt.vconcat(dots, bars, spacing=24).resolve_scale(color="independent", shape="independent")
