"""The workload of the project's first table, and the loops that stamp it: by the legacy method and properly."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple, Protocol

import numpy as np

from hftlab.measurement.paired import gc_paused
from hftlab.presentation.progress import track

US = 1_000  # ns, the step of the legacy clock
STAGES = {"tick": "tick processing", "book": "order book update", "signal": "signal generation"}

#: Where the rows of the table come from.
PUBLISHED, METHOD, LOOPS, FLOORED, TRUTH = (
    "published",
    "legacy method, here",
    "loops, ns clock",
    "loops, floored to us",
    "measured properly",
)

Clock = Callable[[], int]
Series = np.ndarray[Any, Any]
Levels = list[tuple[float, int]]


class Input(NamedTuple):
    """Input of one iteration: a trade, and whole sides of a book, best first, as (price, quantity)."""

    symbol: str
    price: float
    volume: int
    timestamp: int
    bids: Levels
    asks: Levels


Call = Callable[[Input], None]


class Workload(Protocol):
    """The three calls."""

    def tick(self, data: Input) -> None: ...
    def book(self, data: Input) -> None: ...
    def signal(self, data: Input) -> None: ...


def inputs(n: int, seed: int = 1) -> list[Input]:
    """n inputs along a random walk, with 20 levels a side; the same seed gives the same ones."""
    rng, price, out = random.Random(seed), 100.0, []
    for i in range(n):
        price = round(price + rng.choice((-0.01, 0.0, 0.01)), 2)
        bids = [(round(price - 0.01 * (k + 1), 2), rng.randint(1, 20) * 100) for k in range(20)]
        asks = [(round(price + 0.01 * (k + 1), 2), rng.randint(1, 20) * 100) for k in range(20)]
        out.append(Input("SEED", price, rng.randint(1, 10) * 100, i, bids, asks))
    return out


class LegacyWorkload:
    """The three calls that the first table named after stages of an engine, rebuilt from an account of them."""

    def __init__(self) -> None:
        self.symbol, self.price, self.volume, self.timestamp = "", 0.0, 0, 0
        self.prices: list[float] = []
        self.volumes: list[int] = []
        self.bids: Levels = []
        self.asks: Levels = []
        self.bid_value = self.ask_value = self.signal_value = 0.0

    def tick(self, data: Input) -> None:
        """ "Tick processing": set four attributes, append to two lists."""
        self.symbol = data.symbol
        self.price = data.price
        self.volume = data.volume
        self.timestamp = data.timestamp
        self.prices.append(data.price)
        self.volumes.append(data.volume)

    def book(self, data: Input) -> None:
        """ "Order book update": store both sides, sum price times quantity over the best ten levels of each."""
        self.bids = data.bids
        self.asks = data.asks
        self.bid_value = sum(price * qty for price, qty in self.bids[:10])
        self.ask_value = sum(price * qty for price, qty in self.asks[:10])

    def signal(self, data: Input) -> None:
        """ "Signal generation": moving averages of the last 5 and 20 prices, and an imbalance of the two sums."""
        short = sum(self.prices[-5:]) / len(self.prices[-5:])
        long = sum(self.prices[-20:]) / len(self.prices[-20:])
        imbalance = (self.bid_value - self.ask_value) / (self.bid_value + self.ask_value)
        self.signal_value = short - long + imbalance


def legacy_loop(call: Call, data: Sequence[Input], wall: Clock) -> Series:
    """The method: a wall clock cut to microseconds on both sides of a call; (n,) int64 us."""
    samples = []
    for each in data:
        start = wall() // US
        call(each)
        end = wall() // US
        samples.append(end - start)
    return np.array(samples, np.int64)


def stamped_loop(call: Call, data: Sequence[Input], clock: Clock) -> Series:
    """Readings before and after a call, (n, 2) int64 ns."""
    out = array("q", bytes(16 * len(data)))
    i = 0
    for each in data:
        start = clock()
        call(each)
        out[i + 1] = clock()
        out[i] = start
        i += 2
    return np.frombuffer(out, np.int64).reshape(-1, 2)


def path_loop(work: Workload, data: Sequence[Input], clock: Clock) -> Series:
    """Readings before the three calls and after each, (n, 4) int64 ns."""
    tick, book, signal = work.tick, work.book, work.signal
    out = array("q", bytes(32 * len(data)))
    i = 0
    for each in data:
        t0 = clock()
        tick(each)
        t1 = clock()
        book(each)
        t2 = clock()
        signal(each)
        out[i + 3] = clock()
        out[i], out[i + 1], out[i + 2] = t0, t1, t2
        i += 4
    return np.frombuffer(out, np.int64).reshape(-1, 4)


def total_loop(work: Workload, data: Sequence[Input], clock: Clock) -> Series:
    """Readings before and after the three calls together, (n, 2) int64 ns."""
    tick, book, signal = work.tick, work.book, work.signal
    out = array("q", bytes(16 * len(data)))
    i = 0
    for each in data:
        start = clock()
        tick(each)
        book(each)
        signal(each)
        out[i + 1] = clock()
        out[i] = start
        i += 2
    return np.frombuffer(out, np.int64).reshape(-1, 2)


def clock_cost(clock: Clock, n: int = 20_000) -> float:
    """Cost of one reading of the clock, ns: the median of n back-to-back differences."""
    readings = array("q", bytes(8 * (n + 1)))
    for i in range(n + 1):
        readings[i] = clock()
    return float(np.median(np.diff(np.frombuffer(readings, np.int64))))


@dataclass(frozen=True)
class Samples:
    """Readings of the clocks.

    method  : (n,) int64 by stage, whole microseconds, as the legacy method recorded them
    series  : by name, ns: "tick", "book", "signal" (m, 2); "path" (m, 4); "total" and "again" (m, 2), for the A/A control
    warm_up : rounds run first and not counted; clock_ns: cost of a reading
    """

    method: dict[str, Series]
    series: dict[str, Series]
    clock_ns: float
    warm_up: int


def sample(make: Callable[[], Workload], data: Sequence[Input], rounds: int, seed: int, wall: Clock, clock: Clock) -> Samples:
    """The method once, cold; then a warm-up; then the other ways of stamping, interleaved, in a new random order each round.

    make : a new workload, once per way and round, as the method has one; every round goes over all of `data`
    """
    work = make()
    method = {stage: legacy_loop(getattr(work, stage), data, wall) for stage in STAGES}
    series: dict[str, list[Series]] = {name: [] for name in (*STAGES, "path", "total", "again")}

    def loops() -> None:
        work = make()
        for stage in STAGES:
            series[stage].append(stamped_loop(getattr(work, stage), data, clock))

    ways: list[Callable[[], None]] = [
        loops,
        lambda: series["path"].append(path_loop(make(), data, clock)),
        lambda: series["total"].append(total_loop(make(), data, clock)),
        lambda: series["again"].append(total_loop(make(), data, clock)),
    ]
    order = random.Random(seed)
    with gc_paused():
        warm_up = _warm_up(lambda: total_loop(make(), data, clock))
        for _ in track(range(rounds), "legacy method", rounds):
            for way in order.sample(ways, len(ways)):
                way()
        cost = clock_cost(clock)
    return Samples(method, {name: np.concatenate(each) for name, each in series.items()}, cost, warm_up)


def _warm_up(run: Callable[[], Series], limit: int = 20) -> int:
    """Run until the medians of two rounds are within 5 %, at most `limit` times; returns how often."""
    before = 0.0
    for done in range(1, limit + 1):
        now = median((series := run())[:, 1] - series[:, 0])
        if done > 1 and max(now, before) <= 1.05 * min(now, before):
            return done
        before = now
    return limit
