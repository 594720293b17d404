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


def forest_chart(steps: pl.DataFrame, subtitle: str = "") -> Chart:
    """Every ratio of an ablation with its 95 % interval on a logarithmic axis, a panel per start; the A/A control is a row of its
    own and a band.

    steps : columns start, axis, from, to, ratio, low, high, verdict
    """
    title = "Speed-up of each switch, beside the A/A noise floor"
    rows = rows_of(steps, text=["start", "axis", "from", "to", "verdict"], positive=["ratio", "low", "high"], what="forest_chart")
    rows = [{**row, "word": _word(row["verdict"])} for row in rows if row["start"] != "ladder"]
    rows = [{**row, "label": _switch(row), "group": f"from {row['start']}"} for row in rows]
    return _forest(rows, title, subtitle, "speed-up by the switch")


def comparison_chart(metrics: pl.DataFrame, title: str, subtitle: str | list[str] = "") -> Chart:
    """Every metric that has an interval, with its A/A control right below it, on a logarithmic axis.

    metrics : columns metric, a, b (ns), ratio, low, high, control, control_low, control_high, verdict
    """
    rows: list[dict[str, Any]] = []
    for row in metrics.to_dicts():
        if row["low"] is None:
            continue
        text = " → ".join(f"{ns:,.0f}" if ns >= 1_000 else f"{ns:.4g}" for ns in (row["a"], row["b"])) + " ns"
        names = {"label": row["metric"], "group": "", "text": text, "verdict": row["verdict"]}
        rows.append({**names, "word": _word(row["verdict"]), **{name: row[name] for name in ("ratio", "low", "high")}})
        if row["control"] is not None:
            control = {"ratio": row["control"], "low": row["control_low"], "high": row["control_high"]}
            label = f"{row['metric']}, A/A control"
            rows.append({"label": label, "group": "", "text": "", "verdict": "control", "word": "A/A control", **control})
    return _forest(rows, title, subtitle, "a / b: above 1, b takes less time", band=False)


def _switch(row: dict[str, Any]) -> str:
    return row["word"] if row["verdict"] == "control" else f"{row['axis']}: {row['from']} → {row['to']}"


def _word(verdict: str) -> str:
    if verdict == "control":
        return "A/A control"
    return next((word for word in VERDICTS if verdict.startswith(word)), "no difference")


def _forest(rows: list[dict[str, Any]], title: str, subtitle: str | list[str], what: str, *, band: bool = True) -> Chart:
    """Ratios with intervals, a panel per group. rows: label, group, ratio, low, high, word (of VERDICTS), verdict; maybe text"""
    if not rows:
        return empty_chart("nothing was compared", title)
    low, high = min(*(row["low"] for row in rows), 1.0), max(*(row["high"] for row in rows), 1.0)
    low, high = (end * (high / low) ** side for end, side in ((low, -0.12), (high, 0.12)))  # room for half a text at either end
    scaled = log_axis(what, [low, high], margin=1.02, format=".3~f", limit=8)
    words = {word: mark for word, mark in VERDICTS.items() if any(row["word"] == word for row in rows)}
    left = min(260, max(text_width(row["label"], 11) for row in rows))
    groups, panels = names_in(rows, "group"), []
    for group in groups:
        mine = [row for row in rows if row["group"] == group]
        last = scaled["axis"].copy()
        last.title = last.title if group == groups[-1] else None
        panel = _forest_panel(mine, group, alt.X("low:Q", scale=scaled["scale"], axis=last), words, left, band)
        panels.append(panel.properties(width=WIDTH - 80 - left, height=26 * len(mine)))
    return alt.vconcat(*panels, spacing=12).resolve_scale(x="shared").properties(title=head(title, subtitle))


def _forest_panel(rows: list[dict[str, Any]], group: str, x: Any, words: dict[str, Any], left: int, band: bool) -> Any:
    key = legend(list(words), symbolOpacity=1)
    axis = {"title": group or None, "labelLimit": 260, "titlePadding": 12, "minExtent": left, "grid": not band}
    base = data(rows).encode(
        y=alt.Y("label:N", sort=[row["label"] for row in rows]).axis(**axis),
        color=by_name(alt.Color, "word", {word: colour for word, (colour, _) in words.items()}, key),
    )
    layers = [data([{"one": 1}]).mark_rule(color="#999999", strokeDash=[4, 3]).encode(x="one:Q")]
    if band:
        control = [row for row in rows if row["word"] == "A/A control"]
        layers.insert(0, data(control).mark_rect(color="#dddddd").encode(x=x, x2="high:Q"))
    shape = by_name(alt.Shape, "word", {word: shape for word, (_, shape) in words.items()}, key)
    tooltip = ["label:N", "verdict:N", *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("ratio", "low", "high"))]
    layers.append(base.mark_rule(strokeWidth=3).encode(x=x, x2="high:Q"))
    layers.append(base.mark_point(filled=True, size=70, opacity=1).encode(x="ratio:Q", shape=shape, tooltip=tooltip))
    if any(row.get("text") for row in rows):
        text = data(rows).mark_text(dy=-11, fontSize=11, color="#333333")
        layers.append(text.encode(x="ratio:Q", y=base.encoding.y, text="text:N"))
    return alt.layer(*layers)
