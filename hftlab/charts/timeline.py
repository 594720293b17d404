"""A timeline of the messages around the slowest ones, legible where one takes a thousand times as long as its neighbours."""

from __future__ import annotations

from typing import Any

import polars as pl

from hftlab.charts.base import GREY, STAGE_COLOURS, Chart, alt, data, head
from hftlab.charts.scales import by_name, legend, log_axis

_STAGES = ("tick", "book", "signal", "order")
_BETWEEN = "between messages"
_COLOURS = {_BETWEEN: GREY, **{stage: STAGE_COLOURS[stage] for stage in _STAGES}}
_LABELS, _LEFT, _RIGHT, _ROW = 104, 140, 350, 17  # px


def timeline_chart(moments: pl.DataFrame, slowest: pl.DataFrame, subtitle: str = "", *, limit: int = 3, around: int = 5) -> Chart:
    """A panel per slow message: a row per message, its stages one after the other from its own start, the wait before it at left.

    moments : a row per message near a slow one: index, kind, gap_ns (wait before it) and ns of each stage
    slowest : the slow messages: rank (from 1), index, sentence; limit: panels; around: neighbours drawn a side

    Time is logarithmic, the same in every panel: starts and ends of stages can be read off, lengths cannot be compared.
    """
    shown = slowest.sort("rank").head(limit).to_dicts()
    rows = {one["rank"]: _near(moments, one, around) for one in shown}
    segments = {rank: _segments(near) for rank, near in rows.items()}
    times = [row["end_ns"] for drawn in segments.values() for row in drawn if row["end_ns"] > 0]
    shortest = [row["ns"] for drawn in segments.values() for row in drawn if row["ns"] > 0]
    scaled = log_axis("", [min(shortest, default=1), max(times, default=10)], margin=1.4, format="~s", labelOverlap=True)
    panels = [_panel(one, rows[one["rank"]], segments[one["rank"]], scaled, last=one is shown[-1]) for one in shown]
    note = "on a logarithmic axis the place of a border counts, not the length of a bar"
    column = alt.vconcat(*panels, spacing=14).resolve_scale(color="shared")
    return column.properties(title=head("Messages around the slowest ones", [subtitle, note]))


def _near(moments: pl.DataFrame, one: dict[str, Any], around: int) -> list[dict[str, Any]]:
    """The message and its neighbours; a message number is written out at the slow one only."""
    near = moments.filter((moments["index"] - one["index"]).abs() <= around).to_dicts()
    for row in near:
        offset = row["index"] - one["index"]
        row["label"] = f"{row['kind']}  {offset:+d}".replace("-", "−") if offset else f"{row['kind']}  slow"
        row["slow"] = not offset
    return near


def _segments(near: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages of each message by begin and end, ns from its own start, and the gap before it."""
    out = []
    for row in near:
        beside = {"label": row["label"], "message": row["index"]}
        if row["gap_ns"]:
            out.append({**beside, "part": _BETWEEN, "start_ns": 0, "end_ns": row["gap_ns"], "ns": row["gap_ns"]})
        at = 0
        for stage in _STAGES:
            ns = row[f"{stage}_ns"]
            if ns > 0:
                out.append({**beside, "part": stage, "start_ns": at, "end_ns": at + ns, "ns": ns})
            at += ns
    return out


def _panel(
    one: dict[str, Any], near: list[dict[str, Any]], segments: list[dict[str, Any]], scaled: dict[str, Any], *, last: bool
) -> Any:
    """The waits at left and the stages at right, over one list of messages, the slow one on a band."""
    slow = next(row["label"] for row in near if row["slow"])
    bold = alt.condition(f"datum.value == '{slow}'", alt.value("bold"), alt.value("normal"))
    names = alt.Axis(title=None, minExtent=_LABELS, labelFontWeight=bold)
    y = alt.Y("label:N", sort=[row["label"] for row in near]).scale(domain=[row["label"] for row in near])
    waits = [row for row in segments if row["part"] == _BETWEEN]
    stages = [row for row in segments if row["part"] != _BETWEEN]
    titles = ("ns before it (log scale)", "ns since the message began (log scale)") if last else (None, None)
    left = _side(waits, slow, y.axis(names), titles[0], scaled).properties(width=_LEFT, height=_ROW * len(near))
    right = _side(stages, slow, y.axis(None), titles[1], scaled).properties(width=_RIGHT, height=_ROW * len(near))
    lines = f"{one['rank']}. {one['sentence']}".replace("; ", "\n", 1).split("\n")
    title = alt.Title(lines, fontSize=11, fontWeight="normal", anchor="start", limit=690)
    return alt.hconcat(left, right, spacing=8).properties(title=title)


def _side(segments: list[dict[str, Any]], slow: str, y: Any, title: str | None, scaled: dict[str, Any]) -> Any:
    """Bars on a logarithmic axis; what begins below its lowest value begins there."""
    scale, axis = scaled["scale"], scaled["axis"].copy()
    axis.title = title
    low, high = scale.domain
    drawn = [{**row, "from": max(row["start_ns"], low), "to": max(row["end_ns"], low)} for row in segments]
    x = alt.X("from:Q", scale=scale, axis=axis)
    color = by_name(alt.Color, "part", _COLOURS, legend(list(_COLOURS), symbolType="square"))
    tooltip = ["message:Q", "part:N", alt.Tooltip("ns:Q", format=",")]
    band = data([{"label": slow, "from": low, "to": high}]).mark_rect(color="#f1e9d2").encode(x=x, x2="to:Q", y=y)
    return band + data(drawn).mark_bar(height=_ROW - 6).encode(x=x, x2="to:Q", y=y, color=color, tooltip=tooltip)
