"""An engine whose latency is known: the Python engine's results, each message held back until a planted time has passed.

    KnownLatency(10_000)                                  every message takes 10 us, from one to the next
    KnownLatency(10_000, stalls={500: 2_000_000})         message 500 of a run takes 2 ms more, in the tick stage
    KnownLatency(10_000, stalls={...}, stall_in="book")   the same in the book stage
    adopt("tests/known_latency.py:TEN_US")                one that is made already

What the Python engine itself needs is part of the planted time, not on top of it: choose 8 us or more. Messages are counted from
the beginning of a run. A wait is a busy one, on the clock that stamps the engine; what else the machine does comes on top.
"""

from collections.abc import Iterator, Mapping
from time import perf_counter_ns
from typing import Any

from hftlab.engine.python import OURS, PythonBackend, PythonSession
from hftlab.settings import Settings
from hftlab.stages.book import Book
from hftlab.stages.tick import Tick


def wait_until(ns: int) -> int:
    """Wait, busily, for this reading of perf_counter_ns; returns the first one that is not before it."""
    while (now := perf_counter_ns()) < ns:
        pass
    return now


class HeldBack(Tick):
    """Lets a message go when the planted time has passed since the one before it."""

    latency_ns = 0
    stalls: Mapping[int, int] = {}

    def events(self, data: Any) -> Iterator[Any]:
        released = perf_counter_ns()
        for event in super().events(data):
            self.seen = getattr(self, "seen", -1) + 1
            released = wait_until(released + self.latency_ns + self.stalls.get(self.seen, 0))
            yield event


class Stalling(Book):
    """Stalls in the planted messages."""

    stalls: Mapping[int, int] = {}

    def apply(self, *event: int) -> int:
        self.seen = getattr(self, "seen", -1) + 1
        if stall := self.stalls.get(self.seen):
            wait_until(perf_counter_ns() + stall)
        return super().apply(*event)


class KnownLatency(PythonBackend):
    """`latency_ns` per message; `stalls` adds ns to messages by their number in a run, in the stage `stall_in`, tick or book."""

    def __init__(
        self, latency_ns: int, stalls: Mapping[int, int] | None = None, stall_in: str = "tick", name: str = "known"
    ) -> None:
        super().__init__()
        assert stall_in in ("tick", "book")
        self.name, self.latency_ns, self.stalls, self.stall_in = name, latency_ns, dict(stalls or {}), stall_in

    def session(self, settings: Settings) -> PythonSession:
        def tick(*given: Any, **more: Any) -> HeldBack:
            stage = HeldBack(*given, **more)
            stage.latency_ns, stage.stalls = self.latency_ns, self.stalls if self.stall_in == "tick" else {}
            return stage

        def book() -> Stalling:
            stage = Stalling()
            stage.stalls = self.stalls if self.stall_in == "book" else {}
            return stage

        return PythonSession(settings, {**OURS, "tick": tick, "book": book})


TEN_US = KnownLatency(10_000, name="ten_us")
