"""Is the material of the lessons what it claims: made-up series, the slow books, the counted levels, the lossy lines?"""

import json
import math

import numpy as np
import polars as pl
import pytest
from answers_07_09 import RunningSum, by_columns
from course import lesson01, lesson03, lesson12
from course.amdahl import amdahl_chart, share_of, speed_up
from course.fake_server import FakeServer
from course.lesson08 import HIDDEN, ChangedSide, day
from course.level_counter import walk
from course.loss import simulate_loss
from course.naive_book import NaiveBook
from course.steps import StepComparison, compare_steps

import hftlab
from hftlab.errors import ConfigError, HftlabError
from hftlab.loadtest.target import Batches
from hftlab.stages.book import Book


def test_the_made_up_comparisons_have_the_ratio_they_claim() -> None:
    ratios = {
        kind: [float(np.median(a / b)) for a, b, _ in (lesson01.series(kind, seed) for seed in range(20))]
        for kind in ("same", "faster")
    }
    assert 0.9 < np.median(ratios["same"]) < 1.1
    assert 1.2 < np.median(ratios["faster"]) < 1.4
    assert lesson01.readings(50, 850).tolist() == lesson01.readings(50, 850).tolist()


def test_the_careless_book_is_the_reference_only_slower() -> None:
    feed = hftlab.synthetic("deep", 800)
    plain, careless = lesson03.deep(), lesson03.deep(book=lesson03.walking(4))
    assert hftlab.verify(plain, careless, feed)
    assert not hftlab.verify(plain, lesson03.deep(book=lesson03.walking(0)), feed)
    share, faster = lesson03.swap(lesson03.walks(feed, rounds=5, times=(0, 1, 4)))
    assert 0.1 < share < 0.95
    assert faster > 1.2


def test_the_naive_book_conforms() -> None:
    report = hftlab.conformance.engine(NaiveBook, rounds=0)
    assert report, report


class WrongQuantity(NaiveBook):
    def best(self, instrument: int) -> tuple[int, int, int, int]:
        bid, qty, *ask = super().best(instrument)
        return (bid, qty + (qty > 0), ask[0], ask[1])


def test_steps_are_compared_each_with_the_one_before() -> None:
    feed = hftlab.synthetic("calm", 600)
    found = compare_steps({"naive": NaiveBook, "naive too": NaiveBook, "ours": "python"}, feed, rounds=3, until="book")
    frame = found.frame()
    assert frame["step"].to_list() == ["naive", "naive too", "ours"]
    assert found.ratio("ours") == found.steps[1][1].ratio.median == frame["ratio"][2]
    assert found.whole.ratio.median > 1.2
    labels = [row["label"] for row in found.plot().to_dict()["layer"][0]["data"]["values"]]
    assert labels == ["naive", "naive too", "ours", "what remains"]
    assert str(StepComparison.from_dict(json.loads(found.to_json()))) == str(found)
    with pytest.raises(ConfigError):
        compare_steps({"naive": NaiveBook}, feed)
    with pytest.raises(HftlabError):
        compare_steps({"naive": NaiveBook, "other": WrongQuantity}, feed, rounds=3)


def test_the_counted_walk_gives_the_sums_of_the_book() -> None:
    feed = hftlab.synthetic("calm", 3_000, seed=5, symbols=1)
    book, right = Book(), []
    for _, order_id, new_id, price, qty, instrument, kind, side in hftlab.decode(feed, "python").tolist():
        if book.apply(kind, instrument, side, order_id, new_id, price, qty) > 0:
            right.append((book.depth_qty(instrument, 1, 5), book.depth_qty(instrument, 2, 5)))
    assert walk(feed, ChangedSide, 5).sums == right
    assert walk(feed, RunningSum, 5).sums == right


def test_the_hidden_scores_are_those_of_a_loop() -> None:
    columns, right, _ = day()
    assert np.array_equal(by_columns(columns, HIDDEN), right)


def test_loss_follows_the_theory() -> None:
    chances = [0.05, 0.2]
    single, two = simulate_loss(chances, messages=8_000), simulate_loss(chances, lines=2, messages=8_000)
    for loss, lost, both in zip(chances, single["lost"], two["lost"], strict=True):
        assert lost == pytest.approx(loss, rel=0.1)
        assert both == pytest.approx(loss**2, rel=0.3)
    cable = simulate_loss(chances, lines=2, together=True, messages=8_000)
    assert cable["lost"].to_list() == single["lost"].to_list()
    requested = simulate_loss(chances, lines=2, requests=True, messages=8_000)
    assert requested["lost"].to_list() == [0.0, 0.0]
    assert requested["recovered"].min() > 0
    assert (requested["stale"] < two["stale"]).all()
    assert simulate_loss([0.0], messages=100).row(0) == (0.0, 0.0, 0.0, 0, 0)
    assert simulate_loss(chances, messages=500, seed=3).equals(simulate_loss(chances, messages=500, seed=3))
    with pytest.raises(ConfigError, match="lines must be between 1 and 9, got 0"):
        simulate_loss([0.1], lines=0, messages=5)


def test_the_fake_server_takes_the_time_it_is_given() -> None:
    due = np.array([0, 10, 20, 500])
    run = FakeServer(30).open().drive(Batches(b"", due), due)
    assert run.service.tolist() == [30] * 4
    assert run.response.tolist() == [30, 50, 70, 30]
    stalled = FakeServer(30, stalls={1: 100}).open().drive(Batches(b"", due), due)
    assert stalled.response.tolist() == [30, 120, 140, 30]
    with pytest.raises(ConfigError):
        FakeServer(0)


def test_the_capstone_times_the_book_alone() -> None:
    assert lesson12._events().wire == "events"


@pytest.mark.parametrize(
    ("share", "times", "whole"), [(0.5, 2, 4 / 3), (0.9, math.inf, 10), (0, 50, 1), (1, 7, 7), (0.5, 0.5, 1 / 1.5)]
)
def test_amdahls_law(share: float, times: float, whole: float) -> None:
    assert speed_up(share, times) == pytest.approx(whole)


@pytest.mark.parametrize("times", [0, 0.5, 2, 4])
def test_the_share_is_found_again_by_doing_a_part_so_many_times(times: float) -> None:
    assert share_of(0.6 + 0.4 * times, times) == pytest.approx(0.4)
    for call, words in (
        (lambda: speed_up(1.2, 2), "share must be between 0 and 1"),
        (lambda: share_of(1.1, 1), "times must be 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            call()


def test_the_chart_draws_the_law() -> None:
    parts = pl.DataFrame({"part": ["a", "b"], "share": [0.5, 0.1], "times": [None, 4.0], "speed_up": [None, 1.1]})
    lines, dots = (layer["data"]["values"] for layer in amdahl_chart(parts).to_dict()["layer"][:2])
    assert [row["speed_up"] for row in lines if row["part"] == "a"][-1] == pytest.approx(speed_up(0.5, 100), rel=1e-3)
    assert [(row["part"], row["times"]) for row in dots] == [("b", 4.0)]
