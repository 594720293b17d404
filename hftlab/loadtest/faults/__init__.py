"""Faults, injected into a real exchange and a real trader on a network in this process: no socket, no thread, a clock of its own.

    hftlab.loadtest.inject_faults()      every fault of the table, one long day each
    hftlab.loadtest.run_seeds(10_000)    as many short days, each with what its seed draws; a failing one is cut down to its cause

network.py sockets.py    time, what is under way, machines with files, sockets that keep nobody waiting
day.py steps.py          a plan, and the day it makes; what can go wrong, one step each
watch.py                 what must hold after every turn and at the end; what the trader had received when it sent
table.py                 the faults; other clients of the exchange
seeds.py result.py       days drawn by seeds, and the shortest that fails; the results

At any time the book is the true one or nothing is traded, no order leaves on data that is stale or old, none is sent or filled
twice, and positions stay within their limit. At the end no order is lost without a report, exchange, trader and engine hold the
same, and both have ended in order. The same seed gives the same day, bit for bit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.errors import check_choice, check_range
from hftlab.loadtest.faults.day import EAGER, Day
from hftlab.loadtest.faults.result import FailedDay, FaultReport, FaultResult, SeedReport
from hftlab.loadtest.faults.seeds import draw, shortest
from hftlab.loadtest.faults.table import Fault, fault_table
from hftlab.loadtest.target import resolve_targets
from hftlab.measurement.machine import fingerprint
from hftlab.presentation.progress import track

_CHUNK = 100  # seeds of one piece of work


def inject_faults(
    engines: Iterable[Any] | None = None, names: Sequence[str] | None = None, *, seed: int = 1, dead_s: float = 1.0
) -> FaultReport:
    """Try every fault on every engine. Ctrl-C ends it, and what was seen by then is the result.

    engines : as `hftlab.as_engine` takes them; default every engine there is
    names   : of the faults; default all of them
    seed    : of the feed, and of every random choice
    dead_s  : how long both lines are dead, 0.001 to 60 seconds
    raises  : UnknownName for a fault that is not known; ConfigError for a number out of range
    """
    check_range("dead_s", dead_s, 0.001, 60.0, "s")
    check_range("seed", seed, 0)
    table = {fault.name: fault for fault in fault_table(dead_s)}
    chosen = [table[check_choice("fault", name, table)] for name in names or table]
    targets = _eager(engines)
    rows: list[FaultResult] = []
    interrupted = False
    try:
        for fault in chosen:
            rows += [fault_result(fault, fault.run(engine, seed), label) for label, engine in targets.items()]
    except KeyboardInterrupt:
        if not rows:
            raise
        interrupted = True
    return FaultReport(seed, tuple(rows), fingerprint(), interrupted)


def fault_result(fault: Fault, day: Day, label: str) -> FaultResult:
    """What a day with a fault has shown."""
    counts = day.counts
    seen = {name: counts[name] for name in (name.lstrip("-") for name in fault.must) if counts[name]}
    states = Counter(order.state.value for order in day.last.orders.by_ref.values()) if day.last else Counter[str]()
    orders = ", ".join(f"{n} {state}" for state, n in sorted(states.items())) or "none"
    outcome = day.failures[0] if day.failures else f"{fault.ends}; orders: {orders}"
    return FaultResult(fault.name, label, fault.how, seen, day.watch.recovered_ms, outcome, tuple(day.failures))


def run_seeds(seeds: int = 1_000, *, first: int = 1, engines: Iterable[Any] | None = None, workers: int = 1) -> SeedReport:
    """A short day for each seed, with what the seed draws, on every engine. Ctrl-C ends it, and what was seen is the result.

    seeds   : how many, at least 1; first: the first one, at least 0
    engines : as `hftlab.as_engine` takes them; default every engine there is
    workers : processes that share the seeds, 1 to 256
    raises  : ConfigError for a number out of range
    """
    check_range("seeds", seeds, 1)
    check_range("first", first, 0)
    check_range("workers", workers, 1, 256)
    targets = _eager(engines)
    starts = range(first, first + seeds, _CHUNK)
    chunks = [(start, min(start + _CHUNK, first + seeds)) for start in starts]
    kinds, failed, days = Counter[str](), Counter[str](), list[FailedDay]()
    began, interrupted, done = time.perf_counter(), False, 0
    try:
        for number, (drawn, bad) in enumerate(_work(partial(_some_days, targets), chunks, workers)):
            kinds.update(drawn)
            failed.update(kind for one in bad for kind in {step.kind for step in draw(one.seed).steps})
            days += bad
            done += chunks[number][1] - chunks[number][0]
    except KeyboardInterrupt:
        if not done:
            raise
        interrupted = True
    elapsed_s = time.perf_counter() - began
    return SeedReport(first, done, tuple(targets), elapsed_s, dict(kinds), dict(failed), tuple(days), fingerprint(), interrupted)


def _work(some: Any, chunks: list[tuple[int, int]], workers: int) -> Iterator[tuple[Counter[str], list[FailedDay]]]:
    """What becomes of each chunk of seeds, in turn."""
    if workers == 1:
        yield from map(some, track(chunks, "seeds"))
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from track(pool.map(some, chunks), "seeds", total=len(chunks))


def _some_days(targets: dict[str, Engine], chunk: tuple[int, int]) -> tuple[Counter[str], list[FailedDay]]:
    """How many of these days each kind of step is in, and those that failed."""
    kinds, bad = Counter[str](), list[FailedDay]()
    for seed in range(*chunk):
        plan = draw(seed)
        kinds.update({step.kind for step in plan.steps})
        for label, engine in targets.items():
            day = Day(plan, engine).run()
            if day.failures:
                short = shortest(plan, engine)
                steps = tuple(map(str, short.steps))
                bad.append(FailedDay(seed, label, tuple(day.failures), steps, short.messages, day.network.trace))
    return kinds, bad


def _eager(engines: Iterable[Any] | None) -> dict[str, Engine]:
    """Engines by label, which send an order every few messages."""
    return {target.label: target.engine.replace(**EAGER) for target in resolve_targets(engines) if target.engine}
