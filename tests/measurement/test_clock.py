"""Are clocks described as they are: what a reading costs, in which steps, whether it went backwards, and what nobody can say?"""

from typing import Any

import numpy as np
import pytest

import hftlab
from hftlab.engine.python import PythonBackend
from hftlab.engine.session import resolve
from hftlab.errors import ConfigError
from hftlab.measurement.clock import READINGS, Clocks, Cost, Source, clock_of, clocks, report, step_of
from hftlab.measurement.noise import Jitter, jitter


@pytest.fixture(scope="module")
def found() -> Clocks:
    return clocks(100_000)


def planted(steps: Any, ns_per_tick: float = 1.0) -> Source:
    """A clock that takes these steps, over and over."""
    now = 0

    def stamps(n: int) -> Any:
        nonlocal now
        out = now + np.cumsum(np.resize(steps, n))
        now = int(out[-1])
        return out

    return Source(name="planted", kind="counter", reads="a list", tick_ns=ns_per_tick, ns_per_tick=ns_per_tick, stamps=stamps)


def test_a_percentile_needs_a_hundred_samples_beyond_it() -> None:
    ns = np.arange(100_000, dtype=float)
    cost = Cost.of(ns)
    assert (cost.n, cost.min, cost.max) == (100_000, 0.0, 99_999.0)
    assert cost.percentiles["p50"] == np.quantile(ns, 0.5)
    assert cost.percentiles["p99.9"] == np.quantile(ns, 0.999)
    assert cost.percentiles["p99.99"] is None
    assert Cost.of(np.ones(1_000_000)).percentiles["p99.99"] == 1.0
    assert [name for name, value in Cost.of(ns[:1_000]).percentiles.items() if value is None] == ["p95", "p99", "p99.9", "p99.99"]


def test_the_steps_are_those_of_the_clock() -> None:
    seen = report(planted([0, 40, 60], ns_per_tick=0.5), 10_000)
    assert seen.step_ns == 10.0
    assert seen.cost.max == 30.0
    assert seen.cost_p50_ns == 20.0
    assert seen.monotonic is True


@pytest.mark.parametrize("step", [1.0, 10.0, 15.6, 24.45, 41.67, 1_000.0])
@pytest.mark.parametrize("spread", [2.0, 300.0])
def test_a_step_need_not_be_a_whole_number_of_ticks(step: float, spread: float) -> None:
    """A clock that stands still for a step and is read in whole ticks: 24.45 of them read as 24 or as 25."""
    true = np.cumsum(np.random.default_rng(7).gamma(20, spread, 100_000) + 15)
    readings = np.floor(np.floor(true / step) * step)
    assert step_of(np.diff(readings)) == pytest.approx(step, rel=1e-3)


def test_a_few_odd_readings_do_not_change_the_step() -> None:
    differences = np.concatenate([np.arange(0, 4_000, 40), [17, 1_003]])
    assert step_of(differences) == 40.0


def test_a_step_back_is_found_counted_and_costs_nothing() -> None:
    seen = report(planted([30, 30, -10, 30]), 10_000)
    assert seen.monotonic is False
    assert seen.backwards is not None
    assert 0.24 < seen.backwards / seen.watched < 0.26
    assert seen.cost.min == 0.0
    assert "NO" in str(Clocks((seen,)))


def test_a_clock_that_stands_still_has_no_step() -> None:
    seen = report(planted([0]), 1_000)
    assert (seen.step_ns, seen.cost.max) == (0.0, 0.0)


def test_every_clock_is_there_and_the_wall_clock_warns(found: Clocks) -> None:
    names = [one.name for one in found]
    assert names[-2:] == ["perf_counter_ns", "time_ns"]
    assert "can step" in found["time_ns"].warning
    assert found["perf_counter_ns"].warning == ""
    assert found["perf_counter_ns"].monotonic
    assert found[0].name == names[0]
    for one in found:
        assert one.cost.n == 100_000
        assert one.cost.min <= one.cost_p50_ns <= one.cost.max
        assert one.cost_p50_ns > 0
        assert one.watched > 200_000 or one.cores == 1
        assert one.cost.percentiles["p99.99"] is None


@pytest.mark.rust
def test_the_clocks_of_rust_come_first_the_counter_calibrated(found: Clocks) -> None:
    fallback = found["clock_gettime"]
    assert fallback.reads.startswith("clock_gettime(")
    assert fallback.calibration is None
    assert fallback.tick_ns == 1.0
    best = found[0]
    assert best.name == resolve("rust")[1].clock
    if best.name != "clock_gettime":
        trust = best.calibration
        assert trust is not None
        assert trust.against == fallback.reads
        assert trust.ns_per_tick == best.tick_ns
        assert trust.span_ns >= 20_000_000
        assert trust.bound_ppm > 0
        assert abs(trust.again_ppm) < 20_000
        assert abs(trust.drift_ppm) < 20_000
        assert trust.drift_ns > trust.span_ns
        assert best.monotonic
    assert best.cost_p50_ns < found["perf_counter_ns"].cost_p50_ns * 2


@pytest.mark.rust
def test_stamps_are_of_the_clock_that_was_asked_for() -> None:
    import hftlab_rust

    stamps = hftlab_rust.clock_stamps("clock_gettime", 1_000)
    assert stamps.shape == (1_000,)
    assert np.all(np.diff(stamps.astype(np.int64)) >= 0)
    with pytest.raises(ValueError, match=r"unknown clock 'sundial'; known: .*clock_gettime"):
        hftlab_rust.clock_stamps("sundial", 10)


def test_the_clock_of_an_engine_is_what_it_says() -> None:
    class Measuring(PythonBackend):
        def clock_cost(self, n: int) -> Any:
            return np.full(n, 7.0)

    class Silent(PythonBackend):
        clock = "hour glass"

    assert clock_of(PythonBackend()).name == "perf_counter_ns"
    own = clock_of(Measuring())
    assert (own.kind, own.cost_p50_ns, own.cost.n, own.backwards, own.monotonic) == ("engine", 7.0, READINGS, None, None)
    silent = clock_of(Silent())
    assert silent.name == "hour glass"
    assert "perf_counter_ns" in silent.reads


def test_the_chart_draws_percentiles_and_no_sample(found: Clocks) -> None:
    spec = found.plot().to_dict()
    rows = spec["layer"][0]["data"]["values"]
    assert {row["series"] for row in rows} == {one.name for one in found}
    assert {row["percentile"] for row in rows} == {0, 50, 90, 95, 99, 99.9}
    assert len(rows) == 6 * len(found)
    assert spec["layer"][0]["encoding"]["y"]["scale"]["type"] == "log"


@pytest.mark.parametrize("engine", ["python", pytest.param("rust", marks=pytest.mark.rust)])
def test_the_spin_sees_every_gap(engine: str) -> None:
    seen = jitter(0.1, engine=engine)
    assert seen.clock == f"{resolve(engine)[1].clock} in {engine}"
    assert 0.02 < seen.watched_s < 10
    assert seen.gaps > 1_000
    p50 = seen.percentiles["p50"]
    assert p50 is not None
    assert p50 <= seen.max_ns <= seen.watched_s * 1e9
    assert 0 <= seen.lost_share <= 1
    assert seen.long * 1e-5 <= seen.lost_s + 1e-9  # each long gap is lost time, too
    assert "of the time lost" in seen.headline()


def test_the_spin_counts_what_is_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {
        "ns": [20, 30, 50_000],
        "counts": [999_000, 900, 100],
        "watched_ns": 1e9,
        "lost_ns": 5e6,
        "long": 100,
        "max_ns": 60_000,
    }
    monkeypatch.setattr("hftlab.measurement.noise._python_spin", lambda *_: measured)
    seen = jitter(1.0, engine="python")
    assert isinstance(seen, Jitter)
    assert seen.percentiles == {"p50": 20.0, "p90": 20.0, "p95": 20.0, "p99": 20.0, "p99.9": 20.0, "p99.99": 30.0}
    assert (seen.gaps, seen.long_per_s, seen.lost_share) == (1_000_000, 100.0, 0.005)


def test_bad_arguments_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"seconds must be between 0.001 and 60, got 0"):
        jitter(0)
    with pytest.raises(hftlab.HftlabError, match="unknown backend 'fpga'"):
        jitter(0.01, engine="fpga")
