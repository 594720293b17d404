"""The fingerprint of a machine: what a measured number must never travel without. Reads what is there, misses what is not.

Every field is in one of three groups. STABLE: must be equal before two results may be compared, since each of them moves the
numbers by itself. CODE: what a comparison is usually about. CIRCUMSTANCE: how things stood then. All values are plain JSON.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hftlab import __version__
from hftlab.engine.session import backends, resolve
from hftlab.measurement import system
from hftlab.measurement.affinity import in_force

#: What must be equal.
#: cpu, arch, cores, threads_per_core (None: untold), caches (level -> bytes), hypervisor ("" for none), tsc_flags; governor,
#: frequency_driver, boost, min_mhz, max_mhz, idle_driver, smt; isolated, nohz_full (lists as Linux writes them),
#: transparent_hugepages (always, madvise, never), huge_pages (how many are reserved), clocksource, cpu_quota (cores' worth, None:
#: no limit); system, kernel, python, python_build, numpy, polars, rustc, build_profile, builds (engine -> processors it is for).
STABLE = (
    *("cpu", "arch", "cores", "threads_per_core", "caches", "hypervisor", "tsc_flags"),
    *("governor", "frequency_driver", "boost", "min_mhz", "max_mhz", "idle_driver", "smt"),
    *("isolated", "nohz_full", "transparent_hugepages", "huge_pages", "clocksource", "cpu_quota"),
    *("system", "kernel", "python", "python_build", "numpy", "polars", "rustc", "build_profile", "builds"),
)
#: hftlab, backends (engine -> version), commit of the checkout it is imported from ("unknown" elsewhere), commit_dirty (None:
#: unknown).
CODE = ("hftlab", "backends", "commit", "commit_dirty")
#: time (UTC), mhz of the first core, load_1min, steal_s and steal_share (since boot, over all cores; None: untold), affinity
#: (cores), scheduler (policy and priority), placement (what `hftlab.measurement.affinity.placed` has put in force, or None).
CIRCUMSTANCE = ("time", "mhz", "load_1min", "steal_s", "steal_share", "affinity", "scheduler", "placement")


def fingerprint() -> dict[str, Any]:
    """STABLE, CODE and CIRCUMSTANCE, read now; what cannot change while the process lives is read once."""
    infos = [info for info in backends() if info.available]
    rust = next((resolve(info.name)[1] for info in infos if info.name == "rust"), None)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    stolen = system.steal()
    placement = in_force()
    fields = {
        **_fixed(system.ROOT, getattr(rust, "HYPERVISOR", "")),
        **system.policy(),
        "rustc": getattr(rust, "RUSTC", "none"),
        "build_profile": getattr(rust, "PROFILE", "none"),
        "builds": {info.name: info.build for info in infos if info.build},
        "backends": {info.name: info.version for info in infos},
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "mhz": system.cpu_info().get("cpu MHz", "unknown"),
        "load_1min": load,
        "steal_s": stolen and stolen[0],
        "steal_share": stolen and stolen[0] / max(stolen[1], 1e-9),
        "affinity": system.affinity(),
        "scheduler": system.scheduler(),
        "placement": placement and placement.to_dict(),
    }
    return {name: fields[name] for name in (*STABLE, *CODE, *CIRCUMSTANCE)}


def differences(a: dict[str, Any], b: dict[str, Any], fields: tuple[str, ...] = STABLE) -> dict[str, tuple[Any, Any]]:
    """The fields in which two fingerprints differ, with the value of each; a field that one does not have counts as None."""
    return {name: (a.get(name), b.get(name)) for name in fields if a.get(name) != b.get(name)}


@cache
def _fixed(root: Path, signature: str) -> dict[str, Any]:
    """What stays as it is while the process lives. root : where /proc and /sys are; signature : of the hypervisor, by cpuid."""
    cpu = system.cpu_info()
    flags = cpu.get("flags", "").split()
    commit, dirty = _commit(Path(__file__).resolve().parents[2])
    return {
        "cpu": system.cpu_name(cpu),
        "arch": platform.machine(),
        "cores": os.cpu_count(),
        "threads_per_core": system.threads_per_core(),
        "caches": system.caches(),
        "hypervisor": system.hypervisor(flags, signature),
        "tsc_flags": [flag for flag in system.TSC_FLAGS if flag in flags],
        "system": platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "python_build": python_build(),
        "numpy": _version("numpy"),
        "polars": _version("polars"),
        "hftlab": __version__,
        "commit": commit,
        "commit_dirty": dirty,
    }


def python_build() -> dict[str, Any]:
    """implementation (e.g. CPython), gil (whether it is on), jit ("on", "off" or "none": not built in), debug (build)."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    jit: Any = getattr(sys, "_jit", None)
    built = jit is not None and jit.is_available()
    return {
        "implementation": platform.python_implementation(),
        "gil": bool(gil),
        "jit": ("on" if jit.is_enabled() else "off") if built else "none",
        "debug": bool(sysconfig.get_config_var("Py_DEBUG")) or hasattr(sys, "gettotalrefcount"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _commit(checkout: Path) -> tuple[str, bool | None]:
    """Commit of a checkout, and whether tracked files differ from it; ("unknown", None) of a folder that is none."""
    if not (checkout / ".git").exists():  # installed somewhere below a repository of somebody else's
        return "unknown", None
    commit, changes = _git(checkout, "rev-parse", "HEAD"), _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return commit or "unknown", None if changes is None else bool(changes)


def _git(checkout: Path, *words: str) -> str | None:
    """What git answers; None if it cannot."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(checkout), *words]
    try:
        done = subprocess.run(command, env=ours, capture_output=True, text=True, timeout=5, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return None if done.returncode else done.stdout.strip()


def describe(print_: dict[str, Any]) -> str:
    """A fingerprint on one line."""
    guest = ", virtual" if print_["hypervisor"] else ""
    builds = "".join(f", {name} {build}" for name, build in print_.get("builds", {}).items())
    placement = print_.get("placement") or {}
    where = f", pinned to core {placement['core']}" if placement.get("core") is not None else ""
    load = "unknown" if print_["load_1min"] is None else f"{print_['load_1min']:.2f}"
    first = f", SCHED_FIFO {placement['priority']}" if placement.get("priority") else ""
    return (
        f"{print_['cpu']} ({print_['cores']} cores{guest}), {print_['system']} {print_['kernel']}, "
        f"Python {print_['python']}, hftlab {print_['hftlab']}{builds}, load {load}{where}{first}"
    )
