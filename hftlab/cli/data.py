"""The commands about data: generate, convert, data info."""

from __future__ import annotations

import sys

from hftlab.cli.options import Action, Given, Options, show


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
