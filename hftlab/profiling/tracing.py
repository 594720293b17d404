"""The two tools that see what Python asks of the allocator: memray every request, tracemalloc what is kept of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.measurement.paired import gc_paused
from hftlab.profiling.where import Places, short

LINES = 50  # at most so many lines that keep something

Place = tuple[str, str]  # stage, file and function or line


def memray() -> Any:
    """The module; None where it is not installed, which it cannot be on every system."""
    try:
        import memray
    except ImportError:
        return None
    return memray


def asked(memray: Any, engine: Engine, run: Callable[[], Any]) -> tuple[int, int, dict[Place, tuple[int, int]]]:
    """Allocations and bytes that `run` asks for: all of them, and by function."""
    places = Places(engine)
    found: dict[Place, tuple[int, int]] = {}
    freeing = {memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP, memray.AllocatorType.PYMALLOC_FREE}
    with TemporaryDirectory(prefix="hftlab-profile-") as folder:
        file = Path(folder) / "memray"
        with gc_paused(), memray.Tracker(file, trace_python_allocators=True):
            run()
        with memray.FileReader(file) as reader:
            for record in reader.get_allocation_records():
                if record.allocator in freeing:
                    continue
                stack = record.stack_trace(max_stacks=1)
                name, path, _ = stack[0] if stack else ("", "", 0)
                where = short(path)
                place = (places.stage(where, name), f"{name}, {where}")
                calls, size = found.get(place, (0, 0))
                found[place] = (calls + record.n_allocations, size + record.size)
    return sum(n for n, _ in found.values()), sum(size for _, size in found.values()), found


def kept(engine: Engine, run: Callable[[], Any]) -> tuple[list[tuple[Place, int, int]], int]:
    """Blocks and bytes that each of our lines keeps after `run`, the most first; and the highest number of bytes in use at once
    beyond those before. Somebody else's tracing goes on."""
    places, running = Places(engine), tracemalloc.is_tracing()
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
    for change in after.compare_to(before, "lineno"):
        frame = change.traceback[0]
        where = short(frame.filename)
        stage = places.stage(where, "")
        if change.size_diff > 0 and stage != "other":
            out.append(((stage, f"{where}:{frame.lineno}"), change.count_diff, change.size_diff))
    return sorted(out, key=lambda one: -one[2])[:LINES], peak
