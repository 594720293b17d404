"""Does a claim print its figure and bound, a prediction its result, a table its units; is a learner's Rust compiled, called, and
stopped; are the stored figures whole, marked as stored, and drawn like those that are measured?"""

import json

import polars as pl
import pytest
from course import claim, latency_map, reveal, rust_function, show
from course.lessons import LESSONS
from course.rust_function import RustFunction, rustc
from course.shown import significant
from course.stored_network import NAMES, rounded, stored

from hftlab.errors import BackendMissing, HftlabError, UnknownName
from hftlab.measurement.paired import Interval, Paired
from hftlab.presentation.result import Result

RATIO = Interval(41.83, 41.0, 44.74)


def test_a_claim_prints_figure_interval_control_and_bound(capsys: pytest.CaptureFixture[str]) -> None:
    claim("Rust against Python", RATIO, above=8, unit="")
    claim("paired", Paired(100.0, 2.4, RATIO, Interval(1.0, 0.99, 1.01)), above=8)
    claim("queue", 1_234.5, above=10, below=2_000, unit=" messages")
    assert capsys.readouterr().out.splitlines() == [
        "Rust against Python: 41.83x [41.00, 44.74] (claim: above 8)",
        "paired: 41.83x [41.00, 44.74], A/A 1.000x [0.990, 1.010] (claim: above 8)",
        "queue: 1,234 messages (claim: above 10 and below 2,000 messages)",
    ]


@pytest.mark.parametrize("bounds", [{"above": 50}, {"below": 41}, {"above": 1, "below": 2}])
def test_a_claim_that_does_not_hold_fails_and_has_printed_its_figure(
    bounds: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match=r"ratio: 41\.83x"):
        claim("ratio", RATIO, **bounds)
    assert "41.83x" in capsys.readouterr().out


def test_a_prediction_stands_beside_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    reveal("levels read", 5, 0.93)
    reveal("hot", "book", "signal")
    reveal("share", {"udp": 0.3}, {"udp": 0.15, "shm": 0.9})
    assert capsys.readouterr().out.splitlines() == [
        "levels read: 0.930; your guess: 5 (5.38 times too high)",
        "hot: signal; your guess: book",
        "share, udp: 0.150; your guess: 0.300 (2 times too high)",
        "share, shm: 0.900; your guess: n/a",
    ]


def test_numbers_have_three_significant_digits() -> None:
    shown = [significant(value) for value in (None, True, 16_437.641333, 12.345, 1.0, 0.012345, 1e-7, 1_000_000, "x")]
    assert shown == ["n/a", "yes", "16,438", "12.3", "1", "0.0123", "1.00e-07", "1,000,000", "x"]


def test_a_table_has_units_and_text_at_the_left() -> None:
    shown = show(pl.DataFrame({"p50": [1.2345, None], "stage": ["tick", "book"]}), "Costs", p50="ns")
    (table,) = shown.tables()
    assert (table.columns, table.words) == (("stage", "p50, ns"), 1)
    assert table.rows == (("tick", "1.23"), ("book", "n/a"))
    assert "Costs" in repr(shown)
    assert "<table>" in shown._repr_html_()


needs_compiler = pytest.mark.skipif(rustc() is None, reason="rustc is not installed")


@needs_compiler
def test_a_function_is_called_with_bytes_and_timed() -> None:
    total = RustFunction("fn total(data: &[u8]) -> u64 { data.iter().map(|&byte| u64::from(byte)).sum() }", "total")
    assert (total(b""), total(bytes([1, 2, 255]))) == (0, 258)
    value, ns = total.timed(bytes([7]) * 1_000_000, 3)
    assert (value, ns > 0) == (7_000_000, True)


@needs_compiler
def test_what_never_returns_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rust_function, "RUN_S", 1)
    with pytest.raises(HftlabError, match="turn did not return within 1 s"):
        RustFunction("fn turn(_: &[u8]) -> u64 { loop { std::hint::spin_loop() } }", "turn")(b"")


@needs_compiler
def test_what_kills_its_process_is_a_sentence() -> None:
    with pytest.raises(HftlabError, match="the process of gone died"):
        RustFunction("fn gone(_: &[u8]) -> u64 { std::process::abort() }", "gone")(b"")


def test_without_a_compiler_the_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rust_function, "rustc", lambda: None)
    with pytest.raises(BackendMissing, match="rustc is not installed"):
        RustFunction("fn never(_: &[u8]) -> u64 { 1 }", "never")(b"")


@needs_compiler
def test_probes_find_that_memory_is_farther_than_a_cache() -> None:
    found = {row.what: row.ns for row in latency_map._machine()}
    assert found["load from 64 MiB"] > 3 * found["load from the L1 cache"] > 0
    assert found["context switch, with its wake-up"] > found["system call"] > 0
    assert found["branch guessed wrong"] > found["load from the L1 cache"]


def test_a_map_without_rust_is_a_chart_and_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_map, "rustc", lambda: None)
    monkeypatch.setattr(latency_map, "_rust", lambda: None)
    found = latency_map.latency_map(2_000)
    assert isinstance(found, Result)
    assert [row.ns for row in found.rows] == sorted(row.ns for row in found.rows)
    assert {row.lesson for row in found.rows} <= {lesson.number for lesson in LESSONS}
    assert {"Python: tick to order", "UDP, blocking, there and back"} <= {row.what for row in found.rows}
    assert all(row.what in found.plot().to_json() for row in found.rows)
    assert "rustc is not installed" in str(found)
    assert found.frame().height == len(found.rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_result_is_whole_and_marked_as_stored(name: str) -> None:
    figures = stored(name)
    assert figures.conditions.startswith("stored, not measured here: ")
    assert figures.payload["machine"]["time"][:10] in figures.notes()[-1]
    assert figures.payload["placement"]["realtime"], "it was to be measured with real-time scheduling"
    frame = figures.frame()
    assert frame["p50"].min() > 0
    assert frame["p50"].null_count() == 0
    text = json.dumps(figures.plot().to_dict())
    assert "stored, not measured here" in text
    assert "xdp-skb" in text
    assert len(figures.tables()[0].rows) == len(frame)


def test_the_parts_of_the_response_time_sum_to_one() -> None:
    shares = stored("tick-to-trade").shares().group_by("path", "load_profile", "quantile").agg(total=pl.col("share").sum())
    assert shares["total"].to_list() == pytest.approx([1.0] * len(shares), abs=1e-3)


def test_an_unknown_name_lists_the_known_ones_and_figures_have_five_digits() -> None:
    with pytest.raises(UnknownName, match="known: round trip, tick-to-trade"):
        stored("pong")
    assert rounded({"a": [1.2345678, 3, None, "x", (True, 1e9 / 7)]}) == {"a": [1.2346, 3, None, "x", [True, 142_860_000.0]]}
