"""Curves on two logarithmic axes: how the cost of a message grows with the book, and how it shrinks with the chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hftlab.charts.base import GREY, PALETTE, altair, log_ticks

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

_CONTROL = "best again"
#: Way across the border -> colour and shape; as `hftlab.bench.crossing` names them.
_WAYS = {
    "push": (PALETTE[0], "circle"),
    "push_events": (PALETTE[1], "square"),
    "message": (PALETTE[2], "diamond"),
    "apply": (PALETTE[3], "triangle-up"),
    "no-op across": (GREY, "cross"),
    "Python engine": (PALETTE[5], "stroke"),
}


def scale_chart(points: pl.DataFrame, title: str, rules: Mapping[str, float] | None = None, subtitle: str = "") -> alt.LayerChart:
    """ns per message against size, one line per variant, the control dashed.

    points : `Scale.frame()`; title : of the horizontal axis; rules : positions on it to be marked, by label
    """
    alt = altair()
    names = points["variant"].unique(maintain_order=True).to_list()
    palette = PALETTE * (len(names) // len(PALETTE) + 1)
    colours = [GREY if name == _CONTROL else palette[place] for place, name in enumerate(names)]
    ticks = log_ticks(*_span(points, "low", "high"))
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=3)
    base = alt.Chart(alt.Data(values=points.to_dicts())).encode(
        x=alt.X("size:Q").scale(type="log", nice=False).axis(title=f"{title} (log scale)", **_decades(points["size"].to_list())),
        color=alt.Color("variant:N", sort=names, title=None, legend=legend).scale(domain=names, range=colours),
    )
    y = alt.Y("ns_per_message:Q").scale(type="log", domain=[ticks[0], ticks[-1]], nice=False)
    y = y.axis(title="ns per message (log scale)", values=ticks, format=",~r")
    dash = alt.StrokeDash("variant:N", sort=names, title=None, legend=legend).scale(
        domain=names, range=[[4, 4] if name == _CONTROL else [1, 0] for name in names]
    )
    lines = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash)
    spans = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q")
    dots = base.mark_point(filled=True, size=45, opacity=1).encode(
        y=y, tooltip=["variant:N", "size:Q", "ns_per_message:Q", "low:Q", "high:Q"]
    )
    said = [subtitle, "dotted: where the bytes that the book of best reserves outgrow a cache"] if rules else [subtitle]
    head = alt.Title(f"ns per message against {title}", subtitle=said, anchor="start", offset=24 if rules else 8)
    layers = [*_marks(rules or {}), lines, spans, dots]
    return alt.layer(*layers).properties(width=520, height=320, title=head)  # type: ignore[no-any-return]


def _marks(rules: Mapping[str, float]) -> list[Any]:
    """Vertical rules, their labels above the plot."""
    if not rules:
        return []
    alt = altair()
    rows = [{"label": name, "at": at} for name, at in rules.items()]
    base = alt.Chart(alt.Data(values=rows)).encode(x="at:Q")
    line = base.mark_rule(color="#999999", strokeDash=[2, 3])
    return [line, base.mark_text(dy=-8, color="#555555").encode(y=alt.value(0), text="label:N")]


def border_chart(ways: pl.DataFrame, subtitle: str = "") -> alt.HConcatChart:
    """ns per message against messages per crossing, a panel per last stage; the Python engine as a rule.

    ways : `Border.frame()`
    """
    alt = altair()
    messages, nothing = ways.filter(ways["until"] != ""), ways.filter(ways["way"] == "no-op across")
    ticks = log_ticks(*_span(messages, "ns_per_message", "ns_per_message"))
    panels: list[Any] = []
    for until in messages["until"].unique(maintain_order=True).to_list():
        panels.append(_panel(messages.filter(messages["until"] == until).vstack(nothing), until, ticks, first=not panels))
    head = alt.Title("What a crossing of the border costs", subtitle=subtitle, offset=12)
    return alt.hconcat(*panels).resolve_scale(y="shared", color="shared").properties(title=head)  # type: ignore[no-any-return]


def _panel(ways: pl.DataFrame, until: str, ticks: list[float], *, first: bool) -> Any:
    alt = altair()
    rows = ways.to_dicts()
    chunks = [row for row in rows if row["way"].startswith("push")]
    calls = [{**row, "messages_per_crossing": 1} for row in rows if row["way"] in ("message", "apply", "no-op across")]
    python = [row for row in rows if row["way"] == "Python engine"]
    x = alt.X("messages_per_crossing:Q").scale(type="log", nice=False)
    x = x.axis(title="messages per crossing (log scale)", **_decades([row["messages_per_crossing"] for row in chunks]))
    y = alt.Y("ns_per_message:Q").scale(type="log", domain=[ticks[0], ticks[-1]], nice=False)
    y = y.axis(title="ns per message (log scale)" if first else None, values=ticks, format=",~r")
    color = alt.Color("way:N", title=None).scale(domain=list(_WAYS), range=[color for color, _ in _WAYS.values()])
    shape = alt.Shape("way:N", title=None).scale(domain=list(_WAYS), range=[shape for _, shape in _WAYS.values()])
    tooltip = ["way:N", "messages_per_crossing:Q", "ns_per_message:Q", "low:Q", "high:Q", "min:Q"]
    curve = alt.Chart(alt.Data(values=chunks)).encode(x=x, y=y, color=color, tooltip=tooltip)
    dots = alt.Chart(alt.Data(values=chunks + calls)).mark_point(filled=True, size=75, opacity=1)
    rule = (
        alt.Chart(alt.Data(values=python)).mark_rule(strokeWidth=2, strokeDash=[6, 3]).encode(y=y, color=color, tooltip=tooltip)
    )
    layers = rule + curve.mark_line(strokeWidth=2) + dots.encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip)
    return layers.properties(width=330, height=300, title=f"until {until}")


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
