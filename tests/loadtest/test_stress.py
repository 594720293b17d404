"""Does the whole of it run from the command line, report what is wrong by its exit code, and never that something is slow?"""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from planted_stress import Server, check_result

import hftlab
from hftlab.cli.main import main
from hftlab.errors import HftlabError
from hftlab.loadtest.storms import Size
from hftlab.loadtest.suite import PARTS, StressReport

HERE = Path(__file__).resolve().parents[1]
FEED = hftlab.synthetic(messages=30_000)


def test_the_command_writes_one_json_object_with_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, charts = tmp_path / "stress.json", tmp_path / "charts"
    words = ["stress", "sweep", "soak", "--quick", "--engine", "python", "--rounds", "1", "--seconds", "1"]
    assert main([*words, "--out", str(out), "--charts", str(charts), "--json"]) == 0
    payload = json.loads(capsys.readouterr().out)
    assert payload == json.loads(out.read_text())
    assert payload["schema"] == StressReport.schema
    assert {part for part in PARTS if part != "soak"} <= set(payload)
    assert (payload["verdict"], payload["failures"], payload["targets"]) == ("sound", [], ["python"])
    assert payload["sweep"]["curves"][0]["flat_out"] > 0
    assert (payload["bursts"], payload["storms"], payload["overload"]) == (None, None, None)
    assert {path.stem for path in charts.iterdir()} == {"sweep", "soak_python"}


def test_the_command_prints_tables_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stress", "overload", "bursts", "--quick", "--engine", "python", "--rounds", "1"]) == 0
    text = capsys.readouterr().out
    for word in ("stress of python: sound", "bursts of 2 ms", "overload for 50 ms", "noise of the machine"):
        assert word in text


def test_an_engine_that_is_wrong_gives_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("hftlab.loadtest.storms.QUICK", Size(messages=2_000, deep=500, deep_levels=100, wide=50))
    place = f"{HERE / 'planted_stress.py'}:FORGETFUL"
    assert main(["stress", "storms", "--quick", "--engine", place]) == 1
    text = capsys.readouterr().out
    assert "unsound" in text
    assert "differs from the reference" in text


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["hail"], "unknown part of the stress 'hail'; known: sweep, bursts, storms, overload, soak"),
        (["sweep", "--arrivals", "never"], "unknown arrivals 'never'"),
        (["soak", "--seconds", "0"], "seconds must be between 0.1 and"),
        (["sweep", "--engine", "fortran"], "unknown backend 'fortran'"),
        (["sweep", "--rounds", "0"], "rounds must be at least 1, got 0"),
        (["sweep", "--feed", "nowhere.itch"], "nowhere.itch"),
        *(
            pytest.param(words.split(), error, marks=pytest.mark.rust)
            for words, error in (
                ("sweep --engine rust --transport pigeon", "unknown transport 'pigeon'; known: memory, shm"),
                ("sweep --engine rust --transport shm+", "path must be the name of a transport, or two: FEED+ORDERS"),
                ("sweep --engine python --transport shm", "targets over shm must be rust in any variant, got python"),
                ("soak --engine rust --transport shm", "parts over shm must include the sweep, got soak"),
            )
        ),
    ],
)
def test_bad_input_is_one_sentence_at_the_start(words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = [] if "--engine" in words else ["--engine", "python"]
    assert main(["stress", *words, *more, "--quick"]) == 2
    printed = capsys.readouterr().err
    assert error in printed
    assert printed.count("\n") == 1


def test_ctrl_c_in_a_soak_prints_what_was_measured() -> None:
    """One that is struck before its first sample has nothing to print: the next is given twice the time."""
    command = [sys.executable, "-m", "hftlab.cli.main", "stress", "soak", "--engine", "python", "--seconds", "300"]
    for patience in (2, 4, 8, 16, 32):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            with suppress(subprocess.TimeoutExpired):
                child.wait(patience)
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=60)
        if "soak of python" in out:
            break
    assert child.returncode == 130
    assert "interrupted before" in out


def planted(**more: Any) -> StressReport:
    return hftlab.stress([Server(10_000)], ("sweep", "bursts", "soak"), feed=FEED, quick=True, seconds=0.6, rounds=1, **more)


def test_the_summary_has_a_row_per_target_and_a_target_needs_no_engine() -> None:
    report = planted(arrivals="even")
    (row,) = report.frame().to_dicts()
    assert row["target"] == "server"
    assert row["capacity_per_s"] == pytest.approx(1e5, rel=0.02)
    assert row["p50"] == row["p99"] == 10_000
    assert (row["worst_storm"], row["stale_ms"]) == (None, None)
    assert set(report.parts) == {"sweep", "bursts", "soak server"}
    assert set(report.charts()) == {"sweep", "bursts", "soak_server"}
    check_result(report)
    with pytest.raises(HftlabError, match="nothing to draw"):
        hftlab.stress([Server()], ["overload"], feed=FEED).plot()


def test_what_was_done_before_ctrl_c_is_there() -> None:
    drives = iter(range(1_000_000))

    def strike() -> None:
        if next(drives) == 17:
            raise KeyboardInterrupt

    report = hftlab.stress([Server(10_000, on_drive=strike)], ("sweep", "bursts"), feed=FEED, quick=True, rounds=1)
    assert report.interrupted
    assert report.headline().endswith("sound, interrupted")
