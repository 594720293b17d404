"""Do the engines keep their stamps as they are asked, in bounded memory, and the slowest messages with their neighbours?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hftlab
from hftlab.engine.engine import Engine
from hftlab.engine.python import PythonBackend, PythonSession
from hftlab.engine.timing import PARTS, Histogram, Slowest
from hftlab.settings import Settings

FEED = hftlab.synthetic(messages=70_000, seed=5)  # more than a block of the Python engine


@pytest.mark.parametrize("mode", ["stages", "total"])
def test_counts_are_those_of_the_samples(backend: str, mode: str) -> None:
    run = Engine(backend).run(FEED, "none", mode, keep="both", slowest=20)
    assert run.latency is not None
    assert run.histograms is not None
    assert set(run.latency) == set(run.histograms) == set(PARTS)
    for part, ns in run.latency.items():
        assert len(ns) == run.messages
        counted, expected = run.histograms[part], Histogram.of(ns)
        assert np.array_equal(counted.counts, expected.counts)
        assert (counted.min, counted.max) == (expected.min, expected.max)
        assert counted.total == pytest.approx(expected.total)
    assert run.slowest is not None
    order = np.argsort(-run.latency["total"], kind="stable")[:20]
    assert [capture.at for capture in run.slowest] == order.tolist()
    for at, first, stamps in run.slowest:
        assert first == max(0, at - 8)
        assert len(stamps) == min(at + 9, run.messages) - first
        total = run.latency["total"][first : first + len(stamps)]
        assert np.abs((stamps[:, 4] - stamps[:, 0]) - total).max() <= 1  # ns, rounded
        assert (np.diff(stamps.reshape(-1)) >= 0).all(), "a clock that goes back"


def test_only_what_is_asked_for_is_kept(backend: str) -> None:
    engine = Engine(backend)
    off = engine.run(FEED, "none", slowest=3, keep="both")
    assert (off.latency, off.histograms, off.slowest) == (None, None, None)
    counted = engine.run(FEED, "none", True, keep="histogram")
    assert counted.latency is None
    assert counted.slowest is None
    assert counted.histograms is not None
    assert {one.n for one in counted.histograms.values()} == {70_000}
    samples = engine.run(FEED, "none", True)
    assert samples.histograms is None
    assert samples.latency is not None


def test_an_engine_that_keeps_samples_only_is_counted_for() -> None:
    class Simple(PythonSession):
        def finish(self):  # type: ignore[no-untyped-def]
            return {name: value for name, value in super().finish().items() if name not in ("histograms", "slowest")}

    class Backend(PythonBackend):
        def session(self, settings: Settings):  # type: ignore[no-untyped-def]
            return Simple(settings)

    run = Engine(Backend()).run(hftlab.synthetic(messages=500), "none", True, keep="both", slowest=2)  # type: ignore[arg-type]
    assert run.histograms is not None
    assert run.histograms["book"].n == 500
    assert run.slowest is None


@given(st.data())
def test_the_slowest_are_those_of_the_whole_stream_however_it_is_cut(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(0, 6), max_size=60))
    k, around = data.draw(st.integers(1, 8)), data.draw(st.integers(0, 5))
    ends = np.cumsum([length + 1 for length in lengths], dtype=np.int64)
    rows = np.stack([ends - np.array(lengths, np.int64), *[ends] * 4], axis=1) if lengths else np.empty((0, 5), np.int64)
    slowest, at = Slowest(k, around), 0
    while at < len(rows):
        size = data.draw(st.integers(1, 20))
        slowest.add(rows[at : at + size])
        at += size
    expected = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))[:k]
    assert [capture.at for capture in slowest.captures()] == expected
    for number, first, stamps in slowest.captures():
        low = max(0, number - around)
        assert first == low
        assert np.array_equal(stamps, rows[low : number + around + 1])


@pytest.mark.parametrize(("mode", "readings"), [("off", 0), ("total", 2), ("stages", 8)])
def test_stamping_costs_at_most_a_pair_of_readings_per_stage(mode: str, readings: int, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def clock() -> int:
        nonlocal count
        count += 1
        return count

    monkeypatch.setattr("hftlab.engine.python.perf_counter_ns", clock)
    run = Engine("python").run(hftlab.synthetic(messages=1_000), "none", mode)
    assert 0 < count <= 1_000 * readings + 8  # a few more around each block
    if run.latency is not None:
        assert (run.latency["total"] > 0).all()
