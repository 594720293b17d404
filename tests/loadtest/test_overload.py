"""Is the ring bounded, is what it drops counted and known, and is the book right again after an overload?"""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hftlab
from hftlab.errors import ConfigError
from hftlab.loadtest import overload_test
from hftlab.loadtest.ingress import COUNTS, Ingress
from hftlab.loadtest.overload import SESSION, CalmDay, IngressPath, OverloadReport
from hftlab.loadtest.schedule import due_at
from hftlab.protocols.moldudp64 import decode, encode, end


def packet(sequence: int, count: int = 1) -> bytes:
    return encode(SESSION, sequence, [b"m" * 10] * count)


def offered(ring: Ingress, first: int, count: int, now_ns: int = 0) -> list[bool]:
    return [ring.offer(0, packet(number), now_ns) for number in range(first, first + count)]


def taken(ring: Ingress, count: int, now_ns: int = 0) -> Iterator[int]:
    for _ in range(count):
        waiting = ring.take(now_ns)
        assert waiting is not None
        yield decode(waiting.datagram).sequence


def test_what_fits_is_handed_on_in_order_and_nothing_is_stale() -> None:
    ring = Ingress(4)
    assert offered(ring, 1, 4) == [True] * 4
    assert list(taken(ring, 4)) == [1, 2, 3, 4]
    assert ring.take(0) is None
    assert (ring.peak, ring.bytes, ring.stale, ring.may_trade(0)) == (4, 0, False, True)


def test_the_newest_are_dropped_until_the_ring_has_drained_so_that_one_range_is_missing() -> None:
    ring = Ingress(4, resume=0.5)
    assert offered(ring, 1, 6) == [True] * 4 + [False] * 2
    assert (ring.counts["full"], ring.counts["shedding"], ring.counts["overflows"]) == (1, 1, 1)
    assert (ring.stale, ring.may_trade(0)) == (True, False)
    assert list(taken(ring, 1)) == [1]
    assert offered(ring, 7, 1) == [False]  # there is room, but it still drains
    assert list(taken(ring, 1)) == [2]
    assert offered(ring, 8, 1) == [True]
    assert list(taken(ring, 3)) == [3, 4, 8]


def test_the_book_is_stale_until_all_that_was_dropped_is_in_it() -> None:
    ring = Ingress(2, resume=0.0)
    offered(ring, 1, 4, now_ns=5)  # 3 and 4 are dropped
    assert not ring.recovered(5, 6)  # it sheds still
    list(taken(ring, 2))
    for expected in (1, 3, 4):
        assert not ring.recovered(expected, 6)
        assert ring.stale
    assert ring.recovered(5, 25)
    assert (ring.stale, ring.stale_ns, ring.counts["recoveries"]) == (False, 20, 1)
    assert ring.recovered(5, 30)
    assert ring.counts["recoveries"] == 1


def test_what_waits_too_long_stops_orders_but_not_the_book() -> None:
    ring = Ingress(8, late_ns=1_000)
    offered(ring, 1, 2, now_ns=0)
    assert ring.may_trade(1_000)
    assert not ring.may_trade(1_001)
    assert not ring.stale
    list(taken(ring, 2, now_ns=1_500))
    assert (ring.counts["late"], ring.longest_wait_ns, ring.may_trade(9_999)) == (2, 1_500, True)


def test_bytes_are_bounded_too_and_what_is_no_datagram_is_dropped_without_harm() -> None:
    ring = Ingress(100, 200, longest=100)
    size = len(packet(1))
    assert sum(offered(ring, 1, 100)) == 200 // size
    assert ring.peak_bytes <= 200
    other = Ingress(100, 200, longest=100)
    assert not other.offer(0, bytes(101), 0)
    assert (other.counts["oversized"], other.stale) == (1, False)
    for short in (b"", b"x", end(SESSION, 7)):
        assert other.offer(0, short, 0)


def test_a_dropped_end_of_session_is_owed() -> None:
    ring = Ingress(1, resume=0.0)
    offered(ring, 1, 1)
    ring.offer(0, end(SESSION, 9), 0)
    ring.offer(0, b"damaged", 0)
    list(taken(ring, 1))
    assert not ring.recovered(8, 0)
    assert ring.recovered(9, 0)


@given(st.lists(st.integers(0, 3), max_size=200), st.integers(1, 6), st.sampled_from([0.0, 0.4, 0.9]))
def test_every_datagram_is_counted_once_and_memory_is_bounded(steps: list[int], room: int, resume: float) -> None:
    ring, number, seen = Ingress(room, 500, resume=resume, longest=200), 0, []
    for now, step in enumerate(steps):
        if step:
            number += 1
            ring.offer(0, packet(number, step), now)
        elif (waiting := ring.take(now)) is not None:
            seen.append(decode(waiting.datagram).sequence)
        assert len(ring) <= room
        assert ring.bytes <= 500
        counts = ring.counts
        dropped = sum(counts[reason] for reason in ("full", "shedding", "oversized"))
        assert counts["offered"] == counts["queued"] + dropped
        assert counts["queued"] == counts["taken"] + len(ring)
        assert ring.stale == bool(dropped)
    assert set(ring.counts) == set(COUNTS)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    "given", [{"datagrams": 0}, {"size": 10}, {"resume": 1.0}, {"resume": -0.1}, {"late_ns": -1}, {"longest": 0}]
)
def test_a_ring_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        Ingress(**given)


@pytest.fixture(scope="module")
def report() -> OverloadReport:
    return overload_test(factor=8, length_ms=20, ring=32)


def test_after_an_overload_every_book_is_as_without_it(report: OverloadReport) -> None:
    assert report.failures == []
    for one in report.results:
        row = one.row()
        assert one.ingress["overflows"] >= 1
        assert row["dropped_full"] + row["dropped_shedding"] > 0
        assert row["recovered"] >= row["dropped_full"]
        assert row["peak_queue"] <= 32
        assert (row["lost"], row["equal"], one.missing) == (0, True, 0)
        assert row["stale_ms"] > 0
        assert 0 <= one.suppressed <= one.orders
        assert "stale" in {book for _, _, book in one.timeline}


def test_a_hole_that_nobody_fills_is_found_and_no_order_leaves_after_it() -> None:
    day = CalmDay(6_000, 1)
    assert (day.buffer.first, day.buffer.window) == (1, day.messages)  # all of a day may be asked for, however long it is
    run = IngressPath(hftlab.Engine("python"), day, 8, 1_000_000, give_up_ns=1_500_000_000)
    run.recovery.due = lambda now_ns: []  # type: ignore[method-assign]
    run.drive(due_at(len(day.datagrams), 1e6, "even"))
    assert run.ingress.counts["overflows"] >= 1
    assert run.stale
    assert run.missing > 0
    orders, suppressed, differs = run.compare()
    assert differs
    assert 0 <= suppressed <= orders
