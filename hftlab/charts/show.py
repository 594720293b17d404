"""From a chart to the bundle that a notebook stores, and to files.

The renderer emits the Vega-Lite specification under the MIME type that JupyterLab 4 draws without a network, a PNG for viewers
that draw nothing (an untrusted clone, a code host), and a text with the title of the chart.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

from hftlab.charts.base import THEME, alt
from hftlab.errors import check_choice
from hftlab.presentation import output

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
