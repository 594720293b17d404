"""Code of a cell, measured as the engines are: every execution stamped, the first apart; pairs interleaved beside an A/A control.

The code runs in the names of the notebook, as the cell itself would: they are globals, which are a little slower than locals.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.errors import ConfigError
from hftlab.measurement.distribution import PERCENTILES, Distribution
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Paired, check_rounds, gc_paused, interleave
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA, COMPARISON = "hftlab-cell/1", "hftlab-cell-comparison/1"
_AGAIN = "A/A"
AIM_S = 1.0  # of executions, where no number is given
MOST = 1_000_000
EMPTY = 10_000
ROUND_S = 0.01  # of executions in a round of a comparison


@dataclass(frozen=True)
class CellLatency(Result):
    """Executions of one cell, a reading of the clock before and after each. `first` are the first tenth, at most 100."""

    warm: Distribution
    first: Distribution
    machine: dict[str, Any]

    def frame(self) -> pl.DataFrame:
        """One row per phase: n, min, max, mean, median to p99.99 in ns (null where n is too small)."""
        import polars as pl

        rows = [{"phase": phase, "n": one.n, **one.values()} for phase, one in (("warm", self.warm), ("first", self.first))]
        return pl.DataFrame(rows, schema_overrides=dict.fromkeys(PERCENTILES, pl.Float64))

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        cost = self.warm.clock_ns
        out = [f"ns per execution; an empty cell between two readings of the clock takes {cost:.0f} ns (median, subtracted)"]
        if self.warm.raw.quantile(0.5) < 10 * cost:
            out.append("shorter than ten empty cells: put a loop into it, and divide")
        return [*out, describe(self.machine)]

    def to_dict(self) -> dict[str, Any]:
        phases = {"warm_ns": self.warm.to_dict(), "first_ns": self.first.to_dict()}
        return {"schema": SCHEMA, "machine": self.machine, **phases, "histogram": self.warm.raw.to_dict()}

    def __repr__(self) -> str:
        return f"<CellLatency: {self.warm}>"


def measure_cell(code: CodeType, names: dict[str, Any], executions: int | None = None) -> CellLatency:
    """Execute a cell again and again and stamp each execution.

    executions : default: as many as take about a second, 10 to 1,000,000
    raises     : ConfigError; and whatever the cell raises
    """
    start = perf_counter_ns()
    exec(code, names)
    once = max(perf_counter_ns() - start, 1)
    n = min(max(int(AIM_S * 1e9 / once), 10), MOST) if executions is None else executions
    if not 10 <= n <= MOST:
        raise ConfigError(f"executions is {n}; allowed is 10 to {MOST:,}")
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
    """What an empty cell takes, stamped like any other."""
    code, names, seen = compile("pass", "<empty>", "exec"), {}, []  # type: CodeType, dict[str, Any], list[int]
    for _ in range(EMPTY):
        t0 = perf_counter_ns()
        exec(code, names)
        seen.append(perf_counter_ns() - t0)
    return median(seen)


@dataclass(frozen=True)
class CellComparison(Result):
    """The parts of one cell, in paired rounds: `parts` are (text, what it is against `base`, the first one)."""

    base: str
    parts: tuple[tuple[str, Paired], ...]
    rounds: int
    machine: dict[str, Any]

    @property
    def verdict(self) -> str:
        """Of the second part against the first: "faster 2.31x [2.24, 2.38]", "no difference seen"."""
        return self.parts[0][1].verdict

    def frame(self) -> pl.DataFrame:
        """One row per part: part, ns per execution, ratio (first / part; above 1: faster), low, high, verdict."""
        import polars as pl

        first = self.parts[0][1]
        control = first.control
        rows: list[tuple[str, float, float, float, float, str]]
        rows = [(self.base, first.base_ns, control.median, control.low, control.high, "control: the first against itself")]
        for part, found in self.parts:
            rows.append((part, found.ns, found.ratio.median, found.ratio.low, found.ratio.high, found.verdict))
        return pl.DataFrame(rows, schema=["part", "ns", "ratio", "low", "high", "verdict"], orient="row")

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        return [f"ns per execution, {self.rounds} paired rounds in random order", describe(self.machine)]

    def to_dict(self) -> dict[str, Any]:
        head = {"schema": COMPARISON, "rounds": self.rounds, "machine": self.machine}
        return {**head, "parts": self.frame().to_dicts()}

    def __repr__(self) -> str:
        return f"<CellComparison: {'; '.join(f'{part}: {found.verdict}' for part, found in self.parts)}>"


def compare_cell(parts: Mapping[str, CodeType], names: dict[str, Any], rounds: int) -> CellComparison:
    """Run the parts of a cell in paired rounds, the first one twice in each.

    raises : ConfigError for fewer than two parts; and whatever a part raises
    """
    check_rounds(rounds)
    if len(parts) < 2:
        raise ConfigError(f"{len(parts)} part to compare; allowed is 2 or more, each under a line '# vs'")
    first, *others = parts
    work = {name: _timed(code, names) for name, code in {**parts, _AGAIN: parts[first]}.items()}
    series = interleave(work, rounds, what="comparing")
    found = tuple((name, Paired.of(series[first], series[name], series[_AGAIN])) for name in others)
    return CellComparison(first, found, rounds, fingerprint())


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
