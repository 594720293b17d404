"""Lesson 08: do the right answers pass, and do the wrong ones fail with a sentence that helps?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from course import check
from course.lesson08 import HIDDEN, ChangedSide, day
from course.walked import walk

import hftlab
from hftlab.stages.book import Book


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTLAB_HOME", str(tmp_path))


class Kept:
    """Keep the sum, walk where a level came or went."""

    def __init__(self, levels: int) -> None:
        self.levels, self.sums, self.ends = levels, [0, 0], [None, None]

    def changed(self, sides: Any, change: Any) -> list[int]:
        i = change.side
        if self.ends[i] is None or change.key >= self.ends[i]:
            if change.reshaped:
                best = sides[i].best(self.levels)
                self.sums[i] = sum(qty for _, qty in best)
                self.ends[i] = best[-1][0] if len(best) == self.levels else None
            else:
                self.sums[i] += change.gained
        return self.sums


class Gained(Kept):
    def changed(self, sides: Any, change: Any) -> list[int]:
        self.sums[change.side] += change.gained
        return self.sums


class Raises(Kept):
    def changed(self, sides: Any, change: Any) -> list[int]:
        return [sides[2]]


def by_columns(c: Any, config: hftlab.SignalConfig) -> Any:
    w0, w1, w2, w3, w4 = config.weights
    told = w0 * c["imbalance"] + w1 * c["depth_imbalance"] + (w2 * (c["microprice"] - c["mid"])) / c["spread"]
    told = told + (w3 * c["ofi"]) / (abs(c["ofi"]) + config.k) + (w4 * c["flow"]) / (abs(c["flow"]) + config.k)
    return np.where(np.isnan(told) | ~(c["spread"] > 0), 0.0, told)


def backwards(c: Any, config: hftlab.SignalConfig) -> Any:
    w0, w1, w2, w3, w4 = config.weights
    told = (w4 * c["flow"]) / (abs(c["flow"]) + config.k) + (w3 * c["ofi"]) / (abs(c["ofi"]) + config.k)
    told = told + (w2 * (c["microprice"] - c["mid"])) / c["spread"] + w1 * c["depth_imbalance"] + w0 * c["imbalance"]
    return np.where(np.isnan(told), 0.0, told)


def test_the_solutions_pass() -> None:
    assert check("08.1", Kept)
    assert check("08.2", by_columns)


@pytest.mark.parametrize(
    ("number", "answer", "said"),
    [
        ("08.1", Gained, "are wrong from change"),
        ("08.1", ChangedSide, "levels read, walking the changed side reads"),
        ("08.1", Raises, "IndexError: tuple index out of range"),
        ("08.2", backwards, "scores differ in their bits; the first at row"),
        ("08.2", lambda c, config: by_columns(c, hftlab.SignalConfig()), "the scores are not those of the contract"),
        ("08.2", lambda c, config: c["imbalance"], "scores that are NaN"),
        ("08.2", lambda c, config: c["score"], "KeyError: 'score'"),
    ],
)
def test_a_wrong_answer_is_told_why(number: str, answer: Any, said: str) -> None:
    found = check(number, answer)
    assert not found
    assert said in str(found)
    assert not found.steps[-1].passed


def test_the_walk_sees_the_sums_of_the_book() -> None:
    feed = hftlab.synthetic("calm", 3_000, seed=5, symbols=1)
    book, right = Book(), []
    for _, order_id, new_id, price, qty, instrument, kind, side in hftlab.decode(feed, "python").tolist():
        if book.apply(kind, instrument, side, order_id, new_id, price, qty) > 0:
            right.append((book.depth_qty(instrument, 1, 5), book.depth_qty(instrument, 2, 5)))
    assert walk(feed, ChangedSide, 5).sums == right
    assert walk(feed, Kept, 5).sums == right


def test_the_hidden_scores_are_those_of_a_loop() -> None:
    columns, right, _ = day()
    assert np.array_equal(by_columns(columns, HIDDEN), right)
