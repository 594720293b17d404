"""What a report shows: results as they were measured, and the one file in which they are stored and from which they come back.

    {"schema"      hftlab-report/4
     "how"         how it was measured: feed, seed, effort, and the commands that do it again
     "missing"     part -> why it was not measured
     "bench"       every engine, stage by stage                                         BenchReport
     "ablation"    every switch of the Rust engine                                      Ablation
     "latency"     the fastest engine alone: warm, cold, over time, slowest messages    LatencyReport
     "open_loop"   the fastest engine at rates that rise                                OpenLoop, each
     "fills"       what the engines' latencies are worth in fills and in money          LatencyValue
     "proofs"      why the fills may be believed                                        Proofs}

Every part but "schema" may lack: a page can be built of what `hftlab bench --out` and `hftlab ablate --out` have saved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hftlab.engine.engine import synthetic
from hftlab.engine.session import backends
from hftlab.errors import FeedError, HftlabError, UnknownName
from hftlab.experiments.ablation import Ablation, ablate
from hftlab.experiments.latency import LatencyReport, latency
from hftlab.experiments.open_loop import OpenLoop, open_loop
from hftlab.experiments.stages import BenchReport, bench, timers
from hftlab.feeds.feed import Feed
from hftlab.fills.delays import Latency, constant, counted
from hftlab.fills.proofs.checks import Proofs, prove
from hftlab.fills.value import latency_value
from hftlab.fills.value_result import LatencyValue
from hftlab.measurement.machine import STABLE, differences
from hftlab.presentation.result import StoredResult

#: Part of a report -> the result that may have been saved alone.
_PARTS: dict[str, type[StoredResult]] = {"bench": BenchReport, "ablation": Ablation, "latency": LatencyReport}
#: Messages of one pass in the open loop.
_OPEN_MESSAGES = 20_000


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    rounds, ablation_rounds, latency_rounds : of each experiment
    seeds                                   : of the planted markets that prove the fills
    shares                                  : of what the fastest engine can serve, offered to it in the open loop
    """

    rounds: int = 11
    ablation_rounds: int = 21
    latency_rounds: int = 5
    seeds: int = 4
    shares: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)


FULL = Effort()
QUICK = Effort(rounds=5, latency_rounds=3, seeds=1, shares=(0.3, 0.7, 1.0))


@dataclass(frozen=True, repr=False)
class Measurements(StoredResult):
    """All that was measured; see the module."""

    schema = "hftlab-report/4"
    how: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    bench: BenchReport | None = None
    ablation: Ablation | None = None
    latency: LatencyReport | None = None
    open_loop: tuple[OpenLoop, ...] = ()
    fills: LatencyValue | None = None
    proofs: Proofs | None = None

    @property
    def parts(self) -> dict[str, BenchReport | Ablation | LatencyReport]:
        """The results that have a feed and a fingerprint, by name."""
        named = {"bench": self.bench, "ablation": self.ablation, "latency": self.latency}
        return {name: part for name, part in named.items() if part}

    @property
    def feed(self) -> str:
        """Name of the feed that everything was measured on."""
        return next(iter(self.parts.values())).feed

    @property
    def machine(self) -> dict[str, Any]:
        """The fingerprint of the first part."""
        return next(iter(self.parts.values())).machine

    def why_not(self, part: str) -> str:
        """Why a part was not measured."""
        return self.missing.get(part) or "it is not among the results this page was built from"

    def derived(self) -> dict[str, Any]:
        return {name: part.to_dict() for name, part in self.parts.items()}


def measure(
    feed: Feed | None, effort: Effort, *, messages: int, seed: int = 1, engines: Iterable[Any] = (), how: dict[str, Any]
) -> Measurements:
    """Measure all of it on one feed, in one process: first all that is compared, then the fastest engine alone.

    feed   : None: one generated symbol of `messages` messages, and beside it, in the bench, a whole market
    raises : HftlabError if engines differ, or one is a debug build
    """
    given = list(engines)
    report = bench(feed, rounds=effort.rounds, messages=messages, seed=seed, engines=given)
    feed = synthetic("calm", messages, seed, warm=True) if feed is None else feed
    missing = dict(report.missing)
    by_label = {timer.label: timer.engine for timer in timers(given)}
    rust = any(info.name == "rust" and info.available for info in backends())
    if not rust:
        missing["ablation"] = f"there is no Rust engine here: {missing.get('rust') or 'it is not installed'}"
    ablation = ablate(feed, rounds=effort.ablation_rounds, seed=seed) if rust else None
    fastest = by_label[report.fastest.label]
    alone = latency(fastest, feed, rounds=effort.latency_rounds, seed=seed)
    alone = replace(alone, timings=replace(alone.timings, label=report.fastest.label))  # as the bench calls it
    # Due at once, the engine is never idle: what one call per message can serve, which is not the rate of a whole buffer.
    full = open_loop(fastest, feed, 1e9, _OPEN_MESSAGES)
    capacity = 1e9 / max(full.service.mean, 1.0)
    loads = tuple(open_loop(fastest, feed, share * capacity, _OPEN_MESSAGES) for share in effort.shares)
    value, reason = _value(feed, report)
    missing |= {"fills": reason} if reason else {}
    proofs = prove(feed, seeds=effort.seeds) if value else None
    return Measurements({**how, "capacity_per_s": capacity}, missing, report, ablation, alone, loads, value, proofs)


def _value(feed: Feed, report: BenchReport) -> tuple[LatencyValue | None, str]:
    """What the engines' own latencies are worth on the feed, each as it was measured; or why that cannot be asked."""
    engines: list[Latency] = []
    for timings in report.engines:
        total = [row for row in timings.latency_ns if row.part == "total" and row.n]
        engines += [counted(timings.label, row.raw, row.clock_ns) for row in total]
    ladder = [constant(ns) for ns in (0, 1_000, 10_000, 100_000, 1_000_000)]
    try:
        return latency_value(feed, [ladder[0], *engines, *ladder[1:]], marks=engines), ""
    except HftlabError as error:
        return None, str(error)


def read(paths: Iterable[str | Path]) -> Measurements:
    """Measurements from files: a saved report, or results saved alone, which become its parts.

    raises : FeedError for a file that cannot be read; UnknownName for a schema that no page is built from; HftlabError for
             results that are not complete, or of different machines, feeds or versions
    """
    payload: dict[str, Any] = {"schema": Measurements.schema}
    alone = {result.schema: part for part, result in _PARTS.items()}
    for path in map(Path, paths):
        stored = _load(path, (Measurements.schema, *alone))
        if part := alone.get(stored["schema"]):
            payload[part] = stored
        else:
            payload |= {name: part for name, part in stored.items() if part}
    try:
        found = Measurements.from_dict(payload)
    except HftlabError as error:
        raise FeedError(f"{', '.join(map(str, paths))}: what is stored is not complete ({error}); measure anew") from None
    if not found.parts:
        raise HftlabError("a report needs at least one result to be built from, got none")
    _require_one_machine(found)
    return found


def _load(path: Path, schemas: tuple[str, ...]) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise FeedError(f"{path}: is not JSON; allowed is what `hftlab report` or `hftlab bench --out` has saved") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema not in schemas:
        raise UnknownName(f"schema in {path}:", schema, schemas)
    return dict(found)


def _require_one_machine(found: Measurements) -> None:
    (name, first), *others = found.parts.items()
    for other, part in others:
        apart = differences(first.machine, part.machine, (*STABLE, "hftlab"))
        apart |= {"feed": (first.feed, part.feed)} if part.feed != first.feed else {}
        for what, (one, another) in apart.items():
            raise HftlabError(f"{name} and {other} do not belong on one page: {what} is {one!r} and {another!r}")
