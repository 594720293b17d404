"""Passes of an engine in this process, for the tools that look from inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.measurement.paired import gc_paused
from hftlab.profiling.pieces import Piece, whole
from hftlab.profiling.result import Missing
from hftlab.settings import STAGES


def opened(engine: Engine, feed: Feed) -> tuple[Any, Callable[[Piece], Any]]:
    """A new session, and the method that takes the pieces of the feed.

    raises : Missing if the engine does not take what the feed carries
    """
    session = engine.open(engine.settings(feed, record="none"))
    name = "push" if feed.wire == "itch" else "push_events"
    push = getattr(session, name, None)
    if push is None:
        raise Missing(f"engine {engine.label} has no {name}, which the feed {feed.name} needs")
    return session, push


def stages(engine: Engine) -> tuple[str, ...]:
    """The stages of an engine, up to its last."""
    return STAGES[: STAGES.index(engine.settings().until) + 1]


def plain_ns(engine: Engine, feed: Feed, passes: int = 2) -> float:
    """ns in the engine's own loop of the faster of some passes that nobody looks at."""
    best = float("inf")
    for _ in range(passes):
        with gc_paused():
            session, push = opened(engine, feed)
            push(whole(feed))
        best = min(best, session.elapsed_ns)
    return best


def is_python(method: Callable[..., Any]) -> bool:
    """Whether a method of a session is Python code, which profilers of Python can look into."""
    return hasattr(getattr(method, "__func__", None), "__code__")


def slowdown(tool: str, times: float) -> str:
    """A sentence: how much a tool slows down what it looks at."""
    return f"under {tool} the pass took {times:.1f} times as long as the plain one beside it"
