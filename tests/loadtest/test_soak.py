"""Does a soak find what creeps, a leak or a drift, and say nothing of what does not?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_stress import LEAKY, SLOWING, Server

from hftlab.loadtest import soak_test
from hftlab.loadtest.soak import MEMORY, MIN_SAMPLES, SoakReport, Trend
from hftlab.measurement.machine import fingerprint

MB = 1_000_000


@given(st.lists(st.integers(-1_000, 1_000), min_size=MIN_SAMPLES, max_size=40), st.integers(-50, 50))
def test_the_slope_is_the_median_of_the_slopes_of_all_pairs(values: list[int], slope: int) -> None:
    x = np.arange(len(values))
    y = np.array(values) + slope * x
    pairs = [(y[j] - y[i]) / (j - i) for i in range(len(x)) for j in range(i + 1, len(x))]
    found = Trend.of(x, y)
    assert found is not None
    assert found.slope == pytest.approx(np.median(pairs))
    assert found.low <= found.slope <= found.high


def test_the_interval_holds_the_true_slope_as_often_as_it_says() -> None:
    """400 series of normal noise around a slope of 2: the interval of 99.9 % hardly ever misses it, and is not too wide."""
    random, x, held, climbs = np.random.default_rng(1), np.arange(30.0), 0, 0
    widths = []
    for _ in range(400):
        noise = random.normal(0, 20, 30)
        found, flat = Trend.of(x, 2 * x + noise), Trend.of(x, noise)
        assert found is not None
        assert flat is not None
        held += found.low <= 2 <= found.high
        widths.append(found.high - found.low)
        climbs += flat.climbs(0.0)
    assert held >= 396  # 4 of 400 outside: once in 1,000 times
    assert climbs <= 2
    assert np.median(widths) < 5 * 20 / np.sqrt(30**3 / 12) * 2  # of least squares: 2 z sd / sqrt(n^3 / 12), z = 3.3


def test_a_stall_or_two_do_not_move_it_and_too_few_samples_have_none() -> None:
    y = np.full(30, 100.0)
    y[[3, 17, 29]] = 1e9
    found = Trend.of(np.arange(30), y)
    assert found is not None
    assert (found.slope, found.low, found.change) == (0, 0, 0)
    assert Trend.of(np.arange(MIN_SAMPLES - 1), np.zeros(MIN_SAMPLES - 1)) is None
    assert Trend.of(np.zeros(20), np.arange(20)) is None


def soaked(samples: int = 60, **columns: Any) -> SoakReport:
    """A soak whose samples are planted: a constant, or a value by sample number."""
    given: dict[str, Any] = {
        "messages": lambda i: 1_000 * (i + 1), "passes": 1, "rss_bytes": 300 * MB, "engine_bytes": 2 * MB, "live_orders": 0,
        "heap_blocks": 500_000, "allocations": 0.0, "faults": 0, "service_p50": 200.0, "service_p99": 300.0,
        "response_p50": 210.0, "response_p99": 900.0, "response_max": 50_000.0, **columns,
    }  # fmt: skip
    rows = [
        {"at_s": i + 1.0, **{name: value(i) if callable(value) else value for name, value in given.items()}}
        for i in range(samples)
    ]
    return SoakReport("planted", "feed", 1e6, 0.5, float(samples), False, fingerprint(), tuple(rows))


def jagged(level: float, climb: float) -> Any:
    """A value that climbs by so much a sample under noise of 2 % of its level."""
    noise = np.random.default_rng(7).normal(0, 0.02 * level, 1_000)
    return lambda i: level + climb * i + noise[i]


@pytest.mark.parametrize(
    ("column", "values", "name"),
    [
        ("rss_bytes", lambda i: 300 * MB + 200_000 * i, "process"),
        ("rss_bytes", jagged(300 * MB, MB), "process"),
        ("engine_bytes", lambda i: 2 * MB + 1_000 * i, "engine"),
        ("heap_blocks", lambda i: 500_000 + 500 * i, "heap of Python"),
    ],
)
def test_memory_that_grows_is_found(column: str, values: Any, name: str) -> None:
    found = soaked(**{column: values})
    assert [MEMORY[column][0] for column in found.growing] == [name]
    assert found.verdict == "unsound"
    assert f"memory of the {name} grows" in found.failures[0]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"rss_bytes": jagged(300 * MB, 0)},
        {"rss_bytes": lambda i: (300 + 20 * (i > 4)) * MB},  # it warms up
        {"rss_bytes": lambda i: 300 * MB + 4_096 * i},  # for certain, and of no account
        {"rss_bytes": lambda i: 300 * MB - MB * i},
        {"rss_bytes": None, "heap_blocks": None, "allocations": None},  # where the system tells nothing
        {"response_max": lambda i: 1e9 if i % 7 == 0 else 1e4},
    ],
)
def test_memory_that_does_not_grow_is_sound(columns: dict[str, Any]) -> None:
    found = soaked(**columns)
    assert (found.failures, found.drifts, found.verdict) == ([], False, "sound")


def test_a_drift_of_the_latency_is_said_and_is_no_failure() -> None:
    found = soaked(service_p50=jagged(200, 1))
    assert found.drifts
    assert found.failures == []
    assert found.tables()[0].rows[-2][-1] == "yes"
    assert not soaked(service_p50=jagged(200, 0.05)).drifts
    assert soaked().tables()[0].rows[-2][-1] == "no"


def test_faults_and_orders_left_over_are_failures_and_few_samples_are_not_judged() -> None:
    assert "3 messages were refused" in soaked(faults=3).failures[0]
    assert "2 orders live in an empty book" in soaked(live_orders=2).failures[0]
    assert "6 samples, 8 are needed" in soaked(samples=8).notes()[0]
    assert soaked(samples=0).verdict == "not judged"
    assert "0 messages" in str(soaked(samples=0))


def test_ctrl_c_gives_what_was_seen_so_far() -> None:
    drives = iter(range(1_000_000))

    def strike() -> None:
        if next(drives) == 40:
            raise KeyboardInterrupt

    found = soak_test(Server(1_000, on_drive=strike), seconds=60, messages=500)
    assert found.interrupted
    assert "interrupted before 60 s" in found.notes()[0]
    assert found.to_dict()["interrupted"] is True


@pytest.fixture(scope="module")
def clean() -> SoakReport:
    return soak_test("python", seconds=2.5)


def test_a_real_engine_that_is_clean_is_found_sound(clean: SoakReport) -> None:
    assert clean.failures == []
    assert clean.target == "python"
    assert clean.samples[-1]["at_s"] > 2.4  # read a little before it is seen that time is up
    assert {row["live_orders"] for row in clean.samples} == {0}
    # The tables of an empty book, twice as large or not, however many messages have passed.
    assert max(row["engine_bytes"] for row in clean.judged) < 65_536


def patiently(target: Any, found: Callable[[SoakReport], object], **more: Any) -> SoakReport:
    """A soak in which it is found, or the longest: on a machine that is busy a short one sees too few messages."""
    for seconds in (1.5, 3.0, 6.0, 12.0, 24.0):
        report = soak_test(target, seconds=seconds, **more)
        if found(report):
            break
    return report


def test_a_real_leak_is_found(clean: SoakReport) -> None:
    """600 bytes an event, kept for ever."""
    found = patiently(LEAKY, lambda report: {"rss_bytes", "heap_blocks"} & set(report.growing))
    assert len(found.judged) >= MIN_SAMPLES
    assert {"rss_bytes", "heap_blocks"} & set(found.growing)
    assert "memory of the" in found.failures[0]
    assert (found.trend("heap_blocks") or clean).change > 10 * abs((clean.trend("heap_blocks") or found).change)  # type: ignore[union-attr]


def test_a_real_drift_is_found() -> None:
    """20 ns more a message, from one to the next."""
    found = patiently(SLOWING, lambda report: report.drifts, load=0.3, messages=2_000)
    assert found.drifts
    assert (found.trend("service_p50") or found).change > 0  # type: ignore[union-attr]


@pytest.mark.rust
def test_the_rust_engine_is_sound_and_asks_for_no_memory() -> None:
    found = soak_test("rust", seconds=2)
    assert found.failures == []
    assert max(row["allocations"] for row in found.judged) < 0.01
