"""What pays, and how far to trust it: the verdict, before and after, every switch, all comparisons in words, and the controls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hftlab.experiments.ablation import AblationStep, Kind
from hftlab.experiments.stages import BenchReport
from hftlab.measurement.distribution import PERCENTILES, TITLES, Distribution
from hftlab.measurement.paired import SMALLEST, Interval, Outcome
from hftlab.presentation.document import Section, Table, Tiles, duration, number, table, text
from hftlab.reporting import figures
from hftlab.reporting.conditions import source, sourced
from hftlab.reporting.measurements import Measurements


def times(ratio: Interval) -> str:
    """A ratio with its interval: "2.31 times [2.24, 2.38]"."""
    digits = 1 if ratio.median >= 100 else 2 if abs(ratio.median - 1) > 0.1 else 3
    spread = f"[{ratio.low:,.{digits}f}, {ratio.high:,.{digits}f}]"
    return f"{ratio.median:,.{digits}f} times {spread if ratio.level else f'(range {spread})'}"


def whole_way(found: Measurements) -> AblationStep | None:
    """The step of the ablation from naive to best, or None."""
    return next((step for step in found.ablation.steps if step.switch.kind is Kind.WHOLE), None) if found.ablation else None


def tail_of(row: Distribution | None) -> tuple[str, float] | None:
    """The furthest percentile that the sample bears."""
    known = row.percentiles if row else {}
    return next(((name, ns) for name in reversed(PERCENTILES) if name != "p50" and (ns := known.get(name)) is not None), None)


def verdict(found: Measurements) -> Section:
    """What came out, where the time goes, and how far to trust it; three sentences and the figures to be seen first."""
    sentences = (_outcome(found), _where(found), _trust(found))
    return Section("The verdict", (text(*sentences, kind="lead"), Tiles(tuple(_tiles(found)))))


def _sentence(parts: list[str], otherwise: str) -> str:
    sentence = "; ".join(parts) or otherwise
    return f"{sentence[0].upper()}{sentence[1:]}."


def _outcome(found: Measurements) -> str:
    if not found.bench:
        step = whole_way(found)
        if step is None:
            return "Nothing was measured that a verdict could be drawn from."
        before, after = duration(step.paired.base_ns), duration(step.paired.ns)
        return f"With every optimisation a message takes {after} instead of {before}: {times(step.paired.ratio)} as fast."
    first, fastest = found.bench.engines[0], found.bench.fastest
    whole = duration(fastest.whole_ns)
    if fastest is first:
        return f"{fastest.label.capitalize()} takes {whole} per message from wire bytes to order; no other engine was faster."
    return (
        f"The fastest engine, {fastest.label}, takes {whole} per message from wire bytes to order, {first.label} takes "
        f"{duration(first.whole_ns)}: the one makes {times(found.bench.ratios()[fastest.label])} the messages per second of the "
        f"other{_not_apart(found.bench)}."
    )


def _not_apart(bench: BenchReport) -> str:
    """Which engines the fastest was not seen to differ from, round by round."""
    own = np.array(bench.fastest.rounds_ns)
    others = [engine for engine in bench.engines if engine is not bench.fastest]
    close = [engine.label for engine in others if Interval.of(np.array(engine.rounds_ns) / own).low <= 1]
    return f"; round by round it was not seen to differ from {' and '.join(close)}, so which is fastest is open" if close else ""


def _where(found: Measurements) -> str:
    out, step = [], whole_way(found)
    if found.bench:
        shares = {part: max(ns, 0.0) for part, ns in found.bench.fastest.stage_ns.items()}
        part = max(shares, key=lambda name: shares[name])
        share = f"{shares[part] / (sum(shares.values()) or 1):.0%}"
        out.append(f"of a message in {found.bench.fastest.label} the greatest part, {share}, goes into {TITLES[part]}")
    if step and found.ablation:
        alone = [each for each in found.ablation.steps if each.switch.start == "naive" and each.paired.outcome is Outcome.FASTER]
        alone = [each for each in alone if each.switch.kind is Kind.SWITCH]
        top = max(alone, key=lambda each: each.paired.ratio.median, default=None)
        best = f"{_change(top)} is worth most alone, {times(top.paired.ratio)}" if top else "none alone makes it faster"
        word = step.paired.outcome.value
        out.append(f"all optimisations together make the naive Rust engine {times(step.paired.ratio)} as fast ({word}); {best}")
    return _sentence(out, f"which optimisation pays was not measured: {found.why_not('ablation')}")


def _trust(found: Measurements) -> str:
    out = []
    if found.bench:
        fastest = found.bench.fastest
        total = fastest.distribution("total")
        if total and (tail := tail_of(total)):
            p50 = duration(total.percentiles["p50"])
            out.append(f"end to end, {fastest.label} has a median of {p50} and a {tail[0]} of {duration(tail[1])}")
        if control := found.bench.control:
            apart = ", and that EXCLUDES 1: the machine was not quiet" if control.side else ""
            label = found.bench.engines[-1].label
            out.append(f"measured against itself in the same rounds, {label} came out {times(control)} as fast{apart}")
        agreements = [one.agree for engine in found.bench.engines for one in engine.agreement().values()]
        out += [f"stamps and whole passes agree for {sum(agreements)} of {len(agreements)} stages"] if agreements else []
    return _sentence(out, "there is no control in what was measured")


def _tiles(found: Measurements) -> Iterator[tuple[str, str, str]]:
    if bench := found.bench:
        fastest = bench.fastest
        yield *_split(duration(fastest.whole_ns)), f"per message, {fastest.label}"
        yield number(fastest.messages_per_s, 2, 1e6), "M/s", f"messages, {fastest.label}"
        if ratio := bench.ratios().get(fastest.label):
            yield number(ratio.median, 0), "times", f"the messages of {bench.engines[0].label}"
        if tail := tail_of(fastest.distribution("total")):
            yield *_split(duration(tail[1])), f"end to end, {tail[0]}"
    if step := whole_way(found):
        yield number(step.paired.ratio.median, 2), "times", "naive Rust to best"


def _split(shown: str) -> tuple[str, str]:
    value, _, unit = shown.partition(" ")
    return value, unit


def _change(step: AblationStep) -> str:
    before, after = step.switch.names
    return f"{step.switch.axis} from {before} to {after}"


def before_and_after(found: Measurements) -> Section:
    """The waterfall, in words and as a chart."""
    step = whole_way(found)
    if step is None:
        return Section("Before and after", (text(f"Not measured here: {found.why_not('ablation')}."),))
    naive, best = step.paired.base_ns, step.paired.ns
    lead = f"From naive Rust to the best a message goes from {naive:,.1f} to {best:,.1f} ns, {naive / best:,.2f} times as fast."
    engines = found.bench.engines if found.bench else ()
    if python := next((engine.whole_ns for engine in engines if engine.backend == "python"), None):
        lead = (
            f"A message takes {python:,.1f} ns in the Python engine, {naive:,.1f} ns in the same engine written naively in Rust "
            f"({python / naive:,.1f} times as fast), and {best:,.1f} ns with every optimisation ({naive / best:,.2f} times as "
            f"fast again, {python / best:,.0f} times in all)."
        )
    same = [
        f"The bench, which ran before, took {engine.whole_ns:,.1f} ns for the best engine: that is the machine's doing, and the "
        "reason why only what ran in the same rounds is compared on this page."
        for engine in engines
        if engine.label == "rust best"
    ]
    return Section("Before and after", (text(lead, *same), *figures.waterfall(found)))


def switches(found: Measurements) -> Section:
    """The forest, and the same in numbers."""
    if not found.ablation:
        return Section("Each optimisation alone", (text(f"Not measured here: {found.why_not('ablation')}."),))
    note = (
        "From naive: one optimisation alone, added to an engine without any. From best: one taken away, all others at their "
        "best. Ladder: each is added to those above it; what a step is worth depends on what stands before it."
    )
    shown = [sourced(found, "ablation", "unstamped passes", each, note) for each in found.ablation.tables()]
    return Section("Each optimisation alone", (*figures.forest(found), *shown))


def controls(found: Measurements) -> Section:
    """The A/A noise floor."""
    title = "A/A controls"
    controls = [("bench", found.bench.engines[-1].label, found.bench.control)] if found.bench else []
    for step in found.ablation.steps if found.ablation else ():
        if step.switch.kind is Kind.CONTROL:
            controls.append(("ablation", f"{step.switch.start}: {step.switch.names[0]}", step.paired.ratio))
    known = [(part, name, ratio) for part, name, ratio in controls if ratio]
    if not known:
        return Section(title, (text("No control was measured, so no comparison on this page has one."),))
    furthest = max(known, key=lambda each: max(abs(each[2].low - 1), abs(each[2].high - 1)))
    holding = sum(not ratio.side for _, _, ratio in known)
    lead = (
        f"{holding} of {len(known)} controls hold 1 in their interval; the one that reaches furthest, {furthest[1]} "
        f"({furthest[0]}), goes from {furthest[2].low:.4f} times to {furthest[2].high:.4f} times with nothing changed. A ratio "
        "inside its own control is no difference."
    )
    rule = (
        "On this page faster or slower stands only where the interval lies on one side of 1, for each copy of what it is "
        f"compared with, and the ratio is outside its control and more than {SMALLEST:.1%} from 1; otherwise no difference was "
        "seen."
    )
    return Section(title, (text(lead, rule), _controls(found, known)))


def _controls(found: Measurements, known: list[tuple[str, str, Interval]]) -> Table:
    rows = [
        (part, name, number(ratio.median, 4), f"{ratio.low:.4f} to {ratio.high:.4f}", "no" if ratio.side else "yes")
        for part, name, ratio in known
    ]
    note = (
        "The same engine twice in the same rounds. Its ratio should be 1; how far it is from 1, and how wide its interval, is "
        "what this machine adds to every comparison. A control that does not hold 1 says that the machine was not quiet."
    )
    columns = ("from", "engine against itself", "ratio", "interval", "holds 1")
    origin = "; ".join(f"{part}: {source(found, part, 'unstamped passes')}" for part in dict.fromkeys(row[0] for row in rows))
    return table("An engine against itself", columns, rows, words=2, note=note, source=origin)
