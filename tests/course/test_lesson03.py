"""Do the exercises of lesson 03 pass what is right, and say what is wrong with what is not?"""

import polars as pl
import pytest
from course import check, course, lesson03
from course.exercise import exercises

import hftlab
from hftlab.experiments.amdahl import speed_up


def own_hottest(frame: pl.DataFrame) -> tuple[str, int]:
    own = frame.filter(~pl.col("calls") & (pl.col("hits") > 0) & (pl.col("stage") != "engine"))
    return own.sort("ns", descending=True).select("function", "line").row(0)  # type: ignore[return-value]


def by(column: str, *, calls: bool):  # type: ignore[no-untyped-def]
    def answer(frame: pl.DataFrame) -> tuple[object, ...]:
        kept = frame if calls else frame.filter(~pl.col("calls"))
        return kept.sort(column, descending=True).select("function", "line").row(0)

    return answer


def test_there_are_two() -> None:
    assert [one.number for one in exercises("03")] == ["03.1", "03.2"]


@pytest.mark.parametrize(("number", "answer"), [("03.1", own_hottest), ("03.2", speed_up)], ids=str)
def test_what_is_right_passes(number, answer) -> None:  # type: ignore[no-untyped-def]
    found = check(number, answer)
    assert found, str(found)


@pytest.mark.parametrize(
    ("number", "answer", "about", "said"),
    [
        ("03.1", by("ns", calls=True), "own time", "is not its own"),
        ("03.1", by("ns_per_hit", calls=False), "own time", "is not its own"),
        ("03.1", by("ns", calls=False), "a stage", "no stage"),
        ("03.1", lambda frame: 30, "correct", "wanted is (function, line)"),
        ("03.2", lambda share, times: 1 + share * (times - 1), "half", "twice as fast"),
        ("03.2", lambda share, times: 1 / (1 - share), "nothing", "as fast as before"),
        ("03.2", lambda share, times: max(1.0, speed_up(share, times)), "slower", "the whole gets slower"),
    ],
)
def test_what_is_wrong_fails_with_a_sentence(number, answer, about, said) -> None:  # type: ignore[no-untyped-def]
    found = check(number, answer)
    assert not found
    assert found.steps[-1].about == about
    assert said in found.steps[-1].said


@pytest.mark.parametrize("number", ["03.1", "03.2"])
def test_an_answer_that_raises_fails_in_a_sentence(number: str) -> None:
    def broken(*given):  # type: ignore[no-untyped-def]
        raise KeyError("mine")

    found = check(number, broken)
    assert not found
    assert "KeyError: 'mine'" in str(found)
    assert number not in course().passed


def test_walking_is_the_reference_only_slower() -> None:
    feed = hftlab.synthetic("deep", 800)
    plain, careless = lesson03.deep(), lesson03.deep(book=lesson03.walking(4))
    assert hftlab.verify(plain, careless, feed)
    assert not hftlab.verify(plain, lesson03.deep(book=lesson03.walking(0)), feed)
    series = lesson03.walks(feed, rounds=5, times=(0, 1, 4))
    share, faster = lesson03.swap(series)
    assert 0.1 < share < 0.95
    assert faster > 1.2
