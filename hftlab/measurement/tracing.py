"""Interrupts and softirqs with their times, as the kernel traces them (tracefs), where it lets us: mostly the administrator.

A trace instance of our own, removed afterwards, so that nobody else's trace is touched. Its clock is CLOCK_MONOTONIC, that of
`time.perf_counter_ns`; its text has microseconds. Where tracefs is not mounted or not ours to use, there is no trace, and counts
(/proc/interrupts, /proc/softirqs) must do. Source of the format: Documentation/trace/ftrace.rst and events.rst of Linux.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hftlab.measurement import system

INTERRUPT, SOFTIRQ = "interrupt", "softirq"
#: Events by their folder; each has one for its entry and one for its exit.
EVENTS = {
    "irq/irq_handler": INTERRUPT,
    "irq/softirq": SOFTIRQ,
    "irq_vectors/local_timer": INTERRUPT,
    "irq_vectors/reschedule": INTERRUPT,
    "irq_vectors/call_function": INTERRUPT,
    "irq_vectors/call_function_single": INTERRUPT,
}
_KINDS = {event.partition("/")[2]: kind for event, kind in EVENTS.items()}
_LINE = re.compile(r"\[(?P<core>\d+)\].*?\s(?P<s>\d+)\.(?P<us>\d{6}): (?P<event>\w+)_(?P<end>entry|exit):")


@dataclass(frozen=True)
class Handled:
    """One interrupt or softirq. Times are ns of CLOCK_MONOTONIC."""

    kind: str
    core: int
    start_ns: int
    ns: int


def read_trace(lines: Iterable[str]) -> Iterator[Handled]:
    """What a trace in text says, in the order of the ends; an entry without an exit, or the other way round, is left out."""
    open_: dict[tuple[str, str], int] = {}
    for match in filter(None, map(_LINE.search, lines)):
        event, core = match["event"], match["core"]
        at = int(match["s"]) * 1_000_000_000 + int(match["us"]) * 1_000
        if event not in _KINDS:
            continue
        if match["end"] == "entry":
            open_[core, event] = at
        elif (start := open_.pop((core, event), None)) is not None:
            yield Handled(_KINDS[event], int(core), start, at - start)


class InterruptTrace:
    """A context in which the interrupts of some cores are traced.

    handled : when it is over, what was traced; None where the system does not let us
    """

    def __init__(self, cores: Iterable[int]) -> None:
        self.handled: list[Handled] | None = None
        self._cores = sum(1 << core for core in cores)
        self._instance: Path | None = None

    def __enter__(self) -> InterruptTrace:
        place = tracefs()
        if place is not None:
            self._instance = place / "instances" / f"hftlab-{os.getpid()}"
            try:
                self._instance.mkdir()
                self._begin(self._instance)
            except OSError:
                self._remove()
        return self

    def _begin(self, instance: Path) -> None:
        (instance / "trace_clock").write_text("mono")
        (instance / "tracing_cpumask").write_text(f"{self._cores:x}")
        ends = [instance / "events" / f"{event}_{end}" / "enable" for event in EVENTS for end in ("entry", "exit")]
        for switch in filter(Path.exists, ends):  # the vectors of x86 are nowhere else
            switch.write_text("1")

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._instance is not None:
            try:
                (self._instance / "tracing_on").write_text("0")
                self.handled = list(read_trace((self._instance / "trace").read_text(errors="replace").splitlines()))
            except OSError:
                self.handled = None
            self._remove()

    def _remove(self) -> None:
        try:
            if self._instance is not None:
                self._instance.rmdir()
        except OSError:
            pass  # it was never made
        self._instance = None

    def spent(self, kind: str, start_ns: int, end_ns: int) -> int | None:
        """ns of one kind between two times; None without a trace."""
        if self.handled is None:
            return None
        return sum(each.ns for each in self.handled if each.kind == kind and start_ns <= each.start_ns < end_ns)


def tracefs() -> Path | None:
    """Where tracefs is mounted, below `system.ROOT`; None where it is not."""
    mounts = (line.split() for line in system.read("proc/mounts").splitlines())
    places = [system.ROOT / words[1].lstrip("/") for words in mounts if len(words) > 2 and words[2] == "tracefs"]
    return next(iter(places), None)
