"""The exercises of lesson 09: one stream out of two lines, and packets out of a stream of bytes."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator
from time import process_time
from timeit import repeat
from typing import Any

from course.exercise import Step, exercise

WINDOW = 64
#: Limit that an answer with a look-up keeps, and one that searches all waiting messages does not.
MAX_GROWTH = 8.0
#: Of a stream sixteen times as long; an answer that copies what is left after every packet needs far more.
LONGER, MAX_LONGER = 48, 160.0
_PACKETS = 1_000
#: Bytes that 40,000 messages which are no longer needed may leave behind.
_LEFT_BEHIND = 200_000


class Expected:
    """The core of an arbiter, as the exercise asks for it."""

    def __init__(self, window: int) -> None:
        self.window, self.expected = window, 1
        self.held: dict[int, bytes] = {}

    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        """The messages that are in order by now."""
        for number, message in enumerate(messages, sequence):
            if self.expected <= number < self.expected + self.window:
                self.held.setdefault(number, message)
        out = []
        while self.expected in self.held:
            out.append(self.held.pop(self.expected))
            self.expected += 1
        return out

    @property
    def gap(self) -> tuple[int, int] | None:
        """The first hole: (first number missing, number after the last one missing)."""
        return (self.expected, min(self.held)) if self.held else None


def _text(first: int, until: int) -> list[bytes]:
    return [b"message %d" % number for number in range(first, until)]


@exercise("09.1", "One stream out of two lines", minutes=25)
def arbiter(answer: Callable[[int], Any]) -> Iterator[Step]:
    """`answer(window)` makes one: receive(sequence, messages) -> the messages that are in order by now, and `gap`."""
    ours = answer(WINDOW)
    packets = [
        ((1, 3), (1, 3), None, "the first packet, numbers 1 and 2"),
        ((1, 3), (0, 0), None, "the same from the other line"),
        ((4, 6), (0, 0), (3, 4), "numbers 4 and 5, while 3 is missing"),
        ((9, 10), (0, 0), (3, 4), "number 9: the first hole is still the one before 4"),
        ((2, 4), (3, 6), (6, 9), "numbers 2 and 3: 2 is old, 3 fills the hole, 4 and 5 follow"),
        ((6, 9), (6, 10), None, "numbers 6 to 8"),
        ((10, 10), (0, 0), None, "a packet without messages, a heartbeat"),
    ]
    for (first, until), wanted, gap, what in packets:
        yield Step.expect("correct", ours.receive(first, _text(first, until)), _text(*wanted), f"receive() of {what}")
        yield Step.expect("correct", _pair(ours.gap), gap, f"gap after {what}")
    yield _far(answer)
    for seed in range(4):
        yield _walk(answer, seed)
    left = _left_behind(answer)
    message = f"{left:,} bytes are left of 40,000 messages that were delivered; it must be at most {_LEFT_BEHIND:,}"
    yield Step.claim("bounded", left < _LEFT_BEHIND, message)
    few, many = _fill_ns(answer, 8), _fill_ns(answer, 4_096)
    message = f"a packet while 4,096 wait takes {many / few:.1f} times as long as while 8 do; it must be below {MAX_GROWTH:.0f}"
    yield Step.claim("faster", many < MAX_GROWTH * few, message)


def _pair(gap: Any) -> Any:
    return tuple(gap) if isinstance(gap, list) else gap


def _far(answer: Callable[[int], Any]) -> Step:
    """A message beyond the window must not be stored."""
    ours = answer(WINDOW)
    ours.receive(1 + WINDOW, _text(1 + WINDOW, 2 + WINDOW))
    out = ours.receive(1, _text(1, 1 + WINDOW))
    what = f"numbers 1 to {WINDOW} at once, after number {1 + WINDOW} came, which was beyond a window of {WINDOW} then"
    return Step.expect("bounded", out, _text(1, 1 + WINDOW), what)


def _walk(answer: Callable[[int], Any], seed: int) -> Step:
    """Two lines that lose, repeat and delay, beside what is expected."""
    from hftlab.protocols.channel import Impairment, LossyChannel

    chance = random.Random(seed)
    lines = [LossyChannel(name, Impairment(loss=0.2, duplicate=0.1, reorder=0.2), seed) for name in "AB"]
    ours, theirs, next_ = answer(WINDOW), Expected(WINDOW), 1
    for step in range(400):
        until = next_ + chance.randrange(1, 5)
        packet = next_.to_bytes(4, "big") + until.to_bytes(4, "big")
        arrived = [copy for line in lines for copy in line.carry(packet)]
        if theirs.gap and not step % 5:  # the publisher answers a request
            arrived.append(b"".join(number.to_bytes(4, "big") for number in theirs.gap))
        next_ = until
        for packet in arrived:
            first, last = int.from_bytes(packet[:4], "big"), int.from_bytes(packet[4:], "big")
            got, expected = ours.receive(first, _text(first, last)), theirs.receive(first, _text(first, last))
            if got != expected or _pair(ours.gap) != theirs.gap:
                what = f"numbers {first} to {last - 1} of a stream at random: delivered, and gap"
                return Step.expect("hidden", (got, _pair(ours.gap)), (expected, theirs.gap), what)
    return Step.claim(
        "hidden", True, f"{theirs.expected - 1:,} messages of two lines that lose, repeat and reorder (seed {seed})"
    )


def _left_behind(answer: Callable[[int], Any]) -> int:
    ours = answer(WINDOW)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for first in range(1, 40_001, 10):
            for _ in range(2):
                ours.receive(first, _text(first, first + 10))
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def _fill_ns(answer: Callable[[int], Any], waiting: int) -> float:
    """ns of a packet that comes while so many wait behind a hole."""
    ours = answer(8_192)
    for number in range(2, 2 + waiting):
        ours.receive(number, [b"x"])
    again = [b"x"]
    return min(repeat(lambda: ours.receive(1 + waiting, again), number=20, repeat=30)) / 20 * 1e9


@exercise("09.2", "Packets out of a stream", minutes=20)
def framer(answer: Callable[[], Any]) -> Iterator[Step]:
    """`answer()` makes one: feed(data) -> [(kind, payload), ...] of the SoupBinTCP packets that are whole by now."""
    from hftlab.protocols.soupbintcp import packet

    one, two = packet(b"S", b"hello"), packet(b"H")
    ours = answer()
    yield Step.expect("correct", _fed(ours, one), [(b"S", b"hello")], "a packet that comes whole")
    yield Step.expect("correct", _fed(ours, two), [(b"H", b"")], "a heartbeat, whose payload is empty")
    yield Step.expect("correct", _fed(ours, one + two), [(b"S", b"hello"), (b"H", b"")], "two packets in one read")
    for cut in range(1, len(one)):
        got = [_fed(ours, one[:cut]), _fed(ours, one[cut:])]
        if got != [[], [(b"S", b"hello")]]:
            yield Step.expect("correct", got, [[], [(b"S", b"hello")]], f"a packet of {len(one)} bytes, cut after {cut}")
    yield Step.claim("correct", True, f"a packet cut in two, after each of its {len(one)} bytes")
    yield Step.expect("correct", _fed(ours, b""), [], "a read of no bytes")
    yield _pieces(answer)
    yield _refuses(answer)
    short, long = _stream_ns(answer, _PACKETS), _stream_ns(answer, LONGER * _PACKETS)
    message = (
        f"a read of {LONGER} times as many packets takes {long / short:.0f} times as long; it must be below {MAX_LONGER:.0f}"
    )
    yield Step.claim("faster", long < MAX_LONGER * short, message)


def _fed(ours: Any, data: bytes) -> Any:
    got = ours.feed(data)
    return got if got is None else [tuple(one) for one in got]


def _pieces(answer: Callable[[], Any]) -> Step:
    """The same stream in pieces of any size."""
    from hftlab.protocols.soupbintcp import packet

    chance = random.Random(9)
    wanted = [
        (chance.choice([b"S", b"U", b"+"]), chance.randbytes(chance.choice([0, 1, 40, 254, 255, 256, 4_000]))) for _ in range(80)
    ]
    stream = b"".join(packet(*one) for one in wanted)
    for limit in (1, 2, 3, 7, 100, 5_000, len(stream)):
        ours, at = answer(), 0
        got: list[Any] = []
        while at < len(stream):
            size = chance.randint(1, limit)
            got += _fed(ours, stream[at : at + size]) or []
            at += size
        if got != wanted:
            place = next((place for place, pair in enumerate(zip(got, wanted, strict=False)) if pair[0] != pair[1]), len(got))
            message = f"80 packets in pieces of at most {limit:,} bytes: packet {place} is not as it was sent ({len(got)} came)"
            return Step.claim("hidden", False, message)
    return Step.claim("hidden", True, f"80 packets, {len(stream):,} bytes, in pieces from one byte to all at once")


def _refuses(answer: Callable[[], Any]) -> Step:
    """A length of 0 is no packet; it must not be waited for, nor looped on."""
    ours = answer()
    try:
        got = ours.feed(b"\0\0")
    except ValueError:
        return Step.claim("hidden", True, "a length of 0, which no packet has, raises ValueError")
    return Step.claim(
        "hidden", False, f"a length of 0, which no packet has (the kind is counted): {got!r}, expected a ValueError"
    )


def _stream_ns(answer: Callable[[], Any], packets: int) -> float:
    """ns of the processor for one read: time spent waiting for a core is the machine's, not the answer's."""
    from hftlab.protocols.soupbintcp import packet

    stream = packet(b"S", b"1234567890") * packets
    return min(repeat(lambda: answer().feed(stream), timer=process_time, number=1, repeat=7)) * 1e9
