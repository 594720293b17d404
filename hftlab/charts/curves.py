"""Curves on two logarithmic axes: how the cost of a message grows with the book, and how it shrinks with the chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hftlab.charts.base import GREY, PALETTE, WIDTH, altair, head, log_ticks, nothing
from hftlab.charts.scales import by_series, legend, panel_name

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: Way across the border -> colour and shape; as `hftlab.experiments.crossing` names them.
_WAYS = {
    "push": (PALETTE[0], "circle"),
    "push_events": (PALETTE[1], "square"),
    "message": (PALETTE[2], "diamond"),
    "apply": (PALETTE[3], "triangle-up"),
    "no-op across": (GREY, "cross"),
    "Python engine": (PALETTE[5], "stroke"),
}


def scaling_chart(
    points: pl.DataFrame, title: str, rules: Mapping[str, float] | None = None, subtitle: str = ""
) -> alt.LayerChart | alt.Chart:
    """ns per message against size, one line per variant, the control dashed.

    points : `Scale.frame()`; title : of the horizontal axis; rules : positions on it to be marked, by label
    """
    alt = altair()
    if points.is_empty():
        return nothing("no size was measured", f"ns per message against {title}")
    names = points["variant"].unique(maintain_order=True).to_list()
    ticks = log_ticks(*_span(points, "low", "high"))
    told = by_series(names, "variant", offset=28 if rules else 10)  # the labels of rules stand between legend and plot
    base = alt.Chart(alt.Data(values=points.to_dicts())).encode(
        x=alt.X("size:Q").scale(type="log", nice=False).axis(title=f"{title} (log scale)", **_decades(points["size"].to_list())),
        color=told["color"],
    )
    y = alt.Y("ns_per_message:Q").scale(type="log", domain=[ticks[0], ticks[-1]], nice=False)
    y = y.axis(title="ns per message (log scale)", values=ticks, format=",~r")
    lines = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=told["strokeDash"])
    spans = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q")
    dots = base.mark_point(filled=True, size=45, opacity=1).encode(
        y=y, tooltip=["variant:N", "size:Q", "ns_per_message:Q", "low:Q", "high:Q"]
    )
    said = [subtitle, "dotted: where the bytes that the book of best reserves outgrow a cache"] if rules else [subtitle]
    layers = [*_marks(rules or {}), lines, spans, dots]
    titled = head(f"ns per message against {title}", said)
    return alt.layer(*layers).properties(width=WIDTH - 112, height=320, title=titled)  # type: ignore[no-any-return]


def _marks(rules: Mapping[str, float]) -> list[Any]:
    """Vertical rules, their labels above the plot."""
    if not rules:
        return []
    alt = altair()
    rows = [{"label": name, "at": at} for name, at in rules.items()]
    base = alt.Chart(alt.Data(values=rows)).encode(x="at:Q")
    line = base.mark_rule(color="#999999", strokeDash=[2, 3])
    return [line, base.mark_text(dy=-8, color="#555555").encode(y=alt.value(0), text="label:N")]


def ffi_chart(ways: pl.DataFrame, subtitle: str = "") -> alt.HConcatChart | alt.Chart:
    """ns per message against messages per crossing, a panel per last stage; the Python engine as a rule.

    ways : `Border.frame()`
    """
    alt = altair()
    if ways.is_empty():
        return nothing("no way was measured", "What a crossing of the border costs")
    messages, empty = ways.filter(ways["until"] != ""), ways.filter(ways["way"] == "no-op across")
    ticks = log_ticks(*_span(messages, "ns_per_message", "ns_per_message"))
    panels: list[Any] = []
    stages = messages["until"].unique(maintain_order=True).to_list()
    width = (WIDTH - 94) // max(1, len(stages)) - 24
    for until in stages:
        panel = _panel(messages.filter(messages["until"] == until).vstack(empty), until, ticks, first=not panels)
        panels.append(panel.properties(width=width))
    titled = head("What a crossing of the border costs", subtitle)
    return alt.hconcat(*panels, spacing=24).resolve_scale(y="shared", color="shared").properties(title=titled)  # type: ignore[no-any-return]


def _panel(ways: pl.DataFrame, until: str, ticks: list[float], *, first: bool) -> Any:
    alt = altair()
    rows = ways.to_dicts()
    chunks = [row for row in rows if row["way"].startswith("push")]
    calls = [{**row, "messages_per_crossing": 1} for row in rows if row["way"] in ("message", "apply", "no-op across")]
    python = [row for row in rows if row["way"] == "Python engine"]
    x = alt.X("messages_per_crossing:Q").scale(type="log", nice=False)
    x = x.axis(title="messages per crossing (log scale)", **_decades([row["messages_per_crossing"] for row in chunks]))
    y = alt.Y("ns_per_message:Q").scale(type="log", domain=[ticks[0], ticks[-1]], nice=False)
    y = y.axis(title="ns per message (log scale)" if first else None, values=ticks, format=",~r", labels=first, ticks=first)
    key = legend(list(_WAYS), symbolOpacity=1)
    color = alt.Color("way:N", legend=key).scale(domain=list(_WAYS), range=[color for color, _ in _WAYS.values()])
    shape = alt.Shape("way:N", legend=key).scale(domain=list(_WAYS), range=[shape for _, shape in _WAYS.values()])
    tooltip = ["way:N", "messages_per_crossing:Q", "ns_per_message:Q", "low:Q", "high:Q", "min:Q"]
    curve = alt.Chart(alt.Data(values=chunks)).encode(x=x, y=y, color=color, tooltip=tooltip)
    dots = alt.Chart(alt.Data(values=chunks + calls)).mark_point(filled=True, size=75, opacity=1)
    rule = (
        alt.Chart(alt.Data(values=python)).mark_rule(strokeWidth=2, strokeDash=[6, 3]).encode(y=y, color=color, tooltip=tooltip)
    )
    layers = (
        panel_name(f"until {until}")
        + rule
        + curve.mark_line(strokeWidth=2)
        + dots.encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip)
    )
    return layers.properties(height=300)


def _span(frame: pl.DataFrame, low: str, high: str) -> tuple[float, float]:
    """From a little below the least to a little above the greatest."""
    return 0.95 * float(frame[low].min() or 1), 1.05 * float(frame[high].max() or 1)  # type: ignore[arg-type]


def _decades(sizes: list[int]) -> dict[str, Any]:
    """Ticks at the powers of ten that lie within."""
    return {
        "values": [10**power for power in range(9) if min(sizes) <= 10**power <= max(sizes)],
        "format": ",d",
        "labelFlush": False,
    }
