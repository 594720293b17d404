"""The measuring method of the project's first table, reproduced and compared with a proper measurement in one run.

The method: the wall clock, cut to microseconds, read before and after a call; 1,000 iterations, no warm-up; each stage in a loop
of its own; and an "end to end" that nobody measured: the medians were added up, and so were p95 and p99. Here that method runs
first. Then the same three calls are measured with a clock of nanoseconds, warmed up and interleaved: each stage in a loop of its
own, the three in a row stamped one by one, and end to end with stamps of its own.

The three calls have no book, no orders and no wire format: none of these figures can be compared with the stages of an engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from course.legacy_workload import (
    FLOORED,
    LOOPS,
    METHOD,
    PUBLISHED,
    STAGES,
    TRUTH,
    US,
    Clock,
    LegacyWorkload,
    Samples,
    Series,
    Workload,
    inputs,
    sample,
)
from hftlab.errors import ConfigError, check_range
from hftlab.measurement.machine import describe, fingerprint
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import Result

if TYPE_CHECKING:
    import polars as pl

TITLES = {**STAGES, "total": "end to end"}
FIGURES = ("min", "max", "mean", "p50", "p95", "p99")
SUMMED = ("p50", "p95", "p99")  # the percentiles that the method adds up to its "end to end"
MIN_ITERATIONS = 200
MIN_TAIL_SAMPLES = 100  # a percentile with fewer samples beyond it says nothing
MAX_SAMPLES = 2_000_000  # iterations times rounds: all are in memory

#: The first table as published, us: FIGURES by stage; of its "end to end" it gave three.
PUBLISHED_US: dict[str, dict[str, float]] = {
    "tick": dict(zip(FIGURES, (0.0, 18.0, 0.85, 1.0, 1.0, 2.0), strict=True)),
    "book": dict(zip(FIGURES, (2.0, 21.0, 3.02, 3.0, 5.0, 6.0), strict=True)),
    "signal": dict(zip(FIGURES, (1.0, 12.0, 1.45, 1.0, 2.0, 2.0), strict=True)),
    "total": dict(zip(SUMMED, (5.0, 8.0, 10.0), strict=True)),
}
PUBLISHED_N = 1_000


@dataclass(frozen=True)
class Row:
    """One row of the table: figures in us by name; None where there is none, or where too few samples lie beyond it."""

    stage: str
    source: str
    n: int
    figures: dict[str, float | None]

    @classmethod
    def as_printed(cls, stage: str, source: str, us: Series) -> Row:
        """Every figure, as the method printed it, on however few samples it rests."""
        values = (us.min(), us.max(), us.mean(), *np.percentile(us, [50, 95, 99]))
        return cls(stage, source, len(us), dict(zip(FIGURES, map(float, values), strict=True)))

    @classmethod
    def measured(cls, stage: str, source: str, ns: Series, clock_ns: float) -> Row:
        """The cost of the clock subtracted, percentiles only where enough samples lie beyond."""
        row = cls.as_printed(stage, source, np.maximum(ns - clock_ns, 0.0))
        few = {name for name, percent in (("p95", 5), ("p99", 1)) if len(ns) * percent < 100 * MIN_TAIL_SAMPLES}
        figures = {name: None if name in few else (value or 0.0) / US for name, value in row.figures.items()}
        return cls(stage, source, len(ns), figures)

    @classmethod
    def summed(cls, rows: Sequence[Row]) -> Row:
        """The method's "end to end": the percentiles of the stages added up, name by name."""
        figures: dict[str, float | None] = dict.fromkeys(FIGURES)
        for name in SUMMED:
            values = [row.figures[name] for row in rows]
            figures[name] = None if None in values else sum(value or 0.0 for value in values)
        return cls("total", rows[0].source, min(row.n for row in rows), figures)


@dataclass(frozen=True)
class Effect:
    """What the faults of the method did to one stage; times in us.

    mean, median, floored_* : of the stage in a loop of its own, before and after its readings were cut to microseconds
    """

    stage: str
    mean: float
    floored_mean: float
    median: float
    floored_median: float

    @classmethod
    def of(cls, stage: str, loop_ns: Series, floored: Series) -> Effect:
        """Of the samples of one stage in its loop, and the same samples cut to microseconds."""
        values = (loop_ns.mean() / US, floored.mean(), np.median(loop_ns) / US, np.median(floored))
        return cls(stage, *map(float, values))


@dataclass(frozen=True)
class LegacyReport(Result):
    """The first table three times: as published, by its method here, and measured properly.

    warm_up  : rounds; clock_ns: cost of a reading of the proper clock, subtracted
    control  : measured p99 of the end to end against the same measured once more, None on too few samples
    """

    iterations: int
    rounds: int
    warm_up: int
    clock_ns: float
    machine: dict[str, Any]
    rows: tuple[Row, ...]
    effects: tuple[Effect, ...]
    control: float | None

    def row(self, stage: str, source: str) -> Row:
        """One row of the table."""
        return next(row for row in self.rows if (row.stage, row.source) == (stage, source))

    def frame(self) -> pl.DataFrame:
        """One row per stage and source: stage, source, n, min, max, mean, p50, p95, p99 in us; null is n/a."""
        import polars as pl

        rows = [{"stage": TITLES[row.stage], "source": row.source, "n": row.n, **row.figures} for row in self.rows]
        return pl.DataFrame(rows, schema_overrides=dict.fromkeys(FIGURES, pl.Float64))

    def headline(self) -> str:
        return f"The first table: {self.iterations:,} iterations by the legacy method, {self.rounds} rounds measured properly"

    def tables(self) -> list[Table]:
        cells = [
            (TITLES[row.stage], row.source, *(_cell(row.figures[name]) for name in FIGURES), f"{row.n:,}") for row in self.rows
        ]
        columns = ("stage", "source", *(f"{name}, us" for name in FIGURES), "samples")
        return [table("The first table, by source", columns, cells, words=2, grouped=True)]

    def notes(self) -> list[str]:
        clock = f"the proper clock: a reading costs {self.clock_ns:.0f} ns (median, subtracted); {self.warm_up} rounds to warm up"
        return [*findings(self), clock, describe(self.machine)]

    def plot(self) -> Any:
        """The figures of the method against the measured ones as an Altair chart, one step of the clock as a band."""
        from course.legacy_chart import legacy_chart

        return legacy_chart(
            self.frame(), f"{self.iterations:,} iterations by the method; {self.rounds} interleaved rounds measured properly"
        )

    def __repr__(self) -> str:
        return f"<LegacyReport: {self.iterations:,} iterations by the legacy method, {self.rounds} rounds measured properly>"


def legacy_method(
    iterations: int = 1_000,
    seed: int = 1,
    rounds: int = 101,
    *,
    workload: Callable[[], Workload] = LegacyWorkload,
    wall: Clock = time.time_ns,
    clock: Clock = time.perf_counter_ns,
) -> LegacyReport:
    """Measure the workload of the first table by its method and properly, in one run.

    iterations : of the method, and of each round; 200 to 100,000
    rounds     : of the proper measurement, interleaved, 3 to 1000; iterations * rounds at most 2,000,000
    workload   : makes the three calls; wall, clock: what the method and the proper measurement read, ns
    raises     : ConfigError
    """
    check_range("rounds", rounds, 3, 1_000)
    check_range("iterations", iterations, MIN_ITERATIONS, 100_000)
    if iterations * rounds > MAX_SAMPLES:
        raise ConfigError(f"iterations * rounds must be at most {MAX_SAMPLES:,}, got {iterations * rounds:,}")
    samples = sample(workload, inputs(iterations, seed), rounds, seed, wall, clock)
    return _report(samples, iterations, rounds)


def floored(readings: Series) -> Series:
    """Differences, us, of readings (n, 2) in ns, each cut to whole microseconds first."""
    cut = readings // US
    return cut[:, 1] - cut[:, 0]  # type: ignore[no-any-return]


def _report(samples: Samples, iterations: int, rounds: int) -> LegacyReport:
    clock_ns, series = samples.clock_ns, samples.series
    spent = {stage: series["path"][:, i + 1] - series["path"][:, i] for i, stage in enumerate(STAGES)}
    loops = {stage: series[stage][:, 1] - series[stage][:, 0] for stage in STAGES}
    cut = {stage: floored(series[stage]) for stage in STAGES}
    total, again = (Row.measured("total", TRUTH, np.diff(series[name])[:, 0], clock_ns) for name in ("total", "again"))
    added = [
        [Row.as_printed(stage, METHOD, samples.method[stage]) for stage in STAGES],
        [Row.measured(stage, LOOPS, loops[stage], clock_ns) for stage in STAGES],
        [Row.as_printed(stage, FLOORED, cut[stage]) for stage in STAGES],
    ]
    published = [
        Row(stage, PUBLISHED, PUBLISHED_N, {name: us.get(name) for name in FIGURES}) for stage, us in PUBLISHED_US.items()
    ]
    truth = [*(Row.measured(stage, TRUTH, spent[stage], clock_ns) for stage in STAGES), total]
    rows = [*published, *(row for rows in added for row in (*rows, Row.summed(rows))), *truth]
    return LegacyReport(
        iterations,
        rounds,
        samples.warm_up,
        clock_ns,
        fingerprint(),
        tuple(sorted(rows, key=lambda row: [*TITLES].index(row.stage))),
        tuple(Effect.of(stage, loops[stage], cut[stage]) for stage in STAGES),
        _ratio(total.figures["p99"], again.figures["p99"]),
    )


def findings(report: LegacyReport) -> list[str]:
    """What the table cannot say and what the method did to it, a sentence each, from what was measured."""
    return [
        *_below_one_step(report),
        *_few_samples(report),
        *_sums(report),
        "the stages of the first table had no book, no orders and no wire format: no figure here compares with an engine's",
    ]


def _below_one_step(report: LegacyReport) -> Iterator[str]:
    for stage in STAGES:
        us, truth = report.row(stage, METHOD).figures["p50"], report.row(stage, TRUTH).figures["p50"]
        if us is not None and us <= 1:
            yield (
                f"{TITLES[stage]}: a median of {us:.2f} us says nothing: it is within one step of the legacy clock (1 us), the "
                f"true one lies anywhere from 0 to {us + 1:.0f} us; measured properly: {_us(truth)}"
            )


def _few_samples(report: LegacyReport) -> Iterator[str]:
    beyond = {name: report.iterations * percent // 100 for name, percent in (("p95", 5), ("p99", 1))}
    few = [f"{name} rests on {n} samples" for name, n in beyond.items() if n < MIN_TAIL_SAMPLES]
    if few:
        joined = " and ".join(few)
        yield f"of {report.iterations:,} iterations {joined} beyond it; with fewer than {MIN_TAIL_SAMPLES} it says nothing"


def _sums(report: LegacyReport) -> Iterator[str]:
    """Adding percentiles, apart from the clock: the sums are of the same calls with the same ns clock."""
    published = report.row("total", PUBLISHED).figures
    if all(sum(report.row(stage, PUBLISHED).figures[name] or 0 for stage in STAGES) == published[name] for name in SUMMED):
        values = " / ".join(f"{published[name]:.0f}" for name in SUMMED)
        yield f"the published end to end, {values} us, is the sum of its rows, {', '.join(SUMMED)} each: it was never measured"
    method, sums, truth = (report.row("total", source).figures for source in (METHOD, LOOPS, TRUTH))
    for name in SUMMED:
        added, better, real = method[name], sums[name], truth[name]
        if better is None or real is None:
            few = f"fewer than {MIN_TAIL_SAMPLES} samples lie beyond it"
            yield f"end to end {name}: n/a, {few}; the legacy method adds up {_us(added)} all the same"
            continue
        ratios = f": {(added or 0) / real:.2f}x and {better / real:.2f}x of it" if real and better and added else ""
        yield f"end to end {name}: the legacy sum is {_us(added)}, with a ns clock {_us(better)}, measured {_us(real)}{ratios}"
    if report.control is not None:
        yield f"A/A control, the measured end-to-end p99 against itself measured once more: {report.control:.2f}x"


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _us(us: float | None) -> str:
    return "n/a" if us is None else f"{us:.2f} us"


def _cell(us: float | None) -> str:
    return "n/a" if us is None else f"{us:,.2f}"
