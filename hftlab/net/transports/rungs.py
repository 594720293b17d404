"""What the ping-pong found: one rung per transport, and the ladder that they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hftlab.engine.timing import Histogram
from hftlab.measurement.distribution import has_enough_samples
from hftlab.measurement.machine import describe
from hftlab.measurement.paired import Interval, Series
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-pingpong/1"
AGAIN = " again"  # after the name of the base: its second copy, the A/A control
BARE = "C "  # before the name of a transport: the same, written in C
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
MEASURES = ("round trip", "one way")


@dataclass(frozen=True)
class Rung:
    """One transport.

    trip, there : every message there and back, and there alone (by the clocks of two cores, which agree to some 15 ns); raw, ns
    medians     : (rounds,) of the round trips, raw, ns
    clock_ns    : cost of a reading of the clock, which every figure but those two is less by; never below 0
    """

    name: str
    trip: Histogram
    there: Histogram
    medians: Series = field(repr=False)
    clock_ns: float

    @classmethod
    def of(cls, name: str, trip: Histogram, there: Histogram, medians: Series, clock_ns: float) -> Rung:
        return cls(name, trip, there, medians, clock_ns)

    def less(self, ns: float) -> float:
        """Less the cost of the clock."""
        return max(ns - self.clock_ns, 0.0)

    def quantiles(self, measure: str = MEASURES[0]) -> dict[str, float | None]:
        """min, p50 to p99.99, max, ns; None where fewer than 100 samples lie beyond."""
        found = self.trip if measure == MEASURES[0] else self.there
        told = {name: self.less(found.quantile(q)) if has_enough_samples(found.n, q) else None for name, q in QUANTILES.items()}
        return {"min": self.less(found.min), **told, "max": self.less(found.max)}


@dataclass(frozen=True)
class Ladder(Result):
    """What the ping-pong found.

    base     : the transport that every ratio is to; its second copy is "BASE again"
    cores    : of the two ends; None: not pinned
    wire     : what it went over, where there was a wire
    skipped  : transports that could not be had, and why
    refused  : what the system did not allow of pinning and scheduling
    """

    base: str
    rungs: tuple[Rung, ...]
    rounds: int
    size: int
    cores: tuple[int, int] | tuple[None, None]
    fifo: bool
    wire: str
    clock_ns: float
    skipped: tuple[str, ...]
    refused: tuple[str, ...]
    machine: dict[str, Any]
    seed: int = 1

    def __getitem__(self, name: str) -> Rung:
        """By name. Raises KeyError."""
        return {rung.name: rung for rung in self.rungs}[name]

    def ratio(self, name: str, to: str = "") -> Interval:
        """Median round trip of a transport in times that of another (default: the base), paired round by round."""
        return Interval.of(self[name].medians / self[to or self.base].medians)

    @property
    def control(self) -> Interval:
        """The base against itself: what the machine makes of nothing."""
        return self.ratio(self.base + AGAIN)

    def frame(self) -> pl.DataFrame:
        """Two rows per transport: transport, measure ("round trip", "one way"), n, min, p50 to p99.99, max (ns, less the clock;
        null where too few samples lie beyond), low, high (95 % interval of the median over the rounds; round trips alone), ratio,
        ratio_low, ratio_high (to the base; round trips alone)."""
        import polars as pl

        numbers = ("min", *QUANTILES, "max", "low", "high", "ratio", "ratio_low", "ratio_high")
        schema: dict[str, Any] = {
            "transport": pl.String,
            "measure": pl.String,
            "n": pl.Int64,
            **dict.fromkeys(numbers, pl.Float64),
        }
        return pl.DataFrame([row for rung in self.rungs for row in self._rows(rung)], schema=schema)

    def _rows(self, rung: Rung) -> list[dict[str, Any]]:
        middle, ratio = Interval.of(rung.medians), self.ratio(rung.name)
        spread = {"low": rung.less(middle.low), "high": rung.less(middle.high)}
        times = {"ratio": ratio.median, "ratio_low": ratio.low, "ratio_high": ratio.high}
        trip = {**rung.quantiles(), **spread, **times}
        heads = [{"transport": rung.name, "measure": measure, "n": rung.trip.n} for measure in MEASURES]
        return [{**heads[0], **trip}, {**heads[1], **rung.quantiles(MEASURES[1]), **dict.fromkeys((*spread, *times))}]

    def to_dict(self) -> dict[str, Any]:
        names = ("base", "rounds", "size", "cores", "fifo", "wire", "clock_ns", "skipped", "refused", "machine")
        rounds = {rung.name: [round(ns, 1) for ns in rung.medians] for rung in self.rungs}
        told = {name: getattr(self, name) for name in names}
        return {"schema": SCHEMA, **told, "medians_ns": rounds, "rows": self.frame().to_dicts(), "words": self.words()}

    def plot(self) -> Any:
        """p50, p99 and p99.9 of the round trip, transport by transport, as an Altair chart on a logarithmic axis."""
        from hftlab.charts import round_trip_chart

        return round_trip_chart(self.frame(), self._conditions())

    def _conditions(self) -> str:
        where = f"cores {self.cores[0]} and {self.cores[1]}" if self.cores[0] is not None else "not pinned"
        how = "real-time scheduling" if self.fifo and not self.refused else "default scheduling"
        return f"{self.size} bytes there and back, {self.wire}, {where}, {how}, {self.rounds} interleaved rounds"

    def words(self) -> list[str]:
        """What was found, a sentence each."""
        out = [f"A/A control, {self.base} against itself: {self.control}"]
        for rung in self.rungs:
            ours = rung.name.removeprefix(BARE)
            if rung.name != ours:
                out.append(f"{ours} takes {self.ratio(ours, rung.name)} the time of the same in C")
        return out

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        clock = f"less {self.clock_ns:.0f} ns, the cost of a reading of the clock"
        return [self._conditions(), clock, *self.words(), *self.refused, *self.skipped, describe(self.machine)]

    def __str__(self) -> str:
        width = max(len(rung.name) for rung in self.rungs)
        shown = ("min", "p50", "p99", "p99.9", "max")
        rows = [f"{'round trip, us':<{width}} " + "".join(f"{name:>10}" for name in shown) + f"{'n':>10}"]
        for rung in sorted(self.rungs, key=lambda rung: rung.quantiles()["p50"] or 0.0):
            told = rung.quantiles()
            cells = [f"{'n/a' if told[name] is None else f'{(told[name] or 0.0) / 1e3:,.2f}':>10}" for name in shown]
            rows.append(f"{rung.name:<{width}} {''.join(cells)}{rung.trip.n:>10,}")
        return "\n".join([*rows, *self.lines()])

    def __repr__(self) -> str:
        return f"<Ladder of {len(self.rungs)} transports, {self.rounds} rounds>"
