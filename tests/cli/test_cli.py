"""Does the command line do what it says, and answer bad input with one sentence and exit code 2?"""

import argparse
import gzip
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest

import hftlab
from hftlab.cli.main import commands, main
from hftlab.cli.options import Options
from hftlab.engine.engine import Engine
from hftlab.engine.run import Run
from hftlab.presentation import terminal
from hftlab.presentation.document import Block

COLUMNS = ["index", "ts_ns", "instrument", "bid_price", "bid_qty", "ask_price", "ask_qty"]
COLUMNS += ["mid", "spread", "microprice", "imbalance", "depth_imbalance", "ofi", "flow", "volatility", "score"]


@pytest.fixture
def day(tmp_path: Path) -> Path:
    path = tmp_path / "day.itch"
    assert main(["generate", str(path), "--messages", "2000", "--seed", "3"]) == 0
    return path


def test_generate_writes_the_same_bytes_again(day: Path, tmp_path: Path) -> None:
    packed = tmp_path / "day.itch.gz"
    main(["generate", str(packed), "--messages", "2000", "--seed", "3"])
    assert gzip.decompress(packed.read_bytes()) == day.read_bytes()


def test_run_writes_every_column_and_the_order_bytes(day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, orders = tmp_path / "rows.parquet", tmp_path / "orders.bin"
    words = ["run", str(day), "--backend", "python", "--record", "all", "--out", str(rows), "--order-stream", str(orders)]
    capsys.readouterr()
    assert main([*words, "--json", "--repeat", "2"]) == 0
    summary = json.loads(capsys.readouterr().out)
    frame = pl.read_parquet(rows)
    assert frame.columns == COLUMNS
    assert frame.schema["instrument"] == pl.UInt16
    assert frame.schema["bid_price"] == pl.Int64
    assert frame.schema["ask_qty"] == pl.UInt64
    assert frame["index"].to_list() == list(range(2000))
    assert summary["messages"] == 2000 == sum(summary["counts"].values())
    assert summary["faults"] == {}
    assert len(summary["elapsed_ns"]) == 2
    assert len(orders.read_bytes()) == 47 * summary["orders"]


def test_run_prints_the_memory_of_the_book(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["run", str(day), "--backend", "python", "--json"]) == 0
    memory = json.loads(capsys.readouterr().out)["memory"]
    assert main(["run", str(day), "--backend", "python"]) == 0
    text = capsys.readouterr().out
    assert f"{memory['order_bytes'] / memory['live_orders']:,.1f} per live order" in text
    assert f"{memory['level_bytes']:,} bytes" in text


def test_bench_prints_the_table_of_every_engine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "bench.json"
    assert main(["bench", "--messages", "3000", "--rounds", "1", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for word in (
        "whole market",
        "tick processing",
        "order book update",
        "signal generation",
        "end to end",
        "n/a",
        "clock",
        "record top",
    ):
        assert word in text
    report = json.loads(out.read_text())
    schema = json.loads((files("hftlab") / "experiments" / "bench.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(report)
    assert report["schema"] == schema["properties"]["schema"]["const"] == "hftlab-bench/4"
    for engine in report["engines"]:
        stages = {row["stage"]: row for row in engine["latency_ns"]}
        assert set(stages) == {"tick", "book", "signal", "order", "total"}
        assert stages["total"]["n"] == 3000  # those that fill the book are not stamped
        assert {row["stage"]: row["n"] for row in engine["cold_start_ns"]} == dict.fromkeys(stages, 1000)
        assert set(engine["record_ns"]) == {"none", "top", "all"}
        assert min(engine["record_ns"].values()) > 0
        assert engine["record_messages"] == 3000
        assert stages["total"]["p99"] is None  # 30 samples beyond it say nothing
    assert [line["what"] for line in report["headlines"]] == ["one symbol", "whole market"]
    assert report["headlines"][1]["market"]["live_orders"] > 300_000
    absent = [info.name for info in hftlab.backends() if not info.available]
    assert list(report["missing"]) == absent
    assert all(f"{name} is MISSING" in text for name in absent)


@pytest.mark.rust
def test_verify_says_identical(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["verify", "python", "rust", str(day), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True


def test_doctor_names_engines_and_clocks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    topics = {finding["topic"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert topics["engine python"]["good"] is True
    assert {"engine rust", "clock of python", "cpu", "cores allowed"} <= set(topics)
    assert main(["doctor"]) == 0


def bad(tmp_path: Path, name: str, content: bytes) -> str:
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


def test_bad_input_is_one_sentence_and_exit_code_2(day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = day.read_bytes()
    packed = gzip.compress(good)
    cases = {
        ("run", str(tmp_path / "none")): "No such file",
        ("run", str(tmp_path)): "a regular file",
        ("run", bad(tmp_path, "empty", b"")): "offset 0",
        ("run", bad(tmp_path, "cut", good[:-3])): f"offset {len(good) - 14}",
        ("run", bad(tmp_path, "zero", good[:14] + b"\0\0" + good[14:])): "offset 14, message 1: length prefix 0",
        ("run", bad(tmp_path, "long", good[:14] + b"\0\x28R" + good[17:])): "for type 'R' (stock directory) must be 39, got 40",
        ("run", bad(tmp_path, "csv", b"date;price\n2020-01-30;1.5\n" * 9)): "offset 0: must be of a format that is known here",
        ("run", bad(tmp_path, "cut.gz", packed[:-2000])): "gzip is cut off",
        ("run", bad(tmp_path, "bad.gz", packed[:-8] + bytes(8))): "corrupt gzip",
        ("run", bad(tmp_path, "new", good[:14] + b"\0\x0c~" + bytes(11) + good[14:]), "--strict"): "unknown message type '~'",
        ("run", str(day), "--backend", "fpga"): "unknown backend 'fpga'; known: python, rust",
        ("run", str(day), "--backend", "python", "--book", "skiplist"): "unknown book 'skiplist'; known: btree",
        ("run", str(day), "--until", "lunch"): "unknown stage 'lunch'",
        ("run", str(day), "--record", "some"): "unknown record mode 'some'",
        ("run", str(day), "--symbol", "NOPE"): "unknown symbol 'NOPE'",
        ("run", str(day), "--repeat", "0"): "--repeat must be at least 1, got 0",
        ("run", str(day), "--repeat", "-3"): "--repeat must be at least 1",
        ("bench", "--seed", "-1"): "--seed: must be a whole number, 0 or more, got '-1'",
        ("latency", "", "--messages", "300"): "ENGINE must be",
        ("dance",): "unknown command 'dance'; known: run, sweep, verify",
        ("run",): "the following arguments are required: FILE",
        ("run", str(day), "--out", str(day / "x.parquet")): "cannot be written",
        ("run", str(day), "--out", "/dev/full"): "No space left",
        ("run", str(day), "--order-stream", str(tmp_path)): "cannot be written",
        ("generate", str(day / "x.itch")): "cannot be written",
        ("bench", "--out", str(day / "x.json")): "cannot be written",
        ("generate", str(tmp_path / "x"), "--regime", "quiet"): "unknown regime 'quiet'",
        ("generate", str(tmp_path / "x"), "--messages", "1"): "messages must be",
        ("bench", "--rounds", "0"): "rounds",
        ("bench", "--ablate", "--rounds", "2"): "rounds must be between 3 and 1,000, got 2",
        ("scaling", "--axis", "width"): "unknown axis 'width'; known: orders, instruments, depth",
        ("scaling", "--messages", "15"): "multiple of 10",
        ("ffi", "--rounds", "0"): "rounds must be between",
    }
    for words, expected in cases.items():
        capsys.readouterr()
        assert main([*words]) == 2, words
        printed = capsys.readouterr().err
        assert len(printed.splitlines()) == 1, printed
        assert expected in printed, (words, printed)


def test_a_defect_is_one_sentence_unless_its_traceback_is_asked_for(
    day: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> Run:
        return {}["order 7"]

    monkeypatch.setattr(Engine, "run", broken)
    capsys.readouterr()
    assert main(["run", str(day)]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "unexpected KeyError in test_cli.py:" in text
    assert "HFTLAB_TRACEBACK=1" in text
    monkeypatch.setenv("HFTLAB_TRACEBACK", "1")
    with pytest.raises(KeyError):
        main(["run", str(day)])


def test_what_was_good_before_the_error_is_written(day: Path, tmp_path: Path) -> None:
    cut, rows = bad(tmp_path, "cut", day.read_bytes()[:-3]), tmp_path / "rows.parquet"
    assert main(["run", cut, "--backend", "python", "--out", str(rows)]) == 2
    assert pl.read_parquet(rows).height == 1999


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [["--help"], ["variants"], ["run", "DAY", "--backend", "python", "--json"]])
def test_a_full_disk_behind_stdout_is_one_sentence(day: Path, words: list[str]) -> None:
    words = [str(day) if word == "DAY" else word for word in words]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hftlab.cli.main", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (2, "hftlab: error: standard output: No space left on device\n")


def test_a_name_that_is_not_utf8_is_written(day: Path, tmp_path: Path) -> None:
    rows = os.path.join(os.fsencode(tmp_path), b"rows\xff.parquet")
    words = ["run", day, "--backend", "python", "--out", rows]
    subprocess.run([sys.executable, "-m", "hftlab.cli.main", *words], check=True, stdout=subprocess.DEVNULL)
    with open(rows, "rb") as file:
        assert pl.read_parquet(file).height == 2000


_KILLED = """
import os, polars, sys
from hftlab.cli.main import main
def half(self, file, **options):
    file.write(b"PAR1 half of it")
    file.flush()
    os.kill(os.getpid(), int(sys.argv[1]))
polars.LazyFrame.sink_parquet = half
sys.exit(main(["run", sys.argv[2], "--backend", "python", "--out", sys.argv[3]]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_writer_that_is_killed_leaves_the_old_file_whole(day: Path, tmp_path: Path, number: signal.Signals) -> None:
    rows = tmp_path / "out" / "rows.parquet"
    assert main(["run", str(day), "--backend", "python", "--out", str(rows)]) == 0
    before = rows.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(int(number)), str(day), str(rows)], capture_output=True, check=False
    )
    assert done.returncode == (-number if number == signal.SIGKILL else 130), done.stderr
    assert rows.read_bytes() == before
    assert list(rows.parent.iterdir()) == [rows] or number == signal.SIGKILL


def test_a_generator_that_is_interrupted_leaves_no_short_day(tmp_path: Path) -> None:
    path = tmp_path / "day.itch"
    words = ["generate", str(path), "--messages", "30000000"]
    running = subprocess.Popen([sys.executable, "-m", "hftlab.cli.main", *words], stderr=subprocess.DEVNULL)
    while running.poll() is None and not any(part.stat().st_size for part in tmp_path.iterdir()):
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130
    assert list(tmp_path.iterdir()) == []


def test_of_repeated_runs_one_is_kept(day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[weakref.ref[Run]] = []
    original = Engine.run

    def counted(self: Engine, *words: Any, **more: Any) -> Run:
        assert not any(run() for run in runs), "an earlier run is still in memory"
        run = original(self, *words, **more)
        runs.append(weakref.ref(run))
        return run

    monkeypatch.setattr(Engine, "run", counted)
    assert main(["run", str(day), "--backend", "python", "--record", "all", "--repeat", "3", "--json"]) == 0
    assert len(runs) == 3


def options_of(name: str) -> list[argparse.Action]:
    parser = argparse.ArgumentParser()
    commands()[name](Options(parser))
    return parser._actions


@pytest.mark.parametrize("name", commands())
def test_every_option_has_a_help_and_a_way_to_be_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    assert f"usage: hftlab {name}" in capsys.readouterr().out
    assert [action.dest for action in options_of(name) if not action.help] in ([], ["file"])


#: What outsiders call: these words stay.
STABLE = {
    "run": "--backend --book --orders --pool --no-pool --signal --until --strict --symbol"
    " --record --out --order-stream --repeat --json",
    "verify": "--regime --messages --seed --symbols --json",
    "bench": "--feed --regime --messages --seed --symbols --ablate --rounds --with --pin --fifo --out --json",
    "doctor": "--quick --json",
    "report": "--feed --regime --messages --seed --symbols --rounds --quick --with --out --markdown --from --pin --fifo",
    "generate": "--regime --messages --seed --symbols",
}


@pytest.mark.parametrize("name", STABLE)
def test_the_words_that_others_call_stay(name: str) -> None:
    assert set(STABLE[name].split()) <= {flag for action in options_of(name) for flag in action.option_strings}


def test_defaults_are_those_of_the_functions() -> None:
    defaults = {action.dest: action.default for action in options_of("scaling")}
    parameters = inspect.signature(hftlab.scaling).parameters
    assert {name: parameters[name].default for name in ("axis", "until", "full", "rounds", "messages", "seed")} == {
        name: defaults[name] for name in ("axis", "until", "full", "rounds", "messages", "seed")
    }


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name.split()[-1] in script for name in commands())


SHOWN = [
    "latency python --feed DAY --rounds 3",
    "compare python python --feed DAY --rounds 3",
    "run DAY --backend python --repeat 2",
    "variants",
    "doctor --quick",
    "profile --messages 300",
    *(
        pytest.param(words, marks=pytest.mark.rust)
        for words in (
            "bench --feed DAY --rounds 3",
            "ablate --feed DAY --rounds 3",
            "scaling --messages 100 --rounds 3",
            "ffi --messages 200 --rounds 3",
            "conformance rust --rounds 0",
        )
    ),
]


@pytest.mark.parametrize("words", SHOWN)
def test_what_is_shown_fits_the_terminal(words: str, day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[Block]] = []
    with monkeypatch.context() as instead:
        instead.setattr(terminal, "show", lambda _, blocks: shown.append(list(blocks)))
        assert main([str(day) if word == "DAY" else word for word in words.split()]) == 0
    assert shown
    for width in (60, 100):
        text = terminal.to_text("", shown[0], width=width)
        assert max(map(len, text.splitlines()), default=0) <= width, text


def test_what_is_not_installed_is_not_listed(tmp_path: Path) -> None:
    left_out = shutil.ignore_patterns("net", "loadtest", "__pycache__")
    shutil.copytree(Path(hftlab.__file__).parent, tmp_path / "hftlab", ignore=left_out)
    words, env = [sys.executable, "-m", "hftlab.cli.main", "--help"], {**os.environ, "PYTHONPATH": str(tmp_path)}
    shown = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, env=env).stdout
    assert "bench" in shown
    assert "net exchange" not in shown
    assert "stress" not in shown


def test_import_is_quick_and_brings_nothing_heavy() -> None:
    heavy = "('numpy', 'polars', 'altair', 'rich') if m in sys.modules"
    code = f"import sys; from hftlab.cli.main import main; main(['--help']); print([m for m in {heavy}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.splitlines()[-1] == "[]"
