"""Does a series of samples climb? The Theil-Sen slope: the median of the slopes of all pairs, which a stall or two cannot move.

Interval: Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968), 1379-1389, without ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FEWEST = 8  # samples; the interval of fewer says nothing
_Z = 3.290527  # both ends of 99.9 %: three series are judged in every soak, and an alarm by chance is one too many


@dataclass(frozen=True)
class Trend:
    """A slope per unit of x, and the interval in which it lies with 99.9 % confidence.

    level : median of the series; span: from the first x to the last
    """

    slope: float
    low: float
    high: float
    level: float
    span: float

    @classmethod
    def of(cls, x: Any, y: Any) -> Trend | None:
        """Of samples (n,), x not descending; None for fewer than 8 or for x all the same."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        n = len(x)
        first, second = np.triu_indices(n, 1)
        apart = x[second] - x[first]
        slopes = np.sort((y[second] - y[first])[apart > 0] / apart[apart > 0])
        if n < FEWEST or not len(slopes):
            return None
        half = _Z * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
        low, high = int((len(slopes) - half) / 2), int((len(slopes) + half) / 2)
        last = len(slopes) - 1
        return cls(
            float(np.median(slopes)),
            float(slopes[max(low, 0)]),
            float(slopes[min(high, last)]),
            float(np.median(y)),
            float(x[-1] - x[0]),
        )

    @property
    def change(self) -> float:
        """What the slope makes over the whole span, in the unit of y."""
        return self.slope * self.span

    def climbs(self, tolerance: float) -> bool:
        """Whether it climbs for certain, and by more than so much over the span."""
        return self.low > 0 and self.change > tolerance

    def to_dict(self) -> dict[str, float]:
        return {"slope_per_s": self.slope, "low": self.low, "high": self.high, "level": self.level, "change": self.change}
