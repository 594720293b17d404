"""The report of a bench: the seed's table, side by side, with the columns it lacked. Nothing is measured here."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.bench.clock import ClockReport
from hftlab.bench.machine import describe
from hftlab.bench.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-bench/1"
TITLES = {
    "tick": "tick processing",
    "book": "order book update",
    "signal": "signal generation",
    "order": "order",
    "total": "end to end",
}
QUANTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
#: A percentile with fewer samples beyond it says nothing.
BEYOND = 100


@dataclass(frozen=True)
class Row:
    """Distribution of one stage in ns, the clock's median cost subtracted (never below 0); None where n is too small."""

    stage: str
    n: int
    clock_ns: float
    min: float
    max: float
    mean: float
    quantiles: dict[str, float | None]
    raw_median: float

    @classmethod
    def of(cls, stage: str, raw: np.ndarray[Any, Any], clock_ns: float) -> Row:
        """Summarise raw samples in ns."""
        ns = np.maximum(raw.astype(np.float64) - clock_ns, 0.0)
        quantiles = {
            name: float(np.quantile(ns, q)) if q <= 0.5 or ns.size * (1 - q) >= BEYOND * (1 - 1e-9) else None
            for name, q in QUANTILES.items()
        }
        return cls(
            stage,
            int(ns.size),
            clock_ns,
            float(ns.min()),
            float(ns.max()),
            float(ns.mean()),
            quantiles,
            float(np.median(raw)),
        )

    def values(self) -> dict[str, float | None]:
        """min, max, mean and the percentiles, in ns."""
        return {"min": self.min, "max": self.max, "mean": self.mean, **self.quantiles}


@dataclass(frozen=True)
class Measured:
    """One engine: distributions per stage, whole passes in ns per message by last stage, A/A ratios if it was the control.

    record_ns : whole passes in ns per message by record mode, over the first `record_messages` messages
    """

    label: str
    backend: str
    variant: dict[str, Any]
    clock: ClockReport
    rows: tuple[Row, ...]
    until_ns: dict[str, float]
    rounds_ns: tuple[float, ...]
    control: tuple[float, ...]
    record_ns: dict[str, float]
    record_messages: int
    live_orders: int
    order_bytes: int

    @property
    def messages_per_s(self) -> float:
        return 1e9 / self.until_ns["order"]

    @property
    def stage_ns(self) -> dict[str, float]:
        """What each stage adds to a whole pass, ns per message."""
        spent = list(self.until_ns.values())
        return dict(zip(self.until_ns, np.diff([0.0, *spent]).tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        rows = [{"stage": row.stage, "n": row.n, "raw_median": row.raw_median, **row.values()} for row in self.rows]
        return {
            "label": self.label,
            "backend": self.backend,
            "variant": self.variant,
            "clock": self.clock.to_dict(),
            "latency_ns": rows,
            "until_ns_per_message": self.until_ns,
            "stage_ns_per_message": self.stage_ns,
            "rounds_ns_per_message": list(self.rounds_ns),
            "record_ns_per_message": self.record_ns,
            "record_messages": self.record_messages,
            "messages_per_s": self.messages_per_s,
            "live_orders": self.live_orders,
            "order_bytes": self.order_bytes,
            "control_ratios": list(self.control),
        }


@dataclass(frozen=True)
class Report(Result):
    """Every engine on one feed, in one run, on one machine."""

    feed: str
    messages: int
    rounds: int
    machine: dict[str, Any]
    measured: tuple[Measured, ...]
    missing: dict[str, str]

    def ratios(self) -> dict[str, dict[str, float]]:
        """How many times the messages per second of the first engine each other one makes: median and range over the rounds."""
        base, out = self.measured[0], {}
        for other in self.measured[1:]:
            paired = [a / b for a, b in zip(base.rounds_ns, other.rounds_ns, strict=True)]
            out[other.label] = {"median": median(paired), "low": min(paired), "high": max(paired)}
        return out

    def frame(self) -> pl.DataFrame:
        """One row per engine and stage: latency in ns; null where the sample is too small."""
        import polars as pl

        rows = [
            {"engine": one.label, "stage": TITLES[row.stage], "n": row.n, **row.values()}
            for one in self.measured
            for row in one.rows
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def stages(self) -> pl.DataFrame:
        """One row per engine and stage: ns per message that the stage adds to an unstamped pass."""
        import polars as pl

        rows = [
            {"engine": one.label, "stage": TITLES[stage], "ns_per_message": ns}
            for one in self.measured
            for stage, ns in one.stage_ns.items()
        ]
        return pl.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "feed": self.feed,
            "messages": self.messages,
            "rounds": self.rounds,
            "machine": self.machine,
            "engines": [one.to_dict() for one in self.measured],
            "ratios": self.ratios(),
            "missing": self.missing,
        }

    def plot(self) -> Any:
        """The stages of every engine as an Altair chart; see `hftlab.charts.stage_chart`."""
        from hftlab.charts import stage_chart

        return stage_chart(self.stages(), f"{self.feed}, {self.messages:,} messages")

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        out = [describe(self.machine)]
        out += [
            f"{one.label}: clock {one.clock.name}, a reading costs {one.clock.cost_p50_ns:.0f} ns (median, subtracted) "
            f"in steps of {one.clock.resolution_ns:.0f} ns"
            for one in self.measured
        ]
        for label, ratio in self.ratios().items():
            span = f"[{ratio['low']:.1f}, {ratio['high']:.1f}]"
            out.append(f"{label} makes {ratio['median']:.1f}x {span} the messages per second of {self.measured[0].label}")
        out += [
            f"{one.label} ran the record modes on the first {one.record_messages:,} messages alone, being slow"
            for one in self.measured
            if one.record_messages < self.messages
        ]
        if control := self.measured[-1].control:
            out.append(
                f"A/A control, {self.measured[-1].label} against itself: {median(control):.2f}x "
                f"[{min(control):.2f}, {max(control):.2f}]"
            )
        out += [f"{name} is ABSENT: {why}" for name, why in self.missing.items()]
        return out

    def __repr__(self) -> str:
        return f"<Report {self.feed}: {', '.join(one.label for one in self.measured)}>"
