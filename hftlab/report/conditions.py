"""The first and the last chapter: what was measured on what, and how to do it again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hftlab.report.document import NOT_KNOWN, Code, Section, Table, table, text
from hftlab.report.facts import Facts

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


def measured_on_what(facts: Facts) -> Section:
    """What was run, and the fingerprint of every part."""
    how, missing = facts.how, dict(facts.told.get("missing") or {})
    bench = facts.part("bench") or {}
    ran = [
        ("feed", facts.feed),
        ("where it comes from", str(how.get("feed") or NOT_KNOWN)),
        ("messages", plain(bench.get("messages") or (facts.part("ablation") or {}).get("messages"))),
        ("interleaved rounds of the bench", plain(bench.get("rounds")) if bench else NOT_KNOWN),
        ("paired rounds of the ablation", plain(facts.part("ablation")["rounds"]) if facts.part("ablation") else NOT_KNOWN),
        ("seed", plain(how.get("seed")) if how else NOT_KNOWN),
        ("effort", str(how.get("effort") or NOT_KNOWN)),
        ("engines", ", ".join(one["label"] for one in facts.engines) or NOT_KNOWN),
    ]
    clocks = [
        (
            one["label"],
            one["clock"]["name"],
            f"{one['clock']['resolution_ns']:,.0f}",
            f"{one['clock']['cost_p50_ns']:,.0f}",
            f"{one['clock']['cost_p99_ns']:,.0f}",
            f"{one['clock']['cost_max_ns']:,.0f}",
        )
        for one in facts.engines
    ]
    columns = ("engine", "clock", "step, ns", "a reading, median, ns", "p99, ns", "max, ns")
    absent = {**(bench.get("missing") or {}), **missing}
    return Section(
        "What was measured, on what",
        (
            table("The run", ("what", "value"), ran, words=2),
            _machines(facts),
            *([table("The clocks", columns, clocks, words=2, note=_CLOCK, source=bench_source(facts, "20,000 readings"))] * bool(clocks)),
            text(*(f"{name} is ABSENT: {why}." for name, why in absent.items()), kind="list"),
        ),
    )


_CLOCK = (
    "A reading of the clock is part of what is stamped; its median is subtracted from every latency on this page, and no latency "
    "falls below 0 by it. What is shorter than ten readings is better believed to the whole passes, which are not stamped."
)


def _machines(facts: Facts) -> Table:
    machines = facts.machines
    known = dict.fromkeys(field for machine in machines.values() for field in machine)
    order = [*(field for field in _FIELDS if field in known), *(field for field in known if field not in _FIELDS)]
    rows = [("fingerprint", *(mark(machine) for machine in machines.values()))]
    rows += [
        (_FIELDS.get(field, field.replace("_", " ")), *(plain(machine.get(field)) for machine in machines.values())) for field in order
    ]
    same = [row for row in rows if len(set(row[1:])) == 1]
    if len(same) == len(rows):
        return table("The fingerprint", ("what", "value"), [row[:2] for row in rows], words=2)
    shown = [(row[0], row[1], *("same" if cell == row[1] else cell for cell in row[2:])) for row in rows]
    note = "One column for each part of the measurement: what has changed between them is written out."
    columns = ("what", *(_PARTS[part] for part in machines))
    return table("The fingerprint", columns, shown, words=len(columns), note=note)


def again(facts: Facts) -> Section:
    """The commands that make this page again, and what has to be the same for its numbers to be."""
    how = facts.how
    machine = next(iter(facts.machines.values()))
    versions = ", ".join(f"{name} {version}" for name, version in (machine.get("backends") or {}).items())
    commit = machine.get("commit")
    lines = [
        f"Made with hftlab {machine.get('hftlab', NOT_KNOWN)} (engines: {versions or 'python'}), Python {machine.get('python')}, "
        f"NumPy {machine.get('numpy')}, commit {commit or 'unknown'}" + (", with changes." if machine.get("commit_dirty") else "."),
        "The feed, the order within a round and the resampling of the intervals come from the seed and are the same again; times are "
        "not, and the A/A controls say by how much. Compare ratios of one run, not times of two.",
    ]
    steps = [f"git checkout {commit}"] if commit and commit != "unknown" else []
    steps += ["make setup", how["command"]] if how.get("command") else ["make setup", "hftlab report"]
    if how.get("again"):
        steps.append(f"{how['again']}  # the same page from the stored results")
    return Section("How to do it again", (text(*lines), Code("\n".join(steps))))
