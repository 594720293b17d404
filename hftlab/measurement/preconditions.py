"""Before a clock starts: the build is a release build, and the engines agree on the head of the feed."""

from __future__ import annotations

from collections.abc import Iterable

from hftlab.conformance import verify
from hftlab.engine.engine import Engine
from hftlab.engine.session import Backend
from hftlab.errors import HftlabError
from hftlab.feeds.feed import EventFeed, Feed
from hftlab.feeds.frames import Frames
from hftlab.feeds.itch import ItchFeed

#: Messages on which engines must agree before a clock starts.
PREFIX = 20_000


def require_release_build(engine: Engine) -> Backend:
    """The backend of an engine. Raises HftlabError for a debug build."""
    if getattr(engine.implementation, "DEBUG_BUILD", False):
        raise HftlabError(f"backend {engine.backend!r} is a debug build; its times say nothing (`make rust`)")
    return engine.implementation


def require_parity(engines: Iterable[Engine], feed: Feed, messages: int = PREFIX) -> None:
    """Compare the engines bit for bit on the head of the feed: the second with the first, the others with the second, since the
    first is the reference, and slow. Raises HftlabError with the first divergence."""
    first, *others = engines
    prefix = head(feed, messages)
    for number, other in enumerate(others):
        verdict = verify(others[0] if number else first, other, prefix)
        if not verdict:
            raise HftlabError(f"no clock before equality: {verdict}")


def head(feed: Feed, messages: int) -> Feed:
    """The first messages of a feed."""
    if feed.wire == "events":
        events = next(iter(feed.event_blocks()))[:messages]
        return EventFeed(events, symbols=feed.symbols, price_scale=feed.price_scale, name=f"head of {feed.name}")
    parts, left, rest = bytearray(), messages, b""
    for block in feed.blocks():
        data = rest + block if rest else block
        frames = Frames(data)
        for _, _ in frames:
            left -= 1
            if not left:
                break
        used = frames.used if left else frames.used + 2 + (data[frames.used] << 8 | data[frames.used + 1])
        parts += data[:used]
        rest = bytes(data[used:]) if left else b""
        if not left or frames.problem:
            break
    return ItchFeed(bytes(parts), name=f"head of {feed.name}")
