"""Does the exchange do what the protocols say, whatever its clients do? The clients here are written from the specifications."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftlab.errors import ConfigError
from hftlab.feeds.generate.synthetic import generate
from hftlab.feeds.itch import ItchFeed
from hftlab.net import Exchange, ExchangeSettings
from hftlab.net.exchange.audit import AccountState, AuditLog, SessionState, read_log
from hftlab.net.exchange.matching import Matcher
from hftlab.net.exchange.server import Phase
from hftlab.net.exchange.sessions import OrderSessions, Session
from hftlab.net.exchange.settings import load_accounts
from hftlab.protocols import ouch, soupbintcp
from hftlab.protocols.itch_messages import build
from hftlab.protocols.pacing import Bucket

ACCOUNTS = {"ME": "SECRET", "YOU": "HIDDEN"}
LIMIT_S = 10.0  # for anything that is waited for; reached only where something is broken


def framed(letter: str, **values: int | str) -> bytes:
    message = build(letter, **values)
    return struct.pack(">H", len(message)) + message


#: One stock with 300 shares bid at 99.00 and 100, then 200 offered at 101.00 and 102.00.
SMALL = b"".join(
    [
        framed("S", ts=1_000, event="O"),
        framed("R", locate=1, ts=2_000, stock="ABC"),
        framed("A", locate=1, ts=3_000, ref=1, side="B", shares=300, stock="ABC", price=99_0000),
        framed("A", locate=1, ts=4_000, ref=2, side="S", shares=100, stock="ABC", price=101_0000),
        framed("A", locate=1, ts=5_000, ref=3, side="S", shares=200, stock="ABC", price=102_0000),
    ]
)


class House:
    """Exchanges of one test; all are closed when it ends."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.clients: list[Client] = []

    def open(self, feed: bytes = SMALL, state: SessionState | None = None, **settings: object) -> Exchange:
        values: dict = {"pace": "max", "heartbeat_after_end_s": 60, "end_repeat_s": 0.05, "heartbeat_s": 0.05} | settings
        exchange = Exchange(ItchFeed(feed), ACCOUNTS, ExchangeSettings.on_free_ports(**values), state=state)
        exchange.start()
        self.exchanges.append(exchange)
        return exchange

    def client(self, exchange: Exchange, **login: object) -> Client:
        client = Client(exchange)
        self.clients.append(client)
        if login.pop("login", True):
            client.login(**login)  # type: ignore[arg-type]
            client.until(lambda: client.session is not None)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.link.close()
        for exchange in self.exchanges:
            exchange.crash()


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.close()


def until(exchange: Exchange, true: Callable[[], object]) -> None:
    """Let the exchange work until something is true."""
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, "waited in vain"
        exchange.poll(0.002)


class Client:
    """SoupBinTCP and OUCH 5.0, from the specification: frames, a login, orders as bytes, answers as (letter, bytes)."""

    def __init__(self, exchange: Exchange | None, address: str = "") -> None:
        host, port = (address or exchange.addresses["orders"]).split(":")  # type: ignore[union-attr]
        self.exchange = exchange
        self.link = socket.create_connection((host, int(port)), timeout=LIMIT_S)
        self.link.settimeout(0)
        self.got = b""
        self.packets: list[tuple[str, bytes]] = []
        self.session: str | None = None
        self.next = 0
        self.refused = ""
        self.gone = False

    def raw(self, data: bytes) -> None:
        self.link.sendall(data)

    def packet(self, kind: str, payload: bytes = b"") -> None:
        self.raw(struct.pack(">Hc", 1 + len(payload), kind.encode()) + payload)

    def login(self, name: str = "ME", password: str = "SECRET", session: str = "", sequence: int = 1, beat: str = "") -> None:
        self.packet("L", f"{name:<6}{password:<10}{session:>10}{sequence:>20}{beat}".encode())

    def order(self, ref: int, side: str, shares: int, price: int, tif: str = "0", symbol: str = "ABC") -> bytes:
        fields = (b"O", ref, side.encode(), shares, symbol.encode().ljust(8), price, tif.encode(), b"Y", b"P", b"N", b"N")
        return struct.pack(">cIcI8sQccccc14sH", *fields, b"X" * 14, 0)

    def enter(self, *order: object, **more: object) -> None:
        self.packet("U", self.order(*order, **more))  # type: ignore[arg-type]

    def read(self) -> None:
        try:
            while data := self.link.recv(1 << 16):
                self.got += data
            self.gone = True
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
        while len(self.got) >= 2 and len(self.got) >= (size := 2 + struct.unpack(">H", self.got[:2])[0]):
            kind, payload, self.got = chr(self.got[2]), self.got[3:size], self.got[size:]
            self.packets.append((kind, payload))
            if kind == "A":
                self.session, self.next = payload[:10].decode().strip(), int(payload[10:30])
            self.refused += payload.decode() if kind == "J" else ""
            self.next += kind == "S"

    @property
    def heard(self) -> list[bytes]:
        """The sequenced messages."""
        return [payload for kind, payload in self.packets if kind == "S"]

    @property
    def letters(self) -> str:
        return "".join(chr(message[0]) for message in self.heard)

    def until(self, true: Callable[[], object]) -> None:
        def look() -> object:
            self.read()
            return true()

        assert self.exchange
        until(self.exchange, look)

    def until_letters(self, letters: str) -> None:
        self.until(lambda: len(self.letters) >= len(letters))
        assert self.letters == letters


def executions(client: Client) -> list[tuple[int, int, int, str]]:
    """(UserRefNum, shares, price, liquidity) by the offsets of the specification."""
    found = [struct.unpack_from(">IIQc", message, 9) for message in client.heard if message[:1] == b"E"]
    return [(ref, shares, price, flag.decode()) for ref, shares, price, flag in found]


# Logging in ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beat", ["", " 5000"], ids=["47 bytes", "52 bytes"])
def test_a_login_is_answered_with_the_session_and_the_day_starts(house: House, beat: str) -> None:
    exchange = house.open(session="DAY1")
    client = house.client(exchange, name="me", password="secret", beat=beat)
    assert client.packets[0] == ("A", b"      DAY1" + b"1".rjust(20))
    client.until_letters("S")
    assert len(client.heard[0]) == 10
    assert client.heard[0][9:] == b"S"
    client.until(lambda: ("H", b"") in client.packets)  # server heartbeats


@pytest.mark.parametrize(
    ("login", "answer", "reason"),
    [
        ({"password": "WRONG"}, "A", "login_rejected"),
        ({"name": "NOBODY"}, "A", "login_rejected"),
        ({"password": ""}, "A", "login_rejected"),
        ({"session": "OTHER"}, "S", "login_rejected"),
    ],
)
def test_a_login_that_is_not_allowed_is_rejected(house: House, login: dict, answer: str, reason: str) -> None:
    exchange = house.open()
    client = house.client(exchange, login=False)
    client.login(**login)
    client.until(lambda: client.gone)
    assert client.packets == [("J", answer.encode())]
    assert exchange.summary()["connections"]["closed"] == {reason: 1}


GARBAGE = {
    "length 0": (b"\0\0", "bad_packet"),
    "a length that nobody needs": (b"\xff\xffL", "bad_packet"),
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad_packet"),
    "a login of 46 bytes": (b"\0\x2eL" + b" " * 45, "bad_login"),
    "a login that is no text": (b"\0\x2fL" + bytes(range(200, 246)), "bad_login"),
    "an order before the login": (b"\0\x02UX", "bad_packet"),
    "a packet of the server": (b"\0\x01Z", "bad_packet"),
}


@pytest.mark.parametrize(("garbage", "reason"), GARBAGE.values(), ids=GARBAGE)
def test_garbage_closes_its_own_connection_alone(house: House, garbage: bytes, reason: str) -> None:
    exchange = house.open()
    good = house.client(exchange)
    bad = house.client(exchange, login=False)
    bad.raw(garbage)
    bad.until(lambda: bad.gone)
    assert exchange.summary()["connections"]["closed"] == {reason: 1}
    good.enter(1, "B", 10, 101_0000, "3")
    good.until_letters("SAE")


@pytest.mark.parametrize("payload", [b"", b"?", b"O", b"O" * 46, b"X\0\0", b"Q" * 70, b"\0" * 500])
def test_an_order_that_cannot_be_read_closes_the_connection(house: House, payload: bytes) -> None:
    exchange = house.open()
    client = house.client(exchange)
    client.packet("U", payload)
    client.until(lambda: client.gone)
    assert exchange.summary()["connections"]["closed"] == {"bad_message": 1}


def test_who_says_nothing_is_disconnected(house: House) -> None:
    exchange = house.open(login_timeout_s=0.1, idle_timeout_s=0.3)
    silent, half, quiet = (house.client(exchange, login=False) for _ in range(3))
    half.raw(b"\0\x2fLME  ")
    quiet.login()
    for client in (silent, half, quiet):
        client.until(lambda client=client: client.gone)
    assert exchange.summary()["connections"]["closed"] == {"login_timeout": 2, "silent": 1}


def test_a_client_that_beats_stays_and_may_log_out(house: House) -> None:
    exchange = house.open(idle_timeout_s=0.3)
    client = house.client(exchange)
    for _ in range(6):
        end = time.monotonic() + 0.1
        client.packet("R")
        client.until(lambda end=end: time.monotonic() > end)
    assert not client.gone
    client.packet("O")
    client.until(lambda: client.gone)
    assert exchange.summary()["connections"]["closed"] == {"logout": 1}


# Orders -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1000, 1, 7])
def test_orders_meet_the_replayed_book_however_tcp_cuts_them(house: House, piece: int) -> None:
    exchange = house.open(wait=1)
    client = house.client(exchange)
    client.until(lambda: exchange.phase is Phase.STAYING)  # the feed began with the login
    frame = struct.pack(">Hc", 48, b"U")
    data = frame + client.order(1, "B", 150, 102_0000, "3") + frame + client.order(2, "S", 400, 99_0000)
    for at in range(0, len(data), piece):
        client.raw(data[at : at + piece])
        client.until(lambda: True)
    client.until_letters("SAEEAE")
    assert executions(client) == [(1, 100, 101_0000, "R"), (1, 50, 102_0000, "R"), (2, 300, 99_0000, "R")]
    accepted = client.heard[1]
    assert struct.unpack_from(">IcI8sQccQcccc14sH", accepted, 9)[:6] == (1, b"B", 150, b"ABC     ", 102_0000, b"3")
    assert len(accepted) == 64
    assert accepted[47:48] == b"L"
    assert len(client.heard[2]) == 36
    client.packet("U", struct.pack(">cII", b"X", 2, 0))
    client.until_letters("SAEEAEC")
    assert struct.unpack_from(">IIc", client.heard[-1], 9) == (2, 100, b"U")
    assert len(client.heard[-1]) == 18


def test_a_number_that_does_not_rise_is_a_retransmission_and_rejects_have_reasons(house: House) -> None:
    exchange = house.open()
    client = house.client(exchange)
    client.until(lambda: exchange.phase is Phase.STAYING)
    client.enter(5, "B", 10, 98_0000)
    client.enter(5, "B", 10, 98_0000)
    client.enter(3, "B", 10, 98_0000)
    client.enter(6, "B", 10, 98_0000, symbol="NONE")
    client.enter(7, "Z", 10, 98_0000)
    client.packet("U", b"Q")
    client.until_letters("SAJJQ")
    assert [struct.unpack_from(">IH", message, 9) for message in client.heard[2:4]] == [(6, 0x17), (7, 0x09)]
    assert [len(message) for message in client.heard[2:]] == [29, 29, 13]
    assert struct.unpack_from(">I", client.heard[4], 9) == (8,)
    assert exchange.summary()["orders"]["ignored"] == 2


def test_a_lost_connection_cancels_and_what_was_missed_is_replayed(house: House) -> None:
    exchange = house.open(session="DAY1")
    client = house.client(exchange)
    client.until(lambda: exchange.phase is Phase.STAYING)
    client.enter(1, "B", 10, 98_0000)
    client.until_letters("SA")
    client.raw(struct.pack(">Hc", 48, b"U") + client.order(2, "B", 10, 98_0000)[:20])  # half an order
    client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.link.close()
    until(exchange, lambda: exchange.sessions.logged_in_count == 0)
    back = house.client(exchange, session="DAY1", sequence=client.next)
    back.until_letters("C")
    assert struct.unpack_from(">IIc", back.heard[0], 9) == (1, 10, b"Z")
    assert back.next == 4
    whole = house.client(exchange, session="DAY1")  # takes over
    whole.until_letters("SAC")
    back.until(lambda: back.gone)
    whole.enter(2, "B", 10, 101_0000, "3")  # half an order has not used the number
    whole.until_letters("SACAE")
    assert exchange.summary()["connections"]["closed"] == {"reset": 1, "taken_over": 1}


def test_accounts_are_told_of_their_own_orders_alone_and_may_trade_with_each_other(house: House) -> None:
    exchange = house.open()
    me, you = house.client(exchange), house.client(exchange, name="YOU", password="HIDDEN")
    me.until(lambda: exchange.phase is Phase.STAYING)
    me.enter(1, "S", 40, 100_0000)
    me.until_letters("SA")
    you.enter(1, "B", 50, 100_0000, "3")
    you.until_letters("SAEC")
    me.until_letters("SAE")
    assert executions(me) == [(1, 40, 100_0000, "A")]
    assert executions(you) == [(1, 40, 100_0000, "R")]


# Bounds -------------------------------------------------------------------------------------------------------------------


def test_a_flood_is_slowed_down_and_does_not_hold_up_the_others(house: House) -> None:
    exchange = house.open(inbound_rate=2_000, inbound_burst=100)
    flooding, calm = house.client(exchange), house.client(exchange, name="YOU", password="HIDDEN")
    flooding.until(lambda: exchange.phase is Phase.STAYING)
    frame = struct.pack(">Hc", 48, b"U")
    flooding.raw(b"".join(frame + flooding.order(ref, "B", 1, 98_0000, "3") for ref in range(1, 1001)))
    begin = time.monotonic()
    calm.enter(1, "B", 10, 98_0000)
    calm.until_letters("SA")
    flooding.read()
    assert len(flooding.heard) < 1500
    flooding.until(lambda: len(flooding.heard) == 2001)
    assert flooding.letters == "S" + "AC" * 1000
    assert time.monotonic() - begin > 0.8 * (1000 - 100 - 82) / 2_000  # the rate; one read of 82 orders may be on credit
    assert not exchange.summary()["connections"]["closed"]


def test_a_slow_reader_is_disconnected_and_its_orders_canceled(house: House) -> None:
    exchange = house.open(backlog=500)
    slow = house.client(exchange)
    slow.until(lambda: exchange.phase is Phase.STAYING)
    slow.enter(1, "B", 10, 98_0000)
    ref = 2
    while not exchange.sessions.closed:  # what the buffers of both sockets hold first, then the backlog
        for _ in range(20):
            slow.enter(ref, "B", 1, 98_0000, "3")
            ref += 1
        exchange.poll(0.0)
        assert ref < 500_000
    assert exchange.sessions.closed == {"slow_reader": 1}
    assert exchange.matcher.store.accounts["ME"].open == {}
    until(exchange, lambda: not exchange.connections.open)  # though it never reads


def test_orders_behind_the_one_that_was_too_much_are_not_looked_at() -> None:
    matcher = Matcher()
    matcher.feed(SMALL, 5_000)
    desk = OrderSessions(matcher, ACCOUNTS, "DAY1", AuditLog(None, "DAY1"), backlog=3)
    port = desk.connect("test", Bucket(1e9, 1e9), 0)
    desk.received(port, soupbintcp.login("ME", "SECRET"), 0)
    orders = [ouch.EnterOrder(ref, "B", 10, "ABC", 98_0000) for ref in range(1, 11)]
    desk.received(port, b"".join(soupbintcp.packet(b"U", order.encode()) for order in orders), 1)
    assert desk.closed == {"slow_reader": 1}
    assert matcher.store.accounts["ME"].open == {}
    assert matcher.counts["entered"] < 10


def test_connections_are_bounded(house: House) -> None:
    exchange = house.open(max_connections=2)
    first, second = house.client(exchange), house.client(exchange, name="YOU", password="HIDDEN")
    third = house.client(exchange, login=False)
    third.until(lambda: third.gone)
    assert exchange.summary()["connections"]["refused"] == 1
    assert not first.gone
    second.packet("O")
    second.until(lambda: second.gone)
    second.link.close()
    until(exchange, lambda: len(exchange.connections.open) == 1)
    assert house.client(exchange, name="YOU", password="HIDDEN").session


FRAMES = st.one_of(
    st.binary(max_size=60).map(lambda data: ("U", data)),
    st.tuples(st.sampled_from("RULO+ZSX"), st.binary(max_size=60)),
    st.tuples(st.sampled_from(sorted(ouch.INBOUND)), st.binary(min_size=70, max_size=70)).map(
        lambda drawn: ("U", drawn[0].encode() + drawn[1][: ouch.INBOUND[drawn[0]].SIZE - 3] + b"\0\0")
    ),
    st.tuples(
        st.integers(0, 9), st.sampled_from("BSTE?"), st.integers(0, 400), st.integers(98, 103), st.sampled_from("03569")
    ).map(lambda drawn: ("U", ouch.EnterOrder(*drawn[:3], "ABC", drawn[3] * 1_0000, drawn[4]).encode())),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), FRAMES), max_size=30), st.integers(1, 40))
def test_whatever_clients_send_the_desk_goes_on(frames: list, piece: int) -> None:
    """The order desk without sockets: two accounts, any bytes, cut anywhere."""
    matcher = Matcher()
    matcher.feed(SMALL, 5_000)
    desk = OrderSessions(matcher, ACCOUNTS, "DAY1", AuditLog(None, "DAY1"))
    ports: dict[str, Session] = {}
    for now, (mine, (kind, payload)) in enumerate(frames):
        name = "ME" if mine else "YOU"
        if name not in ports or ports[name].closed:
            ports[name] = desk.connect("test", Bucket(1e9, 1e9), now)
            desk.received(ports[name], soupbintcp.login(name, ACCOUNTS[name]), now)
        data = struct.pack(">Hc", 1 + len(payload), kind.encode()) + payload
        for at in range(0, len(data), piece):
            desk.received(ports[name], data[at : at + piece], now)
        ports[name].outgoing()
    for name, port in ports.items():
        if port.closed:
            assert matcher.store.accounts[name].open == {}
    desk.end(99)
    assert all(ouch.decode_outbound(raw) for stream in desk.streams.values() for raw in stream)
    assert all(AccountState.replay(stream).open == {} for stream in desk.streams.values())


# The feed -----------------------------------------------------------------------------------------------------------------


class Listener:
    """MoldUDP64 from the specification: two lines, requests for what is missing, no cleverness."""

    def __init__(self, addresses: dict) -> None:
        self.lines = []
        for name in ("line_a", "line_b"):
            host, port = addresses[name].split(":")
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            made.bind((host, int(port)))
            if not host.startswith("127."):
                member = socket.inet_aton(host) + socket.inet_aton("127.0.0.1")
                made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            self.lines.append(made)
        self.asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        host, port = addresses["requests"].split(":")
        self.asking.connect((host, int(port)))
        for made in (*self.lines, self.asking):
            made.setblocking(False)
        self.got: dict[int, bytes] = {}
        self.session, self.next, self.ended, self.beats, self.asked = b"", 1, 0, 0, 0

    def read(self) -> None:
        for made in (*self.lines, self.asking):
            try:
                while True:
                    self.take(made.recv(65536))
            except BlockingIOError:
                pass

    def take(self, datagram: bytes) -> None:
        self.session, sequence, count = struct.unpack_from(">10sQH", datagram)
        self.next = max(self.next, sequence)
        if count in (0, 0xFFFF):
            self.beats, self.ended = self.beats + (not count), self.ended + bool(count)
            assert len(datagram) == 20
            return
        at = 20
        for number in range(sequence, sequence + count):
            (size,) = struct.unpack_from(">H", datagram, at)
            self.got[number] = datagram[at : at + 2 + size]
            at += 2 + size
        assert at == len(datagram) <= 20 + 1400
        self.next = max(self.next, sequence + count)

    def ask(self) -> None:
        missing = [number for number in range(1, self.next) if number not in self.got]
        for number in missing[:50]:
            self.asked += 1
            self.asking.send(struct.pack(">10sQH", self.session, number, 1))

    def close(self) -> None:
        for made in (*self.lines, self.asking):
            made.close()


def test_two_lossy_lines_and_requests_give_the_whole_feed(house: House) -> None:
    raw = generate("calm", 3_000, seed=2)
    exchange = house.open(
        raw,
        pace="20000/s",
        loss="0.3",
        duplicate="0.1,0",
        reorder="0.2",
        heartbeat_after_end_s=0,
        end_repeat_s=30,
        wait=1,
        delay_s=0.05,
    )
    listener = Listener(exchange.addresses)
    try:
        until(exchange, lambda: (listener.read(), listener.beats)[1])  # heartbeats while it waits
        assert exchange.phase is Phase.WAITING
        house.client(exchange)
        until(exchange, lambda: (listener.read(), listener.ended >= 2)[1])
        assert 0 < 3_000 - len(listener.got) < 900
        assert (listener.next, listener.session) == (3_001, exchange.session.ljust(10).encode())

        def whole() -> bool:
            listener.ask()
            exchange.poll(0.002)
            listener.read()
            return len(listener.got) == 3_000

        until(exchange, whole)
        assert b"".join(listener.got[number] for number in range(1, 3_001)) == raw
        told = exchange.summary()
        assert told["retransmitted"]["messages"] >= 1
        assert told["published"]["messages"] == 3_000
        assert told["lag_ns"]["max"] >= told["lag_ns"]["p50"] >= 0
        assert told["lines"]["A"]["lost"] > 500 < told["lines"]["B"]["lost"]
    finally:
        listener.close()


def test_lines_may_go_to_single_hosts_and_one_of_them_may_be_dead(house: House) -> None:
    free = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for made in free:
        made.bind(("127.0.0.1", 0))
    line_a, line_b = (f"127.0.0.1:{made.getsockname()[1]}" for made in free)
    for made in free:
        made.close()
    raw = generate("calm", 500, seed=2)
    exchange = house.open(raw, line_a=line_a, line_b=line_b, delay_s=0.1, batch=True, heartbeat_after_end_s=0, end_repeat_s=30)
    exchange.lines["A"].down = True
    listener = Listener(exchange.addresses)
    try:
        until(exchange, lambda: (listener.read(), listener.ended)[1])
        assert b"".join(listener.got[number] for number in range(1, 501)) == raw
        assert exchange.summary()["lines"]["A"].keys() == {"dropped"}
    finally:
        listener.close()


def test_what_is_no_request_is_counted_and_met_with_silence(house: House) -> None:
    exchange = house.open()
    listener = Listener(exchange.addresses)
    try:
        until(exchange, lambda: exchange.phase is Phase.STAYING)
        for wrong in (b"", b"x" * 19, b"y" * 2000, struct.pack(">10sQH", b"OTHER", 1, 1)):
            listener.asking.send(wrong)
        listener.asking.send(struct.pack(">10sQH", exchange.session.ljust(10).encode(), 2, 3))
        until(exchange, lambda: exchange.summary()["retransmitted"].get("answered"))
        assert exchange.summary()["retransmitted"] == {
            "requests": 5,
            "malformed": 3,
            "foreign_session": 1,
            "answered": 1,
            "messages": 3,
        }
    finally:
        listener.close()


def test_our_resting_order_is_filled_when_the_feed_trades_through_it(house: House) -> None:
    later = framed("E", locate=1, ts=3_000_006_000, ref=1, shares=50, match=9)
    exchange = house.open(SMALL + later, pace="1x", max_idle_gap_s=0.4, wait=1)
    client = house.client(exchange)
    client.until(lambda: exchange.publisher.next == 6)
    client.enter(1, "B", 80, 100_0000)
    client.until_letters("SAE")
    assert executions(client) == [(1, 50, 100_0000, "A")]
    assert struct.unpack_from(">Q", client.heard[2], 1) == (3_000_006_000,)  # the feed's own time
    assert struct.unpack_from(">Q", client.heard[1], 1)[0] < 3_000_006_000
    assert exchange.summary()["idle_gaps_cut"] == 1


def test_an_order_that_is_good_until_a_time_expires_though_nothing_else_happens(house: House) -> None:
    later = framed("E", locate=1, ts=9_000_000_000, ref=1, shares=50, match=9)
    exchange = house.open(SMALL + later, pace="8x", max_idle_gap_s=60, wait=1)
    client = house.client(exchange)
    client.until(lambda: exchange.publisher.next == 6)
    client.packet("U", ouch.EnterOrder(1, "B", 10, "ABC", 98_0000, "6", appendage=ouch.appendage(expire_time=1)).encode())
    client.until_letters("SAC")
    assert struct.unpack_from(">IIc", client.heard[2], 9) == (1, 10, b"T")
    assert exchange.publisher.next == 6


def test_the_end_of_the_session(house: House) -> None:
    exchange = house.open(heartbeat_after_end_s=0, wait=1)
    client = house.client(exchange)
    client.enter(1, "B", 10, 98_0000)
    client.until(lambda: exchange.phase is Phase.DONE)
    client.read()
    assert client.letters == "SACS"
    assert client.heard[3][9:] == b"E"
    assert client.heard[2][17:] == b"E"
    assert client.packets[-1] == ("Z", b"")
    assert not exchange.poll()


# The audit log, and coming back ---------------------------------------------------------------------------------------------


def test_everything_is_in_the_audit_log_but_no_password(house: House, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    exchange = house.open(audit=str(path))
    house.client(exchange, login=False).login("SECRET", "ME")  # fields exchanged: a password where the name belongs
    house.client(exchange, login=False).raw(b"\0\x2fLSECRET?HIDDEN?")
    client = house.client(exchange)
    client.until(lambda: exchange.phase is Phase.STAYING)
    client.enter(1, "B", 10, 101_0000, "3")
    client.until_letters("SAE")
    exchange.stop()
    text = path.read_text()
    assert "SECRET" not in text.upper()
    assert "HIDDEN" not in text.upper()
    told = list(read_log(path))
    assert len(told) == len(text.splitlines())
    assert all({"time", "at_ns", "session", "event"} <= line.keys() for line in told)
    (order,) = [line for line in told if line["event"] == "in"]
    assert (order["account"], order["message"]["type"], order["message"]["symbol"]) == ("ME", "EnterOrder", "ABC")
    out = [line for line in told if line["event"] == "out"]
    assert [line["message"]["type"] for line in out] == ["SystemEvent", "Accepted", "Executed", "SystemEvent"]
    assert [bytes.fromhex(line["raw"]) for line in out[:3]] == client.heard[:3]
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_a_full_disk_stops_new_orders_and_nothing_else(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    exchange = house.open(audit="/dev/full")
    client = house.client(exchange)
    client.until(lambda: exchange.phase is Phase.STAYING)
    client.enter(1, "B", 10, 98_0000)
    client.until_letters("SJ")
    assert struct.unpack_from(">IH", client.heard[1], 9) == (1, 0x0A)
    assert exchange.summary()["audit"]["failures"] >= 1
    assert capfd.readouterr().err.count("cannot be written") == 1


def test_a_log_goes_on_where_it_stopped_when_there_is_room_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, "DAY1")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (250, hard))  # the third line is torn here
        for number in range(5):
            log.line(number, "in", number=number)
        assert not log.flush(0)
        assert not log.flush(1)  # too early for another attempt
        assert path.stat().st_size == 250
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.flush(10**9)
    log.close()
    assert [line["number"] for line in read_log(path)] == [0, 1, 2, 3, 4]
    assert log.counts == {"lines": 5, "failures": 1, "lost": 0}
    said = capfd.readouterr().err
    assert said.count("cannot be written") == said.count("written again") == 1


@pytest.mark.parametrize("whence", ["memory", "log"])
def test_after_a_crash_the_session_is_taken_up_again(house: House, tmp_path: Path, whence: str) -> None:
    path = tmp_path / "audit.jsonl"
    exchange = house.open(audit=str(path), session="DAY1")
    client = house.client(exchange)
    client.until(lambda: exchange.phase is Phase.STAYING)
    client.enter(4, "B", 150, 101_0000)  # 100 are executed, 50 rest
    client.until_letters("SAE")
    bound = exchange.bound
    exchange.crash()
    client.until(lambda: client.gone)
    state = exchange.state() if whence == "memory" else SessionState.read(path)
    assert (state.session, state.streams["ME"]) == ("DAY1", client.heard)
    again = Exchange(ItchFeed(SMALL), ACCOUNTS, bound, state=state)
    house.exchanges.append(again)
    assert again.start()["orders"] == bound.orders
    back = house.client(again, session="DAY1", sequence=client.next)
    back.until_letters("C")
    assert struct.unpack_from(">IIc", back.heard[0], 9) == (4, 50, b"Z")
    back.until(lambda: again.phase is Phase.STAYING)
    assert again.publisher.next == 6
    back.enter(4, "B", 10, 98_0000)  # used before the crash
    back.enter(5, "B", 10, 98_0000)
    back.until_letters("CA")
    assert struct.unpack_from(">Q", back.heard[1], 36) > struct.unpack_from(">Q", client.heard[1], 36)  # order references


def test_a_new_session_does_not_know_the_old_one(house: House) -> None:
    exchange = house.open(session="DAY1")
    bound = exchange.bound
    exchange.crash()
    again = Exchange(ItchFeed(SMALL), ACCOUNTS, ExchangeSettings(**{**vars(bound), "session": "DAY2"}))
    house.exchanges.append(again)
    again.start()
    old = house.client(again, login=False)
    old.login(session="DAY1", sequence=3)
    old.until(lambda: old.gone)
    assert old.refused == "S"
    assert house.client(again).session == "DAY2"


# Settings and accounts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"line_a": "239.255.71.1"}, "line A must be an IPv4 address and a port"),
        ({"line_b": "127.0.0.1:0"}, "line B must have a port above 0"),
        ({"orders": "127.0.0.1:99999"}, "orders must be an IPv4 address"),
        ({"orders": "203.0.113.7:0"}, "cannot be bound"),
        ({"interface": "203.0.113.7"}, "interface"),
        ({"pace": "fast"}, "pace"),
        ({"session": "TOO LONG A NAME"}, "session"),
        ({"max_connections": 0}, "max_connections must be at least 1"),
        ({"end_repeat_s": -1}, "end_repeat_s must be at least 0"),
        ({"heartbeat_s": float("nan")}, "heartbeat_s must be"),
        ({"audit": "/nowhere/audit"}, "cannot be written"),
    ],
)
def test_settings_that_are_wrong_are_one_sentence(house: House, wrong: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        house.open(**wrong)


def test_accounts_come_from_a_file_or_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    path.write_text("# who may trade\n\nme SECRET\nyou hidden\n")
    assert load_accounts(path) == {"ME": "SECRET", "YOU": "hidden"}
    assert load_accounts(None, {"HFTLAB_ACCOUNTS": "ME:SECRET, YOU:HIDDEN"}) == ACCOUNTS
    for wrong in ("ME", "ME TOOLONGSECRET", "ME SE-CRET", "ME SECRET\nme OTHER", "TOOLONG SECRET", "# none"):
        path.write_text(wrong)
        with pytest.raises(ConfigError) as caught:
            load_accounts(path)
        assert "SECRET" not in str(caught.value)
    with pytest.raises(ConfigError, match="there are no accounts"):
        load_accounts(None, {})


# As a process ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_from_its_first_line_to_its_last(tmp_path: Path, number: int) -> None:
    feed, audit = tmp_path / "small.itch", tmp_path / "audit.jsonl"
    feed.write_bytes(SMALL)
    free = "127.0.0.1:0"
    command = [sys.executable, "-m", "hftlab.cli.main", "net", "exchange", str(feed), "--json", "--wait", "1", "--pace", "max"]
    command += ["--heartbeat-after-end", "60", "--line-a", "239.255.71.1:0", "--line-b", "239.255.71.2:0", "--loss", "0.1,0.2"]
    command += ["--requests", free, "--orders", free, "--audit", str(audit)]
    environment = {**os.environ, "HFTLAB_ACCOUNTS": "ME:SECRET"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    client = None
    try:
        assert process.stdout
        listening = json.loads(process.stdout.readline())
        assert listening["event"] == "listening"
        assert all(listening[name].startswith("127.0.0.1:") for name in ("requests", "orders"))
        client = Client(None, listening["orders"])
        client.login()
        client.enter(1, "B", 10, 101_0000)
        client.enter(2, "B", 10, 98_0000)
        wait_for(client, lambda: len(client.letters) == 4)
        process.send_signal(number)
        wait_for(client, lambda: client.gone)
        out, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, err) == (0, "")
        assert client.letters[-2:] == "CS"
        assert client.packets[-1] == ("Z", b"")
        summary = json.loads(out.splitlines()[-1])
        assert (summary["event"], summary["phase"], summary["session"]) == ("summary", "done", listening["session"])
        assert summary["published"]["messages"] == 5
        assert summary["connections"]["closed"] == {"end_of_session": 1}
        assert "SECRET" not in audit.read_text() + out
    finally:
        process.kill()
        process.communicate()
        if client:
            client.link.close()


def wait_for(client: Client, true: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, f"waited in vain; heard {client.letters}"
        client.read()
        time.sleep(0.005)


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HFTLAB_ACCOUNTS"}
    command = [sys.executable, "-m", "hftlab.cli.main", "net", "exchange", "--messages", "100"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hftlab: error: there are no accounts")
    assert done.stderr.count("\n") == 1
