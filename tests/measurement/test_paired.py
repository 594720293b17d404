"""Is a planted difference found, and is none seen where there is none?"""

import gc

import numpy as np
import pytest

from hftlab.errors import ConfigError
from hftlab.measurement.paired import Interval, Paired, interleave

QUIET = Interval(1.0, 0.995, 1.005)


def noise(seed: int, spread: float = 0.03, rounds: int = 31) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, spread, rounds)


def test_a_planted_tenth_is_found_through_noise_and_slow_spells() -> None:
    spell = np.where(np.arange(31) % 7 == 0, 3.0, 1.0)  # whole rounds in which everything takes three times as long
    base, other, again = 110 * spell * noise(1), 100 * spell * noise(2), 110 * spell * noise(6)
    found = Paired.of(base, other, again)
    assert found.outcome == "faster"
    assert found.ratio.low < 1.10 < found.ratio.high
    assert found.ratio.high - found.ratio.low < 0.1
    assert found.verdict == f"faster {found.ratio}"


def test_slower_is_told_as_a_multiple_of_the_time() -> None:
    base = 100 * noise(3)
    found = Paired.of(base, 2 * base, base)
    assert found.verdict == "slower 2.00x [2.00, 2.00]"
    assert found.ratio.median == 0.5


def test_identical_series_give_no_difference() -> None:
    base = 100 * noise(4)
    assert Paired.of(base, base.copy(), base.copy()).verdict == "no difference seen"
    assert Paired.of(base, base[::-1].copy(), base.copy()).verdict == "no difference seen"


def test_what_the_control_makes_of_nothing_is_no_difference_either() -> None:
    ratio = Interval(1.03, 1.02, 1.04)
    assert Paired(103.0, 100.0, ratio, QUIET).outcome == "faster"
    assert Paired(100.0, 103.0, ratio.inverse(), QUIET).outcome == "slower"
    assert Paired(103.0, 100.0, ratio, Interval(1.02, 0.98, 1.06)).outcome == "no difference seen"
    assert Paired(100.4, 100.0, Interval(1.004, 1.003, 1.005), Interval(1.0, 1.0, 1.0)).outcome == "no difference seen"
    # A control that is itself off to one side does not make a difference of what lies between it and 1.
    assert Paired(103.0, 100.0, ratio, Interval(1.06, 1.05, 1.07)).outcome == "no difference seen"


def test_a_difference_is_one_that_both_copies_of_the_base_show() -> None:
    ratio = Interval(1.03, 1.02, 1.04)
    assert Paired(103.0, 100.0, ratio, QUIET, again=Interval(1.02, 1.01, 1.03)).outcome == "faster"
    for other in (Interval(1.01, 0.99, 1.02), ratio.inverse()):
        assert Paired(103.0, 100.0, ratio, QUIET, again=other).outcome == "no difference seen"
    assert Paired(103.0, 100.0, Interval(1.03, 0.99, 1.06), QUIET, again=ratio).outcome == "no difference seen"


@pytest.mark.parametrize("rounds", [6, 7, 11, 21, 41])
def test_the_interval_holds_the_true_median_as_often_as_it_says(rounds: int) -> None:
    """Normal, heavy-tailed and skewed, 4,000 samples each: 93 to 97 % for the level of 95 %."""
    random = np.random.default_rng(rounds)
    shape = (4_000, rounds)
    for draws in (random.normal(1, 0.1, shape), 1 + random.standard_t(3, shape), np.exp(random.standard_normal(shape))):
        held = sum(Interval.of(values).contains(1.0) for values in draws)
        assert 0.93 <= held / 4_000 <= 0.97


@pytest.mark.parametrize("rounds", [6, 11, 30])
def test_the_interval_lies_within_the_exact_one_of_scipy(rounds: int) -> None:
    """The order statistics that SciPy takes hold at least 95 %; ours are interpolated between them and the next ones."""
    stats = pytest.importorskip("scipy.stats")
    values = noise(rounds, rounds=rounds)
    exact = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    mine = Interval.of(values)
    ordered = np.sort(values)
    low, high = np.searchsorted(ordered, exact.low), np.searchsorted(ordered, exact.high)
    assert ordered[low] <= mine.low <= ordered[low + 1]
    assert ordered[high - 1] <= mine.high <= ordered[high]


def test_it_narrows_with_the_rounds_and_few_rounds_give_their_range() -> None:
    values = noise(5, rounds=400)
    few, many = Interval.of(values[:20]), Interval.of(values)
    assert many.high - many.low < few.high - few.low
    assert many.low <= many.median <= many.high
    assert (few.level, many.level) == (0.95, 0.95)
    assert Interval.of(values[:5]) == Interval(float(np.median(values[:5])), values[:5].min(), values[:5].max(), None)
    assert "range [" in str(Interval.of(values[:5]))


def test_a_control_that_excludes_1_is_named_beside_the_ratio() -> None:
    ratio = Interval(1.03, 1.02, 1.04)
    assert Paired(103.0, 100.0, ratio, Interval(1.06, 1.05, 1.07)).judgement == "no difference seen; the A/A control excludes 1"
    assert "control" not in Paired(103.0, 100.0, ratio, QUIET).judgement


def test_rounds_are_interleaved_in_changing_order_and_the_first_is_not_counted() -> None:
    calls: list[str] = []
    collecting: list[bool] = []

    def one(name: str) -> float:
        calls.append(name)
        collecting.append(gc.isenabled())
        return float(len(calls))

    series = interleave({name: lambda name=name: one(name) for name in "abc"}, rounds=8, seed=3)
    rounds = ["".join(calls[at : at + 3]) for at in range(0, len(calls), 3)]
    assert len(rounds) == 9
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(set(rounds)) > 3
    assert all(len(values) == 8 and values.min() > 3 for values in series.values())
    assert not any(collecting)
    assert gc.isenabled()


@pytest.mark.parametrize("rounds", [-1, 0, 2, 1001])
def test_too_few_rounds_are_refused(rounds: int) -> None:
    with pytest.raises(ConfigError, match="must be between 3 and 1,000"):
        interleave({"a": lambda: 1.0}, rounds)
