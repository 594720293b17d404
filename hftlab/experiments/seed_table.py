"""The rows of the seed's table: as published, by its method here, and as it is. Figures are microseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hftlab.experiments.seed_stamps import US, Series
from hftlab.measurement.distribution import TITLES, Distribution

AS_PUBLISHED = "published"
METHOD = "its method, here"
LOOPS = "loops, ns clock"
FLOORED = "loops, floored to us"
TRUTH = "truth"
FIGURES = ("min", "max", "mean", "median", "p95", "p99")
ADDED = ("median", "p95", "p99")  # what the method adds up to its "end to end"

#: What the seed published, us: FIGURES by stage; of its "end to end" it gave three.
PUBLISHED: dict[str, dict[str, float]] = {
    "tick": dict(zip(FIGURES, (0.0, 18.0, 0.85, 1.0, 1.0, 2.0), strict=True)),
    "book": dict(zip(FIGURES, (2.0, 21.0, 3.02, 3.0, 5.0, 6.0), strict=True)),
    "signal": dict(zip(FIGURES, (1.0, 12.0, 1.45, 1.0, 2.0, 2.0), strict=True)),
    "total": dict(zip(ADDED, (5.0, 8.0, 10.0), strict=True)),
}
PUBLISHED_N = 1_000


@dataclass(frozen=True)
class Line:
    """One row of the table: figures in us by name; None where there is none, or where too few samples lie beyond it."""

    stage: str
    source: str
    n: int
    figures: dict[str, float | None]

    @classmethod
    def as_printed(cls, stage: str, source: str, us: Series) -> Line:
        """Every figure, as the method printed it, on however few samples it rests."""
        p50, p95, p99 = np.percentile(us, [50, 95, 99]).tolist()
        values = (float(us.min()), float(us.max()), float(us.mean()), p50, p95, p99)
        return cls(stage, source, len(us), dict(zip(FIGURES, values, strict=True)))

    @classmethod
    def measured(cls, stage: str, source: str, ns: Series, clock_ns: float) -> Line:
        """The clock's median cost subtracted, percentiles only where enough samples lie beyond."""
        values = Distribution.of(stage, ns, clock_ns).values()
        return cls(stage, source, len(ns), {name: _us(values[name]) for name in FIGURES})

    def row(self) -> dict[str, Any]:
        """One row of `SeedReport.frame`."""
        return {"stage": TITLES[self.stage], "source": self.source, "n": self.n, **{name: self.figures[name] for name in FIGURES}}


def added(lines: list[Line]) -> Line:
    """The method's "end to end": the figures of the stages added up, name by name."""
    figures: dict[str, float | None] = dict.fromkeys(FIGURES)
    for name in ADDED:
        values = [line.figures[name] for line in lines]
        figures[name] = None if None in values else sum(value or 0.0 for value in values)
    return Line("total", lines[0].source, min(line.n for line in lines), figures)


def published() -> list[Line]:
    """The rows as the seed published them."""
    return [
        Line(stage, AS_PUBLISHED, PUBLISHED_N, {name: figures.get(name) for name in FIGURES})
        for stage, figures in PUBLISHED.items()
    ]


def ratio(a: float | None, b: float | None) -> float | None:
    """a / b, None if one is missing or b is 0."""
    return a / b if a is not None and b else None


def _us(ns: float | None) -> float | None:
    return None if ns is None else ns / US
