"""The commands that run an engine, those about files of market data, and those of the course: its lessons, JupyterLab on them."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hftlab
from hftlab.cli.options import Action, Given, Options, feed_of, show
from hftlab.errors import ConfigError, HftlabError, check_range

if TYPE_CHECKING:
    from hftlab.engine.engine import Engine
    from hftlab.engine.run import Run
    from hftlab.feeds.feed import Feed
    from hftlab.settings import Record

_SETTINGS = "backend book orders pool signal lookahead until strict threads"


def run(options: Options) -> Action:
    """Run one engine over a file."""
    from hftlab.engine.engine import Engine

    options.add("file", metavar="FILE")
    options.of(Engine, _SETTINGS)
    options.add("--symbol", action="append", default=[], help="keep only this stock; may be repeated")
    options.add("--record", help="rows to keep: all, top or none (default all with --out, else none)")
    options.output("--out", help="write the recorded rows as Parquet")
    options.output("--order-stream", help="write the exact OUCH bytes sent")
    options.add("--repeat", type=int, default=1, metavar="N", help="run N times and report the median (default 1)")
    options.json()
    return _run


def _run(given: Given) -> int:
    import numpy as np

    from hftlab.engine.engine import Engine
    from hftlab.feeds.reader import load

    check_range("--repeat", given.repeat, 1)
    engine, feed = given.call(Engine), load(given.file, given.symbol)
    record = cast("Record", given.record or ("all" if given.out else "none"))
    elapsed_ns: list[int] = []
    last: Run | None = None
    for _ in range(given.repeat):
        last = None  # before the next one: of several runs only one is in memory
        last = _recorded(engine, feed, record, given)
        elapsed_ns.append(last.elapsed_ns)
    assert last is not None
    ns_per_message = float(np.median(elapsed_ns)) / max(last.messages, 1)
    if given.json:
        from hftlab.presentation.result import to_json

        print(to_json(_summary(last, elapsed_ns, ns_per_message)))
    else:
        from hftlab.presentation import terminal
        from hftlab.presentation.document import number, text

        words = f"{number(ns_per_message)} ns per message, the median of {given.repeat} runs"
        repeated = [text(words)] if given.repeat > 1 else []
        terminal.show(last.headline(), [*last.blocks(), *repeated])
    return 0


def _recorded(engine: Engine, feed: Feed, record: Record, given: Given) -> Run:
    """A run whose rows are written while it goes on. What was good before an error is kept, then the error is reported."""
    from hftlab.engine.recording import ROW_DTYPE
    from hftlab.presentation import output

    failure: HftlabError | None = None
    with ExitStack() as stack:
        put = stack.enter_context(output.parquet_rows(given.out, ROW_DTYPE)) if given.out else None
        try:
            last = engine.run(feed, record, rows=put)
        except HftlabError as error:
            if error.run is None:
                raise
            failure, last = error, error.run
        if put and len(last.columns["index"]):  # an engine that keeps its rows to the end
            put(last.columns)
    if given.order_stream:
        output.write_bytes(given.order_stream, last.order_stream)
    if failure:
        raise failure
    return last


def _summary(run: Run, elapsed_ns: list[int], ns_per_message: float) -> dict[str, Any]:
    summary = run.to_dict() | {"ns_per_message": ns_per_message}
    return summary if len(elapsed_ns) == 1 else summary | {"elapsed_ns": elapsed_ns}


def sweep(options: Options) -> Action:
    """Run engines with settings over many files, to one Parquet dataset. The exit code is 1 if a task fails."""
    from hftlab.batch import sweep

    options.add("files", metavar="FILE", nargs="+", help="market data files")
    options.add("--engine", dest="engines", metavar="ENGINE", action="append", default=[], help="may be repeated (default auto)")
    options.add("--set", metavar="NAME=VALUE,...", action="append", default=[], help="settings of one variation; may be repeated")
    options.add("--symbol", metavar="SYMBOL,...", action="append", default=[], help="a task for these alone; may be repeated")
    options.of(sweep, "task out workers processes cluster core")
    options.json()

    def act(given: Given) -> int:
        symbols = [symbols.split(",") for symbols in given.symbol]
        report = given.call(sweep, settings=[*map(_settings, given.set)] or [{}], symbols=symbols)
        given.out = None  # the folder of the rows, not a file for the report
        return judged(report, given)

    return act


def _settings(text: str) -> dict[str, Any]:
    """What --set gives: "levels=10,threshold=0.5"."""
    import json

    try:
        return {name: json.loads(value) for name, _, value in (word.partition("=") for word in text.split(","))}
    except ValueError:
        raise ConfigError(f"--set must be NAME=VALUE,... with numbers or lists as values, got {text!r}") from None


def verify(options: Options) -> Action:
    """Compare two engines bit for bit. The exit code is 1 if they differ."""
    from hftlab.engine.verify import verify

    options.add("a", metavar="ENGINE", help="e.g. python")
    options.add("b", metavar="ENGINE", help="another, e.g. rust")
    options.feed(200_000, positional=True)
    options.json()
    return lambda given: judged(verify(given.a, given.b, feed_of(given)), given)


def conformance(options: Options) -> Action:
    """Ask every check of the contract of one engine, then time it. The exit code is 1 if one fails."""
    from hftlab.conformance import engine

    options.add("engine", metavar="ENGINE", help="e.g. rust, or my_book.py:MyBook")
    options.of(engine, "rounds")
    options.json()
    return lambda given: judged(given.call(engine, given=given.engine), given)


def judged(verdict: Any, given: Given) -> int:
    """Show a verdict; the exit code is 1 if it is false."""
    show(verdict, given)
    return 0 if verdict else 1


def variants(options: Options) -> Action:
    """List the names on every axis, and what each is good at."""
    from hftlab.engine.variants import variants

    options.json()
    return lambda given: show(variants(), given)


def doctor(options: Options) -> Action:
    """Report what this machine can do, and what is missing and why."""
    from hftlab.diagnostics import doctor

    options.of(doctor, "quick")
    options.json()
    return lambda given: show(given.call(doctor), given)


def generate(options: Options) -> Action:
    """Write a synthetic feed: the same bytes for the same arguments."""
    from hftlab.feeds.generate.synthetic import write

    options.output("file", metavar="FILE", help="compressed if it ends in .gz")
    options.generator(200_000)

    def act(given: Given) -> int:
        size = given.call(write, path=given.file)
        print(f"{given.file}: {given.messages:,} messages, {size:,} bytes")
        return 0

    return act


def convert(options: Options) -> Action:
    """Convert a file of market data: to .npz, .parquet or .itch, or to a folder of tables."""
    from hftlab.batch.convert import convert

    options.add("source", metavar="IN", help="of any format that a reader knows")
    options.add(
        "target",
        metavar="OUT",
        help=".npz, .parquet, .itch, .itch.gz or ..._message_LEVELS.csv; anything else is a folder for tables",
    )
    options.of(convert, "tables symbols backend", flags={"symbols": "--symbol"})
    options.json()
    return lambda given: show(given.call(convert), given)


def info(options: Options) -> Action:
    """Say what is in a file: format, messages by kind, symbols, times, and what could not be read and why."""
    from hftlab.batch.info import data_info

    options.add("file", metavar="FILE")
    options.json()

    def act(given: Given) -> int:
        found = data_info(given.file)
        show(found, given)
        if found.problem:
            print(f"hftlab: error: {found.problem}", file=sys.stderr)
        return 2 if found.problem else 0

    return act


def course(options: Options) -> Action:
    """List the lessons, their minutes, and what you have passed."""
    options.add("--reset", action="store_true", help="begin anew; what was passed is moved aside, not deleted")
    options.json()
    return _course


def _course(given: Given) -> int:
    if find_course() is None:
        raise ConfigError("the course is in the repository, not in the package: run this command from a checkout of it")
    from course import progress
    from course.lessons import course

    if given.reset:
        aside = progress.reset()
        print(f"moved to {aside}; nothing is passed now" if aside else "there was nothing to forget", file=sys.stderr)
    return show(course(), given)


def lab(options: Options) -> Action:
    """Open JupyterLab on the course; it needs no network."""
    from hftlab.notebook.lab import start

    options.add("folder", metavar="FOLDER", nargs="?", help="of notebooks (default: those of the course)")
    options.of(start, but="folder", prefix=None)

    def act(given: Given) -> int:
        folder = Path(given.folder) if given.folder else find_course()
        if folder is None:
            raise ConfigError("the notebooks are in the repository, not in the package: name their folder, hftlab lab FOLDER")
        return int(given.call(start, folder=folder))

    return act


def find_course() -> Path | None:
    """The folder of the notebooks, with `course` importable from it: beside the package, or where the caller stands or above."""
    here = Path.cwd()
    for folder in (Path(hftlab.__file__).parent.parent, here, *here.parents):
        for notebooks in (folder / "notebooks", folder):
            if (notebooks / "course" / "exercise.py").is_file():
                if str(notebooks) not in sys.path:
                    sys.path.append(str(notebooks))
                return notebooks
    return None
