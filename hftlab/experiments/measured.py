"""What was seen of one engine: distributions, whole passes, and whether the two ways of measuring agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hftlab.measurement.clock import ClockReport
from hftlab.measurement.distribution import TITLES, Distribution
from hftlab.measurement.paired import Interval

#: Two ways agree within so much of the greater, or within one reading of the clock.
TOLERANCE = 0.25
#: What is shorter than so many readings of the clock is not to be stamped alone.
READINGS = 10


@dataclass(frozen=True)
class Measured:
    """One engine.

    rows        : distributions of the four stages and of end to end, by stamps, without the first messages of each pass
    first       : the same of the first messages alone
    until_ns    : whole unstamped passes in ns per message, by last stage, median over the rounds
    rounds_ns   : whole unstamped passes over the whole path, ns per message, by round
    stamped_ns  : passes that stamp every stage, ns per message, median over the rounds; None for an engine without stamps
    stage_means : mean of the stamps of each stage less the clock's cost, ns, median over the rounds
    control     : A/A ratios by round, if it was the control
    passes_ns   : whole unstamped passes by last stage, ns per message, by round
    record_ns   : whole passes in ns per message by record mode, over the first `record_messages` messages
    """

    label: str
    backend: str
    variant: dict[str, Any]
    clock: ClockReport
    rows: tuple[Distribution, ...]
    first: tuple[Distribution, ...]
    until_ns: dict[str, float]
    rounds_ns: tuple[float, ...]
    stamped_ns: float | None
    stage_means: dict[str, float]
    control: tuple[float, ...]
    record_ns: dict[str, float]
    record_messages: int
    live_orders: int
    order_bytes: int
    passes_ns: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def whole_ns(self) -> float:
        """The whole path, ns per message."""
        return list(self.until_ns.values())[-1]

    @property
    def messages_per_s(self) -> float:
        return 1e9 / self.whole_ns

    @property
    def stage_ns(self) -> dict[str, float]:
        """What each stage adds to a whole pass, ns per message."""
        spent = list(self.until_ns.values())
        return dict(zip(self.until_ns, np.diff([0.0, *spent]).tolist(), strict=True))

    def intervals(self) -> dict[str, Interval]:
        """What each stage adds to a whole pass of its round, and the whole as "total", ns per message with its 95 % interval."""
        out, before = {}, np.array(0.0)
        for stage, values in self.passes_ns.items():
            out[stage] = Interval.of(np.array(values) - before)
            before = np.array(values)
        return {**out, "total": Interval.of(before)} if out else {}

    @property
    def overhead(self) -> float | None:
        """Passes that stamp every stage against unstamped ones, a ratio; None without stamps."""
        return None if self.stamped_ns is None else self.stamped_ns / self.whole_ns

    def agreement(self) -> dict[str, tuple[bool, str]]:
        """By stage: whether stamps and whole passes agree, and a sentence that says so and which to believe."""
        return {stage: self._agreement(stage, mean) for stage, mean in self.stage_means.items()}

    def _agreement(self, stage: str, stamped: float) -> tuple[bool, str]:
        differenced, reading = self.stage_ns[stage], self.clock.cost_p50_ns
        agree = abs(stamped - differenced) <= max(TOLERANCE * max(stamped, differenced), reading)
        both = f"{TITLES[stage]}: stamps {stamped:,.1f} ns, whole passes {differenced:,.1f} ns"
        if differenced <= 0:
            return agree, f"{both}: the difference drowned in the noise; more rounds or a quieter machine would tell"
        if differenced >= READINGS * reading:
            return agree, f"{both}; " + ("they agree" if agree else "they do not agree: look at both")
        told = "they agree within a reading" if agree else "they do not agree"
        return agree, f"{both}; {told}, and it is shorter than {READINGS} readings of {reading:.0f} ns: believe the passes"

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        clock = self.clock
        out = [
            f"{self.label}: clock {clock.name}, a reading costs {clock.cost_p50_ns:.0f} ns (median, subtracted) "
            f"and counts in steps of {clock.grain_ns or clock.resolution_ns:.3g} ns"
        ]
        if self.overhead is not None:
            out[0] += f"; stamping every stage makes a pass {self.overhead:.2f}x as long"
        return out

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "backend": self.backend,
            "variant": self.variant,
            "clock": self.clock.to_dict(),
            "latency_ns": [row.to_dict() for row in self.rows],
            "first_ns": [row.to_dict() for row in self.first],
            "until_ns_per_message": self.until_ns,
            "stage_ns_per_message": self.stage_ns,
            "stage_means_ns": self.stage_means,
            "stamped_ns_per_message": self.stamped_ns,
            "agreement": {stage: {"agree": agree, "said": said} for stage, (agree, said) in self.agreement().items()},
            "rounds_ns_per_message": list(self.rounds_ns),
            "record_ns_per_message": self.record_ns,
            "record_messages": self.record_messages,
            "messages_per_s": self.messages_per_s,
            "live_orders": self.live_orders,
            "order_bytes": self.order_bytes,
            "control_ratios": list(self.control),
        }
