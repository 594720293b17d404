"""What the reports of all load tests are: rows of plain values, from which frame, table and JSON are made, and what is wrong."""

from __future__ import annotations

from typing import Any

from hftlab.measurement.machine import describe
from hftlab.presentation.result import StoredResult

#: Percentiles shown of a sample; null in a frame where it is too small for one.
SHOWN = ("p50", "p99", "p99.9", "max")


class LoadReport(StoredResult):
    """Base of the reports: they have `machine` and `plot`, and `failures` where something can be wrong."""

    machine: dict[str, Any]
    results: tuple[Any, ...]

    def records(self) -> list[dict[str, Any]]:
        """By default one row per result."""
        return [result.row() for result in self.results]

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each; never that something is slow."""
        return []

    def plot(self) -> Any:
        """An Altair chart."""
        raise NotImplementedError

    def derived(self) -> dict[str, Any]:
        return {"failures": self.failures, "summary": self.records()}

    def notes(self) -> list[str]:
        return [*self.failures, describe(self.machine)]

    def headline(self) -> str:
        return f"{type(self).__name__}: {len(self.records())} rows, {len(self.failures)} failures"
