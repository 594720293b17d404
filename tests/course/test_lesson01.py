"""Do the exercises of lesson 01 pass what is right, and say what is wrong with what is not?"""

import numpy as np
import pytest
from course import check, course, lesson01
from course.exercise import exercises

from hftlab.experiments.openloop import response_ns
from hftlab.measurement.paired import Interval

FIGURES = (50, 95, 99)


def test_there_are_three() -> None:
    assert [one.number for one in exercises("01")] == ["01.1", "01.2", "01.3"]


@pytest.mark.parametrize(
    ("number", "answer"), [("01.1", lesson01.honest), ("01.2", response_ns), ("01.3", lesson01.verdict)], ids=str
)
def test_what_is_right_passes(number, answer) -> None:  # type: ignore[no-untyped-def]
    found = check(number, answer)
    assert found, str(found)


def cut_the_difference(stamps, step):  # type: ignore[no-untyped-def]
    ns = (stamps[:, 1] - stamps[:, 0]) // step * step
    told = dict(zip(("p50", "p95", "p99"), np.percentile(ns, FIGURES).tolist(), strict=True))
    return {name: value if value > step else None for name, value in told.items()}


def print_everything(stamps, step):  # type: ignore[no-untyped-def]
    ns = stamps[:, 1] // step * step - stamps[:, 0] // step * step
    return dict(zip(("p50", "p95", "p99"), np.percentile(ns, FIGURES).tolist(), strict=True))


def forget_the_sample(stamps, step):  # type: ignore[no-untyped-def]
    return {name: value if value > step else None for name, value in print_everything(stamps, step).items()}


def never_idle(service, interval):  # type: ignore[no-untyped-def]
    return np.cumsum(service) - np.arange(len(service)) * interval


def interval_alone(a, b, again):  # type: ignore[no-untyped-def]
    return ("no difference seen", "faster", "slower")[Interval.of(a / b).side]


def unpaired(a, b, again):  # type: ignore[no-untyped-def]
    left, right = Interval.of(a), Interval.of(b)
    return "faster" if right.high < left.low else "slower" if right.low > left.high else "no difference seen"


@pytest.mark.parametrize(
    ("number", "answer", "about", "said"),
    [
        ("01.1", cut_the_difference, "cut", "each cut to 100 ns"),
        ("01.1", print_everything, "one step", "says nothing"),
        ("01.1", forget_the_sample, "samples", "neither p95"),
        ("01.1", lambda stamps, step: 5, "correct", "wanted is a dict with p50, p95, p99"),
        ("01.2", lambda service, interval: service, "busy", "the queue grows"),
        ("01.2", never_idle, "idle", "nobody waits"),
        ("01.3", lambda a, b, again: "faster" if b.mean() < a.mean() else "slower", "clear", "expected 'no difference seen'"),
        ("01.3", interval_alone, "false alarms", "a thing with itself"),
        ("01.3", unpaired, "power", "round by round"),
        ("01.3", lambda a, b, again: "no difference seen", "clear", "expected 'faster'"),
    ],
)
def test_what_is_wrong_fails_with_a_sentence(number, answer, about, said) -> None:  # type: ignore[no-untyped-def]
    found = check(number, answer)
    assert not found
    assert found.steps[-1].about == about
    assert said in found.steps[-1].said


@pytest.mark.parametrize("number", ["01.1", "01.2", "01.3"])
def test_an_answer_that_raises_fails_in_a_sentence(number: str) -> None:
    def broken(*given):  # type: ignore[no-untyped-def]
        raise KeyError("mine")

    found = check(number, broken)
    assert not found
    assert "KeyError: 'mine'" in str(found)
    assert number not in course().passed


def test_the_series_are_what_they_claim() -> None:
    ratios = {
        kind: [float(np.median(a / b)) for a, b, _ in (lesson01.series(kind, seed) for seed in range(20))]
        for kind in ("same", "faster")
    }
    assert 0.9 < np.median(ratios["same"]) < 1.1
    assert 1.2 < np.median(ratios["faster"]) < 1.4
    assert lesson01.readings(50, 850).tolist() == lesson01.readings(50, 850).tolist()
