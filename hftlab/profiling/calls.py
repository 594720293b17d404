"""calls: nanoseconds by function and who calls whom, by cProfile in this process."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.measurement.paired import gc_paused
from hftlab.profiling.line import looked_at
from hftlab.profiling.passes import is_python, opened, plain_ns, slowdown
from hftlab.profiling.pieces import whole
from hftlab.profiling.result import Found, Missing, Row
from hftlab.profiling.stacks import DEEPEST, SMALLEST, Call, Node, rectangles
from hftlab.profiling.where import Places, short

if TYPE_CHECKING:
    from hftlab.profiling.result import Profile

MESSAGES = {"python": 20_000}
COLUMNS: dict[str, type] = {
    "function": str,
    "file": str,
    "line": int,
    "stage": str,
    "calls": int,
    "own_ns": float,
    "cumulative_ns": float,
    "own_ns_per_call": float,
    "cumulative_ns_per_call": float,
    "share": float,
    "callers": str,
}

Key = tuple[str, int, str]  # file, first line, name: what cProfile knows a function by
#: function -> (calls without recursion, calls, own s, cumulative s, the same by caller)
Stats = dict[Key, tuple[int, int, float, float, dict[Key, tuple[int, int, float, float]]]]


def look(engine: Engine, feed: Feed) -> Found:
    """Two plain passes, then one under the profiler.

    raises : Missing if the engine is not written in Python, or another profiler is at work
    """
    session, push = opened(engine, feed)
    if not is_python(push):
        raise Missing(f"backend {engine.backend!r} is compiled, one call to cProfile; ask for how='sample' or 'instructions'")
    plain = plain_ns(engine, feed)
    profiler = cProfile.Profile()
    with gc_paused():
        try:
            profiler.enable()
        except ValueError as error:  # Python 3.12 and newer refuse a second profiler
            raise Missing(f"another profiler is at work: {error}") from None
        try:
            push(whole(feed))
        finally:
            profiler.disable()
    stats: Stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    root = _key(push)
    called = _namer(engine, session)
    total = stats[root][3]
    rows = [_row(key, values, total, called) for key, values in stats.items() if values[3] and key[2] != _DISABLE]
    rows.sort(key=lambda row: -row["own_ns"])
    node = Node(called(root), total * 1e9, stats[root][2] * 1e9)
    _descend(node, root, stats, _callees(stats), called, (root,), total * 1e9)
    times = session.elapsed_ns / max(plain, 1)
    notes = [slowdown("cProfile", times) + ": it adds to every call, so small functions look dearer"]
    return Found(rows, notes, rectangles(node), slowdown=times)


_DISABLE = "<method 'disable' of '_lsprof.Profiler' objects>"


def _key(method: Callable[..., Any]) -> Key:
    code = method.__func__.__code__  # type: ignore[attr-defined]
    return (code.co_filename, code.co_firstlineno, code.co_name)


def _namer(engine: Engine, session: Any) -> Callable[[Key], Call]:
    """Of cProfile's keys, qualified names with their stage."""
    places = Places(engine)
    names = {}
    if all(hasattr(session, stage) for stage in ("tick", "book", "signal", "order")):
        names = {
            (function.__code__.co_filename, function.__code__.co_firstlineno): function.__qualname__.rpartition("<locals>.")[2]
            for function in looked_at(session)
        }
    kind = type(session)
    for function in vars(kind).values():
        if hasattr(function, "__code__"):
            names[function.__code__.co_filename, function.__code__.co_firstlineno] = function.__qualname__

    def called(key: Key) -> Call:
        file, line, name = key
        name = names.get((file, line), name.removeprefix("<built-in method ").removeprefix("<method ").rstrip(">"))
        return Call(name, places.stage(short(file), name), short(file))

    return called


def _row(key: Key, values: Any, total: float, called: Callable[[Key], Call]) -> Row:
    _, calls, own, cumulative, callers = values
    call = called(key)
    found = (
        call.name,
        call.file,
        key[1],
        call.stage,
        calls,
        own * 1e9,
        cumulative * 1e9,
        own * 1e9 / calls,
        cumulative * 1e9 / calls,
        own / total,
        ", ".join(sorted(called(caller).name for caller in callers)),
    )
    return dict(zip(COLUMNS, found, strict=True))


def _callees(stats: Stats) -> dict[Key, list[tuple[Key, float, float]]]:
    """caller -> (callee, own s, cumulative s), as cProfile has it the other way round."""
    out: dict[Key, list[tuple[Key, float, float]]] = {}
    for key, (*_, callers) in stats.items():
        for caller, (_, _, own, cumulative) in callers.items():
            out.setdefault(caller, []).append((key, own, cumulative))
    return out


def _descend(
    node: Node,
    key: Key,
    stats: Stats,
    callees: dict[Key, list[tuple[Key, float, float]]],
    called: Callable[[Key], Call],
    path: tuple[Key, ...],
    total: float,
) -> None:
    """Give a node its children. cProfile knows callers, not stacks: what a function calls is shared out among them by time."""
    part = node.value / (stats[key][3] * 1e9 or 1.0)
    for callee, own, cumulative in callees.get(key, []):
        value = cumulative * 1e9 * part
        if callee in path or value < total * SMALLEST / 10 or len(path) > DEEPEST:
            continue
        child = node.child(called(callee))
        child.value += value
        child.own += own * 1e9 * part
        _descend(child, callee, stats, callees, called, (*path, callee), total)


def chart(profile: Profile) -> Any:
    """An icicle: callers above, what they call below, as wide as the time it takes."""
    from hftlab.charts import icicle_chart

    return icicle_chart(
        profile.tree, "Who calls whom, and what it costs", profile.subtitle(), "share of the pass, calls included"
    )
