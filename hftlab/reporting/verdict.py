"""What came out, where the time goes, and how far to trust it: three sentences, and the figures to be seen first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hftlab.experiments.ablation import AblationStep, Kind
from hftlab.experiments.stages import BenchReport
from hftlab.measurement.distribution import TITLES
from hftlab.measurement.paired import Interval, Outcome
from hftlab.presentation.document import Block, Tiles, duration, number, text
from hftlab.reporting.measurements import Measurements


def verdict(found: Measurements) -> Iterator[Block]:
    """The sentences and the figures, of whatever was measured."""
    yield text(_outcome(found), _where(found), _trust(found), kind="lead")
    yield Tiles(tuple(_tiles(found)))


def _sentence(parts: list[str], otherwise: str) -> str:
    sentence = "; ".join(parts) or otherwise
    return f"{sentence[0].upper()}{sentence[1:]}."


def _outcome(found: Measurements) -> str:
    if found.bench:
        first, fastest = found.bench.engines[0], found.bench.fastest
        whole = f"the fastest engine, {fastest.label}, takes {duration(fastest.whole_ns)} per message from wire bytes to order"
        if fastest is first:
            return _sentence([whole], "")
        ratio = f"{found.bench.ratios()[fastest.label]} the messages per second of {first.label}"
        return _sentence([f"{whole}, {first.label} takes {duration(first.whole_ns)}: {ratio}", *_not_apart(found.bench)], "")
    if found.ablation:
        before, after = duration(found.ablation.whole.base_ns), duration(found.ablation.whole.ns)
        return f"With every optimisation a message takes {after} instead of {before}: {found.ablation.whole.ratio} as fast."
    return "Nothing was measured that a verdict could be drawn from."


def _not_apart(bench: BenchReport) -> Iterator[str]:
    """Which engines the fastest was not seen to differ from, round by round."""
    own = np.array(bench.fastest.rounds_ns)
    others = [engine for engine in bench.engines if engine is not bench.fastest]
    close = [engine.label for engine in others if Interval.of(np.array(engine.rounds_ns) / own).low <= 1]
    if close:
        yield f"round by round it was not seen to differ from {' and '.join(close)}, so which is fastest is open"


def _where(found: Measurements) -> str:
    out = []
    if found.bench:
        shares = {part: max(ns, 0.0) for part, ns in found.bench.fastest.stage_ns.items()}
        part = max(shares, key=lambda name: shares[name])
        share = f"{shares[part] / (sum(shares.values()) or 1):.0%}"
        out.append(f"of a message in {found.bench.fastest.label} the greatest part, {share}, goes into {TITLES[part]}")
    if found.ablation:
        alone = [step for step in found.ablation.steps if step.switch.start == "naive" and step.switch.kind is Kind.SWITCH]
        faster = [step for step in alone if step.paired.outcome is Outcome.FASTER]
        top = max(faster, key=lambda step: step.paired.ratio.median, default=None)
        best = f"{_change(top)} is worth most alone, {top.paired.ratio}" if top else "none alone makes it faster"
        out.append(f"all optimisations together on the naive Rust engine: {found.ablation.whole.judgement}; {best}")
    return _sentence(out, f"which optimisation pays was not measured: {found.why_not('ablation')}")


def _change(step: AblationStep) -> str:
    before, after = step.switch.names
    return f"{step.switch.axis} from {before} to {after}"


def _trust(found: Measurements) -> str:
    out = []
    if bench := found.bench:
        if total := bench.fastest.distribution("total"):
            out.append(f"end to end, {bench.fastest.label} takes {total}")
        if control := bench.control:
            apart = ", and that EXCLUDES 1: the machine was not quiet" if control.side else ""
            out.append(f"measured against itself in the same rounds, {bench.engines[-1].label} came out {control} as fast{apart}")
        agreements = [each.agree for engine in bench.engines for each in engine.agreement().values()]
        out += [f"stamps and whole passes agree for {sum(agreements)} of {len(agreements)} stages"] if agreements else []
    return _sentence(out, "there is no control in what was measured")


def _tiles(found: Measurements) -> Iterator[tuple[str, str, str]]:
    if bench := found.bench:
        fastest, first = bench.fastest, bench.engines[0]
        yield *_split(fastest.whole_ns), f"per message, {fastest.label}"
        yield number(fastest.messages_per_s, 2, 1e6), "M/s", f"messages, {fastest.label}"
        if fastest is not first:
            yield number(bench.ratios()[fastest.label].median, 0), "times", f"the messages of {first.label}"
        total = fastest.distribution("total")
        if total and (p99 := total.percentiles["p99"]) is not None:
            yield *_split(p99), "end to end, p99"
    if found.ablation:
        yield number(found.ablation.whole.ratio.median, 2), "times", "naive Rust to best"


def _split(ns: float) -> tuple[str, str]:
    value, _, unit = duration(ns).partition(" ")
    return value, unit
