"""Every load test in one run, one after the other, and one verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftlab.errors import ConfigError, HftlabError, check_choice, check_range
from hftlab.feeds.feed import Feed
from hftlab.loadtest.bursts import BurstReport, microbursts
from hftlab.loadtest.overload import OverloadReport, overload_test
from hftlab.loadtest.report import LoadReport
from hftlab.loadtest.soak import MAX_S, SoakReport, soak_test
from hftlab.loadtest.storms import StormReport, order_storms
from hftlab.loadtest.sweep import LoadSweep, load_sweep
from hftlab.loadtest.target import Target, resolve_targets
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.noise import Jitter, jitter
from hftlab.presentation.document import Table
from hftlab.presentation.output import check_writable

PARTS = ("sweep", "bursts", "storms", "overload", "soak")
#: With `quick`: a few seconds each.
QUICK_SWEEP: dict[str, Any] = {"loads": (0.2, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2), "messages": 40_000, "warm": 5_000, "seconds": 0.08}
QUICK_BURSTS: dict[str, Any] = {"length_ms": 2.0, "rounds": 3, "warm": 5_000}
SOAK_S, QUICK_SOAK_S = 120.0, 3.0
_NOISE_S = 0.2
#: Share of the time that may be lost before a note says what that does to tails.
NOISY = 0.01


@dataclass(frozen=True, repr=False)
class StressReport(LoadReport):
    """The result of every part; None for one that did not run.

    noise       : what the machine did while nothing ran
    soaks       : one per target
    interrupted : whether it was stopped; what was measured by then is there
    frame       : a row per target: target, capacity_per_s, knee_per_s, p50, p99, p99.9 (response at half of the capacity, or the
                  highest load below, ns), peak_queue and drain_ns (of the greatest burst), worst_storm and its ns_per_message,
                  stale_ms (of the overload), soak (verdict); null for what did not run
    """

    schema = "hftlab-stress/4"

    targets: tuple[str, ...]
    machine: dict[str, Any]
    noise: Jitter
    sweep: LoadSweep | None = None
    bursts: BurstReport | None = None
    storms: StormReport | None = None
    overload: OverloadReport | None = None
    soaks: tuple[SoakReport, ...] = ()
    interrupted: bool = False

    @property
    def parts(self) -> dict[str, LoadReport]:
        """The results by name; the soak of each target by itself."""
        every = {name: getattr(self, name) for name in PARTS if name != "soak"}
        return {name: one for name, one in every.items() if one} | {f"soak {one.target}": one for one in self.soaks}

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each; never that something is slow."""
        return [failure for one in self.parts.values() for failure in one.failures]

    @property
    def verdict(self) -> str:
        """ "sound" or "unsound"."""
        return "unsound" if self.failures else "sound"

    def headline(self) -> str:
        return f"stress of {', '.join(self.targets)}: {self.verdict}{', interrupted' if self.interrupted else ''}"

    def records(self) -> list[dict[str, Any]]:
        return [{"target": target, **self._swept(target), **self._loaded(target)} for target in self.targets]

    def _swept(self, target: str) -> dict[str, Any]:
        """Of the sweep: capacity, knee, and the response at half of the capacity."""
        curve = self.sweep[target] if self.sweep else None
        half = [point for point in curve.points if point.offered <= 0.5 * (curve.capacity or 0)] if curve else []
        return {
            "capacity_per_s": curve and curve.capacity,
            "knee_per_s": curve and curve.knee,
            **{name: half[-1].median("response", name) if half else None for name in ("p50", "p99", "p99.9")},
        }

    def _loaded(self, target: str) -> dict[str, Any]:
        """Of the other parts."""

        def rows(part: LoadReport | None) -> list[dict[str, Any]]:
            return [row for row in part.records() if row["target"] == target] if part else []

        burst = max(rows(self.bursts), key=lambda row: row["factor"], default={})
        worst = max(rows(self.storms), key=lambda row: row["ns_per_message"], default={})
        overload = next(iter(rows(self.overload)), {})
        return {
            "peak_queue": burst.get("peak_queue"),
            "drain_ns": burst.get("drain_ns"),
            "worst_storm": worst.get("storm"),
            "ns_per_message": worst.get("ns_per_message"),
            "stale_ms": overload.get("stale_ms"),
            "soak": next((one.verdict for one in self.soaks if one.target == target), None),
        }

    def derived(self) -> dict[str, Any]:
        parts = {name: one.to_dict() for name, one in self.parts.items() if name in PARTS}
        return {"verdict": self.verdict, **super().derived(), **parts, "soaks": [one.to_dict() for one in self.soaks]}

    def charts(self) -> dict[str, Any]:
        """The chart of every part, by a name for its file; the curve of every target besides."""
        charts = {name.replace(" ", "_"): one.plot() for name, one in self.parts.items()}
        if self.sweep and len(self.targets) > 1:
            charts |= {f"sweep_{curve.target.replace(' ', '_')}": self.sweep.plot(curve.target) for curve in self.sweep.curves}
        return charts

    def save_charts(self, folder: str | Path) -> list[Path]:
        """Each as a PNG; returns where. raises : OutputError if it cannot be written, HftlabError without Altair or vl-convert"""
        from hftlab.charts import save

        check_writable(Path(folder) / "sweep.png")
        Path(folder).mkdir(parents=True, exist_ok=True)
        return [save(chart, Path(folder) / f"{name}.png") for name, chart in self.charts().items()]

    def plot(self) -> Any:
        """Latency under load, or the chart of the first part that ran. raises : HftlabError where none did"""
        if not self.parts:
            raise HftlabError("no part of the stress has run; there is nothing to draw")
        return next(iter(self.parts.values())).plot()

    def tables(self) -> list[Table]:
        return [each for one in self.parts.values() for each in one.tables()]

    def notes(self) -> list[str]:
        lines = [line for one in self.parts.values() for line in one.notes() if line != describe(one.machine)]
        noisy = self.noise.lost_share > NOISY
        more = ["tails are the machine's as much as the engine's: use an idle machine, or --core and --realtime"] if noisy else []
        noise = f"noise of the machine: {str(self.noise).splitlines()[0]}"
        return list(dict.fromkeys([*lines, noise, *more, describe(self.machine)]))


def stress(
    targets: Iterable[Any] | None = None,
    parts: Sequence[str] = PARTS,
    *,
    feed: Feed | None = None,
    quick: bool = False,
    seconds: float | None = None,
    rounds: int | None = None,
    arrivals: str = "poisson",
    batch: int = 1,
    over: Iterable[str] = (),
    seed: int = 1,
) -> StressReport:
    """Run the parts, each on all targets. Ctrl-C ends it, and what was measured by then is the result.

    targets  : engines as `hftlab.as_engine` takes them, or targets; default every engine there is
    parts    : sweep, bursts, storms, overload, soak; default all of them
    feed     : wire bytes for sweep, bursts and soak; default a calm generated one
    quick    : all of it in under 20 s
    seconds  : of the soaks together, default 120 (quick: 3)
    rounds   : of the sweep and the bursts
    arrivals : of the sweep: poisson or even
    batch    : of the sweep: messages that come at once
    over     : paths over which the sweep runs each Rust engine, too: shm, udp-spin+tcp-spin, ...
    seed     : of the feeds and of the order of the rounds
    raises   : UnknownName, ConfigError; HftlabError for engines that differ, or a debug build
    """
    for part in parts:
        check_choice("part of the stress", part, PARTS)
    check_range("number of parts", len(parts), 1)
    soak_s = check_range("seconds", (QUICK_SOAK_S if quick else SOAK_S) if seconds is None else seconds, 0.1, MAX_S)
    if (over := tuple(over)) and "sweep" not in parts:
        raise ConfigError(f"parts over {', '.join(over)} must include the sweep, got {', '.join(parts)}")
    chosen = resolve_targets(targets)
    some: dict[str, Any] = {"seed": seed, **({} if rounds is None else {"rounds": rounds})}
    sweep, bursts = (QUICK_SWEEP, QUICK_BURSTS) if quick else ({}, {})
    engines = [target for target in chosen if target.engine]
    calls: dict[str, Callable[[], Any]] = {
        "sweep": lambda: load_sweep(chosen, feed, over=over, arrivals=arrivals, batch=batch, **{**sweep, **some}),
        "bursts": lambda: microbursts(chosen, feed, **{**bursts, **some}),
        "storms": lambda: order_storms(chosen, quick=quick, seed=seed),
        "overload": lambda: overload_test(engines, seed=seed) if engines else None,
        "soak": lambda: _soaks(chosen, feed, soak_s, seed),
    }
    noise = jitter(_NOISE_S)
    results = _run({part: calls[part] for part in PARTS if part in parts})
    swept = [curve.target for curve in results["sweep"].curves] if "sweep" in results else []
    labels = tuple(dict.fromkeys([*(target.label for target in chosen), *swept]))
    return StressReport(labels, fingerprint(), noise, **results)


def _run(calls: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """The fields of a `StressReport` that the parts fill; Ctrl-C is raised where nothing has been measured by then."""
    results: dict[str, Any] = {}
    interrupted = False
    try:
        for part, call in calls.items():
            results[part] = call()
    except KeyboardInterrupt:
        if not results:
            raise
        interrupted = True
    soaks = results.pop("soak", ())
    return {**results, "soaks": soaks, "interrupted": interrupted or any(one.interrupted for one in soaks)}


def _soaks(targets: Sequence[Target], feed: Feed | None, seconds: float, seed: int) -> tuple[SoakReport, ...]:
    """One per target, which share the time; none after one that was interrupted."""
    out: list[SoakReport] = []
    for target in targets:
        out.append(soak_test(target, feed, seconds=max(seconds / len(targets), 0.1), seed=seed))
        if out[-1].interrupted:
            break
    return tuple(out)
