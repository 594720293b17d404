"""Is a learner's Rust compiled, called, and stopped, and does the landing page place every cost on its map?"""

import pytest
from course import latency_map, rust_function
from course.lessons import LESSONS
from course.rust_function import RustFunction, rustc

from hftlab.errors import BackendMissing, HftlabError
from hftlab.presentation.result import Result

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
