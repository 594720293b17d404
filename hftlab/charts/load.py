"""Load: latency against offered load, the queue of a burst, the ring of an overload, a soak."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import polars as pl

from hftlab.charts.base import PALETTE, QUIET, WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.lines import line_chart
from hftlab.charts.scales import by_name, by_series, colours_of, legend, line_legend, names_in, panel_name, time_axis
from hftlab.errors import check_choice

#: Values of the column `time`, in the order in which their panels stand, and their titles.
TIMES = {"response": "response time, from the intended send time", "service": "service time, from the actual start"}
#: State of the book during an overload -> colour.
BOOKS = {"fresh": PALETTE[2], "late": PALETTE[1], "stale": PALETTE[5]}
_PERCENTILE_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [1, 4])
_MB = 1e6


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
    load        : title of the horizontal axis, with its unit
    load_format : of its ticks, as d3-format has it: "~s" for messages/s
    knee        : a load to be marked

    raises      : UnknownName for another time

    One series: its percentiles have the colours. Several: the series have the colours, the percentiles the dashes.
    """
    rows = rows_of(frame, text=["percentile"], real=["load"], positive=["ns"], what="load_chart")
    rows = [{**row, "time": row.get("time") or "", "series": str(row.get("series", ""))} for row in rows]
    for row in rows:
        check_choice("time", row["time"], ("", *TIMES))
    if not rows:
        return empty_chart("no latency above 0 ns at any load", title)
    panels = [time for time in TIMES if any(row["time"] == time for row in rows)] or [""]
    ns = [row["ns"] for row in rows]
    scaled = time_axis("latency", [*ns, max(ns) * (1.6 if knee is not None else 1)])  # room for the word
    across = [min(row["load"] for row in rows), max(row["load"] for row in rows)]
    x = alt.X("load:Q").scale(domain=across, nice=False, zero=False, padding=6)
    x = x.axis(title=load, format=load_format, tickCount=6, labelFlush=False)
    encodings = _encodings(names_in(rows), names_in(rows, "percentile"))
    width = WIDTH - 90 if len(panels) == 1 else (WIDTH - 120) // 2
    charts: list[Any] = []
    for time in panels:
        bare = scaled["axis"].copy()
        if charts:  # the second panel shares the labels of the first
            bare.title, bare.labels, bare.ticks = None, False, False
        mine = [row for row in rows if row["time"] == time or not time]
        y = alt.Y("ns:Q", scale=scaled["scale"], axis=bare)
        panel = _load_panel(mine, x, y, encodings, knee) + panel_name(TIMES.get(time, ""))
        charts.append(panel.properties(width=width, height=280))
    return alt.hconcat(*charts, spacing=16).properties(title=head(title, subtitle))


def _encodings(names: list[str], percentiles: list[str]) -> dict[str, Any]:
    """Colour, and of several series dash."""
    if len(names) == 1:
        return {"color": by_name(alt.Color, "percentile", colours_of(percentiles), line_legend(percentiles))}
    dashes = dict(zip(percentiles, cycle(_PERCENTILE_DASHES), strict=False))
    dashed = by_name(alt.StrokeDash, "percentile", dashes, line_legend(percentiles))
    return {"color": by_name(alt.Color, "series", colours_of(names), line_legend(names)), "strokeDash": dashed}


def _load_panel(rows: list[dict[str, Any]], x: Any, y: Any, encodings: dict[str, Any], knee: float | None) -> Any:
    tooltip = ["series:N", "percentile:N", alt.Tooltip("load:Q", format=",.3~r"), alt.Tooltip("ns:Q", format=",.0f")]
    base = data(rows).encode(x=x, y=y, color=encodings["color"], detail=["series:N", "percentile:N"])
    dash = {"strokeDash": encodings["strokeDash"]} if "strokeDash" in encodings else {}
    layers = [
        base.mark_line(strokeWidth=2).encode(**dash),
        base.mark_point(filled=True, size=32, opacity=1).encode(tooltip=tooltip),
    ]
    if knee is not None:
        mark = data([{"load": knee, "text": "knee"}]).encode(x="load:Q")
        text = mark.mark_text(align="right", dx=-5, dy=8, color=QUIET).encode(y=alt.value(0), text="text:N")
        layers = [mark.mark_rule(color=QUIET, strokeDash=[3, 3]), text, *layers]
    return alt.layer(*layers)


def burst_chart(frame: pl.DataFrame, length_ms: float, subtitle: str = "") -> Chart:
    """Messages waiting during and after a burst, a panel per target, a line per factor.

    frame : columns target, series (text: "10x"), ms (since the burst began), waiting; length_ms: of the burst
    """
    title = "Queue length during a burst"
    rows = rows_of(frame, text=["target", "series"], real=["ms", "waiting"], what="burst_chart")
    if not rows:
        return empty_chart("no burst", title)
    series = by_series(names_in(rows))
    spans = dict.fromkeys(names_in(rows, "target"), (0.0, length_ms))
    axes = ("time since the burst began (ms)", "calls waiting")

    def marks(x: Any, y: Any, mine: list[dict[str, Any]]) -> list[Any]:
        return [data(mine).mark_line().encode(x=x, y=y, **series)]

    return _queues(rows, spans, "burst", axes, marks, head(title, subtitle))


def overload_chart(frame: pl.DataFrame, spans: Mapping[str, tuple[float, float]], subtitle: str = "") -> Chart:
    """Datagrams in the ring against time, a panel per target; the colour is the state of the book.

    frame : columns target, ms, waiting, book (of BOOKS); spans: (start, end) of the overload in ms, by target
    """
    title = "Queue length and state of the book during an overload"
    rows = rows_of(frame, text=["target", "book"], real=["ms", "waiting"], what="overload_chart")
    if not rows:
        return empty_chart("no overload", title)
    key = legend(["the book is", *BOOKS], title="the book is", titleOrient="left")
    color = by_name(alt.Color, "book", BOOKS, key)

    def marks(x: Any, y: Any, mine: list[dict[str, Any]]) -> list[Any]:
        base = data(mine).encode(x=x, y=y)
        line = base.mark_line(strokeWidth=1, color="#bbbbbb", interpolate="step-after")
        return [line, base.mark_point(filled=True, size=16, opacity=1).encode(color=color)]

    return _queues(rows, spans, "overload", ("time (ms)", "datagrams waiting"), marks, head(title, subtitle))


def _queues(
    rows: list[dict[str, Any]],
    spans: Mapping[str, tuple[float, float]],
    word: str,
    axes: tuple[str, str],
    marks: Any,
    title: Any,
) -> Chart:
    """Queue length against time, a panel per target. spans: what is shaded and called `word`; marks(x, y, rows): the layers"""
    targets, panels = names_in(rows, "target"), []
    across = [min(row["ms"] for row in rows), max(row["ms"] for row in rows)]
    for target in targets:
        mine = [row for row in rows if row["target"] == target]
        low, high = spans[target]
        x = alt.X("ms:Q").scale(domain=across, nice=False)
        x = x.axis(title=axes[0] if target == targets[-1] else None, tickCount=8, grid=False)
        room = 1.2 * max(1, *(row["waiting"] for row in mine))  # for the word
        y = alt.Y("waiting:Q").scale(domain=[0, room], nice=False).axis(title=axes[1], format="~s", tickCount=5)
        span = data([{"from": low, "to": high, "text": word}]).encode(x=alt.X("from:Q"))
        shade = span.mark_rect(color=QUIET, opacity=0.13).encode(x2="to:Q")
        name = span.mark_text(align="left", dx=4, dy=9, color=QUIET).encode(y=alt.value(0), text="text:N")
        layers = alt.layer(shade, name, *marks(x, y, mine), panel_name(target))
        panels.append(layers.properties(width=WIDTH - 100, height=160))
    return alt.vconcat(*panels, spacing=24).properties(title=title)


def soak_chart(frame: pl.DataFrame, subtitle: str = "") -> Chart:
    """A soak against time: latencies above, memory below.

    frame : columns at_s, service_p50, response_p99, response_max (ns), rss_bytes, engine_bytes
    """
    title = "Latency and memory during a soak"
    latencies = {"service_p50": "service p50", "response_p99": "response p99", "response_max": "response max"}
    memories = {"rss_bytes": "process (RSS)", "engine_bytes": "the engine's book"}
    rows = rows_of(frame, real=["at_s"], what="soak_chart") if len(frame) else []
    latency, memory = (
        pl.DataFrame(
            [{"series": name, "x": row["at_s"], "y": row[key] / unit} for row in rows for key, name in names.items() if row[key]]
        )
        for names, unit in ((latencies, 1.0), (memories, _MB))
    )
    if latency.is_empty() or memory.is_empty():
        return empty_chart("no sample", title)
    upper = line_chart(latency, "", x="time (s)", y="latency, ns", log_y=True, height=190)
    lower = line_chart(memory, "", x="time (s)", y="memory (MB)", height=130)
    both = alt.vconcat(upper, lower, spacing=18).resolve_scale(color="independent", strokeDash="independent")
    return both.properties(title=head(title, subtitle))
