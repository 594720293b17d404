"""memory: allocations per message, by stage; of the Python engine by function, too.

Rust    its allocator counts. The feed is run in 32 pieces; the median of the last 16 is the steady state of a message, "stage";
        what was allocated beyond that, tables growing at first and lists doubling now and then, is "growth"
Python  memray counts every allocation of the second half of the feed, by "stage" and by "function"
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed, cut
from hftlab.measurement.paired import gc_paused
from hftlab.presentation.progress import track
from hftlab.profiling.locations import Locations
from hftlab.profiling.passes import Piece, Push, count, halves, is_python, open_session, stages
from hftlab.profiling.result import Observation, Row, Unavailable, row_of

PIECES = 32

Place = tuple[str, str]  # stage; function and its file
Counter = Callable[[], tuple[int, int]]  # allocations and bytes so far
Counts = np.ndarray[Any, Any]  # (2,): allocations, bytes


def memory(engine: Engine, feed: Feed) -> Observation:
    """By the engine's own count where it has one, else by memray.

    raises : Unavailable if neither sees anything
    """
    counter = getattr(engine.implementation, "allocations", None)
    if counter is not None:
        return _counted(engine, feed, counter)
    if not is_python(open_session(engine, feed)[1]):
        raise Unavailable(f"backend {engine.backend!r} is compiled and has no `allocations()` that returns (count, bytes)")
    return _traced(engine, feed)


def _counted(engine: Engine, feed: Feed, counter: Counter) -> Observation:
    """Allocations and bytes by stage, from the engine's own counter."""
    messages = count(feed)
    every = -(-messages // PIECES)
    pieces = list(cut(feed, every=every))
    rows: list[Row] = []
    before = [np.zeros(2), np.zeros(2)]
    for until in track(stages(engine), f"counting allocations of {engine.label}"):
        session, push = open_session(engine.replace(until=until), feed)
        per_call = _allocated(counter, push, pieces[0][:0])  # a call without a message
        counts = [_allocated(counter, push, piece) - per_call for piece in pieces]
        steady = np.median(counts[len(pieces) // 2 :], axis=0) / every
        growth = np.sum(counts, axis=0) / messages - steady
        for kind, now, then in (("stage", steady, before[0]), ("growth", growth, before[1])):
            rows.append(row_of("memory", kind, until, until, *(now - then).tolist()))
        before = [steady, growth]
        mapped = session.counters()["memory"]
    rows.sort(key=lambda row: row["kind"] != "stage")
    remarks = [
        f"in the steady state a message allocates {before[0][0]:,.3f} times; the growth of containers is counted apart",
        "memory mapped from the system without the allocator is not counted: "
        f"{mapped['order_bytes']:,} bytes of orders, {mapped['level_bytes']:,} bytes of levels",
    ]
    return Observation(rows, remarks)


def _allocated(counter: Counter, push: Push, piece: Piece) -> Counts:
    """Allocations and bytes of one call."""
    start = counter()
    push(piece)
    return np.subtract(counter(), start)


def _traced(engine: Engine, feed: Feed) -> Observation:
    """Allocations by stage, and by function of the whole path, after a first half that warms up."""
    first, second, messages = halves(feed)
    rows: list[Row] = []
    before, places = np.zeros(2), dict[Place, Counts]()
    for until in track(stages(engine), f"counting allocations of {engine.label}"):
        _, push = open_session(engine.replace(until=until), feed)
        push(first)
        places = _by_function(engine, partial(push, second))
        now = np.sum(list(places.values()), axis=0) / messages
        rows.append(row_of("memory", "stage", until, until, *(now - before).tolist()))
        before = now
    functions = [row_of("memory", "function", *place, *(counts / messages).tolist()) for place, counts in places.items()]
    functions.sort(key=lambda row: -row["allocations_per_message"])
    remarks = [
        f"{messages:,} messages after as many to warm up",
        "what Python reuses from its own free lists (small tuples, floats, frames) is no allocation",
    ]
    return Observation([*rows, *functions], remarks)


def _by_function(engine: Engine, run: Callable[[], Any]) -> dict[Place, Counts]:
    """Allocations and bytes of `run` by function. Raises Unavailable without memray, which not every system has."""
    try:
        import memray
    except ImportError:
        raise Unavailable("memray is not installed (pip install memray)") from None
    locations, freeing = Locations(engine), {"FREE", "MUNMAP", "PYMALLOC_FREE"}
    places: dict[Place, Counts] = defaultdict(lambda: np.zeros(2))
    with TemporaryDirectory(prefix="hftlab-profile-") as folder:
        file = Path(folder) / "memray"
        with gc_paused(), memray.Tracker(file, trace_python_allocators=True):
            run()
        with memray.FileReader(file) as reader:
            for record in reader.get_allocation_records():
                if memray.AllocatorType(record.allocator).name not in freeing:
                    name, path, _ = (record.stack_trace(max_stacks=1) or [("", "", 0)])[0]
                    call = locations.call(name, path)
                    places[call.stage, f"{call.name}, {call.file}"] += (record.n_allocations, record.size)
    return places
