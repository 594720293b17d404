"""Which engines there are, and how they were built."""

from __future__ import annotations

from typing import Any

from hftlab.diagnostics.finding import Finding
from hftlab.engine.session import backends, resolve


def look(machine: dict[str, Any], quick: bool) -> list[Finding]:
    """The engines, the builds of those that are compiled, what Python is."""
    out = []
    for info in backends():
        state = f"{info.version}{', default' if info.default else ''}" if info.available else f"missing: {info.why}"
        why = "the reference, runs everywhere" if info.name == "python" else "the fast engine"
        out.append(Finding(f"engine {info.name}", state, info.available, why, "" if info.available else "make rust"))
        if not info.available:
            continue
        if getattr(resolve(info.name)[1], "DEBUG_BUILD", False):
            out.append(Finding(f"build of {info.name}", "debug", False, "4 to 10 times slower", "make rust"))
        elif info.build:
            why = "a build for this processor may be faster, and runs on no other"
            improve = "make native" if info.build.startswith("portable") else ""
            out.append(Finding(f"build of {info.name}", info.build, None, why, improve))
        if rustc := getattr(resolve(info.name)[1], "RUSTC", ""):
            state = f"rustc {rustc}, {getattr(resolve(info.name)[1], 'PROFILE', 'profile unknown')}"
            out.append(Finding(f"compiler of {info.name}", state, None, "another one makes other code"))
    return [*out, _python(machine)]


def _python(machine: dict[str, Any]) -> Finding:
    build = machine["python_build"]
    state = f"{build['implementation']} {machine['python']}, GIL {'on' if build['gil'] else 'off'}, JIT {build['jit']}"
    why = "the Python engine is as fast as its interpreter"
    if build["debug"]:
        return Finding("python", f"{state}, debug build", False, why, "use an interpreter that is no debug build")
    return Finding("python", state, True, why)
