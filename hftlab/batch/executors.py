"""Where tasks run: threads, processes, a Dask cluster, or any `concurrent.futures.Executor` of somebody else's.

A worker may die at any moment. Its tasks run again; one that takes its worker down every time is run alone, and then given up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from multiprocessing import get_all_start_methods, get_context

from hftlab.batch.task import State, Task, TaskRecord, in_a_sentence, run_task, was_begun
from hftlab.errors import BackendMissing, ConfigError, HftlabError
from hftlab.measurement import system

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
