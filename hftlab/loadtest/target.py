"""The seam: what can be driven at intended send times. An engine in this process is one target; a network path is another.

A target opens a session for each run. The session is given once what to send and when (`drive`), and returns when each batch
began to be worked on and when it was done. A target over a network fills `done` with the times at which the answers came.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from random import Random
from statistics import median
from time import perf_counter_ns
from typing import Any, Protocol, TypeVar

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.resolve import as_engine
from hftlab.engine.session import Session, backends
from hftlab.errors import ConfigError, HftlabError, check_range
from hftlab.feeds.feed import Feed
from hftlab.feeds.frames import Problem, walk
from hftlab.feeds.itch import ItchFeed
from hftlab.loadtest.schedule import Times
from hftlab.measurement.conditions import require_parity, require_release_build
from hftlab.presentation.progress import track

Cell = TypeVar("Cell")

#: Messages on which an engine must agree with the reference before it is put under load.
PREFIX = 5_000
#: Batches of a run that only finds out how many there is time for, and of any run at least.
FIRST_BATCHES, MIN_BATCHES = 300, 100


@dataclass(frozen=True)
class Batches:
    """Framed ITCH, cut into what is sent at once.

    ends : (n,) int64, where each batch ends in `data`, bytes
    size : messages of a batch (the last may have fewer)
    """

    data: bytes
    ends: Times
    size: int = 1

    @classmethod
    def of(cls, data: bytes, size: int = 1) -> Batches:
        """Cut whole messages into batches of `size`.

        raises : ConfigError for a size below 1; FeedError for bytes that are no framed messages
        """
        check_range("messages of a batch", size, 1)
        ends = [at + length for _, at, length in walk([data], "the feed")] if data else []
        cut = np.array(ends[size - 1 :: size] + ends[len(ends) - len(ends) % size :][-1:], np.int64)
        return cls(data[: cut[-1]] if len(cut) else b"", cut, size)

    def __len__(self) -> int:
        return len(self.ends)

    def head(self, count: int) -> Batches:
        """The first `count` batches."""
        if count >= len(self):
            return self
        return Batches(self.data[: self.ends[count - 1]] if count else b"", self.ends[:count], self.size)

    @cached_property
    def pieces(self) -> list[bytes]:
        """Each batch alone."""
        ends = [0, *self.ends.tolist()]
        return [self.data[start:end] for start, end in pairwise(ends)]


@dataclass(frozen=True)
class Timings:
    """One run, batch by batch: ns from its beginning, (n,) int64 each.

    due, began, done : when each batch was due, when it began to be worked on, and when it was done
    completed        : batches that were through when the last of these was done, if not all of them can be timed; None: these
    lost             : packets that a network lost and orders that never came; None where there is no network
    """

    due: Times
    began: Times
    done: Times
    completed: int | None = None
    lost: int | None = None

    @property
    def service(self) -> Times:
        """From when a batch began until it was done: what a closed loop sees."""
        return self.done - self.began

    @property
    def response(self) -> Times:
        """From when a batch was due."""
        return self.done - self.due

    @property
    def per_s(self) -> float:
        """Batches/s that were done."""
        return (self.completed or len(self.due)) * 1e9 / max(int(self.done.max()), 1)

    @property
    def kept_up(self) -> bool:
        """Whether nothing was lost and the queue did not grow: in the last tenth of the run some batch was done within 1 % of the
        run's length after it was due. A target that keeps up drains its queue now and then, whatever a stall does."""
        last = max(len(self.due) // 10, 1)
        return not self.lost and bool(self.response[-last:].min() <= 0.01 * self.due[-1])


class TargetSession(Protocol):
    """One run of a target, from nothing. Storms and soak ask one with a book for `counters`, `finish` and `depth`, too, which are
    those of `hftlab.engine.session.Session`, as far as the target knows."""

    def push(self, data: bytes) -> None:
        """Framed messages, all at once and untimed: to build a book, to warm up."""

    def drive(self, batches: Batches, due: Times) -> Timings:
        """Send each batch when it is due, or as soon after as the one before it is done. The caller stops garbage collection."""


class Target(ABC):
    """Something that can be put under load. `label` names it; `engine` is the engine that does the work, where there is one."""

    label: str
    engine: Engine | None = None

    @abstractmethod
    def open(self) -> TargetSession:
        """A session of its own."""

    def open_book(self) -> Any:
        """A session that can be asked for its book. raises : HftlabError for a target without one"""
        session = self.open()
        if not hasattr(session, "counters"):
            raise HftlabError(f"{self.label} has no book to look at; only the sweep can run over it")
        return session

    def precheck(self, workload: Workload) -> None:
        """Whether it does the work right, before any clock starts. raises : HftlabError for an engine that differs from the
        reference on the first messages of the workload"""
        if self.engine is not None and self.engine.backend != "python":
            batches = workload.batches.head(PREFIX // workload.batches.size + 1)
            prefix = ItchFeed(workload.warm + batches.data, name=workload.name)
            require_parity([self.engine.as_reference(), self.engine], prefix, PREFIX)

    def notes(self) -> list[str]:
        """What is timed, where it needs saying, a sentence each."""
        return []

    def max_batches(self, rate: float) -> int | None:
        """Batches of one run at a rate, batches/s, at most; None: no bound."""
        return None

    def with_kill_switch(self) -> Target:
        """The same, deciding on orders and sending none, so that a run of any length keeps none; itself where it cannot."""
        return self

    def allocations(self) -> int | None:
        """How often its heap has been asked so far; None where it does not count."""
        return None


@dataclass(frozen=True)
class Workload:
    """What is sent in every run: `warm` at once and untimed, then `batches` one by one."""

    name: str
    warm: bytes
    batches: Batches

    @classmethod
    def of(cls, feed: Feed, warm: int, batches: int, size: int = 1) -> Workload:
        """Of the first messages of a feed. raises : ConfigError for one that carries no wire bytes, or that is too short"""
        check_range("warm", warm, 0)
        if feed.wire != "itch":
            raise ConfigError(f"feed must be one of wire bytes, got {feed.name}, which carries event records")
        cut = Batches.of(b"".join(map(bytes, feed.head(warm + batches * size).blocks())))
        if len(cut) <= warm + size:
            raise ConfigError(f"feed must have more than {warm + size:,} messages, {warm:,} to warm up, got {len(cut):,}")
        start = int(cut.ends[warm - 1]) if warm else 0
        return cls(feed.name, cut.data[:start], Batches.of(cut.data[start:], size))

    def drive(self, target: Target, due: Times) -> Timings:
        """The first batches, in a session of their own, each when it is due."""
        session = target.open()
        session.push(self.warm)
        return session.drive(self.batches.head(len(due)), due)


class EngineTarget(Target):
    """An engine in this process. It is called from Rust where its session has `paced(data, ends, due_ns, began, done)` (see
    rust_ext/src/pace.rs), from Python elsewhere; what the call costs is part of its service time.

    raises : HftlabError for a debug build
    """

    engine: Engine

    def __init__(self, engine: Engine, label: str | None = None) -> None:
        require_release_build(engine)
        self.engine, self.label = engine, label or engine.label

    @classmethod
    def of(cls, given: Any) -> EngineTarget:
        """Of whatever `hftlab.as_engine` takes, labelled by the name that was asked for, else by the engine's own."""
        engine = as_engine(given)
        if isinstance(given, str) and ":" not in given and given != "auto":
            return cls(engine, given)
        own = [name for axis, name in engine.variant.items() if axis in engine.stages]
        return cls(engine, " ".join([engine.backend, *map(str, own)]))

    def open(self) -> EngineSession:
        return EngineSession(self.engine.open(self.engine.settings(record="none")))

    def with_kill_switch(self) -> EngineTarget:
        risk = replace(self.engine.settings().risk_config, kill=True)
        return EngineTarget(self.engine.replace(risk_config=risk), self.label)

    def allocations(self) -> int | None:
        counter = getattr(self.engine.implementation, "allocations", None)
        return int(counter()[0]) if counter else None


class EngineSession:
    """One session of an engine, driven from Rust or from Python."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.counters, self.finish, self.depth = session.counters, session.finish, session.depth

    def push(self, data: bytes) -> None:
        _check(self.session.push(data)[1])

    def drive(self, batches: Batches, due: Times) -> Timings:
        paced = getattr(self.session, "paced", None)
        if paced is None:
            return self._drive(batches, due)
        began, done = np.zeros(len(due), np.int64), np.zeros(len(due), np.int64)
        _check(paced(batches.data, batches.ends, due, began, done))
        return Timings(due, began, done)

    def _drive(self, batches: Batches, due: Times) -> Timings:
        push, clock = self.session.push, perf_counter_ns
        began, done = array("q", bytes(8 * len(due))), array("q", bytes(8 * len(due)))
        pieces, times = batches.pieces, due.tolist()
        begin = clock()
        for i, data in enumerate(pieces):
            at = begin + times[i]
            while (now := clock()) < at:
                pass
            push(data)
            began[i], done[i] = now, clock()
        return Timings(due, np.frombuffer(began, np.int64) - begin, np.frombuffer(done, np.int64) - begin)


def _check(problem: Any) -> None:
    if problem:
        raise Problem(*problem).error(0, "the feed under load")


def resolve_targets(given: Iterable[Any] | None) -> list[Target]:
    """Engines as targets, targets as they are.

    given  : as `hftlab.as_engine` takes them, or targets; None: every engine that comes with hftlab and is installed
    raises : ConfigError for none, or two of one name
    """
    if given is None:
        given = [info.name for info in backends() if info.available and info.name in ("python", "rust")]
    targets = [each if isinstance(each, Target) else EngineTarget.of(each) for each in given]
    labels = [target.label for target in targets]
    if not targets or len(set(labels)) < len(labels):
        raise ConfigError(f"targets must be one or more, of different names, got {', '.join(labels) or 'none'}")
    return targets


def flat_out_rate(target: Target, workload: Workload, rounds: int, seconds: float) -> float:
    """Batches/s of a target when all are due at once, median over the rounds; seconds: about, of each.

    Over a network that loses some of that many at once it is fewer, until none is lost: else it would be the rate of resending.
    """
    count = min(FIRST_BATCHES, len(workload.batches))  # to know how many there is time for

    def run() -> Timings:
        return workload.drive(target, np.zeros(count, np.int64))

    for _ in range(2):
        count = min(max(MIN_BATCHES, int(run().per_s * seconds)), len(workload.batches))
    runs = [run()]
    while len(runs) < rounds or (runs[-1].lost and count > MIN_BATCHES):
        if runs[-1].lost and count > MIN_BATCHES:
            count, runs = max(MIN_BATCHES, count // 2), []
        runs.append(run())
    return median(run.per_s for run in runs)


def shuffled_rounds(
    runs: Mapping[Cell, Callable[[], Timings]], rounds: int, order: Random, what: str
) -> dict[Cell, list[Timings]]:
    """Every run once a round, in a new random order each; the timings of each, a round each. what : names the rounds on screen"""
    timings: dict[Cell, list[Timings]] = {cell: [] for cell in runs}
    for _ in track(range(rounds), what):
        for cell in order.sample(list(runs), len(runs)):
            timings[cell].append(runs[cell]())
    return timings


def end_state(session: Any, instruments: Iterable[int]) -> dict[str, Any]:
    """How a session ends: what must be the same in every engine, and besides its "orders" and "memory"."""
    result = session.finish()
    shared: dict[str, Any] = {name: list(result[name]) for name in ("counts", "rejects")}
    shared |= {"messages": result["messages"], "order bytes": bytes(result["order_stream"]), "faults": sum(result["faults"])}
    depth = {instrument: session.depth(instrument) for instrument in instruments}
    live = result["memory"]["live_orders"]
    return {**shared, "live orders": live, "depth": depth, "memory": result["memory"], "orders": result.get("orders")}


def differences(end: dict[str, Any], wanted: dict[str, Any]) -> tuple[str, ...]:
    """What ended otherwise than it should, by name."""
    return tuple(sorted(name for name in wanted if name not in ("memory", "orders") and end[name] != wanted[name]))
