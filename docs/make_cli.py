"""Write docs/cli.md: every command with its options, from the code. `make docs` runs it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from hftlab.cli.main import GROUPS, description
from hftlab.cli.options import Options


def markdown() -> str:
    """All commands and their options, as they are in this version."""
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


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(markdown(), encoding="utf-8")
