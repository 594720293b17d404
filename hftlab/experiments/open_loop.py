"""Messages sent alone, one call of the engine each: when a schedule says, or after the caches were filled with something else.

open loop    A closed loop, which sends the next message when the last is done, hides its own stalls: the messages that would have
             come meanwhile are never sent (coordinated omission). Here the schedule is fixed first, and latency counts from then.
             With arrival a_i = i * interval and service s_i

                 done_i = max(a_i, done_(i-1)) + s_i        response_i = done_i - a_i        (Lindley 1952)

             which is what a single server that takes messages in order does to a queue.
cold cache   A replay keeps code and book in the caches; a market that is quiet does not. So the feed is run to near its end, and
             of the last messages each waits until a buffer larger than the last cache has been read through.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.session import Session
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed, cut
from hftlab.measurement.distribution import STATISTICS, Distribution
from hftlab.measurement.paired import gc_paused
from hftlab.measurement.storage import StoredResult
from hftlab.measurement.system import caches
from hftlab.presentation.document import Table, table

LONGEST_S = 600
#: Of the cold cache: messages at most, and messages of the feed that are run at all.
COLD_MESSAGES, COLD_FEED = 1_000, 20_000
_UNKNOWN_CACHE, _LARGEST_BUFFER = 32 << 20, 64 << 20


def response_ns(service_ns: np.ndarray[Any, Any], interval_ns: float) -> np.ndarray[Any, Any]:
    """Response times from intended arrivals, ns, of messages that come every `interval_ns` and take `service_ns`, (n,).

    raises : ConfigError for an interval that is not above 0
    """
    if not interval_ns > 0:
        raise ConfigError(f"interval must be above 0 ns, got {interval_ns}")
    service = np.asarray(service_ns, np.float64)
    arrival = np.arange(len(service)) * interval_ns
    spent = np.cumsum(service)
    # done_i = spent_i + the greatest of (a_j - spent_(j-1)) up to i: the server was idle before j, and has been busy since.
    idle = np.maximum.accumulate(arrival - (spent - service))
    out: np.ndarray[Any, Any] = spent + idle - arrival
    return out


@dataclass(frozen=True, repr=False)
class OpenLoop(StoredResult):
    """Messages sent at `rate_per_s`, one call of the engine each. The clock is not subtracted.

    service   : from when the engine got the message until it was done
    response  : from when the message was due
    predicted : response as `response_ns` computes it from the service times alone
    late      : messages that were due before the engine was free
    """

    schema = "hftlab-open-loop/2"
    rate_per_s: float
    service: Distribution
    response: Distribution
    predicted: Distribution
    late: int

    @property
    def times(self) -> dict[str, Distribution]:
        """Service, response, and response as predicted, by name."""
        return {"service": self.service, "response": self.response, "response, predicted": self.predicted}

    def records(self) -> list[dict[str, Any]]:
        """One per time: time, n, min, max, mean, p50 to p99.99 in ns."""
        return [{"time": name, "n": row.n, **row.values()} for name, row in self.times.items()]

    def headline(self) -> str:
        return f"open loop at {self.rate_per_s:,.0f} messages/s"

    def tables(self) -> list[Table]:
        rows = [(name, *row.cells()) for name, row in self.times.items()]
        return [table(f"Open loop at {self.rate_per_s:,.0f} messages/s, µs", ("time", *STATISTICS, "n"), rows)]

    def notes(self) -> list[str]:
        return [f"open loop: {self.late:,} of {self.service.n:,} messages were due before the engine was free"]


def open_loop(engine: Engine, feed: Feed, rate: float, messages: int = 100_000) -> OpenLoop:
    """Send the first messages of a feed at a fixed rate, a call each, whatever the engine does.

    rate   : messages per second, above 0; the whole must not take more than 600 s
    raises : ConfigError
    """
    if not rate > 0 or messages / rate > LONGEST_S:
        raise ConfigError(f"rate must be above 0, and send {messages:,} messages within {LONGEST_S} s, got {rate} messages/s")
    calls = list(cut(feed.head(messages), every=1))
    push = _opened(engine, feed)[1]
    interval = 1e9 / rate
    starts, ends = array("q", bytes(8 * len(calls))), array("q", bytes(8 * len(calls)))
    with gc_paused():
        begin = perf_counter_ns() + 1_000_000
        for i, data in enumerate(calls):
            due = begin + int(i * interval)
            while (now := perf_counter_ns()) < due:
                pass
            push(data)
            starts[i], ends[i] = now, perf_counter_ns()
    start, end = np.frombuffer(starts, np.int64), np.frombuffer(ends, np.int64)
    due_ = begin + (np.arange(len(calls)) * interval).astype(np.int64)
    service = end - start
    return OpenLoop(
        rate,
        Distribution.of("total", service),
        Distribution.of("total", end - due_),
        Distribution.of("total", response_ns(service, interval)),
        int(np.count_nonzero(end[:-1] > due_[1:])),
    )


def cold_cache(
    engine: Engine, feed: Feed, clock_ns: float, *, messages: int = COLD_MESSAGES, seconds: float = 2.0, step_ns: float = 0.0
) -> Distribution | None:
    """End to end, by the engine's own stamps, of messages that find none of their data in the caches; None without stamps.

    clock_ns : median cost of a reading of the engine's clock; step_ns: its step
    messages : at most half of the feed's first 20,000; fewer if `seconds` are over before
    """
    calls = list(cut(feed.head(COLD_FEED), every=1))
    cold = min(messages, len(calls) // 2)
    session, push = _opened(engine, feed, latency="total")
    for data in calls[: len(calls) - cold]:
        push(data)
    buffer = np.ones(min(max(caches().values(), default=_UNKNOWN_CACHE) * 2, _LARGEST_BUFFER) // 8)
    sent, end = 0, perf_counter() + seconds
    with gc_paused():
        for data in calls[len(calls) - cold :]:
            buffer.sum()
            push(data)
            sent += 1
            if perf_counter() > end:
                break
    latency = session.finish()["latency"]
    return None if latency is None or not sent else Distribution.of("total", latency["total"][-sent:], clock_ns, step_ns)


def _opened(engine: Engine, feed: Feed, **settings: Any) -> tuple[Session, Callable[[Any], Any]]:
    """A session for a feed, and its method that takes what `cut` gives."""
    session = engine.open(engine.settings(feed, record="none", **settings))
    return session, session.push if feed.wire == "itch" else session.push_events
