"""What pays: before and after, every switch with its interval, what all comparisons say in words, and the controls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hftlab.measurement.paired import SMALLEST, Interval, Paired
from hftlab.presentation.document import Section, Table, number, table, text
from hftlab.reporting import figures
from hftlab.reporting.conditions import bench_source, source
from hftlab.reporting.facts import Facts, whole_ns
from hftlab.reporting.verdict import times, whole_way


def before_and_after(facts: Facts) -> Section:
    """The waterfall and its table."""
    step = whole_way(facts)
    if step is None:
        return Section("Before and after", (text(f"Not measured here: {facts.missing('ablation')}."),))
    python = next((one for one in facts.engines if one["backend"] == "python"), None)
    naive, best = step["from_ns_per_message"], step["to_ns_per_message"]
    said = f"From naive Rust to the best a message goes from {naive:,.1f} to {best:,.1f} ns, {naive / best:,.2f} times as fast."
    if python:
        said = (
            f"A message takes {whole_ns(python):,.1f} ns in the Python engine, {naive:,.1f} ns in the same engine written "
            f"naively in Rust ({whole_ns(python) / naive:,.1f} times as fast), and {best:,.1f} ns with every optimisation "
            f"({naive / best:,.2f} times as fast again, {whole_ns(python) / best:,.0f} times in all)."
        )
    return Section("Before and after", (text(said, *_apart(facts, best)), *figures.waterfall(facts), _ladder(facts)))


def _apart(facts: Facts, ns: float) -> Iterator[str]:
    """The same engine was timed by the bench, too, at another moment: how far the two lie apart is the machine's doing."""
    same = next((one for one in facts.engines if one["label"] == "rust best"), None)
    if same:
        apart = max(ns, whole_ns(same)) / min(ns, whole_ns(same))
        yield (
            f"The bench, which ran before, took {whole_ns(same):,.1f} ns for the best engine: {apart:.2f} times apart, which "
            f"is the "
            "machine's doing, and the reason why only what ran in the same rounds is compared on this page."
        )


def _ladder(facts: Facts) -> Table:
    found = facts.part("ablation")
    steps = [step for step in found["rows"] if step["start"] == "ladder" and step["verdict"] != "control"]
    rows = [_step(step) for step in steps]
    note = (
        "Each optimisation is added to those above it. What a step is worth depends on what stands before it, which is why the "
        "next chapter takes each one alone."
    )
    told = f"unstamped passes, {found['messages']:,} messages, {found['rounds']} paired rounds"
    return table("One optimisation after the other", _COLUMNS, rows, words=3, note=note, source=source(facts, "ablation", told))


_COLUMNS = ("what", "from", "to", "before, ns per message", "after, ns per message", "times as fast", "95 % interval", "verdict")


def _step(step: dict[str, Any]) -> tuple[str, ...]:
    figures_ = (number(step["from_ns_per_message"]), number(step["to_ns_per_message"]), number(step["ratio"], 3))
    what = {"all": "all of them", "A/A": "A/A control"}.get(step["axis"], step["axis"])
    return (what, str(step["from"]), str(step["to"]), *figures_, f"{step['low']:,.3f} to {step['high']:,.3f}", step["verdict"])


def switches(facts: Facts) -> Section:
    """The forest, and the same in numbers."""
    found = facts.part("ablation")
    if not found:
        return Section("Each optimisation alone", (text(f"Not measured here: {facts.missing('ablation')}."),))
    rows = [
        (f"{start}: {row[0]}", *row[1:])
        for start in ("naive", "best")
        for row in map(_step, (step for step in found["rows"] if step["start"] == start and step["axis"] != "A/A"))
    ]
    columns = ("start: what", *_COLUMNS[1:])
    note = "From naive: one optimisation alone, added to an engine without any. From best: one changed, all others at their best."
    told = source(facts, "ablation", f"{found['messages']:,} messages, {found['rounds']} paired rounds")
    alone = table("One switch at a time", columns, rows, words=3, note=note, source=told)
    return Section("Each optimisation alone", (*figures.forest(facts), alone))


def verdicts(facts: Facts) -> Section:
    """Every comparison of this page in words."""
    said = [*_ratios(facts), *_switches(facts)]
    if not said:
        return Section("All comparisons in words", (text("Nothing was compared here."),))
    lead = (
        "Faster or slower is said only where the 95 % interval lies on one side of 1, for each copy of what it is compared with, "
        f"and the ratio is outside its control and more than {SMALLEST:.1%} from 1; otherwise no difference was seen."
    )
    return Section("All comparisons in words", (text(lead), text(*said, kind="list")))


def _ratios(facts: Facts) -> Iterator[str]:
    bench = facts.part("bench")
    if bench:
        base, control = facts.engines[0]["label"], bench.get("control")
        for label, ratio in bench["ratios"].items():
            yield f"{label} against {base}: {_word(ratio, control)}, {times(ratio)} the messages per second."


def _word(ratio: dict[str, float], control: dict[str, float] | None) -> str:
    """By the rule of the bench; of a report there is one copy of the base, and without a control 1 stands for it."""
    own = Interval(ratio["median"], ratio["low"], ratio["high"])
    nothing = Interval(control["median"], control["low"], control["high"]) if control else Interval(1.0, 1.0, 1.0)
    return Paired(0.0, 0.0, own, nothing).outcome


def _switches(facts: Facts) -> Iterator[str]:
    starts = {"naive": "alone, in the naive engine", "best": "alone, in the best engine", "ladder": "after those before it"}
    for step in (facts.part("ablation") or {"rows": ()})["rows"]:
        if step["axis"] == "all":
            yield f"Rust, naive to best: {step['verdict']}."
        elif step["verdict"] != "control":
            yield f"{step['axis']} from {step['from']} to {step['to']}, {starts[step['start']]}: {step['verdict']}."


def controls(facts: Facts) -> Section:
    """What the machine makes of nothing."""
    rows: list[tuple[str, ...]] = []
    told: list[str] = []
    control = (facts.part("bench") or {}).get("control")
    if control:
        rows.append(
            (
                "bench",
                control["engine"],
                number(control["median"], 4),
                f"{control['low']:.4f} to {control['high']:.4f}",
                _holds_one(control),
            )
        )
        told.append(bench_source(facts, "bench: unstamped passes"))
    found = facts.part("ablation")
    for step in found["rows"] if found else ():
        if step["verdict"] == "control":
            name = f"{step['start']}: {step['from']}" if step["start"] == "ladder" else f"Rust {step['from']}"
            rows.append(
                ("ablation", name, number(step["ratio"], 4), f"{step['low']:.4f} to {step['high']:.4f}", _holds_one(step))
            )
    if not rows:
        return Section("A/A controls", (text("No control was measured, so no comparison on this page has one."),))
    if found:
        told.append(source(facts, "ablation", f"ablation: {found['messages']:,} messages, {found['rounds']} paired rounds"))
    note = (
        "The same engine twice in the same rounds. Its ratio should be 1; how far it is from 1, and how wide its interval, is "
        "what this machine adds to every comparison. A control whose interval does not hold 1 says that the machine was not "
        "quiet."
    )
    columns = ("from", "engine against itself", "ratio", "95 % interval", "holds 1")
    return Section(
        "A/A controls",
        (text(_widest(rows)), table("An engine against itself", columns, rows, words=2, note=note, source="; ".join(told))),
    )


def _holds_one(one: dict[str, Any]) -> str:
    return "yes" if one["low"] <= 1 <= one["high"] else "no"


def _widest(rows: list[tuple[str, ...]]) -> str:
    def reach(row: tuple[str, ...]) -> float:
        return max(abs(float(edge) - 1) for edge in row[3].split(" to "))

    far = max(rows, key=reach)
    holding = sum(row[-1] == "yes" for row in rows)
    edges = far[3].replace(" to ", " times to ")
    return (
        f"{holding} of {len(rows)} controls hold 1 in their interval; the one that reaches furthest, {far[1]} ({far[0]}), goes "
        f"from {edges} times with nothing changed. A ratio inside its own control is no difference."
    )
