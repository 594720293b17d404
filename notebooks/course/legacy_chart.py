"""The first table against a proper measurement: the figures of its method, and where the clock of that method cannot see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from course.legacy_workload import METHOD, PUBLISHED, TRUTH
from hftlab.charts.base import PALETTE, Chart, alt

if TYPE_CHECKING:
    import polars as pl

#: Source -> its name here, colour and shape.
_SOURCES = {
    TRUTH: ("measured properly", PALETTE[0], "circle"),
    METHOD: ("legacy method, here", PALETTE[1], "square"),
    PUBLISHED: ("as published", "#222222", "diamond"),  # drawn last and small, on top of what equals it
}
_FIGURES = ("mean", "p50", "p95", "p99")
_TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000, 100_000)
_STEP_US = 1.0


def legacy_chart(table: pl.DataFrame, subtitle: str = "") -> Chart:
    """A panel per row of the first table: its figures in us by source; below one step of the clock there is a band.

    table : `LegacyReport.frame()`

    The scale is linear up to one step of the clock and logarithmic beyond.
    """
    rows = [
        {"stage": row["stage"], "figure": name, "source": _SOURCES[row["source"]][0], "us": row[name]}
        for row in table.to_dicts()
        if row["source"] in _SOURCES
        for name in _FIGURES
        if row[name] is not None
    ]
    rows.sort(key=lambda row: [name for name, _, _ in _SOURCES.values()].index(row["source"]))
    stages = table["stage"].unique(maintain_order=True).to_list()
    high = max(1.1 * max(row["us"] for row in rows), 2.0)
    panels = [_panel([row for row in rows if row["stage"] == stage], stage, high, last=stage == stages[-1]) for stage in stages]
    below = [subtitle, "band: less than one step of the legacy clock, which cannot resolve it"]
    head = alt.Title("The first table, by the legacy method and measured properly", subtitle=below, anchor="start", offset=12)
    return alt.vconcat(*panels, spacing=10).resolve_scale(color="shared", shape="shared").properties(title=head)


def _panel(rows: list[dict[str, Any]], stage: str, high: float, *, last: bool) -> Any:
    names, colours, shapes = zip(*_SOURCES.values(), strict=True)
    figures = [name for name in _FIGURES if any(row["figure"] == name for row in rows)]
    y = alt.Y("figure:N", sort=figures).axis(title=None, minExtent=50)
    x = alt.X("us:Q").scale(type="symlog", constant=_STEP_US, domain=[0, high], nice=False)
    title = "us (linear to 1 us, then logarithmic)" if last else None
    x = x.axis(title=title, values=[tick for tick in _TICKS if tick <= high], format=",~r")
    legend = alt.Legend(orient="top", title=None)
    band = alt.Chart(alt.Data(values=[{"us": 0, "to": _STEP_US}])).mark_rect(color="#e6e6e6").encode(x=x, x2="to:Q")
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y)
    lines = base.mark_line(color="#bbbbbb").encode(detail="figure:N")
    size = alt.Size("source:N", sort=list(names), legend=None).scale(domain=list(names), range=[90, 90, 30])
    dots = base.mark_point(filled=True, opacity=1).encode(
        size=size,
        color=alt.Color("source:N", sort=list(names), legend=legend).scale(domain=list(names), range=list(colours)),
        shape=alt.Shape("source:N", sort=list(names), legend=legend).scale(domain=list(names), range=list(shapes)),
        tooltip=["figure:N", "source:N", alt.Tooltip("us:Q", format=".2f")],
    )
    head = alt.Title(stage, fontSize=12, anchor="start")
    return (band + lines + dots).properties(width=560, height=22 * len(figures), title=head)
