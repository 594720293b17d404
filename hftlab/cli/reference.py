"""The command line about itself: completion for shells, and docs/cli.md (`python -m hftlab.cli.reference` writes it)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from hftlab.cli.options import Action, Command, Given, Options

DEFAULT_PATH = "docs/cli.md"


def completion(options: Options) -> Action:
    """Print the completion of a shell, e.g. for ~/.bash_completion."""
    options.add("shell", metavar="SHELL", choices=("bash", "zsh", "tcsh"), help="bash, zsh or tcsh")
    return _completion


def _completion(given: Given) -> int:
    import shtab

    from hftlab.cli.main import commands

    print(shtab.complete(whole_parser(commands()), given.shell))
    return 0


def whole_parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """One parser of all commands, which takes a second to make: everything is imported."""
    from hftlab.cli.main import description, summary

    parser = argparse.ArgumentParser("hftlab")
    groups = {"": parser.add_subparsers(metavar="COMMAND")}
    for name, command in commands.items():
        group, _, word = name.rpartition(" ")
        if group not in groups:
            groups[group] = groups[""].add_parser(group, help=f"commands of {group}").add_subparsers(metavar="COMMAND")
        command(Options(groups[group].add_parser(word, help=summary(command), description=description(command))))
    return parser


def markdown() -> str:
    """All commands and their options, as they are in this version."""
    from hftlab.cli.main import GROUPS, description

    lines = ["# The command line", "", "Made from the code by `make docs`."]
    for group, members in GROUPS.items():
        lines += ["", f"## {group}"]
        for name, command in members.items():
            parser = argparse.ArgumentParser(add_help=False)
            command(Options(parser))
            lines += ["", f"### hftlab {name}", "", description(command), "", *_options(parser)]
    return "\n".join(lines) + "\n"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        takes = action.metavar or action.dest.upper() if action.nargs != 0 else ""
        words = " ".join([str(takes)] * (action.nargs if isinstance(action.nargs, int) and action.nargs else 1))
        optional = action.nargs in ("?", "*")
        shown = f"{', '.join(action.option_strings)} {words}" if action.option_strings else f"[{words}]" if optional else words
        yield f"- `{shown.strip()}`" + (f": {action.help}".replace("%%", "%") if action.help else "")


def main(path: str = DEFAULT_PATH) -> None:
    """Write the reference."""
    from hftlab.presentation.output import write_text

    write_text(Path(path), markdown())


if __name__ == "__main__":
    main(*sys.argv[1:])
