"""Does every exercise accept a right answer, and reject each planted wrong one with a sentence about its mistake?"""

from typing import Any

import answers_01_06
import answers_07_09
import answers_10_12
import answers_13_14
import pytest
from course import check, course
from course.exercise import exercises
from course.rust_function import rustc

RIGHT = {**answers_01_06.RIGHT, **answers_07_09.RIGHT, **answers_10_12.RIGHT, **answers_13_14.RIGHT}
WRONG = [*answers_01_06.WRONG, *answers_07_09.WRONG, *answers_10_12.WRONG, *answers_13_14.WRONG]
NEEDS_RUST = {"05.1", "07.1", "12.2"}
needs_compiler = pytest.mark.skipif(rustc() is None, reason="rustc is not installed")


def marked(number: str, *values: Any, name: str) -> Any:
    marks = [pytest.mark.rust] * (number in NEEDS_RUST) + [needs_compiler] * (number == "05.3")
    return pytest.param(number, *values, id=f"{number} {name}", marks=marks)


def name_of(answer: Any) -> str:
    return getattr(answer, "__name__", repr(answer)).strip("<>")


def test_every_exercise_is_in_the_table() -> None:
    assert [each.number for each in exercises()] == [*RIGHT]
    assert {number for number, *_ in WRONG} == {*RIGHT}


@pytest.mark.parametrize(("number", "answer"), [marked(number, answer, name=name_of(answer)) for number, answer in RIGHT.items()])
def test_a_right_answer_passes_and_is_stored(number: str, answer: Any) -> None:
    result = check(number, answer)
    assert result, result
    assert number in course().passed


@pytest.mark.parametrize(
    ("number", "answer", "about", "words"), [marked(*row, name=f"{name_of(row[1])} {row[3][:20]}") for row in WRONG]
)
def test_a_wrong_answer_fails_with_a_sentence_about_its_mistake(number: str, answer: Any, about: str, words: str) -> None:
    result = check(number, answer)
    assert not result
    assert result.steps[-1].about == about, result
    assert words in result.steps[-1].message
    assert number not in course().passed


@pytest.mark.parametrize("number", [marked(number, name="raises") for number in RIGHT if not number.startswith("12")])
def test_an_answer_that_raises_fails_in_a_sentence(number: str) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("mine")

    result = check(number, broken)
    assert not result
    assert "KeyError: 'mine'" in result.steps[-1].message
