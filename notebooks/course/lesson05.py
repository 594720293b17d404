"""The exercises of lesson 05: messages in chunks, and how large a chunk must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter_ns
from typing import Any

from course.exercise import Step, exercise
from hftlab.engine.engine import Engine, synthetic
from hftlab.experiments.ffi import Traffic
from hftlab.measurement.paired import gc_paused

MAX_CHUNK = 1_000  # messages
FASTER = 2.0  # times as fast as a push per message
_TIMED = 10_000


class CountingSession:
    """A session that can only be pushed to, and counts the messages of each crossing."""

    def __init__(self) -> None:
        self.session = Engine("rust", until="book").open()
        self.crossings: list[int] = []

    def push(self, data: Any) -> Any:
        before = self.session.messages
        used, problem = self.session.push(data)
        self.crossings.append(self.session.messages - before)
        if problem or used != len(data):
            raise ValueError(f"push() was given {len(data)} bytes, of which {used} are whole messages")
        return used, problem

    def state(self) -> dict[str, Any]:
        """Result of the run, without its times."""
        result = self.session.counters()
        return {name: result[name] for name in ("messages", "counts", "faults")}


Replay = Callable[[Any, Iterable[bytes]], Any]


@exercise("05.1", "Chunk it", minutes=15)
def chunked(answer: Replay) -> Iterator[Step]:
    """`answer(session, messages)` pushes framed messages, which come one by one, at most 1,000 a crossing."""
    framed = Traffic(synthetic("calm", _TIMED, seed=5)).chunks(1)
    for count in (0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1, 2_500):
        expected = _one_by_one(framed[:count])
        counted = CountingSession()
        answer(counted, iter(framed[:count]))
        got = counted.state()
        sent = f"{count:,} messages were sent"
        yield Step.expect("correct", got["messages"], count, f"{sent}; messages that reached the engine")
        yield Step.claim("correct", got == expected, f"{sent}; kinds and faults are those of one message after another")
        largest, allowed = max(counted.crossings, default=0), -(-count // MAX_CHUNK)
        yield Step.claim(
            "tail",
            largest <= MAX_CHUNK,
            f"{sent}; the largest chunk held {largest:,}, it must be at most {MAX_CHUNK:,}: the first waits",
        )
        crossed = len(counted.crossings)
        yield Step.claim(
            "fewer crossings", crossed <= allowed, f"{sent} in {crossed:,} crossings, it must be at most {allowed:,}"
        )
    ours, theirs = (min(_ns(replay, framed) for _ in range(5)) for replay in (answer, _each))
    message = f"{theirs / ours:.1f} times as fast as a push per message; it must be at least {FASTER:.0f}"
    yield Step.claim("faster", theirs >= FASTER * ours, message)


def _each(session: Any, messages: Iterable[bytes]) -> None:
    for message in messages:
        session.push(message)


def _one_by_one(framed: list[bytes]) -> dict[str, Any]:
    counted = CountingSession()
    _each(counted, framed)
    return counted.state()


def _ns(replay: Replay, framed: list[bytes]) -> int:
    """One replay of all messages into a fresh session."""
    session = Engine("rust", until="book").open()
    with gc_paused():
        start = perf_counter_ns()
        replay(session, iter(framed))
        return perf_counter_ns() - start


#: (call_ns, message_ns, share, messages per second) -> messages per chunk, what the first waits, ns
CASES = (
    ((400.0, 40.0, 0.1, 1_000_000), (100, 99_000)),
    ((400.0, 28.0, 0.1, 1_000_000), (143, 142_000)),
    ((1_000.0, 25.0, 0.2, 50_000), (200, 3_980_000)),
    ((3.0, 100.0, 0.5, 10), (1, 0)),
)


@exercise("05.2", "How large must a chunk be?", minutes=10)
def size(answer: Callable[[float, float, float, float], tuple[int, float]]) -> Iterator[Step]:
    """`answer(call_ns, message_ns, share, per_second)`: the smallest chunk, and how long its first message waits in ns."""
    for (call_ns, message_ns, share, per_second), (chunk, wait_ns) in CASES:
        given = (
            f"a call of {call_ns:,.0f} ns, {message_ns:.0f} ns a message, a share of {share}, {per_second:,} messages a second"
        )
        got, waits = answer(call_ns, message_ns, share, per_second)
        yield Step.expect("chunk", got, chunk, f"{given}; messages in a chunk")
        yield Step.expect("wait", round(waits), wait_ns, f"{given}; the first of them waits, ns")
