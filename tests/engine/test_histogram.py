"""Does the histogram count as HdrHistogram does, and say what the samples say?"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hftlab.engine.timing import HIGHEST, SLOTS, Histogram, edges_of, slots_of
from hftlab.errors import ConfigError

LENGTHS = st.lists(st.integers(0, HIGHEST), min_size=1, max_size=300)


def hdr_slot(value: int) -> int:
    """One value at a time: a bucket per power of two from 2,048 on, its upper half in 1,024 slots."""
    bucket = 0
    while value >> bucket >= 2_048:
        bucket += 1
    return bucket * 1_024 + (value >> bucket)


@given(LENGTHS)
def test_slots_are_those_of_hdrhistogram(values: list[int]) -> None:
    assert slots_of(np.array(values)).tolist() == [hdr_slot(value) for value in values]


@pytest.mark.parametrize("power", range(42))
def test_each_value_lies_within_the_edges_of_its_slot(power: int) -> None:
    values = np.array([value for value in (2**power - 1, 2**power, 2**power + 1) if value <= HIGHEST])
    low, high = edges_of(slots_of(values))
    assert ((low <= values) & (values <= high)).all()
    assert ((high - low) <= np.maximum(values / 1_000, 0)).all()  # three digits
    assert slots_of(np.array([HIGHEST]))[0] < SLOTS


@given(LENGTHS, st.floats(0, 1))
def test_a_quantile_is_that_of_the_samples_to_three_digits(values: list[int], q: float) -> None:
    made = Histogram.of(np.array(values))
    exact = sorted(values)[max(math.ceil(q * len(values) - 1e-6), 1) - 1]
    assert exact <= made.quantile(q) <= exact * 1.001 + 1e-9
    assert (made.min, made.max, made.n) == (min(values), max(values), len(values))
    assert made.mean == pytest.approx(np.mean(values), rel=1e-9)


@given(LENGTHS, LENGTHS)
def test_adding_is_counting_both(a: list[int], b: list[int]) -> None:
    both, added = Histogram.of(np.array(a + b)), Histogram.of(np.array(a))
    added.add(Histogram.of(np.array(b)))
    low, _, counts = both.buckets()
    again = Histogram.counted(low, counts, both.min, both.max, both.total, both.saturated)
    for made in (added, again):
        assert np.array_equal(made.counts, both.counts)
        assert (made.min, made.max, made.total, made.saturated) == (both.min, both.max, both.total, both.saturated)


def test_the_spread_is_that_of_the_samples() -> None:
    ns = np.random.default_rng(1).lognormal(6, 1, 100_000)
    assert Histogram.of(ns).sd == pytest.approx(ns.std(), rel=1e-3)


def test_what_is_out_of_range_is_counted_at_the_end_and_said() -> None:
    made = Histogram.of(np.array([-5.0, 0.4, 2.0 * HIGHEST]))
    assert (made.n, made.min, made.max, made.saturated) == (3, 0.0, 2.0 * HIGHEST, 1)
    assert made.quantile(0.5) == 0.0
    with pytest.raises(ConfigError, match="between 0 and 3,600,000,000,000 ns, got -1 to 3"):
        Histogram.counted([-1, 3], [1, 1], -1, 3, 2)


def test_nothing_says_nothing() -> None:
    empty = Histogram()
    empty.record(np.empty(0))
    empty.add(Histogram())
    assert (empty.n, empty.counts.any()) == (0, False)
    assert all(math.isnan(value) for value in (empty.mean, empty.sd, empty.quantile(0.5)))
    assert "Total count    =            0" in empty.hgrm()


def test_the_percentile_distribution_is_one_that_other_tools_read() -> None:
    ns = np.concatenate([np.arange(1, 2_001), [5_001, 900_000]])
    made = Histogram.of(ns)
    lines = made.hgrm().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    rows = [[float(cell) for cell in line.split()] for line in lines[2:] if not line.startswith("#")]
    shares, counts = [row[1] for row in rows], [int(row[2]) for row in rows]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    for row in rows:
        assert row[2] == np.count_nonzero(ns <= row[0])
        assert row[1] == 1 or row[3] == pytest.approx(1 / (1 - row[1]), abs=0.01)
    assert (rows[-1][0], counts[-1]) == (900_000, 2_002)
    header = dict(pair.split("=") for line in lines if line.startswith("#[") for pair in line[2:-1].split(","))
    header = {key.strip(): float(value) for key, value in header.items()}
    assert header["Mean"] == pytest.approx(ns.mean(), abs=1e-3)
    assert (header["Max"], header["Total count"], header["SubBuckets"]) == (900_000, 2_002, 2_048)
