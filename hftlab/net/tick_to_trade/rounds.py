"""Rounds over one path: run each in the Rust engine, check that every order is the expected one, take the times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from hftlab.errors import HftlabError
from hftlab.measurement.distribution import Distribution
from hftlab.measurement.paired import Series
from hftlab.net.tick_to_trade.result import MEASURES, PathResult, split
from hftlab.net.tick_to_trade.scenario import RELIABLE, End, Scenario
from hftlab.net.transports.transports import ThreadPlacement, rust_transports
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES

#: A packet that left more than this after it was due was late, ns.
LATE_NS = 10_000
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Faults:
    """What goes wrong on purpose, in tests: the measurement must say so, and put it where it belongs.

    drop_every : every n-th packet is dropped on first transmission; 0: none
    deaf       : requests for lost packets are not answered
    delay_ns   : the trader waits before its engine runs
    dies_after : packets after which the trader stops for good; 0: never
    """

    drop_every: int = 0
    deaf: bool = False
    delay_ns: int = 0
    dies_after: int = 0


@dataclass(frozen=True)
class RoundSettings:
    """How a round is run.

    stamps : whether the trader stamps when an order is ready
    floor  : messages there and back with nothing between, before the round
    probe  : s for which either core is watched before; limit: s after which nothing is sent; timeout: s without an order
    """

    placement: ThreadPlacement = field(default_factory=ThreadPlacement)
    stamps: bool = True
    floor: int = 2_000
    probe: float = 0.002
    limit: float = 0.8
    timeout: float = 1.0
    faults: Faults = field(default_factory=Faults)


@dataclass(frozen=True)
class Sample:
    """One round. Times in ns, raw; those by order leave out what was sent while the path warmed up.

    service  : (orders,) from the tick's bytes leaving to the order's bytes arriving
    response : (orders,) the same from when the tick was due
    engine   : (orders,) in the trader, from the packet's bytes to the order's; empty without stamps
    floor    : there and back with nothing between
    late     : (packets,) from when a packet was due to when it left
    counts   : of the arbiter; with "packets" sent and "resent", "orders" that came and those "missing", "answers" that the trader
               has read, and its "allocations" once it had settled
    lost     : of either core before: share of the time in gaps of 1 us and more, longest gap in ns
    """

    service: Series
    response: Series
    engine: Series
    floor: Series
    late: Series
    counts: dict[str, int]
    lost: tuple[tuple[float, float], tuple[float, float]]
    refused: tuple[str, ...]


def run_round(name: str, ends: tuple[End, End | None], scenario: Scenario, settings: RoundSettings) -> Sample:
    """Run a scenario over a path and check what came back.

    name, ends : of the path; see `hftlab.net.tick_to_trade.scenario`
    raises     : HftlabError for what the transports say, for an order that did not come, and for one that is not, byte for byte,
                 the order of the run without a network
    """
    raw = run_in_rust(name, ends, scenario, settings)
    carrier = (ends[1] or ends[0])[0]
    return _sample(scenario, raw, check_orders(name, scenario, raw, reliable=carrier in RELIABLE))


def run_in_rust(name: str, ends: tuple[End, End | None], scenario: Scenario, settings: RoundSettings) -> dict[str, Any]:
    """The result of `hftlab_rust.wire_run`, unchecked. raises : HftlabError for what the transports say"""
    faults, placement = settings.faults, settings.placement
    plan = SimpleNamespace(  # read attribute by attribute
        feed=ends[0],
        orders=ends[1],
        first=scenario.first,
        floor=settings.floor,
        limit=settings.limit,
        patience=settings.timeout,
        cores=placement.cores,
        fifo=placement.realtime,
        stamps=settings.stamps,
        probe=settings.probe,
        settle=len(scenario.ends) // 2,
        faults=(faults.drop_every, faults.deaf, faults.delay_ns, faults.dies_after),
    )
    packets = [scenario.ends, scenario.due_ns, scenario.orders]
    try:
        raw: dict[str, Any] = rust_transports().wire_run(scenario.settings, scenario.warm, scenario.data, packets, plan)
    except (OSError, ValueError) as error:
        raise HftlabError(f"{name}: {error}") from None
    return raw


def same_orders(scenario: Scenario, raw: dict[str, Any], orders: int) -> Mask:
    """(orders,) which of the first orders are byte for byte those of the run without a network."""
    streams = [np.frombuffer(stream[: ENTER_ORDER_BYTES * orders], np.uint8) for stream in (raw["stream"], scenario.stream)]
    same: Mask = (streams[0] == streams[1]).reshape(-1, ENTER_ORDER_BYTES).all(axis=1)
    return same


def check_orders(name: str, scenario: Scenario, raw: dict[str, Any], *, reliable: bool) -> Mask:
    """Which of the expected orders came, each as it should be.

    reliable : nothing is lost on the way of the orders, so that all must have come; otherwise one that the trader sent may miss
    raises   : HftlabError for an order that is missing or wrong, came twice, or was not asked for
    """
    sent = len(raw["sent_ns"])
    wanted = int(scenario.orders[sent - 1]) if sent else 0
    came: Mask = ~np.isnan(raw["arrived_ns"][:wanted])
    if not came.all() and (reliable or len(raw["received_ns"]) < wanted or not came.any()):
        counts = raw["counts"]
        arbiter = ", ".join(f"{counts[what]:,} {what}" for what in ("messages", "requests", "lost") if counts.get(what))
        raise HftlabError(
            f"{name}: {raw['stopped'] or 'an order did not come'}; {np.count_nonzero(came):,} of {wanted:,} orders came"
            f" (the trader's arbiter: {arbiter or 'nothing'})"
        )
    if len(wrong := np.flatnonzero(came & ~same_orders(scenario, raw, wanted))):
        raise HftlabError(f"{name}: order {scenario.first + wrong[0]} differs from the run without a network; no result")
    if raw["stopped"] and came.all():
        raise HftlabError(f"{name}: {raw['stopped']}")
    for what in ("duplicates", "foreign"):
        if raw[what]:
            raise HftlabError(f"{name}: {what} on the order connection must be 0, got {raw[what]:,}")
    if not wanted:
        raise HftlabError(f"{name}: time was up before the first order came")
    return came


def _sample(scenario: Scenario, raw: dict[str, Any], came: Mask) -> Sample:
    orders = len(came)
    cause = scenario.cause[:orders]
    counted = came & (cause >= min(scenario.skipped, int(cause[came][-1])))
    sent, due, arrived = raw["sent_ns"][cause], raw["due_ns"][cause], raw["arrived_ns"][:orders]
    ready = raw["ready_ns"][:orders]
    late = raw["sent_ns"] - raw["due_ns"]
    more = {name: raw[name] for name in ("resent", "answers", "allocations")}
    more |= {"packets": len(late), "late": int(np.count_nonzero(late > LATE_NS))}
    return Sample(
        service=(arrived - sent)[counted],
        response=(arrived - due)[counted],
        engine=(ready - raw["received_ns"][:orders])[counted] if len(ready) else np.empty(0),
        floor=raw["floor_ns"],
        late=late,
        counts={**raw["counts"], **more, "orders": int(np.count_nonzero(came)), "missing": int(np.count_nonzero(~came))},
        lost=tuple(raw["quiet"]),
        refused=tuple(raw["refused"]),
    )


@dataclass
class Pool:
    """All rounds of one path under one load profile. The first round warms up and is not counted."""

    path: str
    scenario: Scenario
    run: Callable[[], Sample]
    samples: list[Sample] = field(default_factory=list)
    warm: bool = True

    def round(self) -> Series:
        """Medians of one more round: service time, transports alone; ns."""
        sample = self.run()
        if not self.warm:
            self.samples.append(sample)
        self.warm = False
        return np.array([np.median(sample.service), np.median(sample.floor)])

    def result(self, medians: Series, clock_ns: float) -> PathResult:
        """medians : (rounds, 2) as `round` gave them; clock_ns : cost of a reading of the clock"""
        times = {
            measure: np.concatenate([getattr(sample, name) for sample in self.samples])
            for measure, name in zip(MEASURES, ("service", "response", "engine", "floor"), strict=True)
        }
        alone = float(np.median(times["transport alone"]))
        names = self.samples[0].counts
        return PathResult(
            path=self.path,
            load_profile=self.scenario.load_profile,
            times={measure: Distribution.of("", ns, clock_ns).summary() for measure, ns in times.items()},
            shares=split(times["response"], times["engine"], alone, clock_ns),
            medians_ns={"service": _rounded(medians[:, 0]), "transport alone": _rounded(medians[:, 1])},
            messages_per_s=self.scenario.messages_per_s,
            counts={name: sum(sample.counts[name] for sample in self.samples) for name in names},
            clock_ns=clock_ns,
        )


def _rounded(ns: Series) -> tuple[float, ...]:
    return tuple(round(float(value), 1) for value in ns)
