"""What is said of an answer: whether it is the one expected, where it first differs, what it raised. One short line each."""

from __future__ import annotations

import math
import re
from pathlib import Path
from sysconfig import get_path
from traceback import extract_tb
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent
STANDARD = Path(get_path("stdlib"))
MOST = 100  # characters of one value
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def plain(value: Any) -> Any:
    """NumPy's numbers as Python's, since nobody means to ask for the difference; all else as it is."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value


def same(got: Any, wanted: Any) -> bool:
    """Whether two values are of one type and equal; NaN is equal to NaN. Arrays: shape and values, frames: columns and rows."""
    got, wanted = plain(got), plain(wanted)
    if type(got) is not type(wanted):
        return False
    if isinstance(wanted, float):
        return bool(got == wanted or (math.isnan(got) and math.isnan(wanted)))
    if isinstance(wanted, (list, tuple)):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    if isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(same(got[key], wanted[key]) for key in wanted)
    if hasattr(wanted, "equals"):
        return bool(wanted.equals(got))
    if hasattr(wanted, "shape"):
        return bool(got.shape == wanted.shape and same(got.tolist(), wanted.tolist()))
    return bool(got == wanted)


def shown(value: Any) -> str:
    """A value on one line of at most 100 characters, without addresses."""
    try:
        text = " ".join(_ADDRESS.sub("", repr(plain(value))).split())
    except Exception as error:
        return f"<a {type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= MOST else f"{text[: MOST - 20]} ... {text[-15:]}"


def difference(got: Any, wanted: Any) -> str:
    """What came, what was expected, and where the two first part if they are long."""
    got, wanted = plain(got), plain(wanted)
    said = f"{shown(got)}, expected {shown(wanted)}"
    if type(got) is not type(wanted):
        return f"{said} ({type(got).__name__}, expected {type(wanted).__name__})"
    left, right = (value.tolist() if hasattr(value, "shape") and hasattr(value, "tolist") else value for value in (got, wanted))
    if not isinstance(right, (list, tuple)):
        return said
    if len(left) != len(right):
        return f"{said} ({len(left):,} values, expected {len(right):,})"
    place = next((i for i, pair in enumerate(zip(left, right, strict=True)) if not same(*pair)), None)
    if place is None or len(right) < 8:
        return said
    return f"{shown(left[place])} at place {place:,}, expected {shown(right[place])}"


def raised(error: BaseException) -> str:
    """The exception, and the line of the answer that raised it: the last frame that is not our own or a library's."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    if isinstance(error, NotImplementedError) and not text:
        return "still to be written"
    own = [frame for frame in extract_tb(error.__traceback__) if _of_the_reader(frame.filename)]
    where = f" (line {own[-1].lineno} of {own[-1].name}: {shown_line(own[-1].line)})" if own and own[-1].line else ""
    return f"{name}: {text}{where}" if text else f"{name}{where}"


def shown_line(line: str | None) -> str:
    """A line of code, cut short."""
    text = (line or "").strip()
    return text if len(text) <= MOST else f"{text[:MOST]} ..."


def _of_the_reader(file: str) -> bool:
    """Whether a file is neither ours nor of a library; a cell is a file, too, or is called <ipython-input-...>."""
    path = Path(file)
    library = {"site-packages", "dist-packages"} & set(path.parts) or STANDARD in path.parents
    return PACKAGE not in path.parents and not library and (path.suffix == ".py" or file.startswith("<ipython-input"))
