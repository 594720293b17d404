"""calls: nanoseconds by function and who calls whom, by cProfile in this process; and the call tree, which sample shares."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.python import PythonSession
from hftlab.feeds.feed import Feed
from hftlab.measurement.paired import gc_paused
from hftlab.profiling.line import profiled_functions
from hftlab.profiling.locations import Locations, short_path
from hftlab.profiling.passes import blocks, is_python, open_session, plain_ns
from hftlab.profiling.result import Observation, Row, Unavailable, row_of

#: Share of the whole below which siblings are drawn as one.
MIN_SHARE = 0.003
MAX_DEPTH, MAX_RECTANGLES = 14, 5_000
_DISABLE = "<method 'disable' of '_lsprof.Profiler' objects>"

Key = tuple[str, int, str]  # file, first line, name: how cProfile identifies a function
#: function -> (calls without recursion, calls, own s, cumulative s, the same by caller)
Stats = dict[Key, tuple[int, int, float, float, dict[Key, tuple[int, int, float, float]]]]


@dataclass(frozen=True)
class Call:
    """A function as it stands in a stack."""

    name: str
    stage: str
    file: str = ""


@dataclass
class Node:
    """A function with everything it calls. `value` includes its callees, `own` does not; both in one unit."""

    call: Call
    value: float = 0.0
    own: float = 0.0
    callees: dict[Call, Node] = field(default_factory=dict)

    def child(self, call: Call) -> Node:
        """A callee. Code of a language or a library works for the stage that called it."""
        if call.stage == "other":
            call = replace(call, stage=self.call.stage)
        return self.callees.setdefault(call, Node(call))

    def walk(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """Itself and all below it, each with the names of its stack."""
        stack = (*above, self.call.name)
        yield stack, self
        for node in self.callees.values():
            yield from node.walk(stack)


def tree_of(stacks: Iterable[tuple[list[Call], float]], root: Call) -> Node:
    """The tree of sampled stacks."""
    top = Node(root)
    for stack, samples in stacks:
        node = top
        node.value += samples
        for call in stack:
            node = node.child(call)
            node.value += samples
        node.own += samples
    return top


def rectangles(root: Node) -> list[Row]:
    """The tree as an icicle: name, stage, file, depth, start, end (shares of the whole, 0 to 1), share, own, value; the widest
    siblings first, those below 0.3 % as one, at most 5,000."""
    out: list[Row] = []
    whole = root.value or 1.0

    def place(node: Node, depth: int, start: float) -> None:
        share, own = node.value / whole, node.own / whole
        what = {"name": node.call.name, "stage": node.call.stage, "file": node.call.file, "depth": depth}
        out.append({**what, "start": start, "end": start + share, "share": share, "own": own, "value": node.value})
        if depth == MAX_DEPTH:
            return
        small = [child.value for child in node.callees.values() if child.value / whole < MIN_SHARE]
        merged = Node(Call(f"{len(small)} small ones", "other"), sum(small), sum(small))
        large = sorted(node.callees.values(), key=lambda child: -child.value)[: len(node.callees) - len(small)]
        for child in [*large, *([merged] if merged.value / whole >= MIN_SHARE else [])]:
            place(child, depth + 1, start)
            start += child.value / whole

    place(root, 0, 0.0)
    return sorted(out, key=lambda row: (row["depth"], row["start"]))[:MAX_RECTANGLES]


def by_call(engine: Engine, feed: Feed) -> Observation:
    """Two plain passes, then one under cProfile.

    raises : Unavailable if the engine is not written in Python, or another profiler is active
    """
    session, push = open_session(engine, feed)
    if not is_python(push):
        raise Unavailable(f"backend {engine.backend!r} is compiled, one call to cProfile; use tool='sample' or 'instructions'")
    plain = plain_ns(engine, feed)
    profiler = cProfile.Profile()
    with gc_paused():
        try:
            profiler.enable()
        except ValueError as error:  # Python 3.12 and newer refuse a second profiler
            raise Unavailable(f"another profiler is active: {error}") from None
        try:
            for block in blocks(feed):
                push(block)
        finally:
            profiler.disable()
    stats: Stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    root = _key(push)
    name_of = _namer(engine, session)
    total = stats[root][3]
    rows = [_row(key, values, total, name_of) for key, values in stats.items() if values[3] and key[2] != _DISABLE]
    rows.sort(key=lambda row: -row["own_ns"])
    node = Node(name_of(root), total * 1e9, stats[root][2] * 1e9)
    _Tree(stats, name_of, total * 1e9).grow(node, (root,))
    slowdown = session.elapsed_ns / max(plain, 1)
    remark = f"a pass under cProfile took {slowdown:.1f} times as long as a plain one, and small functions are slowed down most"
    return Observation(rows, [remark], rectangles(node), slowdown=slowdown)


def _key(method: Callable[..., Any]) -> Key:
    code = method.__func__.__code__  # type: ignore[attr-defined]
    return (code.co_filename, code.co_firstlineno, code.co_name)


def _namer(engine: Engine, session: Any) -> Callable[[Key], Call]:
    """A function from cProfile's keys to qualified names with their stage."""
    locations = Locations(engine)
    functions = [function for function in vars(type(session)).values() if hasattr(function, "__code__")]
    functions += profiled_functions(session) if isinstance(session, PythonSession) else []
    names = {(f.__code__.co_filename, f.__code__.co_firstlineno): f.__qualname__.rpartition("<locals>.")[2] for f in functions}

    def name_of(key: Key) -> Call:
        file, line, name = key
        name = names.get((file, line), name.removeprefix("<built-in method ").removeprefix("<method ").rstrip(">"))
        return Call(name, locations.stage(short_path(file), name), short_path(file))

    return name_of


def _row(key: Key, values: Any, total: float, name_of: Callable[[Key], Call]) -> Row:
    _, calls, own, cumulative, callers = values
    call = name_of(key)
    ns = (own * 1e9, cumulative * 1e9, own * 1e9 / calls, cumulative * 1e9 / calls)
    names = ", ".join(sorted(name_of(caller).name for caller in callers))
    return row_of("calls", call.name, call.file, key[1], call.stage, calls, *ns, own / total, names)


class _Tree:
    """cProfile knows callers, not stacks: what a function calls is shared out among its places in the tree by time."""

    def __init__(self, stats: Stats, name_of: Callable[[Key], Call], total: float) -> None:
        self.stats, self.name_of, self.total = stats, name_of, total
        self.callees: dict[Key, list[tuple[Key, float, float]]] = {}  # caller -> (callee, own s, cumulative s)
        for key, (*_, callers) in stats.items():
            for caller, (_, _, own, cumulative) in callers.items():
                self.callees.setdefault(caller, []).append((key, own, cumulative))

    def grow(self, node: Node, path: tuple[Key, ...]) -> None:
        """Give a node its children; path: the functions from the root to it."""
        part = node.value / (self.stats[path[-1]][3] * 1e9 or 1.0)
        for callee, own, cumulative in self.callees.get(path[-1], []):
            value = cumulative * 1e9 * part
            if callee in path or value < self.total * MIN_SHARE / 10 or len(path) > MAX_DEPTH:
                continue
            child = node.child(self.name_of(callee))
            child.value += value
            child.own += own * 1e9 * part
            self.grow(child, (*path, callee))
