"""When messages are due: fixed before anything is sent, so that no stall of whoever answers can change it.

Times are whole nanoseconds from the beginning of a run, (n,) int64, not descending.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hftlab.errors import ConfigError, UnknownName

Times = np.ndarray[Any, np.dtype[np.int64]]

#: "poisson": many senders that know nothing of each other, gaps exponential with the mean 1/rate; "even": every gap the same.
ARRIVALS = ("poisson", "even")


def due_at(n: int, rate: float, arrivals: str = "poisson", seed: int = 1) -> Times:
    """n messages at a mean rate, messages/s; the first is due at 0, and the last at (n - 1) / rate whatever the gaps.

    raises : ConfigError for a rate that is not above 0, UnknownName for arrivals
    """
    if not rate > 0 or n < 0:
        raise ConfigError(f"{n} messages at {rate} a second; allowed is 0 or more at a rate above 0")
    if arrivals not in ARRIVALS:
        raise UnknownName("arrivals", arrivals, ARRIVALS)
    if arrivals == "even" or n < 2:
        return (np.arange(n) * (1e9 / rate)).astype(np.int64)
    at = np.concatenate([[0.0], np.cumsum(np.random.default_rng(seed).exponential(size=n - 1))])
    # The length is that of even gaps: offered is what it says, and chance decides only how it is shared out.
    scaled: Times = (at * ((n - 1) * 1e9 / rate / at[-1])).astype(np.int64)
    return scaled


def burst_at(base: float, factor: float, length_ns: float, lead: int, tail: int) -> tuple[Times, slice]:
    """One burst over an even base: `lead` messages at `base` a second, then for `length_ns` the rate is `factor` times that, then
    `tail` messages at `base` again. Returns when each is due, and which are the burst.

    raises : ConfigError for a burst of fewer than two messages, or a rate or factor that is not above 0
    """
    if not (base > 0 and factor > 0):
        raise ConfigError(f"a burst of {factor} times {base} messages/s; allowed are a factor and a rate above 0")
    count = int(base * factor * length_ns / 1e9)
    if count < 2:
        raise ConfigError(
            f"a burst of {length_ns / 1e6:g} ms at {base * factor:,.0f} messages/s has {count} messages; allowed is 2 or more"
        )
    gaps = np.repeat([1e9 / base, 1e9 / base / factor, 1e9 / base], [lead, count, tail])
    return (np.cumsum(gaps) - gaps[0]).astype(np.int64), slice(lead, lead + count)


def waiting(at: Times, due: Times, done: Times) -> Times:
    """Messages that are due and not done at each of some times, the one in work among them. `done` must not descend."""
    return np.searchsorted(due, at, "right") - np.searchsorted(done, at, "right")


def idle_again(due: Times, done: Times, after: int) -> int:
    """When the queue that message `after` stands in is worked off: the first moment from its end on when nothing is due."""
    last = after
    while True:
        came = int(np.searchsorted(due, done[last], "right")) - 1  # the last that was due by then
        if came <= last:
            return int(done[last])
        last = came
