"""Does the history keep every bench, find planted shifts and no others, and leave a file alone that is none of its own?"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.errors import HftlabError, UnknownName
from hftlab.experiments import levels as module
from hftlab.experiments.history import COLUMNS, keep
from hftlab.experiments.levels import levels
from hftlab.measurement.machine import fingerprint


def noisy(seed: int, *pieces: tuple[int, float], spread: float = 0.03) -> list[float]:
    """Runs around levels, (how many, level) each."""
    rng = np.random.default_rng(seed)
    means = np.repeat([level for _, level in pieces], [n for n, _ in pieces])
    return (means * np.exp(rng.normal(0, spread, len(means)))).tolist()


def starts(values: list[float]) -> list[int]:
    return [level.start for level in levels(values)]


def test_the_partition_is_the_cheapest_of_all() -> None:
    def cost(values: np.ndarray, cuts: list[int], price: float) -> float:
        parts = np.split(values, cuts)
        return sum(np.abs(part - np.median(part)).sum() for part in parts) + price * len(cuts)

    for seed in range(5):
        rng = np.random.default_rng(seed)
        values = rng.normal(0, 1, 16) + 3 * (np.arange(16) >= 8)
        allowed = [[], *([i] for i in range(5, 12)), *([i, j] for i in range(5, 7) for j in range(i + 5, 12))]
        cheapest = min(cost(values, cuts, 2.0) for cuts in allowed)
        found = module._cut(values.tolist(), 2.0)
        assert cost(values, found[:-1], 2.0) == pytest.approx(cheapest)


@pytest.mark.parametrize("ratio", [1.2, 1 / 1.2, 2.0])
def test_a_planted_step_is_found_where_it_is(ratio: float) -> None:
    for seed in range(20):
        found = levels(noisy(seed, (20, 100.0), (10, 100.0 * ratio)))
        assert len(found) == 2
        assert abs(found[1].start - 20) <= 1
        assert found[1].value / found[0].value == pytest.approx(ratio, rel=0.05)


def test_several_steps_are_found_and_a_small_one_given_enough_runs() -> None:
    assert len(levels(noisy(1, (12, 100.0), (12, 150.0), (12, 90.0), (12, 120.0)))) == 4
    found = [levels(noisy(seed, (30, 100.0), (30, 106.0))) for seed in range(20)]
    assert sum(len(one) == 2 for one in found) >= 16


def test_no_step_is_found_in_noise_of_any_length_and_shape() -> None:
    for n in (1, 2, 5, 9, 30, 100):
        rng = np.random.default_rng(n)
        series = [np.exp(noise) for _ in range(10) for noise in (rng.normal(0, 0.05, n), 0.02 * rng.standard_t(3, n))]
        assert sum(len(levels(one.tolist())) > 1 for one in series) <= 1
    assert starts([100.0] * 30) == [0]
    assert levels([]) == []


def test_outliers_are_no_step() -> None:
    for where in ([10], [10, 11], [3, 10, 17, 24], [29], [28, 29], [0, 1]):
        values = noisy(4, (30, 100.0))
        for place in where:
            values[place] *= 5
        assert starts(values) == [0], where


def test_only_the_newest_runs_of_a_long_series_are_looked_at() -> None:
    found = levels(noisy(2, (200, 100.0), (300, 100.0), (200, 150.0)))
    assert [(one.start, one.end) for one in found] == [(200, 500), (500, 700)]


def report(ns: float = 50.0, feed: str = "calm-1", label: str = "rust best", **machine: Any) -> dict[str, Any]:
    total = {"stage": "total", "median": ns, "p99": 2 * ns, "p99.9": None}
    engine = {"label": label, "rounds_ns_per_message": [ns, 1.01 * ns, 0.99 * ns], "latency_ns": [total]}
    return {"feed": feed, "machine": {**fingerprint(), **machine}, "engines": [engine]}


def test_every_bench_adds_its_figures(home: Path) -> None:
    assert hftlab.history().lines()[0].startswith("no run is kept yet")
    for _ in range(2):
        assert keep(report()) == home / "history.parquet"
    frame = pl.read_parquet(home / "history.parquet")
    assert tuple(frame.columns) == COLUMNS
    assert frame["metric"].to_list() == ["ns/message", "p50", "p99"] * 2
    first = frame.row(0, named=True)
    assert (first["value"], first["low"], first["high"]) == (50.0, pytest.approx(49.5), pytest.approx(50.5))
    assert len(hftlab.history(metric="p99").series) == 1
    with pytest.raises(UnknownName, match="'numba'; known: rust best"):
        hftlab.history(engine="numba")


def test_a_step_is_told_by_machine_feed_engine_and_metric(capsys: pytest.CaptureFixture[str]) -> None:
    for ns in noisy(3, (7, 50.0), (6, 75.0)):
        keep(report(ns))
        keep(report(5_000, label="python"))
        keep(report(ns * 100, kernel="other"))
    found = hftlab.history(metric="ns/message")
    steps = {(one.engine, one.machine): [after.start for _, after in one.steps] for one in found.series}
    assert sorted(steps.values()) == [[], [7], [7]]
    assert len({machine for _, machine in steps}) == 2
    frame = found.frame()
    assert frame.columns == ["time", "commit", "machine", "feed", "engine", "metric", "value", "level", "step"]
    assert frame.height == 3 * 13
    assert frame["step"].sum() == 2
    assert main(["history", "--engine", "rust best", "--metric", "ns/message", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "hftlab-history/1"
    assert [len(one["steps"]) for one in told["series"]] == [1, 1]
    assert told["series"][0]["steps"][0]["ratio"] == pytest.approx(50 / 75, rel=0.05)
    assert told["series"][0]["level_since"] == told["series"][0]["steps"][0]["time"]
    assert main(["history"]) == 0
    assert "steps: from -> to" in capsys.readouterr().out
    assert str(found).count("  step ") == 2


def test_the_chart_shows_runs_levels_and_steps() -> None:
    vl_convert = pytest.importorskip("vl_convert")
    with pytest.raises(HftlabError, match="nothing to draw"):
        hftlab.history().plot()
    for ns in noisy(3, (7, 50.0), (6, 75.0)):
        keep(report(ns))
    svg = vl_convert.vegalite_to_svg(hftlab.history(metric="ns/message").plot().to_dict())
    for word in ("run, oldest first", "ns per message", "rust best, ns/message", "→"):
        assert word in svg


def test_ci_keeps_nothing_unless_a_folder_is_named(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("CI", "true")
    assert keep(report()) is not None
    monkeypatch.delenv("HFTLAB_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keep(report()) is None
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delenv("CI")
    assert keep(report()) == tmp_path / ".hftlab" / "history.parquet"


@pytest.mark.parametrize("foreign", ["text", "parquet", "cut"])
def test_a_file_of_somebody_else_is_told_and_left_as_it_is(foreign: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "history.parquet"
    keep(report())
    if foreign == "parquet":
        pl.DataFrame({"mine": [1, 2]}).write_parquet(path)
    else:
        path.write_bytes(b"notes, not a table\n" if foreign == "text" else path.read_bytes()[:-40])
    before = path.read_bytes()
    with pytest.raises(HftlabError, match="is not a history of hftlab, and is left as it is"):
        keep(report())
    assert main(["history"]) == 2
    assert main(["bench", "--messages", "300", "--rounds", "1", "--json"]) == 0  # the bench itself is not lost
    assert "not kept in the history" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_appends_at_the_same_time_lose_nothing(home: Path, tmp_path: Path) -> None:
    code = "import json, sys; from hftlab.experiments.history import keep; [keep(json.load(open(sys.argv[1]))) for _ in range(6)]"
    (tmp_path / "report.json").write_text(json.dumps(report()))
    command = [sys.executable, "-c", code, str(tmp_path / "report.json")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(one.communicate(timeout=100)[1], one.returncode) for one in running] == [(b"", 0)] * 4
    assert pl.read_parquet(home / "history.parquet").height == 4 * 6 * 3
    assert sorted(one.name for one in home.iterdir()) == [".history.parquet.lock", "history.parquet"]


def test_the_command_bench_keeps_its_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--messages", "300", "--rounds", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    kept = hftlab.history(metric="ns/message").series
    assert [one.engine for one in kept] == [one["label"] for one in told["engines"]]
    assert kept[0].values[0] == pytest.approx(np.median(told["engines"][0]["rounds_ns_per_message"]))
    assert main(["bench", "--messages", "300", "--ablate", "--rounds", "0"]) == 2
    assert len(hftlab.history(metric="ns/message").series[0].values) == 1
