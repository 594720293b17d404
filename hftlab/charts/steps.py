"""What changes are worth: the waterfall of steps, and every ratio with its interval beside the A/A control."""

from __future__ import annotations

from typing import Any

import polars as pl

from hftlab.charts.base import GREY, PALETTE, WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.scales import by_name, legend, log_axis, names_in, text_width, time_axis
from hftlab.errors import check_choice
from hftlab.presentation.document import duration

#: First words of a verdict -> colour and shape.
VERDICTS = {
    "faster": (PALETTE[2], "circle"),
    "slower": (PALETTE[5], "square"),
    "no difference": ("#555555", "diamond"),
    "A/A control": ("#aaaaaa", "triangle-up"),
}
_BARS = {"start": GREY, "faster": PALETTE[2], "slower": PALETTE[5], "end": PALETTE[0]}
KINDS = ("start", "step", "end")
#: Where the slowest is this many times the fastest, differences would show the first steps alone: ratios are drawn.
_RATIOS_FROM = 15.0


def waterfall_chart(
    frame: pl.DataFrame,
    title: str = "Step by step",
    subtitle: str = "",
    *,
    log: bool | None = None,
) -> Chart:
    """Steps from a first figure to a last one: whole bars for "start" and "end", between them from before a step to after it.

    frame  : columns label, ns (> 0; what is measured after the step), kind ("start", "step" or "end"), in order
    log    : False, a linear axis on which steps are differences ("−70.0"); True, a logarithmic one on which they are ratios
             ("÷2.3"); None, logarithmic where the figures lie more than 15 times apart
    raises : UnknownName for another kind
    """
    rows = rows_of(frame, text=["label", "kind"], positive=["ns"], what="waterfall_chart")
    for row in rows:
        check_choice("kind of step", row["kind"], KINDS)
    if not rows:
        return empty_chart("no step above 0 ns", title)
    low, high = min(row["ns"] for row in rows), max(row["ns"] for row in rows)
    ratios = high / low > _RATIOS_FROM if log is None else log
    bars = _bars(rows, ratios, floor=low / 1.5 if ratios else 0.0)
    labels = [bar["label"] for bar in bars]
    width = WIDTH - 50 - min(300, max(text_width(label, 11) for label in labels))
    if ratios:
        scaled = time_axis("time per message", [low / 1.35, high * 1.6], limit=8)
    else:
        plain = alt.Axis(title="ns per message", format=",~r", tickCount=6)
        scaled = {"scale": alt.Scale(domain=[0, high * 1.16], nice=False), "axis": plain}
    colours = {kind: colour for kind, colour in _BARS.items() if any(bar["kind"] == kind for bar in bars)}
    named = [kind for kind in colours if kind in ("faster", "slower")]
    key = legend(named, values=named, symbolType="square") if "slower" in named else None
    y = alt.Y("label:N", sort=labels).axis(title=None, labelLimit=300, domain=False, ticks=False)
    base = data(bars).encode(y=y)
    drawn = base.mark_bar(height=18).encode(
        x=alt.X("low:Q", **scaled),
        x2="high:Q",
        color=by_name(alt.Color, "kind", colours, key),
        tooltip=["label:N", alt.Tooltip("ns:Q", format=",.1f", title="ns after it"), alt.Tooltip("text:N", title="change")],
    )
    ends = [
        {"at": bar["ns"], "label": label, "joint": place}
        for place, bar in enumerate(bars[:-1])
        for label in (bar["label"], bars[place + 1]["label"])
    ]
    joints = data(ends).mark_line(color="#777777", strokeWidth=1).encode(x="at:Q", y=y, detail="joint:N")
    numbers = base.mark_text(align="left", dx=6, fontSize=12).encode(x="high:Q", text="text:N")
    return (drawn + joints + numbers).properties(width=width, height=27 * len(bars), title=head(title, subtitle))


def _bars(rows: list[dict[str, Any]], ratios: bool, floor: float) -> list[dict[str, Any]]:
    """Start and end of each bar, its kind and its text."""
    out: list[dict[str, Any]] = []
    repeats: dict[str, int] = {}
    before = 0.0
    for row in rows:
        after = row["ns"]
        if row["kind"] != "step" or not out:
            kind, low, high = ("end" if row["kind"] == "end" else "start"), floor, after
            text = duration(after) if ratios else f"{after:,.1f}"
        else:
            kind, low, high = "faster" if after <= before else "slower", min(before, after), max(before, after)
            text = _ratio(before / after) if ratios else f"{after - before:+,.1f}".replace("-", "−")
        repeat = repeats[row["label"]] = repeats.get(row["label"], -1) + 1
        label = row["label"] + "\u200b" * repeat  # a label that comes twice is two rows
        out.append({"label": label, "kind": kind, "low": low, "high": high, "ns": after, "text": text})
        before = after
    return out


def _ratio(times: float) -> str:
    sign, times = ("÷", times) if times >= 1 else ("×", 1 / times)
    return f"{sign}{times:.0f}" if times >= 20 else f"{sign}{times:.1f}" if times >= 1.1 else f"{sign}{times:.2f}"


def ratio_chart(frame: pl.DataFrame, title: str, subtitle: str | list[str] = "", x_title: str = "ratio") -> Chart:
    """Ratios with their intervals on a logarithmic axis, a panel per group; an A/A control is a row like any other, in grey.

    frame : columns label, group ("" where there is one), ratio, low, high (rows without an interval are left out), verdict
            ("faster ...", "slower ...", "control"; anything else is no difference); optional text, above the ratio
    """
    rows = rows_of(frame, "verdict", text=["label", "group"], positive=["ratio", "low", "high"], what="ratio_chart")
    rows = [{"text": "", **row, "word": _word(row["verdict"])} for row in rows]
    if not rows:
        return empty_chart("nothing was compared", title)
    low, high = min(*(row["low"] for row in rows), 1.0), max(*(row["high"] for row in rows), 1.0)
    low, high = (end * (high / low) ** side for end, side in ((low, -0.12), (high, 0.12)))  # room for half a text at either end
    scaled = log_axis(x_title, [low, high], margin=1.02, format=".3~f", limit=8)
    left = min(260, max(text_width(row["label"], 11) for row in rows))
    words = {word: mark for word, mark in VERDICTS.items() if any(row["word"] == word for row in rows)}
    groups, panels = names_in(rows, "group"), []
    for group in groups:
        mine = [row for row in rows if row["group"] == group]
        last = scaled["axis"].copy()
        last.title = last.title if group == groups[-1] else None
        panel = _ratios(mine, group, alt.X("low:Q", scale=scaled["scale"], axis=last), words, left)
        panels.append(panel.properties(width=WIDTH - 80 - left, height=26 * len(mine)))
    return alt.vconcat(*panels, spacing=12).resolve_scale(x="shared").properties(title=head(title, subtitle))


def _word(verdict: str) -> str:
    """The name of a verdict in the legend."""
    if verdict == "control":
        return "A/A control"
    return next((word for word in VERDICTS if verdict.startswith(word)), "no difference")


def _ratios(rows: list[dict[str, Any]], group: str, x: Any, words: dict[str, Any], left: int) -> Any:
    """One panel: a rule at 1, and of each row its interval, its ratio and its text."""
    key = legend(list(words), symbolOpacity=1)
    base = data(rows).encode(y=alt.Y("label:N", sort=[row["label"] for row in rows]).axis(title=group or None, minExtent=left))
    color = by_name(alt.Color, "word", {word: colour for word, (colour, _) in words.items()}, key)
    shape = by_name(alt.Shape, "word", {word: shape for word, (_, shape) in words.items()}, key)
    tooltip = ["label:N", "verdict:N", *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("ratio", "low", "high"))]
    return alt.layer(
        data([{"one": 1}]).mark_rule(color="#999999", strokeDash=[4, 3]).encode(x="one:Q"),
        base.mark_rule(strokeWidth=3).encode(x=x, x2="high:Q", color=color),
        base.mark_point(filled=True, size=70, opacity=1).encode(x="ratio:Q", color=color, shape=shape, tooltip=tooltip),
        base.mark_text(dy=-11, fontSize=11, color="#333333").encode(x="ratio:Q", text="text:N"),
    )
