"""The probes of doctor(): a table of what is read, how it is judged, and how it could be improved.

What needs rights is tried, in a thread of its own that ends at once, so that this process stays as it is.
"""

from __future__ import annotations

import platform
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from typing import Any

from hftlab.engine.session import BackendInfo, backends, resolve
from hftlab.measurement import system
from hftlab.measurement.affinity import cpu_affinity, memory_lock_refusal, throttling
from hftlab.measurement.clock import clock_of
from hftlab.measurement.noise import jitter

Machine = dict[str, Any]

UNKNOWN = "not reported here"
#: Length of the spin in seconds.
SPIN_S = 0.7
#: The noise of a quiet machine stays below: share of the time lost, longest gap in ns.
QUIET_SHARE, QUIET_NS = 1e-3, 50_000
#: Package -> purpose.
PACKAGES = {
    "altair": "draws the charts",
    "vl-convert-python": "renders charts to PNG and SVG without a browser",
    "jupyterlab": "opens the notebooks",
    "line_profiler": "profiles the Python stages line by line",
    "py-spy": "samples a running Python process from outside; needs ptrace",
    "memray": "counts allocations",
}
_RUST = "install a Rust toolchain, or the conda environment of environment.yml"
#: Program -> (purpose, how to get it, other names).
PROGRAMS = {
    "cargo": ("builds the Rust engine", _RUST),
    "rustc": ("compiles the Rust engine", _RUST),
    "valgrind": ("counts instructions, whatever else the machine does", "install valgrind"),
    "perf": ("reads hardware counters where the machine has them", "install perf (linux-tools)"),
    "strace": ("shows the system calls of the hot loop", "install strace"),
    "chromium": ("runs notebooks in a browser for the tests", "install chromium", "chromium-browser", "google-chrome"),
    "git": ("names the commit a number belongs to", "install git"),
}


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis.

    area    : engines, processor, system, network, clocks, rights or tools
    good    : None where nothing is right or wrong
    improve : how; empty where nothing is to be done
    """

    area: str
    topic: str
    state: str
    good: bool | None
    why: str
    improve: str = ""


@dataclass(frozen=True)
class Probe:
    """One line of the doctor.

    why    : why it matters
    read   : a value from the fingerprint of the machine, or from the system; None where neither reports it
    judge  : whether the value is good; None where it is neither good nor bad
    advice : how to improve a value that is not good; a function of the value decides for itself
    show   : the value as text
    """

    area: str
    topic: str
    why: str
    read: Callable[[Machine], Any]
    judge: Callable[[Any], bool | None] = lambda value: None
    advice: str | Callable[[Any], str] = ""
    show: Callable[[Any], str] = str

    def finding(self, machine: Machine) -> Finding:
        """Read, judge and advise."""
        value = self.read(machine)
        if value is None:
            return Finding(self.area, self.topic, UNKNOWN, None, self.why)
        good = self.judge(value)
        advice = self.advice(value) if callable(self.advice) else self.advice if good is False else ""
        return Finding(self.area, self.topic, self.show(value), good, self.why, advice)


def probes(quick: bool = False) -> Iterator[Probe]:
    """Every probe that makes sense here, by area; the network only where `hftlab.net` is installed."""
    available = [info for info in backends() if info.available]
    for info in backends():
        yield from _engine_probes(info)
    yield from (PYTHON, *PROCESSOR, *SYSTEM)
    if find_spec("hftlab.net"):
        yield TRANSPORTS
    yield CLOCKSOURCE
    if platform.machine() in ("x86_64", "AMD64"):
        yield TSC_FLAGS
    yield from (_clock_probe(info.name) for info in available)
    yield from [] if quick else [NOISE]
    yield from RIGHTS
    yield from (_program_probe(name, *rest) for name, rest in PROGRAMS.items())
    yield from (_package_probe(name, why) for name, why in PACKAGES.items())


def known(name: str) -> Callable[[Machine], Any]:
    """A reader of one field of the fingerprint."""
    return lambda machine: None if machine[name] == "unknown" else machine[name]


def _engine_probes(info: BackendInfo) -> Iterator[Probe]:
    """A backend, its build and its compiler."""
    why = "the reference, runs everywhere" if info.name == "python" else "the fast engine"
    state = f"{info.version}{', default' if info.default else ''}" if info.available else f"missing: {info.why}"
    yield Probe("engines", f"engine {info.name}", why, lambda _: state, lambda _: info.available, "make rust")
    if not info.available:
        return
    backend = resolve(info.name)[1]
    if getattr(backend, "DEBUG_BUILD", False):
        why = "a debug build is 4 to 10 times slower"
        yield Probe("engines", f"build of {info.name}", why, lambda _: "debug", lambda _: False, "make rust")
    elif info.build:
        why = "a build for this processor may be faster, and runs on no other"
        advice = "make native" if info.build.startswith("portable") else ""
        yield Probe("engines", f"build of {info.name}", why, lambda _: info.build, advice=lambda _: advice)
    if rustc := getattr(backend, "RUSTC", ""):
        compiler = f"rustc {rustc}, {getattr(backend, 'PROFILE', 'profile unknown')}"
        yield Probe("engines", f"compiler of {info.name}", "another compiler makes other code", lambda _: compiler)


def _python(machine: Machine) -> str:
    build = machine["python_build"]
    state = f"{build['implementation']} {machine['python']}, GIL {'on' if build['gil'] else 'off'}, JIT {build['jit']}"
    return f"{state}, debug build" if build["debug"] else state


PYTHON = Probe(
    "engines", "python", "the Python engine is as fast as its interpreter", lambda machine: machine,
    lambda machine: not machine["python_build"]["debug"], "use an interpreter that is no debug build", _python,
)  # fmt: skip


def _cpu(machine: Machine) -> str:
    sizes = "".join(f", {level} {size >> 10:,} KiB" for level, size in machine["caches"].items())
    return f"{machine['cpu']}, {machine['cores']} cores{sizes}"


def _frequency(machine: Machine) -> str:
    low, high = machine["min_mhz"], machine["max_mhz"]
    span = f", {low:,.0f} to {high:,.0f} MHz" if low and high else ""
    return f"{machine['governor']} ({machine['frequency_driver']}{span})"


def _huge_pages(machine: Machine) -> str | None:
    lines = (line.split() for line in system.read("proc/meminfo").splitlines())
    size = next((words[1] for words in lines if words[:1] == ["Hugepagesize:"]), "?")
    return None if machine["huge_pages"] is None else f"{machine['huge_pages']:,} of {size} kB"


def _quiet(machine: Machine) -> tuple[float, int] | None:
    """Load of the last minute, cores allowed."""
    return None if machine["load_1min"] is None else (machine["load_1min"], max(len(machine["affinity"]), 1))


PROCESSOR = (
    Probe("processor", "cpu", "numbers hold for this processor alone", _cpu),
    Probe(
        "processor", "frequency policy", "a core that changes its frequency changes every number",
        lambda machine: None if machine["governor"] == "unknown" else machine,
        lambda machine: machine["governor"] == "performance" or machine["min_mhz"] == machine["max_mhz"] is not None,
        "cpupower frequency-set --governor performance", _frequency,
    ),
    Probe(
        "processor", "boost", "a boosted core slows down when it or its neighbours get warm", known("boost"),
        lambda state: state == "off",
        "for steady numbers: echo 1 > intel_pstate/no_turbo, or 0 > cpufreq/boost, in /sys/devices/system/cpu",
    ),
    Probe(
        "processor", "idle states", "a core that slept takes microseconds to wake, just when a message comes",
        known("idle_driver"), lambda driver: driver == "none" or None,
        lambda driver: "" if driver == "none" else "for the lowest latency boot with processor.max_cstate=1, or idle=poll",
    ),
    Probe(
        "processor", "SMT", "two threads of one core share its caches and its units", known("threads_per_core"),
        lambda threads: threads == 1, "echo off > /sys/devices/system/cpu/smt/control, or leave the sibling idle",
        lambda threads: "no sibling visible" if threads == 1 else f"{threads} threads a core",
    ),
    Probe(
        "processor", "isolated cores", "an isolated core has no other processes in its tail", known("isolated"),
        lambda cores: cores != "none",
        lambda cores: "boot with isolcpus= for the core to measure on" if cores == "none" else "measure there: --core",
    ),
    Probe(
        "processor", "cores without ticks", "elsewhere the timer interrupts a busy core 100 to 1,000 times a second",
        known("nohz_full"), lambda cores: cores != "none", "boot with nohz_full= and rcu_nocbs=",
    ),
    Probe(
        "processor", "virtual machine", "a hypervisor takes the core away at any time", known("hypervisor"),
        lambda name: not name, "measure on bare metal", lambda name: name or "no",
    ),
    Probe(
        "processor", "steal time", "time that the hypervisor gave to another guest",
        lambda machine: None if machine["steal_share"] is None else (machine["steal_share"], machine["steal_s"]),
        lambda steal: steal[0] < 1e-4, "ask for dedicated cores, or compare within one run only",
        lambda steal: f"{steal[0]:.3%} since boot ({steal[1]:,.1f} s over all cores)",
    ),
)  # fmt: skip
SYSTEM = (
    Probe(
        "system", "cores allowed", "with one core, everything else runs on the core that is measured", known("affinity"),
        lambda cores: len(cores) > 1, "allow a second core (taskset, cgroup)", lambda cores: ", ".join(map(str, cores)),
    ),
    Probe(
        "system", "cpu quota", "a process that has used up its quota stops until the next period, 100 ms",
        lambda machine: machine["cpu_quota"] or 0.0, lambda quota: not quota,
        "run without a CPU limit (docker --cpus, a Kubernetes limit)",
        lambda quota: f"{quota:g} cores' worth" if quota else "no limit",
    ),
    Probe(
        "system", "load", "other processes fill the caches and take the core", _quiet,
        lambda load: load[0] <= 0.2 * load[1], "stop what else is running", lambda load: f"{load[0]:.2f} over the last minute",
    ),
    Probe(
        "system", "transparent huge pages", "fewer TLB misses; the Rust engine asks for them", known("transparent_hugepages"),
        lambda state: state != "never", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    ),
    Probe("system", "reserved huge pages", "pages that are reserved and never split; the engines do without them", _huge_pages),
)  # fmt: skip


def _transports(machine: Machine) -> dict[str, str] | None:
    """Transport -> why it carries no message here, "" if it does; None without the Rust engine, which has them."""
    rust: Any = next((resolve("rust")[1] for info in backends() if info.name == "rust" and info.available), None)
    if not hasattr(rust, "transports"):
        return None
    tried = {row[0]: rust.transport_probe(row[0]) for row in rust.transports()}
    return {name: "" if works else reason for name, (works, _, reason) in tried.items()}


def _carrying(refused: dict[str, str]) -> str:
    failed = [name for name, reason in refused.items() if reason]
    return f"{len(refused) - len(failed)} of {len(refused)} carry a message{'; not ' if failed else ''}{', '.join(failed)}"


TRANSPORTS = Probe(
    "network", "transports", "a tick-to-trade measurement takes them in turn", _transports,
    lambda refused: not any(refused.values()), "hftlab net transports shows the reasons; AF_XDP (xdp) needs root", _carrying,
)  # fmt: skip


def _clock_probe(name: str) -> Probe:
    """The clock of an engine: what a reading costs, its step, whether it ran backwards between cores."""

    def show(clock: Any) -> str:
        if clock.monotonic is None:
            return str(clock)
        cores = f"{clock.cores} core{'s' if clock.cores > 1 else ''}"
        return f"{clock}; step {clock.step_ns:.0f} ns, monotonic on {cores}"

    return Probe(
        "clocks", f"clock of {name}", "nothing shorter than ten readings can be stamped alone",
        lambda _: clock_of(resolve(name)[1]), lambda clock: False if clock.monotonic is False else None,
        "choose another clock: it went backwards", show,
    )  # fmt: skip


def _jitter(noise: Any) -> str:
    steal = "" if noise.steal_s is None else f", {noise.steal_s:.2f} s stolen meanwhile"
    return f"{noise}{steal} ({noise.watched_s:.1f} s, {noise.clock})"


CLOCKSOURCE = Probe(
    "clocks", "clocksource", "others than the counter of the core cost a system call or a detour", known("clocksource"),
    lambda name: name in ("tsc", "arch_sys_counter"), "boot with clocksource=tsc tsc=reliable, if the counter is invariant",
)  # fmt: skip
TSC_FLAGS = Probe(
    "clocks", "TSC flags", "the counter may stamp only if it runs at one rate (constant) in every state (nonstop)",
    lambda machine: machine["tsc_flags"] or None, lambda flags: {"constant_tsc", "nonstop_tsc", "rdtscp"} <= set(flags),
    "the Rust engine uses clock_gettime here by itself", " ".join,
)  # fmt: skip
NOISE = Probe(
    "clocks", "noise floor", "what interrupts a spinning program: no tail below it means anything", lambda _: jitter(SPIN_S),
    lambda noise: noise.lost_share < QUIET_SHARE and noise.max_ns < QUIET_NS,
    "stop what else runs; isolate a core, then --core; --realtime", _jitter,
)  # fmt: skip


def _refused(**placement: Any) -> str:
    """Why a placement is refused, "" if it is allowed."""
    reasons: list[str] = []

    def attempt() -> None:
        try:
            with cpu_affinity(**placement) as placed:
                reasons.extend(placed.refused)
        except Exception as error:  # whatever it is, it is the answer
            reasons.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return "; ".join(reasons)


def _counters(machine: Machine) -> tuple[bool, int | None]:
    """Whether the kernel knows counters of the processor (in a guest often not), and who may read them."""
    folder = system.ROOT / "sys/bus/event_source/devices"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return any(re.match("cpu|arm", name) for name in names), system.number("proc/sys/kernel/perf_event_paranoid")


def _counters_state(counters: tuple[bool, int | None]) -> str:
    there, level = counters
    return f"{'available' if there else 'not supported here'}; perf_event_paranoid {'unknown' if level is None else level}"


_PTRACE = {0: "own processes", 1: "own children only", 2: "root only", 3: "nobody"}
RIGHTS = (
    Probe(
        "rights", "core pinning", "a thread that moves finds cold caches on its new core",
        lambda machine: (_refused(core=machine["affinity"][-1]), machine["affinity"][-1]), lambda pin: not pin[0],
        lambda pin: "" if pin[0] else f"use it: --core {pin[1]}", lambda pin: pin[0] or "allowed",
    ),
    Probe(
        "rights", "real-time scheduling", "ordinary threads cannot interrupt a real-time one",
        lambda _: _refused(realtime=True), lambda refused: not refused,
        lambda refused: "run with CAP_SYS_NICE, or a limit rtprio of 50 (ulimit -r)" if refused else "use it: --realtime",
        lambda refused: refused or "; ".join(filter(None, ("allowed", throttling()))),
    ),
    Probe(
        "rights", "memory lock", "a page that was swapped out takes milliseconds to come back",
        lambda _: memory_lock_refusal(), lambda refused: not refused, "run with CAP_IPC_LOCK, or ulimit -l unlimited",
        lambda refused: refused or "allowed",
    ),
    Probe(
        "rights", "hardware counters", "cycles, misses and mispredicted branches explain what a clock only shows", _counters,
        lambda counters: counters[0] and (counters[1] or 0) <= 2,
        "sysctl kernel.perf_event_paranoid=1, or CAP_PERFMON; without counters in a guest use valgrind or bare metal",
        _counters_state,
    ),
    Probe(
        "rights", "ptrace", "py-spy and strace attach to a process that runs already",
        lambda _: system.number("proc/sys/kernel/yama/ptrace_scope"), lambda scope: scope <= 1,
        lambda scope: "" if scope == 0 else "sysctl kernel.yama.ptrace_scope=0, or start the program under the tool",
        lambda scope: _PTRACE.get(scope, f"scope {scope}"),
    ),
)  # fmt: skip


def _program_probe(name: str, why: str, advice: str, *other_names: str) -> Probe:
    return Probe(
        "tools", name, why, lambda _: any(map(shutil.which, (name, *other_names))), bool, advice,
        lambda there: "installed" if there else "missing",
    )  # fmt: skip


def _package_probe(name: str, why: str) -> Probe:
    """A package with its version."""
    found = next((package.version for package in distributions(name=name)), "")
    return Probe("tools", name, why, lambda _: found, bool, f"pip install {name}", lambda found: found or "missing")
