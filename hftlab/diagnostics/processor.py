"""The processor and what the system does with it."""

from __future__ import annotations

from typing import Any

from hftlab.diagnostics.finding import Finding
from hftlab.measurement import system


def look(machine: dict[str, Any], quick: bool) -> list[Finding]:
    """Model, frequency, idle states, SMT, isolation, hypervisor."""
    sizes = ", ".join(f"{level} {size >> 10:,} KiB" for level, size in machine["caches"].items())
    cpu = f"{machine['cpu']}, {machine['cores']} cores{', ' + sizes if sizes else ''}"
    return [
        Finding("cpu", cpu, None, "numbers belong to it alone"),
        _frequency(machine),
        _boost(machine),
        _idle(machine),
        _smt(machine),
        _isolated(machine),
        _ticks(machine),
        _hypervisor(machine),
        _steal(machine),
    ]


def _frequency(machine: dict[str, Any]) -> Finding:
    governor, low, high = machine["governor"], machine["min_mhz"], machine["max_mhz"]
    why = "a core that changes its speed changes every number"
    if governor == "unknown":
        state = "not told here" + (" (the hypervisor decides)" if machine["hypervisor"] else "")
        return Finding("frequency policy", state, None, why, "set it on the host" if machine["hypervisor"] else "")
    span = f", {low:,.0f} to {high:,.0f} MHz" if low and high else ""
    steady = governor == "performance" or low == high is not None
    improve = "" if steady else "cpupower frequency-set --governor performance"
    return Finding("frequency policy", f"{governor} ({machine['frequency_driver']}{span})", steady, why, improve)


def _boost(machine: dict[str, Any]) -> Finding:
    state, why = machine["boost"], "a boosted core slows down when it or its neighbours get warm"
    if state == "unknown":
        return Finding("boost", "not told here", None, why)
    improve = (
        ""
        if state == "off"
        else "for steady numbers: echo 1 > intel_pstate/no_turbo, or 0 > cpufreq/boost, in /sys/devices/system/cpu"
    )
    return Finding("boost", state, state == "off", why, improve)


def _idle(machine: dict[str, Any]) -> Finding:
    state, why = machine["idle_driver"], "a core that slept takes microseconds to wake, just when a message comes"
    if state in ("unknown", "none"):
        return Finding("idle states", "none to leave" if state == "none" else "not told here", None, why)
    return Finding("idle states", state, None, why, "for the lowest latency boot with processor.max_cstate=1, or idle=poll")


def _smt(machine: dict[str, Any]) -> Finding:
    threads, why = machine["threads_per_core"], "two threads of one core share its caches and its units"
    if threads is None:
        return Finding("SMT", "not told here", None, why)
    if threads == 1:
        guest = " that the guest can see" if machine["hypervisor"] else ""
        return Finding("SMT", f"no sibling{guest}", True, why)
    return Finding(
        "SMT",
        f"{threads} threads a core",
        False,
        why,
        "echo off > /sys/devices/system/cpu/smt/control, or leave the sibling idle",
    )


def _isolated(machine: dict[str, Any]) -> Finding:
    there = machine["isolated"] != "none"
    improve = "measure there: --pin" if there else "boot with isolcpus= for the core to measure on, then --pin"
    return Finding("isolated cores", machine["isolated"], there, "a core of one's own has no neighbours in its tail", improve)


def _ticks(machine: dict[str, Any]) -> Finding:
    there = machine["nohz_full"] != "none"
    why = "elsewhere the timer interrupts a busy core 100 to 1,000 times a second"
    return Finding(
        "cores without ticks", machine["nohz_full"], there, why, "" if there else "boot with nohz_full= and rcu_nocbs="
    )


def _hypervisor(machine: dict[str, Any]) -> Finding:
    name, why = machine["hypervisor"], "a hypervisor takes the core away when it likes"
    return Finding("virtual machine", name or "no", not name, why, "measure on bare metal" if name else "")


def _steal(machine: dict[str, Any]) -> Finding:
    share, why = machine["steal_share"], "time that the hypervisor gave to somebody else"
    if share is None:
        return Finding("steal time", "not told here", None, why)
    little = share < 1e-4
    state = f"{share:.3%} since boot ({machine['steal_s']:,.1f} s over all cores)"
    return Finding("steal time", state, little, why, "" if little else "ask for dedicated cores, or compare within one run only")


def look_at_system(machine: dict[str, Any], quick: bool) -> list[Finding]:
    """Cores, limits, load and pages."""
    allowed, quota, load = machine["affinity"], machine["cpu_quota"], machine["load_1min"]
    several, busy = len(allowed) > 1, load is not None and load > 0.2 * max(len(allowed), 1)
    return [
        Finding(
            "cores allowed",
            ", ".join(map(str, allowed)),
            several,
            "with one core, everything else runs on the core that is measured",
            "" if several else "allow a second core (taskset, cgroup)",
        ),
        Finding(
            "cpu quota",
            "no limit" if quota is None else f"{quota:g} cores' worth",
            quota is None,
            "who has used up a quota stands still until the next period, 100 ms",
            "" if quota is None else "run without a CPU limit (docker --cpus, a Kubernetes limit)",
        ),
        Finding(
            "load",
            "not told here" if load is None else f"{load:.2f} over the last minute",
            None if load is None else not busy,
            "others fill the caches and take turns",
            "stop what else is running" if busy else "",
        ),
        _thp(machine),
        _huge(machine),
    ]


def _thp(machine: dict[str, Any]) -> Finding:
    state, why = machine["transparent_hugepages"], "fewer misses in the address cache; the Rust engine asks for them"
    if state == "unknown":
        return Finding("transparent huge pages", "not told here", None, why)
    improve = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled" if state == "never" else ""
    return Finding("transparent huge pages", state, state != "never", why, improve)


def _huge(machine: dict[str, Any]) -> Finding:
    reserved, why = machine["huge_pages"], "pages that are reserved and never split; the engines get along without"
    size = next((line.split()[1] for line in system.read("proc/meminfo").splitlines() if line.startswith("Hugepagesize:")), "?")
    return Finding("reserved huge pages", "not told here" if reserved is None else f"{reserved:,} of {size} kB", None, why)
