"""The seam: what can be driven at intended send times. An engine in this process is one target; a path is another (over.py).

A target opens a line for each run. The line is told once what is to be sent and when (`drive`), and says when each call began
to be worked on and when it was done. Whoever answers over a wire fills `done` alone with the times at which the answer came.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from time import perf_counter_ns
from typing import Any, Protocol

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.session import Session
from hftlab.errors import ConfigError, HftlabError
from hftlab.feeds.feed import Feed
from hftlab.feeds.frames import Frames, Problem
from hftlab.loadtest.schedule import Times
from hftlab.measurement.preconditions import require_release_build


@dataclass(frozen=True)
class Calls:
    """Framed ITCH, cut into what is sent at once.

    ends : (n,) int64, where each call ends in `data`, bytes
    each : messages of a call (the last may have fewer)
    """

    data: bytes
    ends: Times
    each: int = 1

    @classmethod
    def of(cls, data: bytes, each: int = 1, most: int | None = None) -> Calls:
        """Cut whole messages into calls of `each`; at most so many calls.

        raises : ConfigError for each < 1; HftlabError for bytes that are no framed messages
        """
        if each < 1:
            raise ConfigError(f"messages of a call are {each}; allowed is 1 or more")
        frames, ends = Frames(data), []
        for at, size in frames:
            ends.append(at + size)
            if most is not None and len(ends) == most * each:
                break
        if frames.problem:
            raise HftlabError(f"the feed breaks off after {len(ends):,} messages: {frames.problem.code}")
        cut = np.array(ends[each - 1 :: each] + ends[len(ends) - len(ends) % each :][-1:], np.int64)
        return cls(data[: cut[-1]] if len(cut) else b"", cut, each)

    def __len__(self) -> int:
        return len(self.ends)

    def head(self, calls: int) -> Calls:
        """The first so many."""
        return (
            self
            if calls >= len(self)
            else Calls(self.data[: self.ends[calls - 1]] if calls else b"", self.ends[:calls], self.each)
        )

    @cached_property
    def pieces(self) -> list[bytes]:
        """Each call alone."""
        ends = [0, *self.ends.tolist()]
        return [self.data[start:end] for start, end in pairwise(ends)]


@dataclass(frozen=True)
class Driven:
    """What came of a run: ns from its beginning, (n,) int64 each.

    due, began, done : when each call was due, when it began to be worked on, and when it was done
    calls            : those that were through when the last of these was done, if not all of them can be timed; None: these
    lost             : what a wire lost on the way, sent again or never come; None where there is no wire
    """

    due: Times
    began: Times
    done: Times
    calls: int | None = None
    lost: int | None = None

    @property
    def service(self) -> Times:
        """From when a call began until it was done: what a closed loop sees."""
        return self.done - self.began

    @property
    def response(self) -> Times:
        """From when a call was due."""
        return self.done - self.due

    @property
    def per_s(self) -> float:
        """Calls/s that were done."""
        return (self.calls or len(self.due)) * 1e9 / max(int(self.done.max()), 1)

    @property
    def kept_up(self) -> bool:
        """Whether nothing was lost, and the queue did not grow: in the last tenth of the run some call was done within 1 % of the
        run's length after it was due. Who keeps up is done with the queue now and then, whatever a stall does; who does not is
        later and later."""
        last = max(len(self.due) // 10, 1)
        return not self.lost and bool(self.response[-last:].min() <= 0.01 * self.due[-1])


class Line(Protocol):
    """One run of a target, from nothing."""

    def push(self, data: bytes) -> None:
        """Framed messages, all at once and untimed: to build a book, to warm up."""

    def drive(self, calls: Calls, due: Times) -> Driven:
        """Send each call when it is due, or as soon after as the one before it is done. The caller stops garbage collection."""

    def finish(self) -> dict[str, Any]:
        """As `hftlab.engine.session.Session.finish`, as far as the target knows."""

    def counters(self) -> dict[str, Any]:
        """As `hftlab.engine.session.Session.counters`, as far as the target knows."""

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        """As `hftlab.engine.session.Session.depth`."""


class Target(Protocol):
    """Something that can be put under load."""

    label: str

    def open(self) -> Line:
        """A line of its own."""


@dataclass(frozen=True)
class Work:
    """What is sent in every run: `warm` at once and untimed, then `calls` one by one.

    warm_messages : how many messages `warm` has
    """

    name: str
    warm: bytes
    calls: Calls
    warm_messages: int = 0

    @classmethod
    def of(cls, feed: Feed, warm: int, calls: int, each: int = 1) -> Work:
        """Of the first messages of a feed. raises : ConfigError for one that carries no wire bytes, or that is too short"""
        if feed.wire != "itch":
            raise ConfigError(f"{feed.name} carries event records; allowed under load is a feed of wire bytes")
        cut = Calls.of(b"".join(map(bytes, feed.head(warm + calls * each).blocks())))
        if len(cut) <= warm + each:
            raise ConfigError(
                f"{feed.name} has {len(cut):,} messages; allowed is more than {warm + each:,}, {warm:,} of them to warm up"
            )
        start = int(cut.ends[warm - 1]) if warm else 0
        return cls(feed.name, cut.data[:start], Calls.of(cut.data[start:], each), warm)

    def drive(self, target: Target, due: Times) -> Driven:
        """The first calls, on a line of their own, each when it is due."""
        line = target.open()
        line.push(self.warm)
        return line.drive(self.calls.head(len(due)), due)


class EngineTarget:
    """An engine in this process. It is called from Rust where its session has `paced(data, ends, due_ns, began, done)` (see
    rust_ext/src/pace.rs), from Python elsewhere; what the call costs is part of its service time.

    raises : HftlabError for a debug build
    """

    def __init__(self, engine: Engine, label: str | None = None) -> None:
        require_release_build(engine)
        self.engine, self.label = engine, label or engine.label

    def open(self) -> EngineLine:
        return EngineLine(self.engine.open(self.engine.settings(record="none")))


class EngineLine:
    """One session of an engine."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def push(self, data: bytes) -> None:
        _check(self.session.push(data)[1])

    def drive(self, calls: Calls, due: Times) -> Driven:
        paced = getattr(self.session, "paced", None)
        if paced is None:
            return _drive(self.session, calls, due)
        began, done = np.zeros(len(due), np.int64), np.zeros(len(due), np.int64)
        _check(paced(calls.data, calls.ends, due, began, done))
        return Driven(due, began, done)

    def finish(self) -> dict[str, Any]:
        return {**self.session.finish()}

    def counters(self) -> dict[str, Any]:
        return {**self.session.counters()}

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        return self.session.depth(instrument)


def _drive(session: Session, calls: Calls, due: Times) -> Driven:
    """The same from Python."""
    push, clock = session.push, perf_counter_ns
    began, done = array("q", bytes(8 * len(due))), array("q", bytes(8 * len(due)))
    pieces, times = calls.pieces, due.tolist()
    begin = clock()
    for i, data in enumerate(pieces):
        at = begin + times[i]
        while (now := clock()) < at:
            pass
        push(data)
        began[i], done[i] = now, clock()
    return Driven(due, np.frombuffer(began, np.int64) - begin, np.frombuffer(done, np.int64) - begin)


def _check(problem: Any) -> None:
    if problem:
        raise Problem(*problem).error(0, "the feed under load")
