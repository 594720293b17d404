"""The border: what each way across it costs, from one message per crossing to a whole buffer.

    way            crosses with
    apply          one event as eight integers
    message        one raw message as bytes
    push           a chunk of framed messages as bytes
    push_events    a chunk of event records as an array

Beside them stand a call that does nothing, in Python and across the border, and the pure-Python engine, which crosses nothing.
All are timed from Python, with the loop that calls them; an empty loop is timed, too, and subtracted. Unpacking eight integers
from a tuple is part of `apply`: whoever calls it has to have them somewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine, synthetic
from hftlab.errors import HftlabError
from hftlab.experiments.crossing import AGAIN, BORDER_CALL, LOOP, PYTHON, PYTHON_CALL, STAGES, Key, Traffic, crossings
from hftlab.feeds.feed import Feed
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Interval, Series, check_rounds, interleave
from hftlab.measurement.preconditions import require_parity, require_release_build
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-border/1"
NEGLIGIBLE = 1.1  # times the whole buffer's ns per message


@dataclass(frozen=True)
class Way:
    """One way. `until` is "" and `per_crossing` 0 for a call without a message.

    ns     : per message (per call without one), the loop's share subtracted, over the rounds
    min_ns : of the fastest round
    raw_ns : median with the loop in it
    """

    name: str
    until: str
    per_crossing: int
    ns: Interval
    min_ns: float
    raw_ns: float

    def row(self) -> dict[str, Any]:
        """One row of `Border.frame`."""
        return {
            "way": self.name,
            "until": self.until,
            "messages_per_crossing": self.per_crossing,
            "ns_per_message": self.ns.median,
            "low": self.ns.low,
            "high": self.ns.high,
            "min": self.min_ns,
            "raw": self.raw_ns,
        }


@dataclass(frozen=True)
class Border(Result):
    """Every way across the border, measured in one run on one machine. `control` is "message" against itself."""

    backend: str
    feed: str
    messages: int
    rounds: int
    machine: dict[str, Any]
    control: Interval
    ways: tuple[Way, ...]

    def frame(self) -> pl.DataFrame:
        """One row per way, stage and chunk: ns per message (median, 95 % interval, min), and the median before subtraction."""
        import polars as pl

        return pl.DataFrame([way.row() for way in self.ways])

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "backend": self.backend,
            "feed": self.feed,
            "messages": self.messages,
            "rounds": self.rounds,
            "machine": self.machine,
            "control": {"ratio": self.control.median, "low": self.control.low, "high": self.control.high},
            "ways": [way.row() for way in self.ways],
            "words": self.words(),
        }

    def plot(self) -> Any:
        """ns per message against messages per crossing as an Altair chart, both axes logarithmic."""
        from hftlab.charts import ffi_chart

        return ffi_chart(self.frame(), f"{self.backend} on {self.feed}, {self.rounds} interleaved rounds")

    def words(self) -> list[str]:
        """Where the crossing pays, a sentence each, by the fastest rounds: what else the machine did is no cost of a crossing."""
        calls = {way.name: way.min_ns for way in self.ways if not way.until}
        out = [
            f"a call that does nothing costs {calls[BORDER_CALL]:.0f} ns across the border and {calls[PYTHON_CALL]:.0f} ns "
            f"in Python; the loop's own {calls[LOOP]:.0f} ns a turn are subtracted"
        ]
        for until in STAGES:
            out += _words(until, {(way.name, way.per_crossing): way.min_ns for way in self.ways if way.until == until})
        return [*out, f"A/A control, message against itself: {self.control}"]

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        return [*self.words(), describe(self.machine)]

    def __str__(self) -> str:
        rows = [
            f"{way.name:<14} {way.until:<5} {way.per_crossing:>8,}  {way.ns.median:>10.1f} ns (min {way.min_ns:.1f})"
            for way in self.ways
        ]
        return "\n".join([*rows, *self.lines()])

    def __repr__(self) -> str:
        return f"<Border to {self.backend}: {len(self.ways)} ways>"


def _words(until: str, ns: dict[tuple[str, int], float]) -> Iterator[str]:
    """`ns` by way and messages per crossing."""
    push = {size: value for (name, size), value in ns.items() if name == "push"}
    whole = max(push)
    single, python = min(ns["message", 1], ns["apply", 1]), ns[PYTHON, whole]
    start = crossover({**push, 1: single}, python)
    yield f"until {until}: the Python engine takes {python:,.0f} ns a message; " + (
        f"crossing pays from {start:,} message{'s'[: start > 1]} a crossing on" if start else "no crossing measured here pays"
    )
    start = crossover(push, single)
    yield f"until {until}: a call per message takes {single:,.0f} ns; " + (
        f"chunks beat it from {start:,} messages on" if start else "no chunk measured here beats it"
    )
    start = crossover(push, push[whole] * NEGLIGIBLE)
    told = f"until {until}: the whole buffer takes {push[whole]:,.0f} ns a message"
    yield f"{told}; the border adds less than a tenth to it from {start:,} messages a crossing on"


def crossover(ns: dict[int, float], limit: float) -> int | None:
    """The smallest size from which on every one stays below the limit; None if the largest does not."""
    above = [size for size, value in ns.items() if value >= limit]
    return min((size for size in ns if size > max(above, default=0)), default=None)


def border(feed: Feed | None = None, *, backend: str = "rust", rounds: int = 11, messages: int = 20_000, seed: int = 1) -> Border:
    """Time every way across the border on the first `messages` messages of a feed.

    feed   : of wire bytes; default: a calm generated feed
    rounds : interleaved rounds, 3 to 1000; one more is run first, to warm up, and not counted
    raises : BackendMissing; HftlabError for a feed of event records, a backend without border, or a debug build
    """
    check_rounds(rounds)
    module = require_release_build(Engine(backend))
    noop = getattr(module, "noop", None)
    if noop is None:
        raise HftlabError(f"backend {backend!r} has no `noop` to call; the border measured here is that of rust")
    feed = (synthetic("calm", messages, seed) if feed is None else feed).head(messages)
    if feed.wire != "itch":
        raise HftlabError(f"{feed.name} carries event records; the border is measured with wire bytes")
    require_parity([Engine("python", until="book"), Engine(backend, until="book")], feed)
    traffic = Traffic(feed)
    runs = dict(crossings(backend, traffic, noop))
    series = interleave({key: one.run for key, one in runs.items()}, rounds, seed)
    loop = float(np.median(series[LOOP, "", 0]))
    control = Interval.of(series["message", STAGES[-1], 1] / series[AGAIN, STAGES[-1], 1], seed)
    ways = tuple(_way(key, series[key], loop * one.turns, seed) for key, one in runs.items() if key[0] != AGAIN)
    return Border(backend, feed.name, traffic.count, rounds, fingerprint(), control, ways)


def _way(key: Key, raw: Series, loop_ns: float, seed: int) -> Way:
    ns = np.maximum(raw - loop_ns, 0.0)
    return Way(*key, Interval.of(ns, seed), float(ns.min()), float(np.median(raw)))
