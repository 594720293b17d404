"""Amdahl's law: what a part of the whole can give, however fast it becomes, and how large a part is when nobody looks.

A whole takes 1, a part of it p. Done k times as fast, the part takes p / k and the rest what it took:

    speed-up = 1 / ((1 - p) + p / k)        at most 1 / (1 - p), for k without end        (Amdahl 1967)

Turned round it measures p without a profiler: a part that is done n times makes the whole 1 + (n - 1) * p as long.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hftlab.charts.base import WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.scales import by_series, ticks_between
from hftlab.errors import ConfigError, check_range

if TYPE_CHECKING:
    import polars as pl

#: Speed-up of a part at the right edge of the chart, and points of its curve.
MAX_SPEED_UP, _POINTS = 100.0, 41


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


def amdahl_chart(
    parts: pl.DataFrame, title: str = "Amdahl's law: speed-up of the whole", subtitle: str = "", what: str = "the part"
) -> Chart:
    """Speed-up of the whole against that of one part, a line per part; dots where something was measured.

    parts : columns part, share (0 to 1, of the whole); optional times and speed_up, a measured dot: the part times as fast makes
            the whole speed_up times as fast
    what  : names the part on the horizontal axis
    """
    rows = rows_of(parts, text=["part"], real=["share"], what="amdahl_chart")
    rows = [row for row in rows if 0 <= row["share"] <= 1]
    if not rows:
        return empty_chart("no part has a share", title)
    share = {row["part"]: row["share"] for row in rows}
    across = [MAX_SPEED_UP ** (place / (_POINTS - 1)) for place in range(_POINTS)]
    points = [
        {"part": name, "times": round(times, 4), "speed_up": round(speed_up(share[name], times), 5)}
        for name in share
        for times in across
    ]
    dots = [row for row in rows if row.get("times") and row.get("speed_up")]
    high = 1.08 * max(row["speed_up"] for row in [*points, *dots])
    series = by_series(list(share), "part")
    x = alt.X("times:Q").scale(type="log", domain=[1, MAX_SPEED_UP], nice=False)
    x = x.axis(title=f"speed-up of {what} (log scale)", values=[1, 2, 5, 10, 20, 50, 100], format="~r")
    y = alt.Y("speed_up:Q").scale(type="log", domain=[0.98, high], nice=False)
    y = y.axis(title="speed-up of the whole (log scale)", values=ticks_between(1, high), format="~r")
    tooltip = ["part:N", alt.Tooltip("times:Q", format=".3~r"), alt.Tooltip("speed_up:Q", format=".3~r")]
    layers = [data(points).mark_line(strokeWidth=2).encode(x=x, y=y, **series)]
    if dots:
        marks = data(dots).mark_point(filled=True, size=90, opacity=1)
        layers.append(marks.encode(x=x, y=y, color=series["color"], tooltip=tooltip))
    return alt.layer(*layers).properties(width=WIDTH - 90, height=300, title=head(title, subtitle))
