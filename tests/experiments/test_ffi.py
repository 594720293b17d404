"""Is every way into an engine timed, the loop subtracted, and the crossover put into words?"""

from collections.abc import Iterator

import planted
import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.errors import HftlabError
from hftlab.events import EVENT_DTYPE
from hftlab.experiments.ffi import FfiOverhead, Traffic, crossover


@pytest.fixture
def no_rust(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from planted.installed(monkeypatch, planted=planted.PlantedBackend())


@pytest.fixture(scope="module")
def found() -> FfiOverhead:
    return hftlab.ffi_overhead(rounds=3, messages=300)


def test_the_same_messages_cross_in_every_form() -> None:
    feed = hftlab.synthetic(messages=257)
    traffic = Traffic(feed)
    assert traffic.count == len(traffic.messages) == len(traffic.integers) == 257
    assert traffic.sizes() == (1, 10, 100, 257)
    for size in traffic.sizes():
        chunks = traffic.chunks(size)
        assert len(chunks) == -(-257 // size) == len(traffic.event_chunks(size))
        assert b"".join(chunks) == traffic.data
        assert sum(map(len, traffic.event_chunks(size))) == 257
    assert b"".join(len(each).to_bytes(2, "big") + each for each in traffic.messages) == traffic.data
    assert traffic.events.dtype == EVENT_DTYPE


def test_the_crossover_is_where_it_stays_below() -> None:
    curve = {1: 400.0, 10: 80.0, 100: 90.0, 1_000: 40.0}
    assert crossover(curve, 500.0) == 1
    assert crossover(curve, 85.0) == 1_000  # 10 is below, but 100 is not
    assert crossover(curve, 100.0) == 10
    assert crossover(curve, 40.0) is None


@pytest.mark.rust
def test_every_way_is_timed(found: FfiOverhead) -> None:
    ways = {(way.name, way.until, way.per_call): way for way in found.entry_points}
    expected = {("empty loop", "", 0), ("Python no-op", "", 0), ("Rust no-op", "", 0)}
    for until in ("tick", "book"):
        expected |= {("apply", until, 1), ("message", until, 1), ("Python engine", until, 300)}
        expected |= {(name, until, size) for name in ("push", "push_events") for size in (1, 10, 100, 300)}
    assert set(ways) == expected
    assert all(way.min_ns <= way.ns.median <= way.raw_ns for way in found.entry_points)
    loop, call = ways["empty loop", "", 0], ways["message", "book", 1]
    assert call.raw_ns - call.ns.median == pytest.approx(loop.raw_ns)
    whole = ways["push", "book", 300]
    assert whole.raw_ns - whole.ns.median == pytest.approx(loop.raw_ns / 300)


@pytest.mark.rust
def test_orders_of_magnitude_hold_on_any_machine(found: FfiOverhead) -> None:
    fastest = {(way.name, way.until, way.per_call): way.min_ns for way in found.entry_points}
    assert fastest["push", "book", 300] * 3 < fastest["Python engine", "book", 300]
    assert fastest["push_events", "tick", 300] * 3 < fastest["push_events", "tick", 1]


@pytest.mark.rust
def test_the_sentences_follow_from_the_numbers(found: FfiOverhead) -> None:
    text = "\n".join(found.sentences())
    for part in ("a call that does nothing", "until tick: the Python engine takes", "until book: the whole buffer takes"):
        assert part in text


def test_without_rust_there_is_one_clear_sentence(no_rust: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ffi"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hftlab: error: backend 'rust' is missing")
    assert len(error.splitlines()) == 1
    with pytest.raises(HftlabError, match="has no `noop` to call"):
        hftlab.ffi_overhead(backend="planted")
