"""What a cell shows: a claim with its figure and bound, a prediction beside its result, a table in the style of every lesson.

claim("Rust against Python", ratio, above=8)     Rust against Python: 41.8x [41.0, 44.7] (claim: above 8)
reveal("levels read per event", guess, 0.93)     levels read per event: 0.93; your guess: 5 (5.4 times too high)
show(frame, p50="ns")                            a table with units in its head and three significant digits
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hftlab.measurement.paired import Interval, Paired
from hftlab.presentation.document import NOT_KNOWN, Table, table
from hftlab.presentation.result import Result


def claim(what: str, value: Any, *, above: float | None = None, below: float | None = None, unit: str = "") -> None:
    """Print a figure beside the bound that it must keep, and fail where it does not.

    value  : a number; an Interval, whose median must keep the bound; or a Paired, with its A/A control
    raises : AssertionError
    """
    ratio = value.ratio if isinstance(value, Paired) else value
    number = ratio.median if isinstance(ratio, Interval) else ratio
    bounds = [f"{word} {significant(bound)}" for word, bound in (("above", above), ("below", below)) if bound is not None]
    control = f", A/A {value.control}" if isinstance(value, Paired) else ""
    line = f"{what}: {ratio if isinstance(ratio, Interval) else significant(ratio)}{unit}{control}"
    print(f"{line} (claim: {' and '.join(bounds)}{unit})")
    assert (above is None or number > above) and (below is None or number < below), line  # noqa: PT018 - one claim


def reveal(what: str, guess: Any, value: Any, unit: str = "") -> None:
    """Print a result beside the prediction of it; of a mapping, key by key."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            reveal(f"{what}, {key}", guess.get(key) if isinstance(guess, Mapping) else guess, each, unit)
        return
    off = ""
    if _is_number(guess) and _is_number(value) and guess > 0 and value > 0:
        times = max(guess, value) / min(guess, value)
        off = f" ({significant(times)} times too {'high' if guess > value else 'low'})" if times > 1.05 else " (right)"
    shown, guessed = (f"{significant(each)}{unit}" for each in (value, guess))
    print(f"{what}: {shown}; your guess: {guessed.strip()}{off}")


def significant(value: Any) -> str:
    """A value as text: whole numbers with thousands apart, others with three significant digits, "n/a" for none."""
    if value is None or value != value:
        return NOT_KNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not _is_number(value):
        return str(value)
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    text = f"{value:#.3g}"
    return text if "e" in text else text.rstrip(".")


class Shown(Result):
    """A frame as a table. units: column -> its unit, named in the head; text stands at the left, numbers at the right."""

    def __init__(self, frame: Any, title: str, units: Mapping[str, str]) -> None:
        self.frame, self.title, self.units = frame, title, units

    def headline(self) -> str:
        return self.title

    def tables(self) -> list[Table]:
        rows = self.frame.to_dicts()
        words = [name for name in self.frame.columns if any(isinstance(row[name], str) for row in rows)]
        names = [*words, *(name for name in self.frame.columns if name not in words)]
        plain = [name.replace("_", " ") for name in names]
        heads = [f"{head}, {self.units[name]}" if name in self.units else head for head, name in zip(plain, names, strict=True)]
        return [table("", heads, [[significant(row[name]) for name in names] for row in rows], words=len(words))]

    def __repr__(self) -> str:
        return str(self)


def show(frame: Any, title: str = "", **units: str) -> Shown:
    """A frame in the style of every lesson."""
    return Shown(frame, title, units)


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, bool)
