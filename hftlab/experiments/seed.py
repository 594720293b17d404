"""The seed's own method, reproduced and taken apart: the same workload, measured its way and properly, in one run.

hftlab grew from a table of latencies. Its method: the wall clock, cut to microseconds, read before and after a call; 1,000
iterations, no warm-up; each stage in a loop of its own; and an "end to end" that nobody measured: the medians were added up, and
so were p95 and p99. Here that method runs first, then the same three calls are measured with a clock of nanoseconds, warmed up
and interleaved: each stage in a loop of its own, the three in a row stamped one by one, and end to end with stamps of its own.

The three calls have no book, no orders and no wire format (see seed_workload.py): none of these figures can be compared with
the stages of `hftlab.experiments`, which have.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.errors import ConfigError
from hftlab.experiments.seed_stamps import COLD, STAGES, US, Clock, Samples, Series, Workload, sample
from hftlab.experiments.seed_table import FIGURES, FLOORED, LOOPS, METHOD, TRUTH, Line, added, published, ratio
from hftlab.experiments.seed_words import words
from hftlab.experiments.seed_workload import SeedWorkload, inputs
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import check_rounds
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-seed/1"
MOST = 2_000_000  # iterations times rounds: all are kept


@dataclass(frozen=True)
class Effect:
    """What the faults of the method did to one stage; times in us.

    mean, median, floored_* : of the stage in a loop of its own, before and after its readings were cut to microseconds
    cold, warm              : mean of the first 100 iterations of the method, and of the rest, each sample capped at its p99
    backwards               : samples of the method below 0
    """

    stage: str
    mean: float
    floored_mean: float
    median: float
    floored_median: float
    cold: float
    warm: float
    backwards: int


@dataclass(frozen=True)
class SeedReport(Result):
    """The seed's table, three times: as published, by its method here, and as it is. `table` goes by stage.

    control : p99 of the end to end against its own p99 measured once more, None on too few samples
    """

    iterations: int
    rounds: int
    warm_up: int
    clock_ns: float
    adjustable: bool
    machine: dict[str, Any]
    table: tuple[Line, ...]
    effects: tuple[Effect, ...]
    control: float | None

    @classmethod
    def of(cls, samples: Samples, iterations: int, rounds: int, machine: dict[str, Any]) -> SeedReport:
        """Summarise the readings."""
        clock_ns = float(np.median(samples.clock))
        spent = {stage: samples.path[:, i + 1] - samples.path[:, i] for i, stage in enumerate(STAGES)}
        loops = {stage: readings[:, 1] - readings[:, 0] for stage, readings in samples.loops.items()}
        floored = {stage: floor(readings) for stage, readings in samples.loops.items()}
        whole, again = (
            Line.measured("total", TRUTH, readings[:, 1] - readings[:, 0], clock_ns)
            for readings in (samples.whole, samples.again)
        )
        sources = [
            [Line.as_printed(stage, METHOD, samples.method[stage]) for stage in STAGES],
            [Line.measured(stage, LOOPS, loops[stage], clock_ns) for stage in STAGES],
            [Line.as_printed(stage, FLOORED, floored[stage]) for stage in STAGES],
        ]
        truth = [*(Line.measured(stage, TRUTH, spent[stage], clock_ns) for stage in STAGES), whole]
        table = [*published(), *(line for lines in sources for line in (*lines, added(lines))), *truth]
        order = [*STAGES, "total"]
        return cls(
            iterations,
            rounds,
            samples.warm_up,
            clock_ns,
            time.get_clock_info("time").adjustable,
            machine,
            tuple(sorted(table, key=lambda line: order.index(line.stage))),
            tuple(_effect(stage, samples.method[stage], loops[stage], floored[stage]) for stage in STAGES),
            ratio(whole.figures["p99"], again.figures["p99"]),
        )

    def line(self, stage: str, source: str) -> Line:
        """One row of the table."""
        return next(line for line in self.table if (line.stage, line.source) == (stage, source))

    def frame(self) -> pl.DataFrame:
        """One row per stage and source: stage, source, n, min, max, mean, median, p95, p99 in us; null: n/a, or never given."""
        import polars as pl

        return pl.DataFrame([line.row() for line in self.table], schema_overrides=dict.fromkeys(FIGURES, pl.Float64))

    def words(self) -> list[str]:
        """What is wrong with the method, a sentence each, from what was measured here."""
        return words(self)

    def lines(self) -> list[str]:
        """What the table cannot say, a sentence each."""
        clock = f"the proper clock: a reading costs {self.clock_ns:.0f} ns (median, subtracted); {self.warm_up} rounds to warm up"
        return [*self.words(), clock, describe(self.machine)]

    def plot(self) -> Any:
        """The method's figures against the truth as an Altair chart, the clock's step as a band."""
        from hftlab.charts.seed import seed_chart

        return seed_chart(
            self.frame(), f"{self.iterations:,} iterations its way; {self.rounds} interleaved rounds of them for the truth"
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "iterations": self.iterations,
            "rounds": self.rounds,
            "warm_up_rounds": self.warm_up,
            "clock_ns": self.clock_ns,
            "wall_clock_adjustable": self.adjustable,
            "machine": self.machine,
            "table_us": [line.row() for line in self.table],
            "effects_us": [asdict(effect) for effect in self.effects],
            "control": self.control,
            "words": self.words(),
        }

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<SeedReport: {self.iterations:,} iterations by the seed's method, {self.rounds} rounds for the truth>"


def floor(readings: Series) -> Series:
    """Differences, us, of readings (n, 2) in ns that a clock of whole microseconds would have cut."""
    cut = readings // US
    return cut[:, 1] - cut[:, 0]  # type: ignore[no-any-return]


def _effect(stage: str, method: Series, loop_ns: Series, floored: Series) -> Effect:
    capped = np.minimum(method, np.percentile(method, 99))  # one stop of the process would be the whole difference
    return Effect(
        stage,
        float(loop_ns.mean()) / US,
        float(floored.mean()),
        float(np.median(loop_ns)) / US,
        float(np.median(floored)),
        float(capped[:COLD].mean()),
        float(capped[COLD:].mean()),
        int((method < 0).sum()),
    )


def seed_method(
    iterations: int = 1_000,
    seed: int = 1,
    rounds: int = 101,
    *,
    workload: Callable[[], Workload] = SeedWorkload,
    wall: Clock = time.time_ns,
    clock: Clock = time.perf_counter_ns,
) -> SeedReport:
    """Measure the seed's workload by its method and properly, in one run.

    iterations : of the method, and of each round; 200 to 100,000
    rounds     : of the proper measurement, interleaved, 3 to 1000; iterations * rounds at most 2,000,000
    workload   : makes the three calls; wall, clock: what the method and the proper measurement read, ns
    raises     : ConfigError
    """
    check_rounds(rounds)
    if not 2 * COLD <= iterations <= 100_000:
        raise ConfigError(f"iterations is {iterations}; allowed is {2 * COLD} to 100,000")
    if iterations * rounds > MOST:
        raise ConfigError(f"iterations * rounds is {iterations * rounds:,}; allowed is at most {MOST:,}, since all are kept")
    samples = sample(workload, inputs(iterations, seed), rounds, seed, wall, clock)
    return SeedReport.of(samples, iterations, rounds, fingerprint())
