"""What reading a clock costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hftlab.charts.base import PALETTE, altair, log_ticks

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

_QUANTILES = ("min", "p50", "p90", "p99", "p99.9", "p99.99", "max")


def clock_chart(clocks: pl.DataFrame, subtitle: str = "") -> alt.LayerChart:
    """The cost of a reading by percentile, in ns on a log scale, one line per clock; no dot where the sample is too small.

    clocks : `measurement.clock.Clocks.frame()`, or a frame with the columns clock, min, p50, p90, p99, p99.9, p99.99, max, n

    A cost below 1 ns, which only a clock that ticks more coarsely than it is read can show, is drawn at 1 ns.
    """
    alt = altair()
    rows = [
        {"clock": row["clock"], "percentile": name, "ns": row[name], "drawn": max(row[name], 1.0), "n": row["n"]}
        for row in clocks.to_dicts()
        for name in _QUANTILES
        if row[name] is not None
    ]
    names = clocks["clock"].to_list()
    colours = [PALETTE[place % len(PALETTE)] for place in range(len(names))]
    ticks = log_ticks(min(row["drawn"] for row in rows), max(row["drawn"] for row in rows), (1,))
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("percentile:O", sort=list(_QUANTILES)).axis(title="percentile of the readings", labelAngle=0),
        y=alt.Y("drawn:Q")
        .scale(type="log", domain=[ticks[0], ticks[-1]], nice=False)
        .axis(title="cost of a reading, ns (log scale)", values=ticks, format=",~r"),
        color=alt.Color("clock:N", sort=names, title="clock").scale(domain=names, range=colours),
    )
    dots = base.mark_point(filled=False, strokeWidth=2, size=90, opacity=1).encode(
        shape=alt.Shape("clock:N", sort=names, title="clock").scale(domain=names),
        tooltip=["clock:N", "percentile:N", alt.Tooltip("ns:Q", format=",.1f"), alt.Tooltip("n:Q", format=",")],
    )
    title = alt.Title("What reading a clock costs", subtitle=subtitle or "two readings back to back", anchor="start")
    return (base.mark_line(strokeWidth=2) + dots).properties(width=450, height=300, title=title)  # type: ignore[no-any-return]
