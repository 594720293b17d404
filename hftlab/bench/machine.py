"""The fingerprint of a machine: what a measured number must never travel without. Reads what is there, misses what is not."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hftlab import __version__
from hftlab.backends import backends


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def cpu_info() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is none."""
    pairs = (line.partition(":") for line in _read("/proc/cpuinfo").partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def affinity() -> list[int]:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def caches() -> dict[str, int]:
    """Bytes of the data caches of the first core by level ("L1", "L2", "L3"), as far as /sys tells."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        size = _read(f"{index}/size")
        if _read(f"{index}/type") in ("Data", "Unified") and size.endswith("K"):
            found[f"L{_read(f'{index}/level')}"] = int(size[:-1]) << 10
    return found


@cache
def _fixed() -> dict[str, Any]:
    cpu = cpu_info()
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "mhz": cpu.get("cpu MHz", "unknown"),
        "arch": platform.machine(),
        "cores": os.cpu_count(),
        "hypervisor": "hypervisor" in cpu.get("flags", "").split(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "caches": caches(),
        "isolated": _read("/sys/devices/system/cpu/isolated") or "none",
        "clocksource": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource") or "unknown",
        "transparent_hugepages": _read("/sys/kernel/mm/transparent_hugepage/enabled") or "unknown",
        "kernel": platform.release(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "hftlab": __version__,
    }


def fingerprint() -> dict[str, Any]:
    """Machine, system, versions, and what may change from run to run (load, affinity)."""
    infos = [info for info in backends() if info.available]
    engines = {info.name: info.version for info in infos}
    builds = {info.name: info.build for info in infos if info.build}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {**_fixed(), "backends": engines, "builds": builds, "affinity": affinity(), "load_1min": load}


def describe(print_: dict[str, Any]) -> str:
    """A fingerprint on one line."""
    guest = ", virtual" if print_["hypervisor"] else ""
    builds = "".join(f", {name} {build}" for name, build in print_.get("builds", {}).items())
    return (
        f"{print_['cpu']} ({print_['cores']} cores{guest}), {print_['system']} {print_['kernel']}, "
        f"Python {print_['python']}, hftlab {print_['hftlab']}{builds}, load {print_['load_1min']}"
    )
