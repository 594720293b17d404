"""The arbiter in Rust against Python's: after every datagram, on two bad lines, the same deliveries, requests and counts."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftlab.protocols import moldudp64
from hftlab.protocols.arbiter import Arbiter

pytestmark = pytest.mark.rust
rust: Any = import_module("hftlab_rust") if find_spec("hftlab_rust") else None

EXAMPLES = settings(max_examples=200, deadline=None)
SESSION, OTHER = b"20260101AB", b"20260102AB"
MS = 1_000_000


class Both:
    """An arbiter of each kind; every step gives the same and leaves the same behind."""

    def __init__(self, session: bytes | None = SESSION, expected: int = 1, **options: int) -> None:
        self.python = Arbiter(session, expected, **options)
        self.compiled = rust.MoldArbiter(session, expected, **options)

    def receive(self, line: int, datagram: bytes, now_ns: int) -> bytes:
        delivery = self.python.receive(line, datagram, now_ns)
        assert self.compiled.receive(line, datagram, now_ns) == tuple(delivery)
        self.agree()
        return delivery.blocks

    def due(self, now_ns: int) -> list[Any]:
        requests = self.python.due(now_ns)
        compiled = [(bytes(session), *rest) for session, *rest in self.compiled.due(now_ns)]
        assert compiled == [tuple(request) for request in requests]
        self.agree()
        return requests

    def abandon(self) -> None:
        assert self.compiled.abandon() == [tuple(run) for run in self.python.abandon()]
        self.agree()

    def restart(self, session: bytes | None, expected: int) -> None:
        self.python.restart(session, expected)
        self.compiled.restart(session, expected)
        self.agree()

    def agree(self) -> None:
        python, compiled = self.python, self.compiled
        assert compiled.counts == python.counts
        for name in ("expected", "gap", "stale", "finished", "held"):
            assert getattr(compiled, name) == getattr(python, name), name
        for name in ("session", "changed"):
            value = getattr(compiled, name)
            assert (None if value is None else bytes(value)) == getattr(python, name), name
        assert compiled.lost == list(python.lost)
        assert dict(compiled.heard) == python.heard


def message(number: int) -> bytes:
    """Of a length and with bytes that depend on its number; some are empty, some longer than a cell of the window."""
    return bytes((number * 31 + i) % 256 for i in range(number * 7 % 90))


def packet(sequence: int, count: int) -> bytes:
    return moldudp64.encode(SESSION, sequence, [message(number) for number in range(sequence, sequence + count)])


windows = st.fixed_dictionaries(
    {
        "window": st.sampled_from([1, 2, 7, 64, 1024]),
        "patience_ns": st.sampled_from([0, MS, 8 * MS]),
        "retry_ns": st.sampled_from([0, 3 * MS]),
        "give_up": st.sampled_from([0, 1, 3]),
        "window_bytes": st.sampled_from([0, 100, 2000, 1 << 20]),
        "doubt_ns": st.sampled_from([0, 20 * MS, 10_000 * MS]),
    }
)


def garble(datagram: bytes, at: int, byte: int) -> bytes:
    at %= len(datagram)
    return datagram[:at] + bytes([byte]) + datagram[at + 1 :]


faults = st.sampled_from(["keep"] * 8 + ["drop", "drop", "twice", "cut", "garble", "foreign", "late"])


@EXAMPLES
@given(windows, st.integers(0, 3), st.lists(st.integers(1, 6), min_size=1, max_size=40), st.data())
def test_two_bad_lines_give_the_same_stream(
    options: dict[str, int], expected: int, sizes: list[int], data: st.DataObject
) -> None:
    both, now_ns = Both(data.draw(st.sampled_from([None, SESSION])), expected, **options), 10_000 * MS
    sequence, late, answers = 1, [], []
    for size in sizes:
        now_ns += data.draw(st.sampled_from([0, 1, MS, 4 * MS, 8 * MS, 30 * MS]))
        kinds = [packet(sequence, size), moldudp64.heartbeat(SESSION, sequence + size)]
        sequence += size
        for line in (0, 1):
            for datagram in kinds:
                fault = data.draw(faults)
                if fault == "cut":
                    datagram = datagram[: data.draw(st.integers(0, len(datagram)))]
                elif fault == "garble":
                    datagram = garble(datagram, data.draw(st.integers(0, 10**4)), data.draw(st.integers(0, 255)))
                elif fault == "foreign":
                    datagram = OTHER + datagram[10:]
                if fault == "late":
                    late.append((line, datagram))
                for _ in range({"drop": 0, "late": 0, "twice": 2}.get(fault, 1)):
                    both.receive(line, datagram, now_ns)
        if late and data.draw(st.booleans()):
            both.receive(*late.pop(data.draw(st.integers(0, len(late) - 1))), now_ns)
        answers += both.due(now_ns)
        now_ns += data.draw(st.sampled_from([0, MS]))
        answers += both.due(now_ns)
        if answers and data.draw(st.booleans()):
            request = answers.pop()
            both.receive(9, packet(request.sequence, min(request.count, data.draw(st.integers(0, 8)))), now_ns)
    both.receive(0, moldudp64.end(SESSION, sequence), now_ns)
    both.due(now_ns + 100 * MS)
    if data.draw(st.booleans()):
        both.abandon()
    if data.draw(st.booleans()):
        both.restart(None, 0)
        both.receive(1, packet(5, 3), now_ns)


@EXAMPLES
@given(windows, st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=120), st.integers(0, 50 * MS)), max_size=30))
def test_any_bytes_give_the_same(options: dict[str, int], datagrams: list[tuple[int, bytes, int]]) -> None:
    both, now_ns = Both(None, 0, **options), 0
    for line, datagram, later in datagrams:
        now_ns += later
        both.receive(line, datagram, now_ns)
        both.due(now_ns)
    both.abandon()


@EXAMPLES
@given(windows, st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 20), st.integers(0, 50 * MS)), max_size=30))
def test_any_numbers_give_the_same(options: dict[str, int], steps: list[tuple[int, int, int]]) -> None:
    """Numbers at the ends of 64 bits, and near each other, so that some are taken seriously."""
    both, now_ns = Both(SESSION, 1, **options), 0
    for number, count, later in steps:
        now_ns += later
        for sequence in (number % 50, number, 2**64 - 1 - count - number % 9):
            header = SESSION + sequence.to_bytes(8, "big") + count.to_bytes(2, "big")
            both.receive(count % 2, header + b"\0\1x" * count, now_ns)
            both.due(now_ns)
    both.abandon()


def test_part_of_an_answer_is_waited_for_alike() -> None:
    both = Both(patience_ns=8 * MS, retry_ns=50 * MS)
    both.receive(0, packet(20, 1), 0)
    assert [request.count for request in both.due(8 * MS)] == [19]
    both.receive(9, packet(1, 5), 9 * MS)  # five of the nineteen: the rest may be on its way
    assert [len(both.due(10 * MS + late)) for late in (-1, 0)] == [0, 1]
    both.receive(9, packet(6, 5), 11 * MS)
    both.receive(0, packet(11, 9), 11 * MS)
    both.receive(0, packet(30, 1), 12 * MS)  # another hole, which nobody has been asked for
    assert [len(both.due(20 * MS + late)) for late in (-1, 0)] == [0, 1]


def test_an_end_that_was_seen_is_not_doubted() -> None:
    both = Both(patience_ns=0, retry_ns=0, doubt_ns=10 * MS)
    both.receive(0, moldudp64.end(SESSION, 9), 0)
    both.receive(0, packet(1, 2), 20 * MS)
    assert both.python.gap == (3, 9)
    both.receive(0, packet(3, 6), 40 * MS)
    assert both.python.finished


def test_what_is_far_beyond_the_window_is_reached_alike() -> None:
    both = Both(window=8, patience_ns=0, retry_ns=0, give_up=1, doubt_ns=10_000 * MS)
    for step, sequence in enumerate([4, 100, 101, 500, 502, 503, 700, 505]):
        both.receive(0, packet(sequence, 1), step)
        both.due(step)
    assert both.python.counts["lost"] > 0
    assert both.python.counts["overflow"] > 0
    both.abandon()


def test_a_clock_that_steps_back_gives_the_same() -> None:
    both = Both(window=8, give_up=1, patience_ns=MS, doubt_ns=5 * MS)
    for step, now_ns in enumerate([10**15, 5, 0, -(10**12), 10**15, 3 * 10**15]):
        for sequence in (1 + 3 * step, 4 + 3 * step, 30 + step):
            both.receive(0, packet(sequence, 2), now_ns)
            both.due(now_ns)


def test_packets_in_order_ask_nothing_of_the_heap() -> None:
    """Nor do those that are late, lost, doubled or torn, once the arbiter stands."""
    arbiter = rust.MoldArbiter(SESSION, 1, patience_ns=0, retry_ns=0, give_up=1)
    clean = [packet(1 + 5 * n, 5) for n in range(2000)]
    stream = [(line, datagram, n) for n, datagram in enumerate(clean) for line in (0, 1)]
    messages, bytes_, allocations = arbiter.receive_all(stream)
    assert (messages, bytes_) == (10_000, sum(len(datagram) - 20 for datagram in clean))
    assert allocations == 0

    before = dict(arbiter.counts)
    bad = [(n % 2, packet(10_001 + 5 * (n ^ 3), 5), 10**6 + n) for n in range(2000) if n % 97]
    bad += [(0, datagram[:-1], now_ns) for _, datagram, now_ns in bad[::10]]
    assert arbiter.receive_all(bad)[2] == 0
    happened = {name: count - before[name] for name, count in arbiter.counts.items()}
    assert min(happened[name] for name in ("buffered", "gaps", "lost", "malformed", "requests")) > 0, happened
