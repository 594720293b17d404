"""Does hftlab.latency find what was planted: medians, tails, slow first messages, stalls, queues?"""

import json

import numpy as np
import pytest
from known_latency import KnownLatency

import hftlab
from hftlab.errors import ConfigError, HftlabError
from hftlab.experiments.latency import LatencyReport, warm_up
from hftlab.experiments.open_loop import open_loop
from hftlab.experiments.stage_timing import Agreement
from hftlab.measurement.distribution import Distribution, has_enough_samples, stamped

LATENCY = 12_000  # ns
FEED = hftlab.synthetic(messages=5_000)
FIRST = 500  # of them do not count, since this feed has no warm-up
#: Every 40th message stalls for 0.4 ms, the first fifth of the first ones for 0.1 ms, four messages for longer.
STALLS = {
    **dict.fromkeys(range(0, 5_000, 40), 400_000),
    **dict.fromkeys(range(100), 100_000),
    3_001: 40_000_000,
    1_777: 50_000_000,
    4_444: 30_000_000,
}
SLOWEST = {1_777, 3_001, 4_444}  # longer than what a busy machine takes away now and then


@pytest.fixture(scope="module")
def planted() -> LatencyReport:
    return hftlab.latency(KnownLatency(LATENCY, STALLS, stall_in="book"), FEED, rounds=3, slowest=8)


def test_the_median_and_the_tail_are_those_planted(planted: LatencyReport) -> None:
    total = planted["total"]
    assert total.n == 3 * (5_000 - FIRST)
    median, p95, p99 = (total.quantile(q) for q in (0.5, 0.95, 0.99))
    assert median is not None
    assert p95 is not None
    assert p99 is not None
    assert LATENCY * 0.5 < median < LATENCY * 1.5
    assert p95 < 300_000 < 350_000 < p99 < 1_500_000  # 2.5 % of the messages stall
    assert total.max >= 50_000_000
    assert planted["book"].max >= 50_000_000
    assert (planted["signal"].quantile(0.99) or 0) < 200_000


def test_the_first_messages_stand_apart(planted: LatencyReport) -> None:
    first = {row.part: row for row in planted.timings.cold_start_ns}["total"]
    assert first.n == 3 * 1_000
    assert (first.quantile(0.95) or 1e9) > 80_000  # a tenth of them was slowed
    assert (planted["total"].quantile(0.9) or 0) < 80_000
    assert planted.frame()["phase"].unique().sort().to_list() == ["alone", "cold", "cold start", "in a stream"]


def test_the_slowest_messages_are_those_planted(planted: LatencyReport) -> None:
    assert planted.slowest is not None
    stages = {slow.message.index: slow.stage for slow in planted.slowest.slow}
    assert stages.keys() >= SLOWEST
    assert {stages[at] for at in SLOWEST} == {"book"}


def test_stamps_and_whole_passes_agree_and_say_so(planted: LatencyReport) -> None:
    seen = planted.timings
    # A wait in the tick stage, from one release to the next, swallows what the other stages take; the stalls in the book remain.
    assert seen.stage_means_ns["book"] > 5_000
    assert seen.stage_ns["book"] > 5_000
    assert 0.4 < seen.stage_means_ns["book"] / seen.stage_ns["book"] < 2.5
    assert ("do not agree" not in seen.agreement()["book"].sentence()) is seen.agreement()["book"].agree
    assert seen.overhead is not None
    assert 0.4 < seen.overhead < 2.5  # the waits outweigh the stamps


def test_the_report_is_whole(planted: LatencyReport) -> None:
    timings = planted.to_dict()["timings"]
    assert {row["stage"] for row in timings["latency_ns"]} == {"tick", "book", "signal", "order", "total"}
    assert timings["latency_ns"][0]["p99.99"] is None
    assert planted.timeline()["series"].to_list() == ["p50", "p99", "max"]
    spectrum = planted.spectrum().filter(series="in a stream")
    assert spectrum["ns"].is_sorted()
    assert spectrum["percentile"].max() <= 100 * (1 - 100 / planted["total"].n)  # type: ignore[operator]
    assert "n/a" in planted._repr_html_()
    with pytest.raises(KeyError, match="no part 'nothing'; known: tick, book"):
        planted["nothing"]


def test_a_queue_behind_a_stall_is_counted_from_when_messages_were_due() -> None:
    """A message takes 0.1 ms and comes every 0.2 ms; one stall of 20 ms keeps about 200 waiting until the queue is gone."""
    found = open_loop(hftlab.Engine(KnownLatency(100_000, {300: 20_000_000})), FEED, rate=5_000, messages=1_000)  # type: ignore[arg-type]
    assert 50_000 < (found.service.quantile(0.9) or 0) < 1_000_000
    response = found.response.quantile(0.9)
    assert response is not None
    assert response > 5_000_000
    assert found.late >= 90
    assert found.response.max >= 20_000_000
    predicted = found.predicted.quantile(0.9)
    assert predicted is not None
    assert 3_000_000 < predicted < response * 1.1  # the prediction knows of no wait but the engine's own


def test_a_long_feed_is_counted_by_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hftlab.experiments.stage_timing.SAMPLES_LIMIT", 1_000)
    monkeypatch.setattr("hftlab.experiments.latency.SAMPLES_LIMIT", 1_000)
    found = hftlab.latency("python", hftlab.synthetic(messages=1_200), rounds=3)
    assert found["total"].n == 3_600  # in counts, the first messages are among the others
    assert {row.part: row.n for row in found.timings.cold_start_ns}["total"] == 3_000
    assert len(found.windows) == 1  # 1,000 messages bear no p99 of a stretch of their own


def test_an_engine_without_stamps_is_measured_by_whole_passes() -> None:
    class Session:
        def __init__(self, inner):  # type: ignore[no-untyped-def]
            self.inner = inner

        def __getattr__(self, name):  # type: ignore[no-untyped-def]
            return getattr(self.inner, name)

        def finish(self):  # type: ignore[no-untyped-def]
            return {**self.inner.finish(), "latency": None, "histograms": None, "slowest": None}

    class Silent(KnownLatency):
        def session(self, settings):  # type: ignore[no-untyped-def]
            return Session(super().session(settings))

    found = hftlab.latency(Silent(8_000), hftlab.synthetic(messages=500), rounds=3)
    assert (found.timings.latency_ns, found.arrivals, found.slowest, found.windows) == ((), (), None, ())
    assert found.timings.whole_ns > 7_000
    assert "no stamps" in " ".join(found.notes())
    assert found.frame().height == 0
    assert LatencyReport.from_dict(found.to_dict()).timings.stamped_ns is None


def test_an_engine_that_is_wrong_is_not_timed() -> None:
    class Wrong(KnownLatency):
        def session(self, settings):  # type: ignore[no-untyped-def]
            session = super().session(settings)
            session.book.best = lambda instrument: (0, 0, 0, 0)
            return session

    with pytest.raises(HftlabError, match="engines disagree; refusing to benchmark"):
        hftlab.latency(Wrong(1_000), hftlab.synthetic(messages=500), rounds=3)
    with pytest.raises(ConfigError, match="rounds must be between 3 and 1,000, got 2"):
        hftlab.latency("python", rounds=2)


def test_warming_up_goes_on_until_the_median_stands() -> None:
    steady = warm_up(hftlab.Engine(KnownLatency(50_000)), hftlab.synthetic(messages=200))  # type: ignore[arg-type]
    assert 3 <= len(steady.p50_ns) <= 12
    assert "warmed up in" in str(steady)


def test_a_percentile_is_only_said_where_the_sample_bears_it() -> None:
    assert [has_enough_samples(n, 0.99) for n in (0, 9_999, 10_000)] == [False, False, True]
    assert [has_enough_samples(n, 0.9999) for n in (999_999, 1_000_000)] == [False, True]
    few = Distribution.of("total", np.arange(1.0, 1_000.0), clock_ns=10.0)
    assert (few.percentiles["p50"], few.percentiles["p95"], few.min) == (490.0, None, 0.0)
    assert few.raw.quantile(0.5) == 500.0
    assert few.mean == pytest.approx(np.maximum(np.arange(1.0, 1_000.0) - 10.0, 0).mean())
    assert max(point["percentile"] for point in few.spectrum()) <= 90.0
    assert sum(one["count"] for one in few.bins()) == 999


def test_the_agreement_says_which_to_believe() -> None:
    same = Agreement("tick", 1_000, 1_100, 20)
    assert same.agree
    assert same.sentence() == "tick processing: stamps 1,000.0 ns, whole passes 1,100.0 ns; they agree"
    assert not Agreement("tick", 1_000, 2_000, 20).agree
    short = Agreement("tick", 40, 7, 30)
    assert not short.agree
    assert short.sentence().endswith("they do not agree, and it is shorter than 10 readings of 30 ns: believe the passes")
    assert "lost in the noise" in Agreement("tick", 40, -7, 30).sentence()


def test_nothing_is_shown_finer_than_the_step_of_the_clock() -> None:
    assert [stamped(ns, 40.0, 1.0, 1) for ns in (None, 0.0, 39.9, 40.0, 101.0)] == ["n/a", "< 40.0", "< 40.0", "40.0", "120.0"]
    assert stamped(0.0, 0.4, 1e3, 3) == "< 0.001"
    row = Distribution.of("total", np.arange(1_000.0), step_ns=100.0)
    assert row.cells()[:2] == ["< 0.100", "1.000"]
    assert (row.values()["min"], row.values()["p50"], row.values()["p99"]) == (None, 500.0, None)
    assert row.reasons()["min"] == "below one step of the clock, 100 ns"
    assert Distribution.of("total", np.arange(150.0), step_ns=100.0).raw_p50 is None
    assert row.reasons()["p99"] == "fewer than 100 samples beyond it"
    assert min(point["ns"] for point in row.spectrum()) == 100.0


def test_a_distribution_comes_back_from_json_as_it_was() -> None:
    for ns in (np.empty(0), np.zeros(5), np.full(10, 4e12), np.exp(np.random.default_rng(1).normal(9, 2, 20_000))):
        row = Distribution.of("total", ns, 3.0, 10.0)
        again = Distribution.from_dict(json.loads(json.dumps(row.to_dict())))
        assert again.to_dict() == row.to_dict()
    with pytest.raises(HftlabError, match="a distribution cannot be read"):
        Distribution.from_dict({"stage": "tick", "histogram": {"ns": [1]}, "clock_ns": 0.0, "step_ns": 0.0})
