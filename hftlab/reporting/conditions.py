"""The first and the last chapter: what was measured on what, and how to do it again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hftlab.presentation.document import NOT_KNOWN, Block, Code, Section, Table, number, table, text
from hftlab.reporting.facts import Facts

#: Field of a fingerprint -> what people call it, in the order of the table; what is not named here follows under its own name.
_FIELDS = {
    "cpu": "processor",
    "arch": "architecture",
    "cores": "cores",
    "threads_per_core": "threads per core",
    "mhz": "clock of the first core, MHz",
    "caches": "data caches, bytes",
    "hypervisor": "hypervisor",
    "governor": "frequency governor",
    "isolated": "isolated cores",
    "clocksource": "clock source",
    "transparent_hugepages": "transparent huge pages",
    "system": "system",
    "kernel": "kernel",
    "python": "Python",
    "numpy": "NumPy",
    "hftlab": "hftlab",
    "backends": "engines, versions",
    "builds": "engines, built for",
    "rustc": "rustc",
    "build_profile": "Rust build profile",
    "commit": "commit",
    "commit_dirty": "changed since the commit",
    "affinity": "cores it might run on",
    "placement": "placement",
    "load_1min": "load, 1 minute",
    "time": "time, UTC",
}
_PARTS = {"bench": "bench", "ablation": "ablation", "best": "fastest engine alone"}


def plain(value: Any) -> str:
    """Any plain value as words."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def mark(machine: dict[str, Any]) -> str:
    """A short name of a fingerprint: equal where every field is equal."""
    return hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:8]


def source(facts: Facts, part: str, told: str) -> str:
    """What stands under a table or a chart: what was run, on what, and under which fingerprint."""
    machine = facts.machines[part]
    load = machine.get("load_1min")
    return f"{told}; {facts.feed}; fingerprint {mark(machine)}" + ("" if load is None else f", load {load:.2f}")


def bench_source(facts: Facts, told: str = "stamps of every message") -> str:
    """Of whatever comes from the bench."""
    bench = facts.part("bench")
    return source(facts, "bench", f"{told}, {bench['messages']:,} messages, {bench['rounds']} interleaved rounds")


def _clock_figures(clock: dict[str, Any]) -> list[str]:
    """Step, and the cost of a reading: p50, p99, max, in ns."""
    cost = clock["cost"]
    return [number(ns, 0) for ns in (clock["step_ns"], cost["percentiles"]["p50"], cost["percentiles"]["p99"], cost["max"])]


def measured_on_what(facts: Facts) -> Section:
    """What was run, on what, with which clocks; the whole fingerprint stands in the last chapter."""
    columns = ("engine", "clock", "step, ns", "a reading, median, ns", "p99, ns", "max, ns")
    clocks = [(one["label"], one["clock"]["name"], *_clock_figures(one["clock"])) for one in facts.engines]
    blocks: list[Block] = [table("The run", ("what", "value"), [*_run(facts), *_short(facts)], words=2)]
    if clocks:
        told = bench_source(facts, "20,000 readings")
        blocks.append(table("The clocks", columns, clocks, words=2, note=_CLOCK, source=told))
    absent = {**((facts.part("bench") or {}).get("missing") or {}), **(facts.told.get("missing") or {})}
    blocks.append(text(*(f"{name} is ABSENT: {why}." for name, why in absent.items()), kind="list"))
    return Section("What was measured, on what", tuple(blocks))


def _run(facts: Facts) -> list[tuple[str, str]]:
    how, bench, ablation = facts.how, facts.part("bench") or {}, facts.part("ablation") or {}
    effort = [str(how["effort"])] if how.get("effort") else []
    effort += [f"{bench['rounds']} interleaved rounds of the bench"] if bench else []
    effort += [f"{ablation['rounds']} paired rounds of the ablation"] if ablation else []
    return [
        ("feed", facts.feed),
        ("where it comes from", str(how.get("feed") or NOT_KNOWN)),
        ("messages in a pass", plain(bench.get("messages") or ablation.get("messages"))),
        ("seed", plain(how["seed"]) if "seed" in how else NOT_KNOWN),
        ("effort", ", ".join(effort) or NOT_KNOWN),
        ("engines", ", ".join(one["label"] for one in facts.engines) or str(ablation.get("backend", NOT_KNOWN))),
    ]


def _short(facts: Facts) -> list[tuple[str, str]]:
    """Of the fingerprint what most people ask for."""
    machine = next(iter(facts.machines.values()))
    caches = ", ".join(f"{level} {size >> 10:,} KiB" for level, size in machine.get("caches", {}).items())
    guest = machine.get("hypervisor")
    virtual = f", virtual ({guest})" if isinstance(guest, str) and guest else ", virtual" if guest else ""
    versions = ", ".join(f"{name} {version}" for name, version in (machine.get("backends") or {}).items())
    commit = str(machine.get("commit") or "unknown") + (", with changes" if machine.get("commit_dirty") else "")
    return [
        ("processor", f"{machine['cpu']}, {machine['cores']} cores{virtual}" + (f"; {caches}" if caches else "")),
        ("system", f"{machine['system']} {machine['kernel']}, {machine.get('arch', '')}"),
        (
            "software",
            f"hftlab {machine['hftlab']} (engines: {versions}), Python {machine['python']}, NumPy {machine.get('numpy')}",
        ),
        ("engines built for", plain(machine.get("builds"))),
        ("commit", commit),
        ("placement", plain(machine.get("placement"))),
        ("load, 1 minute", _each(facts, "load_1min")),
        ("fingerprint", "; ".join(f"{_PARTS[part]} {mark(one)}" for part, one in facts.machines.items())),
    ]


def _each(facts: Facts, field: str) -> str:
    """A field of the fingerprint; where it changed from part to part, that of each."""
    values = {part: plain(machine.get(field)) for part, machine in facts.machines.items()}
    first = next(iter(values.values()))
    if len(set(values.values())) == 1:
        return first
    return "; ".join(f"{_PARTS[part]} {value}" for part, value in values.items())


_CLOCK = (
    "A reading of the clock is part of what is stamped; its median is subtracted from every latency where nothing else is "
    "said, and no latency falls below 0 by it. What is shorter than ten readings is better believed to the whole passes, which "
    "are not stamped."
)


def _whole_fingerprint(facts: Facts) -> Table:
    known = dict.fromkeys(field for machine in facts.machines.values() for field in machine)
    order = [*(field for field in _FIELDS if field in known), *(field for field in known if field not in _FIELDS)]
    rows = [(_FIELDS.get(field, field.replace("_", " ")), _each(facts, field)) for field in order]
    note = "What changed between the parts of the measurement is given for each; a fingerprint is equal where every field is."
    return table("The fingerprint in full", ("what", "value"), rows, words=2, note=note)


def again(facts: Facts) -> Section:
    """The commands that make this page again, and what has to be the same for its numbers to be."""
    how = facts.how
    machine = next(iter(facts.machines.values()))
    versions = ", ".join(f"{name} {version}" for name, version in (machine.get("backends") or {}).items())
    commit = machine.get("commit")
    lines = [
        f"Made with hftlab {machine.get('hftlab', NOT_KNOWN)} (engines: {versions or 'python'}), Python {machine.get('python')}, "
        f"NumPy {machine.get('numpy')}, commit {commit or 'unknown'}"
        + (", with changes." if machine.get("commit_dirty") else "."),
        "The feed, the order within a round and the resampling of the intervals come from the seed and are the same again; "
        "times are not, and the A/A controls say by how much. Compare ratios of one run, not times of two.",
    ]
    steps = [f"git checkout {commit}"] if commit and commit != "unknown" else []
    steps += ["make setup", how["command"]] if how.get("command") else ["make setup", "hftlab report"]
    if how.get("again"):
        steps.append(f"{how['again']}  # the same page from the stored results")
    return Section("How to do it again", (text(*lines), Code("\n".join(steps)), _whole_fingerprint(facts)))
