"""What this process may do: pin, run in real time, hold memory, count, look into others. Tried in a thread that ends at once."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import threading
from typing import Any

from hftlab.diagnostics.finding import Finding
from hftlab.measurement import system
from hftlab.measurement.affinity import cpu_affinity, lock_refused

#: Number of the system call perf_event_open.
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}


def look(machine: dict[str, Any], quick: bool) -> list[Finding]:
    """Pinning, SCHED_FIFO, memory lock, hardware counters, ptrace."""
    return [_pin(machine), _fifo(), _lock(), _counters(machine), _paranoid(), _ptrace()]


def _refused(**asked: Any) -> str:
    """Why a placement is refused, "" if it is not; tried in a thread of its own, so that this one stays as it is."""
    told: list[str] = []

    def attempt() -> None:
        try:
            with cpu_affinity(**asked) as placement:
                told.extend(placement.refused)
        except Exception as error:  # whatever it is, it is the answer
            told.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return "; ".join(told)


def _pin(machine: dict[str, Any]) -> Finding:
    core = machine["affinity"][-1]
    why = "a thread that moves finds cold caches on its new core"
    refused = _refused(pin=core)
    return Finding("core pinning", refused or "allowed", not refused, why, "" if refused else f"use it: --pin {core}")


def _fifo() -> Finding:
    refused = _refused(fifo=True)
    runtime, period = (system.number(f"proc/sys/kernel/sched_rt_{name}_us") for name in ("runtime", "period"))
    throttled = f"; throttled to {runtime / period:.0%} of the time" if runtime and period and 0 < runtime < period else ""
    why = "ordinary threads cannot interrupt a real-time one"
    improve = "run with CAP_SYS_NICE, or a limit rtprio of 50 (ulimit -r)" if refused else "use it: --fifo"
    return Finding("real-time scheduling", refused or f"allowed{throttled}", not refused, why, improve)


def _lock() -> Finding:
    refused = lock_refused()
    improve = "run with CAP_IPC_LOCK, or ulimit -l unlimited" if refused else ""
    return Finding(
        "memory lock", refused or "allowed", not refused, "a page that was swapped out takes milliseconds to come back", improve
    )


def _counters(machine: dict[str, Any]) -> Finding:
    why = "cycles, misses and mispredicted branches explain what a clock only shows"
    state = counters()
    good = state == "available"
    if state.startswith("not supported") and machine["hypervisor"]:
        improve = "bare metal, or a guest with a virtual PMU; instructions are counted with valgrind meanwhile"
    else:
        improve = "" if good else "sysctl kernel.perf_event_paranoid=1, or CAP_PERFMON"
    return Finding("hardware counters", state, good, why, improve)


def counters() -> str:
    """Whether instructions of this process can be counted in hardware: "available", or why not."""
    call = _PERF_EVENT_OPEN.get(platform.machine())
    if platform.system() != "Linux" or call is None:
        return "not supported here"
    # struct perf_event_attr, version 5: hardware, size, instructions; disabled, user space only.
    attributes = struct.pack("<IIQQQQQ", 0, 112, 1, 0, 0, 0, 0b1100001).ljust(112, b"\0")
    library = ctypes.CDLL(None, use_errno=True)
    handle = library.syscall(call, ctypes.c_char_p(attributes), 0, -1, -1, 0)
    if handle >= 0:
        os.close(handle)
        return "available"
    number = ctypes.get_errno()
    if number in (errno.EACCES, errno.EPERM):
        return "not permitted"
    return "not supported here" if number in (errno.ENOENT, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV) else os.strerror(number)


def _paranoid() -> Finding:
    level, why = (
        system.number("proc/sys/kernel/perf_event_paranoid"),
        "above 2 perf is for root alone, above 1 it does not see the kernel",
    )
    if level is None:
        return Finding("perf_event_paranoid", "not told here", None, why)
    improve = "" if level <= 1 else "sysctl kernel.perf_event_paranoid=1"
    return Finding("perf_event_paranoid", str(level), level <= 2, why, improve)


def _ptrace() -> Finding:
    scope = system.number("proc/sys/kernel/yama/ptrace_scope")
    why = "py-spy and strace look into a process that runs already"
    if scope is None:
        return Finding("ptrace", "no restriction told", None, why)
    said = {0: "own processes", 1: "own children only", 2: "root only", 3: "nobody"}.get(scope, f"scope {scope}")
    return Finding(
        "ptrace",
        said,
        scope <= 1,
        why,
        "" if scope == 0 else "sysctl kernel.yama.ptrace_scope=0, or start the program under the tool",
    )
