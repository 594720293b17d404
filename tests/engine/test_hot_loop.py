"""Does the Rust engine's loop leave the system alone, and does the gate on its instructions say what it should?

The loop runs in a process of its own, `rust_ext/examples/hot_loop.rs`, which marks its beginning and end with a system call that
nothing else makes. Allocations are counted by `cargo test`, in `rust_ext/tests/allocations.rs`.
"""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from hftlab.feeds.generate.regimes import REGIMES

ROOT = Path(__file__).resolve().parents[2]
CRATE = ROOT / "rust_ext"
MARK = "getppid"
# The loop reads the time once before and once after; where the system cannot answer from user space, that is a call.
CLOCK = "clock_gettime"


@pytest.fixture(scope="module")
def hot_loop() -> Path:
    """The example, built as `cargo test` builds it: optimised or not, it makes the same calls."""
    for program in ("strace", "cargo"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}: system calls of the hot loop are not counted")
    if not CRATE.is_dir():
        pytest.skip("there is no rust_ext here: system calls of the hot loop are not counted")
    target = CRATE / "target"
    command = ["cargo", "build", "--quiet", "--example", "hot_loop", "--target-dir", str(target)]
    subprocess.run(command, cwd=CRATE, check=True)
    return target / "debug" / "examples" / "hot_loop"


def calls_in_the_loop(program: Path, log: Path, *words: str) -> list[str]:
    """Names of the system calls between the marks, of all threads."""
    done = subprocess.run(["strace", "-f", "-o", str(log), str(program), *words], capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr and done.returncode:
        pytest.skip(f"strace may not watch here: {done.stderr.strip().splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    names = [found[1] for line in log.read_text().splitlines() if (found := re.match(r"\d+\s+(\w+)\(", line))]
    assert names.count(MARK) == 2, f"strace saw {names.count(MARK)} marks in {len(names)} calls"
    first = names.index(MARK)
    return names[first + 1 : names.index(MARK, first + 1)]


@pytest.mark.rust
def test_no_message_costs_a_system_call(hot_loop: Path, tmp_path: Path) -> None:
    for messages in ("30000", "300000"):
        calls = calls_in_the_loop(hot_loop, tmp_path / "log", "best", "order", "calm", "20000", messages, "kill")
        assert calls.count(CLOCK) <= 2
        assert [name for name in calls if name != CLOCK] == []


@pytest.mark.rust
def test_rows_do_cost_system_calls(hot_loop: Path, tmp_path: Path) -> None:
    calls = calls_in_the_loop(hot_loop, tmp_path / "log", "best", "order", "calm", "20000", "300000", "rows")
    assert {"mmap", "mremap", "brk"} & set(calls), "the test above could not fail"


def test_the_regimes_of_the_rust_tests_are_ours() -> None:
    source = CRATE / "tests" / "common" / "mod.rs"
    if not source.is_file():
        pytest.skip("there is no rust_ext here")
    rows = re.findall(r'"(\w+)",\s*(\d+),\s*\[([\d,\s]+)\]', source.read_text())
    found = {name: (int(symbols), [int(word) for word in numbers.split(",") if word.strip()]) for name, symbols, numbers in rows}
    assert set(found) == {"calm", "market"}
    assert found == {name: (REGIMES[name].symbols, REGIMES[name].parameters()) for name in found}


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    path = CRATE / "instructions.py"
    if not path.is_file():
        pytest.skip("there is no rust_ext here")
    spec = importlib.util.spec_from_file_location("instructions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gate_names_the_row_and_both_counts(gate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    table = {"a": 100.0, "b": 100.0, "gone": 1.0}
    wrong = gate.compare(table, {"a": 102.9, "b": 103.2, "new": 1.0}, 0.03)
    assert wrong == [
        "gone: in the table, but no longer counted",
        "b: 103.2 instructions per message, expected 100.0 (+3% at most)",
        "new: not in the table",
    ]
    assert "UPDATE=1" not in capsys.readouterr().out
    assert gate.compare({"a": 100.0}, {"a": 90.0}, 0.03) == []
    assert "UPDATE=1" in capsys.readouterr().out
    assert gate.compare({"a": 100.0}, {"a": 200.0}, None) == []


def test_another_compiler_widens_the_slack_and_another_machine_lifts_the_gate(gate: ModuleType) -> None:
    table = {"rustc": "1.90.0", "architecture": "x86_64", "system": "Linux"}
    assert gate.slack(table, table) == gate.SLACK
    assert gate.slack(table, {**table, "rustc": "1.91.0"}) == gate.OTHER_RUSTC_SLACK
    assert gate.slack(table, {**table, "architecture": "aarch64"}) is None
