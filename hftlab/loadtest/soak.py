"""The soak: the same messages again and again through one session, under load, for as long as one likes; then, what creeps?

A pass ends with an empty book (see `repeatable`), so after each the engine must have the memory it had
before. Its kill switch is set: orders are decided and refused by risk, since a run keeps the orders it sends, and would grow by
design. Every sample holds the latencies of some passes, the memory of the process and of the engine, and what was allocated.
Ctrl-C ends it early, and what was measured by then is the result.

The first fifth of the samples warms up and is not judged. What is judged are the Theil-Sen slopes of the rest:

    memory grows   : the slope lies above 0 with 99.9 % confidence, and makes more than 1 % and 1 MiB over the run (the process),
                     1 % and 4 KiB (the engine), 1 % and 5,000 blocks (the heap of Python)
    latency drifts : likewise, and more than 10 % of the median service time. It is reported, but is no failure: a machine drifts
"""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np

from hftlab.engine.engine import decode, synthetic
from hftlab.errors import ConfigError, check_range
from hftlab.events import Fault
from hftlab.feeds.feed import Feed
from hftlab.feeds.generate.steady import fill_head, framed
from hftlab.feeds.itch import ItchFeed
from hftlab.loadtest.report import LoadReport
from hftlab.loadtest.schedule import Times, check_above_0, check_at_least, due_at
from hftlab.loadtest.target import MIN_BATCHES, Batches, Target, Timings, Workload, flat_out_rate, resolve_targets
from hftlab.measurement import system
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import gc_paused
from hftlab.presentation.document import Table, number, table
from hftlab.stages.book import Book

MAX_S = 7 * 86_400
#: What must not grow: column of the frame -> its name, its unit, and what it may grow by in any case.
MEMORY = {
    "rss_bytes": ("process", "bytes", 1 << 20),
    "engine_bytes": ("engine", "bytes", 4 << 10),
    "heap_blocks": ("heap of Python", "blocks", 5_000),
}
MEMORY_SHARE = 0.01  # that memory may grow by in any case
DRIFT = 0.10  # that the median service time may grow by
MIN_SAMPLES = 8  # the interval of fewer says nothing
_Z = 3.290527  # both ends of 99.9 %: three series are judged in every soak, and one false alarm is one too many
_WARMUP_SHARE = 0.2
_LATENCIES = {"service_p50": "service p50", "response_p99": "response p99", "response_max": "response max"}
_MEMORIES = {"rss_bytes": "process (RSS)", "engine_bytes": "the engine's book"}
_SAMPLES = 120  # of a soak of any length
_MIN_SAMPLE_S = 0.05
_FLAT_OUT_S = 0.1


@dataclass(frozen=True)
class Trend:
    """The Theil-Sen slope of a series, the median of the slopes of all pairs, which a stall or two cannot move.

    low, high : the interval in which it lies with 99.9 % confidence: Sen, Estimates of the regression coefficient based on
                Kendall's tau, JASA 63 (1968), 1379-1389, without ties
    level     : median of the series; span: from the first x to the last
    """

    slope: float
    low: float
    high: float
    level: float
    span: float

    @classmethod
    def of(cls, x: Any, y: Any) -> Trend | None:
        """Of samples (n,), x not descending; None for fewer than 8 or for x all the same."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        n = len(x)
        first, second = np.triu_indices(n, 1)
        apart = x[second] - x[first]
        slopes = np.sort((y[second] - y[first])[apart > 0] / apart[apart > 0])
        if n < MIN_SAMPLES or not len(slopes):
            return None
        half, last = _Z * np.sqrt(n * (n - 1) * (2 * n + 5) / 18), len(slopes) - 1
        low, high = max(int((last + 1 - half) / 2), 0), min(int((last + 1 + half) / 2), last)
        slope, level = float(np.median(slopes)), float(np.median(y))
        return cls(slope, float(slopes[low]), float(slopes[high]), level, float(x[-1] - x[0]))

    @property
    def change(self) -> float:
        """What the slope makes over the whole span, in the unit of y."""
        return self.slope * self.span

    def climbs(self, tolerance: float) -> bool:
        """Whether it climbs for certain, and by more than `tolerance` over the span."""
        return self.low > 0 and self.change > tolerance


@dataclass(frozen=True, repr=False)
class SoakReport(LoadReport):
    """The samples of a soak, and what of them creeps.

    rate    : batches/s that were offered, `load` of what the target does flat out
    seconds : how long it should have run; interrupted: it was stopped before
    samples : the rows of the frame: at_s (its end), messages (so far), passes (of the sample), rss_bytes (of the process; null
              where unknown), engine_bytes, live_orders (after the pass), heap_blocks (alive, of Python), allocations (of the Rust
              engine, per message; null for another), faults (so far), service_p50, service_p99, response_p50, response_p99,
              response_max (ns)
    """

    schema = "hftlab-soak/2"

    target: str
    feed: str
    rate: float
    load: float
    seconds: float
    interrupted: bool
    machine: dict[str, Any]
    samples: tuple[dict[str, Any], ...]

    def records(self) -> list[dict[str, Any]]:
        return list(self.samples)

    @property
    def judged(self) -> tuple[dict[str, Any], ...]:
        """The samples without those that warm up."""
        return self.samples[int(np.ceil(_WARMUP_SHARE * len(self.samples))) :]

    def trend(self, column: str) -> Trend | None:
        """Of one column, per second; None where it is not known, or the samples are too few."""
        rows = [(row["at_s"], row[column]) for row in self.judged if row[column] is not None]
        return Trend.of(*zip(*rows, strict=True)) if rows else None

    @property
    def growing(self) -> dict[str, Trend]:
        """What grows of memory and of the median service time: column -> its trend."""
        trends = {column: self.trend(column) for column in (*MEMORY, "service_p50")}
        limits = {column: (MEMORY_SHARE, least) for column, (_, _, least) in MEMORY.items()} | {"service_p50": (DRIFT, 0)}
        return {
            column: trend
            for column, (share, least) in limits.items()
            if (trend := trends[column]) and trend.climbs(max(least, share * abs(trend.level)))
        }

    @property
    def drifts(self) -> bool:
        """Whether the median service time grows."""
        return "service_p50" in self.growing

    @property
    def faults(self) -> int:
        """Messages that were refused."""
        return int(self.samples[-1]["faults"]) if self.samples else 0

    @property
    def leftover_orders(self) -> int:
        """Orders still live after a pass that deletes them all, at most."""
        return max((row["live_orders"] for row in self.samples), default=0)

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each; a drift of the latency is none."""
        wrong = []
        for column, trend in self.growing.items():
            if column in MEMORY:
                name, unit, _ = MEMORY[column]
                interval = f"[{trend.low:,.0f}, {trend.high:,.0f} a second]"
                wrong.append(f"memory of the {name} grows, {trend.change:+,.0f} {unit} in {trend.span:,.1f} s {interval}")
        wrong += [f"{self.faults:,} messages were refused"] if self.faults else []
        wrong += [f"{self.leftover_orders:,} orders live in an empty book"] if self.leftover_orders else []
        return [f"soak of {self.target}: {what}" for what in wrong]

    @property
    def verdict(self) -> str:
        """ "sound", "unsound", or "not judged" where there are too few samples."""
        if self.failures:
            return "unsound"
        return "sound" if len(self.judged) >= MIN_SAMPLES else "not judged"

    def derived(self) -> dict[str, Any]:
        trends = {column: self.trend(column) for column in (*MEMORY, "service_p50", "response_p99")}
        return {
            "verdict": self.verdict,
            "failures": self.failures,
            "latency_drifts": self.drifts,
            "trends": {column: trend and {**asdict(trend), "change": trend.change} for column, trend in trends.items()},
        }

    def plot(self) -> Any:
        """Memory and latency against time."""
        import polars as pl

        from hftlab.charts import line_chart

        frame, subtitle = self.frame(), f"{self.target}: {self.feed}, {self.rate:,.0f} messages/s ({self.load:.0%} of flat out)"
        latency, memory = (
            frame.unpivot(list(names), index="at_s").select(
                series=pl.col("variable").replace(names), x="at_s", y=pl.col("value") / unit
            )
            for names, unit in ((_LATENCIES, 1.0), (_MEMORIES, 1e6))
        )
        upper = line_chart(latency, "Latency and memory during a soak", subtitle, x="time (s)", y="latency", ns=True, height=190)
        lower = line_chart(memory, "", x="time (s)", y="memory (MB)", height=130)
        return (upper & lower).resolve_scale(color="independent", strokeDash="independent")

    def tables(self) -> list[Table]:
        names = {column: f"{name}, {unit}" for column, (name, unit, _) in MEMORY.items()}
        rows, growing = [], self.growing
        for column, name in {**names, "service_p50": "service p50, ns", "response_p99": "response p99, ns"}.items():
            if trend := self.trend(column):
                change = (trend.level, trend.change, trend.low * trend.span, trend.high * trend.span)
                rows.append((name, *(number(value, 0) for value in change), "yes" if column in growing else "no"))
        heads = ("of the judged samples", "median", "change", "at least", "at most", "grows")
        note = "change over the run by the Theil-Sen slope, with its 99.9 % interval"
        return [table(f"soak of {self.target}", heads, rows, note=note)] if rows else []

    def notes(self) -> list[str]:
        last = self.samples[-1] if self.samples else {"at_s": 0.0, "messages": 0}
        early = f", interrupted before {self.seconds:,.0f} s" if self.interrupted else ""
        few = f": {len(self.judged)} samples, {MIN_SAMPLES} are needed" if self.verdict == "not judged" else ""
        rate = f"{last['messages']:,} messages in {last['at_s']:,.1f} s at {self.rate:,.0f} a second"
        allocations = [row["allocations"] for row in self.judged if row["allocations"] is not None]
        return [
            f"soak of {self.target}: {rate}{early}: {self.verdict}{few}",
            *(["the median service time drifts"] if self.drifts else []),
            *([f"{sum(allocations) / len(allocations):.4f} allocations per message"] if allocations else []),
            *super().notes(),
        ]


def soak_test(
    target: Any = "auto",
    feed: Feed | None = None,
    *,
    seconds: float = 120.0,
    load: float = 0.5,
    messages: int = 20_000,
    seed: int = 1,
) -> SoakReport:
    """Soak one target.

    target   : as for `hftlab.loadtest.load_sweep`; default the default engine
    seconds  : 0.1 to a week
    load     : share of what it does flat out, above 0 and at most 0.95, evenly spaced
    messages : of a pass, at most; fewer where a sample has no time for all
    raises   : ConfigError; HftlabError for an engine that differs from the reference, or a debug build
    """
    check_range("seconds", seconds, 0.1, MAX_S)
    check_above_0("load", load, 0.95)
    check_at_least(MIN_BATCHES, messages=messages)
    check_at_least(0, seed=seed)
    workload = Workload.of(feed or synthetic("calm", messages, seed), 0, messages)
    (chosen,) = resolve_targets([target])
    chosen.precheck(workload)
    with gc_paused():
        rate = load * flat_out_rate(chosen, workload, 3, _FLAT_OUT_S)
    sample_s = max(_MIN_SAMPLE_S, seconds / _SAMPLES)
    pieces = workload.batches.head(max(MIN_BATCHES, int(rate * sample_s)))
    batches = Batches.of(repeatable(pieces.data))
    soaking = _Soaking(chosen.with_kill_switch(), batches, due_at(len(batches), rate, "even"))
    interrupted = soaking.run(seconds, sample_s)
    return SoakReport(chosen.label, workload.name, rate, load, seconds, interrupted, fingerprint(), tuple(soaking.samples))


class _Soaking:
    """Passes of one target in one session, and the samples so far."""

    def __init__(self, target: Target, batches: Batches, due: Times) -> None:
        self.target, self.session, self.batches, self.due = target, target.open_book(), batches, due
        self.samples: list[dict[str, Any]] = []
        self.messages = 0

    def run(self, seconds: float, sample_s: float) -> bool:
        """Samples for so long; whether it was interrupted."""
        gc.collect()
        gc.freeze()  # what was there before need not be looked through after every sample
        begin = perf_counter()
        try:
            while not self.samples or perf_counter() - begin < seconds:
                self.samples.append(self._sample(begin, sample_s))
        except KeyboardInterrupt:
            return True
        finally:
            gc.unfreeze()
        return False

    def _sample(self, begin: float, seconds: float) -> dict[str, Any]:
        """Passes for so long, and what is there after them."""
        runs: list[Timings] = []
        with gc_paused():  # which collects first: what is left of the sample before is not of this one
            end, allocated = perf_counter() + seconds, self.target.allocations()
            while not runs or perf_counter() < end:
                runs.append(self.session.drive(self.batches, self.due))
        messages = len(runs) * len(self.batches)
        allocations = None if allocated is None else ((self.target.allocations() or 0) - allocated) / messages
        self.messages += messages
        result = self.session.counters()
        memory = result["memory"]
        ns = {time: np.concatenate([getattr(run, time) for run in runs]) for time in ("service", "response")}
        return {
            "at_s": perf_counter() - begin,
            "messages": self.messages,
            "passes": len(runs),
            "rss_bytes": rss_bytes(),
            "engine_bytes": memory.get("order_bytes", 0) + memory.get("level_bytes", 0),
            "live_orders": memory.get("live_orders", 0),
            "faults": int(sum(result["faults"])),
            "heap_blocks": getattr(sys, "getallocatedblocks", lambda: None)(),
            "allocations": allocations,
            **{f"{time}_p{q}": float(np.percentile(each, q)) for time, each in ns.items() for q in (50, 99)},
            "response_max": float(ns["response"].max()),
        }


def rss_bytes() -> int | None:
    """Memory of this process that is in RAM; None where the system does not say."""
    pages = system.read("proc/self/statm").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else None


def repeatable(data: bytes) -> bytes:
    """The same messages, and behind them a delete for every order that is still live: they can be run again and again in one
    session, which ends each time with an empty book and must end with the memory it had.

    raises : ConfigError if the book is not as the messages say (an order deleted that was never added)
    """
    events, book = decode(ItchFeed(data)), Book()
    for ts_ns, order, new_order, price, qty, instrument, kind, side in events.tolist():
        if (applied := book.apply(kind, instrument, side, order, new_order, price, qty)) < 0:
            raise ConfigError(f"a repeatable feed must have no faults, got order {order} at {ts_ns} ns: {Fault(-applied).name}")
    out = np.zeros(len(book.orders), framed("D"))
    if len(out):
        instruments = [level.half.instrument for level in book.orders.values() if level.half]
        fill_head(out, "D", np.array(instruments), len(events) + np.arange(len(out)))
        out["stamp"] = int(events["ts_ns"][-1]) + 1 + np.arange(len(out))
        out["ref"] = list(book.orders)
    return data + out.tobytes()
