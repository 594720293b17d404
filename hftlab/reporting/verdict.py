"""The result in a few sentences, one of each part that was measured, and the figures to be seen first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hftlab.experiments.ablation import Ablation, Kind
from hftlab.experiments.stages import BenchReport
from hftlab.measurement.distribution import TITLES
from hftlab.measurement.paired import Interval, Outcome
from hftlab.presentation.document import Block, Tiles, duration, number, text
from hftlab.reporting.measurements import Measurements


def verdict(found: Measurements) -> Iterator[Block]:
    """The sentences and the figures, of whatever was measured."""
    bench, ablation = found.bench, found.ablation
    lead = [_fastest(bench), _trust(bench)] if bench else []
    lead.append(_optimisations(ablation) if ablation else f"The optimisations were not measured: {found.why_not('ablation')}.")
    yield text(*lead, kind="lead")
    tiles = [*(_bench_tiles(bench) if bench else ())]
    tiles += [(number(ablation.whole.ratio.median, 2), "times", "naive Rust to best")] if ablation else []
    yield Tiles(tuple(tiles))


def _fastest(bench: BenchReport) -> str:
    """The fastest engine against the first, where its time goes, and which others it was not seen to differ from."""
    first, fastest = bench.engines[0], bench.fastest
    shares = {part: max(ns, 0.0) for part, ns in fastest.stage_ns.items()}
    part = max(shares, key=lambda name: shares[name])
    where = f"of which {TITLES[part]} takes {shares[part] / (sum(shares.values()) or 1):.0%}"
    out = [f"The fastest engine, {fastest.label}, takes {duration(fastest.whole_ns)} per message, {where}"]
    if fastest is not first:
        ratio = f"{bench.ratios()[fastest.label]} the messages per second of {first.label}"
        out.append(f"{first.label} takes {duration(first.whole_ns)}: {ratio}")
    own = np.array(fastest.rounds_ns)
    others = [engine for engine in bench.engines if engine is not fastest]
    close = [engine.label for engine in others if Interval.of(np.array(engine.rounds_ns) / own).low <= 1]
    out += [f"round by round it was not seen to differ from {' and '.join(close)}, so which is fastest is open"] if close else []
    return "; ".join(out) + "."


def _trust(bench: BenchReport) -> str:
    """The A/A control, and whether stamps and whole passes agree."""
    agreements = [each.agree for engine in bench.engines for each in engine.agreement().values()]
    out = [f"Stamps and whole passes agree for {sum(agreements)} of {len(agreements)} stages"]
    if control := bench.control:
        apart = ", and that EXCLUDES 1: the machine was not quiet" if control.side else ""
        out.append(f"measured against itself in the same rounds, {bench.engines[-1].label} came out {control} as fast{apart}")
    return "; ".join(out) + "."


def _optimisations(ablation: Ablation) -> str:
    """All of them together, and the one that is worth most alone."""
    alone = [step for step in ablation.steps if step.switch.start == "naive" and step.switch.kind is Kind.SWITCH]
    faster = [step for step in alone if step.paired.outcome is Outcome.FASTER]
    out = f"All optimisations together on the naive Rust engine: {ablation.whole.judgement}"
    if not faster:
        return f"{out}; none alone makes it faster."
    top = max(faster, key=lambda step: step.paired.ratio.median)
    return f"{out}; {top.switch.axis} from {' to '.join(top.switch.names)} is worth most alone, {top.paired.ratio}."


def _bench_tiles(bench: BenchReport) -> Iterator[tuple[str, str, str]]:
    fastest, first = bench.fastest, bench.engines[0]
    yield *_split(fastest.whole_ns), f"per message, {fastest.label}"
    yield number(fastest.messages_per_s, 2, 1e6), "M/s", f"messages, {fastest.label}"
    if fastest is not first:
        yield number(bench.ratios()[fastest.label].median, 0), "times", f"the messages of {first.label}"
    total = fastest.distribution("total")
    if total and (p99 := total.percentiles["p99"]) is not None:
        yield *_split(p99), "end to end, p99"


def _split(ns: float) -> tuple[str, str]:
    value, _, unit = duration(ns).partition(" ")
    return value, unit
