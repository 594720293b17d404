"""Does arbitration give the fault-free stream once and in order, or say what is missing; and is it bounded, whatever comes?"""

import random
import tracemalloc
from collections.abc import Sequence

import pytest
from captures import patient
from hypothesis import given, settings
from hypothesis import strategies as st

from hftlab.errors import ConfigError
from hftlab.protocols import moldudp64 as mold
from hftlab.protocols.arbiter import COUNTS, Arbiter, Delivery

SESSION, OTHER = b"SESSION001", b"SESSION002"
MS = 1_000_000
A, B, ANSWER = 0, 1, 2


def body(number: int) -> bytes:
    """The message of a number: some are empty."""
    return b"%d" % number * (number % 4)


def packet(first: int, count: int = 1, session: bytes = SESSION) -> bytes:
    return mold.encode(session, first, [body(number) for number in range(first, first + count)])


def framed(first: int, until: int) -> bytes:
    return b"".join(mold.frame(body(number)) for number in range(first, until))


class Sink:
    """Takes what an arbiter delivers, and holds it to its promises at every step."""

    def __init__(self, arbiter: Arbiter) -> None:
        self.arbiter, self.runs = arbiter, list[tuple[int, int]]()
        self.first, self.arrived = arbiter.expected, 0

    def feed(self, datagram: bytes, now_ns: int, line: int = A) -> Delivery:
        arbiter, before, refused = self.arbiter, self.arbiter.expected, self._refused()
        delivery = arbiter.receive(line, datagram, now_ns)
        assert arbiter.accepted is (self._refused() == refused)
        if arbiter.accepted:
            self.arrived += mold.decode(datagram).messages
        self.took(delivery)
        assert arbiter.expected >= before
        assert arbiter.held < arbiter.window
        return delivery

    def took(self, delivery: Delivery) -> None:
        if delivery.count:
            assert delivery.blocks == framed(delivery.sequence, delivery.sequence + delivery.count)
            assert not self.runs or delivery.sequence >= self.runs[-1][1]  # in order, and nothing twice
            self.runs.append((delivery.sequence, delivery.sequence + delivery.count))
        else:
            assert delivery.blocks == b""

    def _refused(self) -> int:
        return sum(self.arbiter.counts[name] for name in ("truncated", "malformed", "foreign_session"))

    @property
    def delivered(self) -> set[int]:
        return {number for first, until in self.runs for number in range(first, until)}

    def balanced(self) -> None:
        """Every message that arrived was delivered, was there before, waits, or had no room; each number at most once."""
        counts = self.arbiter.counts
        assert counts["messages"] == sum(until - first for first, until in self.runs)
        assert counts["messages"] + counts["lost"] == self.arbiter.expected - self.first, "each is delivered, or said to be lost"
        assert self.arrived == counts["messages"] + counts["duplicates"] + self.arbiter.held + counts["overflow"]
        assert set(counts) == set(COUNTS)


def datagrams(sizes: Sequence[int]) -> list[bytes]:
    """A session from number 1 on, so many messages in each packet; 0 is a heartbeat."""
    out, next_number = [], 1
    for size in sizes:
        out.append(packet(next_number, size))
        next_number += size
    return out


def shuffled(items: list[bytes], reach: int, rng: random.Random) -> list[bytes]:
    """Items out of place by at most `reach`."""
    keyed = sorted(enumerate(items), key=lambda pair: pair[0] + rng.uniform(0, reach))
    return [item for _, item in keyed]


# --- two lines


@patient
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
    st.floats(0, 1),
    st.integers(0, 40),
    st.booleans(),
)
def test_faults_within_the_window_leave_no_trace(
    sizes: list[int], rng: random.Random, faulty: float, reach: int, late: bool
) -> None:
    lines: tuple[list[bytes], list[bytes]] = ([], [])
    for datagram in datagrams(sizes):
        keeper = rng.randrange(2)  # one line at least brings it
        for line in (A, B):
            if line == keeper or rng.random() > faulty:
                lines[line].extend([datagram] * (1 + (rng.random() < faulty)))
    queues = [shuffled(line, reach, rng) for line in lines]
    sink, now = Sink(Arbiter(window=240)), 0
    while any(queues):
        line = A if not queues[B] else B if not queues[A] else B if late and rng.random() < 0.1 else rng.randrange(2)
        sink.feed(queues[line].pop(0), now := now + 1, line)
    total = sum(sizes)
    assert sink.delivered == set(range(1, total + 1))
    arbiter = sink.arbiter
    assert (arbiter.expected, arbiter.stale, arbiter.gap, arbiter.held) == (total + 1, False, None, 0)
    assert (arbiter.counts["lost"], arbiter.counts["overflow"], list(arbiter.lost)) == (0, 0, [])
    sink.balanced()


def test_the_first_copy_wins_and_the_other_is_dropped() -> None:
    sink = Sink(Arbiter())
    assert sink.feed(packet(1, 3), 0, A) == Delivery(framed(1, 4), 1, 3)
    assert sink.feed(packet(1, 3), 1, B) == Delivery(b"", 4, 0)
    assert sink.feed(packet(2, 4), 2, B) == Delivery(framed(4, 6), 4, 2)  # the lines need not cut alike
    assert sink.arbiter.counts["duplicates"] == 5
    assert sink.arbiter.last_seen == {A: 0, B: 2}
    sink.balanced()


# --- holes and requests


def test_the_other_line_fills_a_hole_before_it_is_asked_for() -> None:
    sink = Sink(Arbiter(gap_timeout_ns=2 * MS))
    sink.feed(packet(1), 0, A)
    assert sink.feed(packet(3, 2), 1, A).count == 0
    assert (sink.arbiter.gap, sink.arbiter.stale, sink.arbiter.held) == ((2, 3), True, 2)
    assert sink.arbiter.due(MS) == []
    assert sink.feed(packet(2), MS, B) == Delivery(framed(2, 5), 2, 3)
    assert (sink.arbiter.gap, sink.arbiter.stale, sink.arbiter.due(10 * MS)) == (None, False, [])
    counts = sink.arbiter.counts
    assert (counts["gaps"], counts["requests"], counts["buffered"], counts["recovered"]) == (1, 0, 2, 0)


@pytest.mark.parametrize("reveals", [mold.heartbeat, mold.end])
def test_heartbeats_and_ends_reveal_holes(reveals: type) -> None:
    sink = Sink(Arbiter())
    sink.feed(packet(1), 0)
    sink.feed(reveals(SESSION, 2), 0)
    assert not sink.arbiter.stale
    sink.feed(reveals(SESSION, 5), 0)
    assert (sink.arbiter.gap, sink.arbiter.stale, sink.arbiter.finished) == ((2, 5), True, False)
    assert sink.arbiter.due(2 * MS) == [mold.Request(SESSION, 2, 3)]
    sink.feed(packet(2, 3), 3 * MS, ANSWER)
    assert (sink.arbiter.gap, sink.arbiter.finished) == (None, reveals is mold.end)
    assert (sink.arbiter.counts["heartbeats"], sink.arbiter.counts["recovered"]) == (2, 3)


def test_the_window_is_counted_from_the_expected_number() -> None:
    sink = Sink(Arbiter(window=10, max_requests=0))
    sink.feed(packet(10), 0)
    assert (sink.arbiter.held, sink.arbiter.counts["overflow"]) == (1, 0)
    sink.feed(packet(11), 0)
    assert (sink.arbiter.held, sink.arbiter.counts["overflow"]) == (1, 1)
    assert sink.feed(packet(1, 9), 0).count == 10
    assert (sink.arbiter.expected, sink.arbiter.gap) == (11, (11, 12))  # what was dropped is missed
    lone = Sink(Arbiter(window=10, max_requests=0, gap_timeout_ns=0))
    lone.feed(mold.heartbeat(SESSION, 5), 0)
    lone.feed(packet(11), 1)  # beyond the window: it takes another one near it
    assert lone.delivered == set()
    lone.feed(packet(12), 2)
    assert (lone.delivered, list(lone.arbiter.lost)) == ({12}, [(1, 12)])
    across = Sink(Arbiter(window=10))
    across.feed(packet(8, 5), 0)
    assert (across.arbiter.held, across.arbiter.counts["overflow"], across.arbiter.gap) == (3, 2, (1, 8))


def test_what_waits_is_not_skipped_for_what_is_farther() -> None:
    sink = Sink(Arbiter(window=10, max_requests=0, gap_timeout_ns=10))
    for now, number in ((0, 50), (1, 5), (20, 51)):
        sink.feed(packet(number), now)
    assert (sink.delivered, list(sink.arbiter.lost), sink.arbiter.gap) == ({5}, [(1, 5)], (6, 51))


def test_a_hole_stays_known_while_the_stream_goes_on_before_it() -> None:
    for reveals in (mold.heartbeat(SESSION, 9), packet(5000)):
        sink, now = Sink(Arbiter()), 100_000 * MS
        sink.feed(packet(1), now)
        sink.feed(reveals, now)
        sink.feed(packet(2), now + MS)
        assert sink.arbiter.gap == (3, 9 if len(reveals) == 20 else 5000)


def test_requests_are_patient_single_repeated_and_capped() -> None:
    arbiter = Arbiter(gap_timeout_ns=2 * MS, request_interval_ns=10 * MS, max_requests=3)
    arbiter.receive(A, packet(5, 2), 0)
    asked = [(now, request) for now in range(0, 100 * MS, MS // 2) for request in arbiter.due(now)]
    assert asked == [(at * MS, mold.Request(SESSION, 1, 4)) for at in (2, 12, 22)]
    assert arbiter.counts["requests"] == 3
    assert (arbiter.gap, arbiter.lost) == ((1, 5), type(arbiter.lost)())  # nothing is given up in silence
    assert arbiter.receive(A, packet(7), 100 * MS) == Delivery(framed(5, 8), 5, 3)
    assert (list(arbiter.lost), arbiter.counts["lost"], arbiter.gap) == ([(1, 5)], 4, None)
    assert arbiter.stale  # for good: what is lost will not come
    assert arbiter.receive(B, packet(1, 4), 101 * MS).count == 0


def test_a_partial_answer_is_followed_up_where_it_stopped() -> None:
    arbiter = Arbiter(gap_timeout_ns=8 * MS, request_interval_ns=50 * MS)
    arbiter.receive(A, packet(11), 0)
    assert arbiter.due(8 * MS) == [mold.Request(SESSION, 1, 10)]
    assert arbiter.receive(ANSWER, packet(1, 4), 9 * MS).count == 4
    assert arbiter.due(9 * MS) == []  # the rest of the answer may be on its way
    assert arbiter.due(10 * MS) == [mold.Request(SESSION, 5, 6)]
    assert arbiter.receive(ANSWER, packet(8, 3), 11 * MS).count == 0
    assert arbiter.receive(ANSWER, packet(5, 3), 11 * MS).count == 7
    assert (arbiter.expected, arbiter.counts["recovered"], arbiter.due(99 * MS)) == (12, 10, [])


def test_without_requests_a_hole_is_given_up_after_the_patience() -> None:
    sink = Sink(Arbiter(gap_timeout_ns=2 * MS, max_requests=0))
    sink.feed(packet(3), 0)
    assert sink.arbiter.due(10 * MS) == []
    sink.feed(packet(4), MS)
    assert sink.delivered == set()
    sink.feed(packet(5), 2 * MS)
    assert (sink.delivered, list(sink.arbiter.lost), sink.arbiter.counts["requests"]) == ({3, 4, 5}, [(1, 3)], 0)


def recovering(total: int, lost: range, window: int, serve: int, rng: random.Random) -> Sink:
    """A session of single messages, of which some never come on either line, and a server that answers requests for them.

    serve : messages in an answer; 0 for a server that never answers
    """
    sink, answers = Sink(Arbiter(window=window, request_interval_ns=5 * MS, max_requests=3)), list[bytes]()
    live = [packet(number) for number in range(1, total + 1) if number not in lost]
    live += [mold.end(SESSION, total + 1)] * 2000
    for turn, datagram in enumerate(live):
        now = turn * MS // 4
        if sink.arbiter.finished:
            break
        sink.feed(datagram, now)
        for request in sink.arbiter.due(now):
            assert 0 < request.count <= window
            have = min(serve, request.count, total + 1 - request.sequence)
            if have > 0 and rng.random() < 0.8:  # requests and answers get lost, too
                answers.append(packet(request.sequence, have))
        if answers and rng.random() < 0.5:
            sink.feed(answers.pop(0), now, ANSWER)
    return sink


@settings(patient, max_examples=50)
@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.integers(1, 60),
    st.sampled_from([0, 1, 7, 40]),
    st.randoms(use_true_random=False),
)
def test_holes_larger_than_the_window_are_filled_by_requests(
    first: int, size: int, window: int, serve: int, rng: random.Random
) -> None:
    sink = recovering(300, range(first, first + size), window, serve, rng)
    assert sink.arbiter.finished
    # A request may fail three times in a row: then what is lost is said.
    missing = set(range(1, 301)) - sink.delivered
    assert missing == {number for a, b in sink.arbiter.lost for number in range(a, b)}
    assert sink.arbiter.stale == bool(missing)
    assert serve or missing >= set(range(first, first + size)) & set(range(301)), "nobody has sent them"
    sink.balanced()


def test_a_hole_larger_than_the_window_is_filled_whole_where_answers_come() -> None:
    class Sure(random.Random):
        def random(self) -> float:
            return 0.0

    sink = recovering(3000, range(100, 2500), 64, 36, Sure())
    assert sink.delivered == set(range(1, 3001))
    assert not sink.arbiter.stale
    assert sink.arbiter.counts["overflow"] > 0


# --- damage


@pytest.mark.parametrize(
    ("wrong", "count"),
    [
        (b"", "truncated"),
        (packet(2)[:19], "truncated"),
        (packet(2, 3)[:-1], "malformed"),
        (packet(2, 3) + b"x", "malformed"),
        (mold.HEADER.pack(SESSION, 2, 3) + framed(2, 4), "malformed"),
        (mold.HEADER.pack(SESSION, mold.HIGHEST, 1) + b"\0\0", "malformed"),
        (mold.heartbeat(SESSION, 9) + b"\0", "malformed"),
        (packet(2, 1, OTHER), "foreign_session"),
    ],
)
def test_damaged_datagrams_are_counted_and_give_nothing(wrong: bytes, count: str) -> None:
    sink = Sink(Arbiter())
    sink.feed(packet(1), 0)
    assert sink.feed(wrong, 1, A) == Delivery(b"", 2, 0)
    assert {name: n for name, n in sink.arbiter.counts.items() if n and name not in ("packets", "messages")} == {count: 1}
    assert (sink.arbiter.stale, sink.arbiter.last_seen) == (False, {A: 0})
    assert sink.feed(packet(2, 3), 2, B).count == 3  # the other line has it whole


def test_one_wild_number_loses_nothing() -> None:
    for wild in (
        packet(1 << 62),
        mold.heartbeat(SESSION, 1 << 63),
        mold.end(SESSION, mold.HIGHEST),
        mold.heartbeat(SESSION, 600),
    ):
        sink = Sink(Arbiter(request_interval_ns=MS, max_requests=2))
        sink.feed(packet(1), 0)
        sink.feed(wild, 0)
        assert sink.arbiter.stale  # no trading while in doubt
        for number in range(2, 300):
            now = number * 50 * MS
            sink.arbiter.due(now - 2)
            sink.arbiter.due(now - 1)
            sink.feed(packet(number), now)
            sink.feed(mold.heartbeat(SESSION, number + 1), now + 25 * MS)
        assert sink.delivered == set(range(1, 300))
        assert list(sink.arbiter.lost) == []
        assert not sink.arbiter.stale


def test_a_number_repeated_from_far_ahead_is_believed() -> None:
    sink = Sink(Arbiter(request_interval_ns=MS, max_requests=1))
    sink.feed(packet(1), 0)
    sink.feed(packet(50_000), 0)
    assert (sink.arbiter.gap, sink.arbiter.due(2 * MS)) == ((2, 50_000), [mold.Request(SESSION, 2, 1024)])
    sink.feed(packet(90_000), 10 * MS)  # far from the one before: perhaps neither is right
    assert sink.delivered == {1}
    sink.feed(packet(90_001), 11 * MS)
    assert sink.delivered == {1, 90_001}
    assert (list(sink.arbiter.lost), sink.arbiter.gap) == ([(2, 90_001)], None)


# --- sessions


def test_a_new_session_is_noticed_not_mixed_in() -> None:
    sink = Sink(Arbiter())
    sink.feed(packet(1, 5), 0)
    for number in (1, 2):
        sink.feed(packet(number, 1, OTHER), 1)
    assert (sink.arbiter.changed, sink.arbiter.stale) == (None, False)  # strays
    sink.feed(packet(6), 2)
    for number in (3, 4, 5):
        assert sink.feed(packet(number, 1, OTHER), 3).count == 0
    assert (sink.arbiter.changed, sink.arbiter.stale, sink.arbiter.counts["foreign_session"]) == (OTHER, True, 5)
    sink.arbiter.restart(OTHER)
    assert (sink.arbiter.session, sink.arbiter.expected, sink.arbiter.stale) == (OTHER, 1, False)
    assert sink.arbiter.receive(A, packet(1, 5, OTHER), 4).count == 5
    assert sink.arbiter.counts["messages"] == 11  # counts go on
    assert sink.arbiter.receive(A, packet(7), 5).count == 0  # the old session is foreign now


@pytest.mark.parametrize(
    ("sessions", "changed"),
    [
        ([OTHER] * 3, OTHER),
        ([OTHER] * 3 + [SESSION], None),
        ([b"OTHER%05d" % (turn % 2) for turn in range(20)], None),  # strays of many sessions
        ([b" SESSION01"] * 2, None),  # compared whole, spaces and all
    ],
)
def test_three_of_one_other_session_in_a_row_are_a_change(sessions: list[bytes], changed: bytes | None) -> None:
    arbiter = Arbiter(SESSION)
    for session in sessions:
        arbiter.receive(A, packet(1, 1, session), 0)
    assert (arbiter.changed, arbiter.stale) == (changed, changed is not None)
    assert arbiter.counts["foreign_session"] == len(sessions) - sessions.count(SESSION)


def test_joining_live_begins_with_what_comes() -> None:
    for first in (packet(77, 2), mold.heartbeat(SESSION, 77)):
        arbiter = Arbiter(expected=0)
        delivery = arbiter.receive(A, first, 0)
        assert arbiter.session == SESSION
        assert (delivery.sequence, arbiter.expected, arbiter.stale) == (77, 77 + delivery.count, False)
        assert arbiter.receive(A, packet(arbiter.expected, 3), 0).count == 3


def test_an_end_is_waited_for_until_heartbeats_say_that_it_was_none() -> None:
    """Messages before an end may be due; but after an end nobody sends heartbeats that name a lower number."""
    sink = Sink(Arbiter())
    sink.feed(packet(1), 0)
    sink.feed(mold.end(SESSION, 9), 0)
    sink.feed(packet(2), 60_000 * MS)
    sink.feed(mold.end(SESSION, 2), 60_000 * MS)  # of the past
    assert sink.arbiter.gap == (3, 9)
    sink.feed(mold.heartbeat(SESSION, 3), 60_000 * MS)
    assert (sink.arbiter.gap, sink.arbiter.stale, sink.arbiter.finished) == (None, False, False)
    sink.feed(mold.end(SESSION, 3), 60_000 * MS)
    sink.feed(mold.heartbeat(SESSION, 3), 90_000 * MS)
    assert sink.arbiter.finished, "a real end stays one"


def test_after_the_end_of_a_session_more_of_it_undoes_the_end() -> None:
    arbiter = Arbiter()
    finished = []
    for datagram in (packet(1), mold.end(SESSION, 2), mold.end(SESSION, 1), packet(2)):  # the second end is late, and wrong
        arbiter.receive(A, datagram, 0)
        finished.append(arbiter.finished)
    assert finished == [False, True, True, False]


# --- bounds


@patient
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=40).filter(lambda some: some[:10] != SESSION)
            | st.builds(lambda first, cut: packet(first, 5)[:cut], st.integers(1, 80), st.integers(0, 24))
            | st.builds(packet, st.integers(1, 30), st.integers(0, 8))
            | st.builds(packet, st.integers(1, 80), st.integers(0, 8))
            | st.builds(packet, st.integers(mold.HIGHEST - 40, mold.HIGHEST - 9), st.integers(0, 8))
            | st.builds(mold.heartbeat, st.just(SESSION), st.integers(0, 80) | st.integers(0, mold.HIGHEST))
            | st.builds(mold.end, st.just(SESSION), st.integers(0, 80) | st.integers(0, mold.HIGHEST))
            | st.builds(packet, st.integers(1, 9), st.integers(0, 2), st.just(OTHER)),
            st.integers(0, 40 * MS),
            st.integers(0, 2),
        ),
        max_size=60,
    ),
    st.integers(1, 40),
    st.integers(0, 300),
    st.integers(0, 3),
)
def test_whatever_comes_the_promises_hold(
    steps: list[tuple[bytes, int, int]], window: int, buffer_bytes: int, max_requests: int
) -> None:
    arbiter = Arbiter(
        SESSION,
        window=window,
        buffer_bytes=buffer_bytes,
        request_interval_ns=5 * MS,
        max_requests=max_requests,
        end_grace_ns=200 * MS,
    )
    sink, now = Sink(arbiter), 0
    for datagram, wait, line in steps:
        now += wait
        for request in arbiter.due(now):
            assert request.session == SESSION
            assert (request.sequence, arbiter.gap is not None) == (arbiter.expected, True)
            assert request.sequence + request.count <= mold.HIGHEST
            assert len(request.encode()) == 20
        sink.feed(datagram, now, line)
        assert (arbiter.gap is None) or arbiter.expected == arbiter.gap[0] < arbiter.gap[1]
        assert arbiter.gap is None or arbiter.stale
        assert arbiter.expected <= mold.HIGHEST
        assert arbiter._held.bytes <= buffer_bytes
        sink.balanced()
    for run in arbiter.abandon():
        sink.took(run)
    assert (arbiter.gap, arbiter.held, arbiter._held.bytes) == (None, 0, 0)
    sink.balanced()


def test_numbers_close_to_two_to_the_64() -> None:
    last = mold.HIGHEST - 1
    sink = Sink(Arbiter(expected=last - 4))
    assert sink.feed(packet(last - 2, 3), 0).count == 0
    assert sink.arbiter.due(2 * MS) == [mold.Request(SESSION, last - 4, 2)]
    assert sink.feed(packet(last - 4, 2), 3 * MS).count == 5
    assert sink.feed(mold.end(SESSION, mold.HIGHEST), 4 * MS).count == 0
    assert (sink.arbiter.expected, sink.arbiter.finished) == (mold.HIGHEST, True)


def test_a_flood_of_early_messages_is_bounded() -> None:
    arbiter = Arbiter(SESSION, window=1000, buffer_bytes=200_000)
    large = [bytes(1000)] * 50
    tracemalloc.start()
    try:
        for first in range(2, 50_000, 50):
            arbiter.receive(A, mold.encode(SESSION, first, large), first)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 190 <= arbiter.held <= 200  # the bytes bound it before the window does
    assert held < 1 << 20
    assert arbiter.counts["overflow"] + arbiter.held == 50 * len(range(2, 50_000, 50))


def test_a_flood_of_holes_is_bounded() -> None:
    arbiter, now = Arbiter(SESSION, gap_timeout_ns=0, max_requests=0), 0
    for number in range(2, 20_000, 2):  # every other message is missing
        arbiter.receive(A, packet(number), now := now + 1)
    assert len(arbiter.lost) == 1024
    assert arbiter.counts["lost"] >= 9000


def test_settings_outside_their_range_are_refused() -> None:
    for window in (0, 65_536):
        with pytest.raises(ConfigError, match="window must be between 1 and 65,535 messages, got"):
            Arbiter(window=window)
    for name in ("gap_timeout_ns", "request_interval_ns", "max_requests", "buffer_bytes", "end_grace_ns"):
        with pytest.raises(ConfigError, match=f"{name} must be at least 0"):
            Arbiter(**{name: -1})
