"""Measuring everything a report shows, in one process: first all that is compared, then the best engine alone. Nothing is drawn.

    bench          every engine, stage by stage, interleaved            hftlab.experiments
    ablation       every switch of the Rust engine                      hftlab.ablate
    swept          every engine, message by message, caches swept       hftlab.experiments.open_loop
    best           the fastest engine: over time, slowest messages      hftlab.latency
    flight         its slowest messages                                 hftlab.experiments.slowest
    open_loop      the fastest engine at fixed rates                    hftlab.experiments.open_loop

What is kept are plain values, already summarised; `hftlab.reporting.facts` says how.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.resolve import as_engine
from hftlab.engine.session import backends
from hftlab.engine.variants import best, naive
from hftlab.experiments.ablation import ablate
from hftlab.experiments.latency import LatencyReport, latency
from hftlab.experiments.open_loop import cold_cache, open_loop
from hftlab.experiments.stages import BenchReport, bench
from hftlab.feeds.feed import Feed
from hftlab.measurement.clock import clock_of
from hftlab.measurement.distribution import Distribution
from hftlab.reporting.facts import SCHEMA, Facts

#: Messages of one pass in the open loop, and which shares of what the engine can do are asked of it.
_OPEN_MESSAGES = 20_000
_SHARES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Effort:
    """How much is measured. rounds: of the bench; switch_rounds: of the ablation; shares: of the rate in the open loop."""

    rounds: int
    switch_rounds: int
    latency_rounds: int
    swept_s: float
    shares: tuple[float, ...]
    swept_most: int = 1_000


FULL = Effort(rounds=11, switch_rounds=21, latency_rounds=5, swept_s=2.0, shares=_SHARES)
QUICK = Effort(rounds=5, switch_rounds=21, latency_rounds=3, swept_s=0.5, shares=(0.3, 0.7, 1.0), swept_most=250)


def gather(feed: Feed, effort: Effort, *, seed: int = 1, engines: Iterable[Any] = (), how: dict[str, Any] | None = None) -> Facts:
    """Measure all of it on one feed.

    how    : plain values that say how to do it again, kept as they are
    raises : HftlabError if engines differ, or one is a debug build
    """
    given = list(engines)
    report = bench(feed, rounds=effort.rounds, seed=seed, engines=given)
    missing: dict[str, str] = {}
    parts: dict[str, Any] = {"bench": report.to_dict(), **_summaries(report)}
    parts["ablation"] = _ablation(feed, effort, seed, missing)
    by_label = dict(_engines(given))
    parts["swept"] = dict(_swept(by_label, report, feed, effort))
    fastest = report.fastest.label
    one = latency(by_label[fastest], feed, rounds=effort.latency_rounds, seed=seed)
    parts["best"] = _alone(fastest, one)
    parts["flight"] = _flight(fastest, one)
    parts["open_loop"] = _open_loop(by_label[fastest], feed, effort)
    return Facts({"schema": SCHEMA, "how": how or {}, "missing": missing, **parts})


def _engines(given: list[Any]) -> Iterator[tuple[str, Engine]]:
    """By the labels of the bench."""
    for info in backends():
        if info.available and info.name == "rust":
            yield "rust naive", Engine("rust").replace(**naive(info.variants))
            yield "rust best", Engine("rust").replace(**best(info.variants))
        elif info.available:
            yield info.name, Engine(info.name)
    yield from ((engine.label, engine) for engine in map(as_engine, given))


def _summaries(report: BenchReport) -> dict[str, Any]:
    """End to end as percentiles, every part as bins: what charts draw, and no more."""
    totals = [(one.label, row) for one in report.engines for row in one.latency_ns if row.part == "total"]
    return {
        "spectrum": [{"series": label, **point} for label, row in totals for point in row.spectrum()],
        "bins": [
            {"engine": one.label, "stage": row.part, **bin_}
            for one in report.engines
            for row in one.latency_ns
            for bin_ in row.bins()
        ],
    }


def _ablation(feed: Feed, effort: Effort, seed: int, missing: dict[str, str]) -> dict[str, Any] | None:
    rust = next((info for info in backends() if info.name == "rust"), None)
    if rust is None or not rust.available:
        missing["ablation"] = f"there is no Rust engine here: {rust.why if rust else 'it is not installed'}"
        return None
    return ablate(feed, rounds=effort.switch_rounds, seed=seed).to_dict()


def _swept(engines: dict[str, Engine], report: BenchReport, feed: Feed, effort: Effort) -> Iterator[tuple[str, dict[str, Any]]]:
    clocks = {one.label: one.clock.cost_p50_ns for one in report.engines}
    for label, engine in engines.items():
        found = cold_cache(engine, feed, clocks[label], messages=effort.swept_most, seconds=effort.swept_s)
        if found is not None:
            yield label, found.to_dict()


def _alone(label: str, one: LatencyReport) -> dict[str, Any]:
    clock = one.timings.clock.cost_p50_ns
    return {
        "label": label,
        "machine": one.machine,
        "messages": one.messages,
        "warm_up": str(one.warm_up),
        "clock_ns": clock,
        "timeline": one.timeline().to_dicts(),
    }


def _flight(label: str, one: LatencyReport) -> dict[str, Any] | None:
    """The slowest messages; None for an engine without stamps."""
    slowest = one.slowest
    if slowest is None:
        return None
    rows = [{**slow.row(), "waited": slow.waited} for slow in slowest.slow]
    return {**slowest.to_dict(), "engine": label, "rows": rows}


def _open_loop(engine: Engine, feed: Feed, effort: Effort) -> dict[str, Any]:
    """At shares of the rate that one call per message can serve, which is not the rate of a whole buffer."""
    clock = clock_of(engine.implementation).cost_p50_ns
    full = open_loop(engine, feed, 1e9, _OPEN_MESSAGES)  # due at once: the engine is never idle
    capacity = 1e9 / max(full.service.mean, 1.0)
    found = [(share, open_loop(engine, feed, share * capacity, _OPEN_MESSAGES)) for share in effort.shares]
    return {
        "capacity_per_s": capacity,
        "clock_ns": clock,
        "rates": [
            {"share": share, **one.to_dict(), "spectrum": _open_spectrum(one.service, one.response)} for share, one in found
        ],
    }


def _open_spectrum(service: Distribution, response: Distribution) -> list[dict[str, Any]]:
    both = (("service", service), ("response", response))
    return [{"series": name, **point} for name, row in both for point in row.spectrum(61)]
