"""Does the trader trade only when it may, believe only what it is told, and lose or repeat nothing, whatever the exchange does?

The exchange here is a few sockets that do as the test says, so that it can misbehave.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hftlab
from hftlab.engine.live import LiveSession
from hftlab.errors import ConfigError
from hftlab.net.trader.gates import HoldReason
from hftlab.net.trader.gateway import GatewayState
from hftlab.net.trader.journal import replay_journal
from hftlab.net.trader.order_manager import OrderState
from hftlab.net.trader.settings import TraderSettings, find_password
from hftlab.net.trader.trader import Trader
from hftlab.protocols import moldudp64, ouch, soupbintcp
from hftlab.settings import OrderConfig, RiskConfig

ENGINES = ["python", pytest.param("rust", marks=pytest.mark.rust)]
EAGER = {
    "order_config": OrderConfig(threshold=0.1, cooldown=2),
    "risk_config": RiskConfig(position_limit=500, max_orders_per_sec=10_000),
}
SESSION = b"FEED000001"
PASSWORD = "S3CR3TPASS"
TIMES = {
    "reconnect_ms": 10.0,
    "max_backoff_ms": 80.0,
    "resync_timeout_ms": 60.0,
    "gap_timeout_ms": 1.0,
    "request_interval_ms": 10.0,
    "shutdown_timeout_ms": 30.0,
}
QUICK = {**TIMES, "max_requests": 3}


def framed(feed: Any) -> list[bytes]:
    """The messages of a feed, without their lengths."""
    data = b"".join(bytes(block) for block in feed.blocks())
    return moldudp64.split(data)


@pytest.fixture(scope="module")
def day() -> list[bytes]:
    return framed(hftlab.synthetic("burst", 3_000, seed=3))


class Exchange:
    """Sockets on loopback. answers : to what is sent, by default each order is accepted and nothing more."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.tcp.setblocking(False)
        self.udp, self.asked = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.asked.bind(("127.0.0.1", 0))
        self.asked.setblocking(False)
        self.link: socket.socket | None = None
        self.framer = soupbintcp.Framer()
        self.logins: list[soupbintcp.Login] = []
        self.inbound: list[bytes] = []
        self.stream: list[bytes] = []
        self.session, self.accepts, self.queries = "ORDERS0001", True, True
        self.behind = b""  # what follows the next answer to a login, in the same piece
        self.next_ref: int | None = None  # what queries are told; None: one more than the highest order that was seen
        self.executes: Callable[[ouch.EnterOrder], list[ouch.Message]] | None = None
        self.kept: list[bytes] = []  # what can be asked for
        self.requests: list[moldudp64.Request] = []
        self.targets: list[tuple[str, int]] = []

    def settings(self, **more: Any) -> TraderSettings:
        place = {"orders": "{}:{}".format(*self.tcp.getsockname()), "requests": "", "password": PASSWORD}
        return TraderSettings(**{"lines": ("127.0.0.1:0", "127.0.0.1:0"), **place, **QUICK, **more})

    def with_requests(self, **more: Any) -> TraderSettings:
        return self.settings(**{"requests": "{}:{}".format(*self.asked.getsockname()), **more})

    def publish(self, messages: list[bytes], sequence: int, line: int | None = None, session: bytes = SESSION) -> None:
        for datagram in moldudp64.pack(session, sequence, messages):
            self.send(datagram, line)

    def send(self, datagram: bytes, line: int | None = None) -> None:
        for target in self.targets if line is None else [self.targets[line]]:
            self.udp.sendto(datagram, target)

    def pump(self) -> None:
        """Everything that has come."""
        if self.tcp.fileno() < 0:
            return
        try:
            link, _ = self.tcp.accept()
            if self.link:
                self.link.close()
            self.link = link
            self.link.setblocking(False)
            self.framer = soupbintcp.Framer()
        except BlockingIOError:
            pass
        try:
            while self.link and (data := self.link.recv(65_536)):
                for kind, payload in self.framer.feed(data):
                    self.packet(kind, payload)
        except BlockingIOError:
            pass
        except OSError:
            self.link = None
        try:
            while True:
                request, peer = self.asked.recvfrom(100)
                self.requests.append(wanted := moldudp64.decode_request(request))
                if answer := self.kept[wanted.sequence - 1 : wanted.sequence - 1 + min(wanted.count, 30)]:
                    self.asked.sendto(moldudp64.encode(wanted.session, wanted.sequence, answer), peer)
        except BlockingIOError:
            pass

    def packet(self, kind: bytes, payload: bytes) -> None:
        if kind == b"L":
            self.logins.append(login := soupbintcp.decode_login(payload))
            if not self.accepts:
                self.raw(soupbintcp.rejected("A"))
                return
            self.raw(soupbintcp.accepted(self.session, login.sequence) + self.behind)
            self.behind = b""
            for message in self.stream[login.sequence - 1 :]:
                self.raw(soupbintcp.packet(b"S", message))
        elif kind == b"U":
            self.inbound.append(payload)
            message = ouch.decode_inbound(payload)
            if isinstance(message, ouch.AccountQuery) and self.queries:
                seen = max((order.user_ref for order in self.orders), default=0)
                self.say(ouch.AccountQueryResponse(0, self.next_ref or seen + 1))
            elif isinstance(message, ouch.EnterOrder) and self.executes:
                for said in self.executes(message):
                    self.say(said)

    def raw(self, data: bytes) -> None:
        assert self.link is not None
        self.link.sendall(data)

    def say(self, message: ouch.Message) -> None:
        self.stream.append(message.encode())
        if self.link:
            self.raw(soupbintcp.packet(b"S", message.encode()))

    def reset(self) -> None:
        assert self.link is not None
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.close()
        self.link = None

    @property
    def orders(self) -> list[ouch.EnterOrder]:
        found = [ouch.decode_inbound(payload) for payload in self.inbound]
        return [message for message in found if isinstance(message, ouch.EnterOrder)]

    @property
    def cancels(self) -> list[int]:
        return [int.from_bytes(payload[1:5], "big") for payload in self.inbound if payload[:1] == b"X"]

    def close(self) -> None:
        for made in (self.tcp, self.udp, self.asked, self.link):
            if made:
                made.close()


def accepted(order: ouch.EnterOrder) -> ouch.Accepted:
    terms = {name: getattr(order, name) for name in order.CODES}
    return ouch.Accepted(ts_ns=0, order_reference=order.user_ref, **terms)


def filled(order: ouch.EnterOrder) -> list[ouch.Message]:
    return [accepted(order), ouch.Executed(0, order.user_ref, order.quantity, order.price, "R", order.user_ref)]


def canceled(order: ouch.EnterOrder) -> list[ouch.Message]:
    return [accepted(order), ouch.Canceled(0, order.user_ref, order.quantity, "I")]


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    made = Exchange()
    yield made
    made.close()


@pytest.fixture
def run() -> Iterator[Callable[..., Trader]]:
    """Starts traders, and stops them whatever happens."""
    started: list[Trader] = []

    def start(exchange: Exchange, settings: TraderSettings, backend: str = "python", **options: Any) -> Trader:
        trader = Trader(settings, backend, **{**EAGER, **options})
        started.append(trader)
        lines = trader.start()["lines"]
        exchange.targets = [(host, int(port)) for host, _, port in (line.partition(":") for line in lines)]
        return trader

    yield start
    for trader in started:
        trader.stop()


def drive(trader: Trader, exchange: Exchange, until: Callable[[], bool], seconds: float = 8.0) -> None:
    """Let both run until something is so."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"it never was: held {trader.held!r}, {trader.gateway.state}, {trader.feed.arbiter.counts}"
        trader.poll(0.002)
        exchange.pump()


def idle(trader: Trader, exchange: Exchange, seconds: float = 0.15) -> None:
    end = time.monotonic() + seconds
    drive(trader, exchange, lambda: time.monotonic() > end)


def feed(trader: Trader, exchange: Exchange, messages: list[bytes], sequence: int = 1, **more: Any) -> None:
    """Publish in small pieces, and wait until all has been run."""
    for at in range(0, len(messages), 40):
        piece = messages[at : at + 40]
        exchange.publish(piece, sequence + at, **more)
        upto = sequence + at + len(piece)
        drive(trader, exchange, lambda: trader.feed.arbiter.expected >= upto)  # noqa: B023 - called at once


def ready(trader: Trader, exchange: Exchange) -> None:
    drive(trader, exchange, lambda: trader.gateway.ready)


def books(live: LiveSession) -> list[Any]:
    return [live.book(instrument) for instrument in sorted(live.names)]


def whole(messages: list[bytes]) -> LiveSession:
    live = LiveSession("python")
    live.feed(b"".join(map(moldudp64.frame, messages)))
    return live


@pytest.mark.parametrize("spin", [False, True])
@pytest.mark.parametrize("backend", ENGINES)
def test_orders_leave_and_positions_are_what_was_executed(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes], backend: str, spin: bool, tmp_path: Path
) -> None:
    exchange.executes = filled
    journal = tmp_path / "journal"
    trader = run(exchange, exchange.settings(journal=str(journal), spin=spin), backend)
    ready(trader, exchange)
    feed(trader, exchange, day)
    drive(trader, exchange, lambda: not trader.orders.open)
    sums: dict[str, int] = {}
    for order in exchange.orders:
        sums[order.symbol] = sums.get(order.symbol, 0) + (order.quantity if order.side == "B" else -order.quantity)
    assert len(exchange.orders) > 20
    told = trader.stop()
    assert told["positions"] == {symbol: shares for symbol, shares in sorted(sums.items()) if shares}
    assert {trader.live.names[i]: n for i, n in trader.live.positions.items()} == told["positions"]
    assert told["sent"] == told["accepted"] == told["executed"] == len(exchange.orders) == told["latency"]["n"]
    assert max(map(abs, told["positions"].values())) <= 500
    assert books(trader.live) == books(whole(day))
    assert (told["messages"], told["lost"], told["held"]) == (3_000, 0, "stopping")
    frame = trader.orders.frame()
    assert frame["state"].unique().to_list() == ["executed"]
    assert frame["average_price"].to_list() == [float(order.price) for order in exchange.orders]
    again = replay_journal(journal, hftlab.synthetic("burst", 3_000, seed=3), backend, **EAGER)
    assert again.sent == [order.encode() for order in exchange.orders]
    assert again.live.positions == trader.live.positions


def test_nothing_leaves_before_the_login_is_answered(exchange: Exchange, run: Callable[..., Trader], day: list[bytes]) -> None:
    exchange.queries = False
    trader = run(exchange, exchange.settings(resync_timeout_ms=5_000.0))
    drive(trader, exchange, lambda: trader.gateway.state is GatewayState.RESYNC)
    feed(trader, exchange, day)
    assert trader.held is HoldReason.CONNECTION
    assert not exchange.orders
    assert books(trader.live) == books(whole(day)), "what is not traded on is still kept"


def test_silence_ends_the_wait_where_queries_are_not_answered(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes]
) -> None:
    exchange.queries = False
    trader = run(exchange, exchange.settings())
    ready(trader, exchange)
    feed(trader, exchange, day)
    drive(trader, exchange, lambda: len(exchange.orders) > 10)


def test_while_a_gap_is_open_nothing_is_traded_and_it_is_filled(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes]
) -> None:
    exchange.executes, exchange.kept = canceled, []
    trader = run(exchange, exchange.with_requests(max_requests=1_000))
    ready(trader, exchange)
    feed(trader, exchange, day[:1_000])
    idle(trader, exchange, 0.05)
    before = len(exchange.orders)
    assert before > 10
    exchange.publish(day[1_001:1_600], 1_002)
    idle(trader, exchange)
    assert trader.held is HoldReason.FEED_GAP
    assert len(exchange.requests) >= 2
    assert len(exchange.orders) == before
    exchange.kept = day
    drive(trader, exchange, lambda: trader.feed.arbiter.expected == 1_601)
    drive(trader, exchange, lambda: not trader.held)
    assert len(exchange.orders) == before, "what came late is run, and not traded on"
    feed(trader, exchange, day[1_600:], 1_601)
    drive(trader, exchange, lambda: len(exchange.orders) > before)
    assert books(trader.live) == books(whole(day))
    assert trader.summary()["recovered"] > 0


def test_what_is_lost_for_good_stops_trading_where_nobody_can_be_asked(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes]
) -> None:
    trader = run(exchange, exchange.settings())
    ready(trader, exchange)
    feed(trader, exchange, day[:500])
    idle(trader, exchange, 0.05)
    before = len(exchange.orders)
    for at in range(510, 2_000, 10):  # the line goes on; one hole stays
        exchange.publish(day[at : at + 10], at + 1)
        trader.poll(0.002)
    drive(trader, exchange, lambda: trader.feed.arbiter.counts["lost"] == 10)
    feed(trader, exchange, day[2_000:], 2_001)
    assert trader.held is HoldReason.FEED_LOST
    assert len(exchange.orders) == before
    assert trader.summary()["lost"] == 10


def lose_for_good(trader: Trader, exchange: Exchange, day: list[bytes], at: int) -> int:
    """The line goes on behind a hole that nobody can fill, until the session is requested anew; returns how far it went."""
    while not trader.restarts:
        exchange.publish(day[at : at + 1], at + 1)
        at += 1
        trader.poll(0.002)
        exchange.pump()
    return at


def test_what_is_lost_for_good_is_asked_for_again_from_the_first_message(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes], tmp_path: Path
) -> None:
    exchange.executes = filled
    trader = run(exchange, exchange.with_requests(journal=str(tmp_path / "journal")))
    ready(trader, exchange)
    feed(trader, exchange, day[:500])
    drive(trader, exchange, lambda: bool(exchange.orders) and not trader.orders.open)
    first, held = trader.live, trader.live.positions
    assert held
    at = lose_for_good(trader, exchange, day, 510)
    exchange.kept = day[:at]
    exchange.publish(day[at : at + 2], at + 1)
    drive(trader, exchange, lambda: trader.feed.arbiter.expected == at + 3)
    drive(trader, exchange, lambda: not trader.held)
    assert trader.live is not first
    assert trader.live.positions == held, "a new engine knows what is held"
    feed(trader, exchange, day[at + 2 :], at + 3)
    drive(trader, exchange, lambda: not trader.orders.open)
    assert books(trader.live) == books(whole(day))
    refs = [order.user_ref for order in exchange.orders]
    assert refs == sorted(set(refs)), "numbers go on"
    again = replay_journal(tmp_path / "journal", hftlab.synthetic("burst", 3_000, seed=3), "python", **EAGER)
    assert again.sent == [order.encode() for order in exchange.orders]


@pytest.mark.parametrize("backend", ENGINES)
def test_a_new_engine_knows_what_is_held_before_it_may_trade(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes], backend: str
) -> None:
    """Time stands still after the restart, so no timer can have restored the positions when the gates open."""
    exchange.executes = filled
    stopped: list[int] = []
    trader = run(exchange, exchange.with_requests(), backend, clock=lambda: stopped[0] if stopped else time.monotonic_ns())
    ready(trader, exchange)
    feed(trader, exchange, day[:500])
    drive(trader, exchange, lambda: bool(exchange.orders) and not trader.orders.open)
    held = trader.live.positions
    assert held
    end = lose_for_good(trader, exchange, day, 510)
    stopped.append(time.monotonic_ns())
    trader.poll(0)
    assert trader.held is HoldReason.FEED_GAP, "nothing of the session has come"
    assert not trader.live.positions
    exchange.publish(day[end : end + 1], end + 1)
    for at in range(0, end, 40):
        exchange.publish(day[at : min(at + 40, end)], at + 1)
        while trader.feed.arbiter.expected < min(at + 41, end + 1):
            trader.poll(0.002)
            assert trader.held or trader.live.positions == held, "it traded without its positions"
    assert not trader.held


def test_a_new_session_brings_a_new_book_and_the_old_positions(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes]
) -> None:
    exchange.executes = filled
    trader = run(exchange, exchange.settings())
    ready(trader, exchange)
    feed(trader, exchange, day[:1_500])
    drive(trader, exchange, lambda: bool(exchange.orders) and not trader.orders.open)
    held = trader.summary()["positions"]
    # The directory of the new session has the same stocks under other numbers.
    other = framed(hftlab.synthetic("burst", 2_000, seed=9))
    moved = [
        message[:1] + (lambda n: n and n + 20)(int.from_bytes(message[1:3], "big")).to_bytes(2, "big") + message[3:]
        for message in other
    ]
    for _ in range(3):
        exchange.send(moldudp64.heartbeat(b"FEED000002", 1))
    drive(trader, exchange, lambda: trader.feed.arbiter.session == b"FEED000002")
    assert trader.live.messages == 0
    feed(trader, exchange, moved, session=b"FEED000002")
    assert books(trader.live) == books(whole(moved))
    drive(trader, exchange, lambda: not trader.orders.open)
    told = trader.summary()
    assert set(trader.live.positions) <= set(range(21, 60))
    assert {trader.live.names[i]: n for i, n in trader.live.positions.items()} == told["positions"] != held


def test_a_silent_feed_is_not_traded_on(exchange: Exchange, run: Callable[..., Trader], day: list[bytes]) -> None:
    trader = run(exchange, exchange.settings(silence_ms=60.0))
    ready(trader, exchange)
    feed(trader, exchange, day[:100])
    drive(trader, exchange, lambda: trader.held is HoldReason.FEED_SILENT)
    exchange.send(moldudp64.heartbeat(SESSION, 101))
    drive(trader, exchange, lambda: not trader.held)


def test_after_a_break_it_comes_back_with_the_next_number_and_repeats_no_order(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes]
) -> None:
    trader = run(exchange, exchange.settings())
    ready(trader, exchange)
    feed(trader, exchange, day[:1_000])
    drive(trader, exchange, lambda: len(exchange.orders) >= 6)
    idle(trader, exchange, 0.05)
    sent = exchange.orders
    for order in sent[:2]:  # of the others nothing was said when the line broke, in the midst of a packet
        for said in filled(order):
            exchange.say(said)
    drive(trader, exchange, lambda: trader.gateway.client.next == 6)
    exchange.raw(soupbintcp.packet(b"S", bytes(30))[:9])
    idle(trader, exchange, 0.02)
    exchange.reset()
    for said in canceled(sent[2]):  # said while nobody listened
        exchange.say(said)
    exchange.next_ref = sent[4].user_ref  # this one and those after it have never arrived
    drive(trader, exchange, lambda: len(exchange.logins) == 2 and trader.gateway.ready)
    assert exchange.logins[1].session == "ORDERS0001"
    assert exchange.logins[1].sequence == 6, "a query's answer and four reports were heard"
    states = [order.state for order in trader.orders.by_ref.values()]
    assert states[:4] == [OrderState.EXECUTED, OrderState.EXECUTED, OrderState.CANCELED, OrderState.UNKNOWN]
    assert set(states[4:]) == {OrderState.LOST}
    working = [ref for ref, *_ in trader.live.working]
    assert working == [sent[3].user_ref], "what may still be heard of stays reserved"
    feed(trader, exchange, day[1_000:], 1_001)
    drive(trader, exchange, lambda: len(exchange.orders) > len(sent))
    refs = [order.user_ref for order in exchange.orders]
    assert refs == sorted(set(refs)), "no order is sent twice"
    exchange.say(ouch.Executed(0, sent[3].user_ref, 100, 10_000, "R", 77))
    drive(trader, exchange, lambda: trader.orders.by_ref[sent[3].user_ref].state is OrderState.EXECUTED)
    assert trader.summary()["orders"]["lost"] == len(states[4:])


def test_while_the_exchange_is_away_it_tries_again_less_and_less_often(exchange: Exchange, run: Callable[..., Trader]) -> None:
    trader = run(exchange, exchange.settings())
    ready(trader, exchange)
    exchange.tcp.close()
    exchange.reset()
    began = time.monotonic()
    while time.monotonic() < began + 0.6:
        trader.poll(0.002)
    assert trader.held is HoldReason.CONNECTION
    assert 3 <= trader.gateway.counts["connections"] <= 2 + 3 + 0.6 / 0.08 + 2
    assert trader.gateway.why == "connection refused"


def test_the_end_of_the_order_session_closes_what_was_open(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes]
) -> None:
    trader = run(exchange, exchange.settings())
    ready(trader, exchange)
    feed(trader, exchange, day[:1_000])
    drive(trader, exchange, lambda: len(exchange.orders) >= 2)
    idle(trader, exchange, 0.05)
    exchange.say(accepted(exchange.orders[0]))
    exchange.raw(soupbintcp.packet(b"Z"))
    exchange.stream, exchange.session = [], "ORDERS0002"
    drive(trader, exchange, lambda: len(exchange.logins) == 2 and trader.gateway.ready)
    assert (exchange.logins[1].session, exchange.logins[1].sequence) == ("", 1)
    states = [order.state for order in trader.orders.by_ref.values()]
    assert states[0] is OrderState.CANCELED
    assert set(states[1:]) == {OrderState.UNKNOWN}
    assert not trader.live.working
    assert not trader.orders.open


def test_a_trader_that_comes_back_knows_what_it_holds_and_where_numbers_go_on(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes]
) -> None:
    exchange.executes = lambda order: filled(order) if order.user_ref % 3 else [accepted(order)]
    first = run(exchange, exchange.settings())
    ready(first, exchange)
    feed(first, exchange, day[:1_500])
    idle(first, exchange, 0.05)
    open_, held = [order.ref for order in first.orders.open], dict(first.orders.shares)
    assert open_
    first.gateway.close(0)  # as if it had died: nothing is canceled
    highest = exchange.orders[-1].user_ref
    second = run(exchange, exchange.settings(), "python")
    ready(second, exchange)
    assert second.live.next_order_id == highest + 1, (
        "the answer to the first trader's query was repeated, too, and not taken for ours"
    )
    feed(second, exchange, day[:60])
    drive(second, exchange, lambda: bool(second.live.positions))
    assert {second.live.names[i]: n for i, n in second.live.positions.items()} == {s: n for s, n in held.items() if n}
    assert [ref for ref, *_ in second.live.working if ref <= highest] == open_
    feed(second, exchange, day[60:], 61)
    drive(second, exchange, lambda: exchange.orders[-1].user_ref > highest)
    assert second.summary()["received"].get("unexpected", 0) == 0


@pytest.mark.parametrize("how", ["call", "file", "loss"])
def test_the_kill_switch_cancels_what_is_open_and_nothing_follows(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes], how: str, tmp_path: Path
) -> None:
    exchange.executes = lambda order: [accepted(order)]
    file = tmp_path / "kill"
    trader = run(exchange, exchange.settings(kill_file=str(file), max_loss=50.0, journal=str(tmp_path / "journal")))
    ready(trader, exchange)
    feed(trader, exchange, day[:1_000])
    drive(trader, exchange, lambda: len(trader.orders.open) >= 4)
    idle(trader, exchange, 0.05)
    before, open_ = len(exchange.orders), [order.ref for order in trader.orders.open]
    if how == "call":
        trader.request_kill("SIGUSR1")
    elif how == "file":
        file.touch()
    else:  # bought at twice the price, or sold at half of it
        order = exchange.orders[0]
        price = order.price * 2 if order.side == "B" else order.price // 2
        exchange.say(ouch.Executed(0, order.user_ref, order.quantity, price, "R", 1))
        open_.remove(order.user_ref)
    drive(trader, exchange, lambda: len(exchange.cancels) == len(open_))
    assert exchange.cancels == open_
    assert trader.held is HoldReason.KILLED
    assert {"call": "SIGUSR1", "file": str(file), "loss": "allowed is 50.00"}[how] in trader.killed
    feed(trader, exchange, day[1_000:], 1_001)
    idle(trader, exchange, 0.05)
    assert len(exchange.orders) == before
    for ref in open_:
        exchange.say(ouch.Canceled(0, ref, 100, "U"))
    drive(trader, exchange, lambda: not trader.live.working)
    assert any(json.loads(line)["event"] == "kill" for line in (tmp_path / "journal").read_text().splitlines())


def test_killed_while_the_connection_is_down_cancels_once_it_is_back(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes]
) -> None:
    exchange.executes = lambda order: [accepted(order)]
    trader = run(exchange, exchange.settings())
    ready(trader, exchange)
    feed(trader, exchange, day[:1_000])
    drive(trader, exchange, lambda: len(trader.orders.open) >= 2)
    idle(trader, exchange, 0.05)
    open_ = [order.ref for order in trader.orders.open]
    exchange.reset()
    drive(trader, exchange, lambda: trader.held is HoldReason.CONNECTION)
    trader.kill("by hand")
    drive(trader, exchange, lambda: len(exchange.cancels) == len(open_))
    assert exchange.cancels == open_


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, a disk that is always full")
def test_no_order_leaves_that_cannot_be_written_down(exchange: Exchange, run: Callable[..., Trader], day: list[bytes]) -> None:
    trader = run(exchange, exchange.settings(journal="/dev/full"))
    drive(trader, exchange, lambda: trader.gateway.ready)
    feed(trader, exchange, day)
    idle(trader, exchange, 0.05)
    assert trader.held is HoldReason.JOURNAL
    assert not exchange.orders
    told = trader.stop()
    assert told["journal"]["failing"] == "No space left on device"
    assert told["journal"]["failures"] >= 1
    assert told["journal"]["lost"] >= 1


def test_a_login_that_is_refused_is_not_tried_again_and_the_password_is_shown_nowhere(
    exchange: Exchange, run: Callable[..., Trader], tmp_path: Path
) -> None:
    exchange.accepts = False
    settings = exchange.settings(journal=str(tmp_path / "journal"))
    trader = run(exchange, settings)
    drive(trader, exchange, lambda: not trader.poll(0))
    assert trader.gateway.state is GatewayState.REFUSED
    assert "not authorised" in trader.failed
    idle(trader, exchange)
    assert len(exchange.logins) == 1
    said = repr(trader.stop()) + repr(settings) + repr(trader.gateway.client) + (tmp_path / "journal").read_text()
    assert PASSWORD not in said


def test_bytes_that_are_wrong_change_nothing(exchange: Exchange, run: Callable[..., Trader], day: list[bytes]) -> None:
    exchange.executes = canceled
    trader = run(exchange, exchange.settings())
    ready(trader, exchange)
    good = moldudp64.encode(SESSION, 1, day[:40])
    for wrong in (
        b"",
        b"\0",
        good[:19],
        good[:-1],
        good + b"\0",
        good[:18] + b"\xff\xfe" + good[20:],
        bytes(64),
        b"\xff" * 1_500,
    ):
        exchange.send(wrong)
    feed(trader, exchange, day)
    drive(trader, exchange, lambda: len(exchange.orders) > 10)
    exchange.raw(soupbintcp.packet(b"S", b"") + soupbintcp.packet(b"S", b"?what") + soupbintcp.packet(b"S", b"E" + bytes(5)))
    exchange.raw(soupbintcp.packet(b"+", b"a word") + soupbintcp.packet(b"H"))
    exchange.say(ouch.Executed(0, 4_000_000_000, 100, 10_000, "R", 5))
    drive(trader, exchange, lambda: trader.summary()["received"].get("unexpected") == 1)
    assert trader.gateway.ready
    assert books(trader.live) == books(whole(day))
    told = trader.summary()
    assert told["received"]["unreadable"] == 3
    assert told["feed"]["truncated"] == 6
    assert told["feed"]["malformed"] >= 6
    exchange.raw(b"\0\0")
    drive(trader, exchange, lambda: len(exchange.logins) == 2 and trader.gateway.ready)
    assert "packet length 0" in trader.gateway.why


@pytest.mark.parametrize("behind", [b"\0\0", b"\0\1?", b"\0\1Z", b"\0\1A", b"\0\2J"])
def test_a_login_that_is_accepted_and_broken_in_one_piece(exchange: Exchange, run: Callable[..., Trader], behind: bytes) -> None:
    exchange.behind = behind
    trader = run(exchange, exchange.settings())
    drive(trader, exchange, lambda: len(exchange.logins) == 2 and trader.gateway.ready)


def test_answers_from_elsewhere_are_not_taken(exchange: Exchange, run: Callable[..., Trader], day: list[bytes]) -> None:
    trader = run(exchange, exchange.with_requests(max_requests=1_000))
    ready(trader, exchange)
    feed(trader, exchange, day[:40])
    exchange.publish(day[41:60], 42)
    drive(trader, exchange, lambda: bool(exchange.requests))
    assert trader.feed.requests is not None
    exchange.udp.sendto(moldudp64.encode(SESSION, 41, day[40:41]), trader.feed.requests.getsockname())
    drive(trader, exchange, lambda: trader.summary()["feed"].get("strangers") == 1)
    assert trader.feed.arbiter.gap == (41, 42)


def test_it_ends_with_the_session_and_says_so(exchange: Exchange, run: Callable[..., Trader], day: list[bytes]) -> None:
    exchange.executes = canceled
    trader = run(exchange, exchange.settings())
    ready(trader, exchange)
    feed(trader, exchange, day)
    exchange.send(moldudp64.end(SESSION, len(day) + 1))
    drive(trader, exchange, lambda: not trader.poll(0.002))
    assert trader.held is HoldReason.FEED_OVER
    assert trader.stop()["messages"] == len(day)
    assert trader.poll() is False


def test_it_ends_though_messages_are_missing_when_nobody_is_there_any_more(
    exchange: Exchange, run: Callable[..., Trader], day: list[bytes]
) -> None:
    trader = run(exchange, exchange.settings(silence_ms=100.0))
    ready(trader, exchange)
    feed(trader, exchange, day[:100])
    exchange.send(moldudp64.end(SESSION, 200))
    idle(trader, exchange, 0.2)
    assert trader.poll(), "whoever holds the order connection may still send the rest"
    exchange.tcp.close()
    exchange.reset()
    drive(trader, exchange, lambda: not trader.poll(0.002))
    assert trader.feed.arbiter.gap == (101, 200)


def test_positions_are_what_was_executed_and_not_broken(exchange: Exchange, run: Callable[..., Trader], day: list[bytes]) -> None:
    trader = run(exchange, exchange.settings(), order_config=OrderConfig(threshold=0.1, cooldown=2, lot=300))
    ready(trader, exchange)
    for at in range(0, len(day), 10):
        feed(trader, exchange, day[at : at + 10], at + 1)
        if trader.orders.by_ref:
            break
    drive(trader, exchange, lambda: len(exchange.orders) >= 1)
    entered = exchange.orders[0]
    order, sign = trader.orders.by_ref[entered.user_ref], 1 if entered.side == "B" else -1
    ref, symbol = entered.user_ref, entered.symbol

    def say(*messages: ouch.Message) -> None:
        for message in messages:
            exchange.say(message)
        heard = len(exchange.stream)
        drive(trader, exchange, lambda: trader.gateway.client.next > heard)

    say(accepted(entered), ouch.Executed(0, ref, 100, 21_000, "R", 1), ouch.Executed(0, ref, 50, 20_000, "R", 2))
    say(ouch.Broken(0, ref, 2, "S"))
    assert (order.left, order.filled, order.state) == (150, 100, OrderState.ACCEPTED)
    assert trader.orders.shares[symbol] == sign * 100
    assert trader.orders.cash[symbol] == -sign * 2_100_000
    say(ouch.Modified(0, ref, entered.side, 100))
    assert order.left == 100
    say(ouch.Canceled(0, ref, 100, "U"))
    assert (order.left, order.state, order.reason) == (0, OrderState.CANCELED, "U")
    assert ref not in {working for working, *_ in trader.live.working}
    say(ouch.Broken(0, ref, 2, "S"), ouch.Rejected(0, ref, 0x13), ouch.Executed(0, 4_000_000, 1, 1, "R", 3))
    assert trader.orders.rejects == {"invalid quantity": 1}
    assert trader.orders.counts["unexpected"] == 3, "broken twice, rejected when over, executed though unknown"
    assert trader.summary()["positions"] == {symbol: sign * 100}


def test_settings_are_checked_and_passwords_found(tmp_path: Path) -> None:
    for wrong in (
        {"lines": ()},
        {"orders": "nowhere"},
        {"resync_timeout_ms": 0.0},
        {"max_loss": -1.0},
        {"lines": ("1.2.3.4:x",)},
    ):
        with pytest.raises(ConfigError, match="must be"):
            TraderSettings(**{"lines": ("127.0.0.1:0",), "orders": "127.0.0.1:1", **wrong})  # type: ignore[arg-type]
    assert find_password("trader", None, {"HFTLAB_PASSWORD": "one"}) == "one"
    assert find_password("trader", None, {"HFTLAB_ACCOUNTS": "TRADER:two"}) == "two"
    (tmp_path / "accounts").write_text("trader three\n")
    assert find_password("TRADER", str(tmp_path / "accounts"), {"HFTLAB_PASSWORD": "one"}) == "three"
    for environment in ({}, {"HFTLAB_ACCOUNTS": "OTHER:two"}):
        with pytest.raises(ConfigError, match="there is no"):
            find_password("TRADER", None, environment)
    with pytest.raises(ConfigError, match="cannot be listened to"):
        Trader(TraderSettings(lines=("192.0.2.1:0",), orders="127.0.0.1:1"), "python").start()
