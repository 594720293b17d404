"""Exercises: an answer is checked step by step, correctness first, then the ratio, then the tail, until a step fails.

    @exercise("01.1", "Floor a clock", minutes=5)
    def floored(answer: Callable[[np.ndarray], np.ndarray]) -> Iterator[Step]:
        yield Step.expect("correct", answer(np.array([1_999])).tolist(), [1_000], "1,999 ns on a clock that ticks in us")

An answer that raises, or that does not come back, fails the step it is in, in one sentence. What passes is kept; see progress.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from typing import Any

from course import progress
from course.telling import difference, raised, same, shown
from course.within import TooLong, within
from hftlab.errors import ConfigError, HftlabError, UnknownName

Check = Callable[..., Iterator["Step"]]
LIMIT_S = 60.0  # for one step, measuring included
_NUMBER = re.compile(r"\d\d\.\d+")
_GOOD, _BAD = "#009E73", "#D55E00"


@dataclass(frozen=True)
class Step:
    """One thing that was checked: "correct", "faster", "tail" or what else it is about, and a sentence."""

    about: str
    passed: bool
    said: str

    @classmethod
    def expect(cls, about: str, got: Any, wanted: Any, what: str) -> Step:
        """Passed if `got` equals `wanted`, type and all (telling.py); `what` says what it is."""
        fine = same(got, wanted)
        return cls(about, fine, f"{what}: {shown(got) if fine else difference(got, wanted)}")

    @classmethod
    def claim(cls, about: str, holds: Any, said: str) -> Step:
        """Passed if `holds` is true."""
        return cls(about, bool(holds), said)


@dataclass(frozen=True)
class Exercise:
    """One exercise: `number` is "01.2", lesson and place in it; a step may take `seconds`."""

    number: str
    title: str
    minutes: int
    steps: Check
    seconds: float = LIMIT_S


@dataclass(frozen=True)
class Checked:
    """What came of an answer. True in a condition if every step passed."""

    exercise: Exercise
    steps: tuple[Step, ...]
    note: str = ""

    def __bool__(self) -> bool:
        return bool(self.steps) and all(step.passed for step in self.steps)

    def __str__(self) -> str:
        lines = [f"  {'ok  ' if step.passed else 'FAIL'} {step.about}: {step.said}" for step in self.steps]
        return "\n".join([self._head(), *lines, *([f"  note {self.note}"] if self.note else [])])

    __repr__ = __str__

    def _head(self) -> str:
        return f"{self.exercise.number} {self.exercise.title}: {'passed' if self else 'not yet'}"

    def _repr_html_(self) -> str:
        """A framed list of the steps, green or red at the side."""
        rows = []
        for step in self.steps:
            mark, colour = ("✓", _GOOD) if step.passed else ("✗", _BAD)
            sign = f"<td style='text-align:left;vertical-align:top;color:{colour};font-weight:bold'>{mark}</td>"
            about = f"<td style='text-align:left;vertical-align:top;white-space:nowrap'>{escape(step.about)}</td>"
            rows.append(f"<tr style='background:none'>{sign}{about}<td style='text-align:left'>{escape(step.said)}</td></tr>")
        note = f"<div>{escape(self.note)}</div>" if self.note else ""
        frame = f"border-left:4px solid {_GOOD if self else _BAD};padding:2px 0 2px 10px"
        return (
            f"<div style='{frame}'><b>{escape(self._head())}</b><table style='margin:4px 0 0'>{''.join(rows)}</table>{note}</div>"
        )


EXERCISES: dict[str, Exercise] = {}


def exercise(number: str, title: str, *, minutes: int, seconds: float = LIMIT_S) -> Callable[[Check], Check]:
    """Register the checks of an exercise: a generator of steps over the answer that `check` is given.

    seconds : what one step may take before the answer counts as one that does not come back
    raises  : ConfigError for a number that is not like "01.2", or that another module has taken
    """
    if not _NUMBER.fullmatch(number):
        raise ConfigError(f"an exercise is numbered like '01.2', lesson and place in it, not {number!r}")

    def register(steps: Check) -> Check:
        known = EXERCISES.get(number)
        if known is not None and known.steps.__module__ != steps.__module__:
            raise ConfigError(f"exercise {number} is there already: {known.steps.__module__}.{known.steps.__name__}")
        EXERCISES[number] = Exercise(number, title, minutes, steps, seconds)
        return steps

    return register


def exercises(lesson: str = "") -> tuple[Exercise, ...]:
    """The exercises of a lesson ("01"), in order, or of all lessons; none for a lesson without."""
    import course as home

    for module in iter_modules(home.__path__):
        if module.name == f"lesson{lesson}" or (not lesson and re.fullmatch(r"lesson\d\d", module.name)):
            import_module(f"course.{module.name}")
    found = [one for number, one in EXERCISES.items() if not lesson or number.startswith(f"{lesson}.")]
    return tuple(sorted(found, key=lambda one: [int(part) for part in one.number.split(".")]))


def check(number: str, *answer: Any, **named: Any) -> Checked:
    """Check the answer to an exercise ("01.2"), and keep it as passed if it is right.

    A cell tagged "solution" is checked, too, but what a lesson solves itself is not kept (JupyterLab tells the tags of a cell).

    raises : UnknownName with the known numbers
    """
    lesson = exercises(str(number).partition(".")[0])
    known = {one.number: one for one in lesson or exercises()}
    if number not in known:
        raise UnknownName("exercise", number, known)
    found = Checked(known[number], tuple(_steps(known[number], answer, named)))
    if found and not _solution():
        try:
            progress.passed(number)
        except HftlabError as error:
            found = replace(found, note=f"passed, but it could not be kept: {error}")
    return found


def _steps(one: Exercise, answer: tuple[Any, ...], named: dict[str, Any]) -> Iterator[Step]:
    """Every step until one fails."""
    if any(value is ... for value in (*answer, *named.values())):
        yield Step("answer", False, "there is none yet: put yours in the place of the three dots")
        return
    asked = signature(one.steps)
    try:
        asked.bind(*answer, **named)
    except TypeError as error:
        yield Step("answer", False, f"it is given as check({one.number!r}, {', '.join(asked.parameters)}): {error}")
        return
    steps, seen = iter(one.steps(*answer, **named)), 0
    while True:
        try:
            with within(one.seconds):
                step = next(steps, None)
        except TooLong:
            step = Step("comes back", False, f"stopped: nothing came back within {one.seconds:g} s")
        except (Exception, SystemExit) as error:
            step = Step("correct", False, raised(error))
        if step is None:
            break
        seen += 1
        yield step
        if not step.passed:
            return
    if not seen:
        yield Step("check", False, "this exercise has looked at nothing")


def _solution() -> bool:
    """Whether this runs in a cell that is tagged "solution"."""
    ipython = sys.modules.get("IPython")
    kernel: Any = getattr(ipython.get_ipython(), "kernel", None) if ipython else None
    parent = kernel.get_parent() if hasattr(kernel, "get_parent") else None
    return isinstance(parent, dict) and "solution" in (parent.get("metadata") or {}).get("tags", ())
