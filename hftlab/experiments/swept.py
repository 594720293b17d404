"""A message that nobody expected: each one alone, after the caches have been swept with something else.

A replay keeps code and book in the caches; a market that is quiet does not. So the feed is run to near its end, and of the last
messages each waits until a buffer larger than the last cache has been read through.
"""

from __future__ import annotations

from itertools import islice
from time import perf_counter

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.experiments.openloop import calls_of
from hftlab.feeds.feed import Feed
from hftlab.measurement.distribution import Distribution
from hftlab.measurement.machine import caches
from hftlab.measurement.paired import gc_paused

MOST = 1_000  # messages
SECONDS = 2.0  # after which no more are sent
FEED = 20_000  # messages of the feed that are run at all
_UNKNOWN_CACHE = 32 << 20
_LARGEST_BUFFER = 64 << 20


def swept(engine: Engine, feed: Feed, clock_ns: float, *, most: int = MOST, seconds: float = SECONDS) -> Distribution | None:
    """End to end, by the engine's own stamps, of messages that find none of their data in the caches; None without stamps.

    clock_ns : median cost of a reading of the engine's clock
    most     : messages; fewer if `seconds` are over before
    """
    calls = list(islice(calls_of(feed.head(FEED)), FEED))
    most = min(most, len(calls) // 2)
    session = engine.open(engine.settings(feed, record="none", latency="total"))
    push = session.push if feed.wire == "itch" else session.push_events
    for data in calls[: len(calls) - most]:
        push(data)
    buffer = np.ones(min(max(caches().values(), default=_UNKNOWN_CACHE) * 2, _LARGEST_BUFFER) // 8)
    sent, end = 0, perf_counter() + seconds
    with gc_paused():
        for data in calls[len(calls) - most :]:
            buffer.sum()
            push(data)
            sent += 1
            if perf_counter() > end:
                break
    latency = session.finish()["latency"]
    return None if latency is None or not sent else Distribution.of("total", latency["total"][-sent:], clock_ns)
