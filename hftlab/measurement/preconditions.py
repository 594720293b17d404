"""What must hold before anything is timed: a release build, and engines that agree on the head of the feed."""

from __future__ import annotations

from collections.abc import Iterable

from hftlab.engine.engine import Engine
from hftlab.engine.session import Backend
from hftlab.engine.verify import verify
from hftlab.errors import HftlabError
from hftlab.feeds.feed import Feed

#: Messages on which engines must agree.
PREFIX = 20_000


def require_release_build(engine: Engine) -> Backend:
    """The backend of an engine. Raises HftlabError for a debug build."""
    if getattr(engine.implementation, "DEBUG_BUILD", False):
        raise HftlabError(f"backend {engine.backend!r} is a debug build; refusing to benchmark it (build it with `make rust`)")
    return engine.implementation


def require_parity(engines: Iterable[Engine], feed: Feed, messages: int = PREFIX) -> None:
    """Compare the engines bit for bit on the head of the feed: the second with the first, the others with the second, since the
    first is the reference, and slow. Raises HftlabError with the first divergence."""
    first, *others = engines
    prefix = feed.head(messages)
    for number, other in enumerate(others):
        verdict = verify(others[0] if number else first, other, prefix)
        if not verdict:
            raise HftlabError(f"engines disagree; refusing to benchmark: {verdict}")
