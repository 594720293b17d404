"""What wire to wire found: one leg per path and pace, its distributions, and which part of it is whose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.timing import Histogram
from hftlab.measurement.distribution import has_enough_samples
from hftlab.measurement.machine import describe
from hftlab.measurement.paired import Interval, Series
from hftlab.measurement.result import Result
from hftlab.net.tick_to_trade.wire_words import conditions, words
from hftlab.net.transports.rungs import AGAIN

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-wire/1"
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
#: What is counted of every order, and of every message there and back with nothing between.
MEASURES = ("service", "response", "engine", "transport alone")
#: Whose time it is; they sum to a quantile of the response time.
PARTS = ("transport", "engine", "scheduling")
#: Orders around a quantile whose engine times are averaged: this share of all on either side of it.
AROUND = 0.005


@dataclass(frozen=True)
class Leg:
    """One path at one pace.

    times    : by measure of MEASURES, raw ns: "service" from the tick leaving to the order arriving, "response" the same from
               when the tick was due, "engine" in the trader (empty without its stamps), "transport alone" there and back
    shares   : (quantile, part, ns) of the response time; see `split`
    medians  : (rounds,) of the service time, raw ns; alone: of the transports alone
    messages : packets that left over all rounds; late: of those that left more than 10 us after they were due
    per_s    : messages a second that were due; None in a closed loop
    counts   : of the arbiter, summed over the rounds, with "orders", "resent" and "allocations"
    """

    path: str
    pace: str
    times: dict[str, Histogram] = field(repr=False)
    shares: tuple[tuple[str, str, float], ...] = field(repr=False)
    medians: Series = field(repr=False)
    alone: Series = field(repr=False)
    packets: int
    late: int
    per_s: float | None
    counts: dict[str, int] = field(repr=False)
    clock_ns: float

    @property
    def name(self) -> str:
        return f"{self.path}, {self.pace}"

    def less(self, ns: float) -> float:
        """Less the cost of a reading of the clock."""
        return max(ns - self.clock_ns, 0.0)

    def quantiles(self, measure: str = "service") -> dict[str, float | None]:
        """min, p50 to p99.9, max, ns; None where fewer than 100 samples lie beyond."""
        found = self.times[measure]
        told = {name: self.less(found.quantile(q)) if has_enough_samples(found.n, q) else None for name, q in QUANTILES.items()}
        ends = (self.less(found.min), self.less(found.max)) if found.n else (None, None)
        return {"min": ends[0], **told, "max": ends[1]}


def split(response: Series, engine: Series, alone: float, clock_ns: float) -> Iterator[tuple[str, str, float]]:
    """What p50 and p99 of the response time are made of, ns.

    transport  : what a message there and back takes at its median with nothing between, but never more than is left
    engine     : of the orders around the quantile, from the packet's bytes to the order's
    scheduling : the rest: what the transports take beyond their median, waiting behind others, interrupts, other processes
    """
    order, n = np.argsort(response, kind="stable"), len(response)
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        if not has_enough_samples(n, q) or not len(engine):
            continue
        around = order[int(max(q - AROUND, 0) * n) : max(int((q + AROUND) * n), int(q * n) + 1)]
        total = max(float(response[around].mean()) - clock_ns, 0.0)
        own = min(max(float(engine[around].mean()) - clock_ns, 0.0), total)
        transport = min(max(alone - clock_ns, 0.0), total - own)
        yield from ((name, part, ns) for part, ns in zip(PARTS, (transport, own, total - own - transport), strict=True))


@dataclass(frozen=True)
class WireToWire(Result):
    """What was found. base: the path that runs twice; its second copy is "BASE again".

    strategy : what the engine was told so that it acts often
    beside   : (rounds,) medians of ping-pongs by name, ours and those in C ("C udp-spin"), ns; of the same rounds
    quiet    : of the exchange's and the trader's core before each round: median share of the time lost in gaps of 1 us and more,
               and the longest gap in ns
    """

    base: str
    legs: tuple[Leg, ...]
    rounds: int
    engine: str
    regime: str
    strategy: str
    cores: tuple[int, int] | tuple[None, None]
    fifo: bool
    wire: str
    stamps: bool
    clock_ns: float
    beside: dict[str, Series] = field(repr=False)
    quiet: tuple[tuple[float, float], tuple[float, float]]
    skipped: tuple[str, ...]
    refused: tuple[str, ...]
    machine: dict[str, Any] = field(repr=False)
    seed: int = 1

    def __getitem__(self, name: tuple[str, str]) -> Leg:
        """By (path, pace). Raises KeyError."""
        return {(leg.path, leg.pace): leg for leg in self.legs}[name]

    @property
    def paces(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(leg.pace for leg in self.legs))

    @property
    def control(self) -> Interval:
        """The base against itself, service times round by round: what the machine makes of nothing."""
        pace = self.paces[0]
        return self.ratio((self.base + AGAIN, pace), (self.base, pace))

    def ratio(self, leg: tuple[str, str], to: tuple[str, str]) -> Interval:
        """Median service time of one leg in times that of another, paired round by round."""
        return Interval.of(self[leg].medians / self[to].medians)

    def against_c(self) -> dict[str, Interval]:
        """Our bare transports in times the same in C, round by round, by transport; empty where C was not asked for."""
        ours = [name for name in self.beside if f"C {name}" in self.beside]
        return {name: Interval.of(self.beside[name] / self.beside[f"C {name}"]) for name in ours}

    def frame(self) -> pl.DataFrame:
        """A row per path, pace and measure: path, pace, measure, n, min, p50 to p99.9, max (ns, less the clock; null where too
        few samples lie beyond), low, high (95 % interval of the rounds' medians), least, most (their range); the last four are
        null but for "service" and "transport alone"."""
        import polars as pl

        numbers = ("min", *QUANTILES, "max", "low", "high", "least", "most")
        texts = dict.fromkeys(("path", "pace", "measure"), pl.String)
        schema: dict[str, Any] = {**texts, "n": pl.Int64, **dict.fromkeys(numbers, pl.Float64)}
        rows = [self._row(leg, measure) for leg in self.legs for measure in MEASURES if leg.times[measure].n]
        return pl.DataFrame(rows, schema=schema)

    def _row(self, leg: Leg, measure: str) -> dict[str, Any]:
        series = {"service": leg.medians, "transport alone": leg.alone}.get(measure)
        spread: dict[str, float | None] = dict.fromkeys(("low", "high", "least", "most"))
        if series is not None:
            middle = Interval.of(series)
            values = (middle.low, middle.high, float(series.min()), float(series.max()))
            spread = {name: leg.less(ns) for name, ns in zip(spread, values, strict=True)}
        head = {"path": leg.path, "pace": leg.pace, "measure": measure, "n": leg.times[measure].n}
        return {**head, **leg.quantiles(measure), **spread}

    def shares(self) -> pl.DataFrame:
        """What p50 and p99 of the response time are made of: path, pace, quantile, part (one of PARTS), ns, share."""
        import polars as pl

        totals = {(leg.name, q): sum(ns for name, _, ns in leg.shares if name == q) for leg in self.legs for q in QUANTILES}
        rows = [
            {
                "path": leg.path,
                "pace": leg.pace,
                "quantile": q,
                "part": part,
                "ns": ns,
                "share": ns / (totals[leg.name, q] or 1.0),
            }
            for leg in self.legs
            for q, part, ns in leg.shares
        ]
        texts = dict.fromkeys(("path", "pace", "quantile", "part"), pl.String)
        return pl.DataFrame(rows, schema={**texts, "ns": pl.Float64, "share": pl.Float64})

    def plot(self, pace: str = "") -> Any:
        """Path by path at one pace (default the first), the quickest at the top: on the left whose time p50 is, on the right p50,
        p99 and p99.9 on a logarithmic axis; an Altair chart."""
        from hftlab.charts import tick_to_trade_chart

        pace = pace or self.paces[0]
        frame, shares = self.frame(), self.shares()
        shares = shares.filter((shares["pace"] == pace) & (shares["quantile"] == "p50"))
        chosen = frame.filter((frame["pace"] == pace) & (frame["measure"] == "response"))
        return tick_to_trade_chart(chosen, shares, conditions(self, pace))

    def words(self) -> list[str]:
        """What was found, a sentence each."""
        return words(self)

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        return [*conditions(self), *self.words(), *self.refused, *self.skipped, describe(self.machine)]

    def to_dict(self) -> dict[str, Any]:
        names = (
            "base",
            "rounds",
            "engine",
            "regime",
            "strategy",
            "cores",
            "fifo",
            "wire",
            "stamps",
            "clock_ns",
            "quiet",
            "skipped",
        )
        told = {name: getattr(self, name) for name in (*names, "refused", "machine")}
        medians = {leg.name: [round(float(ns), 1) for ns in leg.medians] for leg in self.legs}
        beside = {name: [round(float(ns), 1) for ns in series] for name, series in self.beside.items()}
        counts = {leg.name: {**leg.counts, "packets": leg.packets, "late": leg.late} for leg in self.legs}
        rows, shares = self.frame().to_dicts(), self.shares().to_dicts()
        more = {
            "medians_ns": medians,
            "beside_ns": beside,
            "counts": counts,
            "rows": rows,
            "shares": shares,
            "words": self.words(),
        }
        return {"schema": SCHEMA, **told, **more}

    def __str__(self) -> str:
        from hftlab.net.tick_to_trade.wire_words import table

        return "\n".join([*table(self), "", *self.lines()])

    def __repr__(self) -> str:
        return f"<WireToWire: {len(self.legs)} legs, {self.rounds} rounds>"
