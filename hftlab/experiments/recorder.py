"""The slowest messages of a run, with what the system and the engine counted around each, and the cause that this tells.

A feed runs in blocks, and between two of them every counter is read: the thread's processor time and page faults (getrusage),
its switches, interrupts, softirqs and steal (/proc, by core where it is pinned), the engine's own memory. A slow message has the
deltas of its block; where the kernel lets us trace, also how long the interrupts in it took.

A count says that something happened somewhere near the message; it is the cause only if its size fits the time that is to be
explained, so that "unknown" is an answer.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from statistics import median
from time import perf_counter_ns, thread_time_ns
from types import TracebackType
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.session import Session
from hftlab.engine.timing import Capture
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed, cut
from hftlab.measurement import system
from hftlab.measurement.paired import gc_paused
from hftlab.measurement.tracing import INTERRUPT, SOFTIRQ, InterruptTrace
from hftlab.settings import STAGES

#: A table grew if the engine's memory did by this share within a block, and by this many bytes.
GROWN_SHARE, GROWN_BYTES = 0.1, 4_096
#: A message that touches what nothing touched for OLD messages, or that comes after the engine was idle for IDLE_NS, finds the
#: caches filled with something else; that costs at most COLD_NS.
OLD, IDLE_NS, COLD_NS = 2_000, 50_000, 100_000
#: An interrupt takes at most so long, and so does a softirq; a page fault that reads no disk, too, for each page and huge page.
INTERRUPT_NS, FAULT_NS, HUGE_FAULT_NS = 150_000, 20_000, 1_000_000
#: What is over sooner was no interrupt, though one was counted in the same block.
SHORTEST_NS = 2_000
#: Traced is what the handler takes; entering and leaving it, in a virtual machine by way of the hypervisor, takes up to three
#: times as long again.
ENTERED = 0.25


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
    """What was counted around one message; a count beyond that of a usual block of messages.

    off_core_ns  : time in which the thread did not run: asleep, or another thread had the core
    steal_ns     : that the hypervisor gave to somebody else, in steps of 10 ms
    interrupt_ns : that interrupts took on the core of the thread, softirq_ns that softirqs did; None where nobody traced them
    grown_bytes  : of the engine's tables, with `memory_bytes` before
    waited_ns    : that the message waited for those before it, from when it was due; 0 in a replay
    idle_ns      : that the engine had nothing to do before it
    age          : messages since another one touched the same order; None if none did, or where nobody looked
    """

    off_core_ns: int = 0
    switches: int = 0
    faults: int = 0
    major_faults: int = 0
    interrupts: int = 0
    softirqs: int = 0
    steal_ns: int = 0
    interrupt_ns: int | None = None
    softirq_ns: int | None = None
    grown_bytes: int = 0
    memory_bytes: int = 0
    waited_ns: int = 0
    idle_ns: int = 0
    age: int | None = None

    def cause(self, excess_ns: float) -> Cause:
        """The cause that fits a time beyond the usual: the first in the order of `Cause` whose size does."""
        cold = self.idle_ns >= IDLE_NS or (self.age is not None and self.age >= OLD)
        explains = {
            Cause.QUEUEING: self.waited_ns >= excess_ns / 2 > 0,
            Cause.GROWTH: self.grown_bytes >= max(GROWN_BYTES, GROWN_SHARE * self.memory_bytes),
            Cause.SWITCH: self.switches > 0 and _fits(self.off_core_ns, excess_ns),
            Cause.STEAL: self.steal_ns > 0 and self.steal_ns >= excess_ns / 2,
            Cause.FAULT: self.major_faults > 0 or 0 < excess_ns <= _fault_ns() * self.faults,
            Cause.SOFTIRQ: self._softirq(excess_ns),
            Cause.INTERRUPT: _explains(self.interrupts, self.interrupt_ns, excess_ns),
            Cause.COLD: cold and excess_ns <= COLD_NS,
        }
        return next((cause for cause, fits in explains.items() if fits), Cause.UNKNOWN)

    def _softirq(self, excess_ns: float) -> bool:
        """Softirqs, where interrupts that raise none do not outnumber them, or take longer."""
        more = 2 * self.softirqs > self.interrupts if self.softirq_ns is None else self.softirq_ns > (self.interrupt_ns or 0)
        return more and _explains(self.softirqs, self.softirq_ns, excess_ns)


def _explains(count: int, ns: int | None, excess_ns: float) -> bool:
    """Whether interrupts can be the excess: by the time they took, or, where nobody traced it, by how many there were."""
    if ns is None:
        return SHORTEST_NS <= excess_ns <= INTERRUPT_NS * count
    return _fits(ns, excess_ns, ENTERED)


def _fits(ns: float, excess_ns: float, share: float = 0.5) -> bool:
    """Whether a time within the block can be such a share of the excess, and not far more: then it fell on another message."""
    return share * excess_ns <= ns <= 2 * excess_ns + 100_000


@cache
def _fault_ns() -> int:
    """Of a fault here: where the system gives huge pages unasked, it clears two megabytes."""
    return HUGE_FAULT_NS if system.chosen("sys/kernel/mm/transparent_hugepage/enabled") == "always" else FAULT_NS


#: Messages of a block, and blocks at most: reading the counters takes longer than most blocks.
BLOCK, MAX_BLOCKS = 50, 1_000
#: Messages around a slow one of an open loop.
AROUND = 20
LONGEST_S = 600


class Counters:
    """The counters around the calling thread, read one after the other."""

    def __init__(self) -> None:
        allowed = system.affinity()
        self._core = allowed[0] if len(allowed) == 1 else None

    def read(self) -> dict[str, int]:
        """Each by its name; 0 for what this system does not tell."""
        return {**self.thread(), **self.system()}

    def thread(self) -> dict[str, int]:
        """Those of the calling thread, which are quick to read."""
        cpu, wall = thread_time_ns(), perf_counter_ns()
        return {"off_core_ns": wall - cpu, **_usage()}

    def system(self) -> dict[str, int]:
        """Those of the core, or of all cores, which the system writes as text."""
        out = {name: self._sum(f"proc/{name}") for name in ("interrupts", "softirqs")}
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


class _Blocks:
    """A context that reads the counters around a session's blocks of `size` messages, and gives the evidence of each block."""

    def __init__(self, session: Session, size: int) -> None:
        self.size, self._session, self._counters = size, session, Counters()
        self._ends: list[dict[str, int]] = []  # of each block, and of what came before the first
        self._begins: list[dict[str, int]] = []  # the same without what the reading itself has counted
        # Traced as long as the interrupts are known to have hit the thread: it has one core.
        allowed = system.affinity()
        self._trace = InterruptTrace(allowed) if len(allowed) == 1 else None

    def __enter__(self) -> _Blocks:
        if self._trace:
            self._trace.__enter__()
        self._counters.read()  # once for the memory that reading needs
        self.read()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._trace:
            self._trace.__exit__(kind, value, trace)

    def read(self) -> int:
        """The end of a block, and the beginning of the next; returns how many ns the reading took."""
        begin, ended = perf_counter_ns(), self._counters.thread()
        memory = self._session.counters()["memory"]
        between = {**self._counters.system(), "memory_bytes": memory["order_bytes"] + memory["level_bytes"]}
        self._ends.append({**ended, **between, "at_ns": begin})
        self._begins.append({**self._counters.thread(), **between, "at_ns": perf_counter_ns()})
        return perf_counter_ns() - begin

    def evidence(self) -> list[Evidence]:
        """Of every block: what was counted in it beyond the median of all blocks."""
        blocks = list(zip(self._begins, self._ends[1:], strict=False))
        names = [name for name in self._ends[0] if name not in ("memory_bytes", "at_ns")]
        deltas = {name: [end[name] - begin[name] for begin, end in blocks] for name in names}
        usual = {name: int(median(values)) for name, values in deltas.items() if values}
        out = []
        for at, (begin, end) in enumerate(blocks):
            beyond = {name: max(values[at] - usual[name], 0) for name, values in deltas.items()}
            grown, window = end["memory_bytes"] - begin["memory_bytes"], (begin["at_ns"], end["at_ns"])
            interrupt, softirq = (self._trace.spent(kind, *window) if self._trace else None for kind in (INTERRUPT, SOFTIRQ))
            found = Evidence(**beyond, grown_bytes=grown, memory_bytes=begin["memory_bytes"])
            out.append(replace(found, interrupt_ns=interrupt, softirq_ns=softirq))
        return out


def record(engine: Engine, feed: Feed, slowest: int) -> tuple[list[Capture], dict[int, Evidence]]:
    """Run a feed as fast as it goes; the slowest messages after its warm-up, and the evidence of each by its number.

    No captures from an engine that keeps none. The messages of a long feed come in blocks that are larger, not in more of them
    """
    session, push, pieces = opened(engine, feed, BLOCK, latency="stages", slowest=slowest, keep="histogram")
    together = -(-len(pieces) // MAX_BLOCKS)
    with gc_paused(), _Blocks(session, BLOCK * together) as blocks:
        for at in range(0, len(pieces), together):
            for piece in pieces[at : at + together]:
                push(piece)
            blocks.read()
    captures = [Capture(*each) for each in session.finish().get("slowest") or ()]
    return _counted(captures, blocks, feed.warm_up)


def record_open_loop(
    engine: Engine, feed: Feed, slowest: int, rate: float, messages: int
) -> tuple[list[Capture], dict[int, Evidence]]:
    """The same of messages sent at a fixed rate, a call each: the slowest from when they were due, with how long each waited.

    The schedule stands still while the counters are read. No captures from an engine that stamps nothing
    """
    check_rate(rate, messages)
    session, push, calls = opened(engine, feed.head(messages), latency="stages", keep="samples")
    size, interval, sent = BLOCK * -(-len(calls) // (BLOCK * MAX_BLOCKS)), 1e9 / rate, []
    with gc_paused(), _Blocks(session, size) as blocks:
        due = perf_counter_ns()
        for at in range(0, len(calls), size):
            sent.append(send(push, calls[at : at + size], due, interval))
            due += int(len(sent[-1]) * interval) + blocks.read()
    latency = session.finish()["latency"]
    if latency is None:
        return [], {}
    times, stages = np.concatenate(sent), np.cumsum([latency[stage][-len(calls) :] for stage in STAGES], axis=0)
    start, waited = times[:, 1], times[:, 1] - times[:, 0]
    stamps = np.vstack([start, start + stages]).T
    places = np.argsort(-(waited + stages[-1]), kind="stable")[:slowest]
    firsts = np.maximum(places - AROUND, 0)
    captures = [
        Capture(int(at), int(first), stamps[first : at + AROUND + 1] - start[0]) for at, first in zip(places, firsts, strict=True)
    ]
    captures, evidence = _counted(captures, blocks, feed.warm_up)
    return captures, {at: replace(each, waited_ns=int(waited[at - feed.warm_up])) for at, each in evidence.items()}


def opened(engine: Engine, feed: Feed, every: int = 1, **settings: Any) -> tuple[Session, Callable[[Any], Any], list[Any]]:
    """A session whose book the warm-up has filled, its method that takes messages, and the rest of the feed in pieces."""
    session = engine.open(engine.settings(feed, record="none", warm_up=feed.warm_up, **settings))
    push = session.push if feed.wire == "itch" else session.push_events
    filling, rest = feed.parts()
    if filling is not None:
        push(filling)
    return session, push, list(cut(rest, every=every))


def check_rate(rate: float, messages: int) -> None:
    """Raise ConfigError unless `messages` can be sent at `rate`, in messages per second, within 600 s."""
    if not rate > 0 or messages / rate > LONGEST_S:
        raise ConfigError(f"rate must be above 0, and send {messages:,} messages within {LONGEST_S} s, got {rate} messages/s")


def send(push: Callable[[Any], Any], calls: Sequence[Any], begin_ns: int, interval_ns: float) -> np.ndarray[Any, Any]:
    """Push messages when they are due, however late that is; returns when each was due, was begun and was done, (n, 3) int64.

    begin_ns : when the first is due, by `time.perf_counter_ns`; the others follow every `interval_ns`
    """
    begun, done = array("q", bytes(8 * len(calls))), array("q", bytes(8 * len(calls)))
    for i, data in enumerate(calls):
        due = begin_ns + int(i * interval_ns)
        while (now := perf_counter_ns()) < due:
            pass
        push(data)
        begun[i], done[i] = now, perf_counter_ns()
    due_ns = begin_ns + (np.arange(len(calls)) * interval_ns).astype(np.int64)
    return np.stack([due_ns, np.frombuffer(begun, np.int64), np.frombuffer(done, np.int64)], axis=1)


def _counted(captures: Sequence[Capture], blocks: _Blocks, warm_up: int) -> tuple[list[Capture], dict[int, Evidence]]:
    """Captures with message numbers of the feed, and the evidence of those that lie in a block."""
    counted, evidence, out = blocks.evidence(), {}, []
    for at, first, stamps in captures:
        out.append(Capture(at + warm_up, first + warm_up, stamps))
        if at // blocks.size < len(counted):
            place = at - first
            idle = int(stamps[place, 0] - stamps[place - 1, 4]) if place else 0
            evidence[at + warm_up] = replace(counted[at // blocks.size], idle_ns=idle)
    return out, evidence


def ages(events: Any, numbers: Sequence[int]) -> dict[int, int | None]:
    """Messages since another one touched the same order, for some message numbers. events : of the feed up to the last of them"""
    out: dict[int, int | None] = {}
    for at in numbers:
        order = int(events["order_id"][at])
        before = events[:at]
        touched = np.flatnonzero((before["order_id"] == order) | (before["new_order_id"] == order))
        out[at] = at - int(touched[-1]) if order and touched.size else None
    return out
