"""What a soak saw, and what of it creeps.

The first fifth of the samples warms up and is not judged. What is judged are the Theil-Sen slopes of the rest
(`hftlab.loadtest.trend`):

    memory grows   : the slope lies above 0 with 99.9 % confidence, and makes more than 1 % and 1 MiB over the run (the process),
                     1 % and 4 KiB (the engine), 1 % and 5,000 blocks (the heap of Python)
    latency drifts : likewise, and more than 10 % of the median service time. It is said, but is no failure: a machine drifts
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.loadtest.trend import FEWEST, Trend
from hftlab.measurement.machine import describe
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-stress-soak/1"
#: What must not grow: column of the frame -> its name, and what it may grow by in any case.
MEMORY = {"rss_bytes": ("process", 1 << 20), "engine_bytes": ("engine", 4 << 10), "heap_blocks": ("heap of Python", 5_000)}
SHARE = 0.01  # that memory may grow by in any case
DRIFT = 0.10  # that the median service time may grow by
_WARMS = 0.2


@dataclass(frozen=True)
class Soak(Result):
    """What was seen, a sample each, and what of it creeps.

    rate        : calls/s that were offered, `load` of what the target does flat out
    asked_s     : how long it should have run; interrupted: it was stopped before
    samples     : rows of `frame`
    """

    target: str
    feed: str
    rate: float
    load: float
    asked_s: float
    interrupted: bool
    machine: dict[str, Any]
    samples: tuple[dict[str, Any], ...]

    def frame(self) -> pl.DataFrame:
        """One row per sample: at_s (its end), messages (so far), passes (of the sample), rss_bytes (of the process; null where
        untold), engine_bytes, live_orders (after the pass), heap_blocks (alive, of Python), allocations (of the Rust engine, per
        message; null for another), faults (so far), service_p50, service_p99, response_p50, response_p99, response_max (ns)."""
        import polars as pl

        return pl.DataFrame(list(self.samples), infer_schema_length=None)

    @property
    def judged(self) -> tuple[dict[str, Any], ...]:
        """The samples without those that warm up."""
        return self.samples[int(np.ceil(_WARMS * len(self.samples))) :]

    def trend(self, column: str) -> Trend | None:
        """Of one column, per second; None where it is not known, or the samples are too few."""
        rows = [(row["at_s"], row[column]) for row in self.judged if row[column] is not None]
        return Trend.of(*zip(*rows, strict=True)) if rows else None

    @property
    def growing(self) -> list[str]:
        """What of MEMORY grows, by its name."""
        found = {column: self.trend(column) for column in MEMORY}
        return [
            name
            for column, (name, free) in MEMORY.items()
            if (trend := found[column]) and trend.climbs(max(free, SHARE * abs(trend.level)))
        ]

    @property
    def drifts(self) -> bool:
        trend = self.trend("service_p50")
        return bool(trend and trend.climbs(DRIFT * trend.level))

    @property
    def faults(self) -> int:
        return int(self.samples[-1]["faults"]) if self.samples else 0

    @property
    def left_over(self) -> int:
        """Orders still live after a pass that deletes them all, at most."""
        return max((row["live_orders"] for row in self.samples), default=0)

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each; a drift of the latency is none."""
        out = [f"soak of {self.target}: memory of the {name} grows{self._by(name)}" for name in self.growing]
        out += [f"soak of {self.target}: {self.faults:,} messages were refused"] if self.faults else []
        return out + ([f"soak of {self.target}: {self.left_over:,} orders live in an empty book"] if self.left_over else [])

    def _by(self, name: str) -> str:
        column = next(column for column, told in MEMORY.items() if told[0] == name)
        trend = self.trend(column)
        unit = "blocks" if column == "heap_blocks" else "bytes"
        return (
            f", {trend.change:+,.0f} {unit} in {trend.span:,.1f} s [{trend.low:,.0f}, {trend.high:,.0f} a second]"
            if trend
            else ""
        )

    @property
    def verdict(self) -> str:
        """One word or two: "sound", "unsound", or that there is too little to judge."""
        if self.failures:
            return "unsound"
        return "sound" if len(self.judged) >= FEWEST else f"not judged: {len(self.judged)} samples, {FEWEST} are needed"

    def to_dict(self) -> dict[str, Any]:
        trends = {column: self.trend(column) for column in (*MEMORY, "service_p50", "response_p99")}
        return {
            "schema": SCHEMA,
            "target": self.target,
            "feed": self.feed,
            "offered_per_s": self.rate,
            "load": self.load,
            "asked_s": self.asked_s,
            "interrupted": self.interrupted,
            "verdict": self.verdict,
            "failures": self.failures,
            "latency_drifts": self.drifts,
            "trends": {column: trend and trend.to_dict() for column, trend in trends.items()},
            "machine": self.machine,
            "samples": list(self.samples),
        }

    def plot(self) -> Any:
        """Memory and latency against time."""
        from hftlab.charts import soak_chart

        return soak_chart(self.frame(), f"{self.target}: {self.feed}, {self.rate:,.0f} messages/s ({self.load:.0%} of flat out)")

    def lines(self) -> list[str]:
        """What it says, a sentence each."""
        seconds, messages = (self.samples[-1]["at_s"], self.samples[-1]["messages"]) if self.samples else (0.0, 0)
        early = f", interrupted before {self.asked_s:,.0f} s" if self.interrupted else ""
        pace = f"{messages:,} messages in {seconds:,.1f} s at {self.rate:,.0f} a second"
        out = [f"soak of {self.target}: {pace}{early}: {self.verdict}", *self.failures]
        trend = self.trend("service_p50")
        if trend:
            word = "drifts" if self.drifts else "no drift seen"
            change = f"{trend.change:+,.1f} ns [{trend.low * trend.span:+,.1f}, {trend.high * trend.span:+,.1f}]"
            out.append(f"soak of {self.target}: median service {trend.level:,.0f} ns, {word}: {change} over {trend.span:,.1f} s")
        asked = [row["allocations"] for row in self.judged if row["allocations"] is not None]
        out += [f"soak of {self.target}: {sum(asked) / len(asked):.4f} allocations per message"] if asked else []
        return [*out, describe(self.machine)]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Soak of {self.target}: {len(self.samples)} samples, {self.verdict}>"
