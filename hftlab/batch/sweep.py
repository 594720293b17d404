"""sweep(): a grid of files, symbols, engines and settings, on as many workers as there are, to one Parquet dataset.

    report = hftlab.sweep(["day1.itch.gz", "day2.itch.gz"], engines=["rust"], settings=[{}, {"levels": 10}], out="results")
    report.scan()                                  # pl.scan_parquet of all of it: file, engine, settings and the rows

A sweep that was interrupted continues, one that is repeated does nothing: what has been done is known by its content. The rows
are the same bytes for any number of workers, whatever they are, and however many of them die.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.batch.executors import Opener, opener, run_all
from hftlab.batch.task import KINDS, Setup, State, Task, TaskRecord, record_path
from hftlab.engine.resolve import as_engine
from hftlab.errors import ConfigError, FeedError, HftlabError, check_choice, check_whole
from hftlab.measurement.machine import STABLE, fingerprint
from hftlab.measurement.storage import StoredResult
from hftlab.presentation.document import Table, table
from hftlab.presentation.output import check_writable
from hftlab.presentation.progress import track

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, repr=False)
class SweepReport(StoredResult):
    """What became of every task of a sweep. True in a condition if none failed.

    out    : the folder of the results
    kind   : of the tasks, "book" say
    tasks  : one record per task, in the order of the grid
    reused : how many had been done before
    """

    schema = "hftlab.sweep/1"

    out: str
    kind: str
    tasks: tuple[TaskRecord, ...]
    reused: int = 0

    def __bool__(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> list[TaskRecord]:
        """The tasks that failed."""
        return [task for task in self.tasks if task.state is State.FAILED]

    def scan(self) -> pl.LazyFrame:
        """The rows of this kind below `out` with the partitions file, engine and settings; those of earlier sweeps, too."""
        import polars as pl

        partitions = dict.fromkeys(("file", "engine", "settings"), pl.String)
        return pl.scan_parquet(Path(self.out, self.kind), hive_schema=partitions)

    def records(self) -> list[dict[str, Any]]:
        """One row per task; `TaskRecord` says what is in it."""
        whole = (task.to_dict() for task in self.tasks)
        return [{name: value for name, value in row.items() if name not in ("schema", "machine")} for row in whole]

    def headline(self) -> str:
        done = len(self.tasks) - len(self.failed)
        return f"Sweep of {len(self.tasks)} {self.kind} tasks: {done} done ({self.reused} before), {len(self.failed)} failed"

    def tables(self) -> list[Table]:
        head = ("file", "symbols", "engine", "settings", "state", "rows", "messages", "seconds")
        rows = [
            (
                *(Path(task.file).name, " ".join(task.symbols) or "all", task.engine, task.settings, task.state.value),
                *(f"{task.rows:,}", f"{task.messages:,}", f"{task.seconds:.3f}"),
            )
            for task in self.tasks
        ]
        return [table("Tasks", head, rows, words=5)]

    def notes(self) -> list[str]:
        reasons = Counter(task.reason for task in self.failed)
        return [*(f"{n} failed: {reason}" for reason, n in reasons.items()), f"rows are in {Path(self.out, self.kind)}"]

    def plot(self) -> Any:
        """Seconds per task."""
        from hftlab import charts

        names = [f"{Path(task.file).name} {task.settings}" for task in self.tasks]
        bars = [
            {"label": name, "value": task.seconds, "group": task.engine, "text": task.state.value}
            for name, task in zip(names, self.tasks, strict=True)
        ]
        return charts.bar_chart(bars, self.headline(), self.out, "seconds")


def sweep(
    files: Sequence[str | Path],
    engines: Sequence[Any] = ("auto",),
    settings: Sequence[Mapping[str, Any]] = ({},),
    symbols: Sequence[str | Sequence[str]] = (),
    task: str = "book",
    out: str | Path = "results",
    executor: Executor | Opener | None = None,
    *,
    workers: int | None = None,
    processes: bool = False,
    cluster: str | None = None,
    core: int | None = None,
) -> SweepReport:
    """Run every engine with all settings over every file, each combination a task, and write the rows as one dataset.

    files     : of market data, under the same path on every worker
    engines   : whatever `hftlab.as_engine` takes
    settings  : one mapping per variation: fields of SignalConfig, OrderConfig and RiskConfig by their names
    symbols   : one task each; a sequence of them is one task; default one task for all of the file
    task      : book (best bid and ask whenever they change), signals (a row per message), orders, fills (of these orders, a row
                per latency), or throughput (on a core alone)
    out       : folder of the results; what is done there already is not done again, what failed is
    executor  : any `concurrent.futures.Executor`, or a function that opens one, which is called again when all its workers died
    workers   : threads, or processes; default one per core
    processes : run tasks in processes of this machine instead of threads
    cluster   : run tasks on the workers of this Dask scheduler, tcp://HOST:8786 (pip install 'hftlab[cluster]')
    core      : pin a throughput task to this core; such tasks run one after the other
    raises    : HftlabError for a file, an engine or a setting that does not exist. A task that fails is a record with its reason,
                and ends nothing
    """
    check_choice("task", task, KINDS)
    if workers is not None:
        check_whole("workers", workers, 1)
    if task == "throughput":
        workers = _one_pinned(core, workers, shared=executor is not None or processes or cluster is not None)
    opened = opener(executor, workers, processes, cluster)
    tasks = {each.key: each for each in grid(files, engines, settings, symbols, task, core)}
    out = str(Path(out).absolute())
    check_writable(record_path(out, "any"))
    Path(out, "tasks").mkdir(parents=True, exist_ok=True)
    records = {key: record for key in tasks if (record := _done(out, key))}
    reused = len(records)
    todo = [each for key, each in tasks.items() if key not in records]
    for record in track(run_all(todo, out, opened), f"sweep: {task}", len(todo)):
        records[record.key] = record
    return SweepReport(out, task, tuple(records[key] for key in tasks), reused)


def grid(
    files: Iterable[str | Path],
    engines: Iterable[Any],
    settings: Iterable[Mapping[str, Any]],
    symbols: Iterable[str | Sequence[str]],
    kind: str,
    core: int | None = None,
) -> list[Task]:
    """Every combination as a task; raises HftlabError for what does not exist."""
    named = [as_engine(engine).backend if engine == "auto" else engine for engine in _several(engines)]
    setups = [Setup(engine, dict(one)) for engine, one in product(named, _several(settings))]
    groups = [(one,) if isinstance(one, str) else tuple(one) for one in _several(symbols)] or [()]
    paths = [str(Path(file).absolute()) for file in _several(files)]
    if not paths or not setups:
        raise ConfigError("files, engines and settings must each be one or more, got none of one of them")
    contents = {path: content(path) for path in dict.fromkeys(paths)}
    timed: dict[str, Any] = {}
    if kind == "throughput":
        machine = fingerprint()
        timed = {"core": core, "machine": repr([machine[name] for name in STABLE])}
    return [Task(kind, path, contents[path], group, one, **timed) for path, group, one in product(contents, groups, setups)]


def _several(given: Any) -> list[Any]:
    """Where several may be given, one is one of them."""
    alone = isinstance(given, str | Path | Mapping) or not isinstance(given, Iterable)
    return [given] if alone else list(given)


def content(path: str) -> str:
    """The hash of what is in a file. Raises FeedError if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise FeedError(f"{path}: cannot be opened: {error.strerror or error}") from None


def _done(out: str, key: str) -> TaskRecord | None:
    """The record of a task that has been done, if its rows are still there."""
    try:
        record = TaskRecord.from_dict(json.loads(record_path(out, key).read_bytes()))
        same = Path(out, record.path).stat().st_size == record.size
    except (OSError, ValueError, HftlabError):
        return None
    return record if same else None


def _one_pinned(core: int | None, workers: int | None, *, shared: bool) -> int:
    """A throughput task alone on its core: 1 worker. Raises ConfigError otherwise; shared: workers that others use, too."""
    if core is None or shared or workers not in (None, 1):
        raise ConfigError(
            "task 'throughput' must be pinned and alone: give core=N and no executor, processes, cluster or more than one worker "
            "(latency is another command: hftlab latency)"
        )
    return 1
