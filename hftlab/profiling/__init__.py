"""One door to six profilers, from "slow" to "this line, this cache miss, this allocation".

    line          ns by source line of the Python stages            line_profiler, in this process
    calls         ns by function, and who calls whom                cProfile, in this process
    sample        where the time is seen, Rust functions as well    py-spy, in a process of its own
    instructions  instructions, branches, cache misses by stage     valgrind's callgrind, in a process of its own
    counters      what the processor and the kernel count           perf stat, in a process of its own
    memory        allocations by stage, function and line           the Rust allocator; memray and tracemalloc

Each is a module of its name with COLUMNS, MESSAGES (as many are looked at by default), look() and chart().
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hftlab.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from hftlab.feeds.feed import Feed
    from hftlab.profiling.result import Profile as Profile

HOWS = ("line", "calls", "sample", "instructions", "counters", "memory")
FEWEST, MOST = 100, 10_000_000


def bearable(how: str, backend: str = "python") -> int:
    """As many messages as a way is given unless it is told otherwise: about a second's work, of valgrind ten seconds'.

    raises : UnknownName
    """
    if how not in HOWS:
        raise UnknownName("way to profile", how, HOWS)
    messages: dict[str, int] = import_module(f"hftlab.profiling.{how}").MESSAGES
    return messages.get(backend, messages["python"])


def profile(engine: Any = "python", feed: Feed | None = None, how: str = "line", *, messages: int | None = None) -> Profile:
    """Look at an engine over a feed in one way.

    engine   : an Engine, or whatever `hftlab.engine.resolve.adopt` makes one of: "rust", a class of one stage, "mine.py:MyBook"
    feed     : default: a calm generated feed
    how      : line, calls, sample, instructions, counters or memory
    messages : look at the head of the feed alone, 100 to 10,000,000 messages; default: 2,000 to 200,000, as the way can bear
    returns  : a Profile; where a tool is missing or the engine does not fit it has no row, is false, and .missing says why
    raises   : UnknownName for another `how`; ConfigError for `messages` out of range; FeedError for a feed that cannot be read
    """
    from hftlab.engine.engine import synthetic
    from hftlab.engine.resolve import adopt
    from hftlab.measurement.machine import fingerprint
    from hftlab.measurement.preconditions import head
    from hftlab.profiling.pieces import count
    from hftlab.profiling.result import Found, Missing, Profile

    bearable(how)
    if messages is not None and not (isinstance(messages, int) and FEWEST <= messages <= MOST):
        raise ConfigError(f"messages is {messages!r}; allowed is {FEWEST} to {MOST:,}")
    engine = adopt(engine)
    most = bearable(how, engine.backend) if messages is None else messages
    way = import_module(f"hftlab.profiling.{how}")
    feed = synthetic("calm", most) if feed is None else feed
    looked_at = head(feed, most)
    if (there := count(looked_at)) < FEWEST:
        raise ConfigError(f"{feed.name} has {there} messages that can be read; a profile needs {FEWEST}")
    try:
        found = way.look(engine, looked_at)
    except Missing as error:
        found = Found([], missing=f"{how}: {error}")
    return Profile(
        how=how,
        engine=engine.label,
        feed=feed.name,
        messages=there,
        machine=fingerprint(),
        columns=way.COLUMNS,
        rows=tuple(found.rows),
        notes=tuple(found.notes),
        tree=tuple(found.tree),
        missing=found.missing,
        slowdown=found.slowdown,
    )
