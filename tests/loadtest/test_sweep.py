"""Does a swept load find the capacity and the knee that were planted, and is latency counted from the intended send time?"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_latency import KnownLatency
from planted_stress import Server

import hftlab
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.loadtest import load_sweep
from hftlab.loadtest.schedule import drained_at, due_at, queue_length
from hftlab.loadtest.sweep import CapacityCurve, LoadSweep
from hftlab.loadtest.target import Batches, EngineTarget, Workload

FEED = hftlab.synthetic(messages=12_000)


def swept(*servers: Server, **more: Any) -> LoadSweep:
    given: dict[str, Any] = {"warm": 0, "messages": 11_000, "seconds": 1.2, "rounds": 1, "arrivals": "even", **more}
    return load_sweep(servers, FEED, **given)


def test_arrivals_are_what_they_are_called() -> None:
    assert due_at(5, 1e6, "even").tolist() == [0, 1_000, 2_000, 3_000, 4_000]
    due = due_at(100_000, 1e5, "poisson", seed=3)
    gaps = np.diff(due)
    assert (due[0], due[-1]) == (0, due_at(100_000, 1e5, "even")[-1])
    assert gaps.min() >= 0
    assert gaps.std() / gaps.mean() == pytest.approx(1, rel=0.02)  # exponential
    assert due.tolist() == due_at(100_000, 1e5, "poisson", seed=3).tolist() != due_at(100_000, 1e5, "poisson", seed=4).tolist()
    for n, rate in ((5, 0.0), (5, float("nan")), (-1, 1.0)):
        with pytest.raises(ConfigError, match="must be"):
            due_at(n, rate)
    with pytest.raises(UnknownName, match="known: poisson, even"):
        due_at(5, 1.0, "bursty")


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=30))
def test_the_queue_is_counted_as_it_stands(calls: list[tuple[int, int]]) -> None:
    due = np.cumsum([gap for gap, _ in calls])
    free, done = 0, []
    for at, (_, length) in zip(due.tolist(), calls, strict=True):
        free = max(free, at) + length
        done.append(free)
    times = np.arange(0, free + 2)
    counted = queue_length(times, due, np.array(done))
    assert counted.tolist() == [sum(at <= now < end for at, end in zip(due, done, strict=True)) for now in times.tolist()]
    for after in range(len(calls)):
        empty = next(now for now in times.tolist() if now >= done[after] and counted[now] == 0)
        assert drained_at(due, np.array(done), after) == empty


def test_calls_are_cut_between_messages() -> None:
    data = b"".join(map(bytes, hftlab.synthetic(messages=25).blocks()))
    for each, sizes in ((1, [1] * 25), (10, [10, 10, 5]), (25, [25]), (30, [25])):
        calls = Batches.of(data, each)
        assert [len(Batches.of(piece)) for piece in calls.pieces] == sizes
        assert b"".join(calls.pieces) == data
    assert Batches.of(data).head(2).pieces == Batches.of(data).pieces[:2]
    with pytest.raises(HftlabError, match="message 1: length prefix 0"):
        Batches.of(data[: Batches.of(data).ends[0]] + b"\0\0rubbish")


@pytest.mark.parametrize("service_ns", [100_000, 250_000])
def test_a_server_of_a_known_time_has_the_capacity_of_theory(service_ns: int) -> None:
    found = swept(Server(service_ns), seconds=5_000 * service_ns / 1e9)["server"]
    theory = 1e9 / service_ns
    assert found.flat_out == pytest.approx(theory, rel=1e-6)
    assert found.capacity == pytest.approx(theory, rel=0.02)
    assert found.above is not None
    assert found.above == pytest.approx(theory, rel=0.03)
    # Evenly spaced, nothing waits below the capacity, and everything does above it.
    assert found.knee == pytest.approx(theory, rel=0.05)
    low, high = found.points[0], found.points[-1]
    assert low.median("response", "p50") == low.median("service", "p50") == service_ns
    assert high.median("service", "p50") == service_ns
    assert (high.median("response", "p50") or 0) > 100 * service_ns


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_random_arrivals_wait_as_long_as_pollaczek_and_khinchine_say(load: float) -> None:
    """M/D/1: the mean wait is load / (2 (1 - load)) service times."""
    n = 200_000
    many = Batches(b"", np.zeros(n, np.int64))
    run = Server(1_000).open().drive(many, due_at(n, load * 1e6, "poisson", seed=5))
    wait = (run.response - run.service).mean() / 1_000
    assert wait == pytest.approx(load / (2 * (1 - load)), rel=0.08)


def test_the_knee_is_where_p99_is_three_times_what_it_is_at_light_load() -> None:
    found = swept(Server(), arrivals="poisson", rounds=3, seconds=1.0)["server"]
    assert found.capacity is not None
    assert found.knee is not None
    assert found.percentile == "p99"
    assert 0.6 < found.knee / found.capacity < 0.98
    light = [point.median("response", "p99") or 0 for point in found.points if point.offered <= 0.5 * found.capacity]
    after = [point.median("response", "p99") or 0 for point in found.points if point.offered > found.knee]
    assert min(after) > 3 * np.median(light)


def test_what_a_closed_loop_hides_is_seen_and_said() -> None:
    """A stall of a second in ten at 1,000 calls/s: one slow call in a closed loop, a tenth of all from when they were due."""

    def stalling(calls: Any) -> Any:
        return np.where(calls == 5_000, 1e9, 10_000.0)

    work = Workload.of(FEED, 0, 10_000)
    run = work.drive(Server(service=stalling), due_at(10_000, 1_000, "even"))
    assert np.quantile(run.service, 0.99) == 10_000
    assert np.quantile(run.response, 0.99) == pytest.approx(9e8, rel=0.02)
    found = swept(Server(), loads=(0.5, 1.2))
    (row,) = found.tables()[0].rows
    assert row[0] == "server"
    assert row[-3].startswith("p9")
    assert row[-2] == "100"
    assert float(row[-1].replace(",", "")) > 1_000


def test_a_stall_does_not_make_a_server_one_that_cannot_keep_up() -> None:
    work = Workload.of(FEED, 0, 5_000)

    def once(calls: Any) -> Any:
        return np.where(calls == 4_800, 20e6, 100_000.0)

    assert work.drive(Server(service=once), due_at(5_000, 7_000, "even")).kept_up
    assert not work.drive(Server(), due_at(5_000, 10_500, "even")).kept_up


def test_a_target_that_never_keeps_up_has_no_capacity() -> None:
    curve = CapacityCurve("slow", 10.0, swept(Server(), loads=(1.5,))["server"].points[-1:])
    assert curve.capacity is None
    assert curve.knee is None
    assert not curve.saturated.sustained


def test_a_real_engine_of_a_known_time_is_not_found_quicker_than_it_is() -> None:
    engine = hftlab.Engine(KnownLatency(200_000))  # type: ignore[arg-type]
    found = load_sweep([engine], FEED, loads=(0.4, 0.8, 1.3), rounds=1, messages=250, warm=10, seconds=0.05, arrivals="even")[
        "known"
    ]
    assert found.capacity is not None
    assert 0 < found.capacity <= 5_000 * 1.02
    for point in found.points:
        assert (point.median("service", "p50") or 0) >= 200_000
        assert (point.median("response", "p50") or 0) >= (point.median("service", "p50") or 0)
        assert point.achieved <= 5_000 * 1.02


@pytest.mark.parametrize("backend", ["python", pytest.param("rust", marks=pytest.mark.rust)])
@pytest.mark.parametrize("each", [1, 7])
def test_an_engine_is_driven_in_order_on_time_and_through_all_of_it(backend: str, each: int) -> None:
    target, data = EngineTarget(hftlab.Engine(backend)), b"".join(map(bytes, FEED.blocks()))
    calls, line = Batches.of(data, each), target.open()
    run = line.drive(calls, due_at(len(calls), 1e5, "poisson"))
    assert (run.began >= run.due - 1).all()  # nothing before its time, but for the rounding of a tick
    assert (run.done >= run.began).all()
    assert (run.began[1:] >= run.done[:-1] - 1).all()  # one at a time
    straight = hftlab.Engine("python").run(FEED, record="none")
    result = line.finish()
    assert (result["messages"], result["order_stream"]) == (12_000, straight.order_stream)


@pytest.mark.rust
def test_a_schedule_that_makes_no_sense_is_refused_by_rust() -> None:
    session = hftlab.Engine("rust").open()
    empty = np.zeros(2, np.int64)
    for ends, due in (([14, 99], [0, 0]), ([14, 5], [0, 0]), ([14, 14], [5, 4]), ([14], [0])):
        with pytest.raises(ValueError, match="must not descend"):
            session.paced(bytes(20), np.array(ends), np.array(due), empty, empty.copy())  # type: ignore[attr-defined]
