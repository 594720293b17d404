"""Exercises: an answer is checked step by step, correctness first, then the ratio, then the tail, until a step fails.

    @exercise("01.1", "Floor a clock", minutes=5)
    def floored(answer: Callable[[np.ndarray], np.ndarray]) -> Iterator[Step]:
        yield Step.expect("correct", answer(np.array([1_999])).tolist(), [1_000], "1,999 ns on a clock that ticks in us")

An answer that raises fails the step it is in, in one sentence. What passes is kept; see progress.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from hftlab import html
from hftlab.course import progress
from hftlab.errors import UnknownName

Check = Callable[..., Iterator["Step"]]


@dataclass(frozen=True)
class Step:
    """One thing that was checked: "correct", "faster", "tail" or what else it is about, and a sentence."""

    about: str
    passed: bool
    said: str

    @classmethod
    def expect(cls, about: str, got: Any, wanted: Any, what: str) -> Step:
        """Passed if `got` equals `wanted`; `what` says what it is."""
        same = type(got) is type(wanted) and got == wanted
        return cls(about, same, f"{what}: {got!r}" + ("" if same else f", expected {wanted!r}"))

    @classmethod
    def claim(cls, about: str, holds: Any, said: str) -> Step:
        """Passed if `holds` is true."""
        return cls(about, bool(holds), said)


@dataclass(frozen=True)
class Exercise:
    """One exercise: `number` is "01.2", lesson and place in it."""

    number: str
    title: str
    minutes: int
    steps: Check


@dataclass(frozen=True)
class Checked:
    """What came of an answer. True in a condition if every step passed."""

    exercise: Exercise
    steps: tuple[Step, ...]

    def __bool__(self) -> bool:
        return bool(self.steps) and all(step.passed for step in self.steps)

    def __str__(self) -> str:
        lines = [f"  {'ok  ' if step.passed else 'FAIL'} {step.about}: {step.said}" for step in self.steps]
        return "\n".join([f"{self.exercise.number} {self.exercise.title}: {'passed' if self else 'not yet'}", *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [("✓" if step.passed else "✗", step.about, step.said) for step in self.steps]
        return html.block(str(self).partition("\n")[0], html.table(("", "about", "what was seen"), rows))


EXERCISES: dict[str, Exercise] = {}


def exercise(number: str, title: str, *, minutes: int) -> Callable[[Check], Check]:
    """Register the checks of an exercise: a generator of steps over the answer that `check` is given."""

    def register(steps: Check) -> Check:
        EXERCISES[number] = Exercise(number, title, minutes, steps)
        return steps

    return register


def exercises(lesson: str) -> tuple[Exercise, ...]:
    """The exercises of a lesson ("01"), in order; none for one without."""
    if find_spec(name := f"hftlab.course.lesson{lesson}"):
        import_module(name)
    return tuple(EXERCISES[number] for number in sorted(EXERCISES) if number.startswith(f"{lesson}."))


def check(number: str, *answer: Any, **named: Any) -> Checked:
    """Check the answer to an exercise ("01.2"), and keep it as passed if it is right.

    raises : UnknownName with the known numbers
    """
    known = {one.number: one for one in exercises(number.partition(".")[0])}
    if number not in known:
        raise UnknownName("exercise", number, known or ["none in this lesson"])
    steps: list[Step] = []
    try:
        for step in known[number].steps(*answer, **named):
            steps.append(step)
            if not step.passed:
                break
    except Exception as error:
        steps.append(Step("correct", False, f"{type(error).__name__}: {error}"))
    found = Checked(known[number], tuple(steps))
    if found:
        progress.passed(number)
    return found
