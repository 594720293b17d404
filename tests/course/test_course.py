"""Does a check describe in one sentence whatever a wrong answer does, and is a pass stored, once and for good?"""

import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from course import exercise as frame
from course import progress
from course.answers import equal, short_repr
from course.exercise import EXERCISES, CheckResult, Exercise, Step, check, exercise, exercises
from course.lessons import LESSONS, Course, course, notebooks

from hftlab.cli.main import main
from hftlab.errors import ConfigError, HftlabError, UnknownName


def largest(answer: Callable[[list[int]], int]) -> Iterator[Step]:
    yield Step.expect("correct", answer([3, 9, 4]), 9, "the largest of [3, 9, 4]")
    yield Step.expect("hidden", answer(list(range(1_000))), 999, "the largest of a thousand")
    yield Step.claim("faster", True, "as fast as it gets")


def ordered(answer: Callable[[list[int]], list[int]], start: int = 0) -> Iterator[Step]:
    yield Step.expect("correct", answer(list(range(20, start, -1))), list(range(start + 1, 21)), "twenty numbers")


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exercises 99.1, 99.2 and 99.10, for these tests alone."""
    for number, steps in (("99.2", ordered), ("99.10", ordered), ("99.1", largest)):
        monkeypatch.setitem(EXERCISES, number, Exercise(number, "The largest", 1, steps, 0.3))


def message(found: CheckResult) -> str:
    """Of the last step."""
    return found.steps[-1].message


def test_a_right_answer_is_kept_with_the_first_time(home: Path) -> None:
    found = check("99.1", max)
    assert found
    assert [step.about for step in found.steps] == ["correct", "hidden", "faster"]
    assert str(found).startswith("99.1 The largest: passed\n  ok   correct: the largest of [3, 9, 4]: 9\n")
    before = (home / "course.json").read_bytes()
    first = json.loads(before)["passed"]["99.1"]
    time.sleep(1.1)  # times are in whole seconds
    assert check("99.1", max)
    assert (home / "course.json").read_bytes() == before
    assert progress.read() == {"99.1": first}


def test_a_wrong_answer_fails_at_its_step_and_is_not_kept(home: Path) -> None:
    found = check("99.1", lambda values: values[1])
    assert not found
    assert [(step.about, step.passed) for step in found.steps] == [("correct", True), ("hidden", False)]
    assert str(found).splitlines() == [
        "99.1 The largest: not yet",
        "  ok   correct: the largest of [3, 9, 4]: 9",
        "  FAIL hidden: the largest of a thousand: 1, expected 999",
    ]
    assert not (home / "course.json").exists()


def test_what_passed_stays_passed_when_an_answer_gets_worse() -> None:
    assert check("99.1", max)
    assert not check("99.1", min)
    assert "99.1" in progress.read()


def spin(values: list[int]) -> int:
    while True:
        with suppress(Exception):  # what hangs often catches what should stop it
            time.sleep(0.01)


def deep(values: list[int]) -> int:
    return deep(values)


def leave(values: list[int]) -> int:
    raise SystemExit(3)


def unwritten(values: list[int]) -> int:
    raise NotImplementedError


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda values: values[99], "IndexError: list index out of range (line "),
        (deep, "RecursionError: maximum recursion depth exceeded"),
        (leave, "SystemExit: 3 (line "),
        (unwritten, "still to be written"),
        (spin, "stopped: no answer within 0.3 s"),
        (None, "TypeError: 'NoneType' object is not callable"),
        (7, "TypeError: 'int' object is not callable"),
        (lambda values: None, "None, expected 9 (NoneType, expected int)"),
        (lambda values: "9", "'9', expected 9 (str, expected int)"),
        (lambda values: True, "True, expected 9 (bool, expected int)"),
        (lambda values: 9.0, "9.0, expected 9 (float, expected int)"),
        (lambda values: Odd(), "<a Odd whose repr raises RuntimeError>, expected 9"),
        (lambda values: object(), "<object object>, expected 9"),
        (lambda values: list(range(10_000)), " ... "),
        (lambda: 9, "takes 0 positional arguments but 1 was given"),
        (..., "there is none yet: replace the three dots with yours"),
    ],
)
def test_whatever_an_answer_does_is_one_sentence(answer: Any, expected: str, home: Path) -> None:
    found = check("99.1", answer)
    assert not found
    assert len(found.steps) == 1
    assert expected in message(found)
    assert len(message(found)) < 300
    assert "\n" not in message(found)
    assert "0x" not in message(found)
    assert not (home / "course.json").exists()


def test_the_line_of_the_answer_is_named_not_ours() -> None:
    def mine(values: list[int]) -> int:
        return int("nine")  # the third

    assert message(check("99.1", mine)).endswith('of mine: return int("nine")  # the third)')


def test_a_generator_of_the_check_that_is_interrupted_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def steps(answer: Any) -> Iterator[Step]:
        try:
            yield Step.expect("correct", answer([1]), 1, "one")
        finally:
            closed.append(True)

    monkeypatch.setitem(EXERCISES, "99.3", Exercise("99.3", "Closed", 1, steps, 0.2))
    assert not check("99.3", spin)
    assert closed == [True]


def test_outside_of_the_main_thread_there_is_no_limit_and_it_still_checks() -> None:
    found: list[CheckResult] = []
    thread = threading.Thread(target=lambda: found.append(check("99.1", lambda values: time.sleep(0.4) or max(values))))
    thread.start()
    thread.join(30)
    assert found[0]


def test_the_interrupt_of_the_user_is_let_through() -> None:
    def interrupted(values: list[int]) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("99.1", interrupted)


def test_a_call_with_the_wrong_arguments_says_how_it_is_called() -> None:
    assert "check('99.1', answer): missing a required argument: 'answer'" in message(check("99.1"))
    assert "check('99.2', answer, start)" in message(check("99.2", sorted, 1, 2))
    assert check("99.2", sorted, start=5)


def test_an_exercise_that_looks_at_nothing_passes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXERCISES, "99.3", Exercise("99.3", "Nothing", 1, lambda answer: iter(())))
    assert message(check("99.3", 1)) == "this exercise has checked nothing"


@pytest.mark.parametrize("number", ["99.4", "98.1", "1", "", "../x.1", 1.1, None])
def test_an_unknown_number_lists_the_known_ones(number: Any) -> None:
    with pytest.raises(UnknownName, match=r"unknown exercise .*; known: .*99\.1") as shown:
        check(number, max)
    if number == "99.4":
        assert shown.value.known == ("99.1", "99.2", "99.10")


def test_a_number_is_registered_once_and_exercises_are_in_order() -> None:
    with pytest.raises(ConfigError, match=r"exercise 99\.1 is registered already: .*largest"):
        exercise("99.1", "x", minutes=1)(frame._steps)
    assert [one.number for one in exercises("99")] == ["99.1", "99.2", "99.10"]
    assert exercises("98") == ()


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (np.int64(9), 9, True),
        (np.float64(0.5), 0.5, True),
        (np.bool_(True), True, True),
        (float("nan"), float("nan"), True),
        ([1, float("nan")], [1, float("nan")], True),
        (1, True, False),
        ((1, 2), [1, 2], False),
        ([1, 2.0], [1, 2], False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": [1]}, {"b": [1]}, False),
        (np.array([1, 2]), np.array([1, 2]), True),
        (np.array([1, 2]), np.array([1, 3]), False),
        (np.array([[1, 2]]), np.array([1, 2]), False),
        (np.array([np.nan]), np.array([np.nan]), True),
        (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), True),
        (pl.DataFrame({"a": [1]}), pl.DataFrame({"b": [1]}), False),
    ],
)
def test_equal_is_equal_in_type_and_value(got: Any, expected: Any, same: bool) -> None:
    assert equal(got, expected) is same
    step = Step.expect("correct", got, expected, "what")
    assert step.passed is same
    assert ("expected" in step.message) is not same


def test_long_answers_are_told_where_they_part() -> None:
    wrong = check("99.2", lambda values: [*sorted(values)[:7], 0, *sorted(values)[8:]])
    assert message(wrong) == "twenty numbers: 0 at place 7, expected 8"
    assert message(check("99.2", lambda values: sorted(values)[1:])).endswith("(19 values, expected 20)")
    assert len(short_repr("x" * 10_000)) <= 110


def test_answers_are_not_html() -> None:
    found = check("99.1", lambda values: "<script>alert(1)</script>")
    assert "<script" not in found._repr_html_()
    assert "&lt;script&gt;" in found._repr_html_()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"schema": "another", "passed": {}}', b'{"schema": 1']
)
def test_a_foreign_file_is_a_sentence_and_stays(content: bytes, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / "course.json"
    file.write_bytes(content)
    with pytest.raises(HftlabError, match=r"course\.json: not the progress file of the course; move it away to start again"):
        course()
    found = check("99.1", max)
    assert found, "right is right, whatever can be before"
    assert "passed, but it could not be stored: " in str(found)
    assert "could not be stored" in found._repr_html_()
    assert main(["course", "--reset"]) == 2
    assert "not the progress" in capsys.readouterr().err
    assert file.read_bytes() == content


def test_a_folder_in_its_place_is_a_sentence(home: Path) -> None:
    (home / "course.json").mkdir()
    with pytest.raises(HftlabError, match=r"course\.json: cannot be read: Is a directory"):
        progress.read()


def store(start: Any, number: str) -> None:
    start.wait()
    for place in range(20):
        progress.mark_passed(f"{number}.{place}")


def test_two_processes_at_once_lose_nothing() -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    both = [context.Process(target=store, args=(start, number)) for number in ("90", "91")]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert set(progress.read()) == {f"{number}.{place}" for number in ("90", "91") for place in range(20)}


def test_reset_moves_aside_and_loses_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["course", "--reset"]) == 0
    assert "there was nothing" in capsys.readouterr().err
    check("99.1", max)
    before = (home / "course.json").read_bytes()
    assert main(["course", "--reset"]) == 0
    assert "nothing is passed now" in capsys.readouterr().err
    assert progress.read() == {}
    assert [path.read_bytes() for path in home.glob("course.until-*.json")] == [before]


def test_the_course_lists_the_lessons_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = [LESSONS[0], LESSONS[3]]
    for one in there:
        (tmp_path / one.notebook).touch()
    monkeypatch.chdir(tmp_path)
    assert notebooks() == tmp_path
    assert course().frame()["lesson"].to_list() == [one.number for one in there]
    assert f"href='{there[1].notebook}'" in course()._repr_html_()
    assert Course({}, None).frame()["lesson"].to_list() == [one.number for one in LESSONS]
    assert "href" not in Course({}, None)._repr_html_()
    assert Course({}, tmp_path / "elsewhere").frame().is_empty()


def test_progress_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course.lessons.LESSONS", (LESSONS[0].__class__("99", "Made up", "Why?", 120, "99.ipynb"),))
    before, after = Course({}), Course({"99.2": "2026-01-02T03:04:05+00:00"})
    assert before.notes() == ["0 of 3 exercises passed; about 2 hours in all", "next: 99 Made up, 120 minutes"]
    assert after.frame().row(0) == ("99", "Made up", "Why?", 120, None, 3, 1, "99.ipynb")
    assert (before._repr_html_().count("●"), after._repr_html_().count("●"), after._repr_html_().count("○")) == (0, 1, 2)
    assert "passed 2026-01-02" in after._repr_html_()
    assert Course(dict.fromkeys(("99.1", "99.2", "99.10"), "2026")).notes()[-1] == "all exercises passed"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    check("99.1", max)
    capsys.readouterr()
    assert main(["course"]) == 0
    assert "Quickstart" in capsys.readouterr().out
    assert main(["course", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["schema"] == "hftlab-course/1"
    assert list(shown["passed"]) == ["99.1"]
    assert shown["lessons"][0]["notebook"] == "00_quickstart.ipynb"
