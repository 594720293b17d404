"""The commands that compare: compare (two engines, or a baseline with now), history. Each prints a table or JSON."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from hftlab.cli.measuring import _give, generated, print_json
from hftlab.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from rich.table import Table

    from hftlab.experiments.baselines import Baseline
    from hftlab.experiments.compare import Comparison
    from hftlab.experiments.drift import Drift
    from hftlab.experiments.history import History


def compare(arguments: argparse.Namespace) -> int:
    """Two engines live; or a baseline with a new run, or with another baseline."""
    a, b = arguments.a, arguments.b
    engines = [name is not None and _is_engine(name) for name in (a, b)]
    if all(engines):
        return _live(arguments)
    if engines[0]:
        if b is None:
            raise ConfigError(f"{a!r} is an engine; compare it with what? Give another engine, or a baseline before it")
        raise ConfigError(f"{a!r} is an engine and {b!r} a baseline; the baseline comes first")
    return _drift(arguments, b if engines[1] else None)


#: What two engines are compared on, if nothing is said; a baseline says it itself.
_DEFAULTS = {"until": "order", "rounds": 21, "feed": None, "regime": "calm", "messages": 100_000, "seed": 1, "symbols": None}


def _is_engine(name: str) -> bool:
    """Whether a word means an engine; else it is the name of a baseline. Raises UnknownName if it is neither."""
    from hftlab.experiments.baselines import engine_names, names

    if ":" in name or (name.split()[:1] and name.split()[0] in engine_names()):
        return True
    if name in names():
        return False
    raise UnknownName("baseline or engine", name, [*(f"{one} (baseline)" for one in names()), *engine_names()])


def _live(arguments: argparse.Namespace) -> int:
    from hftlab.engine.engine import load
    from hftlab.experiments import compare as module

    for name, default in _DEFAULTS.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    feed = load(arguments.feed) if arguments.feed else generated(arguments)
    found = module.compare(arguments.a, arguments.b, feed, rounds=arguments.rounds, until=arguments.until, seed=arguments.seed)
    return _give(found, arguments, [comparison_table(found)], found.lines())


def _drift(arguments: argparse.Namespace, engine: str | None) -> int:
    from hftlab.experiments.baselines import read
    from hftlab.experiments.drift import drift

    before = read(arguments.a)
    other = arguments.b if engine is None else None
    for name in _DEFAULTS:
        if getattr(arguments, name) is not None and (other or name != "rounds"):
            raise ConfigError(f"--{name} is for two engines; baseline {before.name!r} brings its own ({before.report['feed']})")
    now = read(other) if other else _again(before, arguments)
    found = drift(before, now, engine=engine, force=arguments.force)
    return _give(found, arguments, [drift_table(found)], found.lines())


def _again(before: Baseline, arguments: argparse.Namespace) -> Baseline:
    """The bench of a baseline, run now. A machine that would be refused is refused before it."""
    from hftlab.experiments.baselines import taken
    from hftlab.experiments.drift import refuse
    from hftlab.experiments.measure import measure
    from hftlab.measurement.kept import differences
    from hftlab.measurement.machine import fingerprint

    if not arguments.force:
        refuse(before.name, "now", differences(before.report["machine"], fingerprint()))
    if before.recipe is None:
        raise ConfigError(f"baseline {before.name!r} does not say what it ran on; compare it with another baseline")
    feed = before.recipe.feed()
    rounds = before.report["rounds"] if arguments.rounds is None else arguments.rounds
    return taken(measure(feed, rounds=rounds, engines=before.recipe.engines))


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


def drift_table(found: Drift) -> Table:
    """A row per engine and metric: both runs, the verdict, both controls."""
    from rich.markup import escape
    from rich.table import Table

    title = f"a: {found.a.name}, b: {found.b.name}; medians in ns, NOT interleaved"
    table = Table(title=title)
    for name in ("engine", "metric", "a", "b", "a / b", "b against a", "A/A control of a", "A/A control of b"):
        table.add_column(name, justify="right" if name in ("a", "b", "a / b") else "left")
    for shift in found.shifts:
        row = shift.row()
        ratio = "n/a" if row["ratio"] is None else f"{row['ratio']:.2f}"
        controls = [escape(str(one)) if one and shift.found else "" for one in shift.controls]
        verdict = shift.verdict if shift.found else "not judged"
        table.add_row(shift.engine, shift.metric, f"{shift.before:,.1f}", f"{shift.now:,.1f}", ratio, escape(verdict), *controls)
    return table


def history(arguments: argparse.Namespace) -> int:
    """The kept figures, or the list of baselines."""
    if arguments.baselines:
        return _baselines(arguments)
    from hftlab.experiments import history as module

    found = module.history(arguments.engine, arguments.metric)
    return _give(found, arguments, [history_table(found)] if found.series else [], found.lines())


def history_table(found: History) -> Table:
    """A row per series, and one below it for each step."""
    from rich.table import Table

    table = Table(title="every bench kept, ns")
    for name in ("engine", "metric", "feed", "machine", "runs", "last", "level", "since", "steps: from -> to (ratio)"):
        table.add_column(name, justify="right" if name in ("runs", "last", "level") else "left")
    for one in found.series:
        told = one.to_dict()
        steps = [f"{_when(step)}: {step['from']:,.1f} -> {step['to']:,.1f} ({step['ratio']:.2f}x)" for step in told["steps"]]
        numbers = [f"{told['runs']:,}", f"{told['last']:,.1f}", f"{told['level']:,.1f}", told["level_since"][:16]]
        table.add_row(one.engine, one.metric, one.feed, one.machine, *numbers, "\n".join(steps) or "none")
    return table


def _when(step: dict[str, Any]) -> str:
    return str(step["time"])[:16] + (f" {step['commit']}" if step["commit"] else "")


def _baselines(arguments: argparse.Namespace) -> int:
    from hftlab.experiments.baselines import names, read

    found = [read(name) for name in names()]
    if arguments.json:
        print_json({"baselines": [{"name": one.name, "time": one.time, "commit": one.commit} for one in found]})
        return 0
    for one in found:
        print(one)
    if not found:
        print("no baseline is kept yet; `hftlab bench --save NAME` keeps one")
    return 0
