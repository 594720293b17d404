"""Latency over time: how many messages fell into each cell of time and latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hftlab.charts.base import WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import legend, time_axis

if TYPE_CHECKING:
    import altair as alt
    import polars as pl


def heat_chart(
    frame: pl.DataFrame,
    x: str = "message index",
    title: str = "Latency over time",
    subtitle: str = "",
    what: str = "latency",
) -> alt.Chart:
    """A heat map: time on x, latency on a logarithmic y, the count of a cell as its colour, logarithmic, too.

    frame : columns start, end (> start), low_ns, high_ns (> low_ns), count; at most 5,000 cells, empty ones may lack
    x     : title of the horizontal axis, with its unit: "message index", "time (s)"
    """
    alt = altair()
    rows = rows_of(frame, real=["start", "end"], positive=["low_ns", "high_ns", "count"], what="heat_chart")
    rows = [row for row in rows if row["end"] > row["start"] and row["high_ns"] > row["low_ns"]]
    if not rows:
        return nothing("no cell with a count", title)
    scale, axis = time_axis(what, [row[edge] for row in rows for edge in ("low_ns", "high_ns")], margin=1.05, grid=False)
    most = max(row["count"] for row in rows)
    shades = alt.Scale(type="log" if most > 1 else "linear", scheme="viridis", domain=[1, max(most, 2)])
    key = legend(["messages in a cell (log scale)"], title="messages in a cell (log scale)", gradientLength=220, tickCount=4)
    key.format, key.titleOrient, key.titlePadding = ",d", "left", 10
    across = [min(row["start"] for row in rows), max(row["end"] for row in rows)]
    along = alt.X("start:Q").scale(domain=across, nice=False, zero=False)
    cells = (
        alt.Chart(alt.Data(values=rows))
        .mark_rect()
        .encode(
            x=along.axis(title=x, grid=False, format=",~r", tickCount=6),
            x2="end:Q",
            y=alt.Y("low_ns:Q", scale=scale, axis=axis),
            y2="high_ns:Q",
            color=alt.Color("count:Q", scale=shades, legend=key),
            tooltip=[
                alt.Tooltip("start:Q", format=",~r", title="from"),
                alt.Tooltip("end:Q", format=",~r", title="to"),
                alt.Tooltip("low_ns:Q", format=",.0f", title="from ns"),
                alt.Tooltip("high_ns:Q", format=",.0f", title="to ns"),
                alt.Tooltip("count:Q", format=","),
            ],
        )
    )
    return cells.properties(width=WIDTH - 90, height=300, title=head(title, subtitle))  # type: ignore[no-any-return]
