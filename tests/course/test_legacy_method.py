"""Is the legacy method reproduced as it was, and is each of its faults found where it is planted?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from course.legacy_method import (
    FIGURES,
    PUBLISHED_US,
    SUMMED,
    LegacyReport,
    findings,
    legacy_method,
)
from course.legacy_workload import FLOORED, LOOPS, METHOD, STAGES, TRUTH, Input, LegacyWorkload, inputs, legacy_loop

from hftlab.errors import ConfigError

QUIET_NS = {"tick": 400, "book": 2_600, "signal": 1_200}


class Time:
    """A clock of ns that moves when it is read, by the cost of a reading, and when a planted call moves it."""

    def __init__(self, cost: int = 0) -> None:
        self.now, self.cost = 123_456, cost

    def read(self) -> int:
        self.now += self.cost
        return self.now


def report(
    cost: int = 0, iterations: int = 1_000, rounds: int = 11, wall: Any = None, **ns: Callable[[int], int]
) -> LegacyReport:
    """Of a workload whose stages take what `ns` gives for each iteration, else QUIET_NS."""
    time = Time(cost)

    class Planted:
        def __getattr__(self, stage: str) -> Callable[[Input], None]:
            def call(data: Input) -> None:
                time.now += ns[stage](data.timestamp) if stage in ns else QUIET_NS[stage]

            return call

    return legacy_method(iterations, 1, rounds, workload=Planted, wall=wall(time) if wall else time.read, clock=time.read)


def sentences(found: LegacyReport, start: str) -> list[str]:
    return [sentence for sentence in findings(found) if sentence.startswith(start)]


def test_the_method_reads_a_clock_cut_to_microseconds_around_every_call() -> None:
    readings = iter([999, 1_000, 5_000, 5_999, 7_500, 10_499])
    calls: list[int] = []
    samples = legacy_loop(lambda data: calls.append(data.timestamp), inputs(3), lambda: next(readings))
    assert samples.tolist() == [1, 0, 3]
    assert calls == [0, 1, 2]


@pytest.mark.parametrize("cost", [0, 70])
def test_the_measured_time_is_the_planted_one_whatever_a_reading_costs(cost: int) -> None:
    found = report(cost)
    assert found.clock_ns == cost
    for stage, ns in QUIET_NS.items():
        for source in (TRUTH, LOOPS):
            assert found.row(stage, source).figures == dict.fromkeys(FIGURES, ns / 1_000), (stage, source)
    assert found.row("total", TRUTH).figures == dict.fromkeys(FIGURES, 4.2)


def test_the_cut_moves_the_median_of_the_same_samples_and_hardly_the_mean() -> None:
    found = report()
    for effect, ns in zip(found.effects, QUIET_NS.values(), strict=True):
        assert (effect.mean, effect.median) == (ns / 1_000, ns / 1_000)
        assert effect.floored_median == round(ns / 1_000)
        assert effect.floored_mean == pytest.approx(ns / 1_000, abs=0.01)
        figures = found.row(effect.stage, FLOORED).figures
        assert {figures["min"], figures["max"]} == {float(ns // 1_000), float(ns // 1_000 + 1)}


def test_adding_percentiles_is_not_measuring() -> None:
    """Two stages that are slow on different iterations: each p99 is slow, and no iteration is slow twice."""
    slow = {"tick": lambda i: 100_400 if i % 50 == 0 else 400, "book": lambda i: 102_600 if i % 50 == 25 else 2_600}
    found = report(**slow)
    sums, truth = found.row("total", LOOPS).figures, found.row("total", TRUTH).figures
    assert sums["p99"] == pytest.approx(204.2)
    assert truth["p99"] == pytest.approx(104.2)
    assert sums["p50"] == pytest.approx(truth["p50"], rel=1e-3)
    assert found.control == pytest.approx(1.0)
    assert sentences(found, "end to end p99")[0].endswith("1.97x and 1.96x of it")
    for name in SUMMED:
        method = sum(found.row(stage, METHOD).figures[name] or 0 for stage in STAGES)
        assert found.row("total", METHOD).figures[name] == method
        assert PUBLISHED_US["total"][name] == sum(PUBLISHED_US[stage][name] for stage in STAGES)
    assert sentences(found, "the published end to end, 5 / 8 / 10 us")


def test_rows_within_one_step_of_the_clock_are_named() -> None:
    silent = [sentence.partition(":")[0] for sentence in findings(report()) if "says nothing: it is within" in sentence]
    assert silent == [STAGES["tick"], STAGES["signal"]]
    long = report(tick=lambda i: 3_000, signal=lambda i: 3_000)
    assert not [sentence for sentence in findings(long) if "says nothing: it is within" in sentence]


def test_percentiles_on_few_samples_are_printed_by_the_method_and_refused_when_measured() -> None:
    found = report(iterations=200, rounds=3)
    assert found.row("tick", METHOD).figures["p99"] is not None
    assert [found.row("total", TRUTH).figures[name] for name in SUMMED] == [4.2, None, None]
    assert found.control is None
    assert sentences(found, "of 200 iterations p95 rests on 10 samples and p99 rests on 2 samples beyond it")
    assert not sentences(report(iterations=10_000, rounds=3), "of 10,000 iterations")


def test_the_workload_does_what_the_account_says() -> None:
    data = inputs(30, seed=7)
    assert data == inputs(30, seed=7) != inputs(30, seed=8)
    work = LegacyWorkload()
    for each in data:
        work.tick(each)
        work.book(each)
        work.signal(each)
    prices = [each.price for each in data]
    assert (work.prices, work.volumes) == (prices, [each.volume for each in data])
    bid, ask = (sum(price * qty for price, qty in side[:10]) for side in (data[-1].bids, data[-1].asks))
    assert (work.bid_value, work.ask_value) == (bid, ask)
    assert work.signal_value == pytest.approx(np.mean(prices[-5:]) - np.mean(prices[-20:]) + (bid - ask) / (bid + ask))


def test_a_real_run_has_every_row_every_sample_and_its_chart() -> None:
    found = legacy_method(400, rounds=5)
    frame = found.frame()
    assert frame.columns == ["stage", "source", "n", *FIGURES]
    assert frame.filter(frame["source"] == TRUTH)["n"].to_list() == [2_000] * 4
    assert frame.filter(frame["source"] == METHOD)["n"].to_list() == [400] * 4
    medians = {stage: found.row(stage, TRUTH).figures["p50"] or 0 for stage in (*STAGES, "total")}
    assert medians["total"] > medians["book"] > medians["tick"] >= 0  # by a factor of five and more
    (table,) = found.tables()
    assert len(table.rows) == 20
    vl_convert = pytest.importorskip("vl_convert")
    svg = vl_convert.vegalite_to_svg(found.plot().to_dict())
    assert [
        name for name in (*STAGES.values(), "as published", METHOD, TRUTH, "p50", "us (linear to 1 us") if name not in svg
    ] == []


@pytest.mark.parametrize(("iterations", "rounds"), [(199, 5), (100_001, 5), (1_000, 2), (10_000, 201)])
def test_what_cannot_be_measured_is_refused(iterations: int, rounds: int) -> None:
    with pytest.raises(ConfigError, match="must be"):
        legacy_method(iterations, rounds=rounds)
