"""memory: what is asked of the allocator per message, by stage; of the Python engine by function and line, too.

Rust    its allocator counts. The feed is run in 32 pieces; the median of the last 16 is what a message asks for, "stage"; what
        was asked for beyond that, tables growing at first and lists doubling now and then, is "growth"
Python  memray counts every allocation of the second half, "stage" and "function"; tracemalloc what of them is kept, "line"
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.presentation.progress import track
from hftlab.profiling import tracing
from hftlab.profiling.passes import is_python, opened, stages
from hftlab.profiling.pieces import Piece, count, cut
from hftlab.profiling.result import Found, Missing, Row

if TYPE_CHECKING:
    from hftlab.profiling.result import Profile

MESSAGES = {"python": 2_000, "rust": 64_000}
COLUMNS: dict[str, type] = {
    "kind": str,
    "stage": str,
    "where": str,
    "allocations_per_message": float,
    "bytes_per_message": float,
    "kept_per_message": float,
    "kept_bytes_per_message": float,
}
PIECES = 32
BARS = 16


def look(engine: Engine, feed: Feed) -> Found:
    """By the engine's own count where it has one, else from inside Python.

    raises : Missing if neither sees anything
    """
    counter = getattr(engine.implementation, "allocations", None)
    if counter is not None:
        return _counted(engine, feed, counter)
    if not is_python(opened(engine, feed)[1]):
        raise Missing(f"backend {engine.backend!r} is compiled and offers no `allocations()` that returns (count, bytes)")
    return _python(engine, feed)


def row(kind: str, stage: str, where: str, *values: float | None) -> Row:
    """A row of the frame; what is not said is not known."""
    return dict(zip(COLUMNS, (kind, stage, where, *values, *[None] * (4 - len(values))), strict=True))


def _counted(engine: Engine, feed: Feed, counter: Callable[[], tuple[int, int]]) -> Found:
    pieces, messages = cut(feed, PIECES), count(feed)
    rows: list[Row] = []
    before = [np.zeros(2), np.zeros(2)]
    for until in track(stages(engine), f"counting allocations of {engine.label}"):
        session, push = opened(engine.replace(until=until), feed)
        crossing = _asked(counter, push, pieces[0][:0])  # a call without a message: what the border asks for
        asked = [_asked(counter, push, piece) - crossing for piece in pieces]
        warm = asked[PIECES // 2 :]
        steady = np.median(warm, axis=0) * PIECES / messages
        growth = np.sum(asked, axis=0) / messages - steady
        for kind, now, then in (("stage", steady, before[0]), ("growth", growth, before[1])):
            rows.append(row(kind, until, until, *(now - then).tolist()))
        before = [steady, growth]
        kept = session.counters()["memory"]
    rows.sort(key=lambda one: one["kind"] != "stage")
    steady_all = sum(one["allocations_per_message"] for one in rows if one["kind"] == "stage")
    notes = [
        f"in its steady state a message asks the allocator {steady_all:,.3f} times; what containers ask for that grow is apart",
        "memory mapped from the system without the allocator is not counted: "
        f"orders take {kept['order_bytes']:,} bytes, levels {kept['level_bytes']:,}",
    ]
    return Found(rows, notes)


def _asked(counter: Callable[[], tuple[int, int]], push: Callable[[Piece], Any], piece: Piece) -> np.ndarray[Any, Any]:
    """Allocations and bytes of one call, (2,) int64."""
    start = counter()
    push(piece)
    end = counter()
    return np.array([end[0] - start[0], end[1] - start[1]])


def _python(engine: Engine, feed: Feed) -> Found:
    messages = count(feed) // 2
    first, second = cut(feed, 2)
    tracker = tracing.memray()
    rows: list[Row] = []
    asked_before, kept_before = (0.0, 0.0), 0.0
    functions: list[Row] = []
    for until in track(stages(engine), f"counting allocations of {engine.label}"):
        one = engine.replace(until=until)
        _, push = opened(one, feed)
        push(first)
        blocks = sys.getallocatedblocks()
        push(second)
        kept = (sys.getallocatedblocks() - blocks) / messages
        asked: tuple[float, float] | None = None
        if tracker:
            _, push = opened(one, feed)
            push(first)
            calls, size, places = tracing.asked(tracker, engine, partial(push, second))
            asked = (calls / messages, size / messages)
            functions = [row("function", *place, n / messages, size / messages) for place, (n, size) in places.items()]
        told = (asked[0] - asked_before[0], asked[1] - asked_before[1]) if asked else (None, None)
        rows.append(row("stage", until, until, *told, kept - kept_before))
        asked_before, kept_before = asked or asked_before, kept
    functions.sort(key=lambda one: -one["allocations_per_message"])
    _, push = opened(engine, feed)
    push(first)
    lines, peak = tracing.kept(engine, partial(push, second))
    rows += functions + [row("line", *place, None, None, n / messages, size / messages) for place, n, size in lines]
    notes = [
        f"{messages:,} messages after as many to warm up; beyond what was there, at most {peak:,} bytes were in use at once",
        "what Python takes from its own free lists (small tuples, floats, frames) is no allocation",
    ]
    missing = "" if tracker else "memory: memray is not installed (pip install memray), so only what is kept is seen"
    return Found(rows, notes, missing=missing)


def chart(profile: Profile) -> Any:
    """Allocations per message: by stage where the engine counts, by function where memray does, else what lines keep."""
    from hftlab.charts import bar_chart

    kinds = {one["kind"] for one in profile.rows}
    kind = next(name for name in ("growth", "function", "line", "stage") if name in kinds)
    shown = {"growth": ("stage", "growth"), "function": ("function",), "line": ("line",), "stage": ("stage",)}[kind]
    value = "kept_per_message" if kind == "line" else "allocations_per_message"
    words = {"stage": "in the steady state", "growth": "growing"}
    bars = [
        {
            "label": f"{one['where']}, {words[one['kind']]}" if kind == "growth" else one["where"],
            "value": one[value],
            "group": one["stage"],
        }
        for one in profile.rows
        if one["kind"] in shown
    ]
    title = "What a message keeps" if kind == "line" else "What a message asks of the allocator"
    name = "blocks kept per message" if kind == "line" else "allocations per message"
    return bar_chart(bars[:BARS], title, profile.subtitle(), name)
