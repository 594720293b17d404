"""Why a message was slow: what the system and the engine counted around it, held against the time it took beyond the usual.

A feed runs in blocks, and between two of them every counter is read: the thread's processor time and page faults (getrusage),
its switches, interrupts, softirqs and steal (/proc, by core where it is pinned), the engine's own memory. A slow message has the
deltas of its block. A count says that something happened somewhere in the block; it is the cause only if its size fits the time
that is to be explained, so that "unknown" is an answer.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise
from statistics import median
from time import perf_counter_ns, thread_time_ns
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.session import Session
from hftlab.engine.timing import Capture
from hftlab.feeds.feed import Feed, cut
from hftlab.measurement import system
from hftlab.measurement.paired import gc_paused

#: Messages of a block, and blocks at most: reading the counters takes longer than most blocks.
BLOCK, MAX_BLOCKS = 50, 1_000
#: A table grew if the engine's memory did by such a share within a block, and by so many bytes.
GROWN_SHARE, GROWN_BYTES = 0.1, 4_096
#: A message that touches what nothing touched for so many messages finds it in no near cache; that costs at most so many ns.
OLD, COLD_NS = 2_000, 300_000
#: An interrupt or a softirq takes at most so long; a page fault that reads no disk, too, for each page, and for each huge page.
INTERRUPT_NS, FAULT_NS, HUGE_FAULT_NS = 250_000, 20_000, 1_000_000


class Cause(StrEnum):
    """Why a message was slow."""

    QUEUEING = "queueing"  # behind another message: it was due before the engine was free
    GROWTH = "table growth"
    SWITCH = "context switch"
    STEAL = "steal"
    FAULT = "page fault"
    SOFTIRQ = "softirq"
    INTERRUPT = "interrupt"
    COLD = "cold cache"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Evidence:
    """What was counted in the block of one message; a count beyond that of a usual block.

    off_core_ns : time in which the thread did not run: asleep, or another thread had the core
    steal_ns    : that the hypervisor gave to somebody else, in steps of 10 ms
    grown_bytes : of the engine's tables, with `memory_bytes` before
    waited_ns   : that the message waited for those before it, from when it was due; 0 in a replay
    age         : messages since another one touched the same order; None if none did, or where nobody looked
    """

    off_core_ns: int = 0
    switches: int = 0
    faults: int = 0
    major_faults: int = 0
    interrupts: int = 0
    softirqs: int = 0
    steal_ns: int = 0
    grown_bytes: int = 0
    memory_bytes: int = 0
    waited_ns: int = 0
    age: int | None = None

    def cause(self, excess_ns: float) -> Cause:
        """The cause that fits a time beyond the usual: the first in the order of `Cause` whose size does."""
        explains = {
            Cause.QUEUEING: self.waited_ns >= excess_ns / 2 > 0,
            Cause.GROWTH: self.grown_bytes >= max(GROWN_BYTES, GROWN_SHARE * self.memory_bytes),
            Cause.SWITCH: self.switches > 0 and _fits(self.off_core_ns, excess_ns),
            Cause.STEAL: self.steal_ns > 0 and self.steal_ns >= excess_ns / 2,
            Cause.FAULT: self.major_faults > 0 or 0 < excess_ns <= _fault_ns() * self.faults,
            Cause.SOFTIRQ: self.softirqs > 0 and excess_ns <= INTERRUPT_NS,
            Cause.INTERRUPT: self.interrupts > 0 and excess_ns <= INTERRUPT_NS,
            Cause.COLD: self.age is not None and self.age >= OLD and excess_ns <= COLD_NS,
        }
        return next((cause for cause, fits in explains.items() if fits), Cause.UNKNOWN)


def _fits(ns: float, excess_ns: float) -> bool:
    """Whether a time within the block can be most of the excess, and not far more: then it fell on another message."""
    return excess_ns / 2 <= ns <= 2 * excess_ns + 100_000


@cache
def _fault_ns() -> int:
    """Of a fault here: where the system gives huge pages unasked, it clears two megabytes."""
    return HUGE_FAULT_NS if system.chosen("sys/kernel/mm/transparent_hugepage/enabled") == "always" else FAULT_NS


class Counters:
    """The counters around the calling thread, read one after the other."""

    def __init__(self) -> None:
        allowed = system.affinity()
        self._core = allowed[0] if len(allowed) == 1 else None

    def read(self) -> dict[str, int]:
        """Each by its name; 0 for what this system does not tell."""
        cpu, wall = thread_time_ns(), perf_counter_ns()
        out = {"off_core_ns": wall - cpu, **_usage()}
        out |= {name: self._sum(f"proc/{name}") for name in ("interrupts", "softirqs")}
        stolen = system.steal()
        return {**out, "steal_ns": int(stolen[0] * 1e9) if stolen else 0}

    def _sum(self, path: str) -> int:
        """All counts of a table with a column per core: of this core where the thread is pinned, else of every one."""
        head, *lines = system.read(path).splitlines() or [""]
        columns = len(head.split())
        counts = [line.partition(":")[2].split()[:columns] for line in lines]
        place = slice(None) if self._core is None or self._core >= columns else slice(self._core, self._core + 1)
        return sum(int(count) for row in counts for count in row[place] if count.isdigit())


def _usage() -> dict[str, int]:
    """Switches and page faults of the calling thread."""
    names = ("switches", "faults", "major_faults")
    if sys.platform != "linux":
        return dict.fromkeys(names, 0)
    import resource

    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return dict(zip(names, (usage.ru_nvcsw + usage.ru_nivcsw, usage.ru_minflt, usage.ru_majflt), strict=True))


def record(engine: Engine, feed: Feed, slowest: int) -> tuple[list[Capture], dict[int, Evidence]]:
    """Run a feed in blocks with the counters read between them; the slowest messages, and the evidence of each by its number.

    No captures from an engine that keeps none. The messages of a long feed come in blocks that are larger, not in more of them
    """
    settings = engine.settings(feed, record="none", latency="stages", slowest=slowest, keep="histogram", warm_up=feed.warm_up)
    session = engine.open(settings)
    push = session.push if feed.wire == "itch" else session.push_events
    filling, rest = feed.parts()
    if filling is not None:
        push(filling)
    pieces = list(cut(rest, every=BLOCK))
    together = -(-len(pieces) // MAX_BLOCKS)
    reads, counters = [{**Counters().read(), **_memory(session)}], Counters()
    with gc_paused():
        for at in range(0, len(pieces), together):
            for piece in pieces[at : at + together]:
                push(piece)
            reads.append({**counters.read(), **_memory(session)})
    blocks, captures, evidence = _evidence(reads), [], {}
    for at, first, rows in session.finish().get("slowest") or ():
        captures.append(Capture(at + feed.warm_up, first + feed.warm_up, rows))
        if at // (BLOCK * together) < len(blocks):
            evidence[at + feed.warm_up] = blocks[at // (BLOCK * together)]
    return captures, evidence


def _memory(session: Session) -> dict[str, int]:
    memory: Mapping[str, int] = session.counters()["memory"]
    return {"memory_bytes": memory["order_bytes"] + memory["level_bytes"]}


def _evidence(reads: Sequence[dict[str, int]]) -> list[Evidence]:
    """Of every block: what was counted in it beyond the median of all blocks."""
    names = [name for name in reads[0] if name != "memory_bytes"]
    deltas = {name: [after[name] - before[name] for before, after in pairwise(reads)] for name in names}
    usual = {name: int(median(values)) for name, values in deltas.items() if values}
    return [
        Evidence(
            **{name: max(values[at] - usual[name], 0) for name, values in deltas.items()},
            grown_bytes=reads[at + 1]["memory_bytes"] - reads[at]["memory_bytes"],
            memory_bytes=reads[at]["memory_bytes"],
        )
        for at in range(len(reads) - 1)
    ]


def ages(events: Any, numbers: Sequence[int]) -> dict[int, int | None]:
    """Messages since another one touched the same order, for some message numbers. events : of the feed up to the last of them"""
    out: dict[int, int | None] = {}
    for at in numbers:
        order = int(events["order_id"][at])
        before = events[:at]
        touched = np.flatnonzero((before["order_id"] == order) | (before["new_order_id"] == order))
        out[at] = at - int(touched[-1]) if order and touched.size else None
    return out
