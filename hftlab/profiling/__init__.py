"""profile(): one door to six profilers, from "slow" to "this line, this cache miss, this allocation".

line          ns by source line of the Python stages            line_profiler, in this process
calls         ns by function, and who calls whom                cProfile, in this process
sample        stacks at a fixed rate, Rust functions as well    py-spy, in a process of its own
instructions  instructions, branches, cache misses by stage     valgrind's callgrind, in a process of its own
counters      counters of the processor and the kernel          perf stat, in a process of its own
memory        allocations by stage, function and line           the Rust allocator; memray and tracemalloc
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.resolve import as_engine
from hftlab.errors import ConfigError, check_choice, check_range
from hftlab.feeds.feed import Feed
from hftlab.measurement.machine import fingerprint
from hftlab.profiling import calls, hardware, line, memory, passes
from hftlab.profiling.result import Observation as Observation
from hftlab.profiling.result import Profile as Profile
from hftlab.profiling.result import Unavailable as Unavailable

MIN_MESSAGES, MAX_MESSAGES = 100, 10_000_000


@dataclass(frozen=True)
class Tool:
    """A profiler.

    observe  : runs an engine over the head of a feed; raises Unavailable where it cannot look
    messages : default number of messages, of the Python engine and of others: a second's work, of valgrind ten seconds'
    """

    observe: Callable[[Engine, Feed], Observation]
    messages: tuple[int, int]


TOOLS = {
    "line": Tool(line.by_line, (20_000, 20_000)),
    "calls": Tool(calls.by_call, (20_000, 20_000)),
    "sample": Tool(calls.by_sample, (20_000, 200_000)),
    "instructions": Tool(hardware.instructions, (2_000, 20_000)),
    "counters": Tool(hardware.counters, (20_000, 200_000)),
    "memory": Tool(memory.memory, (2_000, 64_000)),
}


def default_messages(tool: str, backend: str = "python") -> int:
    """The number of messages that a tool runs by default. Raises UnknownName."""
    return TOOLS[check_choice("tool", tool, TOOLS)].messages[backend == "rust"]


def profile(engine: Any = "python", feed: Feed | None = None, tool: str = "line", *, messages: int | None = None) -> Profile:
    """Run an engine over a feed under a profiler.

    engine   : an Engine, or what `hftlab.as_engine` resolves to one: "rust", a class of one stage, "mine.py:MyBook"
    feed     : default: a calm generated feed
    tool     : line, calls, sample, instructions, counters or memory
    messages : run only the head of the feed, 100 to 10,000,000 messages; default: `default_messages`
    returns  : a Profile; where the tool is missing or the engine does not fit it has no rows, is false, and .missing says why
    raises   : UnknownName for another `tool`; ConfigError for `messages` out of range; FeedError for a feed that cannot be read
    """
    check_choice("tool", tool, TOOLS)
    if messages is not None:
        check_range("messages", messages, MIN_MESSAGES, MAX_MESSAGES)
    engine = as_engine(engine)
    limit = default_messages(tool, engine.backend) if messages is None else messages
    feed = synthetic("calm", limit) if feed is None else feed
    part = feed.head(limit)
    if (available := passes.count(part)) < MIN_MESSAGES:
        raise ConfigError(f"{feed.name}: a profile needs at least {MIN_MESSAGES} messages, got {available}")
    try:
        observed = TOOLS[tool].observe(engine, part)
    except Unavailable as error:
        observed = Observation([], missing=f"{tool}: {error}")
    rows, remarks, tree = tuple(observed.rows), tuple(observed.remarks), tuple(observed.tree)
    what = (tool, engine.label, feed.name, available, fingerprint())
    return Profile(*what, rows, remarks, tree, observed.missing, observed.slowdown)
