"""The command that compares two engines. It prints a table or JSON."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hftlab.cli.measuring import _give, generated

if TYPE_CHECKING:
    from rich.table import Table

    from hftlab.experiments.compare import Comparison


def compare(arguments: argparse.Namespace) -> int:
    """Two engines in paired rounds."""
    from hftlab.engine.engine import load
    from hftlab.experiments.compare import compare

    feed = load(arguments.feed) if arguments.feed else generated(arguments)
    found = compare(arguments.a, arguments.b, feed, rounds=arguments.rounds, until=arguments.until, seed=arguments.seed)
    return _give(found, arguments, [comparison_table(found)], found.lines())


def comparison_table(found: Comparison) -> Table:
    """A row per metric: both engines, the verdict, the control."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"a: {escape(found.a)}\nb: {escape(found.b)}\nmedians in ns, ratio a / b [95 % interval]")
    for name in ("metric", "a", "b", "b against a", "A/A control"):
        table.add_column(name, justify="right" if name in "ab" else "left")
    for one in found.metrics:
        numbers = [f"{one.found.base_ns:,.1f}", f"{one.found.ns:,.1f}"] if one.found else ["n/a", "n/a"]
        table.add_row(one.name, *numbers, escape(one.verdict), escape(str(one.found.control)) if one.found else "")
    return table
