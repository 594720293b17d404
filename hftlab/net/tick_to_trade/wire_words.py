"""Wire to wire in words: under what conditions, against which goals, and what limits it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hftlab.measurement.paired import Interval

if TYPE_CHECKING:
    from hftlab.net.tick_to_trade.wire_found import Leg, WireToWire

#: A transport of ours that takes more than this in times the same in C has something to mend.
AS_C = 1.10
_SHOWN = ("min", "p50", "p99", "p99.9", "max")
_PARTS = ("transport", "engine", "scheduling")


@dataclass(frozen=True)
class Goal:
    """Service times that a path in a closed loop should not exceed, ns; on two cores of its own with real-time scheduling."""

    path: str
    p50: float
    p99: float | None = None


GOALS = (Goal("shm", 600), Goal("xdp-skb", 3_500, 5_000), Goal("udp-spin+tcp-spin", 8_000, 11_000))


def conditions(found: WireToWire, pace: str = "") -> list[str]:
    """How it was measured, a sentence each."""
    where = f"cores {found.cores[0]} and {found.cores[1]}" if found.cores[0] is not None else "not pinned"
    how = "real-time scheduling" if found.fifo and not found.refused else "default scheduling"
    first = f"from a tick's bytes leaving the exchange to its order's bytes arriving there, {found.wire}, {where}, {how}"
    if pace:
        per_s = next((leg.per_s for leg in found.legs if leg.pace == pace), None)
        speed = "closed loop" if pace == "closed" else f"{pace}: {per_s or 0.0:,.0f} messages/s on average"
        return [f"{first}, {found.rounds} interleaved rounds", f"{speed}, {found.regime}, {found.engine}"]
    stamp = (
        f"the trader stamps when an order is ready, which costs it a reading of the clock per order, {found.clock_ns:.0f} ns"
        if found.stamps
        else "the trader does not stamp when an order is ready, so the engine's share is not told"
    )
    orders = sum(leg.counts["orders"] for leg in found.legs)
    return [
        f"{first}, {found.rounds} interleaved rounds; {found.engine}; feed {found.regime}",
        found.strategy,
        f"all {orders:,} orders are byte for byte those of the same engine without a wire",
        "transport: what the path takes alone, at its median; engine: stamped; scheduling: the rest: queues, interrupts, others",
        f"less {found.clock_ns:.0f} ns, the cost of a reading of the clock; {stamp}",
    ]


def words(found: WireToWire) -> list[str]:
    """What was found, a sentence each."""
    out = [f"A/A control, {found.base} against itself: {found.control}"]
    out += [against(goal, leg) for goal in GOALS for leg in found.legs if (leg.path, leg.pace) == (goal.path, "closed")]
    out += [_as_c(name, interval) for name, interval in found.against_c().items()]
    out += list(_losses(found))
    sides = zip(("exchange", "trader"), found.quiet, strict=True)
    out.append("; ".join(f"{lost:.1%} of the {side}'s core was lost before the rounds, longest gap {gap / 1e3:,.0f} us"
                         for side, (lost, gap) in sides))  # fmt: skip
    return out


def against(goal: Goal, leg: Leg) -> str:
    """A goal in a sentence: whether a goal is reached, and if not what stands in the way."""
    told, parts = leg.quantiles(), []
    reached = True
    for name, most in (("p50", goal.p50), ("p99", goal.p99)):
        if most is None:
            continue
        ns = told[name]
        reached = reached and ns is not None and ns <= most
        parts.append(f"{name} {'n/a' if ns is None else f'{ns / 1e3:,.2f}'} us, goal {most / 1e3:g}")
    verdict = "reached" if reached else f"not reached: {_limits(goal, leg)}"
    rounds = leg.medians - leg.clock_ns
    there = f"{(rounds <= goal.p50).sum()} of {len(rounds)} at the goal"
    times = f"p50 {rounds.min() / 1e3:,.2f} to {rounds.max() / 1e3:,.2f} us by round, {there}"
    return f"{goal.path}: {'; '.join(parts)}: {verdict} ({times})"


def _limits(goal: Goal, leg: Leg) -> str:
    """What the time that is over goes to."""
    alone = leg.quantiles("transport alone")["p50"] or 0.0
    rest = (leg.quantiles()["p50"] or 0.0) - alone
    share = alone / goal.p50
    if share > 0.9:
        return f"the transports alone take {alone / 1e3:,.2f} us here, {share:.0%} of the goal for p50"
    return f"the transports alone take {alone / 1e3:,.2f} us, the engine and the rest {rest / 1e3:,.2f} us"


def _as_c(name: str, ratio: Interval) -> str:
    within = ratio.median <= AS_C
    word = "within 10 %" if within else "more than 10 % above"
    return f"{name} takes {ratio} the time of the same in C: {word}"


def _losses(found: WireToWire) -> Iterator[str]:
    """What got lost on the way and was sent again, leg by leg."""
    for leg in found.legs:
        if leg.counts.get("gaps"):
            yield (f"{leg.name}: packets were lost {leg.counts['gaps']:,} times, and {leg.counts['resent']:,} were sent again")
        if missing := leg.counts.get("missing"):
            yield f"{leg.name}: {missing:,} orders were lost on the way, over a transport that does not send again"


def table(found: WireToWire) -> list[str]:
    """Response and service times in us, and what p50 of the response is made of, a line per leg and measure."""
    width = max(len(leg.name) for leg in found.legs)
    heads = "".join(f"{name:>10}" for name in (*_SHOWN, "n")) + "   " + "".join(f"{part:>11}" for part in _PARTS)
    out = [f"{'wire to wire, us':<{width}} {'':<9}{heads}"]
    for pace in found.paces:
        legs = [leg for leg in found.legs if leg.pace == pace]
        for leg in sorted(legs, key=lambda leg: leg.quantiles("response")["p50"] or 0.0):
            out.append(_row(leg, "response", leg.name, width) + _shares(leg))
            if pace != "closed":
                out.append(_row(leg, "service", "", width))
    return out


def _row(leg: Leg, measure: str, name: str, width: int) -> str:
    told = leg.quantiles(measure)
    cells = "".join(f"{_us(told[shown]):>10}" for shown in _SHOWN)
    return f"{name:<{width}} {measure:<9}{cells}{leg.times[measure].n:>10,}"


def _shares(leg: Leg) -> str:
    """Transport, engine and scheduling of p50."""
    parts = {part: ns for name, part, ns in leg.shares if name == "p50"}
    return "   " + "".join(f"{_us(parts.get(part)):>11}" for part in _PARTS)


def _us(ns: float | None) -> str:
    return "n/a" if ns is None else f"{ns / 1e3:,.2f}"
