"""Programs and packages that parts of hftlab use, each of them optional."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from hftlab.diagnostics.finding import Finding

#: Package -> (module, what it is for).
PACKAGES = {
    "altair": ("altair", "draws the charts"),
    "vl-convert-python": ("vl_convert", "renders charts to PNG and SVG without a browser"),
    "jupyterlab": ("jupyterlab", "opens the notebooks"),
    "line_profiler": ("line_profiler", "profiles the Python stages line by line"),
    "py-spy": ("py_spy", "samples a running Python process from outside; needs ptrace"),
    "memray": ("memray", "follows allocations"),
}
#: Program -> (names it goes by, what it is for, how to get it).
PROGRAMS = {
    "cargo": (("cargo",), "builds the Rust engine", "install a Rust toolchain, or the conda environment of environment.yml"),
    "rustc": (("rustc",), "compiles the Rust engine", "install a Rust toolchain, or the conda environment of environment.yml"),
    "valgrind": (("valgrind",), "counts instructions, whatever else the machine does", "install valgrind"),
    "perf": (("perf",), "reads hardware counters where the machine has them", "install perf (linux-tools)"),
    "strace": (("strace",), "sees the system calls of the hot loop", "install strace"),
    "chromium": (
        ("chromium", "chromium-browser", "google-chrome"),
        "shows notebooks to tests as a reader sees them",
        "install chromium",
    ),
    "git": (("git",), "tells the commit a number belongs to", "install git"),
}


def look(machine: dict[str, Any], quick: bool) -> list[Finding]:
    """Each program and each package: there or not."""
    return [*(_program(name) for name in PROGRAMS), *(_package(name) for name in PACKAGES)]


def _program(name: str) -> Finding:
    names, why, improve = PROGRAMS[name]
    there = any(map(shutil.which, names))
    return Finding(name, "found" if there else "missing", there, why, "" if there else improve)


def _package(name: str) -> Finding:
    module, why = PACKAGES[name]
    # py-spy is a program that comes as a package and has no module.
    there = importable(module) or (name == "py-spy" and shutil.which(name) is not None)
    if not there and name == "py-spy" and _version(name):
        return Finding(name, f"{_version(name)}, not on PATH", None, why, "put the folder of the environment's programs on PATH")
    state = _version(name) or "installed" if there else "missing"
    return Finding(name, state, there, why, "" if there else f"pip install {name}")


def importable(module: str) -> bool:
    """Whether there is such a module, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
