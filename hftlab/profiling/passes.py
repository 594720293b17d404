"""An engine over a feed, in this process and in one of its own, for tools that look at a process from outside.

    parent: pickles engine and feed into a folder, starts the tool on `python -c ... loop|mark FOLDER ...`
    child:  one pass to warm up, then the passes it was asked for

loop SECONDS  passes until the time is over; with the named pipes `control` and `ack` in the folder, perf counts only these
mark          for each last stage, tick to order: the first half of the feed, a mark, the second half, a mark
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.resolve import attribute
from hftlab.events import Events
from hftlab.feeds.feed import Feed, cut, messages
from hftlab.feeds.frames import Block
from hftlab.measurement.paired import gc_paused
from hftlab.profiling.result import Unavailable
from hftlab.settings import STAGES

Piece = Block | Events
Push = Callable[[Piece], Any]
#: Longest run of a tool, in seconds.
TOOL_S = 60
_MAIN = f"import sys; from {__name__} import main; main(sys.argv[1:])"


def open_session(engine: Engine, feed: Feed) -> tuple[Any, Push]:
    """A new session, and its method that takes the pieces of the feed.

    raises : Unavailable if the engine does not take what the feed carries
    """
    session = engine.open(engine.settings(feed, record="none"))
    name = "push" if feed.wire == "itch" else "push_events"
    push = getattr(session, name, None)
    if push is None:
        raise Unavailable(f"engine {engine.label} has no {name}, which the feed {feed.name} needs")
    return session, push


def stages(engine: Engine) -> tuple[str, ...]:
    """The stages of an engine, up to its last."""
    return STAGES[: STAGES.index(engine.settings().until) + 1]


def plain_ns(engine: Engine, feed: Feed, passes: int = 2) -> float:
    """ns in the engine's own loop of the faster of some passes without a profiler."""
    sessions = [open_session(engine, feed) for _ in range(passes)]
    for _, push in sessions:
        one_pass(push, feed)
    return float(min(session.elapsed_ns for session, _ in sessions))


def one_pass(push: Push, feed: Feed, enable: Callable[[], Any] = lambda: None, disable: Callable[[], Any] = lambda: None) -> None:
    """One pass over the feed, under a profiler of Python where one is enabled and disabled.

    raises : Unavailable where another one is active, of which Python 3.12 and newer allow one
    """
    pieces = list(feed.blocks() if feed.wire == "itch" else feed.event_blocks())
    with gc_paused():
        try:
            enable()
        except (ValueError, RuntimeError) as error:
            raise Unavailable(f"another profiler is active: {error}") from None
        try:
            for piece in pieces:
                push(piece)
        finally:
            disable()


def is_python(method: Callable[..., Any]) -> bool:
    """Whether a method of a session is Python code, which profilers of Python can look into."""
    return hasattr(getattr(method, "__func__", None), "__code__")


def count(feed: Feed) -> int:
    """Messages of the feed."""
    return sum(1 for _ in messages(feed)) if feed.wire == "itch" else sum(map(len, feed.event_blocks()))


def halves(feed: Feed) -> tuple[Piece, Piece, int]:
    """The first half of the feed, to warm up; the second half, and its messages."""
    total = count(feed)
    first, second = cut(feed, every=total - total // 2)
    return first, second, total // 2


def program(name: str) -> str:
    """The path of a program, on PATH or beside the interpreter. Raises Unavailable."""
    beside = Path(sys.executable).parent / name
    path = shutil.which(name) or (str(beside) if beside.is_file() else None)
    if path is None:
        raise Unavailable(f"{name} is not installed")
    return path


@contextmanager
def job(engine: Engine, feed: Feed) -> Iterator[Path]:
    """A folder from which a child reads engine and feed; removed afterwards.

    raises : Unavailable for an engine that another process cannot be given
    """
    owners = [engine.implementation, *engine.stages.values()]
    names = {getattr(owner, "__module__", None) or type(owner).__module__ for owner in owners}
    if "__main__" in names:
        raise Unavailable("a class of the notebook or script itself cannot be sent to another process; put it into a file")
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in names if "." not in name}
    try:
        paths = [os.path.abspath(entry or os.curdir) for entry in sys.path]
        pickled = pickle.dumps((paths, files)) + pickle.dumps((engine, feed))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise Unavailable(f"the engine cannot be sent to another process: {error}") from None
    with TemporaryDirectory(prefix="hftlab-profile-") as folder:
        (Path(folder) / "job").write_bytes(pickled)
        yield Path(folder)


def run_tool(command: list[str], longest_s: float = TOOL_S) -> list[str]:
    """Run a tool with the child under it to its end; returns its lines on stderr, or its exit code if there are none."""
    home = str(Path(__file__).resolve().parent.parent.parent)  # the child finds the same hftlab, and messages are in English
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    options: dict[str, Any] = {"env": {**os.environ, "PYTHONPATH": path, "LC_ALL": "C"}, "stdin": subprocess.DEVNULL}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=longest_s, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [type(error).__name__]
    return [line.strip() for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]


def child(what: str, folder: Path, *words: str) -> list[str]:
    """The command line of the child."""
    return [sys.executable, "-c", _MAIN, what, str(folder), *words]


def main(words: list[str]) -> None:
    """The child: what to do, the folder of the job; for loop the seconds, for mark the command that switches the tool on."""
    what, folder = words[0], Path(words[1])
    engine, feed = _received(folder)
    if what == "mark":
        _switch_on(words[2:])
        marked(engine, feed)
        sys.stdout.flush()
        os._exit(0)  # the exit of Python would be counted, at fifty times its cost
    engine.run(feed, record="none")
    _switch_perf(folder, "enable")
    messages, elapsed_ns = loop(engine, feed, float(words[2]))
    _switch_perf(folder, "disable")
    (folder / "ran").write_text(f"{messages} {elapsed_ns}")


def _received(folder: Path) -> tuple[Engine, Feed]:
    """Engine and feed of a job, with the modules that their classes are in."""
    with (folder / "job").open("rb") as file:
        sys.path[:], files = pickle.load(file)
        for name, path in files.items():
            if path and name not in sys.modules:
                _import(name, path)
        return pickle.load(file)  # type: ignore[no-any-return]


def _import(name: str, path: str) -> None:
    """By its name where that finds the same file, else by its file, which no package may hold."""
    spec = find_spec(name)
    if (spec is None or spec.origin != path) and path.endswith(".py"):
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


def marked(engine: Engine, feed: Feed) -> None:
    """The second half of the feed between marks, once for each last stage."""
    first, second, _ = halves(feed)
    for until in stages(engine):
        _, push = open_session(engine.replace(until=until), feed)
        push(first)
        os.getppid()  # the mark: a call that nothing else here makes
        push(second)
        os.getppid()


def _switch_perf(folder: Path, word: str) -> None:
    """Start or stop counting: perf listens at a pipe; without pipes in the folder nothing happens."""
    if (folder / "control").exists():
        (folder / "control").write_text(f"{word}\n")
        with (folder / "ack").open() as file:
            file.readline()


def _switch_on(command: list[str]) -> None:
    """Switch on the tool above this process by its own program. Waiting for it must not sleep: valgrind listens only to a process
    that runs."""
    switch = subprocess.Popen([command[0], f"--pid={os.getpid()}", *command[1:]], stdout=subprocess.DEVNULL)
    while switch.poll() is None:
        pass
