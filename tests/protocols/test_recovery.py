"""Is everything that is missing asked for, side by side, and for ever; and does a session that loses a third end whole?"""

from __future__ import annotations

import random
from itertools import pairwise

from hftlab.protocols import moldudp64 as mold
from hftlab.protocols.arbiter import LONGEST, PIECE, Arbiter, Recovery

SESSION, MS = b"SESSION001", 1_000_000


def packet(first: int, count: int = 1) -> bytes:
    return mold.encode(SESSION, first, [b"%d" % number for number in range(first, first + count)])


def recovery(window: int = 1024) -> tuple[Arbiter, Recovery]:
    arbiter = Arbiter(SESSION, window=window)
    return arbiter, Recovery(arbiter, 2 * MS, 20 * MS)


def asked(recovery: Recovery, now: int) -> list[tuple[int, int]]:
    return [(request.sequence, request.count) for request in recovery.due(now)]


def test_every_hole_is_asked_for_in_requests_that_an_answer_can_hold() -> None:
    arbiter, ours = recovery()
    for first, count in ((1, 1), (3, 1), (5, 1), (25, 2), (60, 1)):
        arbiter.receive(0, packet(first, count), 0)
    assert asked(ours, 0) == asked(ours, MS) == []
    arbiter.receive(0, packet(62), MS)
    pieces = asked(ours, 2 * MS)
    assert pieces == [(2, 16), (18, 16), (34, 16), (50, 10)], "62 was not missed when it was looked at first"
    assert all(count <= PIECE for _, count in pieces)
    assert asked(ours, 4 * MS) == [(61, 1)]
    assert asked(ours, 10 * MS) == []
    arbiter.receive(2, packet(2, 10), 11 * MS)
    assert asked(ours, 12 * MS) == [(12, 6)], "what an answer leaves out is asked for at once"


def test_what_nobody_answers_is_asked_for_less_and_less_often_and_never_given_up() -> None:
    arbiter, ours = recovery()
    arbiter.receive(0, packet(2), 0)
    times = [now for now in range(0, 20_000 * MS, MS) if asked(ours, now)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] == 2 * MS
    assert gaps[0] <= 22 * MS
    assert all(earlier <= later for earlier, later in pairwise(gaps))
    assert LONGEST * 20 * MS <= gaps[-1] <= (LONGEST * 20 + 2) * MS
    assert not arbiter.lost
    arbiter.receive(2, packet(1), 20_001 * MS)
    assert arbiter.gap is None


def test_a_session_that_loses_a_third_on_both_lines_ends_whole() -> None:
    """20,000 messages a second; an answer takes 1 ms, and a tenth of the answers are lost as well."""
    rng, (arbiter, ours), total = random.Random(7), recovery(), 6_000
    answers: list[tuple[int, bytes]] = []
    delivered, number, now = 0, 1, 0
    while not arbiter.finished:
        now += 50_000
        assert now < 1_000 * MS
        datagram = packet(number) if number <= total else mold.end(SESSION, total + 1)
        number += number <= total
        for line in range(2):
            if rng.random() > 0.3:
                delivered += arbiter.receive(line, datagram, now).count
        while answers and answers[0][0] <= now:
            delivered += arbiter.receive(2, answers.pop(0)[1], now).count
        for request in ours.due(now):
            if rng.random() > 0.1:
                answers.append((now + MS, packet(request.sequence, request.count)))
    assert (delivered, arbiter.counts["lost"]) == (total, 0)
    assert now < 450 * MS, "300 ms of messages"
    assert ours.asked < 3 * total // 10
