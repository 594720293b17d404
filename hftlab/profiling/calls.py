"""calls: nanoseconds by function and who calls whom, by cProfile in this process; and the call tree, which sample shares."""

from __future__ import annotations

import cProfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from types import CodeType
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.profiling.locations import Call, Locations
from hftlab.profiling.passes import is_python, one_pass, open_session, plain_ns
from hftlab.profiling.result import Observation, Row, Unavailable, row_of

#: Share of the whole below which siblings are drawn as one.
MIN_SHARE = 0.003
MAX_DEPTH, MAX_RECTANGLES = 14, 5_000
_DISABLE = "<method 'disable' of '_lsprof.Profiler' objects>"

#: How cProfile identifies a function: a built-in one by its name.
Code = CodeType | str


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
    one_pass(push, feed, profiler.enable, profiler.disable)
    tree = _Tree(profiler, Locations(engine))
    root: CodeType = push.__func__.__code__  # type: ignore[attr-defined]
    slowdown = session.elapsed_ns / max(plain, 1)
    remark = f"a pass under cProfile took {slowdown:.1f} times as long as a plain one, and small functions are slowed down most"
    return Observation(tree.rows(root), [remark], rectangles(tree.of(root)), slowdown=slowdown)


class _Tree:
    """cProfile knows callers, not stacks: what a function calls is shared out among its places in the tree by time."""

    def __init__(self, profiler: cProfile.Profile, locations: Locations) -> None:
        self.entries: dict[Code, Any] = {entry.code: entry for entry in profiler.getstats() if entry.code != _DISABLE}
        self.calls = {code: _call(code, locations) for code in self.entries}

    def rows(self, root: CodeType) -> list[Row]:
        """A row per function; shares are of the root."""
        callers: dict[Code, set[str]] = {code: set() for code in self.entries}
        for code, entry in self.entries.items():
            for callee in entry.calls or ():
                callers[callee.code].add(self.calls[code].name)
        rows = []
        for code, entry in self.entries.items():
            call, line = self.calls[code], getattr(code, "co_firstlineno", 0)
            own, cumulative = entry.inlinetime * 1e9, entry.totaltime * 1e9
            ns = (own, cumulative, own / entry.callcount, cumulative / entry.callcount)
            what = (call.name, call.file, line, call.stage, entry.callcount)
            share = entry.inlinetime / self.entries[root].totaltime
            rows.append(row_of("calls", *what, *ns, share, ", ".join(sorted(callers[code]))))
        return sorted(rows, key=lambda row: -row["own_ns"])

    def of(self, root: CodeType) -> Node:
        """The root with everything it calls, in ns."""
        entry = self.entries[root]
        node = Node(self.calls[root], entry.totaltime * 1e9, entry.inlinetime * 1e9)
        self._grow(node, (root,), MIN_SHARE / 10 * node.value)
        return node

    def _grow(self, node: Node, path: tuple[Code, ...], least: float) -> None:
        """Give a node its children; path: the functions from the root to it; least: ns of a child."""
        entry = self.entries[path[-1]]
        part = node.value / (entry.totaltime or 1.0)
        for callee in entry.calls or ():
            value = callee.totaltime * part
            if callee.code in path or value < least or len(path) > MAX_DEPTH:
                continue
            child = node.child(self.calls[callee.code])
            child.value += value
            child.own += callee.inlinetime * part
            self._grow(child, (*path, callee.code), least)


def _call(code: Code, locations: Locations) -> Call:
    if isinstance(code, str):
        return locations.call(code.removeprefix("<built-in method ").removeprefix("<method ").rstrip(">"), "")
    return locations.call(code.co_qualname, code.co_filename)
