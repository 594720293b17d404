"""The contenders of the bench from wire to wire: a path at a pace each, and beside them bare transports, ours and those in C."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from hftlab.engine.timing import Histogram
from hftlab.measurement.paired import Series
from hftlab.net.tick_to_trade.wire_found import MEASURES, Leg, split
from hftlab.net.tick_to_trade.wire_path import BASE, Path
from hftlab.net.tick_to_trade.wire_round import Sample, Seats, run
from hftlab.net.tick_to_trade.wire_script import Script
from hftlab.net.transports.bare import NAMES as IN_C
from hftlab.net.transports.bare import programs
from hftlab.net.transports.netns import Veth
from hftlab.net.transports.pingpong import LIMIT, MESSAGES, SIZE, timed
from hftlab.net.transports.rungs import AGAIN, BARE

#: Of a packet that left so long after it was due it is said that it was late, ns.
LATE_NS = 10_000


def base_of(ways: list[Path]) -> Path:
    """The path that every other is held against."""
    return next((path for path in ways if str(path) == BASE), ways[0])


def pools_of(ways: list[Path], scripts: dict[str, Script], seats: Seats, over: Veth | None) -> dict[tuple[str, str], Pool]:
    """Every path at every pace; the base once more at the first."""
    pools = {}
    for pace, one in scripts.items():
        for path in ways:
            pools[str(path), pace] = Pool(str(path), one, partial(run, str(path), path.ends(over), one, seats))
    base, first = base_of(ways), next(iter(scripts))
    again = str(base) + AGAIN
    pools[again, first] = Pool(again, scripts[first], partial(run, again, base.ends(over), scripts[first], seats))
    return pools


def beside_of(ways: list[Path], seats: Seats) -> tuple[dict[str, Callable[[], float]], list[str]]:
    """Ping-pongs of the transports that are there in C, ours and that in C, and why there is none: medians of a round."""
    plan: dict[str, Any] = {"cores": seats.cores, "fifo": seats.fifo, "size": SIZE}
    ours = [name for name in dict.fromkeys(name for path in ways for name in path.names) if name in IN_C]
    found, why = programs(ours, plan)
    mine = {name: partial(timed, name, None, plan={"limit": LIMIT, **plan}) for name in ours if BARE + name in found}

    def median(one: Callable[[int], dict[str, Any]]) -> float:
        return float(np.median(one(MESSAGES["spins"])["round_trip_ns"]))

    return {name: partial(median, one) for name, one in {**mine, **found}.items()}, why


class Pool:
    """All rounds of one leg. The first round warms up and is not counted."""

    def __init__(self, path: str, one: Script, run: Callable[[], Sample]) -> None:
        self.path, self.script, self.run = path, one, run
        self.samples: list[Sample] = []
        self.warm = True

    def round(self) -> Series:
        """Medians of one more round: service time, transports alone; ns."""
        sample = self.run()
        if not self.warm:
            self.samples.append(sample)
        self.warm = False
        return np.array([np.median(sample.service), np.median(sample.floor)])

    @property
    def refused(self) -> list[str]:
        return [text for sample in self.samples for text in sample.refused]

    @property
    def quiet(self) -> list[Any]:
        return [sample.quiet for sample in self.samples]

    def leg(self, medians: Series, clock_ns: float) -> Leg:
        def all_of(what: str) -> Series:
            return np.concatenate([getattr(sample, what) for sample in self.samples])

        kept = dict(zip(MEASURES, map(all_of, ("service", "response", "engine", "floor")), strict=True))
        parts = split(kept["response"], kept["engine"], float(np.median(kept["transport alone"])), clock_ns)
        counts: dict[str, int] = {}
        for sample in self.samples:
            counts = {name: counts.get(name, 0) + count for name, count in sample.counts.items()}
        return Leg(
            path=self.path,
            pace=self.script.pace,
            times={name: Histogram.of(ns) for name, ns in kept.items()},
            shares=tuple(parts),
            medians=medians[:, 0],
            alone=medians[:, 1],
            packets=sum(sample.sent for sample in self.samples),
            late=int(np.count_nonzero(all_of("late") > LATE_NS)),
            per_s=self.script.messages_per_s,
            counts=counts,
            clock_ns=clock_ns,
        )
