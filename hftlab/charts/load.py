"""The hockey stick: what latency becomes as the load approaches what an engine can do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hftlab.charts.base import QUIET, WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import line_legend, names_in, panel_name, styles, time_axis
from hftlab.errors import UnknownName

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: Values of the column `time`, in the order in which their panels stand, and their titles.
TIMES = {"response": "response time, from the intended send time", "service": "service time, from the actual start"}
_PERCENTILE_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [1, 4])


def load_chart(
    frame: pl.DataFrame,
    load: str = "offered load (share of capacity)",
    title: str = "Latency under load",
    subtitle: str = "",
    *,
    load_format: str = ".0%",
    knee: float | None = None,
    what: str = "latency",
) -> alt.HConcatChart | alt.Chart:
    """ns against load, a line per series and percentile; response and service time side by side where the frame has both.

    frame       : columns load, percentile (text: "p50", "p99.9"), ns (> 0); optional series; optional time, which is
                  "response", from the intended send time, or "service"
    load        : title of the horizontal axis, with its unit
    load_format : of its ticks, as d3-format has it: "~s" for messages/s
    knee        : a load to be marked

    raises      : UnknownName for another time

    One series: its percentiles have the colours. Several: the series have the colours, the percentiles the dashes.
    """
    rows = rows_of(frame, text=["percentile"], real=["load"], positive=["ns"], what="load_chart")
    rows = [{"time": "", **row, "series": str(row.get("series", ""))} for row in rows]
    for row in rows:
        if row["time"] not in (*TIMES, "", None):
            raise UnknownName("time", row["time"], TIMES)
    if not rows:
        return nothing("no latency above 0 ns at any load", title)
    alt = altair()
    percentiles = sorted(names_in(rows, "percentile"), key=_depth)
    panels = [time for time in TIMES if any(row["time"] == time for row in rows)] or [""]
    across = [min(row["load"] for row in rows), max(row["load"] for row in rows)]
    seen = [row["ns"] for row in rows]
    scale, axis = time_axis(what, [*seen, max(seen) * (1.6 if knee is not None else 1)])  # room for the word
    encodings = _told_apart(names_in(rows), percentiles)
    width = WIDTH - 90 if len(panels) == 1 else (WIDTH - 120) // 2
    charts: list[Any] = []
    for time in panels:
        x = alt.X("load:Q").scale(domain=across, nice=False, zero=False, padding=6)
        x = x.axis(title=load, format=load_format, tickCount=6, labelFlush=False)
        y = alt.Y("ns:Q", scale=scale, axis=axis if not charts else _bare(axis))
        mine = [row for row in rows if row["time"] == time or not time]
        chart = _panel(mine, x, y, encodings, knee)
        charts.append((chart + panel_name(TIMES.get(time, ""))).properties(width=width, height=280))
    return alt.hconcat(*charts, spacing=16).properties(title=head(title, subtitle))  # type: ignore[no-any-return]


def _depth(percentile: str) -> tuple[float, str]:
    """Where a percentile stands among others: p50, p99, p99.9, max."""
    number = re.search(r"[\d.]+", percentile)
    return (float(number.group().strip(".") or 1e9) if number else 1e9, percentile)


def _bare(axis: Any) -> Any:
    """The same axis for a second panel: its lines alone."""
    bare = axis.copy()
    bare.title, bare.labels, bare.ticks = None, False, False
    return bare


def _told_apart(names: list[str], percentiles: list[str]) -> dict[str, Any]:
    alt = altair()
    if len(names) == 1:
        colours, _ = styles(percentiles)
        key = line_legend(percentiles)
        return {"color": alt.Color("percentile:N", sort=percentiles, legend=key).scale(domain=percentiles, range=colours)}
    colours, _ = styles(names)
    dashes = [_PERCENTILE_DASHES[place % len(_PERCENTILE_DASHES)] for place in range(len(percentiles))]
    dashed = alt.StrokeDash("percentile:N", sort=percentiles, legend=line_legend(percentiles))
    return {
        "color": alt.Color("series:N", sort=names, legend=line_legend(names)).scale(domain=names, range=colours),
        "strokeDash": dashed.scale(domain=percentiles, range=dashes),
    }


def _panel(rows: list[dict[str, Any]], x: Any, y: Any, encodings: dict[str, Any], knee: float | None) -> Any:
    alt = altair()
    tooltip = ["series:N", "percentile:N", alt.Tooltip("load:Q", format=",.3~r"), alt.Tooltip("ns:Q", format=",.0f")]
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=encodings["color"], detail=["series:N", "percentile:N"])
    dash = {"strokeDash": encodings["strokeDash"]} if "strokeDash" in encodings else {}
    layers = [
        base.mark_line(strokeWidth=2).encode(**dash),
        base.mark_point(filled=True, size=32, opacity=1).encode(tooltip=tooltip),
    ]
    if knee is not None:
        mark = alt.Chart(alt.Data(values=[{"load": knee, "text": "knee"}])).encode(x="load:Q")
        layers = [
            mark.mark_rule(color=QUIET, strokeDash=[3, 3]),
            mark.mark_text(align="right", dx=-5, dy=8, color=QUIET).encode(y=alt.value(0), text="text:N"),
            *layers,
        ]
    return alt.layer(*layers)
