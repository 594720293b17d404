"""The loops that the border is timed with: every way across it as something that can be run once and gives ns per message.

A run opens a session of its own, untimed, so that the same messages never meet a book they have already built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, repeat
from time import perf_counter_ns
from typing import Any

from hftlab.engine.engine import Engine, decode
from hftlab.feeds.feed import Feed
from hftlab.feeds.frames import Frames
from hftlab.settings import Stage

STAGES: tuple[Stage, ...] = ("tick", "book")
CHUNKS = (1, 10, 100, 1_000, 10_000)
LOOP, PYTHON_CALL, BORDER_CALL = "empty loop", "Python no-op", "no-op across"
PYTHON, AGAIN = "Python engine", "message again"

#: Way, last stage ("" for a call without a message), messages per crossing.
Key = tuple[str, str, int]


@dataclass(frozen=True)
class Crossing:
    """`run` gives ns per message, the loop's share in it; `turns` is that loop's turns per message."""

    run: Callable[[], float]
    turns: float


class Traffic:
    """The same messages in every form in which they can cross."""

    def __init__(self, feed: Feed) -> None:
        self.data = b"".join(bytes(block) for block in feed.blocks())
        places = list(Frames(self.data))
        self.messages = [self.data[at : at + size] for at, size in places]
        self.events = decode(feed, "python")
        self.integers: list[tuple[int, ...]] = self.events.tolist()
        self.count = len(places)
        self._ends = [0, *(at + size for at, size in places)]

    def sizes(self) -> tuple[int, ...]:
        """Messages per crossing: the chunks, and the whole buffer."""
        return (*(size for size in CHUNKS if size < self.count), self.count)

    def chunks(self, size: int) -> list[bytes]:
        ends = [*self._ends[::size], self._ends[-1]] if self.count % size else self._ends[::size]
        return [self.data[a:b] for a, b in pairwise(ends)]

    def event_chunks(self, size: int) -> list[Any]:
        return [self.events[at : at + size] for at in range(0, self.count, size)]


def crossings(backend: str, traffic: Traffic, noop: Callable[[], None]) -> Iterator[tuple[Key, Crossing]]:
    """Every way, the calls without a message first."""
    count = traffic.count
    yield (LOOP, "", 0), Crossing(lambda: _turns(count) / count, 0)
    yield (PYTHON_CALL, "", 0), Crossing(lambda: _calls(_nothing, count) / count, 1)
    yield (BORDER_CALL, "", 0), Crossing(lambda: _calls(noop, count) / count, 1)
    for until in STAGES:
        engine, python = Engine(backend, until=until), Engine("python", until=until)

        def way(loop: Callable[..., int], engine: Engine, name: str, items: list[Any]) -> Crossing:
            return Crossing(lambda: loop(getattr(engine.open(), name), items) / count, len(items) / count)

        yield (PYTHON, until, count), way(_items, python, "push", [traffic.data])
        yield ("apply", until, 1), way(_unpacked, engine, "apply", traffic.integers)
        yield ("message", until, 1), way(_items, engine, "message", traffic.messages)
        if until == STAGES[-1]:
            yield (AGAIN, until, 1), way(_items, engine, "message", traffic.messages)
        for size in traffic.sizes():
            yield ("push", until, size), way(_items, engine, "push", traffic.chunks(size))
            yield ("push_events", until, size), way(_items, engine, "push_events", traffic.event_chunks(size))


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
