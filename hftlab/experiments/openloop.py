"""Open loop: messages come when a schedule says, and latency counts from then, not from when the engine got round to them.

A closed loop, which sends the next message when the last is done, hides its own stalls: the messages that would have come
meanwhile are never sent (coordinated omission). Here the schedule is fixed first. With arrival a_i = i * interval and service s_i

    done_i = max(a_i, done_(i-1)) + s_i        response_i = done_i - a_i        (Lindley 1952)

which is what a single server that takes messages in order does to a queue. `response_ns` computes it from service times measured
in a closed loop; `paced` sends messages at their times and measures both.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.feeds.frames import Frames
from hftlab.measurement.distribution import Distribution
from hftlab.measurement.paired import gc_paused

LONGEST_S = 600


def response_ns(service_ns: np.ndarray[Any, Any], interval_ns: float) -> np.ndarray[Any, Any]:
    """Response times from intended arrivals, ns, of messages that come every `interval_ns` and take `service_ns`, (n,).

    raises : ConfigError for an interval that is not above 0
    """
    if not interval_ns > 0:
        raise ConfigError(f"the interval is {interval_ns} ns; allowed is above 0")
    service = np.asarray(service_ns, np.float64)
    arrival = np.arange(len(service)) * interval_ns
    spent = np.cumsum(service)
    # done_i = spent_i + the greatest of (a_j - spent_(j-1)) up to i: the server was idle before j, and has been busy since.
    idle = np.maximum.accumulate(arrival - (spent - service))
    out: np.ndarray[Any, Any] = spent + idle - arrival
    return out


@dataclass(frozen=True)
class OpenLoop:
    """Messages sent at `rate` a second, one call of the engine each.

    service   : from when the engine got the message until it was done
    response  : from when the message was due
    predicted : response as `response_ns` computes it from the service times alone
    late      : messages that were due before the engine was free
    """

    rate: float
    service: Distribution
    response: Distribution
    predicted: Distribution
    late: int

    def to_dict(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).to_dict() for name in ("service", "response", "predicted")}
        return {"rate_per_s": self.rate, "late": self.late, **parts}

    def lines(self) -> list[str]:
        """What it says, a sentence each."""
        name = next((name for name in ("p99", "p95", "p90") if self.service.quantiles[name] is not None), "p50")
        service, response = self.service.quantiles[name], self.response.quantiles[name]
        return [
            f"open loop at {self.rate:,.0f} messages/s: {name} {service:,.0f} ns of service, {response:,.0f} ns from when due; "
            f"{self.late:,} of {self.service.n:,} messages were due before the engine was free"
        ]


def paced(engine: Engine, feed: Feed, rate: float, messages: int = 100_000) -> OpenLoop:
    """Send the first messages of a feed at a fixed rate, a call each, whatever the engine does.

    rate   : messages per second, above 0; the whole must not take more than 600 s
    raises : ConfigError
    """
    if not rate > 0 or messages / rate > LONGEST_S:
        raise ConfigError(f"rate is {rate} messages/s; allowed is above 0, and {messages:,} messages within {LONGEST_S} s")
    calls, session = list(calls_of(feed.head(messages))), engine.open(engine.settings(feed, record="none"))
    push = session.push if feed.wire == "itch" else session.push_events
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


def calls_of(feed: Feed) -> Iterator[Any]:
    """What each message of a short feed is pushed as, alone: framed bytes, or an array of one event record."""
    if feed.wire == "events":
        for events in feed.event_blocks():
            yield from (events[i : i + 1] for i in range(len(events)))
        return
    data = b"".join(bytes(block) for block in feed.blocks())
    yield from (data[at - 2 : at + size] for at, size in Frames(data))
