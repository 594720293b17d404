"""Passes of an engine in this process, over a feed in memory or over pieces of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.events import Events
from hftlab.feeds.feed import Feed, cut, messages
from hftlab.feeds.frames import Block
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
    sessions = [open_session(engine, feed) for _ in range(passes)]
    for _, push in sessions:
        one_pass(push, feed)
    return float(min(session.elapsed_ns for session, _ in sessions))


def one_pass(
    push: Callable[[Piece], Any], feed: Feed, enable: Callable[[], Any] = lambda: None, disable: Callable[[], Any] = lambda: None
) -> None:
    """One pass over the feed, under a profiler of Python where one is enabled and disabled.

    raises : Unavailable where another one is active, of which Python 3.12 and newer allow one
    """
    pieces = list(feed.blocks() if feed.wire == "itch" else feed.event_blocks())
    with gc_paused():
        try:
            enable()
        except (ValueError, RuntimeError) as error:
            raise Unavailable(f"another profiler is active: {error}") from None
        try:
            for piece in pieces:
                push(piece)
        finally:
            disable()


def is_python(method: Callable[..., Any]) -> bool:
    """Whether a method of a session is Python code, which profilers of Python can look into."""
    return hasattr(getattr(method, "__func__", None), "__code__")


def count(feed: Feed) -> int:
    """Messages of the feed."""
    return sum(1 for _ in messages(feed)) if feed.wire == "itch" else sum(map(len, feed.event_blocks()))


def halves(feed: Feed) -> tuple[Piece, Piece, int]:
    """The first half of the feed, to warm up; the second half, and its messages."""
    total = count(feed)
    first, second = cut(feed, every=total - total // 2)
    return first, second, total // 2
