"""The command line: `hftlab bench | run | verify | generate | doctor`. Bad input is one sentence on stderr and exit code 2."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hftlab import __version__
from hftlab.errors import FeedError, HftlabError

if TYPE_CHECKING:
    from hftlab.feeds.itch import ItchFeed
    from hftlab.replay import Engine
    from hftlab.run import Run
    from hftlab.settings import Record

_EPILOG = """\
examples:
  hftlab bench                                   the latency table of every engine on a generated feed
  hftlab generate day.itch --regime market --messages 1000000
  hftlab run day.itch --backend rust --record all --out run.parquet
  hftlab verify python rust day.itch             the first message on which two engines differ
  hftlab doctor                                  what this machine can do, and what is missing

FILE is NASDAQ TotalView-ITCH 5.0 in BinaryFILE framing, plain or gzip.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 fine, 1 engines differ, 2 bad input, 130 interrupted."""
    try:
        arguments = _parser().parse_args(argv)
        command = cast(Callable[[argparse.Namespace], int], arguments.command)
        return command(arguments)
    except HftlabError as error:
        print(f"hftlab: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hftlab: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; what is still buffered has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hftlab",
        description="A laboratory for the tick-to-trade path: decode, book, signal, order; in Python and in Rust.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hftlab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    bench = commands.add_parser("bench", help="time every engine, stage by stage, on one feed")
    bench.set_defaults(command=_bench)
    bench.add_argument("--feed", metavar="FILE", help="measure on this file instead of a generated feed")
    _generator_options(bench, messages=100_000)
    bench.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    bench.add_argument("--out", metavar="PATH", help="write the report as JSON, too")
    bench.add_argument("--json", action="store_true", help="print the report as JSON and nothing else")

    run = commands.add_parser("run", help="run one engine over a file")
    run.set_defaults(command=_run)
    run.add_argument("file", metavar="FILE")
    _engine_options(run)
    run.add_argument("--record", default=None, help="all, top or none; default all with --out, else none")
    run.add_argument("--out", metavar="PATH", help="write the recorded rows as Parquet")
    run.add_argument("--order-stream", metavar="PATH", help="write the exact OUCH bytes sent")
    run.add_argument("--repeat", type=int, default=1, help="run so many times, report the median (default 1)")
    run.add_argument("--json", action="store_true", help="print one JSON object")

    verify = commands.add_parser("verify", help="compare two engines bit for bit")
    verify.set_defaults(command=_verify)
    verify.add_argument("a", metavar="A", help="a backend, e.g. python")
    verify.add_argument("b", metavar="B", help="another, e.g. rust")
    verify.add_argument("file", metavar="FILE", nargs="?", help="default: a generated feed")
    _generator_options(verify, messages=200_000)
    verify.add_argument("--json", action="store_true", help="print one JSON object")

    generate = commands.add_parser("generate", help="write a synthetic feed, the same bytes for the same arguments")
    generate.set_defaults(command=_generate)
    generate.add_argument("file", metavar="FILE", help="compressed if it ends in .gz")
    _generator_options(generate, messages=200_000)

    doctor = commands.add_parser("doctor", help="what this machine can do, and what is missing and why")
    doctor.set_defaults(command=_doctor)
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _generator_options(parser: argparse.ArgumentParser, messages: int) -> None:
    parser.add_argument("--regime", default="calm", help="calm, burst, cancel_storm, deep or market (default calm)")
    parser.add_argument("--messages", type=int, default=messages, help=f"default {messages:,}")
    parser.add_argument("--seed", type=int, default=1, help="default 1")
    parser.add_argument("--symbols", type=int, default=None, help="default: the regime's own number")


def _engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", default="auto", help="auto, python, rust or an installed one (default auto)")
    parser.add_argument("--book", default="ladder", help="price levels: btree or ladder (rust)")
    parser.add_argument("--orders", default="flat", help="order index: std or flat (rust)")
    parser.add_argument("--pool", action=argparse.BooleanOptionalAction, default=True, help="orders in a slab (rust)")
    parser.add_argument("--signal", default="incremental", help="recompute or incremental (rust)")
    parser.add_argument("--until", default="order", help="last stage: tick, book, signal or order (default order)")
    parser.add_argument("--strict", action="store_true", help="stop at the first fault or unknown message type")
    parser.add_argument("--symbol", action="append", default=[], help="keep only this stock; may be repeated")


def _synthetic(arguments: argparse.Namespace) -> ItchFeed:
    from hftlab.replay import synthetic

    return synthetic(arguments.regime, arguments.messages, arguments.seed, arguments.symbols)


def _bench(arguments: argparse.Namespace) -> int:
    from hftlab.bench.measure import measure
    from hftlab.replay import load

    feed = load(arguments.feed) if arguments.feed else _synthetic(arguments)
    report = measure(feed, rounds=arguments.rounds, seed=arguments.seed)
    if arguments.out:
        report.save(arguments.out)
    if arguments.json:
        _print_json(report.to_dict())
        return 0
    from rich.console import Console

    from hftlab.tables import latency_table, throughput_table

    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(f"{report.feed}: {report.messages:,} messages, {report.rounds} interleaved rounds\n")
    for one in report.measured:
        console.print(latency_table(one))
    console.print(throughput_table(report))
    for line in report.lines():
        console.print(line, highlight=False, soft_wrap=True)
    return 0


def _engine(arguments: argparse.Namespace) -> Engine:
    from hftlab.replay import Engine

    return Engine(
        arguments.backend,
        book=arguments.book,
        orders=arguments.orders,
        pool=arguments.pool,
        signal=arguments.signal,
        until=arguments.until,
        strict=arguments.strict,
    )


def _run(arguments: argparse.Namespace) -> int:
    from hftlab.replay import load

    if arguments.repeat < 1:
        raise HftlabError(f"--repeat is {arguments.repeat}; allowed is 1 or more")
    for path in filter(None, (arguments.out, arguments.order_stream)):
        _check_writable(path)
    engine, feed = _engine(arguments), load(arguments.file, arguments.symbol)
    record = cast("Record", arguments.record or ("all" if arguments.out else "none"))
    runs: list[Run] = []
    try:
        runs += [engine.run(feed, record=record) for _ in range(arguments.repeat)]
    except HftlabError as error:
        # What was good before the error is kept, then the error is reported.
        if error.run is not None:
            _save(error.run, arguments)
        raise
    _save(runs[-1], arguments)
    if arguments.json:
        _print_json(_summary(runs, repeated=arguments.repeat > 1))
        return 0
    from rich.console import Console

    from hftlab.tables import run_table

    Console().print(run_table(runs))
    return 0


def _summary(runs: list[Run], *, repeated: bool) -> dict[str, Any]:
    from statistics import median

    summary = runs[-1].to_dict()
    summary["ns_per_message"] = median(run.ns_per_message for run in runs)
    if repeated:
        summary["elapsed_ns"] = [run.elapsed_ns for run in runs]
    return summary


def _check_writable(path: str) -> None:
    target = Path(path)
    if target.is_dir():
        raise FeedError(f"{path}: cannot be written: it is a directory")
    if not target.parent.is_dir():
        raise FeedError(f"{path}: cannot be written: there is no directory {target.parent}")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise FeedError(f"{path}: cannot be written: permission denied")


def _save(run: Run, arguments: argparse.Namespace) -> None:
    for path, write in (
        (arguments.out, lambda target: run.frame.write_parquet(target)),
        (arguments.order_stream, lambda target: Path(target).write_bytes(run.order_stream)),
    ):
        if path:
            try:
                write(path)
            except OSError as error:
                raise FeedError(f"{path}: cannot be written: {error.strerror or error}") from None


def _verify(arguments: argparse.Namespace) -> int:
    from hftlab.replay import load
    from hftlab.verify import verify

    feed = load(arguments.file) if arguments.file else _synthetic(arguments)
    verdict = verify(arguments.a, arguments.b, feed)
    if arguments.json:
        _print_json(verdict.to_dict())
    else:
        print(verdict)
    return 0 if verdict else 1


def _generate(arguments: argparse.Namespace) -> int:
    from hftlab.feeds.synthetic import write

    size = write(arguments.file, arguments.regime, arguments.messages, arguments.seed, arguments.symbols)
    print(f"{arguments.file}: {arguments.messages:,} messages, {size:,} bytes")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from hftlab.doctor import examine

    findings = examine()
    if arguments.json:
        _print_json({"findings": [finding.to_dict() for finding in findings]})
        return 0
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "what", "state", "why it matters", "how to improve it", title=f"hftlab {__version__}")
    for finding in findings:
        mark = {True: "[green]ok", False: "[yellow]--", None: ""}[finding.good]
        table.add_row(mark, *map(escape, (finding.topic, finding.state, finding.why, finding.improve)))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


if __name__ == "__main__":
    sys.exit(main())
