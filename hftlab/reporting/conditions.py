"""The first and the last chapter: what was measured on what, and how to do it again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from hftlab.presentation.document import NOT_KNOWN, Block, Code, Section, Table, number, table, text
from hftlab.reporting.measurements import Measurements

#: Field of a fingerprint -> its name in the table, in its order; what is not named here follows under its own name.
_FIELDS = {
    "cpu": "processor",
    "arch": "architecture",
    "cores": "cores",
    "threads_per_core": "threads per core",
    "mhz": "clock of the first core, MHz",
    "caches": "data caches, bytes",
    "governor": "frequency governor",
    "isolated": "isolated cores",
    "clocksource": "clock source",
    "kernel": "kernel",
    "python": "Python",
    "numpy": "NumPy",
    "backends": "engines, versions",
    "builds": "engines, built for",
    "build_profile": "Rust build profile",
    "commit": "commit",
    "commit_dirty": "changed since the commit",
    "affinity": "cores allowed",
    "load_1min": "load, 1 minute",
    "time": "time, UTC",
}


def plain(value: Any) -> str:
    """Any plain value as text."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def mark(machine: dict[str, Any]) -> str:
    """A short name of a fingerprint: equal where every field is equal."""
    return hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:8]


def source(found: Measurements, part: str, how: str) -> str:
    """What stands under a table or a chart: what was run, on what, and under which fingerprint."""
    result = found.parts[part]
    load = result.machine.get("load_1min")
    run = f"{how}, {result.messages:,} messages, {result.rounds} interleaved rounds; {result.feed}"
    return f"{run}; fingerprint {mark(result.machine)}" + ("" if load is None else f", load {load:.2f}")


def sourced(found: Measurements, part: str, how: str, shown: Table, note: str = "") -> Table:
    """A table of a result, with its source, and a note if it has none."""
    return replace(shown, source=source(found, part, how), note=shown.note or note)


def measured_on_what(found: Measurements) -> Section:
    """What was run, on what, with which clocks; the whole fingerprint stands in the last chapter."""
    blocks: list[Block] = [table("The run", ("what", "value"), [*_run(found), *_machine(found)], words=2)]
    if found.bench:
        columns = ("engine", "clock", "step, ns", *(f"a reading, {name}, ns" for name in ("p50", "p99", "max")))
        rows = []
        for engine in found.bench.engines:
            cost = engine.clock.cost.values()
            readings = (number(cost[name], 0) for name in ("p50", "p99", "max"))
            rows.append((engine.label, engine.clock.name, number(engine.clock.step_ns), *readings))
        shown = table("The clocks", columns, rows, words=2, note=_CLOCK)
        blocks.append(sourced(found, "bench", "20,000 readings", shown))
    blocks.append(text(*(f"{name} is MISSING: {why}." for name, why in found.missing.items()), kind="list"))
    return Section("What was measured, on what", tuple(blocks))


_CLOCK = (
    "A reading of the clock is part of what is stamped; its median is subtracted from every latency where nothing else is "
    "said, and no latency falls below 0 by it. For what is shorter than ten readings the whole passes, which are not stamped, "
    "are the better figure."
)


def _run(found: Measurements) -> list[tuple[str, str]]:
    how, first = found.how, next(iter(found.parts.values()))
    effort = [str(how["effort"])] if how.get("effort") else []
    effort += [f"{part.rounds} interleaved rounds of {name}" for name, part in found.parts.items()]
    return [
        ("feed", found.feed),
        ("where it comes from", str(how.get("feed") or NOT_KNOWN)),
        ("messages in a pass", plain(first.messages)),
        ("what it is like", str(first.market or NOT_KNOWN)),
        ("seed", plain(how["seed"]) if "seed" in how else NOT_KNOWN),
        ("effort", ", ".join(effort)),
        ("engines", ", ".join(engine.label for engine in found.bench.engines) if found.bench else NOT_KNOWN),
    ]


def _machine(found: Measurements) -> list[tuple[str, str]]:
    """Of the fingerprint what most people ask for."""
    machine = found.machine
    caches = ", ".join(f"{level} {size >> 10:,} KiB" for level, size in machine.get("caches", {}).items())
    guest = machine.get("hypervisor")
    virtual = f", virtual ({guest})" if isinstance(guest, str) and guest else ", virtual" if guest else ""
    return [
        ("processor", f"{machine['cpu']}, {machine['cores']} cores{virtual}" + (f"; {caches}" if caches else "")),
        ("system", f"{machine['system']} {machine['kernel']}, {machine.get('arch', '')}"),
        ("software", _software(machine)),
        ("engines built for", plain(machine.get("builds"))),
        ("placement", plain(machine.get("placement"))),
        ("load, 1 minute", _each(found, "load_1min")),
        ("fingerprint", "; ".join(f"{name} {mark(part.machine)}" for name, part in found.parts.items())),
    ]


def _software(machine: dict[str, Any]) -> str:
    changed = " with changes" if machine.get("commit_dirty") else ""
    commit = f"{machine.get('commit') or 'unknown'}{changed}"
    engines = plain(machine.get("backends"))
    return (
        f"hftlab {machine['hftlab']} (engines: {engines}), Python {machine['python']}, NumPy {machine['numpy']}, commit {commit}"
    )


def _each(found: Measurements, field: str) -> str:
    """A field of the fingerprint; where it changed from part to part, that of each."""
    values = {name: plain(part.machine.get(field)) for name, part in found.parts.items()}
    same = len(set(values.values())) == 1
    return next(iter(values.values())) if same else "; ".join(f"{name} {value}" for name, value in values.items())


def again(found: Measurements) -> Section:
    """The commands that make this page again, and what has to be the same for its numbers to be."""
    how, machine = found.how, found.machine
    lines = (
        f"Made with {_software(machine)}.",
        "The feed, the order within a round and the resampling of the intervals come from the seed and are the same again; "
        "times are not, and the A/A controls say by how much. Compare ratios of one run, not times of two.",
    )
    steps = [f"git checkout {machine['commit']}"] if machine.get("commit") not in (None, "", "unknown") else []
    steps += ["make setup", how.get("command") or "hftlab report"]
    if how.get("again"):
        steps.append(f"{how['again']}  # the same page from the stored results")
    known = dict.fromkeys(field for part in found.parts.values() for field in part.machine)
    order = [*(field for field in _FIELDS if field in known), *(field for field in known if field not in _FIELDS)]
    rows = [(_FIELDS.get(field, field.replace("_", " ")), _each(found, field)) for field in order]
    note = "What changed between the parts of the measurement is given for each; a fingerprint is equal where every field is."
    whole = table("The fingerprint in full", ("what", "value"), rows, words=2, note=note)
    return Section("How to do it again", (text(*lines), Code("\n".join(steps)), whole))
