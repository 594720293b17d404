"""Timing of the code of a cell: every execution stamped, the first apart; parts in paired rounds, with an A/A control.

The code runs in the namespace of the notebook, as the cell itself would: its names are globals, which are slower than locals.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from types import CodeType
from typing import Any

import numpy as np

from hftlab.errors import ConfigError, check_range
from hftlab.measurement.distribution import PERCENTILES, Distribution
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Paired, check_rounds, gc_paused, interleave
from hftlab.measurement.storage import StoredResult
from hftlab.presentation.document import Table, rows_table

_AGAIN = "A/A"
_CONTROL = "control: the first against itself"
AIM_S = 1.0  # of executions, where no number is given
MAX_EXECUTIONS = 1_000_000
EMPTY_EXECUTIONS = 10_000
ROUND_S = 0.01  # of executions in a round of a comparison


@dataclass(frozen=True, repr=False)
class CellLatency(StoredResult):
    """Executions of one cell, a reading of the clock before and after each. `first`: the first tenth, at most 100."""

    schema = "hftlab-cell/2"

    warm: Distribution
    first: Distribution
    machine: dict[str, Any]

    def records(self) -> list[dict[str, Any]]:
        """One per phase: n, min, max, mean, p50 to p99.99 in ns (None where n is too small)."""
        return [{"phase": phase, "n": part.n, **part.values()} for phase, part in (("warm", self.warm), ("first", self.first))]

    def headline(self) -> str:
        return str(self.warm)

    def tables(self) -> list[Table]:
        columns = {name: (name, 1.0) for name in ("phase", "min", "max", "mean", *PERCENTILES, "n")}
        return [rows_table("ns per execution", self.records(), columns)]

    def notes(self) -> list[str]:
        cost = self.warm.clock_ns
        out = [f"an empty cell between two readings of the clock takes {cost:.0f} ns (median, subtracted)"]
        if self.warm.raw.quantile(0.5) < 10 * cost:
            out.append("shorter than ten empty cells: put a loop into it, and divide")
        return [*out, describe(self.machine)]


def measure_cell(code: CodeType, names: dict[str, Any], executions: int | None = None) -> CellLatency:
    """Execute a cell again and again and stamp each execution.

    executions : 10 to 1,000,000; default: as many as take about a second
    raises     : ConfigError; and whatever the cell raises
    """
    start = perf_counter_ns()
    exec(code, names)
    once = max(perf_counter_ns() - start, 1)
    n = min(max(int(AIM_S * 1e9 / once), 10), MAX_EXECUTIONS) if executions is None else executions
    check_range("executions", n, 10, MAX_EXECUTIONS)
    stamps = array("q", bytes(8 * n))
    with gc_paused():
        for i in range(n):
            t0 = perf_counter_ns()
            exec(code, names)
            stamps[i] = perf_counter_ns() - t0
    ns = np.frombuffer(stamps, np.int64)
    cost, first = _empty_ns(), min(100, n // 10)
    return CellLatency(Distribution.of("total", ns[first:], cost), Distribution.of("total", ns[:first], cost), fingerprint())


def _empty_ns() -> float:
    """Median time of an empty cell, stamped like any other."""
    code, names, samples = compile("pass", "<empty>", "exec"), {}, []  # type: CodeType, dict[str, Any], list[int]
    for _ in range(EMPTY_EXECUTIONS):
        t0 = perf_counter_ns()
        exec(code, names)
        samples.append(perf_counter_ns() - t0)
    return median(samples)


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
