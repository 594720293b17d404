"""The commands that measure: bench, scale, border, seed. Each makes a result, saves it, and prints it as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from hftlab.feeds.itch import ItchFeed
    from hftlab.measurement.result import Result


def bench(arguments: argparse.Namespace) -> int:
    """Every engine, stage by stage; with --ablate what each optimisation is worth."""
    from hftlab.engine.engine import load

    feed = load(arguments.feed) if arguments.feed else generated(arguments)
    return _ablate(arguments, feed) if arguments.ablate else _bench(arguments, feed)


def _bench(arguments: argparse.Namespace, feed: ItchFeed) -> int:
    from hftlab.experiments.measure import measure
    from hftlab.presentation.tables import latency_table, record_table, throughput_table

    rounds = 5 if arguments.rounds is None else arguments.rounds
    report = measure(feed, rounds=rounds, seed=arguments.seed, engines=arguments.engines)
    head = f"{report.feed}: {report.messages:,} messages, {report.rounds} interleaved rounds\n"
    tables = [*map(latency_table, report.measured), throughput_table(report), record_table(report)]
    return _give(report, arguments, tables, report.lines(), head)


def _ablate(arguments: argparse.Namespace, feed: ItchFeed) -> int:
    from hftlab.experiments.ablate import ablate
    from hftlab.presentation.tables import ablation_table

    rounds = 21 if arguments.rounds is None else arguments.rounds
    found = ablate(feed, rounds=rounds, seed=arguments.seed)
    return _give(found, arguments, [ablation_table(found)], found.lines())


def latency(arguments: argparse.Namespace) -> int:
    """One engine: per stage and end to end, warm, first and with swept caches."""
    from hftlab.engine.engine import load
    from hftlab.experiments.latency import latency
    from hftlab.measurement.result import write
    from hftlab.presentation.tables import phases_table

    feed = load(arguments.feed) if arguments.feed else generated(arguments)
    given = {name: getattr(arguments, name) for name in ("rounds", "seed", "slowest", "rate")}
    found = latency(" ".join(arguments.engine) or "auto", feed, **given)
    for part, text in found.hgrm().items() if arguments.hgrm else ():
        write(Path(arguments.hgrm) / f"{part}.hgrm", text)
    flight = found.flight
    if arguments.trace and flight:
        flight.trace(arguments.trace)
    return _give(found, arguments, [phases_table(found)], [*found.lines(), *(flight.lines() if flight else ())])


def scale(arguments: argparse.Namespace) -> int:
    """Scale curves along one axis."""
    from hftlab.experiments.scale import scale
    from hftlab.presentation.tables import scale_table

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
    from hftlab.experiments.border import border
    from hftlab.presentation.tables import border_table

    found = border(rounds=arguments.rounds, messages=arguments.messages, seed=arguments.seed)
    return _give(found, arguments, [border_table(found)], found.lines())


@contextmanager
def placement(arguments: argparse.Namespace) -> Iterator[None]:
    """Run a command where --pin and --fifo say, if it has them; what the system refuses is a sentence on stderr."""
    pin, fifo = getattr(arguments, "pin", None), getattr(arguments, "fifo", False)
    if pin is None and not fifo:
        yield
        return
    from hftlab.measurement.affinity import cpu_affinity

    with cpu_affinity(pin, fifo=fifo) as place:
        for sentence in (*place.refused, *place.notes):
            print(f"hftlab: {sentence}", file=sys.stderr)
        yield


def profile(arguments: argparse.Namespace) -> int:
    """One engine under one profiler; the engine is a backend, or a class or object of the user."""
    from hftlab.charts import check_file, save
    from hftlab.engine.engine import load
    from hftlab.engine.resolve import adopt
    from hftlab.presentation.terminal import show
    from hftlab.profiling import default_messages, profile

    if arguments.chart:
        check_file(arguments.chart)
    defaults = {"book": "ladder", "orders": "flat", "pool": True, "signal": "incremental", "until": "order", "strict": False}
    changes = {name: value for name in defaults if (value := getattr(arguments, name)) != defaults[name]}
    engine = adopt(arguments.backend, **changes)
    if arguments.messages is None:
        arguments.messages = default_messages(arguments.tool, engine.backend)
    feed = load(arguments.feed, arguments.symbol) if arguments.feed else generated(arguments)
    found = profile(engine, feed, arguments.tool, messages=arguments.messages)
    if arguments.chart:
        save(found.plot(), arguments.chart)
    if arguments.out:
        found.save(arguments.out)
    if arguments.json:
        print(found.to_json())
    else:
        show(found.headline(), found.blocks())
    return 0


def generated(arguments: argparse.Namespace) -> ItchFeed:
    """The feed that the options of the generator name."""
    from hftlab.engine.engine import synthetic

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
