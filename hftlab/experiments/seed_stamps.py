"""The loops that stamp the seed's workload: as its own method did it, and as it should be done. Clocks are given, ns each."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import numpy as np

from hftlab.experiments.seed_workload import Input
from hftlab.measurement.paired import quiet
from hftlab.presentation.progress import track

STAGES = ("tick", "book", "signal")
US = 1_000  # ns, the step of the method's clock
COLD = 100  # iterations of the method, from its first
_WARM = 1.05  # ratio of the medians of two rounds from which on they count as one
_WARM_UP_ROUNDS = 20  # at most

Clock = Callable[[], int]
Call = Callable[[Input], None]
Series = np.ndarray[Any, Any]


class Workload(Protocol):
    """The three calls; see `hftlab.experiments.seed_workload.SeedWorkload`."""

    def tick(self, given: Input) -> None: ...
    def book(self, given: Input) -> None: ...
    def signal(self, given: Input) -> None: ...


@dataclass(frozen=True)
class Samples:
    """What the clocks read.

    method : (n,) int64 by stage, whole microseconds, as the method recorded them
    loops  : (m, 2) int64 by stage, ns: readings before and after each call, each stage in a loop of its own
    path   : (m, 4) ns: readings before the three calls of an iteration and after each
    whole  : (m, 2) ns: readings before and after all three; again: the same once more, for the A/A control
    clock  : ns that a reading costs, back to back
    warm_up: rounds run first and not counted
    """

    method: dict[str, Series]
    loops: dict[str, Series]
    path: Series
    whole: Series
    again: Series
    clock: Series
    warm_up: int


def method_loop(call: Call, given: Sequence[Input], wall: Clock) -> Series:
    """The method: a wall clock cut to microseconds on both sides of a call."""
    samples = []
    for one in given:
        start = wall() // US
        call(one)
        end = wall() // US
        samples.append(end - start)
    return np.array(samples, np.int64)


def stamped_loop(calls: Sequence[Call], given: Sequence[Input], clock: Clock) -> Series:
    """Readings before the first and after each of one or three calls, (n, calls + 1) int64 ns."""
    width = len(calls) + 1
    out = array("q", bytes(8 * width * len(given)))
    at = 0
    if len(calls) == 1:
        (call,) = calls
        for one in given:
            t0 = clock()
            call(one)
            out[at + 1] = clock()
            out[at] = t0
            at += 2
    else:
        first, second, third = calls
        for one in given:
            t0 = clock()
            first(one)
            t1 = clock()
            second(one)
            t2 = clock()
            third(one)
            out[at + 3] = clock()
            out[at], out[at + 1], out[at + 2] = t0, t1, t2
            at += 4
    return np.frombuffer(out, np.int64).reshape(-1, width)


def whole_loop(work: Workload, given: Sequence[Input], clock: Clock) -> Series:
    """Readings before and after the three calls together, (n, 2) int64 ns."""
    tick, book, signal = work.tick, work.book, work.signal
    out = array("q", bytes(16 * len(given)))
    at = 0
    for one in given:
        t0 = clock()
        tick(one)
        book(one)
        signal(one)
        out[at + 1] = clock()
        out[at] = t0
        at += 2
    return np.frombuffer(out, np.int64).reshape(-1, 2)


def clock_cost(clock: Clock, n: int = 20_000) -> Series:
    """n differences of back-to-back readings, ns."""
    readings = array("q", bytes(8 * (n + 1)))
    for i in range(n + 1):
        readings[i] = clock()
    return np.diff(np.frombuffer(readings, np.int64))


def sample(make: Callable[[], Workload], given: Sequence[Input], rounds: int, seed: int, wall: Clock, clock: Clock) -> Samples:
    """The method once, cold; then a warm-up; then the other ways of stamping, interleaved, in a new random order each round.

    make : a new workload, once per way and round, as the method has one; every round goes over all of `given`
    """
    work = make()
    method = {stage: method_loop(getattr(work, stage), given, wall) for stage in STAGES}
    seen: dict[str, list[Series]] = {name: [] for name in (*STAGES, "path", "whole", "again")}

    def loops() -> None:
        work = make()
        for stage in STAGES:
            seen[stage].append(stamped_loop([getattr(work, stage)], given, clock))

    def path() -> None:
        work = make()
        seen["path"].append(stamped_loop([getattr(work, stage) for stage in STAGES], given, clock))

    ways: list[Callable[[], None]] = [
        loops,
        path,
        lambda: seen["whole"].append(whole_loop(make(), given, clock)),
        lambda: seen["again"].append(whole_loop(make(), given, clock)),
    ]
    order = random.Random(seed)
    with quiet():
        warm_up = _warm_up(lambda: whole_loop(make(), given, clock))
        for _ in track(range(rounds), "the seed's method", rounds):
            for way in order.sample(ways, len(ways)):
                way()
        cost = clock_cost(clock)
    found = {name: np.concatenate(series) for name, series in seen.items()}
    stages = {stage: found[stage] for stage in STAGES}
    return Samples(method, stages, found["path"], found["whole"], found["again"], cost, warm_up)


def _warm_up(run: Callable[[], Series]) -> int:
    """Run until the medians of two rounds are one, or often enough; returns how often."""
    before = 0.0
    for done in range(1, _WARM_UP_ROUNDS + 1):
        now = median((series := run())[:, 1] - series[:, 0])
        if done > 1 and max(now, before) <= _WARM * min(now, before):
            return done
        before = now
    return _WARM_UP_ROUNDS
