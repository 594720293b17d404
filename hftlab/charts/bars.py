"""Bars: of values, in panels, stacked by stage, and the icicle of a call tree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from hftlab.charts.base import DARK, STAGE_COLOURS, WIDTH, Chart, alt, data, empty_chart, head, rows_of, stage_colours
from hftlab.charts.base import MAX_ROWS as MAX_ROWS
from hftlab.charts.scales import broken, by_name, legend, names_in, number, rows_in, stacked, text_width
from hftlab.presentation.document import duration

_ROW = 22  # px of a depth of an icicle
_LETTER = 6.2  # px, at the size of the labels
#: Where totals lie this many times apart, bars on one scale would show one engine alone.
_FAR_APART = 8.0

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
    bars = _bars(rows, y, [0, 1.32 * high], x_title, legend)
    return bars.properties(title=head(title, subtitle), width=320, height=20 * max(len(rows), 1))


def panel_chart(frame: pl.DataFrame | Rows, title: str, subtitle: str = "", x_title: str = "") -> Chart:
    """Small bar charts, each on its own scale, two beside each other.

    frame : rows or a frame with panel, label (a stage has its colour), value
    """
    rows = [{**row, "group": row["label"], "text": number(row["value"])} for row in rows_in(frame)]
    panels = [_panel([row for row in rows if row["panel"] == name], name, x_title) for name in names_in(rows, "panel")]
    pairs = [alt.hconcat(*panels[at : at + 2], spacing=24) for at in range(0, len(panels), 2)]
    return alt.vconcat(*pairs, spacing=16).properties(title=head(title, subtitle))


def _panel(rows: list[dict[str, Any]], name: str, x_title: str) -> Any:
    low, high = min(0.0, *(row["value"] for row in rows)), max(row["value"] for row in rows) or 1.0
    y = alt.Y("label:N", sort=[row["label"] for row in rows], title=None)
    bars = _bars(rows, y, [1.3 * low, 1.3 * high], x_title)
    return bars.properties(width=240, height=90, title=alt.Title(name, fontSize=11, anchor="start"))


def _bars(rows: list[dict[str, Any]], y: Any, domain: list[float], x_title: str, key: Any = None) -> Any:
    """Bars with their texts beside them. key : see `_colour`"""
    base = data(rows).encode(y=y)
    x = alt.X("value:Q").scale(domain=domain, nice=False).axis(title=x_title, format=",~f", tickCount=5)
    bars = base.mark_bar().encode(x=x, color=_colour(rows, key), tooltip=["label:N", "value:Q", "text:N"])
    return bars + base.mark_text(align="left", dx=4, fontSize=10).encode(x="value:Q", text="text:N")


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


def _colour(rows: list[dict[str, Any]], key: Any = None) -> Any:
    """Colours of the groups that occur, the stages first. key : makes the legend of their names"""
    groups = names_in(rows, "group")
    names = [name for name in STAGE_COLOURS if name in groups] + sorted(set(groups) - STAGE_COLOURS.keys())
    return by_name(alt.Color, "group", dict(zip(names, stage_colours(names), strict=True)), key and key(names))


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
