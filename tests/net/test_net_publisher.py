"""Does the publisher send every message once, in order, when it is meant to leave, and again when it is asked for?"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hftlab.errors import ConfigError
from hftlab.events import EVENT_DTYPE
from hftlab.feeds.feed import EventFeed
from hftlab.feeds.generate.synthetic import generate
from hftlab.feeds.itch import ItchFeed
from hftlab.net import ExchangeSettings
from hftlab.net.exchange.publisher import Publisher, RetransmitBuffer, RetransmitServer
from hftlab.protocols import moldudp64
from hftlab.protocols.channel import Bucket, Impairment, LossyChannel, Pace, Schedule
from hftlab.protocols.itch_messages import build

SESSION = b"TEST000001"
MS, SECOND = 1_000_000, 1_000_000_000


def feed_at(*times_ns: int) -> ItchFeed:
    return ItchFeed(b"".join(moldudp64.frame(build("D", locate=1, ts=SECOND + ts, ref=ref)) for ref, ts in enumerate(times_ns)))


def publish(publisher: Publisher, step_ns: int = MS) -> list[tuple[int, moldudp64.Packet]]:
    """Everything it sends, with the time of the poll, from time 0 in steps."""
    publisher.begin(0)
    sent, now = [], 0
    while not publisher.finished:
        sent += [(now, moldudp64.decode(datagram.data)) for datagram in publisher.poll(now)]
        now += step_ns
    return sent


@pytest.mark.parametrize("batch", [False, True])
def test_every_message_once_and_in_order(batch: bool) -> None:
    raw = generate("calm", 3000, seed=3)
    sent = publish(Publisher(ItchFeed(raw), SESSION, ExchangeSettings(pace="max", batch=batch)))
    assert b"".join(packet.blocks for _, packet in sent) == raw
    expected = 1
    for _, packet in sent:
        assert (packet.session, packet.sequence) == (SESSION, expected)
        assert packet.count == 1 or batch
        assert len(packet.blocks) <= 1400
        expected = packet.next
    assert expected == 3001
    if batch:
        assert len(sent) < 3000 / 20


def test_the_feeds_own_time_at_any_speed() -> None:
    feed = feed_at(5 * SECOND, 5 * SECOND + 80 * MS, 5 * SECOND + 80 * MS, 5 * SECOND + 160 * MS)
    for pace, times in (("1x", [0, 80, 80, 160]), ("8x", [0, 10, 10, 20]), ("0.5x", [0, 160, 160, 320])):
        sent = publish(Publisher(feed, SESSION, ExchangeSettings(pace=pace, max_idle_gap_s=60)))
        assert [now // MS for now, _ in sent] == times, pace


def test_a_fixed_rate_and_no_pace_at_all() -> None:
    feed = feed_at(*range(0, 50 * MS, MS))
    assert [now // MS for now, _ in publish(Publisher(feed, SESSION, ExchangeSettings(pace="250/s", max_idle_gap_s=60)))] == list(
        range(0, 200, 4)
    )
    assert {now for now, _ in publish(Publisher(feed, SESSION, ExchangeSettings(pace="max", max_idle_gap_s=60)))} == {0}


def test_a_late_poll_sends_what_is_overdue_and_the_lag_tells() -> None:
    publisher = Publisher(feed_at(0, 10 * MS, 20 * MS, 500 * MS), SESSION, ExchangeSettings(pace="1x", max_idle_gap_s=60))
    publisher.begin(0)
    assert len(publisher.poll(100 * MS)) == 3
    assert publisher.due_ns() == 500 * MS
    assert publisher.poll(499 * MS) == []
    assert len(publisher.poll(500 * MS)) == 1
    lag = publisher.times["lag"]
    assert (lag.n, lag.max, lag.min, lag.mean) == (4, 100 * MS, 0, (100 + 90 + 80) / 4 * MS)


def test_the_time_of_day_goes_on_between_messages_but_never_past_the_next_one() -> None:
    publisher = Publisher(feed_at(0, 100 * MS, 101 * MS), SESSION, ExchangeSettings(pace="2x", max_idle_gap_s=0.1))
    publisher.begin(7 * SECOND)
    assert publisher.time_ns(7 * SECOND) == 0  # nothing has left
    publisher.poll(7 * SECOND)
    assert publisher.time_ns(7 * SECOND + 20 * MS) == SECOND + 40 * MS
    assert publisher.time_ns(7 * SECOND + 60 * MS) == SECOND + 100 * MS  # the poll is late
    publisher.poll(7 * SECOND + 60 * MS)
    assert publisher.finished
    assert publisher.time_ns(8 * SECOND + 60 * MS) == 3 * SECOND + 101 * MS
    rated = Publisher(feed_at(0, 100 * MS), SESSION, ExchangeSettings(pace="10/s", max_idle_gap_s=60))
    rated.begin(0)
    rated.poll(0)
    assert rated.time_ns(50 * MS) == SECOND


def test_lulls_are_cut_and_counted() -> None:
    schedule = Schedule(Pace.parse("2x"), max_idle_gap_ns=SECOND)
    times = [schedule.next(ts) for ts in (SECOND, 2 * SECOND, 8000 * SECOND, 0, 7999 * SECOND, 8001 * SECOND)]
    assert times == [0, SECOND // 2, 3 * SECOND // 2, 3 * SECOND // 2, 3 * SECOND // 2, 2 * SECOND]
    assert schedule.idle_gaps_cut == 1


@pytest.mark.parametrize("text", ["", "x", "0x", "-1x", "8", "8/m", "1e3x", "fast", "nanx"])
def test_a_pace_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="pace must be"):
        Pace.parse(text)


def test_heartbeats_when_idle_and_the_end() -> None:
    publisher = Publisher(feed_at(0, 5 * SECOND), SESSION, ExchangeSettings(pace="1x", max_idle_gap_s=60))
    assert moldudp64.decode(publisher.beat(0) or b"") == (SESSION, 1, moldudp64.HEARTBEAT, b"")
    assert publisher.beat(SECOND - 1) is None
    publisher.begin(SECOND)
    assert len(publisher.poll(SECOND)) == 1
    assert publisher.beat(2 * SECOND - 1) is None
    assert moldudp64.decode(publisher.beat(2 * SECOND) or b"").sequence == 2
    assert len(publisher.poll(6 * SECOND)) == 1
    assert publisher.finished
    assert moldudp64.decode(publisher.end(7 * SECOND)) == (SESSION, 3, moldudp64.END, b"")


def test_a_feed_that_breaks_off_is_published_up_to_there() -> None:
    raw = generate("calm", 100, seed=1)
    publisher = Publisher(ItchFeed(raw[:-3]), SESSION, ExchangeSettings(pace="max"))
    assert sum(packet.count for _, packet in publish(publisher)) == 99
    assert "cut off" in str(publisher.error)


def test_a_session_taken_up_again_goes_on_with_the_next_number() -> None:
    raw = generate("calm", 500, seed=1)
    publisher = Publisher(ItchFeed(raw), SESSION, ExchangeSettings(pace="max"))
    before = b"".join(publisher.skip(301))
    sent = publish(publisher)
    assert sent[0][1].sequence == 301
    assert before + b"".join(packet.blocks for _, packet in sent) == raw
    assert publisher.buffer.get(1, 500, 10**6) == [moldudp64.frame(message) for message in moldudp64.split(raw)]


def test_event_records_cannot_be_published() -> None:
    with pytest.raises(ConfigError, match="event records"):
        Publisher(EventFeed(np.zeros(1, EVENT_DTYPE)), SESSION, ExchangeSettings(pace="max"))


# Sent again -------------------------------------------------------------------------------------------------------------


def kept(count: int, window: int = 1 << 20) -> RetransmitBuffer:
    store = RetransmitBuffer(window)
    for number in range(1, count + 1):
        store.append(moldudp64.frame(b"%06d" % number))
    return store


def test_requests_are_answered_with_what_fits() -> None:
    resender = RetransmitServer(kept(1000), SESSION, limit=80)
    answer = moldudp64.decode(resender.answer(moldudp64.Request(SESSION, 991, 5).encode(), 0) or b"")
    assert (answer.sequence, moldudp64.split(answer.blocks)) == (991, [b"%06d" % n for n in range(991, 996)])
    assert moldudp64.decode(resender.answer(moldudp64.Request(SESSION, 1, 65535).encode(), 0) or b"").count == 10
    assert moldudp64.decode(resender.answer(moldudp64.Request(SESSION, 1000, 50).encode(), 0) or b"").count == 1
    assert resender.counts == {"requests": 3, "answered": 3, "messages": 16}


def test_a_message_that_is_longer_than_a_datagram_goes_alone() -> None:
    assert len(kept(3).get(1, 3, 4)) == 1


def test_what_cannot_be_answered_is_counted_by_reason() -> None:
    resender = RetransmitServer(kept(20_000, window=1000), SESSION, rate=1, burst=2)
    first = resender.buffer.first
    assert first == 20_001 - 1_000
    assert resender.buffer.get(first, 1_000, 1 << 20) == [moldudp64.frame(b"%06d" % n) for n in range(first, 20_001)]
    wrong = {
        "malformed": [b"", b"short", moldudp64.Request(SESSION, first, 1).encode() + b"!"],
        "foreign_session": [moldudp64.Request(b"OTHER00001", first, 1).encode()],
        "nothing_asked": [moldudp64.Request(SESSION, first, 0).encode()],
        "not_kept": [moldudp64.Request(SESSION, first - 1, 1).encode(), moldudp64.Request(SESSION, 0, 1).encode()],
        "not_yet": [moldudp64.Request(SESSION, 20_001, 1).encode(), moldudp64.Request(SESSION, (1 << 64) - 1, 65535).encode()],
    }
    for datagrams in wrong.values():
        assert not any(resender.answer(datagram, 0) for datagram in datagrams)
    fine = moldudp64.Request(SESSION, first, 1).encode()
    assert [bool(resender.answer(fine, at)) for at in (0, 0, 0, SECOND, SECOND)] == [True, True, False, True, False]
    assert {reason: resender.counts[reason] for reason in wrong} == {reason: len(sent) for reason, sent in wrong.items()}
    assert resender.counts["throttled"] == 2


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=10, burst=3)
    given = sum(bucket.take(now) for now in range(0, 2 * SECOND, MS))
    assert given in (22, 23)
    assert bucket.left(9 * SECOND) == 3


# Lines ------------------------------------------------------------------------------------------------------------------


def carried(line: LossyChannel, count: int) -> list[int]:
    out = [got for number in range(count) for got in line.carry(b"%d" % number)] + line.flush()
    return [int(datagram) for datagram in out]


def test_a_line_without_chances_changes_nothing() -> None:
    assert carried(LossyChannel("A"), 100) == list(range(100))


def test_lines_lose_independently_and_reproducibly() -> None:
    lost = {name: set(range(20_000)) - set(carried(LossyChannel(name, Impairment(loss=0.1), seed=5), 20_000)) for name in "AB"}
    assert lost["A"] == set(range(20_000)) - set(carried(LossyChannel("A", Impairment(loss=0.1), seed=5), 20_000))
    for numbers in lost.values():
        assert 0.09 < len(numbers) / 20_000 < 0.11
    assert 0.005 < len(lost["A"] & lost["B"]) / 20_000 < 0.015


def test_duplication_and_reordering_lose_nothing() -> None:
    line = LossyChannel("A", Impairment(duplicate=0.2, reorder=0.2, depth=4))
    got = carried(line, 5000)
    assert set(got) == set(range(5000))
    assert set(Counter(got).values()) == {1, 2}
    assert len(got) - 5000 == line.counts["duplicated"] > 500
    assert line.counts["sent"] == len(got)
    shifts = [place - number for place, number in enumerate(carried(LossyChannel("B", Impairment(reorder=0.2, depth=4)), 5000))]
    assert 0 < max(shifts) <= 5
    assert min(shifts) < 0


def test_one_chance_does_not_change_what_another_one_hits() -> None:
    plain = carried(LossyChannel("A", Impairment(loss=0.3)), 500)
    assert sorted(set(carried(LossyChannel("A", Impairment(loss=0.3, duplicate=0.5)), 500))) == plain


def test_a_dead_line_and_a_mangling_one() -> None:
    line = LossyChannel("A")
    line.down = True
    assert line.carry(b"x") == []
    line.down, line.mangle = False, lambda datagram: datagram[:1]
    assert line.carry(b"xyz") == [b"x"]
    line.mangle = lambda datagram: b""
    assert line.carry(b"xyz") == []
    assert line.counts == {"dropped": 1, "sent": 1}


@pytest.mark.parametrize("wrong", [{"loss": 1.1}, {"duplicate": -0.1}, {"reorder": float("nan")}, {"depth": 0}])
def test_chances_that_are_none(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="must be between"):
        Impairment(**wrong)
