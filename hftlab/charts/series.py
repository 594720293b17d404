"""Any figures against any others: lines, one per series, the plain chart for what no other chart is made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import by_series, names_in

if TYPE_CHECKING:
    import altair as alt
    import polars as pl


def lines_chart(
    frame: pl.DataFrame,
    x: str,
    y: str,
    title: str = "",
    subtitle: str = "",
    *,
    step: bool = False,
    rule: float | None = None,
    height: int = 240,
) -> alt.LayerChart | alt.Chart:
    """y against x on linear axes, a line per series.

    frame : columns series, x, y, at most 5,000 rows, in the order in which they are joined
    x, y  : titles of the axes, with units
    step  : a value holds until the next one, and no dots; rule: a horizontal line to compare with
    """
    rows = rows_of(frame, text=["series"], real=["x", "y"], what="lines_chart")
    if not rows:
        return nothing("no point", title)
    alt = altair()
    told = by_series(names_in(rows, "series"), "series")
    scale: dict[str, Any] = {"zero": rule is None}
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("x:Q").scale(zero=False, nice=not step).axis(title=x, format=",~r", tickCount=7, grid=False),
        y=alt.Y("y:Q").scale(**scale).axis(title=y, format=",~r", tickCount=6),
        color=told["color"],
    )
    mark = {"interpolate": "step-after"} if step else {"point": {"size": 55}}
    layers = [base.mark_line(strokeWidth=2, **mark).encode(strokeDash=told["strokeDash"])]
    if rule is not None:
        layers.insert(
            0, alt.Chart(alt.Data(values=[{"at": rule}])).mark_rule(color="#999999", strokeDash=[4, 3]).encode(y="at:Q")
        )
    return alt.layer(*layers).properties(width=WIDTH - 100, height=height, title=head(title, subtitle))  # type: ignore[no-any-return]
