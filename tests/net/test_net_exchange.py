"""Does the exchange do what the protocols say, whatever its clients do? The clients here are written from the specifications."""

from __future__ import annotations

import json
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from venue.client import Client, enter_order, packet
from venue.feeds import SMALL, framed
from venue.process import FREE, Process
from venue.venue import ACCOUNTS, Venue
from venue.waiting import Clock, wait_until

from hftlab.errors import ConfigError, UnknownName
from hftlab.feeds.generate.synthetic import generate
from hftlab.feeds.itch import ItchFeed
from hftlab.net import Exchange, ExchangeSettings, Trader
from hftlab.net.exchange.audit import AuditLog, SessionState, read_log
from hftlab.net.exchange.process import exposed
from hftlab.net.exchange.server import Phase
from hftlab.net.exchange.settings import load_accounts
from hftlab.protocols import ouch


def staying(venue: Venue) -> None:
    """Until the whole feed has been published."""
    venue.until(lambda: venue.exchange.phase is Phase.STAYING)


# Logging in ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beat", ["", " 5000"], ids=["47 bytes", "52 bytes"])
def test_a_login_is_answered_with_the_session_and_the_day_starts(venue: Venue, beat: str) -> None:
    venue.open()
    client = venue.connect()
    client.login("me", "secret", beat=beat)
    venue.until_letters(client, "S")
    assert client.packets[0] == ("A", b"      DAY1" + b"1".rjust(20))
    assert (len(client.messages[0]), client.messages[0][9:]) == (10, b"S")
    venue.until(lambda: ("H", b"") in client.packets)  # server heartbeats


#: Whether it comes after a login, the bytes, and the reason for which the connection is closed.
GARBAGE = {
    "length 0": (False, b"\0\0", "bad_packet"),
    "a length that nobody needs": (False, b"\xff\xffL", "bad_packet"),
    "http": (False, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad_packet"),
    "a login of 46 bytes": (False, b"\0\x2eL" + b" " * 45, "bad_login"),
    "a login that is no text": (False, b"\0\x2fL" + bytes(range(200, 246)), "bad_login"),
    "a wrong password": (False, b"\0\x2fLME    WRONG     " + b" " * 29 + b"1", "login_rejected"),
    "an unknown name": (False, b"\0\x2fLNOBODYSECRET    " + b" " * 29 + b"1", "login_rejected"),
    "an order before the login": (False, b"\0\x02UX", "bad_packet"),
    "a packet of the server": (False, b"\0\x01Z", "bad_packet"),
    "no message": (True, packet("U"), "bad_message"),
    "an unknown message": (True, packet("U", b"?"), "bad_message"),
    "an order cut off": (True, packet("U", b"O" * 46), "bad_message"),
    "a cancel cut off": (True, packet("U", b"X\0\0"), "bad_message"),
    "a broken appendage": (True, packet("U", b"Q" * 70), "bad_message"),
}


@pytest.mark.parametrize(("logged_in", "garbage", "reason"), GARBAGE.values(), ids=GARBAGE)
def test_garbage_closes_its_own_connection_alone(venue: Venue, logged_in: bool, garbage: bytes, reason: str) -> None:
    venue.open()
    good, bad = venue.client(), venue.client("YOU") if logged_in else venue.connect()
    bad.raw(garbage)
    venue.until(lambda: bad.gone)
    assert venue.closed == {reason: 1}
    good.enter(1, "B", 10, 101_0000, "3")
    venue.until_letters(good, "SAE")


# Orders -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1000, 1, 7])
def test_orders_meet_the_replayed_book_however_tcp_cuts_them(venue: Venue, piece: int) -> None:
    venue.open(wait=1)
    client = venue.client()
    staying(venue)  # the feed began with the login
    orders = (enter_order(1, "B", 150, 102_0000, "3"), enter_order(2, "S", 400, 99_0000))
    data = b"".join(packet("U", order) for order in orders)
    for at in range(0, len(data), piece):
        client.raw(data[at : at + piece])
        venue.turn()
    venue.until_letters(client, "SAEEAE")
    assert client.executions == [(1, 100, 101_0000, "R"), (1, 50, 102_0000, "R"), (2, 300, 99_0000, "R")]
    accepted = client.messages[1]
    assert struct.unpack_from(">IcI8sQccQcccc14sH", accepted, 9)[:6] == (1, b"B", 150, b"ABC     ", 102_0000, b"3")
    assert (len(accepted), accepted[47:48], len(client.messages[2])) == (64, b"L", 36)
    client.packet("U", struct.pack(">cII", b"X", 2, 0))
    venue.until_letters(client, "SAEEAEC")
    assert struct.unpack_from(">IIc", client.messages[-1], 9) == (2, 100, b"U")
    assert len(client.messages[-1]) == 18


def test_a_number_that_does_not_rise_is_a_retransmission_and_rejects_have_reasons(venue: Venue) -> None:
    venue.open()
    client = venue.client()
    staying(venue)
    for ref in (5, 5, 3):
        client.enter(ref, "B", 10, 98_0000)
    client.enter(6, "B", 10, 98_0000, symbol="NONE")
    client.enter(7, "Z", 10, 98_0000)
    client.packet("U", b"Q")
    venue.until_letters(client, "SAJJQ")
    assert [struct.unpack_from(">IH", message, 9) for message in client.messages[2:4]] == [(6, 0x17), (7, 0x09)]
    assert [len(message) for message in client.messages[2:]] == [29, 29, 13]
    assert struct.unpack_from(">I", client.messages[4], 9) == (8,)
    assert venue.exchange.summary()["orders"]["ignored"] == 2


def test_a_lost_connection_cancels_and_what_was_missed_is_replayed(venue: Venue) -> None:
    venue.open()
    client = venue.client()
    staying(venue)
    client.enter(1, "B", 10, 98_0000)
    venue.until_letters(client, "SA")
    client.raw(packet("U", enter_order(2, "B", 10, 98_0000))[:20])  # half an order
    seen = client.next
    client.reset()
    venue.clients.remove(client)
    venue.until(lambda: venue.closed)
    back = venue.client(session="DAY1", sequence=seen)
    venue.until_letters(back, "C")
    assert struct.unpack_from(">IIc", back.messages[0], 9) == (1, 10, b"Z")
    assert back.next == 4
    whole = venue.client(session="DAY1")  # takes over
    venue.until_letters(whole, "SAC")
    venue.until(lambda: back.gone)
    whole.enter(2, "B", 10, 101_0000, "3")  # half an order has not used the number
    venue.until_letters(whole, "SACAE")
    assert venue.closed == {"reset": 1, "taken_over": 1}


def test_accounts_are_told_of_their_own_orders_alone_and_may_trade_with_each_other(venue: Venue) -> None:
    venue.open()
    me, you = venue.client(), venue.client("YOU")
    staying(venue)
    me.enter(1, "S", 40, 100_0000)
    venue.until_letters(me, "SA")
    you.enter(1, "B", 50, 100_0000, "3")
    venue.until_letters(you, "SAEC")
    venue.until_letters(me, "SAE")
    assert (me.executions, you.executions) == ([(1, 40, 100_0000, "A")], [(1, 40, 100_0000, "R")])


# The feed -----------------------------------------------------------------------------------------------------------------


def test_the_client_of_the_page_about_own_clients_trades(venue: Venue) -> None:
    import venue_client

    source = Path(venue_client.__file__).read_text()
    assert "hftlab." not in source.replace("hftlab net", ""), "nothing in it is ours"
    venue.open(generate("calm", 3_000, seed=1), wait=1)
    host, port = venue.exchange.addresses["orders"].split(":")
    group, line = venue.exchange.addresses["line_a"].split(":")
    heard: list[bytes] = []
    client = Thread(target=lambda: heard.append(venue_client.main("ME", "SECRET", (host, int(port)), (group, int(line)))))
    client.start()
    venue.until(lambda: not client.is_alive())
    assert heard[0][:1] in (b"E", b"C")
    assert heard[0][9:13] == b"\0\0\0\1"
    assert venue.exchange.matcher.counts["entered"] == 1


def test_the_drop_copy_has_every_message_of_every_account_and_enters_nothing(venue: Venue, tmp_path: Path) -> None:
    log = str(tmp_path / "audit")
    exchange = venue.open(drop_copy="you", audit=log)
    staying(venue)
    mine, copy = venue.client(), venue.client("YOU")
    mine.enter(1, "B", 100, 101_0000, "3")
    mine.enter(2, "B", 10, 98_0000)
    venue.until(lambda: len(copy.messages) >= 4)
    assert copy.messages == [b"ME    " + raw for raw in mine.messages]
    copy.enter(1, "B", 1, 1)
    venue.until(lambda: copy.gone)
    assert exchange.matcher.counts["entered"] == 2
    assert copy.packets[-1] == ("+", b"bad_message: a drop copy is for looking on: nothing is entered there")
    before = list(copy.messages)
    exchange.crash()
    venue.open(drop_copy="YOU", audit=log, state=SessionState.read(log))
    again = venue.client("YOU")
    venue.until(lambda: len(again.messages) > len(before))
    assert again.messages[: len(before)] == before, "numbers go on after a crash"
    assert again.messages[len(before)][6:7] == b"C", "what was open is canceled"
    with pytest.raises(UnknownName, match="drop_copy"):
        venue.open(drop_copy="NOBODY")


def test_passwords_that_others_may_see_are_pointed_out(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    path.write_text("ME SECRET\n")
    path.chmod(0o600)
    assert exposed(ExchangeSettings(), str(path)) == exposed(ExchangeSettings(), None) == []
    path.chmod(0o644)
    (readable, elsewhere) = exposed(ExchangeSettings(orders="0.0.0.0:26404"), str(path))
    assert "chmod 600" in readable
    assert "clear text" in elsewhere


def test_a_second_trader_of_an_account_takes_it_over_and_the_first_one_ends(venue: Venue) -> None:
    venue.open()
    traders = [Trader(venue.trader(), "python") for _ in range(2)]
    try:
        for trader in traders:
            trader.start()
            venue.until(lambda: trader.poll(0) and trader.gateway.ready)  # noqa: B023 - called at once
        venue.until(lambda: not traders[0].poll(0))
        assert traders[0].failed.startswith("taken_over: ")
        for _ in range(50):
            venue.turn()
            assert traders[1].poll(0.002)
        assert traders[1].gateway.ready
        assert venue.exchange.sessions.counts["logins"] == 2
    finally:
        for trader in traders:
            trader.stop()


def test_two_lossy_lines_and_requests_give_the_whole_feed(venue: Venue) -> None:
    raw = generate("calm", 3_000, seed=2)
    lines = {"loss": "0.3", "duplicate": "0.1,0", "reorder": "0.2"}
    exchange = venue.open(raw, pace="20000/s", heartbeat_after_end_s=0, end_repeat_s=600, wait=1, delay_s=0.05, **lines)
    listener = venue.listener()
    venue.until(lambda: listener.beats)  # heartbeats while it waits
    assert exchange.phase is Phase.WAITING
    venue.client()
    venue.until(lambda: listener.ended >= 2)
    assert 0 < 3_000 - len(listener.messages) < 900
    assert (listener.next, listener.session) == (3_001, b"DAY1      ")

    def complete() -> bool:
        listener.ask_for_missing()
        return len(listener.messages) == 3_000

    venue.until(complete)
    assert listener.whole(3_000) == raw
    summary = exchange.summary()
    assert summary["retransmitted"]["messages"] >= 1
    assert summary["published"]["messages"] == 3_000
    assert summary["lag"]["max"] >= summary["lag"]["p50"] >= 0
    assert summary["lines"]["A"]["lost"] > 500 < summary["lines"]["B"]["lost"]


def test_lines_may_go_to_single_hosts_and_one_of_them_may_be_dead(venue: Venue) -> None:
    free = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for opened in free:
        opened.bind(("127.0.0.1", 0))
    line_a, line_b = (f"127.0.0.1:{opened.getsockname()[1]}" for opened in free)
    for opened in free:
        opened.close()
    raw = generate("calm", 500, seed=2)
    exchange = venue.open(raw, line_a=line_a, line_b=line_b, wait=1, batch=True, heartbeat_after_end_s=0, end_repeat_s=600)
    exchange.lines["A"].down = True
    listener = venue.listener()
    venue.client()
    venue.until(lambda: listener.ended)
    assert listener.whole(500) == raw
    assert exchange.summary()["lines"]["A"].keys() == {"dropped"}


def test_our_resting_order_is_filled_when_the_feed_trades_through_it(venue: Venue) -> None:
    later = framed("E", locate=1, ts=3_000_006_000, ref=1, shares=50, match=9)
    clock = Clock()
    exchange = venue.open(SMALL + later, clock=clock, pace="1x", max_idle_gap_s=0.4, wait=1)
    client = venue.client()

    def later() -> None:
        clock.advance(1_000_000)
        venue.turn()

    wait_until(lambda: exchange.publisher.next == 6, later)
    client.enter(1, "B", 80, 100_0000)
    venue.until_letters(client, "SA")
    wait_until(lambda: len(client.messages) == 3, later)
    assert client.letters == "SAE"
    assert client.executions == [(1, 50, 100_0000, "A")]
    assert struct.unpack_from(">Q", client.messages[2], 1) == (3_000_006_000,)  # the feed's own time
    assert struct.unpack_from(">Q", client.messages[1], 1)[0] < 3_000_006_000
    assert exchange.summary()["idle_gaps_cut"] == 1


def test_an_order_that_is_good_until_a_time_expires_though_nothing_else_happens(venue: Venue) -> None:
    later = framed("E", locate=1, ts=9_000_000_000, ref=1, shares=50, match=9)
    exchange = venue.open(SMALL + later, pace="8x", max_idle_gap_s=60, wait=1)
    client = venue.client()
    venue.until(lambda: exchange.publisher.next == 6)
    client.packet("U", ouch.EnterOrder(1, "B", 10, "ABC", 98_0000, "6", appendage=ouch.appendage(expire_time=1)).encode())
    venue.until_letters(client, "SAC")
    assert struct.unpack_from(">IIc", client.messages[2], 9) == (1, 10, b"T")


def test_the_end_of_the_session(venue: Venue) -> None:
    exchange = venue.open(heartbeat_after_end_s=0, wait=1)
    client = venue.client()
    client.enter(1, "B", 10, 98_0000)
    venue.until(lambda: exchange.phase is Phase.DONE)
    venue.until(lambda: client.gone)
    assert client.letters == "SACS"
    assert (client.messages[3][9:], client.messages[2][17:]) == (b"E", b"E")
    assert client.packets[-1] == ("Z", b"")
    assert not exchange.poll()


# The audit log, and coming back ---------------------------------------------------------------------------------------------


def test_everything_is_in_the_audit_log(venue: Venue, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    exchange = venue.open(audit=str(path))
    client = venue.client()
    staying(venue)
    client.enter(1, "B", 10, 101_0000, "3")
    venue.until_letters(client, "SAE")
    exchange.stop()
    text = path.read_text()
    log = list(read_log(path))
    assert len(log) == len(text.splitlines())
    assert all({"time", "at_ns", "session", "event"} <= line.keys() for line in log)
    (order,) = [line for line in log if line["event"] == "in"]
    assert (order["account"], order["message"]["type"], order["message"]["symbol"]) == ("ME", "EnterOrder", "ABC")
    out = [line for line in log if line["event"] == "out"]
    assert [line["message"]["type"] for line in out] == ["SystemEvent", "Accepted", "Executed", "SystemEvent"]
    assert [bytes.fromhex(line["raw"]) for line in out[:3]] == client.messages[:3]
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    with pytest.raises(ConfigError, match="session 'DAY1' has ended"):
        SessionState.read(path)


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
    printed = capfd.readouterr().err
    assert printed.count("cannot be written") == printed.count("written again") == 1


def test_lines_that_are_lost_are_marked_where_they_are_missing_and_the_session_is_not_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, "DAY1")
    written = log.write
    log.write = lambda file, data: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    for number in range(9):
        log.line(number, "in", text="x" * 200_000)
        assert not log.flush(number)
    assert log.counts["lost"] == 3
    log.write = written
    assert log.flush(10**9)
    log.line(9, "in", text="again")
    log.close()
    lines = list(read_log(path))
    assert [(line["event"], line["at_ns"]) for line in lines] == [*(("in", n) for n in range(6)), ("lost", 9), ("in", 9)]
    assert lines[6]["lines"] == 3
    with pytest.raises(ConfigError, match="session 'DAY1' cannot be taken up again: 3 lines of it were lost"):
        SessionState.read(path)
    later = AuditLog(path, "DAY2")
    later.line(10, "published", next=7)
    later.close()
    assert SessionState.read(path).published == 7, "what an earlier session lost is not missed by this one"


@pytest.mark.parametrize("whence", ["memory", "log"])
def test_after_a_crash_the_session_is_taken_up_again(venue: Venue, tmp_path: Path, whence: str) -> None:
    path = tmp_path / "audit.jsonl"
    exchange = venue.open(audit=str(path))
    client = venue.client()
    staying(venue)
    client.enter(4, "B", 150, 101_0000)  # 100 are executed, 50 rest
    venue.until_letters(client, "SAE")
    bound = exchange.bound
    exchange.crash()
    venue.until(lambda: client.gone)
    state = exchange.state() if whence == "memory" else SessionState.read(path)
    assert (state.session, state.streams["ME"]) == ("DAY1", client.messages)
    again = venue.start(Exchange(ItchFeed(SMALL), ACCOUNTS, bound, state=state))
    assert again.addresses["orders"] == bound.orders
    back = venue.client(session="DAY1", sequence=client.next)
    venue.until_letters(back, "C")
    assert struct.unpack_from(">IIc", back.messages[0], 9) == (4, 50, b"Z")
    staying(venue)
    assert again.publisher.next == 6
    back.enter(4, "B", 10, 98_0000)  # used before the crash
    back.enter(5, "B", 10, 98_0000)
    venue.until_letters(back, "CA")
    assert struct.unpack_from(">Q", back.messages[1], 36) > struct.unpack_from(">Q", client.messages[1], 36)  # references


# Settings and accounts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"line_a": "239.255.71.1"}, "line A must be an IPv4 address and a port"),
        ({"line_b": "127.0.0.1:0"}, "line B must have a port above 0"),
        ({"orders": "127.0.0.1:99999"}, "orders must be an IPv4 address"),
        ({"orders": "203.0.113.7:0"}, "cannot be bound"),
        ({"interface": "203.0.113.7"}, "interface"),
        ({"pace": "fast"}, "pace"),
        ({"loss": "0.1,0.2,0.3"}, "loss must be a probability"),
        ({"session": "TOO LONG A NAME"}, "session must be"),
        ({"max_connections": 0}, "max_connections must be at least 1"),
        ({"end_repeat_s": -1}, "end_repeat_s must be at least 0 s"),
        ({"heartbeat_s": float("nan")}, "heartbeat_s must be between"),
        ({"audit": "/nowhere/audit"}, "cannot be written"),
    ],
)
def test_settings_that_are_wrong_are_one_sentence(venue: Venue, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        venue.open(**wrong)


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
def test_the_process_from_its_first_line_to_its_last(started: Callable[..., Process], tmp_path: Path, number: int) -> None:
    feed, audit = tmp_path / "small.itch", tmp_path / "audit.jsonl"
    feed.write_bytes(SMALL)
    words = ["--wait", "1", "--pace", "max", "--heartbeat-after-end", "600", "--loss", "0.1,0.2", "--audit", str(audit)]
    exchange = started("exchange", str(feed), *FREE, *words, HFTLAB_ACCOUNTS="ME:SECRET")
    listening = exchange.event("listening")
    assert all(listening[name].startswith("127.0.0.1:") for name in ("requests", "orders"))
    client = Client(listening["orders"])
    try:
        client.login()
        client.enter(1, "B", 10, 101_0000)
        client.enter(2, "B", 10, 98_0000)
        _wait(client, lambda: len(client.letters) == 4)
        exchange.process.send_signal(number)
        _wait(client, lambda: client.gone)
    finally:
        client.close()
    summary = exchange.event("summary")
    assert exchange.end() == (0, "")
    assert client.letters[-2:] == "CS"
    assert client.packets[-1] == ("Z", b"")
    assert (summary["phase"], summary["session"]) == ("done", listening["session"])
    assert summary["published"]["messages"] == 5
    assert summary["connections"]["closed"] == {"end_of_session": 1}
    assert "SECRET" not in audit.read_text() + json.dumps(summary)


def _wait(client: Client, true: Callable[[], object]) -> None:
    def turn() -> None:
        client.pump()
        time.sleep(0.005)

    wait_until(true, turn, lambda: client.letters)


def test_bad_input_is_one_sentence(started: Callable[..., Process]) -> None:
    code, printed = started("exchange", "--messages", "100").end()
    assert code == 2
    assert printed.startswith("hftlab: error: there are no accounts")
    assert printed.count("\n") == 1
