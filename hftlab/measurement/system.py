"""What Linux says about a machine, below /proc and /sys. Reads what is there; what is missing or unreadable is "" or None."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

#: Where /proc and /sys are looked for.
ROOT = Path("/")
_CPU = "sys/devices/system/cpu"
_CLOCKSOURCE = "sys/devices/system/clocksource/clocksource0"
#: Flags of an x86 processor that its time-stamp counter depends on.
TSC_FLAGS = ("constant_tsc", "nonstop_tsc", "rdtscp", "tsc_reliable", "tsc_known_freq")
#: A word in what cpuid, /sys or the clock sources say -> what people call that hypervisor.
_HYPERVISORS = {
    "kvm": "KVM",
    "microsoft": "Hyper-V",
    "hyperv": "Hyper-V",
    "vmware": "VMware",
    "xen": "Xen",
    "tcgtcg": "QEMU without KVM",
    "bhyve": "bhyve",
    "virtualbox": "VirtualBox",
    "amazon ec2": "Nitro",
    "google": "KVM",
    "qemu": "QEMU",
    "parallels": "Parallels",
}


def read(path: str) -> str:
    """The text of a file below ROOT, stripped; "" if it cannot be read."""
    try:
        return (ROOT / path).read_text(errors="replace").strip()
    except (OSError, ValueError):
        return ""


def number(path: str) -> int | None:
    """A file that holds a whole number; None if it does not."""
    text = read(path)
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def chosen(path: str) -> str:
    """Of "always [madvise] never" the word in brackets; "unknown" without the file."""
    text = read(path)
    match = re.search(r"\[(\S+)\]", text)
    return match[1] if match else text or "unknown"


def cpu_info() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is none."""
    pairs = (line.partition(":") for line in read("proc/cpuinfo").partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def hypervisor(flags: list[str], signature: str = "") -> str:
    """Name of the hypervisor, "unknown kind" if only its presence is known, "" where none is known of.

    flags     : of /proc/cpuinfo
    signature : what cpuid calls it, from a program that could ask
    """
    present = bool(signature or read("sys/hypervisor/type") or "hypervisor" in flags)
    sources = [signature] + [read(path) for path in ("sys/hypervisor/type", f"{_CLOCKSOURCE}/available_clocksource")]
    sources += [read(f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name")]
    names = [name for source in sources for sign, name in _HYPERVISORS.items() if sign in source.lower()]
    return (names or [signature or "unknown kind"])[0] if present else ""


def caches() -> dict[str, int]:
    """Bytes of the data caches of the first core by level ("L1", "L2", "L3"), as far as /sys tells."""
    sizes = {}
    for index in sorted((ROOT / _CPU / "cpu0/cache").glob("index*")):
        where = f"{_CPU}/cpu0/cache/{index.name}"
        size = read(f"{where}/size")
        if read(f"{where}/type") in ("Data", "Unified") and size.endswith("K"):
            sizes[f"L{read(f'{where}/level')}"] = int(size[:-1]) << 10
    return sizes


def cores(text: str) -> list[int]:
    """The cores of a list as Linux writes it: "0-2,5" is [0, 1, 2, 5]."""
    out: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        out += range(int(first), int(last or first) + 1)
    return out


def threads_per_core() -> int | None:
    """Hardware threads that share the first core; 1 without SMT, None where /sys is silent."""
    return len(cores(read(f"{_CPU}/cpu0/topology/thread_siblings_list"))) or None


def boost() -> str:
    """Whether the processor may exceed its nominal frequency: "on", "off", or "unknown"."""
    for path, on in ((f"{_CPU}/intel_pstate/no_turbo", 0), (f"{_CPU}/cpufreq/boost", 1)):
        value = number(path)
        if value is not None:
            return "on" if value == on else "off"
    return "unknown"


def _mhz(name: str) -> float | None:
    khz = number(f"{_CPU}/cpu0/cpufreq/{name}")
    return None if khz is None else khz / 1e3


def policy() -> dict[str, Any]:
    """What the system is set to: frequency, isolation, pages, clock source. An administrator may change it while we run."""
    return {
        "governor": read(f"{_CPU}/cpu0/cpufreq/scaling_governor") or "unknown",
        "frequency_driver": read(f"{_CPU}/cpu0/cpufreq/scaling_driver") or "unknown",
        "boost": boost(),
        "min_mhz": _mhz("scaling_min_freq"),
        "max_mhz": _mhz("scaling_max_freq"),
        "idle_driver": read(f"{_CPU}/cpuidle/current_driver") or "unknown",
        "smt": read(f"{_CPU}/smt/control") or "unknown",
        "isolated": read(f"{_CPU}/isolated") or "none",
        "nohz_full": read(f"{_CPU}/nohz_full").replace("(null)", "") or "none",
        "transparent_hugepages": chosen("sys/kernel/mm/transparent_hugepage/enabled"),
        "huge_pages": number("proc/sys/vm/nr_hugepages"),
        "clocksource": read(f"{_CLOCKSOURCE}/current_clocksource") or "unknown",
        "cpu_quota": cpu_quota(),
    }


def cpu_quota() -> float | None:
    """Cores' worth of time that the control groups of this process allow, the tightest of them; None without a limit."""
    limits = []
    for line in read("proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        mounts, files = ["sys/fs/cgroup", "sys/fs/cgroup/unified"], ["cpu.max"]
        if controllers:
            mounts, files = ["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        if controllers and "cpu" not in controllers.split(","):
            continue
        below = Path(path.lstrip("/"))
        for group in (below, *below.parents):
            limits += [_quota(" ".join(read(f"{mount}/{group}/{name}") for name in files)) for mount in mounts]
    return min((limit for limit in limits if limit is not None), default=None)


def _quota(text: str) -> float | None:
    """Of "200000 100000", 2.0; None of "max 100000" and "-1 100000"."""
    match = re.fullmatch(r"(\d+) (\d+)", text)
    return int(match[1]) / int(match[2]) if match and int(match[2]) else None


def steal() -> tuple[float, float] | None:
    """Seconds since boot that the hypervisor gave to somebody else, and all seconds, summed over the cores; None where untold."""
    fields = read("proc/stat").partition("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return None
    ticks = [int(field) for field in fields[1:9]]
    hertz = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    return ticks[7] / hertz, sum(ticks) / hertz


def affinity() -> list[int]:
    """Cores this thread may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def scheduler() -> str:
    """Scheduling policy of this thread, and its priority where it has one, e.g. "SCHED_FIFO 50"."""
    if not hasattr(os, "sched_getscheduler"):
        return "unknown"
    policies = {getattr(os, name): name for name in dir(os) if name.startswith("SCHED_") and name != "SCHED_RESET_ON_FORK"}
    policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    priority = os.sched_getparam(0).sched_priority
    return policies.get(policy, f"policy {policy}") + (f" {priority}" if priority else "")


def cpu_name(info: dict[str, str]) -> str:
    """The model, as the processor or the system names it."""
    return info.get("model name") or platform.processor() or platform.machine() or "unknown"
