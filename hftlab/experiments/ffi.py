"""The cost of a foreign-function call: each way from Python into an engine, from one message per call to a whole buffer.

    entry point    called with
    apply          one event as eight integers
    message        one raw message as bytes
    push           a chunk of framed messages as bytes
    push_events    a chunk of event records as an array

Beside them stand a call that does nothing, in Python and across the boundary, and the pure-Python engine, which crosses nothing.
All are timed from Python, with the loop that calls them; an empty loop is timed, too, and subtracted. Unpacking eight integers
from a tuple is part of `apply`: the caller has to have them somewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine, decode, synthetic
from hftlab.errors import HftlabError, check_range
from hftlab.feeds.feed import Feed, cut
from hftlab.measurement.conditions import FeedResult, require_parity, require_release_build
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import Interval, Series, check_rounds, interleave
from hftlab.presentation.document import Table, table
from hftlab.settings import Stage

LAST_STAGES: tuple[Stage, ...] = ("tick", "book")
CHUNKS = (1, 10, 100, 1_000, 10_000)
LOOP, PYTHON_CALL, RUST_CALL = "empty loop", "Python no-op", "Rust no-op"
PYTHON, AGAIN = "Python engine", "message again"
NEGLIGIBLE = 1.1  # times the whole buffer's ns per message

#: Entry point, last stage ("" for a call without a message), messages per call.
Key = tuple[str, str, int]


@dataclass(frozen=True)
class EntryPoint:
    """One way in. `until` is "" and `per_call` 0 for a call without a message.

    ns     : per message (per call without one), the loop's share subtracted, over the rounds
    min_ns : of the fastest round
    raw_ns : median with the loop in it
    """

    name: str
    until: str
    per_call: int
    ns: Interval
    min_ns: float
    raw_ns: float

    @classmethod
    def of(cls, key: Key, raw: Series, loop_ns: float) -> EntryPoint:
        """Of one value per round, ns per message with the loop in it."""
        ns = np.maximum(raw - loop_ns, 0.0)
        return cls(*key, Interval.of(ns), float(ns.min()), float(np.median(raw)))

    def record(self) -> dict[str, Any]:
        """A row of `FfiOverhead.frame`."""
        where = {"way": self.name, "until": self.until, "messages_per_crossing": self.per_call}
        return {**where, **self.ns.columns("ns_per_message"), "min": self.min_ns, "raw": self.raw_ns}


@dataclass(frozen=True, kw_only=True, repr=False)
class FfiOverhead(FeedResult):
    """Every way from Python into an engine, measured in one run on one machine. `control` is "message" against itself."""

    schema = "hftlab-ffi/1"
    backend: str
    control: Interval
    entry_points: tuple[EntryPoint, ...]

    def records(self) -> list[dict[str, Any]]:
        """One per way, stage and chunk: ns per message (median, 95 % interval, min), and the median before subtraction."""
        return [entry.record() for entry in self.entry_points]

    def derived(self) -> dict[str, Any]:
        return {"rows": self.records(), "sentences": self.sentences()}

    def plot(self) -> Any:
        """ns per message against messages per call as an Altair chart, both axes logarithmic."""
        from hftlab.charts import ffi_chart

        return ffi_chart(self.frame(), self.headline())

    def sentences(self) -> list[str]:
        """Where crossing pays, by the fastest rounds: what else the machine did is no cost of a call."""
        calls = {entry.name: entry.min_ns for entry in self.entry_points if not entry.until}
        out = [
            f"a call that does nothing costs {calls[RUST_CALL]:.0f} ns across the boundary and {calls[PYTHON_CALL]:.0f} ns "
            f"in Python; the loop's own {calls[LOOP]:.0f} ns a turn are subtracted"
        ]
        for until in LAST_STAGES:
            own = [entry for entry in self.entry_points if entry.until == until]
            out += _sentences(until, {(entry.name, entry.per_call): entry.min_ns for entry in own})
        return out

    def headline(self) -> str:
        return f"calls into {self.backend}: {self.subtitle()}"

    def tables(self) -> list[Table]:
        by = {(entry.name, entry.per_call, entry.until): entry for entry in self.entry_points}
        rows = []
        for name, size in dict.fromkeys((entry.name, entry.per_call) for entry in self.entry_points):
            entries = [by.get((name, size, until)) or by[name, size, ""] for until in LAST_STAGES]
            cells = [f"{entry.ns.median:,.1f} ({entry.min_ns:,.1f})" for entry in entries]
            rows.append((name, f"{size:,}" if size else "a call", *cells))
        columns = ("entry point", "messages per call", *(f"until {until}" for until in LAST_STAGES))
        return [table("ns per message, the loop subtracted: median (min)", columns, rows)]

    def notes(self) -> list[str]:
        return [*self.sentences(), f"A/A control, message against itself: {self.control}", *super().notes()]


def _sentences(until: str, ns: dict[tuple[str, int], float]) -> Iterator[str]:
    """`ns` by entry point and messages per call."""
    push = {size: value for (name, size), value in ns.items() if name == "push"}
    whole = max(push)
    single, python = min(ns["message", 1], ns["apply", 1]), ns[PYTHON, whole]
    start = crossover({**push, 1: single}, python)
    yield f"until {until}: the Python engine takes {python:,.0f} ns a message; " + (
        f"crossing pays from {start:,} message{'s'[: start > 1]} a call on" if start else "no call measured here pays"
    )
    start = crossover(push, single)
    yield f"until {until}: a call per message takes {single:,.0f} ns; " + (
        f"chunks beat it from {start:,} messages on" if start else "no chunk measured here beats it"
    )
    start = crossover(push, push[whole] * NEGLIGIBLE)
    buffer = f"until {until}: the whole buffer takes {push[whole]:,.0f} ns a message"
    yield f"{buffer}; the boundary adds less than a tenth to it from {start:,} messages a call on"


def crossover(ns: dict[int, float], limit: float) -> int | None:
    """The smallest size from which on every one stays below the limit; None if the largest does not."""
    above = [size for size, value in ns.items() if value >= limit]
    return min((size for size in ns if size > max(above, default=0)), default=None)


def ffi_overhead(
    feed: Feed | None = None, *, backend: str = "rust", rounds: int = 11, messages: int = 20_000, seed: int = 1
) -> FfiOverhead:
    """Time every way from Python into an engine, on the first `messages` messages of a feed.

    feed     : of wire bytes; default: a calm generated feed
    backend  : the engine; it has a `noop` to call
    rounds   : interleaved rounds, 3 to 1000; one more is run first, to warm up, and not counted
    messages : of the feed, 1 or more
    seed     : of the order within a round, and of the generated feed
    raises   : BackendMissing; HftlabError for a feed of event records, a backend without `noop`, or a debug build
    """
    check_rounds(rounds)
    check_range("messages", messages, 1)
    noop = getattr(require_release_build(Engine(backend)), "noop", None)
    if noop is None:
        raise HftlabError(f"backend {backend!r} has no `noop` to call; the calls measured here are those of rust")
    feed = (synthetic("calm", messages, seed) if feed is None else feed).head(messages)
    if feed.wire != "itch":
        raise HftlabError(f"{feed.name} carries event records; calls are measured with wire bytes")
    require_parity([Engine("python", until="book"), Engine(backend, until="book")], feed)
    traffic = Traffic(feed)
    loops = dict(call_loops(backend, traffic, noop))
    series = interleave({key: loop.run for key, loop in loops.items()}, rounds, seed, "calls")
    turn = float(np.median(series[LOOP, "", 0]))
    return FfiOverhead(
        feed=feed.name,
        messages=traffic.count,
        rounds=rounds,
        machine=fingerprint(),
        backend=backend,
        control=Interval.of(series["message", LAST_STAGES[-1], 1] / series[AGAIN, LAST_STAGES[-1], 1]),
        entry_points=tuple(EntryPoint.of(key, series[key], turn * loop.turns) for key, loop in loops.items() if key[0] != AGAIN),
    )


# The loops. A run opens a session of its own, untimed, so that the same messages never meet a book they have already built.


@dataclass(frozen=True)
class CallLoop:
    """`run` gives ns per message, the loop's share in it; `turns` is that loop's turns per message."""

    run: Callable[[], float]
    turns: float


class Traffic:
    """The same messages in every form in which an engine takes them."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.data = b"".join(bytes(block) for block in feed.blocks())
        self.messages = [framed[2:] for framed in cut(feed, every=1)]
        self.events = decode(feed, "python")
        self.integers: list[tuple[int, ...]] = self.events.tolist()
        self.count = len(self.messages)

    def sizes(self) -> tuple[int, ...]:
        """Messages per call: the chunks, and the whole buffer."""
        return (*(size for size in CHUNKS if size < self.count), self.count)

    def chunks(self, size: int) -> list[bytes]:
        return list(cut(self._feed, every=size))

    def event_chunks(self, size: int) -> list[Any]:
        return [self.events[at : at + size] for at in range(0, self.count, size)]


def call_loops(backend: str, traffic: Traffic, noop: Callable[[], None]) -> Iterator[tuple[Key, CallLoop]]:
    """Every entry point, the calls without a message first."""
    count = traffic.count
    yield (LOOP, "", 0), CallLoop(lambda: _turns(count) / count, 0)
    yield (PYTHON_CALL, "", 0), CallLoop(lambda: _calls(_nothing, count) / count, 1)
    yield (RUST_CALL, "", 0), CallLoop(lambda: _calls(noop, count) / count, 1)
    for until in LAST_STAGES:
        engine, python = Engine(backend, until=until), Engine("python", until=until)

        def calls(loop: Callable[..., int], engine: Engine, name: str, items: list[Any]) -> CallLoop:
            return CallLoop(lambda: loop(getattr(engine.open(), name), items) / count, len(items) / count)

        yield (PYTHON, until, count), calls(_items, python, "push", [traffic.data])
        yield ("apply", until, 1), calls(_unpacked, engine, "apply", traffic.integers)
        yield ("message", until, 1), calls(_items, engine, "message", traffic.messages)
        if until == LAST_STAGES[-1]:
            yield (AGAIN, until, 1), calls(_items, engine, "message", traffic.messages)
        for size in traffic.sizes():
            yield ("push", until, size), calls(_items, engine, "push", traffic.chunks(size))
            yield ("push_events", until, size), calls(_items, engine, "push_events", traffic.event_chunks(size))


def _nothing() -> None:
    pass


def _turns(turns: int) -> int:
    start = perf_counter_ns()
    for _ in repeat(None, turns):
        pass
    return perf_counter_ns() - start


def _calls(call: Callable[[], None], turns: int) -> int:
    start = perf_counter_ns()
    for _ in repeat(None, turns):
        call()
    return perf_counter_ns() - start


def _items(call: Callable[[Any], Any], items: Iterable[Any]) -> int:
    start = perf_counter_ns()
    for item in items:
        call(item)
    return perf_counter_ns() - start


def _unpacked(call: Callable[..., Any], items: Iterable[tuple[int, ...]]) -> int:
    start = perf_counter_ns()
    for item in items:
        call(*item)
    return perf_counter_ns() - start
