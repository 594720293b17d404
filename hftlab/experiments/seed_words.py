"""What the seed's table cannot say and what its method did to it, in sentences made from what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hftlab.experiments.seed_stamps import COLD, STAGES
from hftlab.experiments.seed_table import ADDED, AS_PUBLISHED, LOOPS, METHOD, TRUTH, ratio
from hftlab.measurement.distribution import BEYOND, TITLES

if TYPE_CHECKING:
    from hftlab.experiments.seed import SeedReport

_STEP = 1.0  # us
_NOT_OURS = "its stages had no book, no orders and no wire format: no figure here can be compared with those of hftlab's engines"


def words(report: SeedReport) -> list[str]:
    """A sentence per finding."""
    return [
        *_silent(report),
        *_few(report),
        *_sums(report),
        *_flooring(report),
        *_cold(report),
        *_wall(report),
        _NOT_OURS,
    ]


def _silent(report: SeedReport) -> Iterator[str]:
    """Rows whose median is within one step of the clock."""
    for stage in STAGES:
        said, truth = report.line(stage, METHOD).figures["median"], report.line(stage, TRUTH).figures["median"]
        if said is not None and said <= _STEP:
            yield (
                f"{TITLES[stage]}: a median of {said:.2f} us by its method says nothing: it is within one step of the clock "
                f"({_STEP:.0f} us), the true one lies anywhere from 0 to {said + _STEP:.0f} us; measured here: {_us(truth)}"
            )


def _few(report: SeedReport) -> Iterator[str]:
    """Percentiles with too few samples beyond them."""
    beyond = {name: report.iterations * part // 100 for name, part in (("p95", 5), ("p99", 1))}
    few = [f"{name} rests on {n} samples" for name, n in beyond.items() if n < BEYOND]
    if few:
        yield f"of {report.iterations:,} iterations {' and '.join(few)} beyond it; with fewer than {BEYOND} it says nothing"


def _sums(report: SeedReport) -> Iterator[str]:
    """What adding percentiles does, apart from the clock: the added ones are of the same calls with the same ns clock."""
    published = [report.line(stage, AS_PUBLISHED).figures for stage in STAGES]
    given = report.line("total", AS_PUBLISHED).figures
    if all(sum(figures[name] or 0 for figures in published) == given[name] for name in ADDED):
        values = " / ".join(f"{given[name]:.0f}" for name in ADDED)
        yield f"the published end to end, {values} us, is its rows added up, {', '.join(ADDED)} each: it was never measured"
    sums, truth = report.line("total", LOOPS).figures, report.line("total", TRUTH).figures
    own = report.line("total", METHOD).figures
    for name in ADDED:
        said, told, real = (_us(figures[name]) for figures in (own, sums, truth))
        times = [ratio(figures[name], truth[name]) for figures in (own, sums)]
        if "n/a" in (told, real):
            yield f"end to end {name}: n/a, fewer than {BEYOND} samples lie beyond it; its method adds up {said} all the same"
        else:
            beside = f": {times[0]:.2f}x and {times[1]:.2f}x the truth" if all(times) else ""
            yield f"end to end {name}: its method adds up {said}, the same sum with a ns clock is {told}, measured {real}{beside}"
    if report.control is not None:
        yield f"A/A control, the measured end-to-end p99 against itself measured once more: {report.control:.2f}x"


def _flooring(report: SeedReport) -> Iterator[str]:
    """What the clock's step does to the very same samples."""
    for one in report.effects:
        median, mean = f"{one.median:.2f} -> {one.floored_median:.2f} us", f"{one.mean:.2f} -> {one.floored_mean:.2f} us"
        yield f"{TITLES[one.stage]}: the same samples cut to whole microseconds: median {median}, mean {mean}"


def _cold(report: SeedReport) -> Iterator[str]:
    """What the missing warm-up left in the table."""
    parts = [f"{one.stage} {one.cold / one.warm:.2f}x" for one in report.effects if one.warm > 0]
    if parts:
        yield f"no warm-up: the mean of the first {COLD} iterations against the rest, each capped at its p99: {', '.join(parts)}"


def _wall(report: SeedReport) -> Iterator[str]:
    """What a wall clock may do meanwhile."""
    backwards = sum(one.backwards for one in report.effects)
    seen = f"{backwards:,} samples of this run are below 0" if backwards else "no sample of this run is below 0"
    may = "may be set or slewed while a loop runs" if report.adjustable else "is not adjustable on this machine"
    yield f"the clock of its method is the wall clock, which {may}; {seen}"


def _us(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f} us"
