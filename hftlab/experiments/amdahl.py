"""Amdahl's law: what a part of the whole can give, however fast it becomes, and how large a part is when nobody looks.

A whole takes 1, a part of it p. Done k times as fast, the part takes p / k and the rest what it took:

    speed-up = 1 / ((1 - p) + p / k)        at most 1 / (1 - p), for k without end        (Amdahl 1967)

Turned round it measures p without a profiler: a part that is done n times makes the whole 1 + (n - 1) * p as long.
"""

from __future__ import annotations

import math

from hftlab.errors import ConfigError, check_range


def speed_up(share: float, times: float = math.inf) -> float:
    """How many times as fast the whole becomes when a part becomes `times` times as fast.

    share  : of the part in the whole, 0 to 1
    times  : above 0; below 1 the part becomes slower; infinity, what it can give at most
    raises : ConfigError
    """
    check_range("share", share, 0, 1)
    if not times > 0:
        raise ConfigError(f"times must be above 0, got {times}")
    left = (1 - share) + share / times
    return 1 / left if left else math.inf


def share_of(ratio: float, times: float = 2.0) -> float:
    """The share of a part, from how many times as long the whole takes (`ratio`) when the part is done `times` times.

    raises : ConfigError for times that is 1 or below 0
    """
    if times < 0 or times == 1:
        raise ConfigError(f"times must be 0 (the part left out), or above 0 and not 1, got {times}")
    return (ratio - 1) / (times - 1)
