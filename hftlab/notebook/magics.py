"""The magics. Each returns an object and raises a real exception, so that a failing notebook stops."""

from __future__ import annotations

import os
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
from hftlab.notebook.cell_comparison import CellComparison, compare_cell

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
