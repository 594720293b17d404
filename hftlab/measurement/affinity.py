"""Where a measurement runs: on a core of its own, ahead of everything else. Asked for, undone, reported.

with cpu_affinity(1, realtime=True) as placement:
    ...
print(placement.refused)        what the system did not allow, a sentence each
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hftlab.errors import ConfigError
from hftlab.measurement import system

#: Above every ordinary thread, below those that keep the kernel alive (migration and watchdog have 99).
PRIORITY = 50
_CAP_SYS_NICE, _CAP_IPC_LOCK = 23, 14


@dataclass(frozen=True)
class Placement:
    """What is in force.

    core           : the thread stays on it; None: not pinned
    priority       : under SCHED_FIFO; None: not real-time
    refused, notes : sentences: what the system did not allow, and what it restricts
    """

    core: int | None = None
    priority: int | None = None
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "refused": list(self.refused), "notes": list(self.notes)}


_in_force: list[Placement] = []


def in_force() -> Placement | None:
    """The innermost placement that is in force in this process."""
    return _in_force[-1] if _in_force else None


@contextmanager
def cpu_affinity(core: int | None = None, *, realtime: bool = False) -> Iterator[Placement]:
    """Within the block the calling thread runs as asked, as far as the system allows; afterwards as before.

    core     : to stay on; so do a child process and a thread begun within the block, and that thread is released, too
    realtime : SCHED_FIFO with priority 50; children and new threads do not inherit it
    raises   : ConfigError for a core outside the allowed ones
    """
    refused: list[str] = []
    notes: list[str] = []
    with ExitStack() as undo:
        pinned = core is not None and _try(lambda undo: _pin(core, undo), undo, refused)
        first = realtime and _try(_raise_priority, undo, refused)
        if first and (throttled := throttling()):
            notes.append(throttled)
        placement = Placement(core if pinned else None, PRIORITY if first else None, tuple(refused), tuple(notes))
        _in_force.append(placement)
        undo.callback(_in_force.remove, placement)
        yield placement


def _try(step: Callable[[ExitStack], str], undo: ExitStack, refused: list[str]) -> bool:
    """Take a step; its answer is why it could not be taken, "" if it was."""
    why = step(undo)
    if why:
        refused.append(why)
    return not why


def _pin(core: int, undo: ExitStack) -> str:
    allowed = system.affinity()
    if core not in allowed:
        raise ConfigError(f"core {core} is not allowed; this process may run on {', '.join(map(str, allowed))}")
    if not hasattr(os, "sched_setaffinity"):
        return f"core {core}: this system does not pin"
    before = _threads()
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        return f"core {core}: not permitted ({error.strerror})"
    undo.callback(_unpin, core, allowed, before)
    return ""


def _threads() -> set[int]:
    try:
        return {int(name) for name in os.listdir("/proc/self/task")}
    except OSError:
        return set()


def _unpin(core: int, allowed: list[int], before: set[int]) -> None:
    """This thread, and those that began while it was pinned and are where it was: back to the cores of before."""
    for thread in {0} | (_threads() - before if before else set()):
        try:
            if os.sched_getaffinity(thread) == {core}:
                os.sched_setaffinity(thread, allowed)
        except OSError:  # a thread that has ended, or cores that the system has taken away meanwhile
            continue


def _raise_priority(undo: ExitStack) -> str:
    if not hasattr(os, "sched_setscheduler"):
        return "SCHED_FIFO: this system does not have it"
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except OSError as error:
        return f"SCHED_FIFO: {_denied(error, 'CAP_SYS_NICE, or a limit rtprio of 50')}"
    undo.callback(_restore_priority, policy, parameters)
    return ""


def _restore_priority(policy: int, parameters: os.sched_param) -> None:
    try:
        os.sched_setscheduler(0, policy, parameters)
    except PermissionError:  # who has the limit but not the capability may not take the reset on fork back
        os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, parameters)


def _denied(error: OSError, needs: str) -> str:
    return f"not permitted (needs {needs})" if isinstance(error, PermissionError) else f"refused ({error.strerror})"


def throttling() -> str:
    """What the kernel takes back from real-time threads, "" for nothing."""
    runtime, period = (system.number(f"proc/sys/kernel/sched_rt_{name}_us") for name in ("runtime", "period"))
    if runtime is None or period is None or not 0 <= runtime < period:
        return ""
    return f"real-time throttling: at most {runtime / period:.0%} of each {period / 1e6:g} s is for SCHED_FIFO"


def memory_lock_refusal() -> str:
    """Why memory cannot be locked here, "" if it can: only where no limit can make a later allocation fail."""
    if sys.platform != "linux":
        return "memory lock: only on Linux"
    import resource

    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY and not has_capability(_CAP_IPC_LOCK):
        return "memory lock: not permitted (needs CAP_IPC_LOCK, or an unlimited memlock)"
    return ""


def has_capability(number: int) -> bool:
    """Whether this process has a capability, by its number."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return False
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> number & 1)


def each_core(times: int) -> Iterator[int]:
    """Move this thread over its allowed cores, `times` times round, and back; gives the core. Where it cannot be moved: once."""
    allowed = system.affinity()
    if len(allowed) < 2 or not hasattr(os, "sched_setaffinity"):
        yield allowed[0]
        return
    try:
        for core in allowed * times:
            os.sched_setaffinity(0, {core})
            yield core
    finally:
        os.sched_setaffinity(0, allowed)
