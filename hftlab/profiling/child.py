"""The same engine over the same feed in a process of its own, for tools that look at processes from outside.

    parent: pickles engine and feed into a folder, starts the tool on `python -m hftlab.profiling.child loop|mark FOLDER ...`
    child:  one pass to warm up, then what it was asked for

loop SECONDS  passes until the time is over; with the named pipes `control` and `ack` in the folder, perf counts these alone
mark          for each last stage, tick to order: the first half of the feed, mark(), the second half, mark()
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.profiling.passes import stages
from hftlab.profiling.pieces import cut
from hftlab.profiling.result import Missing

#: Longest wait for the tool to open its pipe, in seconds.
PATIENCE_S = 10.0
#: Longest run of a tool, in seconds.
WHOLE_S = 60


class Unsendable(Missing):
    """An engine that another process cannot be given."""


@contextmanager
def job(engine: Engine, feed: Feed) -> Iterator[Path]:
    """A folder from which a child reads engine and feed; removed afterwards.

    raises : Unsendable, with the reason
    """
    owners = [engine.implementation, *engine.stages.values()]
    names = {getattr(owner, "__module__", None) or type(owner).__module__ for owner in owners}
    if "__main__" in names:
        raise Unsendable("a class of the notebook or script itself cannot be sent to another process; put it into a file")
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in names if "." not in name}
    try:
        sent = pickle.dumps(([os.path.abspath(entry or os.curdir) for entry in sys.path], files)) + pickle.dumps((engine, feed))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise Unsendable(f"the engine cannot be sent to another process: {error}") from None
    with TemporaryDirectory(prefix="hftlab-profile-") as folder:
        (Path(folder) / "job").write_bytes(sent)
        yield Path(folder)


def run(command: list[str]) -> list[str]:
    """Run a tool with the child under it to its end; returns what it said on stderr, or its exit code if that is nothing."""
    streams: dict[str, Any] = {"capture_output": True, "text": True, "errors": "replace", "stdin": subprocess.DEVNULL}
    try:
        done = subprocess.run(command, timeout=WHOLE_S, check=False, env=environment(), **streams)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [type(error).__name__]
    return [line.strip() for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]


def command(what: str, folder: Path, *words: str) -> list[str]:
    """The command line of the child."""
    return [sys.executable, "-m", __name__, what, str(folder), *words]


def environment() -> dict[str, str]:
    """For the tool and its child: the child finds the same hftlab, and what is said is in one language."""
    home = str(Path(__file__).resolve().parent.parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")])), "LC_ALL": "C"}


def received(folder: Path) -> tuple[Engine, Feed]:
    """What `job` has left."""
    with (folder / "job").open("rb") as file:
        sys.path[:], files = pickle.load(file)
        for name, path in files.items():
            if path and name not in sys.modules:
                _import(name, path)
        return pickle.load(file)  # type: ignore[no-any-return]


def _import(name: str, path: str) -> None:
    """By its name where that finds the same file, else by its file, which no package may hold."""
    from importlib.util import find_spec

    spec = find_spec(name)
    if (spec is None or spec.origin != path) and path.endswith(".py"):
        from hftlab.engine.resolve import attribute

        attribute(f"{path}:__name__")


def loop(engine: Engine, feed: Feed, seconds: float) -> tuple[int, int]:
    """Passes over the whole feed until the time is over; returns (messages, ns in the engine's own loop)."""
    messages = elapsed_ns = 0
    end = time.perf_counter() + seconds
    while not messages or time.perf_counter() < end:
        run = engine.run(feed, record="none")
        messages += run.messages
        elapsed_ns += run.elapsed_ns
    return messages, elapsed_ns


def mark() -> None:
    """A call that nothing else here makes, by which a tool finds the beginning and the end."""
    os.getppid()


def marked(engine: Engine, feed: Feed) -> None:
    """The second half of the feed between marks, once for each last stage."""
    first, second = cut(feed, 2)
    for until in stages(engine):
        one = engine.replace(until=until)
        session = one.open(one.settings(feed, record="none"))
        push: Any = session.push if feed.wire == "itch" else session.push_events
        push(first)
        mark()
        push(second)
        mark()


class Control:
    """perf starts and stops to count when it is told so through a pipe; without pipes in the folder nothing is told."""

    def __init__(self, folder: Path) -> None:
        self.pipes = [folder / "control", folder / "ack"]

    def tell(self, word: str) -> None:
        control, ack = self.pipes
        if control.exists():
            control.write_text(f"{word}\n")
            with ack.open() as file:
                file.readline()


def main(words: list[str]) -> None:
    what, folder, *more = words
    engine, feed = received(Path(folder))
    if what == "mark":
        instrument(Path(folder))
        marked(engine, feed)
        sys.stdout.flush()
        os._exit(0)  # what Python does when it ends would be counted, at fifty times its cost
    engine.run(feed, record="none")
    control = Control(Path(folder))
    control.tell("enable")
    messages, elapsed_ns = loop(engine, feed, float(more[0]))
    control.tell("disable")
    (Path(folder) / "ran").write_text(f"{messages} {elapsed_ns}")


def instrument(folder: Path) -> None:
    """Say that everything is imported, then wait to be told that the tool looks. Waiting must not sleep: valgrind listens only
    to a process that runs."""
    (folder / "ready").touch()
    end = time.monotonic() + PATIENCE_S
    while not (folder / "go").exists() and time.monotonic() < end:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
