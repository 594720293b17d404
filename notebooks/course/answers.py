"""Comparing an answer with the expected value: equality, the first difference, the exception it raised. One short line each."""

from __future__ import annotations

import math
import re
from pathlib import Path
from sysconfig import get_path
from traceback import extract_tb
from typing import Any

import hftlab

#: Folders whose frames in a traceback are not the learner's.
OWN_FOLDERS = (Path(__file__).resolve().parent, Path(hftlab.__file__).resolve().parent)
STANDARD_LIBRARY = Path(get_path("stdlib"))
MAX_CHARS = 100  # of one value
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def to_python(value: Any) -> Any:
    """A NumPy number as Python's, since no exercise asks for the difference; all else as it is."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value


def equal(got: Any, expected: Any) -> bool:
    """Whether two values are of one type and equal; NaN is equal to NaN. Arrays: shape and values, frames: columns and rows."""
    got, expected = to_python(got), to_python(expected)
    if type(got) is not type(expected):
        return False
    if isinstance(expected, float):
        return bool(got == expected or (math.isnan(got) and math.isnan(expected)))
    if isinstance(expected, (list, tuple)):
        return len(got) == len(expected) and all(map(equal, got, expected))
    if isinstance(expected, dict):
        return got.keys() == expected.keys() and all(equal(got[key], expected[key]) for key in expected)
    if hasattr(expected, "equals"):
        return bool(expected.equals(got))
    if hasattr(expected, "shape"):
        return bool(got.shape == expected.shape and equal(got.tolist(), expected.tolist()))
    return bool(got == expected)


def short_repr(value: Any) -> str:
    """A value on one line of at most 100 characters, without addresses."""
    try:
        text = " ".join(_ADDRESS.sub("", repr(to_python(value))).split())
    except Exception as error:
        return f"<a {type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 20]} ... {text[-15:]}"


def describe_difference(got: Any, expected: Any) -> str:
    """Both values; of long ones the first place where they differ."""
    got, expected = to_python(got), to_python(expected)
    both = f"{short_repr(got)}, expected {short_repr(expected)}"
    if type(got) is not type(expected):
        return f"{both} ({type(got).__name__}, expected {type(expected).__name__})"
    left, right = (value.tolist() if hasattr(value, "shape") and hasattr(value, "tolist") else value for value in (got, expected))
    if not isinstance(right, (list, tuple)):
        return both
    if len(left) != len(right):
        return f"{both} ({len(left):,} values, expected {len(right):,})"
    place = next((i for i, pair in enumerate(zip(left, right, strict=True)) if not equal(*pair)), None)
    if place is None or len(right) < 8:
        return both
    return f"{short_repr(left[place])} at place {place:,}, expected {short_repr(right[place])}"


def describe_exception(error: BaseException) -> str:
    """The exception, and the line of the answer that raised it: the last frame of neither hftlab, the course nor a library."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    if isinstance(error, NotImplementedError) and not text:
        return "still to be written"
    own = [frame for frame in extract_tb(error.__traceback__) if _is_learners(frame.filename)]
    where = f" (line {own[-1].lineno} of {own[-1].name}: {_cut(own[-1].line)})" if own and own[-1].line else ""
    return f"{name}: {text}{where}" if text else f"{name}{where}"


def _cut(line: str) -> str:
    text = line.strip()
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]} ..."


def _is_learners(file: str) -> bool:
    """Whether a file is the learner's; a cell is a file too, or is called <ipython-input-...>."""
    path = Path(file)
    library = {"site-packages", "dist-packages"} & set(path.parts) or STANDARD_LIBRARY in path.parents
    own = any(folder in path.parents for folder in OWN_FOLDERS)
    return not own and not library and (path.suffix == ".py" or file.startswith("<ipython-input"))
