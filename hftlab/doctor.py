"""What this machine can do, line by line: state, why it matters, how to improve it. Never fails because something is missing."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from hftlab.backends import backends, resolve
from hftlab.bench.clock import clock_of
from hftlab.bench.machine import fingerprint


@dataclass(frozen=True)
class Finding:
    """One line of the doctor. `good` is None where nothing is right or wrong."""

    topic: str
    state: str
    good: bool | None
    why: str
    improve: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_OPTIONAL = {
    "altair": "draws the charts",
    "line_profiler": "profiles the Python stages line by line",
    "memray": "counts what the Python engine asks of the allocator",
    "jupyterlab": "opens the notebooks",
    "vl_convert": "renders charts to PNG and SVG without a browser",
}
_PROGRAMS = {
    "cargo": (
        "builds the Rust engine",
        "install a Rust toolchain, or the conda environment of environment.yml",
    ),
    "valgrind": ("counts instructions, whatever else the machine does", "install valgrind"),
    "strace": ("sees the system calls of the hot loop", "install strace"),
    "perf": ("reads hardware counters where the machine has them", "install perf"),
}


def examine() -> list[Finding]:
    """Everything that is known about engines, clocks, cores and tools."""
    machine = fingerprint()
    return [*_engines(), *_clocks(), *_cores(machine), *_tools()]


def _engines() -> list[Finding]:
    out = []
    for info in backends():
        state = f"{info.version}{', default' if info.default else ''}" if info.available else f"missing: {info.why}"
        why = "the reference, runs everywhere" if info.name == "python" else "the fast engine"
        out.append(Finding(f"engine {info.name}", state, info.available, why, "" if info.available else "make rust"))
    return out


def _clocks() -> list[Finding]:
    out = []
    for info in backends():
        if not info.available:
            continue
        backend = resolve(info.name)[1]
        clock = clock_of(backend)
        state = (
            f"{clock.name}: a reading costs {clock.cost_p50_ns:.0f} ns median, {clock.cost_p99_ns:.0f} p99, "
            f"{clock.cost_max_ns:.0f} max; step {clock.resolution_ns:.0f} ns"
        )
        why = "nothing shorter than ten readings can be stamped alone"
        out.append(Finding(f"clock of {info.name}", state, None, why))
        if getattr(backend, "DEBUG_BUILD", False):
            out.append(Finding(f"build of {info.name}", "debug", False, "4 to 10 times slower", "make rust"))
        elif info.build:
            why = "a build for this processor may be faster, and runs on no other"
            improve = "make native" if info.build.startswith("portable") else ""
            out.append(Finding(f"build of {info.name}", info.build, None, why, improve))
    return out


def _cores(machine: dict[str, Any]) -> list[Finding]:
    several = len(machine["affinity"]) > 1
    return [
        Finding("cpu", f"{machine['cpu']}, {machine['cores']} cores", None, "numbers belong to it alone"),
        Finding(
            "cores allowed",
            ", ".join(map(str, machine["affinity"])),
            several,
            "with one core, everything else runs on the core that is measured",
            "" if several else "allow a second core (taskset, cgroup)",
        ),
        Finding(
            "isolated cores",
            machine["isolated"],
            machine["isolated"] != "none",
            "a core of one's own has no neighbours in its tail",
            "" if machine["isolated"] != "none" else "boot with isolcpus= and nohz_full=",
        ),
        Finding(
            "virtual machine",
            "yes" if machine["hypervisor"] else "no",
            not machine["hypervisor"],
            "a hypervisor takes the core away when it likes",
            "measure on bare metal" if machine["hypervisor"] else "",
        ),
        Finding("frequency policy", machine["governor"], None, "a core that changes speed changes every number"),
        Finding(
            "clocksource",
            machine["clocksource"],
            machine["clocksource"] == "tsc",
            "others cost a system call",
        ),
        Finding("huge pages", machine["transparent_hugepages"], None, "fewer misses in the address cache"),
    ]


def _tools() -> list[Finding]:
    out = []
    for module, why in _OPTIONAL.items():
        there = find_spec(module) is not None
        package = module.replace("vl_convert", "vl-convert-python")
        out.append(
            Finding(
                package,
                "installed" if there else "missing",
                there,
                why,
                "" if there else f"pip install {package}",
            )
        )
    for program, (why, improve) in _PROGRAMS.items():
        there = shutil.which(program) is not None
        out.append(Finding(program, "found" if there else "missing", there, why, "" if there else improve))
    return out
