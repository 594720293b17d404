"""Is the seed's method reproduced as it was, and is what is wrong with it found where it is planted?"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.errors import ConfigError
from hftlab.experiments.seed import SeedReport, seed_method
from hftlab.experiments.seed_stamps import STAGES, method_loop
from hftlab.experiments.seed_table import ADDED, FIGURES, FLOORED, LOOPS, METHOD, PUBLISHED, TRUTH
from hftlab.experiments.seed_workload import Input, SeedWorkload, inputs
from hftlab.measurement.distribution import TITLES


class Time:
    """A clock of ns that moves when it is read, by what a reading costs, and when a planted call says so."""

    def __init__(self, cost: int = 0) -> None:
        self.now, self.cost = 123_456, cost

    def read(self) -> int:
        self.now += self.cost
        return self.now


def planted(time: Time, **ns: Callable[[int], int]) -> Callable[[], Any]:
    """A workload whose stages take what `ns` says of each iteration, and nothing else."""

    class Planted:
        def __getattr__(self, stage: str) -> Callable[[Input], None]:
            def call(given: Input) -> None:
                time.now += ns[stage](given.timestamp)

            return call

    return Planted


def report(cost: int = 0, iterations: int = 1_000, rounds: int = 11, wall: Any = None, **ns: Callable[[int], int]) -> SeedReport:
    time = Time(cost)
    calm: dict[str, Callable[[int], int]] = {"tick": lambda i: 400, "book": lambda i: 2_600, "signal": lambda i: 1_200}
    work = planted(time, **{**calm, **ns})
    return seed_method(iterations, 1, rounds, workload=work, wall=wall(time) if wall else time.read, clock=time.read)


def said(found: SeedReport, start: str) -> list[str]:
    return [sentence for sentence in found.words() if sentence.startswith(start)]


def test_the_method_reads_a_clock_cut_to_microseconds_around_every_call() -> None:
    readings = iter([999, 1_000, 5_000, 5_999, 7_500, 10_499])
    calls: list[int] = []
    samples = method_loop(lambda one: calls.append(one.timestamp), inputs(3), lambda: next(readings))
    assert samples.tolist() == [1, 0, 3]
    assert calls == [0, 1, 2]


def test_the_truth_is_the_planted_time_whatever_a_reading_costs() -> None:
    for cost in (0, 70):
        found = report(cost)
        assert found.clock_ns == cost
        for stage, us in {"tick": 0.4, "book": 2.6, "signal": 1.2}.items():
            for source in (TRUTH, LOOPS):
                assert found.line(stage, source).figures == dict.fromkeys(FIGURES, us), (stage, source)
        assert found.line("total", TRUTH).figures == dict.fromkeys(FIGURES, 4.2)


def test_the_cut_moves_the_median_of_the_same_samples_and_hardly_the_mean() -> None:
    """Readings without a cost, so that the samples can be cut by hand."""
    found = report(iterations=1_000)
    for stage, ns in {"tick": 400, "book": 2_600, "signal": 1_200}.items():
        (effect,) = [one for one in found.effects if one.stage == stage]
        assert (effect.mean, effect.median) == (ns / 1_000, ns / 1_000)
        assert effect.floored_median == round(ns / 1_000)
        assert effect.floored_mean == pytest.approx(ns / 1_000, abs=0.01)
        figures = found.line(stage, FLOORED).figures
        assert (figures["mean"], figures["median"]) == (effect.floored_mean, effect.floored_median)
        assert {figures["min"], figures["max"]} == {float(ns // 1_000), float(ns // 1_000 + 1)}
    assert said(found, "tick processing: the same samples")[0].endswith("median 0.40 -> 0.00 us, mean 0.40 -> 0.40 us")


def test_adding_percentiles_is_not_measuring() -> None:
    """Two stages that are slow on different iterations: each p99 is slow, and no iteration is slow twice."""
    slow = {"tick": lambda i: 100_400 if i % 50 == 0 else 400, "book": lambda i: 102_600 if i % 50 == 25 else 2_600}
    found = report(**slow)
    sums, truth = found.line("total", LOOPS).figures, found.line("total", TRUTH).figures
    assert sums["p99"] == pytest.approx(204.2)
    assert truth["p99"] == pytest.approx(104.2)
    assert sums["median"] == pytest.approx(truth["median"], rel=1e-3)
    assert said(found, "end to end p99")[0].endswith("a ns clock is 204.20 us, measured 104.20 us: 1.97x and 1.96x the truth")
    assert said(found, "A/A control")[0].endswith("1.00x")
    for name in ADDED:
        own = sum(found.line(stage, METHOD).figures[name] for stage in STAGES)
        assert found.line("total", METHOD).figures[name] == own
    assert [found.line("total", METHOD).figures[name] for name in ("min", "max", "mean")] == [None] * 3


def test_the_published_end_to_end_is_its_rows_added_up() -> None:
    for name in ADDED:
        assert PUBLISHED["total"][name] == sum(PUBLISHED[stage][name] for stage in STAGES)
    assert said(report(), "the published end to end, 5 / 8 / 10 us")


def test_rows_within_one_step_of_the_clock_are_named() -> None:
    silent = [sentence.partition(":")[0] for sentence in report().words() if "says nothing: it is within" in sentence]
    assert silent == [TITLES["tick"], TITLES["signal"]]
    assert "the true one lies anywhere from 0 to 1 us; measured here: 0.40 us" in said(report(), "tick processing")[0]
    assert not [line for line in report(tick=lambda i: 3_000, signal=lambda i: 3_000).words() if "says nothing: it" in line]


def test_percentiles_on_few_samples_are_told_of_the_method_and_refused_to_the_truth() -> None:
    found = report(iterations=200, rounds=3)
    assert found.line("tick", METHOD).figures["p99"] is not None
    assert [found.line("total", TRUTH).figures[name] for name in ("median", "p95", "p99")] == [4.2, None, None]
    assert said(found, "of 200 iterations p95 rests on 10 samples and p99 rests on 2 samples beyond it")
    assert said(found, "end to end p99: n/a, fewer than 100 samples lie beyond it")
    assert not said(found, "A/A control")
    assert not said(report(iterations=10_000, rounds=3), "of 10,000 iterations")


def test_the_missing_warm_up_is_seen() -> None:
    found = report(tick=lambda i: 30_000 if i < 100 else 10_000)
    assert said(found, "no warm-up")[0].partition("tick ")[2].startswith("3.00x, book ")
    assert (found.effects[0].cold, found.effects[0].warm) == (30.0, 10.0)


def test_one_stop_of_the_process_is_not_taken_for_the_cold() -> None:
    found = report(tick=lambda i: 50_000_000 if i == 500 else 10_000)
    assert (found.effects[0].cold, found.effects[0].warm) == (10.0, 10.0)


def test_a_wall_clock_that_is_set_back_is_reported() -> None:
    def stepping(time: Time) -> Callable[[], int]:
        readings = 0

        def read() -> int:
            nonlocal readings
            readings += 1
            return time.read() - (1_000_000_000 if readings >= 1_002 else 0)  # within the 501st call

        return read

    found = report(wall=stepping)
    assert found.line("tick", METHOD).figures["min"] < -999_000
    assert sum(one.backwards for one in found.effects) == 1
    assert said(found, "the clock of its method")[0].endswith("1 samples of this run are below 0")
    assert said(report(), "the clock of its method")[0].endswith("no sample of this run is below 0")


def test_nothing_here_is_said_to_compare_with_the_engines() -> None:
    assert report().words()[-1].endswith("can be compared with those of hftlab's engines")


def test_the_workload_does_what_the_account_says() -> None:
    given = inputs(30, seed=7)
    assert given == inputs(30, seed=7) != inputs(30, seed=8)
    work = SeedWorkload()
    for one in given:
        work.tick(one)
        work.book(one)
        work.signal(one)
    last, prices = given[-1], [one.price for one in given]
    assert (work.symbol, work.price, work.volume, work.timestamp) == (last.symbol, last.price, last.volume, 29)
    assert (work.prices, work.volumes) == (prices, [one.volume for one in given])
    assert len(work.bids) == len(work.asks) == 20
    bid, ask = (sum(price * qty for price, qty in side[:10]) for side in (last.bids, last.asks))
    assert (work.bid_value, work.ask_value) == (bid, ask)
    assert work.signal_value == pytest.approx(np.mean(prices[-5:]) - np.mean(prices[-20:]) + (bid - ask) / (bid + ask))


@pytest.fixture(scope="module")
def real() -> SeedReport:
    return hftlab.experiments.seed_method(400, rounds=5)


def test_a_real_run_has_every_row_and_every_sample(real: SeedReport) -> None:
    frame = real.frame()
    assert frame.columns == ["stage", "source", "n", *FIGURES]
    assert frame["stage"].unique(maintain_order=True).to_list() == [TITLES[stage] for stage in (*STAGES, "total")]
    assert frame.filter(frame["source"] == TRUTH)["n"].to_list() == [2_000] * 4
    assert frame.filter(frame["source"] == METHOD)["n"].to_list() == [400] * 4
    medians = {stage: real.line(stage, TRUTH).figures["median"] for stage in (*STAGES, "total")}
    assert medians["total"] > medians["book"] > medians["tick"] >= 0  # by a factor of five and more
    assert real.clock_ns > 0
    assert not [sentence for sentence in real.lines() if "None" in sentence or "nan" in sentence]


def test_the_chart_shows_the_three_sources_and_the_step(real: SeedReport) -> None:
    vl_convert = pytest.importorskip("vl_convert")
    svg = vl_convert.vegalite_to_svg(real.plot().to_dict())
    words = ["as published", "by its method, here", "measured properly", "end to end", "median", "us (linear to 1 us", "band:"]
    assert [word for word in words if word not in svg] == []


def test_the_command_prints_the_table_and_saves_the_result(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "seed.json"
    assert main(["seed", "--iterations", "200", "--rounds", "3", "--out", str(path)]) == 0
    out = capsys.readouterr().out
    for word in (*TITLES.values(), "published", METHOD, TRUTH, "n/a", "0.85", "10.00"):
        if word != TITLES["order"]:
            assert word in out, word
    saved = json.loads(path.read_text())
    assert saved["schema"] == "hftlab-seed/1"
    assert len(saved["table_us"]) == 20
    assert main(["seed", "--iterations", "200", "--rounds", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rounds"] == 3


@pytest.mark.parametrize(("iterations", "rounds"), [(199, 5), (100_001, 5), (1_000, 2), (10_000, 201)])
def test_what_cannot_be_measured_is_one_sentence(iterations: int, rounds: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="allowed is"):
        seed_method(iterations, rounds=rounds)
    assert main(["seed", "--iterations", str(iterations), "--rounds", str(rounds)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
