"""The exercises of lesson 05: messages in chunks, how large a chunk must be, and a loop in Rust."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter_ns, process_time_ns
from typing import Any

from course.exercise import Step, exercise
from course.rust_function import RustFunction
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
    rounds = [(_ns(answer, framed), _ns(_each, framed)) for _ in range(9)]
    ours, theirs = (min(times) for times in zip(*rounds, strict=True))
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
    """One replay of all messages into a fresh session, ns of the processor: waiting for a core is not the answer's."""
    session = Engine("rust", until="book").open()
    with gc_paused():
        start = process_time_ns()
        replay(session, iter(framed))
        return process_time_ns() - start


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


#: Both letters of an add; F also names who quotes, behind what A has.
_ADDS, _SHARES = b"AF", slice(20, 24)
LOOP_FASTER = 20.0  # times as fast as the same loop in Python


def shares_added(data: bytes) -> int:
    """The shares of all whole add orders in framed messages: the loop of exercise 05.3, in Python."""
    total, at, from_bytes = 0, 0, int.from_bytes
    while (end := at + 2 + from_bytes(data[at : at + 2], "big")) <= len(data) and end > at + 2:
        message = data[at + 2 : end]
        if message[0] in _ADDS:
            total += from_bytes(message[_SHARES], "big")
        at = end
    return total


def framed_add(letter: bytes, shares: int) -> bytes:
    """An add order, all zero but its letter and its shares, with its length before it."""
    message = letter + bytes(19) + shares.to_bytes(4, "big") + bytes(12 + 4 * (letter == b"F"))
    return len(message).to_bytes(2, "big") + message


@exercise("05.3", "The loop in Rust", minutes=20, seconds=180.0)
def rust_loop(answer: Callable[[bytes], int]) -> Iterator[Step]:
    """`answer(data)`: the shares of all add orders (A and F) in framed messages; the last one may be torn."""
    day = b"".join(Traffic(synthetic("calm", _TIMED, seed=7)).chunks(1))
    large = framed_add(b"A", 4_000_000_000) * 3
    cases = {
        "one add of 100 shares": framed_add(b"A", 100),
        "an add that names who quotes (F)": framed_add(b"F", 300) + framed_add(b"A", 5),
        "a delete between two adds": framed_add(b"A", 1) + (19).to_bytes(2, "big") + b"D" + bytes(18) + framed_add(b"A", 2),
        "no message": b"",
        "more shares than 32 bits hold": large,
        f"{_TIMED:,} messages of a generated feed": day,
    }
    for what, data in cases.items():
        yield Step.expect("correct", answer(data), shares_added(data), f"{what}; shares added")
    for cut in (1, 2, 3, 20, 37):
        data = framed_add(b"A", 700) + framed_add(b"A", 900)[:cut]
        yield Step.expect("torn", answer(data), 700, f"an add of 700 shares, then the first {cut} bytes of another; shares added")
    ours = answer.timed(day, 20)[1] if isinstance(answer, RustFunction) else _quickest(answer, day)
    times = _quickest(shares_added, day) / ours
    message = f"{times:.0f} times as fast as the loop in Python; it must be at least {LOOP_FASTER:.0f}"
    yield Step.claim("faster", times >= LOOP_FASTER, message)


def _quickest(call: Callable[[bytes], int], data: bytes) -> int:
    """The fastest of five calls, ns."""
    out = []
    for _ in range(5):
        start = perf_counter_ns()
        call(data)
        out.append(perf_counter_ns() - start)
    return min(out)
