"""Why a message was slow: what was counted around it, held against the time it took beyond the usual.

A count says that something happened somewhere near the message; it is the cause only if its size fits the time that is to be
explained, so that "unknown" is an answer. Who counts what is in recorder.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from hftlab.measurement import system

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
