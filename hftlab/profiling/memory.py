"""memory: allocations per message, by stage; of the Python engine by function and line, too.

Rust    its allocator counts. The feed is run in 32 pieces; the median of the last 16 is the steady state of a message, "stage";
        what was allocated beyond that, tables growing at first and lists doubling now and then, is "growth"
Python  memray counts every allocation of the second half, "stage" and "function"; tracemalloc what of them is kept, "line"
"""

from __future__ import annotations

import sys
import tracemalloc
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
from hftlab.profiling.locations import Locations, short_path
from hftlab.profiling.passes import Piece, count, halves, is_python, open_session, stages
from hftlab.profiling.result import Observation, Row, Unavailable, row_of

PIECES = 32
#: Lines that keep memory, at most.
MAX_LINES = 50

Place = tuple[str, str]  # stage; file and function, or file and line
Counter = Callable[[], tuple[int, int]]  # allocations and bytes so far


def memory(engine: Engine, feed: Feed) -> Observation:
    """By the engine's own count where it has one, else from inside Python.

    raises : Unavailable if neither sees anything
    """
    counter = getattr(engine.implementation, "allocations", None)
    if counter is not None:
        return _counted(engine, feed, counter)
    if not is_python(open_session(engine, feed)[1]):
        raise Unavailable(f"backend {engine.backend!r} is compiled and has no `allocations()` that returns (count, bytes)")
    return _python(engine, feed)


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


def _allocated(counter: Counter, push: Callable[[Piece], Any], piece: Piece) -> np.ndarray[Any, Any]:
    """Allocations and bytes of one call, (2,) int64."""
    start = counter()
    push(piece)
    return np.subtract(counter(), start)


def _python(engine: Engine, feed: Feed) -> Observation:
    """Allocations by stage and function (memray), blocks kept by stage (the interpreter) and line (tracemalloc)."""
    first, second, messages = halves(feed)

    def warm(engine: Engine) -> Callable[[], Any]:
        _, push = open_session(engine, feed)
        push(first)
        return partial(push, second)

    memray = _memray()
    rows: list[Row] = []
    functions: list[Row] = []
    before = np.zeros(3)
    for until in track(stages(engine), f"counting allocations of {engine.label}"):
        part = engine.replace(until=until)
        run = warm(part)
        blocks = sys.getallocatedblocks()
        run()
        now = np.array([0.0, 0.0, sys.getallocatedblocks() - blocks]) / messages
        if memray:
            places = _requested(memray, engine, warm(part))
            now[:2] = np.sum(list(places.values()), axis=0) / messages
            functions = [row_of("memory", "function", *place, *(n / messages).tolist()) for place, n in places.items()]
        allocations, size, kept = (now - before).tolist()
        rows.append(row_of("memory", "stage", until, until, *((allocations, size) if memray else (None, None)), kept))
        before = now
    functions.sort(key=lambda row: -row["allocations_per_message"])
    lines, peak = _kept(engine, warm(engine))
    rows += functions
    rows += [row_of("memory", "line", *place, None, None, n / messages, size / messages) for place, n, size in lines]
    remarks = [
        f"{messages:,} messages after as many to warm up; their peak was {peak:,} bytes above the bytes in use before them",
        "what Python reuses from its own free lists (small tuples, floats, frames) is no allocation",
    ]
    missing = "" if memray else "memory: memray is not installed (pip install memray), so only kept memory is seen"
    return Observation(rows, remarks, missing=missing)


def _memray() -> Any:
    """The module; None where it is not installed, which it cannot be on every system."""
    try:
        import memray
    except ImportError:
        return None
    return memray


def _requested(memray: Any, engine: Engine, run: Callable[[], Any]) -> dict[Place, Any]:
    """Allocations and bytes of `run` by function."""
    locations = Locations(engine)
    places: dict[Place, Any] = defaultdict(lambda: np.zeros(2))
    freeing = {memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP, memray.AllocatorType.PYMALLOC_FREE}
    with TemporaryDirectory(prefix="hftlab-profile-") as folder:
        file = Path(folder) / "memray"
        with gc_paused(), memray.Tracker(file, trace_python_allocators=True):
            run()
        with memray.FileReader(file) as reader:
            for record in reader.get_allocation_records():
                if record.allocator not in freeing:
                    name, path, _ = (record.stack_trace(max_stacks=1) or [("", "", 0)])[0]
                    call = locations.call(name, path)
                    places[call.stage, f"{call.name}, {call.file}"] += (record.n_allocations, record.size)
    return places


def _kept(engine: Engine, run: Callable[[], Any]) -> tuple[list[tuple[Place, int, int]], int]:
    """Blocks and bytes that each line of the engine keeps after `run`, the most first; and the peak of bytes in use above those
    before. Tracing that was on stays on."""
    locations, running = Locations(engine), tracemalloc.is_tracing()
    if not running:
        tracemalloc.start(1)
    try:
        with gc_paused():
            before = tracemalloc.take_snapshot()
            in_use = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            run()
            peak = tracemalloc.get_traced_memory()[1] - in_use
            after = tracemalloc.take_snapshot()
    finally:
        if not running:
            tracemalloc.stop()
    out = []
    for change in after.compare_to(before, "lineno"):  # the largest first
        frame = change.traceback[0]
        file = short_path(frame.filename)
        stage = locations.stage(file, "")
        if change.size_diff > 0 and stage != "other":
            out.append(((stage, f"{file}:{frame.lineno}"), change.count_diff, change.size_diff))
    return out[:MAX_LINES], peak
