"""Times that are counted as they come: kept in a list until there are enough of them for a histogram to count at once."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hftlab.engine.timing import Histogram
from hftlab.measurement.distribution import Distribution, Summary

_BATCH = 1024


class Times:
    """Nanoseconds by name.

    add(*ns)    : one of each name, in their order
    times[name] : the distribution of one of them
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._pending: list[tuple[int, ...]] = []

    def add(self, *ns: int) -> None:
        self._pending.append(ns)
        if len(self._pending) >= _BATCH:
            self._count()

    def __getitem__(self, name: str) -> Distribution:
        self._count()
        return Distribution(name, self._histograms[name])

    def summary(self) -> dict[str, Summary]:
        """n, min, max, mean and percentiles by name, ns; percentiles None where there are too few."""
        return {name: self[name].summary() for name in self._names}

    @cached_property
    def _histograms(self) -> dict[str, Histogram]:
        return {name: Histogram() for name in self._names}

    def _count(self) -> None:
        if self._pending:
            for histogram, ns in zip(self._histograms.values(), np.array(self._pending, np.int64).T, strict=True):
                histogram.record(ns)
            self._pending.clear()
