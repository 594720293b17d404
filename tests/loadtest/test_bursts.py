"""Is the queue of a burst as long as theory says, and is it gone when it should be?"""

from typing import Any

import pytest
from known_latency import KnownLatency
from planted_stress import Server

import hftlab
from hftlab.errors import ConfigError
from hftlab.loadtest import microbursts
from hftlab.loadtest.bursts import Burst
from hftlab.loadtest.schedule import burst_at

FEED = hftlab.synthetic(messages=15_000)


def burst(factor: float, base: float = 0.05, length_ms: float = 100.0, **more: Any) -> Burst:
    (found,) = microbursts([Server()], FEED, factors=[factor], base=base, length_ms=length_ms, rounds=1, warm=0, **more).results
    return found


def test_a_burst_stands_between_two_stretches_of_the_base() -> None:
    due, part = burst_at(1_000, 10, 5e6, lead=3, tail=4)
    assert (part.start, part.stop - part.start, len(due)) == (3, 50, 57)
    gaps = (due[1:] - due[:-1]).tolist()
    assert gaps[:2] == [1_000_000] * 2
    assert set(gaps[2:52]) == {100_000}
    assert gaps[52:] == [1_000_000] * 4
    for given in ((0, 10, 5e6), (1_000, 0, 5e6), (1_000, 10, 1e5)):
        with pytest.raises(ConfigError, match="must be"):
            burst_at(*given, lead=1, tail=1)


@pytest.mark.parametrize("factor", [30, 100, 250])
def test_the_queue_grows_and_drains_as_theory_says(factor: float) -> None:
    """A server of 100 us does 10,000/s: of n batches at r a second n (1 - 10,000/r) wait, and drain at 9,500 a second."""
    found = burst(factor)
    rate, batches = 500 * factor, int(500 * factor * 0.1)
    waiting = batches * (1 - 10_000 / rate)
    assert (found.rate, found.batches) == (pytest.approx(rate), pytest.approx(batches, abs=1))
    assert found.peak_theory == pytest.approx(waiting, abs=1)
    assert found.peak[0] == pytest.approx(waiting, abs=3)
    assert found.drain_theory_ns == pytest.approx(waiting / 9_500 * 1e9, rel=0.001)
    assert found.drain_ns[0] == pytest.approx(found.drain_theory_ns, abs=4 * 100_000)
    assert found.response["max"] == pytest.approx((waiting + 1) * 100_000, rel=0.01)


def test_a_burst_of_n_at_once_drains_in_n_service_times() -> None:
    found = burst(1e6, length_ms=0.0002)  # 100 batches in 200 ns
    assert found.batches == pytest.approx(100, abs=1)
    assert found.peak[0] == found.batches + 1  # the one before it is in work
    assert found.drain_ns[0] == pytest.approx(found.batches * 100_000 / 0.95, rel=0.03)


def test_a_burst_below_the_capacity_leaves_no_queue() -> None:
    found = burst(10)
    assert (found.peak, found.peak_theory, found.drain_theory_ns) == ((1,), 0.0, 0.0)
    assert found.drain_ns[0] == found.response["max"] == 100_000


def test_a_capacity_that_is_known_is_not_measured_again() -> None:
    assert burst(30, capacity={"server": 20_000.0}).rate == pytest.approx(30_000)


def test_a_real_engine_drains_no_quicker_than_it_can() -> None:
    engine = hftlab.Engine(KnownLatency(100_000))  # type: ignore[arg-type]
    known = {"known": 10_000.0}
    (found,) = microbursts([engine], FEED, factors=[100], length_ms=10, capacity=known, rounds=1, warm=0).results
    assert found.batches == pytest.approx(500, abs=1)
    assert found.peak[0] >= 0.9 * found.peak_theory
    assert 0.9 * found.drain_theory_ns <= found.drain_ns[0] <= 20 * found.drain_theory_ns
