"""line: nanoseconds by source line of the Python stages, by line_profiler in this process.

A line's time counts what it calls. `calls` marks a line that calls a function which is itself looked at; the others are where the
time is spent, and `share` is of the engine's loop, so 10 % means a tenth of the run wherever the line stands.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from hftlab.engine.engine import Engine
from hftlab.engine.python import PythonSession
from hftlab.feeds.feed import Feed
from hftlab.measurement.paired import gc_paused
from hftlab.presentation.progress import track
from hftlab.profiling.passes import opened, plain_ns, slowdown
from hftlab.profiling.pieces import whole
from hftlab.profiling.result import Found, Missing, Row
from hftlab.profiling.where import Places, short

if TYPE_CHECKING:
    from hftlab.profiling.result import Profile

MESSAGES = {"python": 20_000}
COLUMNS: dict[str, type] = {
    "file": str,
    "function": str,
    "line": int,
    "source": str,
    "hits": int,
    "ns": float,
    "ns_per_hit": float,
    "share": float,
    "stage": str,
    "calls": bool,
}
BARS = 16
PASSES = 3

#: (file, first line of the function) -> line -> (hits, ns)
Times = dict[tuple[str, int], dict[int, tuple[int, float]]]


def look(engine: Engine, feed: Feed) -> Found:
    """Two plain passes, then three under the profiler, of which each line's quickest counts.

    raises : Missing without line_profiler, or if the engine is not the Python one
    """
    try:
        from line_profiler import LineProfiler
    except ImportError:
        raise Missing("line_profiler is not installed: pip install line_profiler") from None
    session, _ = opened(engine, feed)
    if not isinstance(session, PythonSession):
        raise Missing(f"backend {engine.backend!r} has no Python lines to look at; ask for how='sample' or 'instructions'")
    functions = looked_at(session)
    plain = plain_ns(engine, feed)
    times, seen_ns = _pass(LineProfiler, functions, engine, feed)
    for _ in track(range(PASSES - 1), f"timing lines of {engine.label}"):
        again, ns = _pass(LineProfiler, functions, engine, feed)
        seen_ns = min(seen_ns, ns)
        # The quicker of each line: what interrupts a pass hits another line every time.
        for code, lines in times.items():
            times[code] = {line: min(seen, again.get(code, {}).get(line, seen)) for line, seen in lines.items()}
    rows = _rows(functions, times, Places(engine))
    slower = seen_ns / max(plain, 1)
    notes = [
        slowdown("line_profiler", slower) + ", and cheap lines suffer most: compare shares, not nanoseconds",
        *_hottest(rows),
    ]
    return Found(rows, notes, slowdown=slower)


def _pass(profiler_of: Any, functions: list[FunctionType], engine: Engine, feed: Feed) -> tuple[Times, float]:
    """One pass under the profiler, and the ns it took."""
    session, push = opened(engine, feed)
    with _unchanged(functions), warnings.catch_warnings(), gc_paused():
        warnings.simplefilter("ignore")  # of functions without source
        profiler = profiler_of(*functions)
        try:
            profiler.enable_by_count()
        except (ValueError, RuntimeError) as error:  # Python 3.12 and newer refuse a second profiler
            raise Missing(f"another profiler is at work: {error}") from None
        try:
            push(whole(feed))
        finally:
            profiler.disable_by_count()
        stats = profiler.get_stats()
    times = {
        (file, first): {line: (hits, ticks * stats.unit * 1e9) for line, hits, ticks in lines}
        for (file, first, _), lines in stats.timings.items()
    }
    return times, session.elapsed_ns


def looked_at(session: PythonSession) -> list[FunctionType]:
    """The engine's loop, and every function of the modules that the stages come from."""
    stages = [type(stage) for stage in (session.tick, session.book, session.signal, session.order)]
    classes = {base for stage in stages for base in stage.__mro__ if base.__module__ != "builtins"}
    found: list[Any] = [PythonSession._run]
    for name in sorted({kind.__module__ for kind in classes}):
        found += _functions(sys.modules[name])
    for kind in sorted(classes, key=lambda kind: kind.__qualname__):  # those made within a function are in no module
        found += _methods(kind)
    known: dict[Any, FunctionType] = {}
    for function in found:
        known.setdefault(function.__code__, function)
    return list(known.values())


def _functions(module: ModuleType) -> Iterator[Any]:
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, FunctionType):
            yield value
        elif isinstance(value, type):
            yield from _methods(value)


def _methods(kind: type) -> Iterator[FunctionType]:
    for value in vars(kind).values():
        plain = getattr(value, "fget", None) or getattr(value, "__func__", value)  # properties, class and static methods
        if isinstance(plain, FunctionType) and plain.__code__.co_filename != "<string>":  # as dataclasses write them
            yield plain


@contextmanager
def _unchanged(functions: list[FunctionType]) -> Iterator[None]:
    """line_profiler may put other code into a function, to tell two alike apart; afterwards each has its own again."""
    codes = [function.__code__ for function in functions]
    try:
        yield
    finally:
        for function, code in zip(functions, codes, strict=True):
            function.__code__ = code


def _rows(functions: list[FunctionType], times: Times, places: Places) -> list[Row]:
    """One row per line of every function that was called, the dearest first."""
    names = {function.__name__ for function in functions} | {"decide"}  # the loop's own word for OrderEntry.update
    loop = PythonSession._run.__code__
    total = sum(ns for _, ns in times[loop.co_filename, loop.co_firstlineno].values()) or 1.0
    rows: list[Row] = []
    for function in functions:
        code = function.__code__
        seen = times.get((code.co_filename, code.co_firstlineno), {})
        if not seen:
            continue
        try:
            source, first = inspect.getsourcelines(function)
        except (OSError, TypeError):
            source, first = [""] * (max(seen) - code.co_firstlineno + 1), code.co_firstlineno
        calling = set(_calling(source, names))
        file, name = short(code.co_filename), function.__qualname__.rpartition("<locals>.")[2]
        for offset, text in enumerate(source):
            hits, ns = seen.get(first + offset, (0, 0.0))
            each = ns / hits if hits else 0.0
            values = (file, name, first + offset, text.rstrip("\n"), hits, ns, each, ns / total)
            rows.append(dict(zip(COLUMNS, (*values, places.stage(file, name), offset in calling), strict=True)))
    return sorted(rows, key=lambda row: -row["ns"])


def _calling(source: list[str], names: set[str]) -> Iterator[int]:
    """Offsets of the lines that call one of the named functions, or iterate over one."""
    try:
        tree = ast.parse(textwrap.dedent("".join(source)))
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in names:
                yield node.lineno - 1
        elif isinstance(node, ast.For) and getattr(node.iter, "id", "") == "events":
            yield node.lineno - 1


def own_lines(rows: Iterable[Row]) -> list[Row]:
    """Lines of the stages that call nothing which is looked at itself, the dearest first."""
    return [row for row in rows if row["hits"] and not row["calls"] and row["stage"] != "engine"]


def _hottest(rows: list[Row]) -> list[str]:
    return [
        f"dearest line of its own: {row['file']}:{row['line']} in {row['function']}, {row['share']:.1%} of the loop, "
        f"{row['hits']:,} times: {row['source'].strip()}"
        for row in own_lines(rows)[:1]
    ]


def chart(profile: Profile) -> Any:
    """The dearest lines with their source, as bars."""
    from hftlab.charts import bar_chart

    bars = [
        {
            "label": f"{row['file'].rpartition('/')[2]}:{row['line']}  {row['source'].strip()}",
            "value": 100 * row["share"],
            "group": row["stage"],
            "text": f"{row['ns_per_hit']:,.0f} ns x {row['hits']:,}",
        }
        for row in own_lines(profile.rows)[:BARS]
    ]
    title = "The dearest lines of the stages"
    return bar_chart(bars, title, profile.subtitle(), "share of the engine's loop, %", monospace=True)
