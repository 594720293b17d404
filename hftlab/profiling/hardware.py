"""instructions and counters: what the processor does per message, counted by callgrind and by perf stat at a child process.

instructions  A child runs the second half of the feed until each stage, after the first half as warm-up; at marks callgrind dumps
              its counts, and stages are differences of passes. The child switches it on when everything is imported, which
              would take a minute under it. Of the Rust engine only its loop is counted; of any other, its `push` with the
              interpreter. Caches and branch predictors are simulated: a plain processor's, not this one's.
counters      Virtual machines often have no counters of the processor; those of the kernel are there all the same.
"""

from __future__ import annotations

import os
from pathlib import Path

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.presentation.progress import track
from hftlab.profiling.passes import child, halves, job, program, run_tool, stages
from hftlab.profiling.result import Observation, Row, Unavailable, row_of

#: Event -> callgrind's codes for it, which are summed.
CALLGRIND_EVENTS = {
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
#: Longest run of callgrind, in seconds.
CALLGRIND_S = 240.0
#: Functions of the Rust engine inside which callgrind counts.
RUST_LOOPS = ("*run_bytes*", "*run_events*")

PROCESSOR = (
    *("cycles", "instructions", "branches", "branch-misses", "cache-references", "cache-misses"),
    *("L1-dcache-load-misses", "dTLB-load-misses"),
)
KERNEL = ("task-clock", "page-faults", "context-switches", "cpu-migrations")
#: Length of the counted passes under perf, in seconds.
PERF_S = 0.7


def instructions(engine: Engine, feed: Feed) -> Observation:
    """All stages under callgrind in one child.

    raises : Unavailable without valgrind, where it does not run the engine, or if the engine cannot be sent to a child
    """
    valgrind, vgdb = program("valgrind"), program("vgdb")
    with job(engine, feed) as folder:
        for _ in track([None], f"counting instructions of {engine.label}"):
            switch = [vgdb, f"--vgdb-prefix={folder / 'vgdb'}", "--wait=5", "instrumentation", "on"]
            command = [valgrind, *_options(folder, engine), *child("mark", folder, *switch)]
            reason = run_tool(command, CALLGRIND_S)[-1]
        dumps = sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        totals = [_totals(path.read_text(errors="replace")) for path in dumps]
    known = stages(engine)
    if len(totals) != 2 * len(known) or not totals[-1].get("Ir"):
        raise Unavailable(f"callgrind did not count: {reason}")
    _, _, messages = halves(feed)
    rows: list[Row] = []
    for event, codes in CALLGRIND_EVENTS.items():
        until = [sum(dump.get(code, 0) for code in codes) / messages for dump in totals[1::2]]
        for stage, before, after in zip(known, [0.0, *until], until, strict=False):
            rows.append(row_of("instructions", stage, event, "+".join(codes), after - before, after))
    what = "the engine's loop alone" if engine.backend == "rust" else "push with the interpreter"
    remarks = [
        f"counted: {what}, {messages:,} messages after as many to warm up; stages are differences of passes",
        "caches and branch predictors are simulated; each pass has its own memory, so a difference of misses may be below 0",
    ]
    return Observation(rows, remarks)


def _options(folder: Path, engine: Engine) -> list[str]:
    loops = ["--collect-atstart=no", *(f"--toggle-collect={name}" for name in RUST_LOOPS)] if engine.backend == "rust" else []
    switches = ["--tool=callgrind", "--vgdb=yes", "--instr-atstart=no", "--cache-sim=yes", "--branch-sim=yes"]
    files = [f"--vgdb-prefix={folder / 'vgdb'}", f"--callgrind-out-file={folder / 'out'}"]
    return [*switches, *files, "--dump-before=getppid", *loops]


def _totals(dump: str) -> dict[str, int]:
    """Code -> count of one dump, whose line of totals leaves out zeros at its end."""
    lines = dict(line.split(": ", 1) for line in dump.splitlines() if line.startswith(("events: ", "totals: ")))
    counts = map(int, lines.get("totals", "").split())
    return dict(zip(lines.get("events", "").split(), counts, strict=False))


def counters(engine: Engine, feed: Feed) -> Observation:
    """One pass to warm up, then passes for seven tenths of a second, which alone are counted.

    raises : Unavailable without perf, where it may not count or is too old, or if the engine cannot be sent to a child
    """
    perf = program("perf")
    with job(engine, feed) as folder:
        for _ in track([None], f"counting events of {engine.label}"):
            reason = _perf_stat(perf, folder)
        ran, out = folder / "ran", folder / "stat"
        counts = parse(out.read_text(errors="replace")) if out.is_file() else {}
        if not counts or not ran.is_file():
            raise Unavailable(f"perf stat did not count: {reason}")
        messages, elapsed_ns = map(int, ran.read_text().split())
    rows = []
    for event in (*PROCESSOR, *KERNEL):
        value, share = counts.get(event, (None, None))
        source, unit = "processor" if event in PROCESSOR else "kernel", "ns" if event == "task-clock" else "events"
        rows.append(row_of("counters", event, source, unit, value, None if value is None else value / messages, share))
    remark = (
        f"{messages:,} messages, {elapsed_ns / messages:,.1f} ns each in the engine's own loop; "
        "counted: the process from pass to pass, the opening of sessions included"
    )
    missing = "" if counts.keys() & set(PROCESSOR) else "counters: perf finds no counters of the processor on this machine"
    return Observation(rows, [remark], missing=missing)


def _perf_stat(perf: str, folder: Path) -> str:
    """Run the child under perf, which counts while the child tells it to; returns the first line of its messages."""
    pipes = [folder / "control", folder / "ack"]
    for pipe in pipes:
        os.mkfifo(pipe)
    out = ["--field-separator=;", f"--output={folder / 'stat'}"]
    when = ["--delay=-1", f"--control=fifo:{pipes[0]},{pipes[1]}", f"--event={','.join((*PROCESSOR, *KERNEL))}"]
    return run_tool([perf, "stat", *out, *when, "--", *child("loop", folder, str(PERF_S))])[0]


def parse(text: str) -> dict[str, tuple[float, float]]:
    """event -> (count, share of the time in which it was counted), without the events that the machine does not count."""
    out = {}
    for line in text.splitlines():
        fields = line.split(";")
        if len(fields) < 5 or not fields[0].replace(".", "", 1).isdigit():
            continue
        value = float(fields[0]) * (1e6 if fields[1] == "msec" else 1.0)
        out[fields[2].partition(":")[0]] = (value, float(fields[4] or 100) / 100)
    return out
