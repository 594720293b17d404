"""A document as one HTML page that asks nobody for anything: style, charts and the program that draws them stand in it.

Each chart is there twice: as a picture, which shows at once and without JavaScript, and as a Vega-Lite specification, which takes
its place when the page has been loaded. The page forbids itself every request (Content-Security-Policy).
"""

from __future__ import annotations

import base64
import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from hftlab.errors import HftlabError
from hftlab.presentation.document import Document

#: A page is smaller than this, bytes.
LIMIT = 3_000_000


def html(document: Document) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hftlab.presentation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(kind=lambda block: type(block).__name__, picture=picture)
    style = (files("hftlab.presentation") / "templates" / "page.css").read_text()
    specs = {figure.name: figure.spec for figure in document.figures}
    return environment.get_template("page.html").render(
        document=document, style=style, specs=script_json(specs), bundle=bundle() if specs else ""
    )


def script_json(value: Any) -> str:
    """JSON that may stand in a <script>: nothing in it can end the element or begin a comment."""
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def svg(spec: dict[str, Any]) -> str:
    """A chart as a picture, the same bytes for the same chart."""
    return _svg(json.dumps(spec, sort_keys=True))


@lru_cache(maxsize=64)
def _svg(spec: str) -> str:
    import vl_convert

    numbers: dict[str, str] = {}

    def renumbered(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"{found[1]}{len(numbers)}")

    # Vega goes on counting its gradients and clips from chart to chart, as long as the process lives.
    return re.sub(r"\b(gradient_|clip)\d+\b", renumbered, str(vl_convert.vegalite_to_svg(spec)))


def picture(spec: dict[str, Any]) -> str:
    """A chart as a picture in an address, for <img>: nothing in it can be run, and its names cannot meet those of another."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg(spec).encode()).decode()


@cache
def bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one program."""
    import vl_convert

    make: Any = vl_convert.javascript_bundle  # what is asked for beside the bundle is optional, whatever its types say
    program = str(make())
    if "</script" in program.lower() or "<!--" in program:
        raise HftlabError("the Vega bundle of this vl-convert cannot stand in a page: it holds the end of a script")
    return program
