"""Passes of an engine in this process, over a feed in memory or over pieces of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.events import Events
from hftlab.feeds.feed import Feed
from hftlab.feeds.frames import Block, Frames
from hftlab.measurement.paired import gc_paused
from hftlab.profiling.result import Unavailable
from hftlab.settings import STAGES

Piece = Block | Events


def open_session(engine: Engine, feed: Feed) -> tuple[Any, Callable[[Piece], Any]]:
    """A new session, and its method that takes the pieces of the feed.

    raises : Unavailable if the engine does not take what the feed carries
    """
    session = engine.open(engine.settings(feed, record="none"))
    name = "push" if feed.wire == "itch" else "push_events"
    push = getattr(session, name, None)
    if push is None:
        raise Unavailable(f"engine {engine.label} has no {name}, which the feed {feed.name} needs")
    return session, push


def stages(engine: Engine) -> tuple[str, ...]:
    """The stages of an engine, up to its last."""
    return STAGES[: STAGES.index(engine.settings().until) + 1]


def plain_ns(engine: Engine, feed: Feed, passes: int = 2) -> float:
    """ns in the engine's own loop of the faster of some passes without a profiler."""
    best = float("inf")
    for _ in range(passes):
        with gc_paused():
            session, push = open_session(engine, feed)
            push(whole(feed))
        best = min(best, session.elapsed_ns)
    return best


def is_python(method: Callable[..., Any]) -> bool:
    """Whether a method of a session is Python code, which profilers of Python can look into."""
    return hasattr(getattr(method, "__func__", None), "__code__")


def whole(feed: Feed) -> Piece:
    """The one block of a feed that is the head of another."""
    return next(iter(feed.blocks() if feed.wire == "itch" else feed.event_blocks()))


def count(feed: Feed) -> int:
    """Messages of a feed of one block."""
    data = whole(feed)
    return sum(1 for _ in Frames(data)) if isinstance(data, bytes | memoryview) else len(data)


def cut(feed: Feed, pieces: int) -> list[Piece]:
    """A feed of one block in pieces of as many messages each; the last ones are one shorter where it does not divide."""
    data = whole(feed)
    if isinstance(data, bytes | memoryview):
        ends = [at - 2 for at, _ in Frames(data)] + [len(data)]
    else:
        ends = list(range(len(data) + 1))
    messages = len(ends) - 1
    at = [ends[-(-number * messages // pieces)] for number in range(pieces + 1)]
    return [data[start:end] for start, end in pairwise(at)]
