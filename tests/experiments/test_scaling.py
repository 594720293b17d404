"""Does the traffic of a scale curve keep the book as large as it says, and is the build-up left out of the time?"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import planted
import pytest

import hftlab
from hftlab.errors import BackendMissing, ConfigError, HftlabError, UnknownName
from hftlab.events import Kind
from hftlab.experiments.scaling import AGAIN, FIXED, contenders, decades, scaling
from hftlab.feeds.frames import Block
from hftlab.feeds.generate.steady import steady
from hftlab.settings import Settings


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from planted.installed(monkeypatch, planted=planted.PlantedBackend())


@pytest.mark.parametrize(
    ("orders", "instruments", "levels"), [(16, 1, 1), (101, 1, 3), (400, 7, 2), (3_000, 1, 50), (90, 200, 5)]
)
def test_the_population_stays_as_it_is(orders: int, instruments: int, levels: int) -> None:
    made = steady(orders, instruments, levels, messages=4_000)
    session = hftlab.Engine("python").open(Settings(until="book", record="none"))
    session.push(made.build)
    depth = []
    for number in range(4):
        live = session.counters()["memory"]["live_orders"]
        assert live == orders
        depth.append(sum(len(session.depth(one)) for one in range(1, instruments + 1)))
        session.push(made.chunk(number, 1_000))
    result = session.counters()
    assert result["messages"] == orders + 4_000
    assert sum(result["faults"]) == 0
    assert max(depth) <= 2 * levels * instruments
    assert max(depth) - min(depth) <= 0.2 * max(depth)


def test_the_pattern_is_deletes_adds_executions_and_replacements() -> None:
    made = steady(100, messages=1_000)
    events = hftlab.decode(made.feed(), "python")[100:]
    assert Counter(events["kind"].tolist()) == {Kind.DELETE: 400, Kind.ADD: 400, Kind.EXECUTE: 100, Kind.REPLACE: 100}
    assert (np.diff(events["ts_ns"].astype(np.int64)) > 0).all()


def test_what_is_touched_next_is_far_from_what_was_touched_last() -> None:
    events = hftlab.decode(steady(5_000, messages=5_000).feed(), "python")[5_000:]
    touched = events["order_id"][events["kind"] == Kind.DELETE].astype(np.int64)
    assert np.median(np.abs(np.diff(touched))) > 500


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    assert steady(50, seed=4) == steady(50, seed=4)
    assert steady(50, seed=4) != steady(50, seed=5)


def test_numbers_out_of_range_are_refused() -> None:
    for wrong in ({"orders": 15}, {"instruments": 0}, {"levels": 49_001}, {"messages": 15}, {"messages": 0}):
        with pytest.raises(ConfigError, match=r"must be|allowed is"):
            steady(**{"orders": 16, **wrong})


def test_the_build_up_is_not_counted(engine: None) -> None:
    found = scaling("orders", [16, 200], backend="planted", rounds=3, messages=100)
    ns = {(point.variant, point.size): point.ns.median for point in found.points}
    expected = {"naive": 100, "book=btree": 80, "book=sorted": 70, "orders=std": 90, "best": 60, AGAIN: 60}
    assert ns == {(name, size): cost for name, cost in expected.items() for size in (16, 200)}
    assert [point.live_orders for point in found.points] == [16] * 6 + [200] * 6
    assert found.frame()["min"].to_list() == [point.ns.median for point in found.points]  # every planted round is the same
    assert found.frame()["variant"].unique(maintain_order=True).to_list() == list(expected)


def test_the_chart_shows_medians_or_the_fastest_rounds(engine: None) -> None:
    found = scaling("orders", [16, 200], ["best"], backend="planted", rounds=3, messages=100)
    found = replace(found, points=tuple(replace(point, min_ns=50.0) for point in found.points))
    shown = {fastest: json.dumps(found.plot(fastest=fastest).to_dict()) for fastest in (False, True)}
    assert '"y": 60.0' in shown[False]
    assert '"y": 50.0' in shown[True]
    assert "the fastest of each" in shown[True]


def test_contenders_are_chosen_by_name(engine: None) -> None:
    chosen = contenders("planted", ["naive", "book=sorted,pool=False", "python"])
    assert {name: one.variant for name, one in chosen.items()} == {
        "naive": {"book": "btree", "orders": "std", "pool": False, "signal": "recompute"},
        "book=sorted,pool=False": {"book": "sorted", "orders": "flat", "pool": False, "signal": "incremental"},
        "python": {},
    }
    with pytest.raises(UnknownName, match="unknown book 'skiplist'; known: btree, sorted, ladder"):
        contenders("planted", ["book=skiplist"])
    with pytest.raises(UnknownName, match="known: naive, best, book=NAME"):
        contenders("planted", ["quick"])


def test_a_curve_that_cannot_be_drawn_is_refused(engine: None) -> None:
    for wrong, word in (
        ({"axis": "width"}, "known: orders, instruments, depth"),
        ({"messages": 15}, "multiple of 10"),
        ({"rounds": 1}, "rounds must be between 3 and 1,000, got 1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"sizes": []}, "at least 1 each, got 0 and"),
        ({"variants": []}, "at least 1 each, got .* and 0"),
        ({"axis": "orders", "sizes": [3]}, "orders must be .*, got 3"),
    ):
        with pytest.raises(HftlabError, match=word):
            scaling(**{"backend": "planted", **wrong})
    with pytest.raises(BackendMissing):
        scaling()


def test_the_axes_reach_as_far_as_they_say() -> None:
    assert [decades(axis, full=False)[0] for axis in FIXED] == [100, 1, 1]
    assert [decades(axis, full=True)[-1] for axis in FIXED] == [1_000_000, 10_000, 10_000]
    assert decades("depth", full=True)[:4] == [1, 2, 5, 10]


@pytest.mark.rust
@pytest.mark.parametrize(("axis", "size"), [("orders", 20), ("instruments", 1), ("depth", 1)])
def test_every_axis_is_measured_by_rust(axis: str, size: int) -> None:
    found = scaling(axis, [size, 5 * size], ["naive", "best"], rounds=3, messages=500)
    assert [point.variant for point in found.points] == ["naive", "best", AGAIN] * 2
    assert all(0 < point.ns.low <= point.ns.median <= point.ns.high for point in found.points)


@pytest.mark.rust
def test_a_session_of_rust_tells_its_time() -> None:
    session, made = hftlab.Engine("rust").open(), steady(100, messages=1_000)
    assert session.elapsed_ns == 0
    data: Block = made.build
    session.push(data)
    first = session.elapsed_ns
    assert first > 0
    session.push(made.chunk(0, 1_000))
    assert first < session.elapsed_ns == session.counters()["elapsed_ns"]
