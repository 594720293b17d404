"""The clocks, what a reading costs, and how quiet the machine is."""

from __future__ import annotations

from typing import Any

from hftlab.diagnostics.finding import Finding
from hftlab.engine.session import backends, resolve
from hftlab.measurement.clock import clock_of
from hftlab.measurement.noise import jitter

#: Length of the spin in seconds.
SPIN = 0.7
#: What a quiet machine stays below: share of the time lost, longest gap in ns.
QUIET_SHARE, QUIET_NS = 1e-3, 50_000


def look(machine: dict[str, Any], quick: bool) -> list[Finding]:
    """Clock source, flags of the counter, the clock of each engine, the noise floor."""
    found = [_clocksource(machine), *_flags(machine), *_costs()]
    return found if quick else [*found, _noise()]


def _clocksource(machine: dict[str, Any]) -> Finding:
    name, why = machine["clocksource"], "others than the counter of the core cost a system call or a detour"
    if name == "unknown":
        return Finding("clocksource", "not told here", None, why)
    direct = name in ("tsc", "arch_sys_counter")
    return Finding(
        "clocksource", name, direct, why, "" if direct else "boot with clocksource=tsc tsc=reliable, if the counter is invariant"
    )


def _flags(machine: dict[str, Any]) -> list[Finding]:
    if machine["arch"] not in ("x86_64", "AMD64"):
        return []
    flags, why = machine["tsc_flags"], "the counter may stamp only if it runs at one rate (constant) in every state (nonstop)"
    fit = {"constant_tsc", "nonstop_tsc", "rdtscp"} <= set(flags)
    if not flags:
        return [Finding("flags of the counter", "not told here", None, why)]
    return [
        Finding(
            "flags of the counter", " ".join(flags), fit, why, "" if fit else "the Rust engine uses clock_gettime here by itself"
        )
    ]


def _costs() -> list[Finding]:
    out = []
    for info in backends():
        if not info.available:
            continue
        clock = clock_of(resolve(info.name)[1])
        state = f"{clock}; step {clock.resolution_ns:.0f} ns, monotonic on {clock.cores} core{'s' if clock.cores > 1 else ''}"
        if clock.monotonic is None:
            state = str(clock)
        why = "nothing shorter than ten readings can be stamped alone"
        improve = "choose another clock: it went backwards" if clock.monotonic is False else ""
        out.append(Finding(f"clock of {info.name}", state, False if improve else None, why, improve))
    return out


def _noise() -> Finding:
    seen = jitter(SPIN)
    quiet = seen.lost_share < QUIET_SHARE and seen.max_ns < QUIET_NS
    steal = "" if seen.steal_s is None else f", {seen.steal_s:.2f} s stolen meanwhile"
    improve = "" if quiet else "stop what else runs; isolate a core, then --pin it; --fifo"
    why = "what a program that does nothing sees of the others: no tail below it means anything"
    return Finding("noise floor", f"{seen}{steal} ({seen.watched_s:.1f} s, {seen.clock})", quiet, why, improve)
