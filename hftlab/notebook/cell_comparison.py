"""%%compare: the parts of a cell in paired rounds, with an A/A control.

The code runs in the namespace of the notebook, as the cell itself would: its names are globals, which are slower than locals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from types import CodeType
from typing import Any

from hftlab.errors import ConfigError
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Paired, check_rounds, interleave
from hftlab.measurement.storage import StoredResult
from hftlab.presentation.document import Table, rows_table

_AGAIN = "A/A"
_CONTROL = "control: the first against itself"
ROUND_S = 0.01  # of executions in a round


@dataclass(frozen=True, repr=False)
class CellComparison(StoredResult):
    """The parts of one cell, in paired rounds. base: text of the first part; parts: text and comparison of each other one."""

    schema = "hftlab-cell-comparison/2"

    base: str
    parts: tuple[tuple[str, Paired], ...]
    rounds: int
    machine: dict[str, Any]

    @property
    def verdict(self) -> str:
        """Of the second part against the first: "faster 2.31x [2.24, 2.38]", "no difference seen"."""
        return self.parts[0][1].verdict

    def records(self) -> list[dict[str, Any]]:
        """One per part: part, ns per execution, ratio (first / part; above 1: faster), low, high, verdict."""
        first = self.parts[0][1]
        control = {"part": self.base, "ns": first.base_ns, **first.control.columns("ratio"), "verdict": _CONTROL}
        return [control, *({"part": part, "ns": paired.ns, **paired.record()} for part, paired in self.parts)]

    def headline(self) -> str:
        return "; ".join(f"{part}: {paired.verdict}" for part, paired in self.parts)

    def tables(self) -> list[Table]:
        columns = {name: (name, 1.0) for name in ("part", "verdict", "ns", "ratio", "low", "high")}
        return [rows_table("ns per execution", self.records(), columns, words=2)]

    def notes(self) -> list[str]:
        return [f"{self.rounds} paired rounds in random order", describe(self.machine)]


def compare_cell(parts: Mapping[str, CodeType], names: dict[str, Any], rounds: int) -> CellComparison:
    """Run the parts of a cell in paired rounds, the first one twice in each.

    raises : ConfigError for fewer than two parts; and whatever a part raises
    """
    check_rounds(rounds)
    if len(parts) < 2:
        raise ConfigError(f"a comparison needs at least 2 parts, divided by a line '# vs', got {len(parts)}")
    first, *others = parts
    work = {name: _timed(code, names) for name, code in {**parts, _AGAIN: parts[first]}.items()}
    series = interleave(work, rounds, what="comparing")
    compared = tuple((name, Paired.of(series[first], series[name], series[_AGAIN])) for name in others)
    return CellComparison(first, compared, rounds, fingerprint())


def _timed(code: CodeType, names: dict[str, Any]) -> Callable[[], float]:
    start = perf_counter_ns()
    exec(code, names)
    turns = range(max(1, int(ROUND_S * 1e9 / max(perf_counter_ns() - start, 1))))

    def run() -> float:
        begin = perf_counter_ns()
        for _ in turns:
            exec(code, names)
        return (perf_counter_ns() - begin) / len(turns)

    return run
