"""What each optimisation is worth: the waterfall from naive to best, and every ratio beside the control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import GREY, PALETTE, WIDTH, altair, head, log_ticks, nothing, rows_of
from hftlab.charts.scales import legend, say_ns, text_width, ticks_between, time_axis
from hftlab.errors import UnknownName

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: First word of a verdict -> colour.
_COLOURS = {"faster": PALETTE[2], "slower": PALETTE[5], "no difference": "#555555", "control": "#aaaaaa"}
_BARS = {"start": GREY, "faster": PALETTE[2], "slower": PALETTE[5], "end": PALETTE[0]}
KINDS = ("start", "step", "end")
#: Where the slowest is so many times the fastest, differences would show the first steps alone: ratios are drawn.
_RATIOS_FROM = 15.0


def ablation_chart(steps: pl.DataFrame, subtitle: str = "", log: bool | None = None) -> alt.LayerChart | alt.Chart:
    """The ladder from naive to best, ns per message: the two ends as whole bars, between them what each step takes away.

    steps : `Ablation.frame()`, of which the rows with start "ladder" are drawn; log : as for `waterfall_chart`
    """
    import polars as pl

    title = "From naive to best, one optimisation after the other"
    ladder = [row for row in steps.to_dicts() if row["start"] == "ladder" and row["verdict"] != "control"]
    if not ladder:
        return nothing("the ladder was not climbed", title)
    whole = ladder.pop()  # naive -> best
    rows = [("naive", whole["from_ns_per_message"], "start")]
    rows += [(f"{row['axis']}: {row['from']} → {row['to']}", row["to_ns_per_message"], "step") for row in ladder]
    rows += [("best", whole["to_ns_per_message"], "end")]
    return waterfall_chart(pl.DataFrame(rows, schema=["label", "ns", "kind"], orient="row"), title, subtitle, log=log)


def waterfall_chart(
    frame: pl.DataFrame,
    title: str = "One step after the other",
    subtitle: str = "",
    *,
    log: bool | None = None,
    what: str = "ns per message",
) -> alt.LayerChart | alt.Chart:
    """Steps from a first figure to a last one: whole bars for "start" and "end", between them from before a step to after it.

    frame  : columns label, ns (> 0; what is measured after the step), kind ("start", "step" or "end"), in order
    log    : False, a linear axis on which steps are differences ("−70.0"); True, a logarithmic one on which they are ratios
             ("÷2.3"); None, logarithmic where the figures lie more than 15 times apart
    raises : UnknownName for another kind
    """
    rows = rows_of(frame, text=["label", "kind"], positive=["ns"], what="waterfall_chart")
    for row in rows:
        if row["kind"] not in KINDS:
            raise UnknownName("kind of step", row["kind"], KINDS)
    if not rows:
        return nothing("no step above 0 ns", title)
    alt = altair()
    low, high = min(row["ns"] for row in rows), max(row["ns"] for row in rows)
    ratios = high / low > _RATIOS_FROM if log is None else log
    bars = _bars(rows, ratios, floor=low / 1.5 if ratios else 0.0)
    labels = [bar["label"] for bar in bars]
    left = min(300, max(text_width(label, 11) for label in labels))
    width = WIDTH - 50 - left
    if ratios:
        scale, axis = time_axis("time per message" if what == "ns per message" else what, [low / 1.35, high * 1.6], most=8)
    else:
        scale, axis = alt.Scale(domain=[0, high * 1.16], nice=False), alt.Axis(title=what, format=",~r", tickCount=6)
    kinds = [kind for kind in _BARS if any(bar["kind"] == kind for bar in bars)]
    said = [kind for kind in kinds if kind in ("faster", "slower")]
    base = alt.Chart(alt.Data(values=bars)).encode(
        y=alt.Y("label:N", sort=labels).axis(title=None, labelLimit=300, domain=False, ticks=False)
    )
    color = alt.Color("kind:N", legend=legend(said, values=said, symbolType="square") if "slower" in said else None)
    drawn = base.mark_bar(height=18).encode(
        x=alt.X("low:Q", scale=scale, axis=axis),
        x2="high:Q",
        color=color.scale(domain=kinds, range=[_BARS[kind] for kind in kinds]),
        tooltip=["label:N", alt.Tooltip("ns:Q", format=",.1f", title="ns after it"), alt.Tooltip("text:N", title="change")],
    )
    numbers = base.mark_text(align="left", dx=6, fontSize=12).encode(x="high:Q", text="text:N")
    return (drawn + _joints(bars) + numbers).properties(width=width, height=27 * len(bars), title=head(title, subtitle))  # type: ignore[no-any-return]


def _bars(rows: list[dict[str, Any]], ratios: bool, floor: float) -> list[dict[str, Any]]:
    """From where to where each bar reaches, its colour and what stands beside it."""
    out: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    before = 0.0
    for row in rows:
        after = row["ns"]
        if row["kind"] != "step" or not out:
            kind, low, high = ("end" if row["kind"] == "end" else "start"), floor, after
            text = say_ns(after) if ratios else f"{after:,.1f}"
        else:
            kind, low, high = "faster" if after <= before else "slower", min(before, after), max(before, after)
            text = _ratio(before / after) if ratios else f"{after - before:+,.1f}".replace("-", "−")
        twice = seen[row["label"]] = seen.get(row["label"], -1) + 1
        label = row["label"] + "\u200b" * twice  # a label that comes twice is two rows
        out.append({"label": label, "kind": kind, "low": low, "high": high, "ns": after, "text": text})
        before = after
    return out


def _ratio(times: float) -> str:
    sign, times = ("÷", times) if times >= 1 else ("×", 1 / times)
    return f"{sign}{times:.0f}" if times >= 20 else f"{sign}{times:.1f}" if times >= 1.1 else f"{sign}{times:.2f}"


def _joints(bars: list[dict[str, Any]]) -> Any:
    """Thin lines from where one bar ends to where the next one begins."""
    alt = altair()
    ends = [
        {"at": bar["ns"], "label": row["label"], "joint": place}
        for place, bar in enumerate(bars[:-1])
        for row in (bar, bars[place + 1])
    ]
    lines = alt.Chart(alt.Data(values=ends)).mark_line(color="#777777", strokeWidth=1)
    return lines.encode(x="at:Q", y=alt.Y("label:N", sort=[bar["label"] for bar in bars]), detail="joint:N")


def forest_chart(steps: pl.DataFrame, subtitle: str = "") -> alt.VConcatChart | alt.Chart:
    """Every ratio with its 95 % interval on a log scale, the A/A control as a row of its own and as a band.

    steps : `Ablation.frame()`
    """
    alt = altair()
    title = "What each switch is worth, and what the machine makes of nothing"
    rows = rows_of(steps, text=["start", "axis", "from", "to", "verdict"], positive=["ratio", "low", "high"], what="forest_chart")
    rows = [{**row, "label": _switch(row), "colour": _word(row["verdict"])} for row in rows if row["start"] != "ladder"]
    if not rows:
        return nothing("no switch was compared", title)
    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    ticks = ticks_between(low / 1.05, high * 1.05, 8) if high / low < 5 else log_ticks(low, high)
    domain = [min(low / 1.05, ticks[0]), max(high * 1.05, ticks[-1])]
    words = [word for word in _COLOURS if any(row["colour"] == word for row in rows)]
    starts = list(dict.fromkeys(row["start"] for row in rows))
    left = min(260, max(text_width(row["label"], 11) for row in rows))
    parts = []
    for start in starts:
        named = "times as fast as before the switch (log scale)" if start == starts[-1] else None
        axis = alt.Axis(values=ticks, format=".2~f", title=named)
        x = alt.X("low:Q").scale(type="log", domain=domain, nice=False).axis(axis)
        mine = [row for row in rows if row["start"] == start]
        parts.append(_forest(mine, f"from {start}", x, words, left).properties(width=WIDTH - 80 - left, height=26 * len(mine)))
    return alt.vconcat(*parts, spacing=12).resolve_scale(x="shared").properties(title=head(title, subtitle))  # type: ignore[no-any-return]


def _switch(row: dict[str, Any]) -> str:
    return "A/A control" if row["verdict"] == "control" else f"{row['axis']}: {row['from']} → {row['to']}"


def _word(verdict: str) -> str:
    return next((word for word in _COLOURS if verdict.startswith(word)), "no difference")


def _forest(rows: list[dict[str, Any]], name: str, x: Any, words: list[str], left: int) -> Any:
    alt = altair()
    color = alt.Color("colour:N", legend=legend(words, symbolType="circle", symbolOpacity=1))
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("label:N", sort=[row["label"] for row in rows]).axis(title=name, labelLimit=260, titlePadding=12, minExtent=left),
        color=color.scale(domain=words, range=[_COLOURS[word] for word in words]),
    )
    control = alt.Chart(alt.Data(values=[row for row in rows if row["verdict"] == "control"]))
    band = control.mark_rect(color="#dddddd").encode(x=x, x2="high:Q")
    one = alt.Chart(alt.Data(values=[{"one": 1}])).mark_rule(color="#999999", strokeDash=[4, 3]).encode(x="one:Q")
    spans = base.mark_rule(strokeWidth=3).encode(x=x, x2="high:Q")
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x="ratio:Q", tooltip=["label:N", "ratio:Q", "verdict:N"])
    return band + one + spans + dots
