"""The latency map: what things cost, from a load out of the first cache to a round trip through the kernel, on one axis.

Measured here, in some seconds, to place a figure; the lesson beside each row measures it properly. Network figures are the
stored ones, since they need root; published ones have their source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from timeit import repeat
from typing import Any, NamedTuple

import hftlab
from course.rust_function import RustFunction, rustc
from course.stored_network import stored
from hftlab.measurement import system
from hftlab.measurement.affinity import cpu_affinity
from hftlab.measurement.machine import describe, fingerprint
from hftlab.presentation.document import Table, duration, table
from hftlab.presentation.result import Result
from hftlab.settings import STAGES

PROBES = Path(__file__).with_name("probes.rs")
SWITCHES = 500
#: Of the stored round trips: transport -> what people call it.
TRANSPORTS = {
    "shm": "shared memory",
    "xdp-skb": "AF_XDP",
    "udp-spin": "UDP, busy polling",
    "udp": "UDP, blocking",
    "tcp": "TCP, blocking",
}


class MapRow(NamedTuple):
    """One cost. group: what it is a cost of; ns: one of it; lesson: number of the one that measures it."""

    what: str
    group: str
    ns: float
    lesson: str


#: Reports of STAC; Aquilina, Budish and O'Neill 2021, "Quantifying the high-frequency trading
#: arms race".
PUBLISHED = (
    MapRow("FPGA, market data to order (STAC-T0)", "published", 13.9, "13"),
    MapRow("FPGA, tick-to-trade, mean (STAC-T1)", "published", 115.0, "13"),
    MapRow("a race for one quote, 5 to 10 µs (LSE)", "published", 7_500.0, "13"),
)


@dataclass(frozen=True)
class LatencyMap(Result):
    """Costs in ns, the smallest first, and the machine of those that are neither stored nor published."""

    rows: tuple[MapRow, ...]
    machine: dict[str, Any]

    def frame(self) -> Any:
        """One row per cost: what, group, ns, lesson."""
        import polars as pl

        return pl.DataFrame([row._asdict() for row in self.rows])

    def headline(self) -> str:
        return "What things cost"

    def tables(self) -> list[Table]:
        rows = [(row.what, row.group, row.lesson, duration(row.ns)) for row in self.rows]
        return [table(self.headline(), ("", "of", "lesson", "one takes"), rows, words=3)]

    def notes(self) -> list[str]:
        out = ["network: stored round trips of another machine; published: with their sources in course/latency_map.py"]
        out += [] if rustc() else ["rustc is not installed: loads, system call and context switch are left out"]
        return [*out, describe(self.machine)]

    def plot(self) -> Any:
        """All of it on a logarithmic axis, the number of the lesson at the left of each dot."""
        from hftlab.charts import dot_chart

        dots = [{"label": row.what, "group": row.group, "value": row.ns, "text": row.lesson} for row in self.rows]
        return dot_chart(dots, self.headline(), "beside each dot the lesson about it", "one takes", ns=True)


def latency_map(messages: int = 20_000) -> LatencyMap:
    """Measure it. messages : of the generated feed, one instrument, that the engines run"""
    rows = [*_calls(), *_engines(messages), *_network(), *PUBLISHED]
    if rustc():
        rows += _machine()
    return LatencyMap(tuple(sorted(rows, key=lambda row: row.ns)), fingerprint())


def _machine() -> Iterator[MapRow]:
    """What the probes in Rust find, on one core."""
    probe, sizes = RustFunction(PROBES.read_text(), "probe"), system.caches()
    halves = {name: size // 2 for name, size in sizes.items() if size // 2 <= 16 << 20}

    def ns(letter: bytes, size: int) -> float:
        return probe(letter + size.to_bytes(8, "little")) / 1e3

    with cpu_affinity(max(system.affinity())):
        for name, size in halves.items():
            yield MapRow(f"load from the {name} cache", "machine", ns(b"L", size), "06")
        yield MapRow("load from 64 MiB", "machine", ns(b"L", 64 << 20), "06")
        yield MapRow("branch guessed wrong", "machine", 2 * (ns(b"B", 1 << 17) - ns(b"B", 1)), "11")
        yield MapRow("system call", "machine", ns(b"S", 0), "09")
        yield MapRow("context switch, with its wake-up", "machine", ns(b"T", SWITCHES), "09")


def _calls() -> Iterator[MapRow]:
    yield MapRow("reading Python's clock", "machine", _per_call(perf_counter_ns), "01")
    yield MapRow("call of an empty Python function", "machine", _per_call(lambda: None), "05")
    if (noop := getattr(_rust(), "noop", None)) is not None:
        yield MapRow("call from Python into Rust", "machine", _per_call(noop), "05")


def _per_call(call: Callable[[], Any], number: int = 50_000) -> float:
    """ns, the fastest of five times many."""
    return min(repeat(call, number=number, repeat=5)) / number * 1e9


def _rust() -> Any:
    """The Rust engine's implementation; None where it is missing."""
    there = any(each.name == "rust" and each.available for each in hftlab.backends())
    return hftlab.Engine("rust").implementation if there else None


def _engines(messages: int) -> Iterator[MapRow]:
    """Each stage of each engine by differences of whole passes, and of the Rust engine a message that comes alone."""
    feed = hftlab.synthetic("calm", messages, warm=True)
    for backend, lesson in {"python": "03", **({"rust": "11"} if _rust() else {})}.items():
        before = 0.0
        for stage in STAGES:
            engine = hftlab.Engine(backend, until=stage)
            ns = min(engine.run(feed, record="none").ns_per_message for _ in range(5))
            if ns > before:
                yield MapRow(f"{backend.capitalize()}: {stage}", stage, ns - before, lesson)
            before = max(ns, before)
        yield MapRow(f"{backend.capitalize()}: tick to order", "end to end", before, lesson)
    if _rust():
        report = hftlab.latency("rust", feed, rounds=3, slowest=0)
        for arrival in report.arrivals:
            yield MapRow(f"Rust: a message {arrival.name}, p50", "end to end", float(arrival.total.quantile(0.5)), "01")


def _network() -> Iterator[MapRow]:
    trips = {row["transport"]: row["p50"] for row in stored("round trip").frame().to_dicts()}
    for name, words in TRANSPORTS.items():
        if name in trips:
            yield MapRow(f"{words}, there and back", "network", trips[name], "09")
