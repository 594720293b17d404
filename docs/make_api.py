"""Write docs/api.md: every public name of hftlab with its signature and docstring, from the code. `make docs` runs it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hftlab

HEAD = """# Public names

Made from the code by `make docs`. `import hftlab` is quick: each name is imported when it is first used.
"""


def markdown() -> str:
    """The page: functions and classes by name, then the packages."""
    names = [(name, getattr(hftlab, name)) for name in hftlab.__all__]
    packages = [(name, value) for name, value in names if inspect.ismodule(value)]
    lines = [HEAD]
    for name, value in names:
        if inspect.isclass(value) or inspect.isroutine(value):
            lines += _entry(f"hftlab.{name}", value)
    lines += ["## Packages", ""]
    lines += [f"- `hftlab.{name}`: {_first_line(value)}" for name, value in packages]
    return "\n".join(lines) + "\n"


def _entry(title: str, value: Any) -> Iterator[str]:
    yield f"## `{title}`"
    yield ""
    yield "```text"
    if inspect.isroutine(value):
        yield f"{title}{_signature(value)}"
    yield from (inspect.getdoc(value) or "").splitlines()
    if inspect.isclass(value):
        yield from _members(value)
    yield "```"
    yield ""


def _members(value: type) -> Iterator[str]:
    """The public methods of its own, one line each."""
    own = [(name, member) for name, member in vars(value).items() if not name.startswith("_") and inspect.isfunction(member)]
    if own:
        yield ""
        for name, member in own:
            yield f".{name}{_signature(member)}: {_first_line(member)}"


def _signature(value: Any) -> str:
    return str(inspect.signature(value)).replace("'", "")


def _first_line(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0]


if __name__ == "__main__":
    Path(__file__).with_name("api.md").write_text(markdown(), encoding="utf-8")
