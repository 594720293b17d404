"""Where the nanoseconds go: what each stage adds to a pass, as dots to compare engines, as bars to see its share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hftlab.charts.base import PALETTE, WIDTH, altair, head, nothing, rows_of
from hftlab.charts.scales import broken, legend, names_in, say_ns, styles, text_width, ticks_between

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: Where totals lie further apart than this, bars on one scale would show one engine alone.
_FAR_APART = 8.0
#: Text on the colours of the palette: white where it is dark.
_TEXT_ON = {colour: "white" if colour in ("#0072B2", "#000000", "#882255") else "black" for colour in PALETTE}


def stage_chart(stages: pl.DataFrame, subtitle: str = "", title: str = "Where the nanoseconds go") -> alt.LayerChart | alt.Chart:
    """What each stage adds to an unstamped pass, ns per message, one dot per engine on a log scale.

    stages : one row per engine and stage, columns engine, stage, ns_per_message

    A stage whose share drowned in the noise (differenced passes can come out at or below 0) is drawn at 1 ns.
    """
    alt = altair()
    rows = rows_of(stages, text=["engine", "stage"], real=["ns_per_message"], what="stage_chart")
    if not rows:
        return nothing("no stage was timed", title)
    rows = [{**row, "ns": max(1.0, row["ns_per_message"])} for row in rows]
    names, engines = names_in(rows, "stage"), names_in(rows, "engine")
    low, high = min(row["ns"] for row in rows) / 1.25, max(row["ns"] for row in rows) * 1.25
    axis = alt.Axis(title="ns per message (log scale)", values=ticks_between(low, high), format=",~r")
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("stage:N", sort=names, title=None),
        x=alt.X("ns:Q", axis=axis).scale(type="log", domain=[low, high], nice=False),
    )
    lines = base.mark_line(color="#cccccc").encode(detail="stage:N")
    key = legend(engines, symbolOpacity=1)
    colours, _ = styles(engines)
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(
        color=alt.Color("engine:N", sort=engines, legend=key).scale(domain=engines, range=colours),
        shape=alt.Shape("engine:N", sort=engines, legend=key).scale(domain=engines),
        tooltip=["engine:N", "stage:N", alt.Tooltip("ns_per_message:Q", format=",.1f", title="ns per message")],
    )
    width = WIDTH - 50 - min(240, max(text_width(name, 11) for name in names))
    return (lines + dots).properties(width=width, height=36 * len(names) + 20, title=head(title, subtitle))  # type: ignore[no-any-return]


def budget_chart(
    frame: pl.DataFrame,
    title: str = "The budget of a message",
    subtitle: str = "",
    scale: str = "auto",
    what: str = "ns per message",
) -> alt.LayerChart | alt.VConcatChart | alt.Chart:
    """Stacked bars of ns per message by stage, a bar per engine, from 0 on a linear scale; each part says its share.

    frame : columns engine, stage, ns (per message); a stage at or below 0, which differenced passes can give, is drawn as 0
    scale : "shared", one for all engines; "own", one for each, so that the parts of a quick one can be seen beside a slow one;
            "auto", own where totals lie more than 8 times apart
    what   : what `ns` holds; anything but ns per message, shares of a pass for instance, has no total written beside the bars
    raises : HftlabError for another scale
    """
    from hftlab.errors import UnknownName

    if scale not in ("auto", "shared", "own"):
        raise UnknownName("scale", scale, ("auto", "shared", "own"))
    alt = altair()
    rows = rows_of(frame, text=["engine", "stage"], real=["ns"], what="budget_chart")
    engines, stages = names_in(rows, "engine"), names_in(rows, "stage")
    parts = {engine: _parts([row for row in rows if row["engine"] == engine], stages) for engine in engines}
    parts = {engine: found for engine, found in parts.items() if found}
    if not parts:
        return nothing("no stage took more than 0 ns", title)
    totals = {engine: found[-1]["end"] for engine, found in parts.items()}
    own = scale == "own" or (scale == "auto" and max(totals.values()) > _FAR_APART * min(totals.values()))
    colours = {stage: PALETTE[place % len(PALETTE)] for place, stage in enumerate(stages)}
    color = alt.Color("stage:N", sort=stages, legend=legend(stages, symbolType="square"))
    color = color.scale(domain=stages, range=list(colours.values()))
    left = max(text_width(line, 12) for engine in engines for line in broken(engine, 30))
    said = [subtitle] if subtitle else []
    if own and len(parts) > 1:
        said.append("each bar on a scale of its own: compare shares here, and the totals by their numbers")
    charts = []
    for place, (engine, found) in enumerate(parts.items()):
        reach = totals[engine] if own else max(totals.values())
        found = [{**part, "ink": _TEXT_ON[colours[part["stage"]]]} for part in found]
        chart = _bar(found, engine, reach, color, axis=own, title=place == len(parts) - 1, what=what)
        charts.append(chart.properties(width=WIDTH - 130 - left, height=34))
    return alt.vconcat(*charts, spacing=14 if own else 6).properties(title=head(title, said))  # type: ignore[no-any-return]


def _parts(rows: list[dict[str, Any]], stages: list[str]) -> list[dict[str, Any]]:
    """The stages of one engine in their order, from where to where each reaches; none if all are 0."""
    total = sum(max(0.0, row["ns"]) for row in rows)
    out, start = [], 0.0
    for row in sorted(rows, key=lambda row: stages.index(row["stage"])) if total else ():
        end = start + max(0.0, row["ns"])
        out.append({**row, "start": start, "end": end, "middle": (start + end) / 2, "share": (end - start) / total})
        start = end
    return out


def _bar(parts: list[dict[str, Any]], engine: str, reach: float, color: Any, *, axis: bool, title: bool, what: str) -> Any:
    alt = altair()
    texts = [{**part, "text": f"{part['share']:.0%}"} for part in parts]
    texts = [part for part in texts if (part["end"] - part["start"]) / reach > 0.07]
    x = alt.X("start:Q").scale(domain=[0, reach], nice=False)
    named = f"{what} (linear scale)" if title else None
    x = x.axis(title=named, tickCount=6, format=",~r", grid=False) if axis or title else x.axis(None)
    name = broken(engine, 30)
    beside = {"labelExpr": json.dumps(name), "labelLimit": 260, "labelFontSize": 11.5, "labelOffset": -7 * (len(name) - 1)}
    y = alt.Y("engine:N").axis(title=None, domain=False, ticks=False, **beside)
    tooltip = ["engine:N", "stage:N", alt.Tooltip("ns:Q", format=",.1f"), alt.Tooltip("share:Q", format=".1%")]
    bars = (
        alt.Chart(alt.Data(values=parts))
        .mark_bar(height=30, stroke="white")
        .encode(x=x, x2="end:Q", y=y, color=color, tooltip=tooltip)
    )
    shares = (
        alt.Chart(alt.Data(values=texts))
        .mark_text(fontSize=11)
        .encode(x="middle:Q", y=y, text="text:N", color=alt.Color("ink:N", scale=None))
    )
    total = [{"engine": engine, "end": parts[-1]["end"], "text": say_ns(parts[-1]["end"]) if what == "ns per message" else ""}]
    sums = alt.Chart(alt.Data(values=total)).mark_text(align="left", dx=8, fontSize=12, fontWeight="bold")
    return alt.layer(bars, shares, sums.encode(x="end:Q", y=y, text="text:N"))
