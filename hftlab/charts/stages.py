"""Where the nanoseconds go: what each stage adds to a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hftlab.charts.base import PALETTE, altair

if TYPE_CHECKING:
    import altair as alt
    import polars as pl


def stage_chart(stages: pl.DataFrame, subtitle: str = "") -> alt.LayerChart:
    """What each stage adds to an unstamped pass, ns per message, one dot per engine on a log scale.

    stages : one row per engine and stage, columns engine, stage, ns_per_message

    A stage whose share drowned in the noise (differenced passes can come out at or below 0) is drawn at 1 ns.
    """
    import polars as pl

    alt = altair()
    frame = stages.with_columns(pl.col("ns_per_message").clip(lower_bound=1.0).alias("ns"))
    names = frame["stage"].unique(maintain_order=True).to_list()
    engines = frame["engine"].unique(maintain_order=True).to_list()
    base = alt.Chart(alt.Data(values=frame.to_dicts())).encode(
        y=alt.Y("stage:N", sort=names, title=None),
        x=alt.X("ns:Q").scale(type="log").axis(format="~s", title="ns per message (log scale)"),
    )
    lines = base.mark_line(color="#bbb").encode(detail="stage:N")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(
        color=alt.Color("engine:N", sort=engines, title=None).scale(domain=engines, range=list(PALETTE[: len(engines)])),
        shape=alt.Shape("engine:N", sort=engines, title=None).scale(domain=engines),
        tooltip=["engine:N", "stage:N", "ns_per_message:Q"],
    )
    title = alt.Title("Where the nanoseconds go", subtitle=subtitle)
    return (lines + dots).properties(width=520, height=200, title=title)  # type: ignore[no-any-return]
