"""line: nanoseconds by source line of the Python stages, by line_profiler in this process.

The time of a line includes what it calls. `calls` marks a line that calls another profiled function; the others are where the
time is spent. `share` is of the engine's loop, so 10 % is a tenth of the run wherever the line stands.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.python import PythonSession
from hftlab.feeds.feed import Feed
from hftlab.presentation.progress import track
from hftlab.profiling.locations import Locations, short_path
from hftlab.profiling.passes import one_pass, open_session, plain_ns
from hftlab.profiling.result import Observation, Row, Unavailable, own_lines, row_of

PASSES = 3

#: (file, first line of the function) -> line -> (hits, ns)
Times = dict[tuple[str, int], dict[int, tuple[int, float]]]


def by_line(engine: Engine, feed: Feed) -> Observation:
    """Two plain passes, then three under the profiler, of which the fastest counts for each line.

    raises : Unavailable if the engine is not the Python one
    """
    session, _ = open_session(engine, feed)
    if not isinstance(session, PythonSession):
        raise Unavailable(f"backend {engine.backend!r} has no Python lines; use tool='sample' or 'instructions'")
    functions = profiled_functions(session)
    plain = plain_ns(engine, feed)
    times, profiled_ns = _pass(functions, engine, feed)
    for _ in track(range(PASSES - 1), f"timing lines of {engine.label}"):
        again, ns = _pass(functions, engine, feed)
        profiled_ns = min(profiled_ns, ns)
        # The fastest of each line: an interrupt hits another line in every pass.
        for code, lines in times.items():
            times[code] = {line: min(timed, again.get(code, {}).get(line, timed)) for line, timed in lines.items()}
    rows = _rows(functions, times, Locations(engine))
    slowdown = profiled_ns / max(plain, 1)
    remarks = [
        f"a pass under line_profiler took {slowdown:.1f} times as long as a plain one, and cheap lines are slowed down most: "
        "compare shares, not nanoseconds"
    ]
    for row in own_lines(rows)[:1]:
        where = f"{row['file']}:{row['line']} in {row['function']}"
        remarks.append(f"slowest line: {where}, {row['share']:.1%} of the loop, {row['hits']:,} hits: {row['source'].strip()}")
    return Observation(rows, remarks, slowdown=slowdown)


def _pass(functions: list[FunctionType], engine: Engine, feed: Feed) -> tuple[Times, float]:
    """One pass under the profiler: the times of its lines, and the ns it took."""
    from line_profiler import LineProfiler

    session, push = open_session(engine, feed)
    with _restored(functions), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of functions without source
        profiler = LineProfiler(*functions)
        one_pass(push, feed, profiler.enable_by_count, profiler.disable_by_count)
        stats = profiler.get_stats()
    times = {
        (file, first): {line: (hits, ticks * stats.unit * 1e9) for line, hits, ticks in lines}
        for (file, first, _), lines in stats.timings.items()
    }
    return times, session.elapsed_ns


def profiled_functions(session: PythonSession) -> list[FunctionType]:
    """The engine's loop, and every function of the modules that the stages come from."""
    stages = [type(stage) for stage in (session.tick, session.book, session.signal, session.order)]
    classes = {base for stage in stages for base in stage.__mro__ if base.__module__ != "builtins"}
    modules = [sys.modules[name] for name in sorted({kind.__module__ for kind in classes})]
    functions: list[Any] = [PythonSession._run]
    for module in modules:
        functions += _functions(module, module.__name__)
    for kind in sorted(classes, key=lambda kind: kind.__qualname__):  # a class defined in a function is in no module
        functions += _functions(kind, kind.__module__)
    return list(dict.fromkeys(functions))


def _functions(owner: Any, module: str) -> Iterator[FunctionType]:
    """The functions and methods of a module, or of a class, that are written in a module."""
    for value in list(vars(owner).values()):
        plain = getattr(value, "fget", None) or getattr(value, "__func__", value)  # properties, class and static methods
        if getattr(plain, "__module__", None) != module:
            continue
        if isinstance(plain, FunctionType) and plain.__code__.co_filename != "<string>":  # as dataclasses write them
            yield plain
        elif isinstance(plain, type) and not isinstance(owner, type):
            yield from _functions(plain, module)


@contextmanager
def _restored(functions: list[FunctionType]) -> Iterator[None]:
    """line_profiler may replace the code of a function to tell two alike apart; afterwards each has its own again."""
    codes = [function.__code__ for function in functions]
    try:
        yield
    finally:
        for function, code in zip(functions, codes, strict=True):
            function.__code__ = code


def _rows(functions: list[FunctionType], times: Times, locations: Locations) -> list[Row]:
    """One row per line of every function that was called, the slowest first."""
    names = {function.__name__ for function in functions} | {"decide"}  # the loop's own name for OrderEntry.update
    calling = re.compile(rf"\b(?:{'|'.join(sorted(names))})\(|\bin events:")  # a call, or the loop over a generator
    loop = PythonSession._run.__code__
    total = sum(ns for _, ns in times[loop.co_filename, loop.co_firstlineno].values()) or 1.0
    rows: list[Row] = []
    for function in functions:
        code = function.__code__
        if not (timed := times.get((code.co_filename, code.co_firstlineno))):
            continue
        try:
            source, first = inspect.getsourcelines(function)
        except (OSError, TypeError):
            source, first = [""] * (max(timed) - code.co_firstlineno + 1), code.co_firstlineno
        file, name = short_path(code.co_filename), function.__qualname__.rpartition("<locals>.")[2]
        for line, text in enumerate(source, first):
            hits, ns = timed.get(line, (0, 0.0))
            place = (file, name, line, text.rstrip("\n"))
            cost = (hits, ns, ns / hits if hits else 0.0, ns / total)
            rows.append(row_of("line", *place, *cost, locations.stage(file, name), bool(calling.search(text))))
    return sorted(rows, key=lambda row: -row["ns"])
