"""One task of a sweep: a file, symbols, an engine and settings, run to one Parquet file, and the record of what became of it.

    OUT/book/file=day1.itch/engine=rust/settings=default/KEY.parquet      the rows, one dataset per kind of task
    OUT/tasks/KEY.json                                                    the record, written when the rows are there

KEY is a hash of the content of the file and of everything that decides on the rows, so that a task which has been done is known
again wherever the file lies. Both files are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hftlab import __version__
from hftlab.engine.engine import Engine
from hftlab.engine.resolve import as_engine
from hftlab.engine.run import Run
from hftlab.errors import ConfigError, HftlabError, check_choice
from hftlab.feeds.feed import Feed
from hftlab.feeds.reader import load
from hftlab.fills.value import latency_value
from hftlab.measurement.affinity import cpu_affinity
from hftlab.measurement.machine import fingerprint
from hftlab.presentation import output
from hftlab.presentation.result import StoredResult
from hftlab.settings import OrderConfig, Record, RiskConfig, SignalConfig, Stage

if TYPE_CHECKING:
    import polars as pl

ROUNDS = 5  # passes of a throughput task
#: Setting -> the argument of Engine that holds it.
SETTINGS: dict[str, str] = {
    field.name: config
    for config, kind in (("signal_config", SignalConfig), ("order_config", OrderConfig), ("risk_config", RiskConfig))
    for field in fields(kind)
}


class State(Enum):
    """What became of a task."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Setup:
    """An engine with settings.

    engine   : whatever `hftlab.as_engine` takes, if it can be sent to another process
    settings : fields of SignalConfig, OrderConfig and RiskConfig, by their names
    """

    engine: Any
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the engine is called in the dataset: as it was given, or its label."""
        return self.engine if isinstance(self.engine, str) else as_engine(self.engine).label

    @property
    def words(self) -> str:
        """The settings as one text: "levels=10 threshold=0.5", or "default"."""
        return " ".join(f"{name}={value}" for name, value in sorted(self.settings.items())) or "default"

    def open(self, until: Stage = "order") -> Engine:
        """The engine. raises : HftlabError for one that does not exist, for a setting that does not, or that is out of range"""
        engine = as_engine(self.engine, until=until)
        given = engine.settings()
        changes: dict[str, dict[str, Any]] = {}
        for name, value in self.settings.items():
            changes.setdefault(SETTINGS[check_choice("setting", name, SETTINGS)], {})[name] = value
        return engine.replace(**{config: replace(getattr(given, config), **change) for config, change in changes.items()})

    @cached_property
    def identity(self) -> str:
        """Everything of it that decides on rows, somebody's own code included."""
        engine = self.open()
        return repr((__version__, engine.label, engine.settings(), {axis: _source(own) for axis, own in engine.stages.items()}))


@dataclass(frozen=True)
class Task:
    """What is to be done, as it is sent to a worker.

    file    : its path, the same on every worker; content: the hash of what is in it
    symbols : to be run together; empty for all
    core    : that a throughput task is pinned to; machine: where, since its rows are times
    """

    kind: str
    file: str
    content: str
    symbols: tuple[str, ...]
    setup: Setup
    core: int | None = None
    machine: str = ""

    @cached_property
    def key(self) -> str:
        """The hash of its content and of everything that decides on its rows."""
        what = (self.kind, Path(self.file).name, self.content, self.symbols, self.setup.identity, self.core, self.machine)
        return hashlib.blake2b(repr(what).encode(), digest_size=16).hexdigest()

    @property
    def place(self) -> str:
        """The path of its rows below OUT; the names between the slashes are the partitions of the dataset."""
        parts = {"file": Path(self.file).name, "engine": self.setup.name, "settings": self.setup.words}
        folders = [f"{name}={quote(value, safe=' ,')}" for name, value in parts.items()]
        return "/".join([self.kind, *folders, f"{self.key}.parquet"])

    def run(self) -> tuple[pl.DataFrame, Run]:
        """Its rows, and the run that gave them. raises : HftlabError, and whatever an engine of somebody's own does"""
        engine = self.setup.open("book" if self.kind == "book" else "order")
        return KINDS[self.kind](engine, load(self.file, self.symbols))


@dataclass(frozen=True, repr=False)
class TaskRecord(StoredResult):
    """What became of a task.

    engine        : its label; settings: in words
    reason        : why it failed, "" if it did not
    path          : of its rows, below OUT; rows, size: how many, and the bytes of the file
    messages      : that were run; elapsed_ns: in the engine's own loop; seconds: all of it, from file to file
    worker        : host and process
    machine       : its fingerprint, `hftlab.measurement.machine.fingerprint`
    """

    schema = "hftlab.task/1"

    key: str
    kind: str
    file: str
    symbols: tuple[str, ...]
    engine: str
    settings: str
    state: State
    reason: str = ""
    path: str = ""
    rows: int = 0
    size: int = 0
    messages: int = 0
    elapsed_ns: int = 0
    seconds: float = 0.0
    worker: str = ""
    machine: dict[str, Any] | None = None

    @classmethod
    def of(cls, task: Task, state: State, **more: Any) -> TaskRecord:
        """The record of a task; more: the fields that it has only when it has been run."""
        return cls(task.key, task.kind, task.file, task.symbols, task.setup.name, task.setup.words, state, **more)


def run_task(task: Task, out: str) -> TaskRecord:
    """Run a task here and write its rows and its record below `out`. What goes wrong is in the record, it is not raised."""
    started, worker = perf_counter(), f"{platform.node()}:{os.getpid()}"
    begun = _begun(out, task.key)
    try:
        begun.touch()
        with cpu_affinity(task.core) as placement:
            if placement.core != task.core:
                raise ConfigError(f"core {task.core} must be one to pin to: {'; '.join(placement.refused)}")
            machine = fingerprint()
            frame, run = task.run()
        path = Path(out, task.place)
        output.write_parquet(path, frame)
        done = {"path": task.place, "rows": len(frame), "size": path.stat().st_size, "machine": machine}
        done |= {"messages": run.messages, "elapsed_ns": run.elapsed_ns}
        record = TaskRecord.of(task, State.DONE, seconds=perf_counter() - started, worker=worker, **done)
        record.save(record_path(out, task.key))
    except Exception as error:
        return TaskRecord.of(task, State.FAILED, reason=in_a_sentence(error), seconds=perf_counter() - started, worker=worker)
    finally:
        begun.unlink(missing_ok=True)
    return record


def was_begun(out: str, key: str) -> bool:
    """Whether the worker that died with a task had begun it; asked once."""
    try:
        _begun(out, key).unlink()
    except OSError:
        return False
    return True


def _begun(out: str, key: str) -> Path:
    """A file that is there while a task runs."""
    return record_path(out, key).with_suffix(".begun")


def record_path(out: str | Path, key: str) -> Path:
    """Where the record of a task is kept."""
    return Path(out, "tasks", f"{key}.json")


def in_a_sentence(error: BaseException) -> str:
    """Why something failed; an error that is not ours with the place where it was raised."""
    if isinstance(error, HftlabError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {error}" + (f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else "")


def _source(factory: Any) -> str:
    """The code of somebody's own stage, as far as Python can show it: another code is another task."""
    try:
        return inspect.getsource(factory)
    except (OSError, TypeError):
        return ""


# What each kind of task writes ------------------------------------------------------------------------------------------------


def _recorded(engine: Engine, feed: Feed, record: Record) -> tuple[pl.DataFrame, Run]:
    """Rows with the symbol behind the number of the instrument; the signals only where there is a row per message."""
    import polars as pl

    run = engine.run(feed, record=record)
    numbers = run.frame["instrument"].unique(maintain_order=True)
    names = pl.DataFrame({"instrument": numbers, "symbol": pl.Series([run.name(i) for i in numbers], dtype=pl.String)})
    first = ["index", "ts_ns", "instrument", "symbol"]
    rest = run.frame.columns[3:] if record == "all" else ["bid_price", "bid_qty", "ask_price", "ask_qty"]
    return run.frame.join(names, on="instrument", how="left", maintain_order="left").select(*first, *rest), run


def _orders(engine: Engine, feed: Feed) -> tuple[pl.DataFrame, Run]:
    run = engine.run(feed, record="none")
    return run.orders, run


def _fills(engine: Engine, feed: Feed) -> tuple[pl.DataFrame, Run]:
    return latency_value(feed, strategy="take", engine=engine).frame(), engine.run(feed, record="none")


def _throughput(engine: Engine, feed: Feed) -> tuple[pl.DataFrame, Run]:
    import polars as pl

    runs = [engine.run(feed, record="none") for _ in range(ROUNDS)]
    rows = {"round": range(ROUNDS), "messages": [run.messages for run in runs], "elapsed_ns": [run.elapsed_ns for run in runs]}
    return pl.DataFrame(rows).with_columns(ns_per_message=pl.col("elapsed_ns") / pl.col("messages")), runs[-1]


#: What a task may be: the rows it writes.
#: book        best bid and ask whenever they change
#: signals     a row per message: best bid and ask, and the nine signals
#: orders      every order that was sent
#: fills       what becomes of these orders at the exchange, a row per latency: `hftlab.latency_value` with the strategy take
#: throughput  the engine's own loop, a row per pass, pinned to a core
KINDS: dict[str, Callable[[Engine, Feed], tuple[pl.DataFrame, Run]]] = {
    "book": partial(_recorded, record="top"),
    "signals": partial(_recorded, record="all"),
    "orders": _orders,
    "fills": _fills,
    "throughput": _throughput,
}
