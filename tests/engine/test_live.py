"""Is an engine that is fed as data arrives the same engine, and does it believe what the exchange reports and nothing else?"""

from __future__ import annotations

import random
from functools import cache
from struct import unpack_from
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hftlab
from hftlab.engine.live import LiveSession
from hftlab.errors import ConfigError, FeedError, UnknownName
from hftlab.feeds.feed import cut
from hftlab.settings import OrderConfig, RiskConfig
from hftlab.stages.order import Accepted

EAGER = {
    "order_config": OrderConfig(threshold=0.1, cooldown=2),
    "risk_config": RiskConfig(position_limit=300, max_orders_per_sec=10_000),
}


def messages(feed: hftlab.Feed) -> list[bytes]:
    """The framed messages of a feed, one by one."""
    return list(cut(feed, every=1))


@pytest.fixture(scope="module")
def day() -> list[bytes]:
    return messages(hftlab.synthetic("burst", 4_000, seed=3))


def reference(order: Accepted) -> int:
    """The UserRefNum that left; it is also that of the order."""
    assert int(unpack_from(">I", order.wire, 1)[0]) == order.user_ref_num
    return order.user_ref_num


def test_with_assumed_fills_it_is_the_replay_however_the_bytes_are_cut(backend: str) -> None:
    feed = hftlab.synthetic("burst", 6_000, seed=5)
    run = hftlab.Engine(backend, order_config=EAGER["order_config"]).run(feed, record="none")
    live = LiveSession(backend, fills="assumed", order_config=EAGER["order_config"])
    sent, rest, pick = [], messages(feed), random.Random(1)
    while rest:
        n = pick.choice([1, 1, 2, 7, 40])
        sent += live.feed(b"".join(rest[:n]))
        rest = rest[n:]
    assert len(sent) > 20
    assert b"".join(order.wire for order in sent) == run.order_stream
    assert [order.message for order in sent] == run.orders["index"].to_list()
    last = dict(run.orders.select("instrument", "position").rows())
    assert {instrument: position for instrument, position in last.items() if position} == live.positions
    assert live.working == []
    assert [live.book(i) for i in live.names] == [run._session.depth(i) for i in live.names]


def test_only_reports_move_positions_and_the_worst_case_is_tested(backend: str, day: list[bytes]) -> None:
    live = LiveSession(backend, **EAGER)
    sent = [order for message in day for order in live.feed(message)]
    assert not live.positions
    buying = {i: sum(left for _, j, side, left in live.working if (i, 1) == (j, side)) for i in live.names}
    selling = {i: sum(left for _, j, side, left in live.working if (i, 2) == (j, side)) for i in live.names}
    assert max(buying.values()) == 300, "nothing is known to be filled: three orders of 100 reach the limit"
    assert max(selling.values()) <= 300
    assert len(sent) == len(live.working) == sum(buying.values()) // 100 + sum(selling.values()) // 100
    assert live.counters()["rejects"][4] > 0
    ref, instrument, side, _ = live.working[0]
    sign = 1 if side == 1 else -1
    assert live.on_report(ref, filled=30)
    assert (live.positions, live.working[0][3]) == ({instrument: 30 * sign}, 70)
    assert live.on_report(ref, canceled=20)
    assert live.working[0][3] == 50
    assert live.on_report(ref, filled=10, closed=True)
    assert live.positions == {instrument: 40 * sign}
    assert ref not in [order[0] for order in live.working]
    assert not live.on_report(ref, filled=1), "it is over"
    assert live.positions == {instrument: 40 * sign}
    live.adjust_position(instrument, -40 * sign)
    assert live.positions == {}


def test_an_order_that_reduces_an_excess_may_leave(backend: str, day: list[bytes]) -> None:
    """600 held where 300 are allowed: only sells leave, until the limit is kept; what works counts as filled."""
    live = LiveSession(backend, **EAGER)
    busy = live.feed(b"".join(day[:1_000]))[-1].instrument
    for ref, *_ in live.working:
        live.on_report(ref, closed=True)
    live.adjust_position(busy, 600)
    sides = [order.side for order in live.feed(b"".join(day[1_000:])) if order.instrument == busy]
    assert sides, "the excess blocks nothing that reduces it"
    assert set(sides) == {2}
    assert len(sides) <= 9, "600 shares down to 300 short"


def test_canceled_orders_make_room_and_leave_the_position(backend: str, day: list[bytes]) -> None:
    live, sent = LiveSession(backend, **EAGER), 0
    for message in day:
        for order in live.feed(message):
            sent += 1
            assert live.on_report(reference(order), closed=True)
    free = LiveSession(backend, **{**EAGER, "risk_config": RiskConfig(position_limit=10**9, max_orders_per_sec=10_000)})
    assert sent == sum(len(free.feed(message)) for message in day)
    assert not live.positions
    assert not live.working


def test_nothing_leaves_while_suspended_and_the_two_kinds_are_independent(backend: str, day: list[bytes]) -> None:
    live, one = LiveSession(backend, **EAGER), LiveSession(backend, **EAGER)
    instruments = {order.instrument for order in one.feed(b"".join(day))}
    busy = min(instruments)
    live.suspend(None, True)
    assert live.feed(b"".join(day[:2_000])) == [], "also of instruments that are first seen now"
    live.suspend(busy, True)
    assert live.suspended == [busy]
    live.suspend(None, False)
    others = live.feed(b"".join(day[2_000:3_000]))
    assert others
    assert busy not in {order.instrument for order in others}
    live.suspend(busy, False)
    assert busy in {order.instrument for order in live.feed(b"".join(day[3_000:]))}
    assert live.book(busy) == one.book(busy), "what is stale is still kept"


def test_the_kill_switch_at_run_time_is_the_one_of_risk(backend: str, day: list[bytes]) -> None:
    live = LiveSession(backend, fills="assumed", order_config=EAGER["order_config"])
    live.kill_switch(True)
    assert live.feed(b"".join(day[:2_000])) == []
    always = LiveSession(backend, fills="assumed", order_config=EAGER["order_config"], risk_config=RiskConfig(kill=True))
    always.feed(b"".join(day[:2_000]))
    rejects = live.counters()["rejects"]
    assert list(rejects) == list(always.counters()["rejects"])
    assert rejects[0] > 0
    live.kill_switch(False)
    assert live.feed(b"".join(day[2_000:]))


def test_order_ids_start_where_they_are_set_and_end_at_the_last(backend: str, day: list[bytes]) -> None:
    live = LiveSession(backend, first_ref=2**32 - 3, **EAGER)
    sent = live.feed(b"".join(day))
    assert [reference(order) for order in sent] == [2**32 - 3, 2**32 - 2, 2**32 - 1]
    live.set_next_order_id(7)
    assert sent[0].wire[31:45] == b"HL004294967293"
    assert live.counters()["rejects"][0] > 0


def test_numbers_leap_forward_and_never_back(backend: str, day: list[bytes]) -> None:
    live = LiveSession(backend, **EAGER)
    first = live.feed(b"".join(day[:1_000]))
    assert live.next_order_id == len(first) + 1 > 1
    live.set_next_order_id(1)
    live.set_next_order_id(5_000)
    assert live.next_order_id == 5_000
    later = live.feed(b"".join(day[1_000:]))
    assert [reference(order) for order in later] == list(range(5_000, 5_000 + len(later)))


def test_orders_of_an_earlier_engine_are_taken_over(backend: str, day: list[bytes]) -> None:
    live = LiveSession(backend, first_ref=100, **EAGER)
    live.restore_order(7, 1, 1, 60)
    live.adjust_position(1, 250)
    assert live.working == [(7, 1, 1, 60)]
    sent = live.feed(b"".join(day))
    assert not [order for order in sent if (order.instrument, order.side) == (1, 1)], (
        "250 held, 60 working: 100 more would pass 300"
    )
    assert live.on_report(7, filled=60)
    assert live.positions[1] == 310


def test_what_cannot_be_is_refused() -> None:
    live = LiveSession("python")
    for wrong in (
        lambda: live.suspend(0, True),
        lambda: live.suspend(70_000, True),
        lambda: live.on_report(-1),
        lambda: live.adjust_position(1, 10**13),
    ):
        with pytest.raises(ConfigError, match="must be a whole number between"):
            wrong()
    with pytest.raises(ConfigError, match="first_ref must be a whole number between 1 and 4,294,967,295, got 0"):
        LiveSession("python", first_ref=0)
    with pytest.raises(UnknownName, match="known: assumed, reported"):
        LiveSession("python", fills="hoped")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="got 'assumed'"):
        LiveSession("python", fills="assumed").on_report(1, filled=1)
    with pytest.raises(ConfigError, match=r"cannot run live: it lacks .*report"):
        LiveSession("python", fills="assumed", order=Entry)


class Entry:
    """An order stage that knows nothing of reports."""

    def __init__(self, *_: object) -> None:
        self.orders: list[Any] = []
        self.stream, self.rejects = bytearray(), [0] * 6

    def update(self, *_: object) -> None:
        pass

    def status(self, *_: object) -> None:
        pass


def test_a_message_that_cannot_be_read_is_skipped_and_makes_every_book_stale(backend: str, day: list[bytes]) -> None:
    for bad, reason, stale in (
        (b"\0\0", "zero_length", False),
        (b"\0\x0cD" + bytes(11), "bad_length", True),
        (b"\x01\0!" + bytes(255), "bad_length", False),
    ):
        for at in (0, 1_500, len(day)):
            live, whole = LiveSession(backend, **EAGER), LiveSession(backend, **EAGER)
            orders = live.feed(b"".join([*day[:at], bad, *day[at:]]))
            wanted = whole.feed(b"".join(day[:at] if stale else day))
            assert orders == wanted
            assert (live.malformed, live.corrupted) == ({reason: 1}, stale)
            assert live.messages == len(day)


def test_a_message_cut_off_is_an_error_and_nothing_before_it_is_lost(backend: str, day: list[bytes]) -> None:
    live, whole = LiveSession(backend, **EAGER), LiveSession(backend, **EAGER)
    with pytest.raises(FeedError, match=r"cut off; it needs \d+ bytes, \d+ are left") as raised:
        live.feed(b"".join(day)[:-3])
    assert raised.value.orders == whole.feed(b"".join(day[:-1]))  # type: ignore[attr-defined]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(1, 120)),
        st.tuples(st.just("on_report"), st.integers(0, 30), st.integers(0, 120), st.integers(0, 60), st.booleans()),
        st.tuples(st.just("suspend"), st.one_of(st.none(), st.integers(1, 12)), st.booleans()),
        st.tuples(st.just("kill_switch"), st.booleans()),
        st.tuples(st.just("adjust_position"), st.integers(1, 12), st.integers(-150, 150)),
        st.tuples(
            st.just("restore_order"), st.integers(10**6, 10**6 + 5), st.integers(1, 12), st.integers(1, 2), st.integers(1, 200)
        ),
    ),
    min_size=5,
    max_size=60,
)


def observed(live: LiveSession, steps: list[Any], rest: list[bytes]) -> list[Any]:
    """Do the steps and note everything that can be seen after each."""
    seen, at, adopted = [], 0, set()
    for what, *arguments in steps:
        answer: Any = None
        if what == "feed":
            answer = live.feed(b"".join(rest[at : at + arguments[0]]))
            at += arguments[0]
        elif what == "on_report" and live.working:
            pick, *numbers = arguments
            answer = live.on_report(live.working[pick % len(live.working)][0], *numbers)
        elif what == "restore_order" and arguments[0] not in adopted:
            adopted.add(arguments[0])
            live.restore_order(*arguments)
        elif what in ("suspend", "kill_switch", "adjust_position"):
            getattr(live, what)(*arguments)
        seen.append((what, answer, live.positions, live.working, live.halted, live.suspended))
    result = live.counters()
    return [*seen, list(result["rejects"]), result["messages"], list(result["counts"])]


@cache
def late_start(regime: str) -> list[bytes]:
    """The directory, then into the day: orders that were added before are faults in both."""
    feed = messages(hftlab.synthetic(regime, 5_000, seed=11))
    return feed[:12] + feed[1_000:]


@pytest.mark.rust
@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from(["calm", "burst"]))
def test_both_engines_agree_whatever_is_called_in_between(steps: list[Any], regime: str) -> None:
    rest = late_start(regime)
    assert observed(LiveSession("python", **EAGER), steps, rest) == observed(LiveSession("rust", **EAGER), steps, rest)
