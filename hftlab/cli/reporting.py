"""The command `report`: everything measured, on one page."""

from __future__ import annotations

import argparse
import shlex
from typing import Any


def report(arguments: argparse.Namespace) -> int:
    """Measure and write the page; with --from write it from stored results."""
    from hftlab.reporting import rebuild
    from hftlab.reporting import report as make

    if arguments.stored:
        page = rebuild(arguments.stored, arguments.out, arguments.markdown)
    else:
        page = make(
            _feed(arguments),
            rounds=arguments.rounds,
            seed=arguments.seed,
            out=arguments.out,
            markdown=arguments.markdown,
            quick=arguments.quick,
            engines=arguments.engines,
            how=_how(arguments),
        )
    for line in page.lines():
        print(line)
    print(*(f"wrote {path}" for path in (arguments.out, arguments.markdown) if path), sep="\n")
    return 0


def _messages(arguments: argparse.Namespace) -> int:
    from hftlab.reporting.making import messages_of

    return messages_of(arguments.messages, arguments.quick)


def _feed(arguments: argparse.Namespace) -> Any:
    from hftlab.engine.engine import load, synthetic

    if arguments.feed:
        return load(arguments.feed)
    return synthetic(arguments.regime, _messages(arguments), arguments.seed, arguments.symbols)


def _how(arguments: argparse.Namespace) -> dict[str, Any]:
    """Where the feed comes from, and the commands that make the page again."""
    words = ["report"]
    if arguments.feed:
        source = f"file {arguments.feed}"
        words += ["--feed", arguments.feed]
    else:
        number = _messages(arguments)
        source = f"generated: {arguments.regime}, {number:,} messages, seed {arguments.seed}"
        words += ["--regime", arguments.regime, "--messages", str(number)]
        words += ["--symbols", str(arguments.symbols)] if arguments.symbols else []
    words += ["--seed", str(arguments.seed)]
    words += ["--rounds", str(arguments.rounds)] if arguments.rounds else []
    words += ["--quick"] if arguments.quick else []
    words += [word for engine in arguments.engines for word in ("--with", engine)]
    words += ["--pin", str(arguments.pin)] if arguments.pin is not None else []
    words += ["--fifo"] if arguments.fifo else []
    words += ["--out", arguments.out]
    command = shlex.join([".venv/bin/hftlab", *words])
    stored = arguments.out.removesuffix(".html") + ".json"
    return {
        "feed": source,
        "command": command,
        "again": shlex.join([".venv/bin/hftlab", "report", "--from", stored, "--out", arguments.out]),
    }
