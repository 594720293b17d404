"""Charts of profiles: icicles of call trees, bars of lines and stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hftlab.charts.base import GREY, PALETTE, altair

if TYPE_CHECKING:
    import altair as alt

WIDTH = 680
_ROW = 22  # pixels of a depth of an icicle
_LETTER = 6.2  # pixels, at the size of the labels
#: What does not fit is cut to this many rows: Altair refuses more than 5,000.
MOST = 5_000
#: One colour for each stage, everywhere.
COLOURS = {
    "tick": PALETTE[4],
    "book": PALETTE[0],
    "signal": PALETTE[2],
    "order": PALETTE[3],
    "engine": "#bdbdbd",
    "other": "#dedede",
    "processor": PALETTE[0],
    "kernel": PALETTE[1],
}

#: Those on which black letters would not be seen.
_DARK = ("book",)

Rows = Iterable[Mapping[str, Any]]


def _colour(alt: Any, groups: Iterable[str], **more: Any) -> Any:
    """Colours for the groups that occur, in the order of the path."""
    there = set(groups)
    known = [name for name in COLOURS if name in there] + sorted(there - COLOURS.keys())
    colours = [COLOURS.get(name, GREY) for name in known]
    return alt.Color("group:N", title=None, **more).scale(domain=known, range=colours)


def number(value: float) -> str:
    """Three digits, without a power of ten where it can be read without one."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rows(frame: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in (frame.to_dicts() if hasattr(frame, "to_dicts") else frame)]


def icicle_chart(frame: Any, title: str, subtitle: str = "", x_title: str = "share") -> alt.LayerChart:
    """A call tree as rectangles, the root at the top: a function stands below its caller, as wide as its share.

    frame : rows or a frame with name, depth, start, end, share (start and end as shares of the whole, 0 to 1), and where known
            stage (its colour), own (share without what it calls) and file
    """
    alt = altair()
    rows = []
    for row in sorted(_rows(frame), key=lambda row: -(row["end"] - row["start"]))[:MOST]:
        fits = int((row["end"] - row["start"]) * WIDTH / _LETTER) - 1
        name = str(row["name"])
        label = name if len(name) <= fits else f"{name[: fits - 1]}…" if fits >= 5 else ""
        rows.append({**row, "group": row.get("stage", "other"), "label": label, "middle": (row["start"] + row["end"]) / 2})
    deepest = max((row["depth"] for row in rows), default=0)
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("depth:O").scale(domain=list(range(deepest + 1)), paddingInner=0, paddingOuter=0).axis(None)
    )
    x = alt.X("start:Q").scale(domain=[0, 1], nice=False).axis(format="%", title=x_title, grid=False)
    known = rows[0].keys() if rows else ()
    hints = [alt.Tooltip("name:N"), alt.Tooltip("share:Q", format=".1%")]
    hints += [alt.Tooltip("own:Q", format=".1%")] if "own" in known else []
    hints += [alt.Tooltip(f"{name}:N") for name in ("stage", "file") if name in known]
    boxes = base.mark_rect(stroke="white", strokeWidth=0.7).encode(
        x=x, x2="end:Q", color=_colour(alt, (row["group"] for row in rows), legend=alt.Legend(orient="top")), tooltip=hints
    )
    words = (
        base.transform_filter("datum.label != ''")
        .mark_text(fontSize=10, clip=True)
        .encode(
            x="middle:Q",
            text="label:N",
            color=alt.condition(
                alt.FieldOneOfPredicate(field="group", oneOf=list(_DARK)), alt.value("white"), alt.value("black")
            ),
        )
    )
    size = {"width": WIDTH, "height": _ROW * (deepest + 1)}
    return (boxes + words).properties(title=alt.Title(title, subtitle=subtitle), **size)  # type: ignore[no-any-return]


def bar_chart(frame: Any, title: str, subtitle: str = "", x_title: str = "", *, monospace: bool = False) -> alt.LayerChart:
    """Bars, the first at the top.

    frame : rows or a frame with label, value (0 or above), and where known group (its colour) and text (beside the bar; without
            it the value)
    """
    alt = altair()
    rows = [
        {
            "group": "other",
            "text": number(float(row["value"] or 0)),
            **row,
            "name": f"{place}|{row['label']}",
            "value": max(float(row["value"] or 0), 0.0),
        }
        for place, row in enumerate(_rows(frame)[:MOST])
    ]
    font = {"labelFont": "monospace", "labelFontSize": 10} if monospace else {}
    axis = alt.Axis(
        labelExpr="slice(datum.label, indexof(datum.label, '|') + 1)", labelLimit=360, ticks=False, domain=False, **font
    )
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("name:N", sort=[row["name"] for row in rows], title=None).axis(axis))
    most = max((row["value"] for row in rows), default=1.0) or 1.0
    x = alt.X("value:Q").scale(domain=[0, 1.32 * most], nice=False).axis(title=x_title, format=",~f", tickCount=5)
    legend = alt.Legend(orient="top")
    bars = base.mark_bar().encode(
        x=x, color=_colour(alt, (row["group"] for row in rows), legend=legend), tooltip=["label:N", "value:Q", "text:N"]
    )
    words = base.mark_text(align="left", dx=4, fontSize=10).encode(x="value:Q", text="text:N")
    size = {"width": 320, "height": 20 * max(len(rows), 1)}
    return (bars + words).properties(title=alt.Title(title, subtitle=subtitle), **size)  # type: ignore[no-any-return]


def panel_chart(frame: Any, title: str, subtitle: str = "", x_title: str = "") -> alt.VConcatChart:
    """Small bar charts of their own scale, two beside each other.

    frame : rows or a frame with panel, label, value
    """
    alt = altair()
    rows = [{**row, "group": row["label"], "text": number(row["value"])} for row in _rows(frame)]
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    parts = [_panel(alt, [row for row in rows if row["panel"] == panel], panel, x_title) for panel in panels]
    pairs = [alt.hconcat(*parts[at : at + 2], spacing=24) for at in range(0, len(parts), 2)]
    return alt.vconcat(*pairs, spacing=16).properties(title=alt.Title(title, subtitle=subtitle))  # type: ignore[no-any-return]


def _panel(alt: Any, rows: list[dict[str, Any]], name: str, x_title: str) -> Any:
    low, high = min(0.0, *(row["value"] for row in rows)), max(row["value"] for row in rows) or 1.0
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("label:N", sort=[row["label"] for row in rows], title=None))
    x = alt.X("value:Q").scale(domain=[1.3 * low, 1.3 * high], nice=False).axis(title=x_title, format=",~f", tickCount=4)
    bars = base.mark_bar().encode(x=x, color=_colour(alt, (row["group"] for row in rows), legend=None))
    words = base.mark_text(align="left", dx=4, fontSize=10).encode(x="value:Q", text="text:N")
    return (bars + words).properties(width=240, height=90, title=alt.Title(name, fontSize=11, anchor="start"))


def dot_chart(frame: Any, title: str, subtitle: str = "", x_title: str = "") -> alt.LayerChart:
    """Values that lie orders of magnitude apart, on a log scale; what is 0 or unknown is written instead.

    frame : rows or a frame with label, value (null where unknown), group (its colour)
    """
    alt = altair()
    rows = [{**row, "text": _word(row["value"])} for row in _rows(frame)]
    seen = [float(row["value"]) for row in rows if row["value"]]
    low, high = min(seen, default=1.0) / 3, max(seen, default=1.0) * 30
    rows = [{**row, "at": row["value"] or low} for row in rows]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("label:N", sort=[row["label"] for row in rows], title=None).axis(grid=True, labelLimit=260),
        x=alt.X("at:Q").scale(type="log", domain=[low, high], nice=False).axis(title=x_title, format=",~g", tickCount=6),
    )
    colour = _colour(alt, (row["group"] for row in rows), legend=alt.Legend(orient="top"))
    dots = base.transform_filter("datum.value > 0").mark_point(filled=True, size=80, opacity=1).encode(color=colour)
    words = base.transform_filter("datum.value > 0").mark_text(align="left", dx=8).encode(text="text:N")
    none = base.transform_filter("!(datum.value > 0)").mark_text(align="left", dx=8, color=GREY).encode(text="text:N")
    size = {"width": 480, "height": 22 * max(len(rows), 1)}
    return (dots + words + none).properties(title=alt.Title(title, subtitle=subtitle), **size)  # type: ignore[no-any-return]


def _word(value: float | None) -> str:
    return "not supported here" if value is None else "none" if value == 0 else number(value)
