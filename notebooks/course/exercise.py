"""Exercises: an answer is checked step by step, correctness first, then the ratio, then the tail, until a step fails.

    @exercise("01.1", "Floor a clock", minutes=5)
    def floored(answer: Callable[[np.ndarray], np.ndarray]) -> Iterator[Step]:
        yield Step.expect("correct", answer(np.array([1_999])).tolist(), [1_000], "1,999 ns on a clock that ticks in us")

An answer that raises or hangs fails the step it is in, with one sentence. A pass is stored; see progress.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from importlib import import_module
from inspect import signature
from typing import Any

from course import progress
from course.answers import describe_difference, describe_exception, equal, short_repr
from course.timeout import TimeLimitExceeded, time_limit
from hftlab.errors import ConfigError, HftlabError, UnknownName

Check = Callable[..., Iterator["Step"]]
LIMIT_S = 60.0  # for one step, measuring included
_GREEN, _RED = "#009E73", "#D55E00"

#: Lesson -> the module that holds its exercises; imported when one of them is asked for.
MODULES = {
    "01": "course.lesson01",
    "02": "course.lesson02",
    "03": "course.lesson03",
    "04": "course.lesson04",
    "05": "course.lesson05",
    "06": "course.lesson06",
    "07": "course.lesson07",
    "08": "course.lesson08",
    "09": "course.lesson09",
    "10": "course.lesson10",
    "11": "course.lesson11",
    "12": "course.lesson12",
    "13": "course.lesson13",
    "14": "course.lesson14",
}


@dataclass(frozen=True)
class Step:
    """One thing that was checked: "correct", "faster", "tail" or what else it is about, and a sentence."""

    about: str
    passed: bool
    message: str

    @classmethod
    def expect(cls, about: str, got: Any, expected: Any, what: str) -> Step:
        """Passed if `got` equals `expected`, type and all (answers.py); `what` names it."""
        passed = equal(got, expected)
        return cls(about, passed, f"{what}: {short_repr(got) if passed else describe_difference(got, expected)}")

    @classmethod
    def claim(cls, about: str, holds: Any, message: str) -> Step:
        """Passed if `holds` is true."""
        return cls(about, bool(holds), message)


@dataclass(frozen=True)
class Exercise:
    """One exercise. number: "01.2", lesson and place in it; steps: its checks; seconds: limit of one step."""

    number: str
    title: str
    minutes: int
    steps: Check
    seconds: float = LIMIT_S


@dataclass(frozen=True)
class CheckResult:
    """The steps that an answer went through, the last of which may have failed. True in a condition if every step passed."""

    exercise: Exercise
    steps: tuple[Step, ...]
    note: str = ""

    def __bool__(self) -> bool:
        return bool(self.steps) and all(step.passed for step in self.steps)

    def __str__(self) -> str:
        lines = [f"  {'ok  ' if step.passed else 'FAIL'} {step.about}: {step.message}" for step in self.steps]
        return "\n".join([self._headline(), *lines, *([f"  note {self.note}"] if self.note else [])])

    __repr__ = __str__

    def _headline(self) -> str:
        return f"{self.exercise.number} {self.exercise.title}: {'passed' if self else 'not yet'}"

    def _repr_html_(self) -> str:
        """A framed list of the steps, green or red at the side."""
        rows = []
        for step in self.steps:
            mark, colour = ("✓", _GREEN) if step.passed else ("✗", _RED)
            sign = f"<td style='text-align:left;vertical-align:top;color:{colour};font-weight:bold'>{mark}</td>"
            about = f"<td style='text-align:left;vertical-align:top;white-space:nowrap'>{escape(step.about)}</td>"
            rows.append(f"<tr style='background:none'>{sign}{about}<td style='text-align:left'>{escape(step.message)}</td></tr>")
        note = f"<div>{escape(self.note)}</div>" if self.note else ""
        frame = f"border-left:4px solid {_GREEN if self else _RED};padding:2px 0 2px 10px"
        table = f"<table style='margin:4px 0 0'>{''.join(rows)}</table>"
        return f"<div style='{frame}'><b>{escape(self._headline())}</b>{table}{note}</div>"


EXERCISES: dict[str, Exercise] = {}


def exercise(number: str, title: str, *, minutes: int, seconds: float = LIMIT_S) -> Callable[[Check], Check]:
    """Register the checks of an exercise: a generator of steps over the answer that `check` is given.

    seconds : limit of one step; an answer that takes longer counts as hanging
    raises  : ConfigError for a number that another module has taken
    """

    def register(steps: Check) -> Check:
        known = EXERCISES.get(number)
        if known is not None and known.steps.__module__ != steps.__module__:
            raise ConfigError(f"exercise {number} is registered already: {known.steps.__module__}.{known.steps.__name__}")
        EXERCISES[number] = Exercise(number, title, minutes, steps, seconds)
        return steps

    return register


def exercises(lesson: str = "") -> tuple[Exercise, ...]:
    """The exercises of a lesson ("01"), in order, or of all lessons; none for a lesson without."""
    for number, module in MODULES.items():
        if lesson in ("", number):
            import_module(module)
    found = [each for number, each in EXERCISES.items() if not lesson or number.startswith(f"{lesson}.")]
    return tuple(sorted(found, key=lambda each: [int(part) for part in each.number.split(".")]))


def check(number: str, *answer: Any, **named: Any) -> CheckResult:
    """Check the answer to an exercise ("01.2"), and store the pass if it is right.

    A cell tagged "solution" is checked too, but its pass is not stored (JupyterLab sends the tags of a cell).

    raises : UnknownName with the known numbers
    """
    lesson = exercises(str(number).partition(".")[0])
    known = {each.number: each for each in lesson or exercises()}
    if number not in known:
        raise UnknownName("exercise", number, known)
    result = CheckResult(known[number], tuple(_steps(known[number], answer, named)))
    if result and not _in_solution_cell():
        try:
            progress.mark_passed(number)
        except HftlabError as error:
            result = replace(result, note=f"passed, but it could not be stored: {error}")
    return result


def _steps(each: Exercise, answer: tuple[Any, ...], named: dict[str, Any]) -> Iterator[Step]:
    """Every step until one fails."""
    if any(value is ... for value in (*answer, *named.values())):
        yield Step("answer", False, "there is none yet: replace the three dots with yours")
        return
    parameters = signature(each.steps)
    try:
        parameters.bind(*answer, **named)
    except TypeError as error:
        yield Step("answer", False, f"call it as check({each.number!r}, {', '.join(parameters.parameters)}): {error}")
        return
    steps, count = iter(each.steps(*answer, **named)), 0
    while step := _next(steps, each.seconds):
        count += 1
        yield step
        if not step.passed:
            return
    if not count:
        yield Step("check", False, "this exercise has checked nothing")


def _next(steps: Iterator[Step], seconds: float) -> Step | None:
    """The next step, or what the answer did instead of returning; None at the end."""
    try:
        with time_limit(seconds):
            return next(steps, None)
    except TimeLimitExceeded:
        return Step("in time", False, f"stopped: no answer within {seconds:g} s")
    except (Exception, SystemExit) as error:
        return Step("correct", False, describe_exception(error))


def _in_solution_cell() -> bool:
    """Whether this runs in a cell that is tagged "solution"."""
    ipython = sys.modules.get("IPython")
    kernel: Any = getattr(ipython.get_ipython(), "kernel", None) if ipython else None
    parent = kernel.get_parent() if hasattr(kernel, "get_parent") else None
    return isinstance(parent, dict) and "solution" in (parent.get("metadata") or {}).get("tags", ())
