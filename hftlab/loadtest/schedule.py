"""When messages are due: fixed before anything is sent, so that no stall of the receiver can change it.

Times are whole nanoseconds from the beginning of a run, (n,) int64, not descending.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hftlab.errors import ConfigError, check_choice, check_range

Times = np.ndarray[Any, np.dtype[np.int64]]

#: "poisson": many senders that know nothing of each other, gaps exponential with the mean 1/rate; "even": every gap the same.
ARRIVALS = ("poisson", "even")


def due_at(n: int, rate: float, arrivals: str = "poisson", seed: int = 1) -> Times:
    """n messages at a mean rate, messages/s; the first is due at 0, and the last at (n - 1) / rate whatever the gaps.

    raises : ConfigError for a rate that is not above 0, UnknownName for arrivals
    """
    check_range("messages", n, 0)
    check_above_0("rate", rate)
    check_choice("arrivals", arrivals, ARRIVALS)
    if arrivals == "even" or n < 2:
        return (np.arange(n) * (1e9 / rate)).astype(np.int64)
    at = np.concatenate([[0.0], np.cumsum(np.random.default_rng(seed).exponential(size=n - 1))])
    # The length is that of even gaps: the offered rate is exact, and chance decides only how it is distributed.
    scaled: Times = (at * ((n - 1) * 1e9 / rate / at[-1])).astype(np.int64)
    return scaled


def phases_at(*phases: tuple[int, float]) -> Times:
    """Phases of an even rate, one after the other: (messages, messages/s) each."""
    gaps = np.repeat([1e9 / rate for _, rate in phases], [max(count, 0) for count, _ in phases])
    times: Times = (np.cumsum(gaps) - gaps[:1]).astype(np.int64)
    return times


def burst_at(base: float, factor: float, length_ns: float, lead: int, tail: int) -> tuple[Times, slice]:
    """One burst over an even base: `lead` messages at `base` a second, then for `length_ns` the rate is `factor` times that, then
    `tail` messages at `base` again. Returns when each is due, and which are the burst.

    raises : ConfigError for a burst of fewer than two messages, or a rate or factor that is not above 0
    """
    check_above_0("base", base)
    check_above_0("factor", factor)
    count = int(base * factor * length_ns / 1e9)
    if count < 2:
        raise ConfigError(f"messages of a burst must be at least 2, got {count} in {length_ns / 1e6:g} ms")
    return phases_at((lead, base), (count, base * factor), (tail, base)), slice(lead, lead + count)


def queue_length(at: Times, due: Times, done: Times) -> Times:
    """Messages that are due and not done at each of some times, the one in work among them. `done` must not descend."""
    return np.searchsorted(due, at, "right") - np.searchsorted(done, at, "right")


def drained_at(due: Times, done: Times, after: int) -> int:
    """When the queue that message `after` stands in is drained: the first moment from its end on when nothing is due."""
    last = after
    while True:
        arrived = int(np.searchsorted(due, done[last], "right")) - 1  # the last that was due by then
        if arrived <= last:
            return int(done[last])
        last = arrived


def check_above_0(name: str, value: float, high: float | None = None) -> None:
    """Raises ConfigError unless `value` is a number above 0, and not above `high`."""
    check_range(name, value, 0, high)
    if not value:
        raise ConfigError(f"{name} must be above 0, got {value!r}")


def check_at_least(low: int, **values: int) -> None:
    """Raises ConfigError unless every value is a number of at least `low`."""
    for name, value in values.items():
        check_range(name, value, low)
