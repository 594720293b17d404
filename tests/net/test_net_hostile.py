"""An attacker at every door of the exchange: nothing breaks, nothing grows, nothing leaks, nobody else notices."""

from __future__ import annotations

import gc
import itertools
import os
import random
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from venue.client import enter_order, packet
from venue.feeds import SMALL, framed
from venue.venue import ACCOUNTS, Venue
from venue.waiting import LIMIT_S, Clock

from hftlab.errors import ConfigError
from hftlab.net import ExchangeSettings, Trader
from hftlab.net.endpoints import LINE_A, LINE_B, ORDERS, REQUESTS
from hftlab.net.exchange.audit import AccountState, AuditLog
from hftlab.net.exchange.matching import Matcher
from hftlab.net.exchange.server import Phase
from hftlab.net.exchange.sessions import OrderSessions, Session
from hftlab.net.exchange.settings import check_accounts
from hftlab.protocols import ouch
from hftlab.protocols.channel import Bucket

MB = 1_000_000
ENDS = (0, 1, 2, 0x7FFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 63, (1 << 64) - 2, (1 << 64) - 1)
_refs = itertools.count(1_000_000)


def still_works(venue: Venue) -> None:
    """Somebody who behaves logs in and trades."""
    good = venue.client("YOU")
    good.enter(ref := next(_refs), "B", 1, 1, "3")
    venue.until(lambda: struct.pack(">I", ref) in {message[9:13] for message in good.messages if message[:1] == b"C"})
    good.packet("O")
    venue.until(lambda: good.gone)


def memory() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Logins -------------------------------------------------------------------------------------------------------------------------


def login(
    name: bytes = b"ME", password: bytes = b"SECRET", session: bytes = b"", number: bytes = b"1", beat: bytes = b""
) -> bytes:
    return name.ljust(6)[:6] + password.ljust(10)[:10] + session.rjust(10)[:10] + number.rjust(20)[:20] + beat


GOOD = {
    "the last number of 64 bits": login(number=b"18446744073709551615"),
    "leading zeros": login(number=b"0" * 19 + b"1"),
    "padded on the left": b"    ME" + b"    SECRET" + login()[16:],
    "the longest heartbeat": login(beat=b"99999"),
}
BAD = {
    "a number of 65 bits": login(number=b"18446744073709551616"),
    "a number below 0": login(number=b"-1"),
    "a number with a sign": login(number=b"+5"),
    "a number as programmers write it": login(number=b"1_0"),
    "a heartbeat below 0": login(beat=b"   -1"),
    "zero bytes": bytes(46),
    "ones": b"\xff" * 46,
    "a session with a zero byte": login(session=b"DAY1\0"),
    "the name of somebody else's session": login(session=b"DAY2"),
    "a name in two bytes": login(name="é".encode()),
    "nothing": b"",
    "a name that goes on in the password": login(name=b"MESECR", password=b"ET"),
    "an empty password": login(password=b""),
    "much more than a login": login() + b" " * 900,
}


@pytest.mark.parametrize(("logins", "answer"), [(GOOD, "A"), (BAD, "J")], ids=["good", "bad"])
def test_a_login_is_read_to_the_letter(venue: Venue, logins: dict[str, bytes], answer: str) -> None:
    exchange = venue.open()
    for payload in logins.values():
        client = venue.connect()
        client.packet("L", payload)
        venue.until(lambda: client.packets)  # noqa: B023 - called at once
        assert client.packets[0][0] == answer, payload
        if answer == "J":
            venue.until(lambda: client.gone)  # noqa: B023
            assert len(client.packets) == 1
        client.close()
        venue.clients.remove(client)
    assert exchange.summary()["connections"].get("logins", 0) == (len(GOOD) if answer == "A" else 0)
    still_works(venue)


def test_silence_is_bounded_and_bytes_now_and_then_are_silence(venue: Venue) -> None:
    """Slowloris: a byte now and then, before the login and after it; talk and half a packet are no sign of life."""
    clock = Clock()
    venue.open(clock=clock, login_timeout_s=10.0, idle_timeout_s=15.0)
    early = {"silent": venue.connect(), "half": venue.connect(), "login": venue.connect(), "talk": venue.connect()}
    drips = early | {"packet": venue.client()}
    beating = venue.client("YOU")
    drips["half"].raw(b"\0\x2fLME  ")
    data = {"login": b"\0\x2fL" + login(), "talk": b"\0\x02+x" * 50, "packet": b"\0\x30U" + bytes(47)}
    for number in range(40):
        clock.advance(500_000_000)
        for name, raw in data.items():
            drips[name].raw(raw[number : number + 1])
        beating.packet("R")
        venue.turn()
        venue.turn()
    venue.until(lambda: all(client.gone for client in drips.values()))
    assert venue.closed == {"login_timeout": 4, "silent": 1}
    assert not beating.gone
    beating.packet("O")
    venue.until(lambda: beating.gone)
    assert venue.closed["logout"] == 1


def test_connections_are_bounded_and_half_open_logins_make_room(venue: Venue) -> None:
    exchange = venue.open(max_connections=16)
    stays = venue.client()
    for _ in range(100):
        venue.connect().raw(b"\0\x2fLME")
        venue.turn()
        assert len(exchange.connections.open) <= 16
    still_works(venue)
    assert not stays.gone, "who is logged in does not have to make room"
    for number in range(150):
        venue.connect()
        if not number % 20:
            venue.turn()
            assert len(exchange.connections.open) <= 16
    still_works(venue)
    assert not stays.gone
    assert venue.closed["made_room"] > 200


def test_where_all_are_logged_in_nobody_else_is_let_in(venue: Venue) -> None:
    exchange = venue.open(max_connections=2)
    first, second, third = venue.client(), venue.client("YOU"), venue.connect()
    venue.until(lambda: third.gone)
    assert exchange.summary()["connections"]["refused"] == 1
    assert not first.gone
    second.packet("O")
    venue.until(lambda: second.gone)
    second.close()
    venue.clients.remove(second)
    venue.until(lambda: len(exchange.connections.open) == 1)
    assert venue.client("YOU").session


# What is sent -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize("kind", ["zeros", "noise", "the largest length", "talk", "heartbeats"])
def test_ten_megabytes_of_garbage_cost_no_memory(venue: Venue, kind: str, logged_in: bool) -> None:
    venue.open(inbound_rate=1e6, inbound_burst=1_000_000)
    piece = {
        "zeros": bytes(100_000),
        "noise": random.Random(1).randbytes(100_000),
        "the largest length": b"\xff\xffU" + bytes(99_997),
        "talk": (b"\x03\xe8+" + b"x" * 999) * 100,
        "heartbeats": b"\0\1R" * 33_000,
    }[kind]
    client = venue.client() if logged_in else venue.connect()
    before, sent, limit = memory(), 0, (MB if kind == "heartbeats" else 10 * MB)
    end = time.monotonic() + LIMIT_S
    while sent < limit and not client.gone:
        assert time.monotonic() < end
        if not client.full:
            client.raw(piece)
            sent += len(piece)
        venue.turn()
    assert memory() - before < 16 * MB
    assert client.gone == (kind in ("zeros", "noise", "the largest length")), sent
    still_works(venue)


@pytest.mark.parametrize("piece", [b"\0\1R", packet("U", enter_order(1, "B", 1, 1, "3"))], ids=["heartbeats", "orders"])
def test_a_flood_is_slowed_down_and_does_not_hold_up_the_others(venue: Venue, piece: bytes) -> None:
    """While the exchange's clock stands still, a connection may send its burst and what was read at once, and no more."""
    exchange = venue.open(clock=Clock(), inbound_rate=1_000, inbound_burst=100)
    flooding = venue.client()
    flooding.raw(piece * (400_000 // len(piece)))
    for _ in range(100):
        venue.turn()
    (flooded,) = [one.session for one in exchange.connections.open if one.session.account == "ME"]
    assert 100 <= flooded.packets < 100 + 2 * 4_096 / len(piece)
    assert not flooding.gone
    still_works(venue)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_slow_reader_is_disconnected_and_its_orders_canceled(venue: Venue, at_once: bool) -> None:
    """at_once : orders behind the one that was too much are not looked at"""
    exchange = venue.open(backlog=500, inbound_rate=1e9, inbound_burst=1_000_000)
    slow = venue.client()
    venue.until(lambda: exchange.phase is Phase.STAYING)
    slow.enter(1, "B", 10, 98_0000)
    slow.reads = False
    refs = itertools.count(2)
    while not venue.closed:  # what the buffers of both sockets hold first, then the backlog
        if not slow.full:
            orders = [packet("U", enter_order(next(refs), "B", 1, 98_0000, "3")) for _ in range(1_000 if at_once else 20)]
            slow.raw(b"".join(orders))
        venue.turn()
        assert next(refs) < 500_000
    assert venue.closed == {"slow_reader": 1}
    counts = exchange.summary()["orders"]
    assert counts["order accepted"] == counts["order canceled"]
    venue.until(lambda: not exchange.connections.open)  # though it never reads


def test_the_last_order_number_there_is_does_not_end_the_exchange(venue: Venue) -> None:
    venue.open()
    client = venue.client()
    client.enter(0xFFFFFFFF, "B", 1, 1, "3")
    client.packet("U", b"Q")
    venue.until(lambda: client.letters[-1:] == "Q")
    assert client.messages[-1][-4:] == b"\xff\xff\xff\xff"
    still_works(venue)


def test_an_account_that_has_been_sent_enough_is_closed(venue: Venue) -> None:
    exchange = venue.open(max_messages_per_account=200)
    client = venue.client()
    for ref in range(1, 301):
        client.enter(ref, "B", 1, 1, "3")
    venue.until(lambda: client.gone)
    assert venue.closed == {"stream_full": 1}
    assert len(exchange.state().streams["ME"]) < 210
    still_works(venue)


# Without sockets: any bytes, cut anywhere ---------------------------------------------------------------------------------------


class Desk:
    """The order sessions of two accounts on the small market, without sockets; `counts` of what the accounts were sent."""

    def __init__(self) -> None:
        matcher = Matcher()
        matcher.feed(SMALL, 5_000)
        self.sessions = OrderSessions(matcher, ACCOUNTS, AuditLog(None, "DAY1"), ExchangeSettings(session="DAY1"))
        self.open: dict[str, Session] = {}

    def send(self, name: str, data: bytes, now: int, piece: int = 1 << 16) -> Session:
        """Bytes of an account, which logs in first where its connection is closed."""
        if name not in self.open or self.open[name].closed:
            self.open[name] = self.sessions.connect("test", Bucket(1e9, 1e9), now)
            self.sessions.received(self.open[name], packet("L", login(name.encode(), ACCOUNTS[name].encode())), now)
        for at in range(0, len(data), piece):
            self.sessions.received(self.open[name], data[at : at + piece], now)
        self.open[name].outgoing()
        return self.open[name]

    def end(self) -> None:
        """Nothing works any more, and everything that was sent can be read."""
        for name, session in self.open.items():
            if session.closed:
                assert AccountState.replay(self.sessions.streams[name]).open == {}
        self.sessions.expire_orders(98)
        self.sessions.end(99)
        assert all(ouch.decode_outbound(raw) for stream in self.sessions.streams.values() for raw in stream)
        assert all(AccountState.replay(stream).open == {} for stream in self.sessions.streams.values())


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
def test_whatever_clients_send_the_sessions_go_on(frames: list[Any], piece: int) -> None:
    desk = Desk()
    for now, (mine, frame) in enumerate(frames):
        desk.send("ME" if mine else "YOU", packet(*frame), now, piece)
    desk.end()


VALUES = st.one_of(st.sampled_from(ENDS), st.integers(0, 400), st.integers(980_000, 1_030_000))
LETTERS = st.sampled_from("BSTE0356NYAPRO ?\x00\xff")
OPTIONS = st.lists(st.tuples(st.sampled_from(sorted(ouch.TAGS)), VALUES, LETTERS), max_size=4)


def _option(name: str, number: int, letter: str) -> tuple[int, bytes]:
    tag = ouch.TAGS[name]
    size = struct.calcsize(tag.code)
    text = letter.encode("latin-1").ljust(size)
    return tag.number, text if tag.code.endswith("s") else (number & (1 << 8 * size) - 1).to_bytes(size, "big")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_values_at_the_ends_of_their_ranges_break_nothing(data: st.DataObject) -> None:
    """Whole messages of every kind with extreme values: everybody is told something that can be sent."""
    desk = Desk()
    for now in range(data.draw(st.integers(1, 12))):
        kind = ouch.INBOUND[data.draw(st.sampled_from("OOOUXMQCDE"))]
        numbers, letters = (iter(data.draw(st.lists(drawn, min_size=8, max_size=8))) for drawn in (VALUES, LETTERS))
        values: dict[str, Any] = {}
        for name, code in kind.CODES.items():
            if code in "HIQ":
                values[name] = next(numbers) & (1 << 8 * struct.calcsize(code)) - 1
            elif name == "symbol":
                values[name] = data.draw(st.sampled_from(["ABC", "NONE", ""]))
            else:
                values[name] = next(letters) if code == "1s" else ""
        options = tuple(_option(*drawn) for drawn in data.draw(OPTIONS))
        session = desk.send("ME", packet("U", kind(**values, appendage=options).encode()), now)
        assert not session.closed, session.closed
        desk.sessions.matcher.feed(framed("E", locate=1, ts=6_000, ref=2, shares=1, match=now + 1), 6_000)
    desk.end()


def test_half_a_packet_may_wait_as_long_as_the_largest_that_is_allowed_and_no_more() -> None:
    desk = Desk()
    assert not desk.send("ME", b"\x04\x00+" + bytes(1_022), 0).closed
    longer = desk.send("YOU", b"\x04\x01", 0)
    assert longer.closed.startswith("SoupBinTCP")


def test_orders_that_are_gone_are_not_kept_until_they_would_have_expired() -> None:
    """Orders good until the end of the day, canceled at once but for three that the store meets while it forgets others."""
    matcher, late = Matcher(), ouch.appendage(expire_time=86_399)
    matcher.feed(SMALL, 5_000)
    matcher.open("ME", 5_000)
    before, kept = 0, (4_097, 8_193, 8_194)
    for ref in range(1, 15_001):
        matcher.inbound("ME", ouch.EnterOrder(ref, "B", 7, "ABC", 1, "6", appendage=late), 5_000)
        if ref not in kept:
            matcher.inbound("ME", ouch.CancelOrder(ref), 5_000)
        if ref == 5_000:
            before = memory()
    assert memory() - before < 2 * MB
    reports = matcher.feed(b"", 86_399_000_005_000)
    expired = [message for _, message in reports if isinstance(message, ouch.Canceled)]
    assert [(one.user_ref, one.quantity, one.reason) for one in expired] == [(ref, 7, "T") for ref in kept]


# Datagrams ----------------------------------------------------------------------------------------------------------------------


def test_requests_are_answered_in_one_datagram_or_not_at_all(venue: Venue) -> None:
    exchange = venue.open(SMALL + framed("D", locate=1, ts=6_000, ref=1) * 195)
    venue.until(lambda: exchange.phase is Phase.STAYING)
    before, asked = memory(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        host, port = exchange.addresses["requests"].split(":")
        asking.connect((host, int(port)))
        asking.setblocking(False)
        answers: list[bytes] = []

        def ask(*datagrams: bytes) -> None:
            nonlocal asked
            for datagram in datagrams:
                asking.send(datagram)
                asked += 1
            venue.until(lambda: exchange.summary()["retransmitted"].get("requests", 0) == asked)
            try:
                while True:
                    answers.append(asking.recv(65_536))
            except BlockingIOError:
                pass

        def request(number: int, count: int, session: bytes = b"DAY1      ") -> bytes:
            return struct.pack(">10sQH", session, number, count)

        ask(b"", bytes(19), bytes(21), bytes(65_507), b"\xff" * 20, b"\xff" * 65_507, request(1, 1, b"OTHER     "))
        for number in ENDS:
            ask(*(request(number, count) for count in (0, 1, 0xFFFE, 0xFFFF)))
        for number in range(0, 10_000, 50):
            ask(*(request(1 + (number + more) % 200, 0xFFFF) for more in range(50)))
    counts = exchange.summary()["retransmitted"]
    assert (counts["malformed"], counts["foreign_session"]) == (5, 2)  # one of them a session of ones
    assert all(len(answer) <= 1_420 for answer in answers)
    assert all(struct.unpack_from(">10sQ", answer)[1] in range(1, 201) for answer in answers)
    assert counts["answered"] >= len(answers) > 100
    assert memory() - before < 16 * MB
    still_works(venue)


# Secrets, addresses -------------------------------------------------------------------------------------------------------------


def test_passwords_are_shown_nowhere(venue: Venue, tmp_path: Path) -> None:
    exchange = venue.open(audit=str(tmp_path / "audit"))
    venue.client()
    wrong = venue.connect()
    wrong.login("SECRET", "HIDDEN")  # a password where the name belongs
    venue.connect().raw(b"\0\x2fLSECRET?HIDDEN?")
    venue.until(lambda: wrong.gone)
    shown = [repr(exchange), repr(exchange.settings), str(exchange.summary()), (tmp_path / "audit").read_text()]
    shown += [repr(exchange.sessions), *(repr(one.session) for one in exchange.connections.open)]
    for bad in ({"ME": "SECRET!"}, {"ME": "SECRETSECRETSECRET"}, {"TOOLONGNAME": "SECRET"}):
        with pytest.raises(ConfigError) as raised:
            check_accounts(tuple(bad.items()), "test")
        shown.append(str(raised.value))
    for payload in (login(number=b"x"), login(password=b"SECRET\xff"), login(password=b"HIDDEN")):
        desk = Desk()
        session = desk.sessions.connect("test", Bucket(1e9, 1e9), 0)
        desk.sessions.received(session, packet("L", payload), 0)
        assert session.closed
        shown.append(repr(session))
    for text in shown:
        assert "SECRET" not in text
        assert "HIDDEN" not in text


def test_everything_listens_on_loopback_unless_told_otherwise(venue: Venue) -> None:
    exchange = venue.open()
    lines = (exchange.addresses["line_a"], exchange.addresses["line_b"])
    trader = Trader(venue.trader(), "python")
    trader.start()
    try:
        for opened in (exchange.connections.listener, exchange.broadcast.requests, trader.feed.requests):
            assert opened is not None
            assert opened.getsockname()[0] == "127.0.0.1"
        for line in trader.feed.lines:  # IP_MULTICAST_ALL: nothing of a group that another process has joined elsewhere
            assert line.getsockopt(socket.IPPROTO_IP, 49) == 0
        sender = exchange.broadcast._sender
        assert sender is not None
        assert sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 0
        assert sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, 4) == socket.inet_aton("127.0.0.1")
    finally:
        trader.stop()
    assert all(address.startswith("127.0.0.1:") for address in (ORDERS, REQUESTS))
    assert all(address.startswith("239.255.") for address in (LINE_A, LINE_B, *lines))
