"""Two tools that give a call tree.

calls   nanoseconds by function and who calls whom, by cProfile in this process
sample  stacks of a running engine at a fixed rate, by py-spy at a process of its own; Rust functions as well
"""

from __future__ import annotations

import cProfile
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.presentation.progress import track
from hftlab.profiling.locations import RUST, Call, Locations
from hftlab.profiling.passes import child, is_python, job, one_pass, open_session, plain_ns, program, run_tool
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
        small = [callee.value for callee in node.callees.values() if callee.value / whole < MIN_SHARE]
        merged = Node(Call(f"{len(small)} small ones", "other"), sum(small), sum(small))
        large = sorted(node.callees.values(), key=lambda callee: -callee.value)[: len(node.callees) - len(small)]
        for callee in [*large, *([merged] if merged.value / whole >= MIN_SHARE else [])]:
            place(callee, depth + 1, start)
            start += callee.value / whole

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
            below = node.child(self.calls[callee.code])
            below.value += value
            below.own += callee.inlinetime * part
            self._grow(below, (*path, callee.code), least)


def _call(code: Code, locations: Locations) -> Call:
    if isinstance(code, str):
        return locations.call(code.removeprefix("<built-in method ").removeprefix("<method ").rstrip(">"), "")
    return locations.call(code.co_qualname, code.co_filename)


SECONDS = 1.5
RATE = 400  # samples per second

_FRAME = re.compile(r"^(.*) \((.*?)(?::\d+)?\)$")
_HASH = re.compile(r"^h[0-9a-f]{16}$")
_LOOP = re.compile(r"^loop \(.*profiling/passes\.py(:\d+)?\)$")


def by_sample(engine: Engine, feed: Feed) -> Observation:
    """Passes for a second and a half in a child, with native frames where the system lets py-spy read them.

    raises : Unavailable without py-spy, where it may not look, or if the engine cannot be sent to a child
    """
    py_spy = program("py-spy")
    compiled = not is_python(open_session(engine, feed)[1])
    with job(engine, feed) as folder:
        native, raw, reason = True, "", ""
        for native in track((True, False) if compiled else (False,), f"sampling {engine.label}"):
            raw, reason = _record(py_spy, folder, native)
            if raw:
                break
    if not raw:
        raise Unavailable(f"py-spy could not look at the engine in a process of its own: {reason}")
    root = tree_of(parse(raw, Locations(engine)), Call("passes of the engine", "engine"))
    if not root.value:
        raise Unavailable("py-spy took no sample of the engine")
    error = (0.01 * 0.99 / root.value) ** 0.5
    remarks = [f"{root.value:,.0f} samples at {RATE} a second; a share of 1 % is uncertain by about {error:.1%}"]
    if compiled and not native:
        remarks.append(f"without native frames, which py-spy could not read here: {reason}")
    return Observation(_rows(root), remarks, rectangles(root))


def _record(py_spy: str, folder: Path, native: bool) -> tuple[str, str]:
    """(collapsed stacks, ""), or ("", the reason of py-spy)."""
    out = folder / "raw"
    words = ["record", "--format", "raw", "--full-filenames", "--function", "--rate", str(RATE), "--output", str(out)]
    command = [py_spy, *words, *(["--native"] if native else []), "--", *child("loop", folder, str(SECONDS))]
    lines = run_tool(command)
    if (folder / "ran").is_file() and out.is_file() and (raw := out.read_text(errors="replace")):
        out.unlink()
        return raw, ""
    return "", lines[-1].removeprefix("Reason: ")


def parse(raw: str, locations: Locations) -> list[tuple[list[Call], int]]:
    """The stacks below the loop of the child with their samples: importing and starting are no part of the engine."""
    out = []
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = stack.split(";")
        start = next((at for at, frame in enumerate(frames) if _LOOP.match(frame)), None)
        if start is not None and samples.isdigit():
            out.append(([_framed(frame, locations) for frame in frames[start + 1 :]], int(samples)))
    return out


def _framed(frame: str, locations: Locations) -> Call:
    match = _FRAME.match(frame)
    name, file = match.groups() if match else (frame, "")
    return locations.call(rust_name(name) if RUST in file or "::" in name else name, file)


def rust_name(name: str) -> str:
    """A Rust function without its path, its type parameters and its hash."""
    out, depth = "", 0
    for letter in name:
        if letter == "<":
            depth += 1
        elif letter == ">" and depth:
            depth -= 1
        elif not depth:
            out += letter
    words = [word for word in out.split("::") if word and not _HASH.match(word)]
    return "::".join(words[-2:] if words and words[-1].startswith("{") else words[-1:]) or name


def _rows(root: Node) -> list[Row]:
    rows = [
        row_of(
            "sample", ";".join(stack), len(stack) - 1, node.call.name, node.call.file, node.call.stage,
            int(node.value), int(node.own), node.value / root.value, node.own / root.value,
        )
        for stack, node in root.walk()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row["own"])
