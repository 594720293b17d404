"""Every stress in one run, one after the other, and one verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.feeds.feed import Feed
from hftlab.loadtest import PARTS
from hftlab.loadtest.bursts import Bursts, bursts
from hftlab.loadtest.overload import Overload, overload
from hftlab.loadtest.soak import soak
from hftlab.loadtest.soaked import Soak
from hftlab.loadtest.storms import Storms, storms
from hftlab.loadtest.sweep import Sweep, sweep
from hftlab.loadtest.target import EngineTarget, Target
from hftlab.loadtest.targets import targets_of
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.noise import Jitter, jitter
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-stress/1"
#: With `quick`: a few seconds each.
QUICK_SWEEP: dict[str, Any] = {"loads": (0.2, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2), "messages": 40_000, "warm": 5_000, "seconds": 0.08}
QUICK_BURSTS: dict[str, Any] = {"length_ms": 2.0, "rounds": 3, "warm": 5_000}
SOAK_S, QUICK_SOAK_S = 120.0, 3.0
_NOISE_S = 0.2
#: Share of the time that may be lost before it is said what that does to tails.
LOUD = 0.01


@dataclass(frozen=True)
class StressResult(Result):
    """What every part found; None for one that did not run.

    noise       : what the machine did while nothing ran
    soaks       : one per target
    interrupted : whether it was stopped; what was seen by then is there
    """

    targets: tuple[str, ...]
    machine: dict[str, Any]
    noise: Jitter
    sweep: Sweep | None = None
    bursts: Bursts | None = None
    storms: Storms | None = None
    overload: Overload | None = None
    soaks: tuple[Soak, ...] = ()
    interrupted: bool = False

    @property
    def parts(self) -> dict[str, Any]:
        """The results by name; the soak of each target by itself."""
        every = {name: getattr(self, name) for name in PARTS if name != "soak"}
        return {name: one for name, one in every.items() if one} | {f"soak {one.target}": one for one in self.soaks}

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each; never that something is slow."""
        return [failure for one in self.parts.values() for failure in getattr(one, "failures", ())]

    @property
    def verdict(self) -> str:
        """ "sound" or "unsound", and that it was interrupted."""
        return ("unsound" if self.failures else "sound") + (", as far as it came" if self.interrupted else "")

    def frame(self) -> pl.DataFrame:
        """One row per target: target, capacity_per_s, knee_per_s, p50, p99, p99.9 (response at half of the capacity, or the
        highest load below, ns), peak_queue and drain_ms (of the greatest burst), worst_storm and its ns_per_message, stale_ms
        (of the overload), soak (verdict); null for what did not run."""
        import polars as pl

        return pl.DataFrame([self._row(target) for target in self.targets], infer_schema_length=None)

    def _row(self, target: str) -> dict[str, Any]:
        curve = self.sweep[target] if self.sweep else None
        half = [point for point in curve.points if point.offered <= 0.5 * (curve.capacity or 0)] if curve else []
        sent = [one for one in self.bursts.bursts if one.target == target] if self.bursts else []
        burst = max(sent, key=lambda one: one.factor, default=None)
        hard = [one for one in self.storms.weathered if one.target == target] if self.storms else []
        worst = max(hard, key=lambda one: one.ns.median, default=None)
        over = next((one for one in self.overload.engines if one.target == target), None) if self.overload else None
        row = burst.row() if burst else {}
        return {
            "target": target,
            "capacity_per_s": curve and curve.capacity,
            "knee_per_s": curve and curve.knee,
            **{name: half[-1].median("response", name) if half else None for name in ("p50", "p99", "p99.9")},
            "peak_queue": row.get("peak_queue"),
            "drain_ms": row["drain_ns"] / 1e6 if row else None,
            "worst_storm": worst and worst.storm,
            "ns_per_message": worst and worst.ns.median,
            "stale_ms": over and over.seen.stale_ns / 1e6,
            "soak": next((one.verdict for one in self.soaks if one.target == target), None),
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "failures": self.failures,
            "interrupted": self.interrupted,
            "targets": list(self.targets),
            "machine": self.machine,
            "noise": self.noise.to_dict(),
            **{name: one and one.to_dict() for name in PARTS if name != "soak" for one in [getattr(self, name)]},
            "soaks": [one.to_dict() for one in self.soaks],
            "summary": self.frame().to_dicts(),
        }

    def charts(self) -> dict[str, Any]:
        """The chart of every part, by a name for its file; the hockey stick of every target besides."""
        found = {name.replace(" ", "_"): one.plot() for name, one in self.parts.items()}
        if self.sweep and len(self.targets) > 1:
            found |= {f"sweep_{target.replace(' ', '_')}": self.sweep.plot(target) for target in self.targets}
        return found

    def save_charts(self, folder: str | Path) -> list[Path]:
        """Each as a PNG; returns where. raises : OutputError if it cannot be written"""
        from hftlab.charts import save
        from hftlab.measurement.result import write

        write(Path(folder) / ".folder", "")  # says in one sentence if it cannot be
        (Path(folder) / ".folder").unlink()
        paths = {Path(folder) / f"{name}.png": chart for name, chart in self.charts().items()}
        for path, chart in paths.items():
            save(chart, path)
        return list(paths)

    def plot(self) -> Any:
        """The hockey stick, or the chart of the first part that ran."""
        if not self.parts:
            raise HftlabError("no part of the stress has run; there is nothing to draw")
        return next(iter(self.parts.values())).plot()

    def lines(self) -> list[str]:
        """What all parts say, a sentence each."""
        said = [line for one in self.parts.values() for line in one.lines()]
        return list(dict.fromkeys([*said, *self._noise(), f"verdict: {self.verdict}", *self.failures]))

    def _noise(self) -> list[str]:
        """What the machine does by itself."""
        loud = self.noise.lost_share > LOUD
        more = (
            ["tails are the machine's as much as the engine's: an idle machine, or --pin and --fifo, tell more"] if loud else []
        )
        return [f"noise of the machine: {self.noise}", *more]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<StressResult of {', '.join(self.targets)}: {', '.join(self.parts)}: {self.verdict}>"


def whole(
    targets: Iterable[Any] | None = None,
    parts: Sequence[str] = PARTS,
    *,
    feed: Feed | None = None,
    quick: bool = False,
    seconds: float | None = None,
    rounds: int | None = None,
    arrivals: str = "poisson",
    each: int = 1,
    over: Iterable[str] = (),
    seed: int = 1,
) -> StressResult:
    """Run the parts, each on all targets. Ctrl-C ends it, and what was seen by then is the result.

    targets  : engines as `hftlab.as_engine` takes them, or targets (`loadtest.target`); default every engine there is
    parts    : of PARTS
    feed     : wire bytes for sweep, bursts and soak; default a calm generated one
    quick    : all of it in under 20 s; seconds: of the soaks together, default 120 (quick: 3)
    rounds   : of the sweep and the bursts; arrivals, each, over: as for `sweep`
    raises   : UnknownName, ConfigError; HftlabError for engines that differ, or a debug build
    """
    parts, found, over = _known(parts), targets_of(targets), tuple(over)
    if over and "sweep" not in parts:
        raise ConfigError(f"over {', '.join(over)}, and the parts are {', '.join(parts)}; allowed over a transport is sweep")
    some = {} if rounds is None else {"rounds": rounds}
    swept = {**(QUICK_SWEEP if quick else {}), **some, "arrivals": arrivals, "each": each}
    burst = {**(QUICK_BURSTS if quick else {}), **some}
    default = QUICK_SOAK_S if quick else SOAK_S
    calls: dict[str, Callable[[], Any]] = {
        "sweep": lambda: sweep(found, feed, over=over, seed=seed, **swept),
        "bursts": lambda: bursts(found, feed, seed=seed, **burst),
        "storms": lambda: storms(found, quick=quick, seed=seed),
        "overload": lambda: _overload(found, seed),
        "soak": lambda: _soaks(found, feed, default if seconds is None else seconds, seed),
    }
    noise, results, interrupted = jitter(_NOISE_S), {}, False
    try:
        for part in PARTS:
            if part in parts:
                results[part] = calls[part]()
    except KeyboardInterrupt:
        if not results:
            raise
        interrupted = True
    soaks = results.pop("soak", ())
    interrupted = interrupted or any(one.interrupted for one in soaks)
    curves = results["sweep"].curves if "sweep" in results else ()
    labels = tuple(dict.fromkeys([*(target.label for target in found), *(curve.target for curve in curves)]))
    return StressResult(labels, fingerprint(), noise, **results, soaks=soaks, interrupted=interrupted)


def _known(parts: Sequence[str]) -> tuple[str, ...]:
    """The parts, if there are such."""
    for part in parts:
        if part not in PARTS:
            raise UnknownName("part of the stress", part, PARTS)
    if not parts:
        raise ConfigError(f"0 parts; allowed is one or more of {', '.join(PARTS)}")
    return tuple(parts)


def _overload(targets: Sequence[Target], seed: int) -> Overload | None:
    """Of the engines among the targets; None if there is none."""
    engines = [target for target in targets if isinstance(target, EngineTarget)]
    return overload(engines, seed=seed) if engines else None


def _soaks(targets: Sequence[Target], feed: Feed | None, seconds: float, seed: int) -> tuple[Soak, ...]:
    """One per target, which share the time; none after one that was interrupted."""
    out: list[Soak] = []
    for target in targets:
        out.append(soak(target, feed, seconds=seconds / len(targets), seed=seed))
        if out[-1].interrupted:
            break
    return tuple(out)
