"""sweep(): a grid of files, symbols, engines and settings, on as many workers as there are, to one Parquet dataset.

    report = hftlab.sweep(["day1.itch.gz", "day2.itch.gz"], engines=["rust"], settings=[{}, {"levels": 10}], out="results")
    report.scan()                                  # pl.scan_parquet of all of it: file, engine, settings and the rows

A sweep that was interrupted continues, one that is repeated does nothing: what has been done is known by its content. The rows
are the same bytes for any number of workers, whatever they are, and however many of them die. Workers are threads, processes, a
Dask cluster, or any `concurrent.futures.Executor` of somebody else's. One may die at any moment: its tasks run again; a task that
takes its worker down every time is run alone, and then given up.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.batch.task import KINDS, Setup, State, Task, TaskRecord, in_a_sentence, record_path, run_task, was_begun
from hftlab.engine.resolve import as_engine
from hftlab.errors import BackendMissing, ConfigError, FeedError, HftlabError, check_choice, check_whole
from hftlab.measurement import system
from hftlab.measurement.machine import STABLE, fingerprint
from hftlab.presentation.document import Table, table
from hftlab.presentation.output import check_writable
from hftlab.presentation.progress import track
from hftlab.presentation.result import StoredResult

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


#: Opens an executor; it is closed when the block ends.
Opener = Callable[[], AbstractContextManager[Executor]]
DEATHS, DEATHS_ALONE = 5, 3  # of workers while they run a task: until it is run alone, and then until it is given up


def opener(
    executor: Executor | Opener | None, workers: int | None = None, processes: bool = False, cluster: str | None = None
) -> Opener:
    """What opens the executor that is asked for; somebody's own is left open. Raises ConfigError for more than one."""
    if (executor is not None) + processes + (cluster is not None) > 1:
        raise ConfigError("executor, processes and cluster must not be given together")
    if isinstance(executor, Executor):
        return lambda: nullcontext(executor)
    if executor is not None:
        return executor
    if cluster is not None:
        return lambda: dask(cluster)
    count = workers or len(system.affinity() or [0])
    if processes:
        return lambda: process_pool(count)
    return lambda: ThreadPoolExecutor(count, "sweep")


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Processes that are forked from one that has imported hftlab and done nothing, so that the next one is there at once; where
    there is no such thing, started anew. A process that has threads, as Polars does, must not be forked itself."""
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    context.set_forkserver_preload(["hftlab.batch.task"])
    return ProcessPoolExecutor(workers, context)


@contextmanager
def dask(address: str) -> Iterator[Executor]:
    """The workers of a Dask scheduler, "tcp://host:8786" say. They must see the files and the results under the same paths.

    raises : BackendMissing without Dask, HftlabError if no scheduler answers
    """
    try:
        from distributed import Client
    except ImportError:
        raise BackendMissing("a cluster needs Dask: pip install 'hftlab[cluster]'") from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise HftlabError(f"cluster must be the address of a Dask scheduler, got {address!r}: {error}") from None
    with client, client.get_executor(retries=0) as executor:
        yield executor


def run_all(tasks: Iterable[Task], out: str, opened: Opener) -> Iterator[TaskRecord]:
    """The records of tasks, as they are finished.

    raises : HftlabError if somebody's own executor has lost its workers and cannot be opened again
    """
    waiting, deaths = {task.key: task for task in tasks}, Counter[str]()
    while waiting:
        batch = [task for key, task in waiting.items() if deaths[key] < DEATHS] or [next(iter(waiting.values()))]
        moved = False
        for task, record in _run_batch(batch, out, opened):
            begun = record is None and was_begun(out, task.key)
            moved |= begun or record is not None
            deaths[task.key] += begun
            if record is None and deaths[task.key] >= DEATHS + DEATHS_ALONE:
                text = f"it was given up: {deaths[task.key]} workers that had it died"
                record = TaskRecord.of(task, State.FAILED, reason=text)
            if record is not None:
                del waiting[task.key]
                yield record
        if not moved:  # workers that die before they begin anything: nobody knows whose fault it is, and it must end
            deaths.update(task.key for task in batch)


def _run_batch(tasks: Sequence[Task], out: str, opened: Opener) -> Iterator[tuple[Task, TaskRecord | None]]:
    """Tasks with their records, as they are finished; None for one that must run again, because its worker has died."""
    futures: dict[Future[TaskRecord], Task] = {}
    with opened() as executor:
        try:
            for task in tasks:
                futures[executor.submit(run_task, task, out)] = task
        except RuntimeError as error:  # its workers are dead already, or it is closed
            if not futures:
                text = "give a function that opens one, and it is opened again when workers die"
                raise HftlabError(f"executor takes no tasks: {error}; {text}") from None
        except OSError:  # a worker died while it was started, and its connection with it: what was not taken runs again
            pass
        try:
            for future in as_completed(futures):
                yield futures[future], _outcome(future, futures[future])
        finally:
            for future in futures:
                future.cancel()
    yield from ((task, None) for task in tasks[len(futures) :])


def _outcome(future: Future[TaskRecord], task: Task) -> TaskRecord | None:
    """What a worker gave back; None if it has died."""
    try:
        return future.result()
    except (BrokenExecutor, CancelledError, OSError):
        return None
    except Exception as error:
        if type(error).__module__.startswith("distributed."):  # KilledWorker, and what breaks when a connection does
            return None
        return TaskRecord.of(task, State.FAILED, reason=f"it could not be sent to a worker: {in_a_sentence(error)}")
