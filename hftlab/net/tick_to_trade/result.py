"""Tick-to-trade: one result per path and load profile, what its time is made of, and the report of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.measurement.distribution import PERCENTILES, STATISTICS, Summary, has_enough_samples
from hftlab.measurement.paired import Interval, Series
from hftlab.net.tick_to_trade.outside import OutsideTime
from hftlab.net.transports.round_trip_report import AGAIN, NetworkReport
from hftlab.presentation.document import Table, number, table

if TYPE_CHECKING:
    import polars as pl

#: Times of every order, and of every message there and back with nothing between.
MEASURES = ("service", "response", "engine", "transport alone")
#: Parts of a quantile of the response time; they sum to it.
PARTS = ("transport", "engine", "scheduling")
#: Orders around a quantile whose engine times are averaged: this share of all on either side of it.
AROUND = 0.005
#: Service times (p50, p99) that a path in a closed loop should not exceed, ns; on two cores of its own, real-time scheduled.
GOALS: dict[str, dict[str, float]] = {
    "shm": {"p50": 600},
    "xdp-skb": {"p50": 3_500, "p99": 5_000},
    "udp-spin+tcp-spin": {"p50": 8_000, "p99": 11_000},
}
_SHOWN = ("min", "p50", "p99", "p99.9", "max")


@dataclass(frozen=True)
class PathResult:
    """One path under one load profile.

    times          : by measure of MEASURES, ns less the clock: "service" from the tick leaving to the order arriving, "response"
                     the same from when the tick was due, "engine" in the trader (empty without its stamps), "transport alone"
    shares         : (quantile, part, ns) of the response time; see `split`
    medians_ns     : of each round, raw ns: of the service time, and of the transports alone
    messages_per_s : that were due; None in a closed loop
    counts         : of the arbiter, summed over the rounds, with "packets" that left, "late" those of them that left more than
                     10 us after they were due, "orders", "missing", "resent" and "allocations"
    """

    path: str
    load_profile: str
    times: dict[str, Summary] = field(repr=False)
    shares: tuple[tuple[str, str, float], ...] = field(repr=False)
    medians_ns: dict[str, tuple[float, ...]] = field(repr=False)
    messages_per_s: float | None
    counts: dict[str, int] = field(repr=False)
    clock_ns: float

    @property
    def name(self) -> str:
        return f"{self.path}, {self.load_profile}"

    def medians(self, measure: str = "service") -> Series:
        """(rounds,) float64, raw ns."""
        return np.array(self.medians_ns[measure])

    def share(self, quantile: str) -> dict[str, float]:
        """What a quantile of the response time is made of: ns by part; empty where it is not known."""
        return {part: ns for name, part, ns in self.shares if name == quantile}


def split(response: Series, engine: Series, alone: float, clock_ns: float) -> tuple[tuple[str, str, float], ...]:
    """What p50 and p99 of the response time are made of, ns: (quantile, part, ns).

    transport  : what a message there and back takes at its median with nothing between, but never more than is left
    engine     : of the orders around the quantile, from the packet's bytes to the order's
    scheduling : the rest: what the transports take beyond their median, waiting behind others, interrupts, other processes
    """
    order, n = np.argsort(response, kind="stable"), len(response)
    out: list[tuple[str, str, float]] = []
    for name in ("p50", "p99"):
        q = PERCENTILES[name]
        if not has_enough_samples(n, q) or not len(engine):
            continue
        around = order[int(max(q - AROUND, 0) * n) : max(int((q + AROUND) * n), int(q * n) + 1)]
        total = max(float(response[around].mean()) - clock_ns, 0.0)
        own = min(max(float(engine[around].mean()) - clock_ns, 0.0), total)
        transport = min(max(alone - clock_ns, 0.0), total - own)
        out += [(name, part, ns) for part, ns in zip(PARTS, (transport, own, total - own - transport), strict=True)]
    return tuple(out)


@dataclass(frozen=True, kw_only=True, repr=False)
class TickToTradeReport(NetworkReport):
    """Paths under load profiles, measured in the same interleaved rounds.

    feed      : its name; strategy: how the engine was set so that it acts often
    stamps    : whether the trader stamped when an order was ready
    lost_time : of the exchange's and the trader's core before each round: median share of the time lost in gaps of 1 us and more,
                and the longest gap in ns
    outside   : of the paths through the kernel in a closed loop, the same between its stamps; untapped: why they were not taken
    frame     : a row per path, load profile and measure: path, load_profile, measure, n, then STATISTICS (ns, less the clock;
                null where too few samples lie beyond), low, high (95 % interval of the rounds' medians), least, most
                (their range); the last four are null but for "service" and "transport alone"
    """

    schema = "hftlab-tick-to-trade/2"

    results: tuple[PathResult, ...]
    engine: str
    feed: str
    strategy: str
    stamps: bool
    lost_time: tuple[tuple[float, float], tuple[float, float]]
    outside: tuple[OutsideTime, ...] = ()
    untapped: str = ""

    def __getitem__(self, name: tuple[str, str]) -> PathResult:
        """By (path, load profile). Raises KeyError."""
        return {(result.path, result.load_profile): result for result in self.results}[name]

    @property
    def load_profiles(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(result.load_profile for result in self.results))

    @property
    def control(self) -> Interval:
        profile = self.load_profiles[0]
        return self.ratio((self.base + AGAIN, profile), (self.base, profile))

    def ratio(self, result: tuple[str, str], to: tuple[str, str]) -> Interval:
        """Median service time of one (path, load profile) in times that of another, paired round by round."""
        return Interval.of(self[result].medians() / self[to].medians())

    def frame(self) -> pl.DataFrame:
        import polars as pl

        numbers = (*STATISTICS, "low", "high", "least", "most")
        texts = dict.fromkeys(("path", "load_profile", "measure"), pl.String)
        schema = {**texts, "n": pl.Int64, **dict.fromkeys(numbers, pl.Float64)}
        rows = [self._row(result, measure) for result in self.results for measure in MEASURES if result.times[measure]["n"]]
        return pl.DataFrame(rows, schema=schema)

    def _row(self, result: PathResult, measure: str) -> dict[str, Any]:
        row = {"path": result.path, "load_profile": result.load_profile, "measure": measure, **result.times[measure]}
        if measure not in result.medians_ns:
            return row
        medians = result.medians(measure)
        ends = {"least": medians.min(), "most": medians.max()}
        return {**row, **self.interval(medians), **{name: max(float(ns) - self.clock_ns, 0.0) for name, ns in ends.items()}}

    def shares(self) -> pl.DataFrame:
        """What p50 and p99 of the response time are made of: path, load_profile, quantile, part (of PARTS), ns, share."""
        import polars as pl

        texts = dict.fromkeys(("path", "load_profile", "quantile", "part"), pl.String)
        rows = [
            (result.path, result.load_profile, quantile, part, ns, ns / (sum(result.share(quantile).values()) or 1.0))
            for result in self.results
            for quantile, part, ns in result.shares
        ]
        return pl.DataFrame(rows, schema={**texts, "ns": pl.Float64, "share": pl.Float64}, orient="row")

    def plot(self, load_profile: str = "") -> Any:
        """Path by path under one load profile (default the first), the quickest at the top: on the left what p50 is made of, on
        the right p50, p99 and p99.9 on a logarithmic axis; an Altair chart."""
        from hftlab.charts import tick_to_trade_chart

        profile = load_profile or self.load_profiles[0]
        frame, shares = self.frame(), self.shares()
        shares = shares.filter((shares["load_profile"] == profile) & (shares["quantile"] == "p50"))
        frame = frame.filter((frame["load_profile"] == profile) & (frame["measure"] == "response"))
        per_s = next((result.messages_per_s for result in self.results if result.load_profile == profile), None)
        load = "closed loop" if per_s is None else f"{profile}: {per_s:,.0f} messages/s on average"
        return tick_to_trade_chart(frame, shares, [f"{self.conditions}", f"{load}, {self.feed}, {self.engine}"])

    @property
    def what(self) -> str:
        return "from a tick's bytes leaving the exchange to its order's bytes arriving there"

    def tables(self) -> list[Table]:
        columns = ("path, load", "time", *(f"{name} us" for name in _SHOWN), "n", *(f"{part} us" for part in PARTS))
        rows = []
        for profile in self.load_profiles:
            results = [result for result in self.results if result.load_profile == profile]
            for result in sorted(results, key=lambda result: result.times["response"]["p50"] or 0.0):
                for measure in ("response", "service")[: 1 if profile == "closed" else 2]:
                    times, shares = result.times[measure], result.share("p50") if measure == "response" else {}
                    cells = [number(times[name], 2, 1e3) for name in _SHOWN]
                    parts = [number(shares.get(part), 2, 1e3) if shares else "" for part in PARTS]
                    rows.append((result.name, measure, *cells, f"{times['n']:,}", *parts))
        note = (
            "the last three: what p50 of the response is made of. transport: what the path takes alone, at its median; engine: "
            "stamped; scheduling: the rest (queues, interrupts, other processes)"
        )
        return [table("tick-to-trade", columns, rows, words=2, note=note, grouped=True)]

    def notes(self) -> list[str]:
        orders = sum(result.counts["orders"] for result in self.results)
        stamp = (
            f"the trader stamps when an order is ready, which costs it a reading of the clock per order, {self.clock_ns:.0f} ns"
            if self.stamps
            else "the trader does not stamp when an order is ready, so the engine's share is not known"
        )
        sides = zip(("exchange", "trader"), self.lost_time, strict=True)
        return [
            f"{self.conditions}; {self.engine}; feed {self.feed}; {self.strategy}",
            f"all {orders:,} orders are byte for byte those of the same engine without a network",
            stamp,
            *self._goals(),
            *(time.describe() for time in self.outside),
            *([f"nothing was stamped outside: {self.untapped}"] if self.untapped else []),
            *self._losses(),
            *(
                f"{lost:.1%} of the {side}'s core was lost before the rounds, longest gap {gap / 1e3:,.0f} us"
                for side, (lost, gap) in sides
            ),
            *super().notes(),
        ]

    def _goals(self) -> Iterator[str]:
        """Whether each path in a closed loop reaches its goals, which an unknown percentile leaves open."""
        for result in self.results:
            goals, times = GOALS.get(result.path, {}), result.times["service"]
            if not goals or result.load_profile != "closed":
                continue
            figures = ", ".join(f"{name} {number(times[name], 2, 1e3)} us (goal {goal / 1e3:g})" for name, goal in goals.items())
            known = [(ns, goal) for name, goal in goals.items() if (ns := times[name]) is not None]
            over = any(ns > goal for ns, goal in known)
            verdict = "not reached" if over else "reached" if len(known) == len(goals) else "not decided"
            medians = result.medians() - self.clock_ns
            rounds = f"{(medians <= goals['p50']).sum()} of {len(medians)} rounds within the goal for p50"
            alone = result.times["transport alone"]["p50"]
            limit = "" if verdict == "reached" else f"; the transports alone take {number(alone, 2, 1e3)} us"
            yield f"{result.path}: {figures}: {verdict} ({rounds}{limit})"

    def _losses(self) -> Iterator[str]:
        """What got lost on the way and was sent again."""
        for result in self.results:
            if gaps := result.counts.get("gaps"):
                yield f"{result.name}: packets were lost {gaps:,} times, and {result.counts['resent']:,} were sent again"
            if missing := result.counts.get("missing"):
                yield f"{result.name}: {missing:,} orders were lost over a transport that does not send again"

    def derived(self) -> dict[str, Any]:
        return {**super().derived(), "shares": self.shares().to_dicts()}
