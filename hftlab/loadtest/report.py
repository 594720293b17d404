"""What the reports of all load tests are: rows of plain values, from which frame, table and JSON are made, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.measurement.machine import describe
from hftlab.measurement.storage import StoredResult

if TYPE_CHECKING:
    import polars as pl

#: Percentiles shown of a sample; null in a frame where it is too small for one.
SHOWN = ("p50", "p99", "p99.9", "max")


class LoadReport(StoredResult):
    """Base of the reports, which have a field `machine` and give `rows`, `plot`, and `failures` where there are any."""

    machine: dict[str, Any]
    results: tuple[Any, ...]

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `frame`: by default one per result."""
        return [result.row() for result in self.results]

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each; never that something is slow."""
        return []

    def frame(self) -> pl.DataFrame:
        """One row per measurement; the columns stand with the class."""
        import polars as pl

        rows = self.rows()
        names = rows[0] if rows else ()
        frame = pl.DataFrame(rows, infer_schema_length=None)
        return frame.with_columns(pl.col(name).cast(pl.Float64) for name in SHOWN if name in names)

    def plot(self) -> Any:
        """An Altair chart."""
        raise NotImplementedError

    def derived(self) -> dict[str, Any]:
        return {"failures": self.failures, "summary": self.rows()}

    def notes(self) -> list[str]:
        return [*self.failures, describe(self.machine)]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.rows())} rows, {len(self.failures)} failures>"
