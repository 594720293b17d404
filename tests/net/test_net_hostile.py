"""An attacker at every door of the exchange and the trader: nothing breaks, nothing grows, nothing leaks, nobody else notices.

The clients are written from the specifications.
"""

from __future__ import annotations

import gc
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hftlab
from hftlab.engine.live import LiveSession
from hftlab.errors import ConfigError
from hftlab.loadtest import faults
from hftlab.loadtest.faults.clock import Clock
from hftlab.loadtest.faults.rig import Fault, Rig
from hftlab.loadtest.faults.rivals import Rival
from hftlab.net import Exchange, ExchangeSettings
from hftlab.net.exchange.audit import AuditLog
from hftlab.net.exchange.matching import Matcher
from hftlab.net.exchange.server import Phase
from hftlab.net.exchange.sessions import OrderSessions, Session
from hftlab.net.exchange.settings import ORDERS, REQUESTS, check_accounts
from hftlab.net.trader.gates import HoldReason
from hftlab.net.trader.gateway import Gateway, GatewayState
from hftlab.net.trader.order_manager import OrderManager
from hftlab.net.trader.settings import TraderSettings
from hftlab.protocols import moldudp64, ouch, soupbintcp
from hftlab.protocols.itch_messages import build
from hftlab.protocols.pacing import Bucket
from hftlab.protocols.soup_server import Server
from hftlab.settings import OrderConfig, RiskConfig

ENGINES = ["python", pytest.param("rust", marks=pytest.mark.rust)]
ACCOUNTS = {"ME": "SECRET", "YOU": "HIDDEN"}
LIMIT_S = 10.0
MB = 1_000_000
ENDS = (0, 1, 2, 0x7FFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 63, (1 << 64) - 2, (1 << 64) - 1)
EAGER: dict[str, Any] = {"order_config": OrderConfig(threshold=0.1, cooldown=2)}
FREE = RiskConfig(position_limit=500, max_orders_per_sec=10_000)


class Place:
    """An exchange, and those who come to it; `turn` lets all of them do what they can."""

    def __init__(self) -> None:
        self.rivals: list[Rival] = []
        self.exchange: Exchange

    def open(self, clock: Clock | None = None, **more: Any) -> Exchange:
        chosen = ExchangeSettings.on_free_ports(**{"pace": "max", "heartbeat_after_end_s": 600.0, "session": "DAY1", **more})
        feed = hftlab.synthetic("burst", 200, seed=1)
        self.exchange = Exchange(feed, ACCOUNTS, chosen, **({"clock": clock} if clock else {}))
        self.exchange.start()
        return self.exchange

    def rival(self, name: str = "", **more: Any) -> Rival:
        rival = Rival(self.exchange.addresses["orders"], **more)
        self.rivals.append(rival)
        if name:
            rival.login(name, ACCOUNTS[name])
            self.until(lambda: len(rival.heard) >= 33)
            assert rival.heard[2:3] == b"A"
        return rival

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.exchange.poll(0.0)
            for rival in self.rivals:
                rival.pump()

    def until(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + LIMIT_S
        while not true():
            assert time.monotonic() < end, "waited in vain"
            self.turn()

    def closed(self) -> dict[str, int]:
        return dict(self.exchange.sessions.closed)

    def still_works(self) -> None:
        """Somebody who behaves logs in and trades."""
        good = self.rival("YOU")
        before, ref = len(good.heard), int.from_bytes(os.urandom(2), "big") + 1
        ref += self.exchange.matcher.store.accounts["YOU"].next_ref
        good.order(ref, "HLAAA")
        self.until(lambda: len(good.heard) >= before + 3 + 64 + 3 + 18)
        good.say(b"O")
        self.until(lambda: good.gone)


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    for rival in made.rivals:
        rival.close()
    made.exchange.crash()


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
    "no number": login(number=b""),
    "letters for a number": login(number=b"abc"),
    "a heartbeat below 0": login(beat=b"   -1"),
    "letters for a heartbeat": login(beat=b"abcde"),
    "zero bytes": bytes(46),
    "ones": b"\xff" * 46,
    "a session with a zero byte": login(session=b"DAY1\0"),
    "the name of somebody else's session": login(session=b"DAY2"),
    "a name in two bytes": login(name="é".encode()),
    "47 bytes": login() + b" ",
    "45 bytes": login()[:45],
    "nothing": b"",
    "a name that goes on in the password": login(name=b"MESECR", password=b"ET"),
    "an empty password": login(password=b""),
    "much more than a login": login() + b" " * 900,
}


@pytest.mark.parametrize("named", ["good", "bad"])
def test_a_login_is_read_to_the_letter(place: Place, named: str) -> None:
    exchange = place.open()
    for said in (GOOD if named == "good" else BAD).values():
        rival = place.rival()
        rival.say(b"L", said)
        place.until(lambda: len(rival.heard) >= 4)  # noqa: B023 - called at once
        assert rival.heard[2:3] == (b"A" if named == "good" else b"J"), said
        if named == "bad":
            place.until(lambda: rival.gone)  # noqa: B023
            assert len(rival.heard) == 4
        rival.close()
        place.rivals.remove(rival)
    assert exchange.sessions.counts["logins"] == (len(GOOD) if named == "good" else 0)
    place.still_works()


def test_a_login_in_pieces_may_take_its_time_but_not_for_ever(place: Place) -> None:
    """Slowloris: a byte now and then, before the login and after it; talk and half a packet are no sign of life."""
    clock = Clock()
    place.open(clock, login_timeout_s=10.0, idle_timeout_s=15.0)
    drips = {"login": place.rival(), "talk": place.rival(), "packet": place.rival("ME")}
    data = {"login": iter(b"\0\x2fL" + login()), "talk": iter(b"\0\x02+x" * 50), "packet": iter(b"\0\x30U" + bytes(47))}
    for _ in range(40):
        clock.advance(500_000_000)
        for name, rival in drips.items():
            rival.raw(bytes([next(data[name])]))
        place.turn(2)
    assert all(rival.gone for rival in drips.values())
    assert place.closed() == {"login_timeout": 2, "silent": 1}


def test_half_open_logins_make_room_and_a_flood_of_connections_keeps_nobody_out(place: Place) -> None:
    exchange = place.open(max_connections=16)
    stays = place.rival("ME")
    for _ in range(100):
        place.rival().raw(b"\0\x2fLME")
        place.turn()
        assert len(exchange.connections.open) <= 16
    place.still_works()
    assert not stays.gone, "who is logged in does not have to make room"
    for _ in range(150):
        place.rivals.append(Rival(exchange.addresses["orders"]))
        if not _ % 20:
            place.turn()
            assert len(exchange.connections.open) <= 16
    place.still_works()
    assert not stays.gone
    assert place.closed()["made_room"] > 200


# What is sent -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize("kind", ["zeros", "noise", "the largest length", "talk", "heartbeats"])
def test_ten_megabytes_of_garbage_cost_no_memory(place: Place, kind: str, logged_in: bool) -> None:
    exchange = place.open(inbound_rate=1e6, inbound_burst=1_000_000)
    piece = {
        "zeros": bytes(100_000),
        "noise": random.Random(1).randbytes(100_000),
        "the largest length": b"\xff\xffU" + bytes(99_997),
        "talk": (b"\x03\xe8+" + b"x" * 999) * 100,
        "heartbeats": b"\0\1R" * 33_000,
    }[kind]
    rival = place.rival("ME" if logged_in else "")
    before, sent = memory(), 0
    end = time.monotonic() + (0.5 if kind == "heartbeats" else LIMIT_S)  # three million packets take their time
    while sent < 10 * MB and not rival.gone and time.monotonic() < end:
        if not rival.full:
            rival.raw(piece)
            sent += len(piece)
        place.turn()
    assert memory() - before < 16 * MB
    assert rival.gone == (kind in ("zeros", "noise", "the largest length")), sent
    assert all(wire.session._framer.waiting < 2_000 for wire in exchange.connections.open)
    place.still_works()


def test_a_flood_of_heartbeats_is_slowed_down_as_one_of_orders_is(place: Place) -> None:
    exchange = place.open(inbound_rate=1_000, inbound_burst=100)
    rival = place.rival("ME")
    (port,) = [wire.session for wire in exchange.connections.open]
    rival.raw(b"\0\1R" * 100_000)
    place.turn(100)
    assert port.packets < 100 + 3 * 4_096 / 3 + LIMIT_S * 1_000
    assert not rival.gone
    place.still_works()


VALUES = st.one_of(st.sampled_from(ENDS), st.integers(0, 400), st.integers(980_000, 1_030_000))
LETTERS = st.sampled_from("BSTE0356NYAPRO ?\x00\xff")
OPTIONS = st.lists(st.tuples(st.sampled_from(sorted(ouch.TAGS)), VALUES, LETTERS), max_size=4)


def valued(kind: type[ouch.Message], drawn: Iterator[Any], letters: Iterator[str], symbol: str) -> dict[str, Any]:
    """Values for every field, cut to what fits."""
    values: dict[str, Any] = {}
    for name, code in kind.CODES.items():
        if code in "HIQ":
            values[name] = next(drawn) & (1 << 8 * struct.calcsize(code)) - 1
        else:
            values[name] = symbol if name == "symbol" else next(letters) if code == "1s" else ""
    return values


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_values_at_the_ends_of_their_ranges_break_nothing(data: st.DataObject) -> None:
    """Whole messages of every kind with extreme values: everybody is told something that can be sent."""
    matcher = Matcher()
    matcher.feed(b"".join(moldudp64.frame(one) for one in _SMALL), 5_000)
    desk = OrderSessions(matcher, ACCOUNTS, "DAY1", AuditLog(None, "DAY1"))
    port = desk.connect("test", Bucket(1e9, 1e9), 0)
    desk.received(port, soupbintcp.login("ME", "SECRET"), 0)
    for now in range(data.draw(st.integers(1, 12))):
        kind = ouch.INBOUND[data.draw(st.sampled_from("OOOUXMQCDE"))]
        numbers, letters = (iter(data.draw(st.lists(drawn, min_size=8, max_size=8))) for drawn in (VALUES, LETTERS))
        values = valued(kind, numbers, letters, data.draw(st.sampled_from(["ABC", "NONE", ""])))
        tags = []
        for name, number, letter in data.draw(OPTIONS):
            tag = ouch.TAGS[name]
            size = struct.calcsize(tag.code)
            raw = (
                letter.encode("latin-1").ljust(size)
                if tag.code.endswith("s")
                else (number & (1 << 8 * size) - 1).to_bytes(size, "big")
            )
            tags.append((tag.number, raw))
        desk.received(port, soupbintcp.packet(b"U", kind(**values, appendage=tuple(tags)).encode()), now)
        assert not port.closed, port.closed
        matcher.feed(moldudp64.frame(build("E", locate=1, ts=6_000, ref=2, shares=1, match=now + 1)), 6_000)
    desk.expire_orders(99)
    desk.end(99)
    assert all(ouch.decode_outbound(raw) for raw in desk.streams["ME"])


_SMALL = (
    build("R", locate=1, ts=2_000, stock="ABC"),
    build("A", locate=1, ts=3_000, ref=1, side="B", shares=300, stock="ABC", price=99_0000),
    build("A", locate=1, ts=4_000, ref=2, side="S", shares=100, stock="ABC", price=101_0000),
)


def test_the_last_order_number_there_is_does_not_end_the_exchange(place: Place) -> None:
    place.open()
    rival = place.rival("ME")
    rival.order(0xFFFFFFFF, "HLAAA")
    rival.say(b"U", b"Q")
    place.until(lambda: rival.heard[-13:-12] == b"Q")
    assert rival.heard[-4:] == b"\xff\xff\xff\xff"
    place.still_works()


def test_orders_that_are_gone_are_not_kept_until_they_would_have_expired() -> None:
    matcher = Matcher()
    matcher.feed(b"".join(moldudp64.frame(one) for one in _SMALL), 5_000)
    matcher.open("ME", 5_000)
    late = ouch.appendage(expire_time=86_399)
    for ref in range(1, 6_001):
        matcher.inbound("ME", ouch.EnterOrder(ref, "B", 1, "ABC", 1, "6", appendage=late), 5_000)
        matcher.inbound("ME", ouch.CancelOrder(ref), 5_000)
        assert len(matcher.store._expiring) <= 4_097
    matcher.inbound("ME", ouch.EnterOrder(6_001, "B", 7, "ABC", 1, "6", appendage=late), 5_000)
    said = matcher.feed(b"", 86_399_000_000_000)
    assert [(one.user_ref, one.quantity, one.reason) for _, one in said if isinstance(one, ouch.Canceled)] == [(6_001, 7, "T")]


def test_an_account_that_has_been_told_enough_is_closed(place: Place) -> None:
    exchange = place.open(max_messages_per_account=200)
    rival = place.rival("ME")
    for ref in range(1, 301):
        rival.order(ref, "HLAAA")
    place.until(lambda: rival.gone)
    assert place.closed() == {"stream_full": 1}
    assert len(exchange.sessions.streams["ME"]) < 210
    place.still_works()


# Datagrams ----------------------------------------------------------------------------------------------------------------------


def test_requests_are_answered_in_one_datagram_or_not_at_all(place: Place) -> None:
    exchange = place.open()
    place.until(lambda: exchange.phase is Phase.STAYING)
    before = memory()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        host, port = exchange.addresses["requests"].split(":")
        asking.connect((host, int(port)))
        asking.setblocking(False)
        asked, answers = 0, []

        def read() -> None:
            place.turn(2)
            try:
                while True:
                    answers.append(asking.recv(65_536))
            except BlockingIOError:
                pass

        for wrong in (b"", bytes(19), bytes(21), bytes(65_507), b"\xff" * 20, b"\xff" * 65_507):
            asking.send(wrong)
        for number in ENDS:
            for count in (0, 1, 0xFFFE, 0xFFFF):
                asking.send(struct.pack(">10sQH", b"DAY1      ", number, count))
                asked += 1
            read()
        for number in range(20_000):
            asking.send(struct.pack(">10sQH", b"DAY1      ", 1 + number % 200, 0xFFFF))
            if not number % 50:
                read()
        read()
    counts = exchange.broadcast.retransmit.counts
    assert counts["malformed"] == 5  # and one with a session of ones
    assert {len(answer) <= 1_420 for answer in answers} == {True}
    assert all(struct.unpack_from(">10sQ", answer)[1] in range(1, 201) for answer in answers)
    assert counts["answered"] >= len(answers) > 100
    assert memory() - before < 16 * MB
    place.still_works()


def hostile(rig: Rig) -> None:
    """Somebody else sends to the lines: numbers and counts at their ends, the largest datagrams, other sessions."""
    chance, turn = random.Random(rig.seed), rig.turn
    targets = list(rig.exchange.broadcast.targets.values())
    sender = rig.exchange.broadcast._sender
    assert sender is not None

    def noisy(step_ns: int = 0) -> None:
        turn(step_ns)
        if 300 < rig.exchange.publisher.next < 900:
            session = chance.choice((rig.witness.session, b"\0" * 10, b"DAY2      "))
            head = struct.pack(">10sQH", session, chance.choice(ENDS), chance.choice((0, 1, 2, 0xFFFE, 0xFFFF)))
            tail = chance.choice((b"", b"\0\0", b"\xff\xff", bytes(1_400), chance.randbytes(64), bytes(65_487)))
            sender.sendto(head + tail, chance.choice(targets))
            rig.seen["hostile"] += 1

    rig.turn = noisy  # type: ignore[method-assign]


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_comes_on_the_lines_the_book_is_right_in_the_end_and_not_traded_on_before(engine: str) -> None:
    fault = Fault("hostile", "", lambda rig: (rig.publish(), rig.calm()), retraces=False)
    row = faults.survive(fault, engine, tamper=hostile)
    assert (row.verdict, row.failures) == ("ok", ())
    assert row.seen["hostile"] > 500


# Orders that must not leave -----------------------------------------------------------------------------------------------------


def _killed(rig: Rig) -> None:
    rig.trader.kill("by the test")


def _kill_file(rig: Rig) -> None:
    Path(rig.trader.settings.kill_file or "").touch()
    rig.until(lambda: rig.trader.killed, "the kill file is seen", 100)


def _silence(rig: Rig) -> None:
    for line in rig.exchange.lines.values():
        line.down = True
    rig.run(4_000, 10.0)


def _journal(rig: Rig) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), rig.trader.journal._file)
    rig.until(lambda: rig.trader.journal.failing, "the journal fails", 1_000)


def _no_connection(rig: Rig) -> None:
    rig.relay.swallow = True
    rig.relay.reset()
    rig.turn()


GATES: dict[str, tuple[Callable[[Rig], None], HoldReason]] = {
    "kill switch": (_killed, HoldReason.KILLED),
    "kill file": (_kill_file, HoldReason.KILLED),
    "silent feed": (_silence, HoldReason.FEED_SILENT),
    "journal": (_journal, HoldReason.JOURNAL),
    "order connection": (_no_connection, HoldReason.CONNECTION),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("close", "held"), GATES.values(), ids=GATES)
def test_no_order_leaves_while_anything_is_against_it(
    engine: str, close: Callable[[Rig], None], held: HoldReason, tmp_path: Path
) -> None:
    fault = Fault("gate", "", lambda rig: None, trader={"kill_file": str(tmp_path / "kill")})
    rig = Rig(fault, engine, 1, tmp_path)
    try:
        rig.start()
        rig.trades()
        rig.publish(1 / 3)
        before = len(rig.relay.orders)
        assert before > 5
        close(rig)
        there = len(rig.relay.orders), len(rig.witness.sent)
        rig.publish()
        rig.run(20)
        assert (len(rig.relay.orders), len(rig.witness.sent)) == there
        assert rig.trader.held is held
    finally:
        rig.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_no_order_leaves_on_what_is_halted_or_against_the_word_of_risk(engine: str) -> None:
    day = moldudp64.split(b"".join(bytes(block) for block in hftlab.synthetic("burst", 1_500, seed=1).blocks()))

    def orders(live: LiveSession, messages: list[bytes]) -> int:
        return len(live.feed(b"".join(map(moldudp64.frame, messages))))

    live = LiveSession(engine, risk_config=FREE, **EAGER)
    assert orders(live, day[:500]) > 5
    for state, leave in (("H", False), ("P", False), ("T", True)):
        halts = [build("H", locate=number, ts=1, stock=name, state=state) for number, name in live.names.items()]
        assert orders(live, halts) == 0
        assert bool(orders(live, day[500:1_000] if not leave else day[1_000:])) == leave
        assert len(live.halted) == (0 if leave else len(live.names))
    for risk in (
        RiskConfig(kill=True),
        RiskConfig(position_limit=0, max_orders_per_sec=10_000),
    ):
        assert orders(LiveSession(engine, risk_config=risk, **EAGER), day) == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_the_exchange_says_of_orders_the_books_go_on(engine: str) -> None:
    """Whole messages of every kind with extreme values, of orders that are ours or nobody's."""
    day = moldudp64.split(b"".join(bytes(block) for block in hftlab.synthetic("burst", 300, seed=1).blocks()))

    def note(*_: object, **__: object) -> None:
        pass

    for seed in range(30):
        chance = random.Random(seed)
        live = LiveSession(engine, risk_config=FREE, **EAGER)
        books = OrderManager(live, note)
        for raw in live.feed(b"".join(map(moldudp64.frame, day[:150]))):
            books.sent(raw)
        for _ in range(60):
            kind = ouch.OUTBOUND[chance.choice("AAAEEECCDBJUMRQTIPS")]
            letters = iter(chance.choice("BSTEDLUZ \xff") for _ in range(20))
            numbers = iter(chance.choice(ENDS) for _ in range(20))
            values = valued(kind, numbers, letters, chance.choice(["HLAAA", "NONE", ""]))
            if "user_ref" in values:
                values["user_ref"] = chance.choice((0, 1, 2, 3, 1_000, 0xFFFFFFFF))
            books.on_message(ouch.decode_outbound(kind(**values).encode()))
            then: Callable[[], object] = chance.choice(
                (books.profit, books.summary, books.disconnected, books.reconcile, str, str)
            )
            then()
        books.resynced(chance.choice(ENDS[:9]))
        live.feed(b"".join(map(moldudp64.frame, day[150:])))
        books.session_ended()
        assert books.counts["unexpected"] > 0
        assert not books.open


# Bounds, secrets, addresses -----------------------------------------------------------------------------------------------------


def test_an_exchange_that_never_reads_is_given_up_before_much_waits_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = TraderSettings(lines=("127.0.0.1:0",), orders="{}:{}".format(*listener.getsockname()), password="SECRET")
        gateway, clock = Gateway(made), Clock()
        try:
            gateway.poll(clock())
            link, _ = listener.accept()
            with link:
                link.sendall(soupbintcp.accepted("DAY1", 1))
                end = time.monotonic() + LIMIT_S
                while gateway.client.state != "open" and time.monotonic() < end:
                    gateway.poll(clock())
                order, sent = ouch.EnterOrder(1, "B", 1, "ABC", 1).encode(), 0
                while gateway.state is not GatewayState.DOWN and sent < 1_000_000:
                    gateway.send(order, clock())
                    sent += 1
                    assert len(gateway._outbox) < 1_200_000
                    if not sent % 1_000:
                        gateway.due(clock())
                assert "does not read" in gateway.why
        finally:
            gateway.close(clock())


def test_passwords_are_shown_nowhere(place: Place, tmp_path: Path) -> None:
    exchange = place.open(audit=str(tmp_path / "audit"))
    place.rival("ME")
    wrong = place.rival()
    wrong.login("SECRET", "HIDDEN")
    place.until(lambda: wrong.gone)
    ours = TraderSettings(lines=("127.0.0.1:0",), orders="127.0.0.1:1", password="SECRET")
    gateway = Gateway(ours)
    server = Server(ACCOUNTS, "DAY1", [])
    server.receive(soupbintcp.login("ME", "HIDDEN"), 0)
    shown = [repr(one) for one in (exchange, exchange.sessions, exchange.settings, ours, gateway, gateway.client, server)]
    shown += [server.closed, str(exchange.summary()), (tmp_path / "audit").read_text()]
    shown += [repr(wire.session) for wire in exchange.connections.open]
    for bad in ({"ME": "SECRET!"}, {"ME": "SECRETSECRETSECRET"}, {"TOOLONGNAME": "SECRET"}):
        with pytest.raises(ConfigError) as raised:
            check_accounts(tuple(bad.items()), "test")
        shown.append(str(raised.value))
    for spoiled in (b"\0\x2fL" + login(number=b"x"), b"\0\x2fL" + login(password=b"SECRET\xff")):
        server = Server(ACCOUNTS, "DAY1", [])
        server.receive(spoiled, 0)
        shown.append(repr(server))
        assert server.closed
    for text in shown:
        assert "SECRET" not in text
        assert "HIDDEN" not in text


def test_everything_listens_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    rig = Rig(faults.known()[0], "python", 1, tmp_path)
    try:
        rig.start()
        exchange, feed = rig.exchange, rig.trader.feed
        for made in (exchange.connections.listener, exchange.broadcast.requests, feed.requests):
            assert made is not None
            assert made.getsockname()[0] == "127.0.0.1"
        assert all(line.getsockname()[0].startswith("239.255.") for line in feed.lines)
        sender = exchange.broadcast._sender
        assert sender is not None
        assert sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 0
        assert sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, 4) == socket.inet_aton("127.0.0.1")
    finally:
        rig.close()
    for address in (ORDERS, REQUESTS):
        assert address.startswith("127.0.0.1:")


def test_a_port_is_bounded_whatever_waits_for_it() -> None:
    """Half a packet may wait, as long as the largest one that is allowed; no more."""
    desk = OrderSessions(Matcher(), ACCOUNTS, "DAY1", AuditLog(None, "DAY1"))
    port: Session = desk.connect("test", Bucket(1e9, 1e9), 0)
    desk.received(port, b"\x04\x00L" + bytes(1_022), 0)
    assert not port.closed
    again = desk.connect("test", Bucket(1e9, 1e9), 0)
    desk.received(again, b"\x04\x01", 0)
    assert again.closed.startswith("SoupBinTCP")
