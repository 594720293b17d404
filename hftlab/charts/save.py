"""A chart as a file: .html that needs no network, .png or .svg."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hftlab.errors import ConfigError, FeedError, HftlabError

KINDS = (".html", ".png", ".svg")


def check_picture(path: str | Path) -> None:
    """Before anything is measured: can a chart be written to this path?

    raises : ConfigError for another kind of file, HftlabError without vl-convert
    """
    kind = Path(path).suffix.lower()
    if kind not in KINDS:
        raise ConfigError(f"{path}: a chart cannot be written as {kind!r}; allowed is {', '.join(KINDS)}")
    if find_spec("vl_convert") is None:
        raise HftlabError("charts become files with vl-convert, which is not installed: pip install vl-convert-python")


def save(chart: Any, path: str | Path) -> None:
    """Write an Altair chart.

    raises : ConfigError, HftlabError as `check_picture` does; FeedError if the file cannot be written
    """
    check_picture(path)
    kind = Path(path).suffix.lower()
    more: dict[str, Any] = {"inline": True} if kind == ".html" else {"ppi": 144} if kind == ".png" else {}
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        chart.save(str(path), format=kind[1:], **more)
    except OSError as error:
        raise FeedError(f"{path}: cannot be written: {error.strerror or error}") from None
