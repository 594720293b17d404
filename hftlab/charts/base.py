"""What every chart shares: Altair, the theme, the colours, rows that cannot break a chart; and the way from a chart to a file, or
to the bundle that a notebook stores.

The theme is an Altair theme called "hftlab". It is registered, and enabled unless another one is, when this module is imported;
`hftlab.charts.save` and the renderer of `hftlab.charts.enable` use it whatever is enabled. No chart carries it itself: Altair
refuses to put charts with a configuration beside each other. The renderer emits the Vega-Lite specification under the MIME type
that JupyterLab 4 draws without a network, a PNG for viewers that draw nothing (an untrusted clone, a code host), and a text with
the title of the chart.
"""

from __future__ import annotations

import json
import math
import sys
import textwrap
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from hftlab.errors import HftlabError, check_choice
from hftlab.presentation import output

# Altair imports jsonschema, which parses a grammar of international addresses where rfc3987_syntax is installed, as JupyterLab
# has it: a second in every process, for a check that no chart asks for.
if sys.modules.setdefault("rfc3987_syntax", None) is None:  # type: ignore[arg-type]
    import altair

    del sys.modules["rfc3987_syntax"]
else:
    import altair

#: Altair without its types: a chart is built step by step from parts of many kinds.
alt: Any = altair
#: A chart, layered or concatenated, as Altair has it.
Chart: TypeAlias = Any

#: Distinct for every colour vision: Okabe and Ito, with a wine of Tol for their yellow, which is lost on white paper.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#882255")
GREY, INK, QUIET = "#888888", "#222222", "#666666"
#: The colour of each stage, in every chart, in the order of the path.
STAGE_COLOURS = {
    "tick": PALETTE[4],
    "book": PALETTE[0],
    "signal": PALETTE[2],
    "order": PALETTE[3],
    "engine": "#bdbdbd",
    "other": "#dedede",
}
#: A stage by its name in tables.
STAGE_TITLES = {"tick processing": "tick", "order book update": "book", "signal generation": "signal"}
#: Colours on which text is white.
DARK = ("#0072B2", "#000000", "#882255")
#: No chart, its legend and axes with it, is wider than this, px: what a notebook shows on code hosts without scrolling.
WIDTH = 700
#: No chart sees more rows: it draws summaries.
MAX_ROWS = 5_000
THEME = "hftlab"
_FONT = "DejaVu Sans, Verdana, sans-serif"  # installed on a plain Linux; its relatives elsewhere


def theme() -> dict[str, Any]:
    """The configuration of every chart, as Vega-Lite has it."""
    subtitle = {"subtitleFontSize": 11.5, "subtitleColor": QUIET, "subtitlePadding": 5, "subtitleLineHeight": 15}
    lines = {"gridColor": "#ececec", "domainColor": "#999999", "tickColor": "#999999"}
    axis_title = {"titleColor": INK, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8}
    legend_title = {"titleColor": QUIET, "titleFontSize": 11.5, "titleFontWeight": "normal"}
    spacing = {"rowPadding": 1, "columnPadding": 14, "layout": {"top": {"margin": 30}}}  # the margin between two legends
    return {
        "config": {
            "background": "white",  # on a dark page, too
            "font": _FONT,
            "padding": 8,
            "view": {"stroke": None},
            "title": {"anchor": "start", "frame": "bounds", "offset": 12, "fontSize": 15, "color": INK, **subtitle},
            "axis": {**lines, "labelColor": "#444444", "labelFontSize": 11, "labelLimit": 240, **axis_title},
            "legend": {"labelFontSize": 11.5, "labelColor": INK, "labelLimit": 180, **legend_title, **spacing},
            "header": {"labelFontSize": 12, "titleFontSize": 12, "labelColor": INK},
            "range": {"category": list(PALETTE), "heatmap": {"scheme": "viridis"}},
            "line": {"strokeWidth": 2},
            "text": {"fontSize": 11, "color": INK},
        }
    }


alt.theme.register(THEME, enable=alt.theme.active == "default")(theme)


def data(rows: list[dict[str, Any]]) -> Any:
    """A chart of plain rows, to be marked and encoded."""
    return alt.Chart(alt.Data(values=rows))


def stage_colours(names: Iterable[str]) -> list[str]:
    """The colours of stages, by either of their names; others take the colours of the palette that no stage has."""
    free = iter([colour for colour in PALETTE if colour not in STAGE_COLOURS.values()] * 9)
    return [STAGE_COLOURS.get(STAGE_TITLES.get(name, name)) or next(free) for name in names]


def head(title: str, subtitle: str | Iterable[str] = "", **more: Any) -> Any:
    """Title and grey subtitle, broken into lines that fit the width of a chart. more : of altair.Title"""
    texts = [subtitle] if isinstance(subtitle, str) else list(subtitle)
    lines = [line for text in texts for line in textwrap.wrap(text, 108)]
    return alt.Title(textwrap.wrap(title, 66) or [""], **({"subtitle": lines} if lines else {}), **more)


def empty_chart(text: str = "nothing was measured", title: str = "") -> Chart:
    """A small chart in place of one that has nothing to draw: "no data", and why. title : of the chart it stands for"""
    lines = textwrap.wrap(f"no data: {text}" if text else "no data", 70)
    chart = data([{"text": lines}]).mark_text(fontSize=13, color=QUIET, lineHeight=18)
    chart = chart.encode(text="text:N", x=alt.value(240), y=alt.value(40)).properties(width=480, height=80)
    return chart.properties(title=head(title)) if title else chart


def rows_of(
    frame: pl.DataFrame,
    *columns: str,
    text: Iterable[str] = (),
    real: Iterable[str] = (),
    positive: Iterable[str] = (),
    what: str = "a chart",
) -> list[dict[str, Any]]:
    """The rows of a frame that can be drawn, as plain values of at most nine digits; NaN and infinity become None.

    columns  : required, at any value
    text     : required, become text, "n/a" for null: names of series, of stages
    real     : required; rows without a finite number are left out
    positive : as `real`, and above 0: for a logarithmic axis
    what     : the name of the chart, for the error
    raises   : HftlabError for a missing column, or for more than 5,000 rows
    """
    text, real, positive = tuple(text), tuple(real), tuple(positive)
    missing = [name for name in (*columns, *text, *real, *positive) if name not in frame.columns]
    if missing:
        raise HftlabError(f"{what} needs a column {missing[0]!r}; the frame has {', '.join(frame.columns) or 'none'}")
    if len(frame) > MAX_ROWS:
        raise HftlabError(f"{what} is given {len(frame):,} rows; at most {MAX_ROWS:,} are drawn: summarise them first")
    rows = [{name: _plain(value) for name, value in row.items()} for row in frame.to_dicts()]
    rows = [{**row, **{name: "n/a" if row[name] is None else str(row[name]) for name in text}} for row in rows]
    rows = [row for row in rows if all(row[name] is not None for name in (*real, *positive))]
    return [row for row in rows if all(row[name] > 0 for name in positive)]


def _plain(value: Any) -> Any:
    """A number as it is stored: nine digits are more than anybody sees, and a notebook keeps every one."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.9g}") if math.isfinite(value) else None


_V5 = "https://vega.github.io/schema/vega-lite/v5.json"  # what JupyterLab has built in
_MIME = "application/vnd.vegalite.v5+json"
#: Pixels per inch of a picture, 72 being one to one. The first whose picture is small enough is taken.
_SHARPNESS = (144, 108, 72)
_MAX_BYTES = 150_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ENDINGS = (".html", ".json", ".png", ".svg")


def render(spec: dict[str, Any], **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The bundle that a notebook stores for a chart: live, as a picture, as text; and the size at which the picture is shown: it
    holds more pixels than that, to be sharp."""
    import vl_convert

    out: dict[str, Any] = {_MIME: {**spec, "$schema": _V5}, "text/plain": f"<chart: {title_of(spec)}>"}
    for ppi in _SHARPNESS:
        out["image/png"] = png = packed(vl_convert.vegalite_to_png(spec, ppi=ppi))
        if len(png) <= _MAX_BYTES:
            break
    width, height = png_size(png)
    return out, {"image/png": {"width": round(width * 72 / ppi), "height": round(height * 72 / ppi)}}


def title_of(spec: dict[str, Any]) -> str:
    """The title of a chart in one line; of its first part that has one, if it has none itself."""
    title = spec.get("title")
    text = title.get("text", "") if isinstance(title, dict) else title
    text = " ".join(text) if isinstance(text, list) else text
    parts = [part for name in ("vconcat", "hconcat", "concat", "layer") for part in spec.get(name, ())]
    return text or next((found for found in map(title_of, parts) if found != "no title"), "no title")


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the header of a PNG."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def packed(png: bytes) -> bytes:
    """The same picture in about a third of the bytes: vl-convert compresses fast, not well, and a notebook keeps every byte."""
    chunks: list[tuple[bytes, bytes]] = []
    at = len(_SIGNATURE)
    while at < len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        chunks.append((png[at + 4 : at + 8], png[at + 8 : end]))
        at = end + 4
    pixels = zlib.compress(zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT")), 9)
    head = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    return _SIGNATURE + b"".join(_chunk(*chunk) for chunk in [*head, (b"IDAT", pixels), (b"IEND", b"")])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def enable() -> None:
    """Use this renderer and this theme for every chart of the session."""
    alt.theme.enable(THEME)
    alt.renderers.register("hftlab", render)
    alt.renderers.enable("hftlab")


def check_file(path: str | Path) -> str:
    """The ending of a file that a chart can be written to, to be asked before a measurement. Raises UnknownName."""
    path = Path(path)
    return check_choice(f"ending of the chart file {path.name!r}:", path.suffix.lower(), ENDINGS)


def save(chart: Any, path: str | Path) -> Path:
    """Write a chart as .png, .svg, .html (one file that needs no network) or .json (Vega-Lite); returns the path.

    raises : UnknownName for another ending, OutputError where the file cannot be written
    """
    path, kind = Path(path), check_file(path)
    with alt.theme.enable(THEME):
        spec = chart.to_dict()
    output.write_bytes(path, _content(spec, kind))
    return path


def _content(spec: dict[str, Any], kind: str) -> bytes:
    if kind == ".json":
        return (json.dumps(spec, indent=1) + "\n").encode()
    import vl_convert

    if kind == ".png":
        return packed(vl_convert.vegalite_to_png(spec, ppi=_SHARPNESS[0]))
    if kind == ".svg":
        return str(vl_convert.vegalite_to_svg(spec)).encode()
    return str(vl_convert.vegalite_to_html(spec, bundle=True)).encode()
