"""Does a sweep give the same bytes on any workers, however many of them die, and do everything once?"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import hftlab
from hftlab.batch import SweepReport
from hftlab.batch.sweep import process_pool
from hftlab.batch.task import State
from hftlab.cli.main import main
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.feeds.generate.synthetic import write
from hftlab.stages.book import Book

KILLS = int(os.environ.get("HFTLAB_KILLS", "2"))  # of each kind; `make kills` asks for 20
GRID: dict[str, Any] = {"engines": ["python"], "settings": [{}, {"levels": 3, "threshold": 0.1}], "task": "signals"}


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four short days."""
    folder = tmp_path_factory.mktemp("days")
    for number in range(4):
        write(folder / f"day{number}.itch", "burst", 3_000, number + 1)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def expected(days: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The rows of GRID, by one worker."""
    out = tmp_path_factory.mktemp("one")
    assert hftlab.sweep(days, **GRID, out=out, workers=1)
    return rows(out)


def rows(out: Path) -> dict[str, bytes]:
    """Every file of rows by its place."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.parquet")}


def test_the_rows_are_those_of_the_runs(days: list[Path], tmp_path: Path) -> None:
    for task in ("book", "signals", "orders"):
        report = hftlab.sweep(days[:2], engines=["python"], settings=[{}, {"threshold": 0.1}], task=task, out=tmp_path)
        engine = hftlab.Engine("python", order_config=hftlab.OrderConfig(threshold=0.1))
        run = engine.run(hftlab.load(days[1]), record="top" if task == "book" else "all")
        frame = run.orders if task == "orders" else run.frame
        found = report.scan().filter(file=days[1].name, settings="threshold=0.1").collect()
        columns = [name for name in frame.columns if name in found.columns]
        assert len(columns) >= 7
        assert found.select(columns).equals(frame.select(columns))
        assert found["symbol"].to_list() == [run.name(number) for number in frame["instrument"]]
        assert [record.rows for record in report.tasks[2:]] == [len(report.scan().filter(file=days[1].name, settings=s).collect())
            for s in ("default", "threshold=0.1")]  # fmt: skip


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_any_number_of_threads_gives_the_same_bytes(
    days: list[Path], expected: dict[str, bytes], tmp_path: Path, workers: int
) -> None:
    assert hftlab.sweep(days, **GRID, out=tmp_path, workers=workers)
    assert rows(tmp_path) == expected


def test_what_is_done_is_not_done_again_and_what_failed_is(days: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "day9.itch"
    broken.write_bytes(days[0].read_bytes()[:-3])
    first = hftlab.sweep([*days[:2], broken], engines=["python"], out=tmp_path / "out")
    assert (bool(first), first.reused, [task.state for task in first.tasks]) == (False, 0, [State.DONE, State.DONE, State.FAILED])
    assert "cut off" in first.failed[0].reason
    assert first.notes()[0] == f"1 failed: {first.failed[0].reason}"
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    broken.write_bytes(days[0].read_bytes())
    moved = tmp_path / "elsewhere" / days[0].name
    moved.parent.mkdir()
    moved.write_bytes(days[0].read_bytes())
    again = hftlab.sweep([moved, days[1], broken], engines=["python"], out=tmp_path / "out")
    assert (bool(again), again.reused) == (True, 2)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    next(iter(times)).unlink()  # rows that are gone are made again
    assert hftlab.sweep([moved, days[1], broken], engines=["python"], out=tmp_path / "out").reused == 2
    assert not [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name]


def test_an_interrupted_sweep_continues(days: list[Path], expected: dict[str, bytes], tmp_path: Path) -> None:
    class Interrupted(ThreadPoolExecutor):
        def submit(self, function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
            future = super().submit(function, *arguments, **more)
            if self._work_queue.qsize() > 2:
                raise KeyboardInterrupt
            return future

    with pytest.raises(KeyboardInterrupt):
        hftlab.sweep(days, **GRID, out=tmp_path, executor=lambda: Interrupted(1))
    report = hftlab.sweep(days, **GRID, out=tmp_path)
    assert 0 < report.reused < len(report.tasks)
    assert rows(tmp_path) == expected


def test_the_report_is_stored_and_shown(days: list[Path], tmp_path: Path) -> None:
    report = hftlab.sweep(days[:1], engines=["python"], symbols=["HLAAA", ["HLAAB", "HLAAC"], "NOPE"], out=tmp_path)
    assert [task.state.value for task in report.tasks] == ["done", "done", "failed"]
    assert "unknown symbol 'NOPE'" in report.failed[0].reason
    assert SweepReport.from_dict(json.loads(report.to_json())) == report
    assert report.frame()["symbols"].to_list() == [["HLAAA"], ["HLAAB", "HLAAC"], ["NOPE"]]
    assert [row[1] for row in report.tables()[0].rows] == ["HLAAA", "HLAAB HLAAC", "NOPE"]
    assert all(task.machine and task.machine["hftlab"] == hftlab.__version__ for task in report.tasks[:2])
    assert report.plot() is not None
    assert set(report.scan().collect()["symbol"]) == {"HLAAA", "HLAAB", "HLAAC"}


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"files": []}, ConfigError, "must each be one or more"),
        ({"files": ["nope.itch"]}, HftlabError, "nope.itch: cannot be opened"),
        ({"engines": ["fpga"]}, UnknownName, "unknown backend 'fpga'"),
        ({"settings": [{"depth": 3}]}, UnknownName, "unknown setting 'depth'; known: decay"),
        ({"settings": [{"levels": 99}]}, ConfigError, "levels must be a whole number between 1 and 64"),
        ({"task": "latency"}, UnknownName, "unknown task 'latency'; known: book"),
        ({"workers": 0}, ConfigError, "workers must be"),
        ({"processes": True, "cluster": "tcp://host:1"}, ConfigError, "must not be given together"),
        ({"task": "throughput"}, ConfigError, "must be pinned and alone"),
        ({"task": "throughput", "core": 0, "workers": 2}, ConfigError, "must be pinned and alone"),
        ({"task": "throughput", "core": 0, "processes": True}, ConfigError, "must be pinned and alone"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    days: list[Path], tmp_path: Path, wrong: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        hftlab.sweep(**{"files": days, "engines": ["python"], "out": tmp_path / "out", **wrong})
    assert not (tmp_path / "out").exists()


def test_fills_are_those_of_latency_value(days: list[Path], tmp_path: Path) -> None:
    report = hftlab.sweep(days[:1], engines=["python"], settings=[{"threshold": 0.1}], task="fills", out=tmp_path)
    engine = hftlab.Engine("python", order_config=hftlab.OrderConfig(threshold=0.1))
    expected = hftlab.latency_value(hftlab.load(days[0]), strategy="take", engine=engine).frame()
    assert report, report.notes()
    assert report.scan().select(expected.columns).collect().equals(expected)


def test_throughput_is_pinned_and_says_so(days: list[Path], tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    report = hftlab.sweep(str(days[0]), engines="python", settings={}, task="throughput", core=core, out=tmp_path)
    frame = report.scan().collect()
    assert frame["messages"].to_list() == [3_000] * 5
    assert (frame["ns_per_message"] > 0).all()
    machine = report.tasks[0].machine
    assert machine is not None
    assert machine["placement"]["core"] == core


def test_the_command(days: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", *map(str, days[:2]), "--engine", "python", "--set", "levels=3,threshold=0.1", "--out", str(tmp_path)]
    assert main([*words, "--symbol", "HLAAA,HLAAB", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(task["settings"], task["symbols"]) for task in report["tasks"]] == [
        ("levels=3 threshold=0.1", ["HLAAA", "HLAAB"])
    ] * 2
    assert main([*words, "--symbol", "NOPE"]) == 1
    assert "unknown symbol 'NOPE'" in capsys.readouterr().out
    assert main([*words, "--set", "levels"]) == 2
    assert "--set must be NAME=VALUE" in capsys.readouterr().err


# Workers that die --------------------------------------------------------------------------------------------------------------


@contextmanager
def killer(pids: Callable[[], list[int]], count: int, seed: int = 1) -> Iterator[list[int]]:
    """Kill so many workers, one at a time at random moments, while the block runs; gives the list of the dead."""
    dead: list[int] = []
    over, rng = threading.Event(), random.Random(seed)

    def kill() -> None:
        while len(dead) < count and not over.wait(rng.uniform(0.05, 0.6)):
            for pid in rng.sample(alive := [pid for pid in pids() if pid not in dead], min(len(alive), 1)):
                os.kill(pid, signal.SIGKILL)
                dead.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield dead
    finally:
        over.set()
        thread.join()


def test_processes_that_are_killed_change_no_byte(days: list[Path], expected: dict[str, bytes], tmp_path: Path) -> None:
    pools: list[ProcessPoolExecutor] = []

    def opened() -> ProcessPoolExecutor:
        pools.append(process_pool(2))
        return pools[-1]

    def pids() -> list[int]:
        return [*(pools[-1]._processes or ())] if pools else []

    dead: list[int] = []
    number = 0
    while len(dead) < KILLS:
        number += 1
        out = tmp_path / str(number)
        with killer(pids, KILLS - len(dead), number) as killed:
            assert hftlab.sweep(days, **GRID, out=out, executor=opened)
        assert rows(out) == expected
        dead += killed
    assert len(dead) == KILLS


def test_a_worker_that_dies_while_it_is_started_changes_no_byte(
    days: list[Path], expected: dict[str, bytes], tmp_path: Path
) -> None:
    """Its pool then has lost the connection by which it starts workers, and says so when it is given the next task."""
    lost = iter([False, True, True])

    class Starting(ThreadPoolExecutor):
        def submit(self, *args: Any, **more: Any) -> Any:
            if next(lost, False):
                raise OSError(9, "Bad file descriptor")
            return super().submit(*args, **more)

    assert hftlab.sweep(days, **GRID, out=tmp_path, executor=lambda: Starting(2))
    assert rows(tmp_path) == expected
    assert next(lost, None) is None


class Deadly(Book):
    """Takes its process down at the first message."""

    def apply(self, *event: int) -> int:
        os._exit(9)


def test_a_task_that_kills_its_workers_is_given_up(days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["hftlab.batch.sweep"], "DEATHS", 1)
    monkeypatch.setattr(sys.modules["hftlab.batch.sweep"], "DEATHS_ALONE", 1)
    engines = ["python", hftlab.Engine(book=Deadly)]

    report = hftlab.sweep(days[:1], engines=engines, out=tmp_path, processes=True, workers=2)
    assert [task.state.value for task in report.tasks] == ["done", "failed"]
    assert [path.suffix for path in (tmp_path / "tasks").iterdir()] == [".json"]
    assert "2 workers that had it died" in report.failed[0].reason


def die_at_birth() -> None:
    os._exit(9)


def test_workers_that_die_before_they_begin_do_not_go_on_for_ever(
    days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, get_context("spawn"), initializer=die_at_birth)

    for limit in ("DEATHS", "DEATHS_ALONE"):
        monkeypatch.setattr(sys.modules["hftlab.batch.sweep"], limit, 1)
    report = hftlab.sweep(days[:1], engines=["python"], out=tmp_path, executor=pool)
    assert [task.state.value for task in report.tasks] == ["failed"]
    assert "workers that had it died" in report.failed[0].reason


def test_somebodys_own_executor_is_used_and_left_open(days: list[Path], tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert hftlab.sweep(days[:1], engines=["python"], out=tmp_path, executor=pool)
        assert pool.submit(int).result() == 0
    with pytest.raises(HftlabError, match="give a function that opens one"):
        hftlab.sweep(days[1:2], engines=["python"], out=tmp_path, executor=pool)


def test_an_engine_that_cannot_be_sent_is_a_row(days: list[Path], tmp_path: Path) -> None:
    engine = hftlab.Engine(book=lambda: Book())
    report = hftlab.sweep(days[:1], engines=[engine, "python"], out=tmp_path, processes=True, workers=1)
    assert [task.state.value for task in report.tasks] == ["failed", "done"]
    assert "could not be sent to a worker" in report.failed[0].reason


@pytest.mark.slow
@pytest.mark.net
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_whose_workers_are_killed_changes_no_byte(days: list[Path], expected: dict[str, bytes], tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:

        def pids() -> list[int]:
            return [nanny.pid for nanny in cluster.workers.values() if nanny.pid]

        dead, number = 0, 0
        while dead < KILLS:
            number += 1
            out = tmp_path / str(number)
            with killer(pids, KILLS - dead, number) as killed:
                assert hftlab.sweep(days, **GRID, out=out, cluster=cluster.scheduler_address)
            assert rows(out) == expected
            dead += len(killed)
            time.sleep(0.1)
    assert pl.scan_parquet(out / "signals").select(pl.len()).collect().item() == 2 * 4 * 3_000
