"""counters: what the processor and the kernel count per message, by perf stat at a process of its own.

Virtual machines often have no counters of the processor; those of the kernel are there all the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.presentation.progress import track
from hftlab.profiling import child
from hftlab.profiling.result import Found, Missing, Row
from hftlab.profiling.where import program

if TYPE_CHECKING:
    from hftlab.profiling.result import Profile

MESSAGES = {"python": 20_000, "rust": 200_000}
COLUMNS: dict[str, type] = {
    "event": str,
    "source": str,
    "unit": str,
    "count": float,
    "per_message": float,
    "measured_share": float,
}
HARDWARE = (
    "cycles",
    "instructions",
    "branches",
    "branch-misses",
    "cache-references",
    "cache-misses",
    "L1-dcache-load-misses",
    "dTLB-load-misses",
)
SOFTWARE = ("task-clock", "page-faults", "context-switches", "cpu-migrations")
NOT_HERE = "counters: not supported here"
SECONDS = 0.7


def look(engine: Engine, feed: Feed) -> Found:
    """One pass to warm up, then passes for seven tenths of a second, which alone are counted.

    raises : Missing without perf, where it may not count or is too old, or if the engine cannot be sent to a child
    """
    perf = program("perf")
    with child.job(engine, feed) as folder:
        said = ""
        for _ in track([None], f"counting events of {engine.label}"):
            said = _stat(perf, folder)
        ran, out = folder / "ran", folder / "stat"
        counted = parse(out.read_text(errors="replace")) if out.is_file() else {}
        if not counted or not ran.is_file():
            raise Missing(f"perf stat did not count: {said}")
        messages, elapsed_ns = map(int, ran.read_text().split())
    rows = [_row(event, counted.get(event), messages) for event in (*HARDWARE, *SOFTWARE)]
    there = any(row["count"] is not None for row in rows if row["source"] == "processor")
    notes = [
        f"{messages:,} messages, {elapsed_ns / messages:,.1f} ns each in the engine's own loop; "
        "counted is the process from pass to pass, opening a session with it"
    ]
    return Found(rows, notes, missing="" if there else f"{NOT_HERE} (this machine shows no counters of its processor to perf)")


def _stat(perf: str, folder: Path) -> str:
    """Run the child under perf, which counts only while the child says so; returns what was said last."""
    pipes = [folder / "control", folder / "ack"]
    for pipe in pipes:
        os.mkfifo(pipe)
    command = [
        perf,
        "stat",
        "--field-separator=;",
        f"--output={folder / 'stat'}",
        "--delay=-1",
        f"--control=fifo:{pipes[0]},{pipes[1]}",
        f"--event={','.join((*HARDWARE, *SOFTWARE))}",
        "--",
        *child.command("loop", folder, str(SECONDS)),
    ]
    return child.run(command)[0]


def parse(text: str) -> dict[str, tuple[float, float]]:
    """event -> (count, share of the time in which it was counted); what the machine does not count is not in it."""
    out = {}
    for line in text.splitlines():
        fields = line.split(";")
        if len(fields) < 5 or not fields[0].replace(".", "", 1).isdigit():
            continue
        value = float(fields[0]) * (1e6 if fields[1] == "msec" else 1.0)
        out[fields[2].partition(":")[0]] = (value, float(fields[4] or 100) / 100)
    return out


def _row(event: str, counted: tuple[float, float] | None, messages: int) -> Row:
    source = "processor" if event in HARDWARE else "kernel"
    value, share = counted or (None, None)
    unit = "ns" if event == "task-clock" else "events"
    found = (event, source, unit, value, None if value is None else value / messages, share)
    return dict(zip(COLUMNS, found, strict=True))


def chart(profile: Profile) -> Any:
    """Each event per message on a log scale; those that the machine does not count are named."""
    from hftlab.charts import dot_chart

    rows = [
        {
            "label": f"{row['event']}, {row['unit']}" if row["unit"] == "ns" else row["event"],
            "value": row["per_message"],
            "group": row["source"],
        }
        for row in profile.rows
    ]
    return dot_chart(rows, "What is counted for a message", profile.subtitle(), "per message (log scale)")
