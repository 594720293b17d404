"""The commands that measure: bench, scale, border. Each makes a result, saves it, and prints it as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from hftlab.bench.result import Result
    from hftlab.feeds.itch import ItchFeed


def bench(arguments: argparse.Namespace) -> int:
    """Every engine, stage by stage; with --ablate what each optimisation is worth."""
    from hftlab.replay import load

    feed = load(arguments.feed) if arguments.feed else generated(arguments)
    return _ablate(arguments, feed) if arguments.ablate else _bench(arguments, feed)


def _bench(arguments: argparse.Namespace, feed: ItchFeed) -> int:
    from hftlab.bench.measure import measure
    from hftlab.tables import latency_table, record_table, throughput_table

    rounds = 5 if arguments.rounds is None else arguments.rounds
    report = measure(feed, rounds=rounds, seed=arguments.seed, engines=arguments.engines)
    head = f"{report.feed}: {report.messages:,} messages, {report.rounds} interleaved rounds\n"
    tables = [*map(latency_table, report.measured), throughput_table(report), record_table(report)]
    return _give(report, arguments, tables, report.lines(), head)


def _ablate(arguments: argparse.Namespace, feed: ItchFeed) -> int:
    from hftlab.bench.ablate import ablate
    from hftlab.tables import ablation_table

    rounds = 21 if arguments.rounds is None else arguments.rounds
    found = ablate(feed, rounds=rounds, seed=arguments.seed)
    return _give(found, arguments, [ablation_table(found)], found.lines())


def scale(arguments: argparse.Namespace) -> int:
    """Scale curves along one axis."""
    from hftlab.bench.scale import scale
    from hftlab.tables import scale_table

    found = scale(
        arguments.axis,
        variants=arguments.variant or None,
        until=arguments.until,
        full=arguments.full,
        rounds=arguments.rounds,
        messages=arguments.messages,
        seed=arguments.seed,
    )
    return _give(found, arguments, [scale_table(found)], found.lines())


def border(arguments: argparse.Namespace) -> int:
    """What each way across the Python/Rust border costs."""
    from hftlab.bench.border import border
    from hftlab.tables import border_table

    found = border(rounds=arguments.rounds, messages=arguments.messages, seed=arguments.seed)
    return _give(found, arguments, [border_table(found)], found.lines())


def profile(arguments: argparse.Namespace) -> int:
    """One engine looked at in one way; the engine is a backend, or a class or object of one's own."""
    from hftlab.adopt import adopt
    from hftlab.charts.save import check_picture, save
    from hftlab.profiling import bearable, profile
    from hftlab.profiling.view import table
    from hftlab.replay import load

    if arguments.chart:
        check_picture(arguments.chart)
    defaults = {"book": "ladder", "orders": "flat", "pool": True, "signal": "incremental", "until": "order", "strict": False}
    changes = {name: value for name in defaults if (value := getattr(arguments, name)) != defaults[name]}
    engine = adopt(arguments.backend, **changes)
    if arguments.messages is None:
        arguments.messages = bearable(arguments.how, engine.backend)
    feed = load(arguments.feed, arguments.symbol) if arguments.feed else generated(arguments)
    found = profile(engine, feed, arguments.how, messages=arguments.messages)
    if arguments.chart:
        save(found.plot(), arguments.chart)
    return _give(found, arguments, [table(found)] if found else [], found.lines())


def generated(arguments: argparse.Namespace) -> ItchFeed:
    """The feed that the options of the generator name."""
    from hftlab.replay import synthetic

    return synthetic(arguments.regime, arguments.messages, arguments.seed, arguments.symbols)


def _give(result: Result, arguments: argparse.Namespace, tables: Iterable[Table], lines: Iterable[str], head: str = "") -> int:
    if arguments.out:
        result.save(arguments.out)
    if arguments.json:
        print_json(result.to_dict())
        return 0
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140)
    if head:
        console.print(head)
    for table in tables:
        console.print(table)
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return 0


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, indent=1))
