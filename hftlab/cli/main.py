"""The command line: `hftlab COMMAND`. Bad input is one sentence on stderr and exit code 2.

exit codes : 0 fine; 1 engines differ, one breaks the contract, something is unsound; 2 bad input or output; 130 interrupted
"""

from __future__ import annotations

import argparse
import inspect
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import hftlab
from hftlab.cli import measure, net, run
from hftlab.cli.options import Action, Command, Given, Options, Parser, placement
from hftlab.errors import HftlabError, UnknownName


def completion(options: Options) -> Action:
    """Print the completion of a shell, e.g. for ~/.bash_completion."""
    options.add("shell", metavar="SHELL", choices=("bash", "zsh", "tcsh"), help="bash, zsh or tcsh")
    return _completion


def _completion(given: Given) -> int:
    import shtab

    print(shtab.complete(whole_parser(), given.shell))
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """One parser of all commands, which takes a second to make: everything is imported."""
    parser = argparse.ArgumentParser("hftlab")
    groups = {"": parser.add_subparsers(metavar="COMMAND")}
    for name, command in commands().items():
        group, _, word = name.rpartition(" ")
        if group not in groups:
            groups[group] = groups[""].add_parser(group, help=f"commands of {group}").add_subparsers(metavar="COMMAND")
        command(Options(groups[group].add_parser(word, help=summary(command), description=description(command))))
    return parser


#: Every command by its group. Those of a folder that is not there are not listed: network and load may be left out.
GROUPS: dict[str, dict[str, Command]] = {
    "run": {"run": run.run, "sweep": run.sweep, "verify": run.verify, "conformance": run.conformance, "variants": run.variants},
    "measure": {
        "bench": measure.bench,
        "latency": measure.latency,
        "compare": measure.compare,
        "ablate": measure.ablate,
        "scaling": measure.scaling,
        "ffi": measure.ffi,
        "latency-value": measure.latency_value,
        "profile": measure.profile,
        "report": measure.report,
    },
    "data": {"generate": run.generate, "convert": run.convert, "data info": run.info},
    "net": {
        "net exchange": net.exchange,
        "net trader": net.trader,
        "net status": net.status,
        "net capture": net.capture,
        "net replay": net.replay,
        "net replay-journal": net.replay_journal,
        "net transports": net.transports,
        "net round-trip": net.round_trip,
        "net tick-to-trade": net.tick_to_trade,
    },
    "load": {"stress": net.stress, "faults": net.faults},
    "course": {"course": run.course, "lab": run.lab},
    "here": {"doctor": run.doctor, "completion": completion},
}
_FOLDERS = {"net": "net", "load": "loadtest"}

_ABOUT = "A laboratory for the tick-to-trade path: decode, book, signal, order; in Python and in Rust."
_EPILOG = """\
`hftlab COMMAND --help` says what a command accepts.
FILE is market data of any known format, plain, gzip or zstd; its content tells which.
ENGINE is a backend, alone or with a variant ("rust naive", "rust book=btree"), or module:attribute or
path.py:attribute of a backend, of the class of a stage, or of an hftlab.Engine.

  hftlab doctor                                what this machine can do, and what is missing
  hftlab bench                                 the latency of every engine, stage by stage
  hftlab compare "rust naive" rust             the ratio of two engines, with an interval and a control
  hftlab conformance my_book.py:MyBook         whether an engine of your own keeps the contract
  hftlab generate day.itch --messages 1000000
  hftlab sweep day*.itch --engine rust --set levels=5 --set levels=10 --out results
  hftlab run day.itch --backend rust --record all --out run.parquet
  hftlab report                                all of it measured, on one page: out/report.html"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    try:
        code = _dispatch([*(sys.argv[1:] if argv is None else argv)])
        sys.stdout.flush()
    except HftlabError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted", 130, "")
    except BrokenPipeError:
        _abandon_stdout()  # the reader has gone
        return 0
    except OSError as error:
        _abandon_stdout()
        return _fail(f"{error.filename or 'standard output'}: {error.strerror or error}")
    except MemoryError:
        return _fail("not enough memory")
    except Exception as error:  # a defect of hftlab, or of code that it was given
        if os.environ.get("HFTLAB_TRACEBACK"):
            raise
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return _fail(f"unexpected {type(error).__name__} in {place}: {error} (HFTLAB_TRACEBACK=1 shows the traceback)")
    return code


def commands() -> dict[str, Command]:
    """Every command there is here, by its name."""
    return {name: command for group, members in GROUPS.items() if _is_there(group) for name, command in members.items()}


def usage(only: str = "") -> str:
    """The help of `hftlab`, or of one group of it."""
    lines = [f"usage: hftlab {only or '[--version] [--help]'} COMMAND ...", "", *([] if only else [_ABOUT])]
    for group, members in GROUPS.items():
        if _is_there(group) and only in ("", group):
            lines += ["", group, *(f"  {name:<19} {summary(command)}" for name, command in members.items())]
    return "\n".join([*lines, "", *([] if only else [_EPILOG])]).rstrip()


def summary(command: Command) -> str:
    """The first sentence of its description."""
    return description(command).partition("\n")[0].partition(". ")[0].removesuffix(".")


def description(command: Command) -> str:
    """What its help begins with: the docstring."""
    return inspect.cleandoc(command.__doc__ or "")


def _dispatch(words: list[str]) -> int:
    known = commands()
    if words[:1] == ["--version"]:
        print(f"hftlab {hftlab.__version__}")
        return 0
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
    grouped = words[0] in {name.partition(" ")[0] for name in known if " " in name}
    if name is None and grouped and words[1:2] in ([], ["-h"], ["--help"]):
        print(usage(words[0]))
        return 0 if words[1:] else 2
    if name is None:
        raise UnknownName("command", " ".join(words[:2] if grouped else words[:1]), known)
    parser = Parser(f"hftlab {name}", description=description(known[name]), formatter_class=argparse.RawDescriptionHelpFormatter)
    options = Options(parser)
    act = known[name](options)
    try:
        given = parser.parse_args(words[len(name.split()) :], Given(command=shlex.join(["hftlab", *words])))
    except SystemExit as done:  # after --help
        return int(done.code or 0)
    options.check_outputs(given)
    with placement(given):
        return act(given)


def _is_there(group: str) -> bool:
    return group not in _FOLDERS or (Path(hftlab.__file__).parent / _FOLDERS[group]).is_dir()


def _fail(message: str, code: int = 2, kind: str = "error: ") -> int:
    print(f"hftlab: {kind}{message}", file=sys.stderr)
    return code


def _abandon_stdout() -> None:
    """What is still buffered has nowhere to go, and is not to be tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
