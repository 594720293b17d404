"""Level shifts in a series: where it changed to another level for good, as a history of benchmarks is read.

The series is cut into pieces so that the sum of absolute distances from the medians of the pieces, plus a price per cut, is
least: optimal partitioning, exact (Jackson et al. 2005, IEEE Signal Processing Letters 12, 105; asv searches histories in
this way, too). Absolute distances, so that an outlier weighs no more than its distance; the price comes from the series' own
noise; a piece has at least five values, so that two outliers side by side make none.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

SHORTEST = 5  # values of a piece
LONGEST = 500  # values looked at, the newest ones: the search takes n^2 log n
PRICE = 3.0  # of a cut, times noise times log n; chosen by simulation, see `levels`
FLOOR = 0.002  # noise below 0.2 % is the clock's, not the machine's


@dataclass(frozen=True)
class Level:
    """One piece: values `start` to `end` (exclusive) of the series, around `value`."""

    start: int
    end: int
    value: float


def levels(values: Sequence[float]) -> list[Level]:
    """The pieces of a series of positive values, oldest first; at least one for a series that is not empty.

    Searched in logarithms, since noise and shifts of a duration are ratios. Only the newest 500 values are looked at.

    Simulated series of 8 to 150 runs with 3 % noise, normal, of Laplace, of t with 3 degrees, or one-sided: no shift was found
    where there was none in 60 to 200 series each (one in ten if noise remembers itself at 0.6 from run to run). A shift of 20 %
    was found within its first five runs in 99 of 100 series, one of 10 % in more than half, and within ten runs in more than 90.
    """
    offset = max(len(values) - LONGEST, 0)
    logs = [math.log(value) for value in values[offset:]]
    if not logs:
        return []
    ends = _cut(logs, PRICE * noise(logs) * math.log(max(len(logs), 2)))
    starts = [0, *ends[:-1]]
    return [
        Level(offset + start, offset + end, median(values[offset + start : offset + end]))
        for start, end in zip(starts, ends, strict=True)
    ]


def noise(values: Sequence[float]) -> float:
    """How far values lie from one another without a shift between them: the greatest of the median absolute differences over one
    to three places. A shift touches few of the differences; noise that remembers shows in the wider ones."""
    found = [FLOOR]
    for gap in (1, 2, 3):
        apart = [abs(after - before) for before, after in zip(values, values[gap:], strict=False)]
        if len(apart) >= SHORTEST:
            found.append(median(apart))
    return max(found)


def _cut(values: list[float], price: float) -> list[int]:
    """Where the pieces of the cheapest partition end. best[i] is the cost of values[:i]; each start prices all of its ends."""
    n = len(values)
    best, cut = [0.0] + [math.inf] * n, [0] * (n + 1)
    for start in range(n):
        if best[start] == math.inf:
            continue
        for end, cost in _costs(values, start):
            total = best[start] + cost + (price if start else 0.0)
            if end - start >= min(SHORTEST, n) and total < best[end]:
                best[end], cut[end] = total, start
    ends = [n]
    while cut[ends[-1]]:
        ends.append(cut[ends[-1]])
    return ends[::-1]


def _costs(values: list[float], start: int) -> Iterator[tuple[int, float]]:
    """(end, sum of absolute distances from the median) of every piece from `start`. The piece is kept sorted; `low` is the sum of
    its lower half."""
    piece: list[float] = []
    low = total = 0.0
    for end in range(start + 1, len(values) + 1):
        value, half = values[end - 1], len(piece) // 2
        at = bisect(piece, value)
        piece.insert(at, value)
        total += value
        if at < half:
            low += value - piece[half]
        if len(piece) // 2 > half:
            low += piece[half]
        middle = piece[len(piece) // 2] if len(piece) % 2 else 0.0
        yield end, total - middle - 2 * low
