"""What a message there and back takes: one result per transport, and the report of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.measurement.distribution import STATISTICS, Summary
from hftlab.measurement.machine import describe
from hftlab.measurement.paired import Interval
from hftlab.net.transports.transports import ThreadPlacement
from hftlab.presentation.document import Table, number, table
from hftlab.presentation.result import StoredResult

if TYPE_CHECKING:
    import polars as pl

AGAIN = " again"  # after the name of the base: its second copy, the A/A control
MEASURES = ("round trip", "one way")
_SHOWN = ("min", "p50", "p99", "p99.9", "max")


@dataclass(frozen=True)
class TransportResult:
    """One transport.

    round_trip, one_way : percentiles of every message there and back, and there alone (by the clocks of two cores, which agree to
                          some 15 ns); less the cost of a reading of the clock
    medians_ns          : of the round trips of each round, raw
    """

    name: str
    round_trip: Summary
    one_way: Summary
    medians_ns: tuple[float, ...] = field(repr=False)

    @property
    def medians(self) -> np.ndarray[Any, Any]:
        """(rounds,) float64, raw ns."""
        return np.array(self.medians_ns)


@dataclass(frozen=True, kw_only=True, repr=False)
class NetworkReport(StoredResult):
    """Ways over a network, measured in the same interleaved rounds.

    base      : the way that every ratio is to; its second copy is "BASE again"
    network   : what it went over, where there was a network
    clock_ns  : cost of a reading of the clock, which the percentiles are less by
    skipped   : what could not be measured, and why
    refused   : what the system did not allow of pinning and scheduling
    """

    base: str
    rounds: int
    placement: ThreadPlacement
    network: str
    clock_ns: float
    skipped: tuple[str, ...]
    refused: tuple[str, ...]
    machine: dict[str, Any]
    seed: int = 1

    @property
    def what(self) -> str:
        """What was measured, in words."""
        raise NotImplementedError

    @property
    def control(self) -> Interval:
        """The base against itself: the A/A noise floor."""
        raise NotImplementedError

    def frame(self) -> pl.DataFrame:
        """A row per way and measure; the columns stand with the class."""
        raise NotImplementedError

    @property
    def conditions(self) -> str:
        """How it was measured."""
        return f"{self.what}, {self.network}, {self.placement.describe(self.refused)}, {self.rounds} interleaved rounds"

    def interval(self, medians: np.ndarray[Any, Any]) -> dict[str, float]:
        """The 95 % interval of the median over the rounds, less the clock: low, high, ns."""
        middle = Interval.of(medians)
        return {"low": max(middle.low - self.clock_ns, 0.0), "high": max(middle.high - self.clock_ns, 0.0)}

    def derived(self) -> dict[str, Any]:
        return {"rows": self.frame().to_dicts()}

    def notes(self) -> list[str]:
        clock = f"less {self.clock_ns:.0f} ns, the cost of a reading of the clock"
        control = f"A/A control, {self.base} against itself: {self.control}"
        return [clock, control, *self.refused, *self.skipped, describe(self.machine)]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.conditions}>"


@dataclass(frozen=True, kw_only=True, repr=False)
class RoundTripReport(NetworkReport):
    """Transports, measured in the same interleaved rounds.

    size  : bytes of a message
    frame : two rows per transport: transport, measure ("round trip", "one way"), n, STATISTICS (ns, less the clock; null where
            too few samples lie beyond); and of round trips alone low, high (95 % interval of the median over the rounds), ratio,
            ratio_low, ratio_high (to the base)
    """

    schema = "hftlab-round-trip/2"

    results: tuple[TransportResult, ...]
    size: int

    def __getitem__(self, name: str) -> TransportResult:
        """By name. Raises KeyError."""
        return {result.name: result for result in self.results}[name]

    def ratio(self, name: str, to: str = "") -> Interval:
        """Median round trip of a transport in times that of another (default: the base), paired round by round."""
        return Interval.of(self[name].medians / self[to or self.base].medians)

    @property
    def control(self) -> Interval:
        return self.ratio(self.base + AGAIN)

    def frame(self) -> pl.DataFrame:
        import polars as pl

        numbers = (*STATISTICS, "low", "high", "ratio", "ratio_low", "ratio_high")
        schema = {"transport": pl.String, "measure": pl.String, "n": pl.Int64, **dict.fromkeys(numbers, pl.Float64)}
        rows = []
        for result in self.results:
            ratio = self.ratio(result.name)
            times = {"ratio": ratio.median, "ratio_low": ratio.low, "ratio_high": ratio.high}
            rows.append({"measure": MEASURES[0], **result.round_trip, **self.interval(result.medians), **times})
            rows.append({"measure": MEASURES[1], **result.one_way})
            rows[-2]["transport"] = rows[-1]["transport"] = result.name
        return pl.DataFrame(rows, schema=schema)

    @property
    def what(self) -> str:
        return f"{self.size} bytes there and back"

    def tables(self) -> list[Table]:
        rows = [
            (
                result.name,
                *(number(result.round_trip[name], 2, 1e3) for name in _SHOWN),
                number(result.one_way["p50"], 2, 1e3),
                str(self.ratio(result.name)),
                f"{result.round_trip['n']:,}",
            )
            for result in sorted(self.results, key=lambda result: result.round_trip["p50"] or 0.0)
        ]
        columns = ("transport", *(f"{name} us" for name in _SHOWN), "one way p50 us", f"x {self.base}", "n")
        return [table("round trip", columns, rows)]

    def notes(self) -> list[str]:
        return [self.conditions, *super().notes()]

    def plot(self) -> Any:
        """p50, p99 and p99.9 of the round trip, transport by transport, as an Altair chart on a logarithmic axis."""
        from hftlab.charts import round_trip_chart

        return round_trip_chart(self.frame(), self.conditions)
