"""What load does over time: the queue of a burst, the ring of an overload, a soak; and what is hard on a book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hftlab.charts.base import PALETTE, QUIET, WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import by_series, legend, line_legend, names_in, panel_name, time_axis

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: What the book is while an overload lasts -> colour.
BOOKS = {"fresh": PALETTE[2], "late": PALETTE[1], "stale": PALETTE[5]}
_MB = 1e6


def burst_chart(frame: pl.DataFrame, length_ms: float, subtitle: str = "") -> alt.VConcatChart | alt.Chart:
    """Messages waiting during and after a burst, a panel per target, a line per factor.

    frame : columns target, series (text: "10x"), ms (since the burst began), waiting; length_ms: of the burst
    """
    title = "The queue of a burst"
    rows = rows_of(frame, text=["target", "series"], real=["ms", "waiting"], what="burst_chart")
    if not rows:
        return nothing("no burst", title)
    alt = altair()
    told = by_series(names_in(rows))
    targets = names_in(rows, "target")
    across = [min(row["ms"] for row in rows), max(row["ms"] for row in rows)]
    panels: list[Any] = []
    for target in targets:
        mine = [row for row in rows if row["target"] == target]
        x = (
            alt.X("ms:Q")
            .scale(domain=across, nice=False)
            .axis(title="time since the burst began (ms)" if target == targets[-1] else None, tickCount=8, grid=False)
        )
        y = alt.Y("waiting:Q").scale(domain=_room(mine), nice=False).axis(title="calls waiting", format="~s", tickCount=5)
        lines = alt.Chart(alt.Data(values=mine)).mark_line(strokeWidth=2)
        span = alt.Chart(alt.Data(values=[{"from": 0, "to": length_ms}])).mark_rect(color=QUIET, opacity=0.13)
        word = alt.Chart(alt.Data(values=[{"at": 0, "text": "burst"}])).mark_text(align="left", dx=4, dy=9, color=QUIET)
        panels.append(
            alt.layer(
                span.encode(x=alt.X("from:Q"), x2="to:Q"),
                word.encode(x="at:Q", y=alt.value(0), text="text:N"),
                lines.encode(x=x, y=y, **told),
                panel_name(target),
            ).properties(width=WIDTH - 100, height=170)
        )
    return alt.vconcat(*panels, spacing=24).properties(title=head(title, subtitle))  # type: ignore[no-any-return]


def overload_chart(
    frame: pl.DataFrame, spans: Mapping[str, tuple[float, float]], subtitle: str = ""
) -> alt.VConcatChart | alt.Chart:
    """Datagrams in the ring against time, a panel per target; the colour says what the book was.

    frame : columns target, ms, waiting, book (of BOOKS); spans: (from, until) of the overload in ms, by target
    """
    title = "Overload: the ring, and the state of the book"
    rows = rows_of(frame, text=["target", "book"], real=["ms", "waiting"], what="overload_chart")
    if not rows:
        return nothing("no overload", title)
    alt = altair()
    targets, panels = names_in(rows, "target"), []
    colour = alt.Color(
        "book:N", sort=list(BOOKS), legend=legend(["the book is", *BOOKS], title="the book is", titleOrient="left")
    )
    for target in targets:
        mine = [row for row in rows if row["target"] == target]
        low, high = spans[target]
        x = alt.X("ms:Q").scale(nice=False).axis(title="time (ms)" if target == targets[-1] else None, tickCount=8, grid=False)
        y = alt.Y("waiting:Q").scale(domain=_room(mine), nice=False).axis(title="datagrams waiting", tickCount=5)
        bars = alt.Chart(alt.Data(values=mine)).mark_point(filled=True, size=16, opacity=1)
        line = alt.Chart(alt.Data(values=mine)).mark_line(strokeWidth=1, color="#bbbbbb", interpolate="step-after")
        span = alt.Chart(alt.Data(values=[{"from": low, "to": high}])).mark_rect(color=QUIET, opacity=0.13)
        word = alt.Chart(alt.Data(values=[{"at": low, "text": "overload"}])).mark_text(align="left", dx=4, dy=9, color=QUIET)
        panels.append(
            alt.layer(
                span.encode(x=alt.X("from:Q"), x2="to:Q"),
                line.encode(x=x, y=y),
                bars.encode(x=x, y=y, color=colour.scale(domain=list(BOOKS), range=list(BOOKS.values()))),
                word.encode(x="at:Q", y=alt.value(0), text="text:N"),
                panel_name(target),
            ).properties(width=WIDTH - 100, height=150)
        )
    return alt.vconcat(*panels, spacing=24).properties(title=head(title, subtitle))  # type: ignore[no-any-return]


def _room(rows: list[dict[str, Any]]) -> list[float]:
    """From 0 to above the highest queue: a word stands there."""
    return [0, 1.2 * max(1, *(row["waiting"] for row in rows))]


def storm_chart(frame: pl.DataFrame, subtitle: str = "") -> alt.LayerChart | alt.Chart:
    """ns per message of every storm, and the highest known percentile of a message alone, a colour per target.

    frame : `Storms.frame()`: storm, target, ns_per_message, p50, p99, p99.9
    """
    title = "What is hard on a book"
    rows = rows_of(frame, text=["storm", "target"], positive=["ns_per_message"], what="storm_chart")
    if not rows:
        return nothing("no storm", title)
    alt = altair()
    tail = next((name for name in ("p99.9", "p99", "p50") if any(row.get(name) for row in rows)), "p50")
    figures = {"ns_per_message": "ns per message", tail: f"{tail} of a message"}
    drawn = [
        {"storm": row["storm"], "series": row["target"], "figure": said, "ns": row[name]}
        for row in rows
        for name, said in figures.items()
        if row.get(name)
    ]
    names, storms = names_in(drawn), names_in(drawn, "storm")
    scale, axis = time_axis("time", [row["ns"] for row in drawn])
    colour = by_series(names)["color"]
    said = names_in(drawn, "figure")
    shape = alt.Shape("figure:N", sort=said, legend=legend(said, symbolType="circle"))
    y = alt.Y("storm:N", sort=storms).axis(title=None, grid=True, ticks=False, domain=False)
    base = alt.Chart(alt.Data(values=drawn)).encode(x=alt.X("ns:Q", scale=scale, axis=axis), y=y)
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(
        color=colour,
        shape=shape.scale(domain=said, range=["circle", "triangle-right"][: len(said)]),
        tooltip=["storm:N", "series:N", "figure:N", alt.Tooltip("ns:Q", format=",.1f")],
    )
    lines = base.mark_line(strokeWidth=1.5).encode(color=colour, detail=["storm:N", "series:N"])
    size = {"width": WIDTH - 150, "height": 34 * len(storms)}
    return (lines + dots).properties(title=head(title, subtitle), **size)  # type: ignore[no-any-return]


def soak_chart(frame: pl.DataFrame, subtitle: str = "") -> alt.VConcatChart | alt.Chart:
    """A soak against time: latencies above, memory below.

    frame : `Soak.frame()`: at_s, service_p50, response_p99, response_max (ns), rss_bytes, engine_bytes
    """
    title = "A soak"
    latencies = {"service_p50": "service p50", "response_p99": "response p99", "response_max": "response max"}
    memories = {"rss_bytes": "process (RSS)", "engine_bytes": "the engine's book"}
    rows = rows_of(frame, real=["at_s"], what="soak_chart") if len(frame) else []
    upper = [
        {"at_s": row["at_s"], "series": said, "y": row[name]} for row in rows for name, said in latencies.items() if row[name]
    ]
    lower = [
        {"at_s": row["at_s"], "series": said, "y": row[name] / _MB}
        for row in rows
        for name, said in memories.items()
        if row[name]
    ]
    if not upper or not lower:
        return nothing("no sample", title)
    alt = altair()
    scale, axis = time_axis("latency", [row["y"] for row in upper])
    across = [0, max(row["at_s"] for row in rows)]
    panels = []
    for mine, y, last in (
        (upper, alt.Y("y:Q", scale=scale, axis=axis), False),
        (lower, alt.Y("y:Q").scale(zero=True).axis(title="memory (MB)", tickCount=5), True),
    ):
        names = names_in(mine)
        colours = PALETTE[:3] if not last else PALETTE[3:5]
        x = alt.X("at_s:Q").scale(domain=across, nice=False).axis(title="time (s)" if last else None, grid=False, tickCount=8)
        colour = alt.Color("series:N", sort=names, legend=line_legend(names)).scale(
            domain=names, range=list(colours[: len(names)])
        )
        chart = alt.Chart(alt.Data(values=mine)).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour)
        panels.append(chart.properties(width=WIDTH - 100, height=190 if not last else 130))
    chart = alt.vconcat(*panels, spacing=18).resolve_scale(color="independent")
    return chart.properties(title=head(title, subtitle))  # type: ignore[no-any-return]
