"""The magics. Each returns an object and raises a real exception, so that a failing notebook stops.

%%compare runs the parts of a cell in paired rounds, with an A/A control, in the namespace of the notebook, as the cell itself
would: its names are globals, which are slower than locals.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from types import CodeType
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from hftlab.engine.engine import synthetic
from hftlab.engine.session import BackendInfo, backends, resolve
from hftlab.errors import ConfigError
from hftlab.experiments.compare import Comparison, compare
from hftlab.experiments.latency import LatencyReport, latency
from hftlab.feeds.feed import Feed
from hftlab.feeds.reader import load
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Paired, check_rounds, interleave
from hftlab.presentation.document import Table, rows_table
from hftlab.presentation.result import StoredResult

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


DIVIDER = "# vs"


def _parse(magic: Any, line: str) -> Any:
    """The arguments; a wrong one raises, instead of a printed line after which the notebook continues."""
    try:
        return parse_argstring(magic, line)
    except UsageError as error:
        raise ConfigError(str(error)) from None


@magics_class
class HftlabMagics(Magics):
    """%latency, %compare, %%compare, %backend."""

    shell: Any

    @magic_arguments()
    @argument("engine", nargs="*", help="name of an engine and its variant: rust book=btree; or a variable (default: auto)")
    @argument("-f", "--feed", default="", help="a variable that holds a feed, a file, or a regime (default: calm)")
    @argument("-m", "--messages", type=int, default=100_000, help="messages of a generated feed (default 100,000)")
    @argument("-r", "--rounds", type=int, default=5, help="rounds (default 5)")
    @argument("--rate", type=float, default=None, help="messages per second of an open loop, measured too")
    @line_magic
    def latency(self, line: str) -> LatencyReport:
        """Measure an engine, and return the result.

        %latency rust book=btree --messages 50000
        """
        options = _parse(self.latency, line)
        feed = self._feed(options.feed, options.messages)
        return latency(self._engine(options.engine), feed, rounds=options.rounds, messages=options.messages, rate=options.rate)

    @magic_arguments()
    @argument("engines", nargs="*", help="two engines or variables; a variant stands in quotes: python 'rust book=btree'")
    @argument("-f", "--feed", default="", help="a variable that holds a feed, a file, or a regime (default: calm)")
    @argument("-m", "--messages", type=int, default=100_000, help="messages of a generated feed (default 100,000)")
    @argument("-r", "--rounds", type=int, default=21, help="paired rounds (default 21)")
    @line_cell_magic
    def compare(self, line: str, cell: str | None = None) -> Comparison | CellComparison:
        """Compare two engines (%compare), or the parts of a cell under lines '# vs' (%%compare); return the comparison.

        %compare python 'rust naive' -m 20000
        %%compare
        sum(values)
        # vs
        np.sum(array)
        """
        options = _parse(self.compare, line)
        if cell is not None:
            return self._compare_cell(cell, options.rounds)
        if len(options.engines) != 2:
            raise ConfigError(f"%compare needs 2 engines, got {len(options.engines)}")
        a, b = (self._engine([name.strip("'\"")]) for name in options.engines)
        return compare(a, b, self._feed(options.feed, options.messages), rounds=options.rounds)

    @magic_arguments()
    @argument("name", nargs="?", default="", help="engine that 'auto' means from here on (default: show all)")
    @line_magic
    def backend(self, line: str) -> list[BackendInfo]:
        """Show which engine "auto" means, or choose it for the rest of the session; return all engines.

        %backend python
        """
        name = _parse(self.backend, line).name
        if name:
            resolve(name)
            os.environ["HFTLAB_BACKEND"] = name
        return backends()

    def _compare_cell(self, cell: str, rounds: int) -> CellComparison:
        parts: list[list[str]] = [[]]
        for line in cell.splitlines():
            if line.strip().startswith(DIVIDER):
                parts.append([])
            else:
                parts[-1].append(line)
        texts = ["\n".join(part).strip() for part in parts]
        named = {
            " ".join(text.split())[:60] or "(nothing)": compile(self.shell.transform_cell(text), "<%%compare>", "exec")
            for text in texts
        }
        return compare_cell(named, self.shell.user_ns, rounds)

    def _engine(self, words: list[str]) -> Any:
        text = " ".join(words) or "auto"
        return self.shell.user_ns.get(text, text)

    def _feed(self, text: str, messages: int) -> Feed:
        found = self.shell.user_ns.get(text)
        if isinstance(found, Feed):
            return found
        return load(text) if os.path.exists(text) else synthetic(text or "calm", messages)
