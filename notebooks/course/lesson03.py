"""Exercises of lesson 03: the hottest line of a frame, Amdahl's law against a swap that is measured, a fault to find."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from course.amdahl import share_of, speed_up
from course.exercise import Step, exercise
from course.faults import FAULTS
from hftlab.engine.engine import Engine, synthetic
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.measurement.paired import Interval, interleave
from hftlab.profiling import profile
from hftlab.profiling.result import columns, own_lines
from hftlab.settings import OrderConfig, SignalConfig
from hftlab.stages.book import Book

if TYPE_CHECKING:
    import polars as pl

LEVELS = 50
CARELESS = 4  # times that the careless book walks
PASSES = 3
TOLERANCE = 2.0  # largest ratio of prediction and measurement: the machine may be busy


class Walking(Book):
    """The reference, except that it adds up the best levels each time a depth is asked for, `times` times over."""

    times = 1

    def depth_qty(self, instrument: int, side: int, n: int) -> int:
        total = 0
        for _ in range(self.times):
            total = self.add_up(instrument, side, n)
        return total

    def add_up(self, instrument: int, side: int, n: int) -> int:
        """Total quantity of the best n levels of one side."""
        halves = self.halves.get(instrument)
        levels = islice(halves[side - 1].walk(), n) if halves else ()
        total = 0
        for level in levels:
            total += level.qty
        return total


def walking(times: int) -> type[Walking]:
    """A book that walks `times` times: equal to the reference, only slower. With 0 it does not walk and says 0: a ruler, not an
    answer."""
    return type(f"Walks{times}", (Walking,), {"times": times}) if times != 1 else Walking


def deep(levels: int = LEVELS, **stages: Any) -> Engine:
    """The Python engine of this lesson, whose book walks once and whose signals look so many levels deep."""
    return Engine("python", signal_config=SignalConfig(levels=levels), **{"book": Walking, **stages})


def busy(**stages: Any) -> Engine:
    """The Python engine, sending an order on many messages, with stages of one's own."""
    return Engine("python", order_config=OrderConfig(threshold=0.05, cooldown=5), **stages)


def walks(feed: Feed, rounds: int, times: tuple[int, ...] = (0, 1, 2, CARELESS), levels: int = LEVELS) -> dict[int, Any]:
    """ns per message by how many times the book walks, (rounds,) each, interleaved; of each round the fastest of three passes, as
    `hftlab.compare` does with short ones."""

    def work(engine: Engine) -> Callable[[], float]:
        return lambda: min(engine.run(feed, record="none").ns_per_message for _ in range(PASSES))

    return interleave({n: work(deep(levels, book=walking(n))) for n in times}, rounds, what="walking")


def swap(series: dict[int, Any], times: int = CARELESS) -> tuple[float, float]:
    """Of `walks`: the share of the walk in the careless engine, found by leaving it out; and the measured speed-up of the swap
    that makes the walk `times` times as fast."""
    share = share_of(Interval.of(series[0] / series[times]).median, 0)
    return share, Interval.of(series[times] / series[1]).median


def lines(*entries: tuple[str, int, int, float, str, bool], seed: int = 1) -> pl.DataFrame:
    """A made-up line profile: (function, line, hits, ns, stage, calls) each, in a random order."""
    import polars as pl

    whole = max(ns for *_, ns, _, _ in entries)
    rows = [
        ("f.py", function, line, "...", hits, ns, ns / hits if hits else 0.0, ns / whole, stage, calls)
        for function, line, hits, ns, stage, calls in entries
    ]
    random.Random(seed).shuffle(rows)
    return pl.DataFrame(rows, schema=columns("line"), orient="row")


@exercise("03.1", "The hottest line", minutes=10)
def hottest(answer: Callable[[pl.DataFrame], tuple[str, int]]) -> Iterator[Step]:
    """answer(frame) -> (function, line) of the line of a stage on which most time is spent itself."""

    def of(frame: pl.DataFrame) -> tuple[Any, ...]:
        line = answer(frame)
        if not isinstance(line, tuple | list) or len(line) != 2:
            raise ConfigError(f"the answer must return (function, line), got {line!r}")
        return (line[0], int(line[1]))

    loop, caller = ("run", 9, 100, 9e6, "engine", True), ("Signal.update", 70, 100, 7e6, "signal", True)
    walk, sums = ("Book.walk", 30, 5_000, 4e6, "book", False), ("Signal.update", 75, 100, 1e6, "signal", False)
    yield Step.expect(
        "own time", of(lines(loop, caller, walk, sums)), ("Book.walk", 30), "the time of a line that calls is not its own"
    )
    rare = ("Book.open", 12, 2, 2e6, "book", False)
    yield Step.expect(
        "often", of(lines(loop, rare, walk, seed=2)), ("Book.walk", 30), "expensive per hit is not expensive in total"
    )
    plain = ("run", 5, 100, 5e6, "engine", False)
    yield Step.expect("a stage", of(lines(loop, plain, sums)), ("Signal.update", 75), "the engine's own loop is no stage")
    profiled = profile(deep(), synthetic("deep", 600), "line", messages=600)
    if not profiled:
        yield Step.claim("real", True, f"not tried on a real profile: {profiled.missing}")
        return
    wanted = own_lines(profiled.rows)[0]
    yield Step.expect(
        "real", of(profiled.frame()), (wanted["function"], wanted["line"]), f"the Python engine, {LEVELS} levels deep"
    )


@exercise("03.2", "What can it give?", minutes=12)
def amdahl(answer: Callable[[float, float], float]) -> Iterator[Step]:
    """answer(share, times) -> how many times as fast the whole becomes."""

    def of(share: float, times: float) -> float:
        return round(float(answer(share, times)), 6)

    yield Step.expect("nothing", of(0.7, 1.0), 1.0, "70 % of the whole, as fast as before")
    yield Step.expect("half", of(0.5, 2.0), round(4 / 3, 6), "50 % of the whole, twice as fast")
    yield Step.expect("limit", of(0.9, math.inf), 10.0, "90 % of the whole, in no time at all: what remains is a tenth")
    yield Step.expect("slower", of(0.5, 0.5), round(2 / 3, 6), "50 % of the whole, at half the speed: the whole gets slower")
    rng = random.Random(3)
    for _ in range(20):
        share, times = rng.random(), 10 ** rng.uniform(-1, 2)
        same = math.isclose(float(answer(share, times)), speed_up(share, times), rel_tol=1e-6)
        if not same:
            yield Step.claim("hidden", False, f"share {share:.3f}, {times:.3g} times as fast: {of(share, times)}")
    yield Step.claim("hidden", True, "20 more shares and factors")
    share, measured = swap(walks(synthetic("deep", 1_500), rounds=7, times=(0, 1, CARELESS)))
    predicted = float(answer(share, CARELESS))
    near = max(predicted, measured) <= TOLERANCE * min(predicted, measured)
    message = (
        f"a walk of {share:.0%} of the pass becomes {CARELESS}x as fast: predicted {predicted:.2f}x, measured {measured:.2f}x"
    )
    yield Step.claim("ratio", near, message)


@exercise("03.3", "Find the fault", minutes=15)
def fault(answer: Callable[[Engine, Engine, Feed], str | None]) -> Iterator[Step]:
    """answer(sound, slow, feed) -> the function of `slow` that does work which `sound` does not do; None where there is none."""
    feed, sound = synthetic("calm", 600), busy()
    drawn = random.sample(sorted(FAULTS), 2)
    for number, stage in enumerate(drawn, 1):
        planted, where = FAULTS[stage]
        yield Step.expect(
            f"engine {number}", answer(sound, busy(**{stage: planted}), feed), where, f"a fault of the {stage} stage"
        )
    yield Step.expect("no fault", answer(sound, busy(), feed), None, "the same engine twice")
