"""Load swept to saturation, open loop: the hockey stick of every target, with the closed loop's view beside it.

Each target is first run flat out, all calls due at once, to know where to look. Then calls are offered at shares of that rate,
due at times that were fixed before (`hftlab.loadtest.schedule`), the rounds of all targets and rates in random order. Last the
highest rate that was sustained is closed in between two rates. Service time, from when a call began, is what a closed loop
reports; response time, from when it was due, is what the market sees.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hftlab.callable_module import make_callable
from hftlab.engine.engine import synthetic
from hftlab.errors import ConfigError, UnknownName
from hftlab.feeds.feed import Feed
from hftlab.loadtest.curve import KEEPS_UP, KNEE, Curve, LoadPoint
from hftlab.loadtest.over import OverTarget, over_each
from hftlab.loadtest.schedule import due_at
from hftlab.loadtest.target import Driven, Target, Work
from hftlab.loadtest.targets import FEWEST, flat_out, targets_of
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import gc_paused
from hftlab.measurement.result import Result
from hftlab.presentation.progress import track

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-stress-sweep/1"
#: Offered rates as shares of the rate flat out.
LOADS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1, 1.3)
TAIL = 12_000  # calls of all rounds together, to bear p99, also over a wire, where not all can be timed
_HALVINGS = 4  # of the gap between the highest rate that was sustained and the next
_MOST_ABOVE = 6  # steps up, while everything is sustained


@dataclass(frozen=True)
class Sweep(Result):
    """The curves of all targets, measured in one run on one machine.

    arrivals : "poisson" or "even"; each: messages of a call; seconds: at most so long a round at each rate
    notes    : what the paths are and do, and which were asked for and are not to be had here, a sentence each
    """

    feed: str
    arrivals: str
    each: int
    rounds: int
    seconds: float
    machine: dict[str, Any]
    curves: tuple[Curve, ...]
    notes: tuple[str, ...] = ()

    def frame(self) -> pl.DataFrame:
        """One row per target, offered rate, time ("response", "service") and percentile: target, offered_per_s, load (share of
        the capacity), achieved_per_s, sustained, time, percentile, ns (median over the rounds; null where the sample is too
        small), low, high (least and greatest round), n, lost (on a wire; null without one)."""
        import polars as pl

        rows = [row for curve in self.curves for point in curve.points for row in point.rows(curve.target, curve.capacity)]
        schema = {**dict.fromkeys(("load", "ns", "low", "high"), pl.Float64), "lost": pl.Int64}
        return pl.DataFrame(rows, schema_overrides=schema)

    def __getitem__(self, target: str) -> Curve:
        for curve in self.curves:
            if curve.target == target:
                return curve
        raise UnknownName("target", target, [curve.target for curve in self.curves])

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "feed": self.feed,
            "arrivals": self.arrivals,
            "messages_per_call": self.each,
            "rounds": self.rounds,
            "seconds_per_round": self.seconds,
            "rules": [KEEPS_UP, KNEE],
            "notes": list(self.notes),
            "machine": self.machine,
            "curves": [curve.to_dict() for curve in self.curves],
        }

    def plot(self, target: str | None = None, *, quietest: bool = False) -> Any:
        """The hockey stick: response beside service time, the percentiles of one target, or p50 and p99 of several against the
        share of each one's own capacity.

        target   : one of several; default all of them
        quietest : the least of the rounds instead of their median; steadier on a machine that is disturbed
        """
        from hftlab.charts import load_chart

        one = self[target or self.curves[0].target] if target or len(self.curves) == 1 else None
        frame = self.frame()
        frame = frame.with_columns(frame["low"].alias("ns")) if quietest else frame
        frame = frame.drop_nulls("ns")
        said = f"{self.feed}, {self.arrivals} arrivals, {'the least' if quietest else 'median'} of {self.rounds} rounds"
        if one is None:
            frame = frame.filter(frame["percentile"].is_in(["p50", "p99"])).rename({"target": "series"})
            return load_chart(frame.drop_nulls("load"), title="Latency under load", subtitle=said)
        frame = frame.filter((frame["target"] == one.target) & frame["percentile"].is_in(["p50", "p99", "p99.9"]))
        frame = frame.drop("load").rename({"offered_per_s": "load"})
        load = "offered load (calls/s)"
        return load_chart(frame, load, f"Latency of {one.target} under load", said, load_format="~s", knee=one.knee)

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        calls = f"{self.each} message{'s' * (self.each > 1)} a call"
        head = f"open loop: {self.feed}, {self.arrivals} arrivals, {calls}, {self.rounds} rounds"
        return [
            head,
            *(line for curve in self.curves for line in curve.lines()),
            *self.notes,
            KEEPS_UP,
            KNEE,
            describe(self.machine),
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Sweep of {', '.join(curve.target for curve in self.curves)}: {len(self.curves[0].points)} rates>"


def sweep(
    targets: Iterable[Any] | None = None,
    feed: Feed | None = None,
    *,
    over: Iterable[str] = (),
    loads: Sequence[float] = LOADS,
    arrivals: str = "poisson",
    each: int = 1,
    rounds: int = 3,
    messages: int = 200_000,
    warm: int = 20_000,
    seconds: float = 0.3,
    seed: int = 1,
) -> Sweep:
    """Sweep the load of every target.

    targets  : engines as `hftlab.as_engine` takes them, or targets (`loadtest.target`); default every engine there is
    feed     : wire bytes; default a calm generated one
    over     : paths such as "shm", "udp-spin+tcp-spin", over which each Rust engine among the targets is swept, too; see over.py
    loads    : shares of the rate flat out, each above 0
    each     : messages of a call, which is what comes in one packet
    messages : of a run, at most, after `warm` ones that are not timed; seconds: a run at most
    raises   : ConfigError, UnknownName; HftlabError for engines that differ, a debug build, or an order that is wrong
    """
    loads = tuple(sorted(set(loads)))
    if not loads or not loads[0] > 0 or rounds < 1 or not seconds > 0 or each < 1:
        raise ConfigError(
            f"{len(loads)} loads, {rounds} rounds of {seconds} s, {each} messages a call; allowed are loads above 0, 1 round or "
            "more above 0 s, and 1 message or more"
        )
    work = Work.of(synthetic("calm", messages + warm, seed) if feed is None else feed, warm, messages // each, each)
    engines = targets_of(targets)
    wired, skipped = over_each(engines, over)
    found = targets_of([*engines, *wired], work)
    notes = [*skipped, *(target.said for target in found if isinstance(target, OverTarget))]
    run = _Runs(work, arrivals, rounds, seconds, seed)
    with gc_paused():
        flat = {target.label: flat_out(target, work, rounds, seconds) for target in found}
        points = run.grid(found, {target.label: [load * flat[target.label] for load in loads] for target in found})
        curves = [run.closed_in(one, Curve(one.label, flat[one.label], tuple(points[one.label]))) for one in found]
    return Sweep(work.name, arrivals, each, rounds, seconds, fingerprint(), tuple(curves), tuple(dict.fromkeys(notes)))


class _Runs:
    """Runs at offered rates, some rounds each."""

    def __init__(self, work: Work, arrivals: str, rounds: int, seconds: float, seed: int) -> None:
        self.work, self.arrivals, self.rounds, self.seconds = work, arrivals, rounds, seconds
        self.random = random.Random(seed)

    def run(self, target: Target, rate: float) -> Driven:
        # As many as there is time for, and up to four times as long where p99 needs as many.
        wanted = min(TAIL // self.rounds + 1, 4 * int(rate * self.seconds))
        calls = min(max(FEWEST, int(rate * self.seconds), wanted), len(self.work.calls))
        if isinstance(target, OverTarget) and rate * target.longest < calls:
            calls = max(min(FEWEST, calls), int(rate * target.longest))
        return self.work.drive(target, due_at(calls, rate, self.arrivals, self.random.randrange(1 << 32)))

    def grid(self, targets: Sequence[Target], rates: dict[str, list[float]]) -> dict[str, list[LoadPoint]]:
        """Every target at each of its rates, in random order in each round."""
        cells = [(target, rate) for target in targets for rate in rates[target.label]]
        seen: dict[tuple[str, float], list[Driven]] = {(target.label, rate): [] for target, rate in cells}
        for _ in track(range(self.rounds), "rounds"):
            for target, rate in self.random.sample(cells, len(cells)):
                seen[target.label, rate].append(self.run(target, rate))
        return {label: [LoadPoint.of(rate, seen[label, rate]) for rate in asked] for label, asked in rates.items()}

    def closed_in(self, target: Target, curve: Curve) -> Curve:
        """The curve with more points around its capacity."""
        points = {point.offered: point for point in curve.points}

        def tried(rate: float) -> Curve:
            points[rate] = LoadPoint.of(rate, [self.run(target, rate) for _ in range(self.rounds)])
            return Curve(curve.target, curve.flat_out, tuple(points[at] for at in sorted(points)))

        for _ in range(_MOST_ABOVE):
            if curve.above:
                break
            curve = tried(1.25 * curve.points[-1].offered)
        for _ in range(_HALVINGS):
            if curve.capacity and curve.above:
                curve = tried((curve.capacity + curve.above) / 2)
        return curve


make_callable(__name__)
