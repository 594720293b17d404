"""Options of a command, taken from the functions it calls: names, types and defaults from the signature, help from the docstring.

    def ffi(options: Options) -> Action:
        from hftlab.experiments.ffi import ffi_overhead
        options.of(ffi_overhead)                                       # --rounds, --messages, --seed
        return lambda given: show(given.call(ffi_overhead), given)

So what a function accepts is written once. A command imports what it calls when it is chosen: `hftlab --help` imports nothing.
"""

from __future__ import annotations

import argparse
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from hftlab.errors import ConfigError

if TYPE_CHECKING:
    from hftlab.feeds.feed import Feed

#: Where a docstring speaks of parameters: "rounds : of the bench" on a line, or "; rounds: of the bench" within one.
_ENTRY = re.compile(r"(?:^|[;.]\s+)\s*((?:\w+,\s+)*\w+)\s*:\s", re.MULTILINE)
_SEQUENCE = re.compile(r"(?:Iterable|Sequence|Collection|list|tuple)\[(\w+)(?:, \.\.\.)?\]")
_UNITS = {"_s": "S", "_ms": "MS"}


class Given(argparse.Namespace):
    """What a command was given."""

    def of(self, function: Callable[..., Any]) -> dict[str, Any]:
        """The arguments for `function`, or the fields for a dataclass, as far as they were given; the rest are its defaults."""
        given = vars(self)
        return {name: given[name] for name in inspect.signature(function).parameters if given.get(name) not in (None, [])}

    def call(self, function: Callable[..., Any], **more: Any) -> Any:
        """The result of `function` on its arguments; more: arguments that no option gives as they are."""
        return function(**{**self.of(function), **more})


#: What a command does with what it was given; the result is the exit code.
Action = Callable[[Given], int]
#: A command declares its options and says what is to be done with them. Its docstring is its description.
Command = Callable[["Options"], Action]


class Parser(argparse.ArgumentParser):
    """Like every other error, one of the command line is one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


class Options:
    """What one command accepts.

    parser  : the parser they are added to
    outputs : options that name a file to be written, looked at before the command does anything
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser
        self.outputs: list[str] = []
        self._known: set[str] = set()

    def add(self, *flags: str, **more: Any) -> None:
        """One option of its own, as for `argparse.ArgumentParser.add_argument`."""
        self._known.add(self.parser.add_argument(*flags, **more).dest)

    def output(self, *flags: str, **more: Any) -> None:
        """An option that names a file to be written."""
        action = self.parser.add_argument(*flags, **{"metavar": "PATH", **more})
        self._known.add(action.dest)
        self.outputs.append(action.dest)

    def check_outputs(self, given: Given) -> None:
        """Whether all that is to be written can be, before anything is done. Raises OutputError, and HftlabError for a chart."""
        for path in (path for name in self.outputs if (path := getattr(given, name))):
            from hftlab.presentation.output import check_writable

            check_writable(path)
        if getattr(given, "chart", None):
            from hftlab.charts import check_file

            check_file(given.chart)

    def of(
        self,
        function: Callable[..., Any],
        names: str = "",
        *,
        but: str = "",
        title: str = "",
        flags: Mapping[str, str] | None = None,
        **defaults: Any,
    ) -> None:
        """Options for parameters of a function, or fields of a dataclass.

        names    : which, apart by spaces; default all that plain text can give. An option that is there already stays
        but      : which not
        title    : of their group in the help
        flags    : parameter -> how it is called here, if not by its own name; without dashes it is positional
        defaults : parameter -> default, if not that of the function
        """
        parameters, help_of = inspect.signature(function).parameters, documentation(function)
        group = self.parser.add_argument_group(title) if title else self.parser
        for name in names.split() or parameters:
            if name in self._known or name in but.split():
                continue
            default = defaults.get(name, parameters[name].default)
            kind = _kind(parameters[name], default)
            if kind is None:
                continue
            self._known.add(name)
            flag = (flags or {}).get(name) or "--" + re.sub("_m?s$", "", name).replace("_", "-")
            text = help_of.get(name, "")
            if flag.startswith("-"):
                group.add_argument(*flag.split(), dest=name, help=_help(text, default), **kind)
            else:
                nargs = "*" if kind.get("action") == "append" else None
                group.add_argument(name, metavar=flag, help=text.replace("%", "%%"), nargs=nargs)

    def feed(self, messages: int | None, *, positional: bool = False) -> None:
        """A file, or instead of one the options of the generator; `Given` is then for `feed_of`."""
        if positional:
            self.add("feed", metavar="FILE", nargs="?", help="default: a generated feed")
        else:
            self.add("--feed", metavar="FILE", help="measure on this file instead of a generated feed")
        self.generator(messages)

    def generator(self, messages: int | None) -> None:
        """Options of the generated feed. messages: the default number."""
        from hftlab.feeds.generate.synthetic import write

        self.of(write, but="path engine", messages=messages)

    def engines(self) -> None:
        """More engines, to be measured beside those that are installed."""
        self.add(
            "--engine",
            "--with",
            dest="engines",
            metavar="ENGINE",
            action="append",
            default=[],
            help="measure this one, too; may be repeated",
        )

    def placement(self, *, short: bool = False) -> None:
        """Where and how the process runs; `placement` puts it in force around the command. short: --pin and --fifo, too."""
        group = self.parser.add_argument_group(
            "placement", "undone afterwards; refused settings are reported, and the command goes on"
        )
        core, realtime = (["--pin"], ["--fifo"]) if short else ([], [])
        group.add_argument("--core", *core, type=_integer, metavar="CORE", help="stay on this core")
        group.add_argument("--realtime", *realtime, action="store_true", help="real-time scheduling, SCHED_FIFO with priority 50")

    def result(self, *, chart: bool = False) -> None:
        """What becomes of a result; `show` does it."""
        if chart:
            self.output("--chart", help="write the chart: .html, .png, .svg or .json")
        self.output("--out", help="write the result as JSON, too")
        self.json()

    def json(self) -> None:
        self.add("--json", action="store_true", help="print one JSON object and nothing else")


@contextmanager
def placement(given: Given) -> Iterator[None]:
    """Run a command where --core and --realtime say, if it has them; what the system refuses is a sentence on stderr."""
    core, realtime = getattr(given, "core", None), getattr(given, "realtime", False)
    if core is None and not realtime:
        yield
        return
    from hftlab.measurement.affinity import cpu_affinity

    with cpu_affinity(core, realtime=realtime) as place:
        for sentence in (*place.refused, *place.notes):
            print(f"hftlab: {sentence}", file=sys.stderr)
        yield


def feed_of(given: Given, *, warm: bool = False) -> Feed:
    """The file that was named, or the feed that the options of the generator describe.

    warm   : a generated feed begins with what fills its book; see `hftlab.synthetic`
    raises : FeedError, ConfigError
    """
    from hftlab.engine.engine import synthetic
    from hftlab.feeds.reader import load

    return load(given.feed, getattr(given, "symbol", ())) if given.feed else given.call(synthetic, warm=warm)


def show(result: Any, given: Given) -> int:
    """Write and print a result as the options ask; the exit code is 0."""
    from hftlab.presentation import result as results
    from hftlab.presentation import terminal

    if getattr(given, "chart", None):
        from hftlab.charts import save

        save(result.plot(), given.chart)
    if getattr(given, "out", None):
        result.save(given.out)
    if given.json:
        print(results.to_json(result.to_dict()))
    else:
        terminal.show(result.headline(), result.blocks())
    return 0


@cache
def documentation(function: Callable[..., Any]) -> dict[str, str]:
    """What the docstring of a function or class says of each parameter."""
    text = inspect.getdoc(function) or ""
    known = {*inspect.signature(function).parameters, "raises", "returns"}
    entries = [found for found in _ENTRY.finditer(text) if known.issuperset(re.split(r",\s+", found[1]))]
    ends = [*(entry.start() for entry in entries[1:]), len(text)]
    out: dict[str, str] = {}
    for entry, end in zip(entries, ends, strict=True):
        for name in re.split(r",\s+", entry[1]):
            out.setdefault(name, " ".join(text[entry.end() : end].split()).removesuffix("."))
    return out


def _kind(parameter: inspect.Parameter, default: Any) -> dict[str, Any] | None:
    """The arguments of `add_argument` for a parameter; None for one that no text can give."""
    annotation = str(parameter.annotation).replace(" | None", "")
    default = None if default is parameter.empty else default
    if annotation == "bool":
        return {"action": argparse.BooleanOptionalAction if default else "store_true", "default": default}
    if annotation == "int":
        return {"type": _integer, "default": default, "metavar": "N"}
    if annotation == "float":
        metavar = next((metavar for unit, metavar in _UNITS.items() if parameter.name.endswith(unit)), "X")
        return {"type": _number, "default": default, "metavar": metavar}
    if annotation == "tuple[int, int]":
        return {"type": _integer, "nargs": 2, "default": default, "metavar": "N"}
    if many := _SEQUENCE.fullmatch(annotation):
        kind = {"int": _integer, "float": _number}.get(many[1], str)
        return {"action": "append", "type": kind, "default": None, "metavar": parameter.name.removesuffix("s").upper()}
    if isinstance(default, str) or annotation in ("str", "str | Path", "Path", "Any", "Stage", "Record"):
        return {"default": default, "metavar": parameter.name.upper()}
    return None


def _help(text: str, default: Any) -> str:
    """The text, with the default where it does not speak of it itself."""
    number = isinstance(default, int | float) and not isinstance(default, bool)
    words = " and ".join(default) if isinstance(default, tuple) else str(default or "")
    shown = f"{default:,}".removesuffix(".0") if number else words
    if "default" not in text and (number or (shown and default is not True)):
        text = f"{text} (default {shown})" if text else f"default {shown}"
    return text.replace("%", "%%")


def _integer(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, got {text!r}")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"must be a number, 0 or more, got {text!r}")
    return value
