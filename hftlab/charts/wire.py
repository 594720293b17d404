"""Wire to wire, path by path: whose time it is, and how far the tail reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import GREY, PALETTE, QUIET, altair, head, nothing, rows_of
from hftlab.charts.scales import legend, say_ns, time_axis

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: Part -> colour; the order is that of the bars.
_PARTS = {"transport": PALETTE[4], "engine": PALETTE[1], "scheduling": GREY}
#: Percentile -> colour and shape.
_MARKS = {"p50": (PALETTE[0], "circle"), "p99": (PALETTE[5], "diamond"), "p99.9": (PALETTE[7], "triangle-right")}
_SHARES_WIDTH, _LADDER_WIDTH = 190, 300
#: A share that is narrower than this has no room for its number.
_NARROW = 0.12


def tick_to_trade_chart(
    frame: pl.DataFrame, shares: pl.DataFrame, subtitle: str | list[str] = "", title: str = "From wire to wire"
) -> alt.HConcatChart | alt.Chart:
    """Two panels, a row per path, the quickest at the top: the parts of its median as shares, since the paths lie further apart
    than one linear axis of time could show; p50, p99 and p99.9 on a logarithmic axis.

    frame  : columns path, p50 (ns, > 0), p99, p99.9; what a sample cannot bear is left out
    shares : columns path, part (transport, engine, scheduling), ns, share; of p50; none where the engine was not stamped
    """
    rows = rows_of(frame, *_MARKS, text=["path"], positive=["p50"], what="tick_to_trade_chart")
    if not rows:
        return nothing("no path was measured", title)
    alt = altair()
    rows.sort(key=lambda row: row["p50"])
    names = [row["path"] for row in rows]
    parts = rows_of(shares, text=["path", "part"], real=["ns", "share"], what="tick_to_trade_chart")
    height = max(90, 28 * len(rows))
    ladder = _ladder(rows, names, labels=not parts).properties(width=_LADDER_WIDTH + (0 if parts else 160), height=height)
    if not parts:
        return ladder.properties(title=head(title, subtitle))  # type: ignore[no-any-return]
    bars = _bars(parts, names).properties(width=_SHARES_WIDTH, height=height)
    both = alt.hconcat(bars, ladder, spacing=14).resolve_scale(color="independent", shape="independent")
    return both.properties(title=head(title, subtitle))  # type: ignore[no-any-return]


def _y(names: list[str], *, labels: bool) -> Any:
    alt = altair()
    axis = {"title": None, "labelLimit": 170, "grid": True, "gridColor": "#f4f4f4", "labels": labels, "ticks": labels}
    return alt.Y("path:N", sort=names).scale(domain=names).axis(**axis)


def _bars(parts: list[dict[str, Any]], names: list[str]) -> Any:
    """Stacked shares of the median, each with its time where there is room."""
    alt = altair()
    begin: dict[str, float] = dict.fromkeys(names, 0.0)
    placed = []
    for row in sorted(parts, key=lambda row: list(_PARTS).index(row["part"])):
        start = begin[row["path"]]
        begin[row["path"]] = start + row["share"]
        text = say_ns(row["ns"]) if row["share"] >= _NARROW * len(say_ns(row["ns"])) / 4 else ""
        placed.append({**row, "from": start, "to": start + row["share"], "mid": start + row["share"] / 2, "text": text})
    axis = alt.Axis(title="share of p50", format="%", values=[0, 0.5, 1])
    base = alt.Chart(alt.Data(values=placed)).encode(y=_y(names, labels=True))
    bars = base.mark_bar(height={"band": 0.72}).encode(
        x=alt.X("from:Q", axis=axis).scale(domain=[0, 1]),
        x2="to:Q",
        color=alt.Color("part:N", sort=list(_PARTS), legend=legend(list(_PARTS), columns=3)).scale(
            domain=list(_PARTS), range=list(_PARTS.values())
        ),
        tooltip=["path:N", "part:N", alt.Tooltip("ns:Q", format=",.0f", title="ns"), alt.Tooltip("share:Q", format=".1%")],
    )
    text = base.mark_text(fontSize=9.5, color="black").encode(x="mid:Q", text="text:N")
    return bars + text


def _ladder(rows: list[dict[str, Any]], names: list[str], *, labels: bool) -> Any:
    """Percentiles on a logarithmic axis."""
    alt = altair()
    dots = [{"path": row["path"], "percentile": name, "ns": row[name]} for row in rows for name in _MARKS if row[name]]
    spans = [{"path": row["path"], "low": row["p50"], "high": max(row[name] for name in _MARKS if row[name])} for row in rows]
    low, high = min(dot["ns"] for dot in dots), max(dot["ns"] for dot in dots)
    room = low / (1.3 * max(high / low, 3) ** 0.24)  # for the text at the left
    scale, axis = time_axis("from due to the order's arrival", [room, high], most=6)
    x, y = alt.X("ns:Q", scale=scale, axis=axis), _y(names, labels=labels)
    lines = alt.Chart(alt.Data(values=spans)).mark_rule(color=GREY, strokeWidth=1.5)
    lines = lines.encode(y=y, x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q")
    marks, (colours, shapes) = list(_MARKS), zip(*_MARKS.values(), strict=True)
    key = legend(marks, symbolSize=80, columns=3)
    points = alt.Chart(alt.Data(values=dots)).mark_point(filled=True, size=70, opacity=1)
    points = points.encode(
        y=y,
        x=x,
        color=alt.Color("percentile:N", sort=marks, legend=key).scale(domain=marks, range=colours),
        shape=alt.Shape("percentile:N", sort=marks, legend=key).scale(domain=marks, range=shapes),
        tooltip=["path:N", "percentile:N", alt.Tooltip("ns:Q", format=",.0f", title="ns")],
    )
    told = [{"path": row["path"], "ns": row["p50"], "text": say_ns(row["p50"])} for row in rows]
    text = alt.Chart(alt.Data(values=told)).mark_text(align="right", dx=-9, fontSize=10.5, color=QUIET)
    return lines + points + text.encode(y=y, x=x, text="text:N")
