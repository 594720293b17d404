"""Does a trader that comes late get the market from a snapshot, and then trade as one that was there, with the same books?"""

from __future__ import annotations

from pathlib import Path

import pytest
from venue.client import Client
from venue.exchange import EAGER, books
from venue.feeds import day
from venue.venue import ACCOUNTS, Venue

from hftlab.engine.live import LiveSession
from hftlab.feeds.itch import ItchFeed
from hftlab.net import Trader
from hftlab.net.exchange.server import Phase
from hftlab.net.trader.journal import replay_journal
from hftlab.protocols.moldudp64 import frame

MESSAGES = 6_000
FEED = b"".join(map(frame, day(MESSAGES)))
LATE = 4_000  # messages that are published before the trader comes


@pytest.mark.parametrize("backend", ["python", pytest.param("rust", marks=pytest.mark.rust)])
def test_who_comes_late_begins_with_a_snapshot_and_trades(venue: Venue, tmp_path: Path, backend: str) -> None:
    exchange = venue.open(FEED, pace="20000/s", snapshots="127.0.0.1:0")
    venue.until(lambda: exchange.publisher.next > LATE)
    trader = Trader(venue.trader(journal=str(tmp_path / "journal"), max_age_ms=60_000.0), backend, **EAGER)
    trader.start()
    try:
        venue.until(lambda: trader.poll(0) and trader.feed.arbiter.expected == MESSAGES + 1)
        venue.until(lambda: trader.poll(0) and not trader.orders.open)
        snapshots = exchange.doors[1].sessions
        assert (snapshots.taken, trader.snapshot and trader.snapshot.tries) == (1, 1)
        assert trader.feed.arbiter.counts["messages"] < MESSAGES - LATE + 1_000, "the rest was never asked for"
        whole = LiveSession("python")
        whole.feed(FEED)
        assert books(trader.live) == books(whole)
        assert trader.times["total"].n > 0
    finally:
        summary = trader.stop()
    assert summary["attention"] == {}
    again = replay_journal(tmp_path / "journal", ItchFeed(FEED), backend)
    assert len(again.sent) == summary["sent"]
    assert again.first_difference is None


def test_a_snapshot_is_the_book_in_the_order_of_its_queues(venue: Venue) -> None:
    exchange = venue.open(FEED, snapshots="127.0.0.1:0")
    venue.until(lambda: exchange.phase is Phase.STAYING)
    where = exchange.addresses["snapshots"]
    venue.clients.append(reader := Client(where))
    reader.login("YOU", ACCOUNTS["YOU"])
    venue.until(lambda: reader.gone)
    *messages, end = reader.messages
    assert (end[:1], int(end[1:])) == (b"G", MESSAGES + 1)
    assert reader.packets[-1][0] == "Z"
    late = LiveSession("python")
    late.feed(b"".join(map(frame, messages)))
    whole = LiveSession("python")
    whole.feed(FEED)
    assert books(late) == books(whole)
    assert len(messages) < MESSAGES // 2
    venue.clients.append(wrong := Client(where))
    wrong.login("YOU", "WRONG")
    venue.until(lambda: wrong.gone)
    assert wrong.refused == "A"
