"""What each optimisation is worth: the waterfall from naive to best, and every ratio beside the control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import GREY, PALETTE, altair, log_ticks

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: First word of a verdict -> colour.
_COLOURS = {"faster": PALETTE[2], "slower": PALETTE[5], "no difference": "#555555", "control": "#aaaaaa"}
_WATERFALL = {"naive": GREY, "faster": PALETTE[2], "slower": PALETTE[5], "best": PALETTE[0]}


def waterfall_chart(steps: pl.DataFrame, subtitle: str = "") -> alt.LayerChart:
    """The ladder from naive to best, ns per message: the two ends as whole bars, between them what each step takes away.

    steps : `Ablation.frame()`, of which the rows with start "ladder" are drawn
    """
    alt = altair()
    rows = _bars(steps)
    order = [row["label"] for row in rows]
    kinds = [kind for kind in _WATERFALL if any(row["kind"] == kind for row in rows)]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("label:N", sort=order, title=None).axis(
            labelAngle=0, labelExpr="split(datum.label, '|')", labelLimit=200, labelPadding=6
        )
    )
    bars = base.mark_bar(size=56).encode(
        y=alt.Y("low:Q").axis(title="ns per message").scale(zero=True, domainMax=1.08 * max(row["high"] for row in rows)),
        y2="high:Q",
        color=alt.Color("kind:N", title=None).scale(domain=kinds, range=[_WATERFALL[kind] for kind in kinds]),
        tooltip=["label:N", "text:N"],
    )
    numbers = base.mark_text(dy=-8, fontSize=12).encode(y="high:Q", text="text:N")
    title = alt.Title("From naive to best, one optimisation after the other", subtitle=subtitle, anchor="start")
    width = 96 * len(rows)
    return (bars + numbers).properties(width=width, height=280, title=title)  # type: ignore[no-any-return]


def _bars(steps: pl.DataFrame) -> list[dict[str, Any]]:
    """Bars of the waterfall: a "|" in a label breaks its line."""
    ladder = [row for row in steps.to_dicts() if row["start"] == "ladder" and row["verdict"] != "control"]
    whole = ladder.pop()  # naive -> best
    first, last = whole["from_ns_per_message"], whole["to_ns_per_message"]
    rows = [{"label": "naive", "kind": "naive", "low": 0.0, "high": first, "text": f"{first:.1f}"}]
    for row in ladder:
        before, after = row["from_ns_per_message"], row["to_ns_per_message"]
        rows.append(
            {
                "label": f"{row['axis']}|{row['from']}|→ {row['to']}",
                "kind": "faster" if after <= before else "slower",
                "low": min(before, after),
                "high": max(before, after),
                "text": f"{after - before:+.1f}".replace("-", "−"),
            }
        )
    return [*rows, {"label": "best", "kind": "best", "low": 0.0, "high": last, "text": f"{last:.1f}"}]


def forest_chart(steps: pl.DataFrame, subtitle: str = "") -> alt.VConcatChart:
    """Every ratio with its 95 % interval on a log scale, the A/A control as a row of its own and as a band.

    steps : `Ablation.frame()`
    """
    alt = altair()
    steps = steps.filter(steps["start"] != "ladder")
    low, high = float(steps["low"].min() or 1), float(steps["high"].max() or 1)  # type: ignore[arg-type]
    ticks = log_ticks(low, high, (1, 1.2, 1.5, *range(2, 10)) if high / low < 5 else (1, 2, 5))
    words = [word for word in _COLOURS if steps["verdict"].str.starts_with(word).any()]
    parts = [
        _forest(steps.filter(steps["start"] == start), f"from {start}", ticks, words, start == "best")
        for start in ("naive", "best")
    ]
    title = alt.Title("What each switch is worth, and what the machine makes of nothing", subtitle=subtitle)
    return alt.vconcat(*parts, spacing=12).resolve_scale(x="shared").properties(title=title)  # type: ignore[no-any-return]


def _forest(steps: pl.DataFrame, name: str, ticks: list[float], words: list[str], last: bool) -> Any:
    alt = altair()
    rows = [
        {
            **row,
            "label": "A/A control" if row["verdict"] == "control" else f"{row['axis']}: {row['from']} → {row['to']}",
            "colour": next(word for word in _COLOURS if row["verdict"].startswith(word)),
        }
        for row in steps.to_dicts()
    ]
    axis = alt.Axis(values=ticks, format=".2~f", title="times as fast as before the switch (log scale)" if last else None)
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("label:N", sort=[row["label"] for row in rows]).axis(title=name, labelLimit=260, titlePadding=12),
        color=alt.Color("colour:N", title=None).scale(domain=words, range=[_COLOURS[word] for word in words]),
    )
    x = alt.X("low:Q").scale(type="log", domain=[ticks[0], ticks[-1]], nice=False).axis(axis)
    control = alt.Chart(alt.Data(values=[row for row in rows if row["verdict"] == "control"]))
    band = control.mark_rect(color="#dddddd").encode(x=x, x2="high:Q")
    one = alt.Chart(alt.Data(values=[{"one": 1}])).mark_rule(color="#999999", strokeDash=[4, 3]).encode(x="one:Q")
    spans = base.mark_rule(strokeWidth=3).encode(x=x, x2="high:Q")
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x="ratio:Q", tooltip=["label:N", "ratio:Q", "verdict:N"])
    return (band + one + spans + dots).properties(width=460, height=26 * len(rows))
