"""Is the simulator right where the truth is known: the exchange's own executions, orders left out, planted values, limits?"""

from pathlib import Path

import numpy as np
import pytest
from planted_fills import GrowthKeepsPlaceBook, ShrinkLosesPlaceBook

import hftlab
from hftlab.fills.proofs.oracle import OracleResult, leave_one_out, oracle
from hftlab.fills.proofs.planted import closed_form, exact, planted_value, same_against_same, simulated

AAPL, HOUR = "itch50/aapl_20200130_first10k.itch", "lobster/AAPL_2012-06-21_34200000_37800000_message_50.csv.gz"
ESH4 = "dbn/esh4-glbx-mdp3-20231225.mbo.dbn.zst"


@pytest.fixture(scope="module")
def cme(data_dir: Path) -> hftlab.Feed:
    return hftlab.load(data_dir / ESH4)


def test_every_execution_of_aapl_hits_the_order_predicted(data_dir: Path) -> None:
    result = oracle(hftlab.load(data_dir / AAPL))
    assert (result.executions, result.front, result.best, result.exceptions) == (849, 849, 849, {})


def test_executions_of_the_lobster_hour_hit_the_order_predicted_but_for_24(data_dir: Path) -> None:
    result = oracle(hftlab.load(data_dir / HOUR))
    assert (result.executions, result.front, result.best) == (4_055, 4_031, 4_055)
    assert result.exceptions == {"relisted": 15, "stayed": 9}


def test_fills_of_the_cme_hour_hit_the_order_predicted_but_for_classified_ones(cme: hftlab.Feed) -> None:
    result = oracle(cme)
    assert (result.executions, result.front) == (6_232, 5_703)
    assert result.exceptions == {"self_match": 338, "refreshed": 185, "self_match_and_refreshed": 6}
    again = OracleResult.from_dict(result.to_dict())
    assert again == result
    assert "5,703 of 6,232" in str(again)


@pytest.mark.parametrize("book", [GrowthKeepsPlaceBook, ShrinkLosesPlaceBook])
def test_a_wrong_queue_is_found_out_by_the_exchange(book: type, cme: hftlab.Feed) -> None:
    assert oracle(cme, book=book).front < 5_703


def test_orders_left_out_get_their_own_fills_again(data_dir: Path, backend: str) -> None:
    result = leave_one_out(hftlab.load(data_dir / AAPL), orders=12, backend=backend)
    assert (result.tested, result.equal, result.executed) == (12, 12, 12), result.different


def test_orders_left_out_of_a_generated_feed_get_their_own_fills_again() -> None:
    result = leave_one_out(hftlab.synthetic("calm", 3_000, 5), orders=40, backend="python")
    assert result.executed > 20
    assert result.equal == result.tested == 40, result.different


@pytest.mark.slow
@pytest.mark.rust
def test_every_order_left_out_gets_its_own_fills_again(data_dir: Path) -> None:
    result = leave_one_out(hftlab.load(data_dir / AAPL), backend="rust")
    assert (result.tested, result.equal, result.executed, result.fills) == (4_767, 4_767, 544, 849), result.different


def test_a_planted_value_is_recovered(backend: str) -> None:
    result = planted_value(4, 600, backend=backend)
    filled = [row for row in result.rows if row[1] == "filled"]
    assert all(abs(found - true) < 0.05 for _, _, true, found, _ in filled), str(result)
    assert result.coverage > 0.7


@pytest.mark.slow
@pytest.mark.rust
def test_a_planted_value_is_recovered_within_two_percent_and_covered() -> None:
    result = planted_value(100, 600, backend="rust")
    assert result.worst_error < 0.02, str(result)
    assert 0.93 <= result.coverage <= 0.97, str(result)


@pytest.mark.slow
@pytest.mark.rust
def test_a_latency_against_itself_shows_no_difference() -> None:
    assert same_against_same(100, 300, backend="rust") >= 95


def test_a_latency_against_itself_shows_no_difference_in_most_of_a_few() -> None:
    assert same_against_same(4, 120, backend="python") >= 3


@pytest.mark.parametrize("dt_s", [1e-6, 1e-5, 1e-4, 1e-3])
@pytest.mark.rust
def test_the_cost_of_latency_on_brownian_prices_is_the_known_one(dt_s: float) -> None:
    busy, calm = 0.006, 0.000_003  # currency per square root of a second; the closed form is for a spread far above the moves
    assert simulated(busy, 0.01, dt_s, 60_000, backend="rust") == pytest.approx(exact(busy, 0.01, dt_s), rel=0.05)
    assert simulated(calm, 0.01, dt_s, 60_000, backend="rust") == pytest.approx(closed_form(calm, 0.01, dt_s), rel=0.05)


def test_the_closed_form_is_the_limit() -> None:
    apart = [closed_form(0.006, 0.01, dt) / exact(0.006, 0.01, dt) for dt in 10.0 ** np.arange(-3, -30, -3.0)]
    assert apart == sorted(apart)
    assert 0.98 < apart[-1] < 1


def test_less_is_at_the_front_the_later_it_comes(cme: hftlab.Feed) -> None:
    result = hftlab.latency_value(cme, clock="exchange", backend="python")
    fronts = [row.front for row in result.rows]
    assert fronts == sorted(fronts, reverse=True)
    assert all(row.filled + row.through + row.canceled + row.expired == pytest.approx(1) for row in result.rows)
    assert [row.attempts for row in result.rows] == [901] * 7
