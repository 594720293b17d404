"""instructions: what the processor is asked to do per message and stage, counted by callgrind, whatever else the machine does.

A child runs the second half of the feed until each stage, after the first half as warm-up; at marks callgrind writes down what it
has counted, and stages are differences of passes. It is switched on only when everything is imported, which would take a minute
under it. Of the Rust engine nothing but its loop is counted; of any other, what its `push` does, the interpreter with it. Caches
and branch predictors are simulated: they say what a plain processor would do, not what this one does.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.presentation.progress import track
from hftlab.profiling import child
from hftlab.profiling.passes import stages
from hftlab.profiling.pieces import count
from hftlab.profiling.result import Found, Missing, Row
from hftlab.profiling.where import program

if TYPE_CHECKING:
    from hftlab.profiling.result import Profile

MESSAGES = {"python": 2_000, "rust": 20_000}
COLUMNS: dict[str, type] = {"stage": str, "event": str, "code": str, "per_message": float, "until_per_message": float}
#: callgrind's events in plain words; those that are summed stand together.
EVENTS = {
    "instructions": ("Ir",),
    "data reads": ("Dr",),
    "data writes": ("Dw",),
    "conditional branches": ("Bc",),
    "conditional branches mispredicted": ("Bcm",),
    "indirect jumps": ("Bi",),
    "indirect jumps mispredicted": ("Bim",),
    "first-level instruction misses": ("I1mr",),
    "first-level data misses": ("D1mr", "D1mw"),
    "last-level data misses": ("DLmr", "DLmw"),
}
#: What the chart shows, a panel each.
PANELS = ("instructions", "conditional branches mispredicted", "indirect jumps mispredicted", "first-level data misses")
PATIENCE_S = 240.0
RUST_LOOPS = ("*run_bytes*", "*run_events*")


def look(engine: Engine, feed: Feed) -> Found:
    """All stages under callgrind in one child.

    raises : Missing without valgrind, where it does not run the engine, or if the engine cannot be sent to a child
    """
    valgrind, vgdb = program("valgrind"), program("vgdb")
    with child.job(engine, feed) as folder:
        said = ""
        for _ in track([None], f"counting instructions of {engine.label}"):
            said = _run([valgrind, *_options(folder, engine)], vgdb, folder)
        known = stages(engine)
        totals = [_totals(path) for path in sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))]
    if len(totals) != 2 * len(known) or not totals[-1].get("Ir"):
        raise Missing(f"callgrind did not count: {said}")
    messages = count(feed) // 2
    rows: list[Row] = []
    for event, codes in EVENTS.items():
        until = [sum(one.get(code, 0) for code in codes) / messages for one in totals[1::2]]
        for stage, before, after in zip(known, [0.0, *until], until, strict=False):
            rows.append(dict(zip(COLUMNS, (stage, event, "+".join(codes), after - before, after), strict=True)))
    what = "its loop alone" if engine.backend == "rust" else "the whole of its push, the interpreter with it"
    notes = [
        f"counted is {what}, on {messages:,} messages after as many to warm up; stages are differences of passes",
        "caches and branch predictors are simulated: misses are those of a plain processor; every pass has memory of its own, "
        "so a difference of misses may come out below 0",
    ]
    return Found(rows, notes)


def _options(folder: Path, engine: Engine) -> list[str]:
    loop = ["--collect-atstart=no", *(f"--toggle-collect={name}" for name in RUST_LOOPS)] if engine.backend == "rust" else []
    return [
        "--tool=callgrind",
        f"--vgdb-prefix={folder / 'vgdb'}",
        "--vgdb=yes",
        "--instr-atstart=no",
        "--cache-sim=yes",
        "--branch-sim=yes",
        "--dump-before=getppid",
        f"--callgrind-out-file={folder / 'out'}",
        *loop,
        *child.command("mark", folder),
    ]


def _run(command: list[str], vgdb: str, folder: Path) -> str:
    """Start the child, switch callgrind on when it is ready, wait for its end; returns what was said last."""
    end = time.monotonic() + PATIENCE_S
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=child.environment()
        )
        try:
            while process.poll() is None and not (folder / "ready").exists() and time.monotonic() < end:
                time.sleep(0.02)
            if process.poll() is None:
                told = [vgdb, f"--pid={process.pid}", f"--vgdb-prefix={folder / 'vgdb'}", "--wait=5", "instrumentation", "on"]
                subprocess.run(told, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
                (folder / "go").touch()
            process.wait(max(end - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired:
            return f"it took more than {PATIENCE_S:.0f} s"
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return said[-1] if said else f"exit code {process.returncode}"


def _totals(path: Path) -> dict[str, int]:
    """Events of one dump; zeros at the end of its line are left out."""
    head = dict(line.split(": ", 1) for line in path.read_text(errors="replace").splitlines() if line.startswith(_HEADS))
    counts = map(int, head.get("totals", "").split())
    return dict(zip(head.get("events", "").split(), counts, strict=False))


_HEADS = ("events: ", "totals: ")


def chart(profile: Profile) -> Any:
    """A panel per event, a bar per stage."""
    from hftlab.charts import panel_chart

    rows = [
        {"panel": row["event"], "label": row["stage"], "value": row["per_message"]}
        for row in profile.rows
        if row["event"] in PANELS
    ]
    return panel_chart(rows, "What a message costs, stage by stage", profile.subtitle(), "per message, simulated")
