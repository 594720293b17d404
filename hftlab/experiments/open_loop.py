"""Messages sent alone, one call of the engine each: when a schedule says, or after the caches were filled with something else.

open loop    A closed loop, which sends the next message when the last is done, hides its own stalls: the messages that would have
             come meanwhile are never sent (coordinated omission). Here the schedule is fixed first, and latency counts from then.
             With arrival a_i = i * interval and service s_i

                 done_i = max(a_i, done_(i-1)) + s_i        response_i = done_i - a_i        (Lindley 1952)

             which is what a single server that takes messages in order does to a queue.
alone, cold  A replay keeps code and book in the caches, and what it has read of the next message, too; a live engine waits. So
             each message comes by itself, after a buffer was read through: one as large as the second cache, which leaves what
             other work of the process would leave (alone), or one larger than the last cache (cold).
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.errors import ConfigError
from hftlab.experiments.recorder import check_rate, opened, send
from hftlab.feeds.feed import Feed
from hftlab.measurement.clock import READINGS, ClockReport, python_sources, step_of
from hftlab.measurement.distribution import STATISTICS, Distribution
from hftlab.measurement.paired import gc_paused
from hftlab.measurement.system import caches
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import StoredResult

#: Messages at most, alone and cold, and messages of the feed that are run at all.
ALONE_MESSAGES, COLD_MESSAGES, COLD_FEED = 4_000, 1_000, 20_000
_UNKNOWN_L2, _UNKNOWN_CACHE, _LARGEST_BUFFER = 1 << 20, 32 << 20, 64 << 20


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
    """Send the first messages of a feed, after its warm-up, at a fixed rate, a call each, whatever the engine does.

    rate   : messages per second, above 0; the whole must not take more than 600 s
    raises : ConfigError
    """
    check_rate(rate, messages)
    push, calls = opened(engine, feed.head(messages))[1:]
    interval = 1e9 / rate
    with gc_paused():
        due, start, end = send(push, calls, perf_counter_ns() + 1_000_000, interval).T
    step_ns = step_of(np.diff(python_sources()[0].stamps(READINGS)))
    times = (end - start, end - due, response_ns(end - start, interval))
    service, response, predicted = (Distribution.of("total", ns, step_ns=step_ns) for ns in times)
    return OpenLoop(rate, service, response, predicted, int(np.count_nonzero(end[:-1] > due[1:])))


@dataclass(frozen=True)
class Arrival:
    """How messages come, and end to end of them. recipe : what was done, to be done again"""

    name: str
    recipe: str
    total: Distribution


def arrivals(engine: Engine, feed: Feed, clock: ClockReport, *, seconds: float = 2.0) -> tuple[Arrival, ...]:
    """End to end, by the engine's own stamps, of messages that come one at a time, "alone" and "cold"; none without stamps.

    seconds : after which an arrival has enough messages, however few
    """
    sizes = caches()
    small, large = sizes.get("L2", _UNKNOWN_L2), min(max(sizes.values(), default=_UNKNOWN_CACHE) * 2, _LARGEST_BUFFER)
    plans = {
        "alone": (small, ALONE_MESSAGES, "as large as the second cache"),
        "cold": (large, COLD_MESSAGES, "larger than the last cache"),
    }
    out = []
    for name, (size, messages, what) in plans.items():
        ns, gap_us = _one_by_one(engine, feed, size, messages, seconds)
        if ns is not None:
            recipe = f"a call for each message, every {gap_us:,.0f} µs, in which a buffer of {size >> 10:,} KiB is read, {what}"
            out.append(Arrival(name, recipe, Distribution.of("total", ns, clock.cost_p50_ns, clock.step_ns)))
    return tuple(out)


def _one_by_one(
    engine: Engine, feed: Feed, size: int, messages: int, seconds: float
) -> tuple[np.ndarray[Any, Any] | None, float]:
    """Raw stamps of messages before each of which a buffer is read through, and the median of the gaps between them in µs.

    A feed without a warm-up has its first half pushed before; messages: at most half of its first 20,000
    """
    session, push, calls = opened(engine, feed.head(COLD_FEED), latency="total")
    first = 0 if feed.warm_up else len(calls) - min(messages, len(calls) // 2)
    for data in calls[:first]:
        push(data)
    buffer, begun = np.ones(size // 8), []
    end = perf_counter_ns() + int(seconds * 1e9)
    with gc_paused():
        for data in calls[first : first + messages]:
            buffer.sum()
            push(data)
            begun.append(perf_counter_ns())
            if begun[-1] > end:
                break
    latency = session.finish()["latency"]
    gaps = np.diff(begun) if len(begun) > 1 else [0]
    return None if latency is None or not begun else latency["total"][-len(begun) :], float(np.median(gaps)) / 1e3
