"""The command line: `hftlab COMMAND`; options.py lists what there is.

Bad input is one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hftlab.cli import comparing, learning, measuring, networking, reporting, stressing
from hftlab.cli.measuring import generated, placement, print_json
from hftlab.cli.options import parser
from hftlab.errors import FeedError, HftlabError

if TYPE_CHECKING:
    from hftlab.engine.engine import Engine
    from hftlab.engine.run import Run
    from hftlab.settings import Record


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 fine, 1 engines differ or one breaks the contract, 2 bad input, 130 interrupted."""
    try:
        arguments = parser().parse_args(argv)
        with placement(arguments):
            return COMMANDS[arguments.command](arguments)
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


def _engine(arguments: argparse.Namespace) -> Engine:
    from hftlab.engine.engine import Engine

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
    from hftlab.engine.engine import load

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
        print_json(_summary(runs, repeated=arguments.repeat > 1))
        return 0
    from rich.console import Console

    from hftlab.presentation.tables import run_table

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
    from hftlab.conformance import verify
    from hftlab.engine.engine import load

    feed = load(arguments.file) if arguments.file else generated(arguments)
    verdict = verify(arguments.a, arguments.b, feed)
    if arguments.json:
        print_json(verdict.to_dict())
    else:
        print(verdict)
    return 0 if verdict else 1


def _conform(arguments: argparse.Namespace) -> int:
    from hftlab.conformance import conformance

    report = conformance(arguments.engine, rounds=arguments.rounds)
    if arguments.json:
        print_json(report.to_dict())
    else:
        print(report)
    return 0 if report else 1


def _generate(arguments: argparse.Namespace) -> int:
    from hftlab.feeds.generate.synthetic import write

    size = write(arguments.file, arguments.regime, arguments.messages, arguments.seed, arguments.symbols)
    print(f"{arguments.file}: {arguments.messages:,} messages, {size:,} bytes")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from hftlab.diagnostics import doctor

    found = doctor(arguments.quick)
    if arguments.json:
        print_json(found.to_dict())
        return 0
    from rich.console import Console

    from hftlab.diagnostics.table import doctor_table

    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(doctor_table(found, console.width))
    return 0


def _variants(arguments: argparse.Namespace) -> int:
    from hftlab.engine.variants import variants

    if arguments.json:
        print_json(variants().to_dict())
    else:
        print(variants())
    return 0


COMMANDS = {
    "bench": measuring.bench,
    "latency": measuring.latency,
    "compare": comparing.compare,
    "scale": measuring.scale,
    "border": measuring.border,
    "report": reporting.report,
    "stress": stressing.stress,
    "profile": measuring.profile,
    "run": _run,
    "verify": _verify,
    "conform": _conform,
    "generate": _generate,
    "variants": _variants,
    "doctor": _doctor,
    "course": learning.course,
    "lab": learning.lab,
    "net": networking.net,
}

if __name__ == "__main__":
    sys.exit(main())
