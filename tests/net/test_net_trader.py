"""Does the trader trade only when it may, believe only what it is told, and lose or repeat nothing, whatever happens?"""

from __future__ import annotations

import errno
import json
import os
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from venue.exchange import EAGER, FEED_SESSION, PASSWORD, Duo, FakeExchange, accepted, books, canceled, filled, whole
from venue.feeds import day
from venue.waiting import Clock, wait_until

import hftlab
from hftlab.engine.live import LiveSession
from hftlab.errors import ConfigError
from hftlab.net import Trader, TraderSettings
from hftlab.net.endpoints import System, arrival_stamp
from hftlab.net.trader.feed import WaitingTime
from hftlab.net.trader.gates import HoldReason
from hftlab.net.trader.gateway import GatewayState
from hftlab.net.trader.journal import replay_journal
from hftlab.net.trader.order_records import OrderState
from hftlab.net.trader.settings import find_password
from hftlab.protocols import moldudp64, ouch, soupbintcp
from hftlab.settings import OrderConfig

ENGINES = ["python", pytest.param("rust", marks=pytest.mark.rust)]
DAY = day()
EXTREMES = (0, 1, 2, 0x7FFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 63, (1 << 64) - 2, (1 << 64) - 1)
Run = Callable[..., Duo]


@pytest.fixture
def exchange() -> Iterator[FakeExchange]:
    opened = FakeExchange()
    yield opened
    opened.close()


@pytest.fixture
def run(exchange: FakeExchange) -> Iterator[Run]:
    """Starts traders, which are ready unless told otherwise, and stops them whatever happens."""
    started: list[Duo] = []

    def start(
        backend: str = "python", *, ready: bool = True, clock: Callable[[], int] = time.monotonic_ns, **settings: Any
    ) -> Duo:
        options = {name: settings.pop(name) for name in ("order_config", "risk_config") if name in settings}
        started.append(duo := Duo(exchange, exchange.settings(**settings), backend, system=System(clock), **options))
        if ready:
            duo.ready()
        return duo

    yield start
    for duo in started:
        duo.trader.stop()


def named(live: LiveSession) -> dict[str, int]:
    """The engine's positions by symbol."""
    return {live.names[instrument]: shares for instrument, shares in live.positions.items()}


@pytest.mark.parametrize("spin", [False, True])
@pytest.mark.parametrize("backend", ENGINES)
def test_orders_leave_and_positions_are_what_was_executed(
    exchange: FakeExchange, run: Run, backend: str, spin: bool, tmp_path: Path
) -> None:
    exchange.executes = filled
    duo = run(backend, journal=str(tmp_path / "journal"), spin=spin)
    assert duo.trade(DAY) > 20
    summary = duo.trader.stop()
    shares: Counter[str] = Counter()
    for order in exchange.orders:
        shares[order.symbol] += order.quantity if order.side == "B" else -order.quantity
    assert summary["positions"] == {symbol: n for symbol, n in sorted(shares.items()) if n} == named(duo.trader.live)
    assert max(map(abs, summary["positions"].values())) <= 500
    assert {summary[name] for name in ("sent", "accepted", "executed")} == {len(exchange.orders)}
    assert {times["n"] for times in summary["latency"].values()} == {len(exchange.orders)}
    assert (summary["messages"], summary["lost"], summary["held"]) == (3_000, 0, "")
    assert books(duo.trader.live) == books(whole(DAY))
    frame = duo.trader.orders.frame()
    assert frame["state"].unique().to_list() == ["executed"]
    assert frame["average_price"].to_list() == [float(order.price) for order in exchange.orders]
    again = replay_journal(tmp_path / "journal", hftlab.synthetic("burst", 3_000, seed=3), backend, **EAGER)
    assert again.sent == [order.encode() for order in exchange.orders]
    assert again.live.positions == duo.trader.live.positions


@pytest.mark.parametrize("resync_timeout_ms", [60_000.0, 60.0])
def test_nothing_leaves_before_the_login_is_answered_or_silence_has_ended_the_wait(
    exchange: FakeExchange, run: Run, resync_timeout_ms: float
) -> None:
    exchange.queries = False
    patient = resync_timeout_ms > 1_000
    duo = run(resync_timeout_ms=resync_timeout_ms, ready=not patient)
    duo.until(lambda: duo.trader.gateway.state is (GatewayState.RESYNC if patient else GatewayState.READY))
    duo.feed(DAY)
    assert bool(exchange.orders) != patient
    assert (duo.trader.held is HoldReason.CONNECTION) == patient
    assert books(duo.trader.live) == books(whole(DAY)), "what is not traded on is still kept"


# The feed -----------------------------------------------------------------------------------------------------------------


def test_after_a_message_nobody_can_read_the_session_is_requested_from_its_first(
    exchange: FakeExchange, run: Run, tmp_path: Path
) -> None:
    exchange.executes = filled
    duo = run(requests=True, journal=str(tmp_path / "journal"))
    duo.trade(DAY[:500])
    first, held = duo.trader.live, duo.trader.live.positions
    assert held
    at = duo.damage(DAY, 500)
    exchange.kept = DAY[:at]
    exchange.publish(DAY[at : at + 2], at + 1)
    duo.until(lambda: duo.trader.feed.arbiter.expected == at + 3)
    duo.until(lambda: not duo.trader.held)
    assert duo.trader.live is not first
    assert duo.trader.live.positions == held, "a new engine knows what is held"
    duo.trade(DAY[at + 2 :], at + 3)
    assert books(duo.trader.live) == books(whole(DAY))
    refs = [order.user_ref for order in exchange.orders]
    assert refs == sorted(set(refs)), "numbers go on"
    again = replay_journal(tmp_path / "journal", hftlab.synthetic("burst", 3_000, seed=3), "python", **EAGER)
    assert again.sent == [order.encode() for order in exchange.orders]


@pytest.mark.parametrize("backend", ENGINES)
def test_a_new_engine_knows_what_is_held_before_it_may_trade(exchange: FakeExchange, run: Run, backend: str) -> None:
    """Time stands still after the restart, so no timer can have restored the positions when the gates open."""
    exchange.executes = filled
    stopped: list[int] = []
    duo = run(backend, requests=True, clock=lambda: stopped[0] if stopped else time.monotonic_ns())
    duo.trade(DAY[:500])
    trader, held = duo.trader, duo.trader.live.positions
    assert held
    end = duo.damage(DAY, 500)
    stopped.append(time.monotonic_ns())
    trader.poll(0)
    assert trader.held is HoldReason.FEED_GAP, "nothing of the session has come"
    assert not trader.live.positions
    exchange.publish(DAY[end : end + 1], end + 1)
    for at in range(0, end, 40):
        exchange.publish(DAY[at : min(at + 40, end)], at + 1)
        while trader.feed.arbiter.expected < min(at + 41, end + 1):
            trader.poll(0.002)
            assert trader.held or trader.live.positions == held, "it traded without its positions"
    assert not trader.held


def test_a_new_session_brings_a_new_book_and_the_old_positions(exchange: FakeExchange, run: Run) -> None:
    exchange.executes = filled
    duo = run()
    duo.trade(DAY[:1_500])
    held = duo.trader.summary()["positions"]
    # The directory of the new session has the same stocks under other numbers.
    moved = [
        message[:1] + (lambda n: n and n + 20)(int.from_bytes(message[1:3], "big")).to_bytes(2, "big") + message[3:]
        for message in day(2_000, 9)
    ]
    other = b"FEED000002"
    for _ in range(3):
        exchange.send(moldudp64.heartbeat(other, 1))
    duo.until(lambda: duo.trader.feed.arbiter.session == other)
    assert duo.trader.live.messages == 0
    duo.feed(moved, session=other)
    duo.settle()
    assert books(duo.trader.live) == books(whole(moved))
    assert set(duo.trader.live.positions) <= set(range(21, 60))
    assert named(duo.trader.live) == duo.trader.summary()["positions"] != held


def test_a_silent_feed_is_not_traded_on(exchange: FakeExchange, run: Run) -> None:
    duo = run(silence_ms=60.0)
    duo.feed(DAY[:100])
    duo.until(lambda: duo.trader.held is HoldReason.FEED_SILENT)
    exchange.send(moldudp64.heartbeat(FEED_SESSION, 101))
    duo.until(lambda: not duo.trader.held)


def test_the_stamp_is_the_card_s_where_its_clock_is_the_system_s() -> None:
    def stamp(kernel_ns: int, card_ns: int) -> int | None:
        numbers = (*divmod(kernel_ns, 10**9), 0, 0, *divmod(card_ns, 10**9))
        return arrival_stamp([(socket.SOL_SOCKET, 37, struct.pack("6q", *numbers))])

    now = 1_800_000_000_123_456_789
    assert stamp(now, 0) == now
    assert stamp(now, now - 2_000) == now - 2_000
    assert stamp(now, now + 37_000_000_000) == now, "a card's clock that keeps to TAI is not compared with the system's"
    assert stamp(0, 0) is arrival_stamp([]) is arrival_stamp([(socket.SOL_SOCKET, 29, bytes(48))]) is None


def test_while_the_wall_clock_may_have_been_stepped_the_longer_wait_counts() -> None:
    clock, ahead = Clock(), [10**18]
    wait = WaitingTime(System(clock, lambda: clock() + ahead[0]))

    def waited(ns: int, stepped: int = 0) -> int:
        stamp = clock() + ahead[0]
        clock.advance(ns)
        ahead[0] += stepped
        return wait.read(stamp)[1]

    assert [waited(ns) for ns in (0, 5_000, 70_000_000)] == [0, 5_000, 70_000_000]
    assert waited(2_000_000_000, -1_990_000_000) == 2_000_000_000, "put back by nearly as much as it has waited"
    assert waited(1_000) > 1_000_000_000, "nobody knows whether it came before the step"
    wait.drained()
    assert waited(1_000) == 1_000
    assert waited(1_000, 3_600_000_000_000) > 3_000_000_000_000
    wait.drained()
    assert waited(1_000) == 1_000
    assert WaitingTime(System(clock)).read(clock.ns - 5)[1] == 0, "stamps of another clock than ours say nothing"


def test_answers_from_elsewhere_are_not_taken(exchange: FakeExchange, run: Run) -> None:
    duo = run(requests=True)
    duo.feed(DAY[:40])
    exchange.publish(DAY[41:60], 42)
    duo.until(lambda: bool(exchange.requests))
    assert duo.trader.feed.requests is not None
    exchange.udp.sendto(moldudp64.encode(FEED_SESSION, 41, DAY[40:41]), duo.trader.feed.requests.getsockname())
    duo.until(lambda: duo.trader.summary()["feed"].get("strangers") == 1)
    assert duo.trader.feed.arbiter.gap == (41, 42)


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_comes_on_the_lines_the_book_is_right_in_the_end(exchange: FakeExchange, run: Run, engine: str) -> None:
    """Numbers and counts at their ends, the largest datagrams, other sessions; the trader's time passes as it is told to."""
    exchange.executes, exchange.kept = canceled, DAY
    clock, chance = Clock(), random.Random(1)
    duo = run(engine, requests=True, ready=False, clock=clock, silence_ms=60_000.0)

    def turn() -> None:
        clock.advance(1_000_000)
        duo.turn()

    wait_until(lambda: duo.trader.gateway.ready, turn)
    for at in range(0, 3_000, 10):
        for _ in range(3 if 300 < at < 1_500 else 0):
            session = chance.choice((FEED_SESSION, b"\0" * 10, b"DAY2      "))
            head = struct.pack(">10sQH", session, chance.choice(EXTREMES), chance.choice((0, 1, 2, 0xFFFE, 0xFFFF)))
            tail = chance.choice((b"", b"\0\0", b"\xff\xff", bytes(1_400), chance.randbytes(64), bytes(65_487)))
            exchange.udp.sendto(head + tail, chance.choice(exchange.targets))
        exchange.publish(DAY[at : at + 10], at + 1)
        turn()
    clock.advance(3_000_000_000)  # numbers ahead that nobody repeats are doubted after this

    def complete() -> bool:
        exchange.send(moldudp64.heartbeat(FEED_SESSION, 3_001))
        return duo.trader.feed.arbiter.expected == 3_001 and not duo.trader.held

    wait_until(complete, turn, lambda: (duo.trader.held, duo.trader.feed.arbiter.counts))
    assert books(duo.trader.live) == books(whole(DAY))


# The order connection -----------------------------------------------------------------------------------------------------


def test_after_a_break_it_comes_back_with_the_next_number_and_repeats_no_order(exchange: FakeExchange, run: Run) -> None:
    duo = run()
    duo.trade(DAY[:1_000])
    sent = exchange.orders
    for order in sent[:2]:  # of the others nothing was said when the line broke, in the midst of a packet
        exchange.say(*filled(order))
    duo.settle()
    exchange.raw(soupbintcp.packet(b"S", bytes(30))[:9])
    duo.turn()
    exchange.reset()
    exchange.say(*canceled(sent[2]))  # said while nobody listened
    exchange.next_ref = sent[4].user_ref  # this one and those after it have never arrived
    duo.until(lambda: len(exchange.logins) == 2 and duo.trader.gateway.ready)
    assert exchange.logins[1].session == "ORDERS0001"
    assert exchange.logins[1].sequence == 6, "a query's answer and four reports were heard"
    states = [order.state for order in duo.trader.orders.by_ref.values()]
    assert states[:4] == [OrderState.EXECUTED, OrderState.EXECUTED, OrderState.CANCELED, OrderState.UNKNOWN]
    assert set(states[4:]) == {OrderState.LOST}
    assert [ref for ref, *_ in duo.trader.live.working] == [sent[3].user_ref], "what may still be heard of stays reserved"
    duo.feed(DAY[1_000:], 1_001)
    duo.until(lambda: len(exchange.orders) > len(sent))
    refs = [order.user_ref for order in exchange.orders]
    assert refs == sorted(set(refs)), "no order is sent twice"
    exchange.say(ouch.Executed(0, sent[3].user_ref, 100, 10_000, "R", 77))
    duo.until(lambda: duo.trader.orders.by_ref[sent[3].user_ref].state is OrderState.EXECUTED)
    assert duo.trader.summary()["orders"]["lost"] == len(states[4:])


def test_while_the_exchange_is_away_it_tries_again_less_and_less_often(exchange: FakeExchange, run: Run) -> None:
    clock = Clock()
    duo = run(ready=False, clock=clock)

    def turn() -> None:
        clock.advance(1_000_000)
        duo.turn()

    wait_until(lambda: duo.trader.gateway.ready, turn)
    exchange.tcp.close()
    exchange.reset()
    wait_until(lambda: not duo.trader.gateway.ready, turn)
    tries: list[int] = []
    while len(tries) < 8:
        before = duo.trader.gateway.counts["connections"]
        turn()
        if duo.trader.gateway.counts["connections"] > before:
            tries.append(clock())
    waits = [(after - before) // 1_000_000 for before, after in pairwise(tries)]
    assert all(later >= earlier for earlier, later in pairwise(waits)), waits
    assert 80 <= waits[-1] < 100
    assert duo.trader.held is HoldReason.CONNECTION
    assert duo.trader.gateway.why == os.strerror(errno.ECONNREFUSED)


def test_the_end_of_the_order_session_closes_what_was_open(exchange: FakeExchange, run: Run) -> None:
    duo = run()
    duo.trade(DAY[:1_000])
    exchange.say(*accepted(exchange.orders[0]))
    exchange.raw(soupbintcp.packet(b"Z"))
    exchange.stream, exchange.session = [], "ORDERS0002"
    duo.until(lambda: len(exchange.logins) == 2 and duo.trader.gateway.ready)
    assert (exchange.logins[1].session, exchange.logins[1].sequence) == ("", 1)
    states = [order.state for order in duo.trader.orders.by_ref.values()]
    assert states[0] is OrderState.CANCELED
    assert set(states[1:]) == {OrderState.UNKNOWN}
    assert not duo.trader.live.working
    assert not duo.trader.orders.open


def test_an_old_name_does_not_make_another_session_the_one_in_the_journal(
    exchange: FakeExchange, run: Run, tmp_path: Path
) -> None:
    """It lacks what was executed: the trader would start flat, and does not trade; once it is repeated, it does."""
    exchange.executes = filled
    first = run(journal=str(tmp_path / "journal"))
    before = first.trade(DAY[:1_000])
    first.trader.gateway.close(0)
    stream, exchange.stream = exchange.stream, []
    second = run(journal=str(tmp_path / "journal"))
    second.feed(DAY[:500])
    assert (second.trader.held, len(exchange.orders)) == (HoldReason.MISSED_REPORTS, before)
    assert second.trader.attention()["missing_reports"] == before
    exchange.say(*(ouch.decode_outbound(raw) for raw in stream))
    second.until(lambda: not second.trader.held)


@pytest.mark.parametrize("behind", [b"\0\0", b"\0\1?", b"\0\1Z", b"\0\1A", b"\0\2J"])
def test_a_login_that_is_accepted_and_broken_in_one_piece(exchange: FakeExchange, run: Run, behind: bytes) -> None:
    exchange.behind = behind
    duo = run(ready=False)
    duo.until(lambda: len(exchange.logins) == 2 and duo.trader.gateway.ready)


def test_an_exchange_that_never_reads_is_given_up_before_much_waits_for_it(exchange: FakeExchange, run: Run) -> None:
    duo = run()
    gateway, order = duo.trader.gateway, ouch.EnterOrder(1, "B", 1, "ABC", 1).encode()
    for sent in range(1_000_000):
        gateway.send(order, duo.trader.clock())
        if not sent % 1_000:
            duo.trader.poll(0)
        if not gateway.ready:
            break
    assert not gateway.ready
    assert "does not read" in gateway.why
    assert sent < 500_000


# What the exchange says ---------------------------------------------------------------------------------------------------


def test_positions_are_what_was_executed_and_not_broken(exchange: FakeExchange, run: Run) -> None:
    duo = run(order_config=OrderConfig(threshold=0.1, cooldown=2, lot=300))
    at = 0
    while not duo.trader.orders.by_ref:
        duo.feed(DAY[at : at + 10], at + 1)
        at += 10
    duo.settle()
    entered, orders = exchange.orders[0], duo.trader.orders
    ref, symbol, sign = entered.user_ref, entered.symbol, 1 if entered.side == "B" else -1
    order = orders.by_ref[ref]

    def say(*messages: ouch.Message) -> None:
        exchange.say(*messages)
        duo.settle()

    fill = ouch.Executed(0, ref, 50, 20_000, "R", 2)
    say(*accepted(entered), ouch.Executed(0, ref, 100, 21_000, "R", 1), fill, fill, ouch.Broken(0, ref, 2, "S"))
    assert (order.left, order.filled, order.state) == (150, 100, OrderState.ACCEPTED)
    assert (orders.shares[symbol], orders.cash[symbol]) == (sign * 100, -sign * 2_100_000)
    say(ouch.Modified(0, ref, entered.side, 100))
    assert order.left == 100
    say(ouch.Canceled(0, ref, 100, "U"))
    assert (order.left, order.state, order.reason) == (0, OrderState.CANCELED, "U")
    assert ref not in {working for working, *_ in duo.trader.live.working}
    say(ouch.Broken(0, ref, 2, "S"), ouch.Rejected(0, ref, 0x13), ouch.Executed(0, 4_000_000, 1, 1, "R", 3))
    assert orders.rejects == {"invalid quantity": 1}
    assert orders.counts["unexpected"] == 2, "broken twice, rejected when over"
    assert (orders.counts["unknown_fills"], orders.counts["repeated"], orders.counts["overfills"]) == (1, 1, 0)
    assert duo.trader.summary()["positions"] == {symbol: sign * 100}


def test_reports_that_are_wrong_change_nothing(exchange: FakeExchange, run: Run) -> None:
    exchange.executes = canceled
    duo = run()
    duo.trade(DAY)
    exchange.raw(soupbintcp.packet(b"S", b"") + soupbintcp.packet(b"S", b"?what") + soupbintcp.packet(b"S", b"E" + bytes(5)))
    exchange.raw(soupbintcp.packet(b"+", b"a word") + soupbintcp.packet(b"H"))
    exchange.say(ouch.Executed(0, 4_000_000_000, 100, 10_000, "R", 5))
    duo.until(lambda: duo.trader.summary()["attention"].get("unknown_fills") == 1)
    assert duo.trader.gateway.ready
    assert books(duo.trader.live) == books(whole(DAY))
    assert duo.trader.summary()["attention"] == {"unreadable_reports": 3, "unknown_fills": 1}
    exchange.raw(b"\0\0")
    duo.until(lambda: len(exchange.logins) == 2 and duo.trader.gateway.ready)
    assert "got 0" in duo.trader.gateway.why


def test_an_order_accepted_for_fewer_shares_reserves_no_more_and_an_overfill_wants_attention(
    exchange: FakeExchange, run: Run
) -> None:
    exchange.executes = lambda order: [replace(accepted(order)[0], quantity=60)]  # type: ignore[type-var]
    duo = run()
    duo.trade(DAY[:500])
    assert {order.left for order in duo.trader.orders.open} == {left for *_, left in duo.trader.live.working} == {60}
    first = exchange.orders[0]
    exchange.say(ouch.Executed(0, first.user_ref, 100, first.price, "R", 77))
    duo.settle()
    assert duo.trader.summary()["positions"] == {first.symbol: 100 if first.side == "B" else -100}
    assert duo.trader.summary()["attention"] == {"overfills": 1}


def test_what_may_still_work_at_the_end_wants_attention(exchange: FakeExchange, run: Run) -> None:
    exchange.executes = accepted
    duo = run()
    duo.trade(DAY[:500])
    alive = len(duo.trader.orders.open)
    summary = duo.trader.stop()
    assert summary["attention"] == {"possibly_live": alive}
    assert summary["latency"]["acknowledged"]["n"] == summary["sent"] == alive


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_the_exchange_says_of_orders_the_trader_goes_on(exchange: FakeExchange, run: Run, engine: str) -> None:
    """Whole messages of every kind with extreme values, of orders that are ours or nobody's."""
    for seed in range(10):
        chance = random.Random(seed)
        exchange.stream, exchange.inbound = [], []
        duo = run(engine)
        duo.feed(DAY[:150])
        for _ in range(60):
            kind = ouch.OUTBOUND[chance.choice("AAAEEECCDBJUMRTIPS")]
            values: dict[str, Any] = {}
            for name, code in kind.CODES.items():
                if code in "HIQ":
                    values[name] = chance.choice(EXTREMES) & (1 << 8 * struct.calcsize(code)) - 1
                else:
                    symbol = chance.choice(["HLAAA", "NONE", ""])
                    values[name] = symbol if name == "symbol" else chance.choice("BSTEDLUZ \xff") if code == "1s" else ""
            if "user_ref" in values:
                values["user_ref"] = chance.choice((0, 1, 2, 3, 1_000, 0xFFFFFFFF))
            exchange.say(kind(**values))
        duo.until(lambda: duo.trader.gateway.client.next == len(exchange.stream) + 1)  # noqa: B023 - called at once
        assert "unexpected_reports" in duo.trader.attention()
        duo.feed(DAY[150:300], 151)
        exchange.raw(soupbintcp.packet(b"Z"))
        duo.until(lambda: not duo.trader.gateway.ready)  # noqa: B023
        assert not duo.trader.orders.open
        duo.trader.stop()


# Orders that must not leave -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("how", ["call", "file", "loss"])
def test_the_kill_switch_cancels_what_is_open_and_nothing_follows(
    exchange: FakeExchange, run: Run, how: str, backend: str, tmp_path: Path
) -> None:
    exchange.executes = accepted
    file = tmp_path / "kill"
    duo = run(backend, kill_file=str(file), max_loss=50.0, journal=str(tmp_path / "journal"))
    before = duo.trade(DAY[:1_000])
    open_refs = [order.ref for order in duo.trader.orders.open]
    if how == "call":
        duo.trader.request_kill("SIGUSR1")
    elif how == "file":
        file.touch()
    else:  # bought at twice the price, or sold at half of it
        order = exchange.orders[0]
        price = order.price * 2 if order.side == "B" else order.price // 2
        exchange.say(ouch.Executed(0, order.user_ref, order.quantity, price, "R", 1))
        open_refs.remove(order.user_ref)
    duo.until(lambda: len(exchange.cancels) == len(open_refs))
    assert exchange.cancels == open_refs
    assert duo.trader.held is HoldReason.KILLED
    assert {"call": "SIGUSR1", "file": str(file), "loss": "at most 50.00"}[how] in duo.trader.killed
    duo.feed(DAY[1_000:], 1_001)
    exchange.say(*(ouch.Canceled(0, ref, 100, "U") for ref in open_refs))
    duo.until(lambda: not duo.trader.live.working)
    summary = duo.trader.stop()
    assert (summary["sent"], len(exchange.orders)) == (before, before)
    assert sum(summary["withheld"].values()) + summary["sent"] == sum(summary["orders"].values())
    assert any(json.loads(line)["event"] == "kill" for line in (tmp_path / "journal").read_text().splitlines())


def test_killed_while_the_connection_is_down_cancels_once_it_is_back(exchange: FakeExchange, run: Run) -> None:
    exchange.executes = accepted
    duo = run()
    duo.trade(DAY[:1_000])
    open_refs = [order.ref for order in duo.trader.orders.open]
    exchange.reset()
    duo.until(lambda: duo.trader.held is HoldReason.CONNECTION)
    duo.trader.kill("by hand")
    duo.until(lambda: len(exchange.cancels) == len(open_refs))
    assert exchange.cancels == open_refs


# The end, and settings ----------------------------------------------------------------------------------------------------


def test_it_ends_though_messages_are_missing_when_nobody_is_there_any_more(exchange: FakeExchange, run: Run) -> None:
    duo = run(silence_ms=100.0)
    duo.feed(DAY[:100])
    exchange.send(moldudp64.end(FEED_SESSION, 200))
    seen = time.monotonic()
    duo.until(lambda: time.monotonic() > seen + 0.2)
    assert duo.turn(), "whoever holds the order connection may still send the rest"
    exchange.tcp.close()
    exchange.reset()
    duo.until(lambda: not duo.turn())
    assert duo.trader.feed.arbiter.gap == (101, 200)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"lines": ()}, "the number of lines must be between 1 and 2"),
        ({"lines": ("1.2.3.4:x",)}, "line A must be"),
        ({"orders": "nowhere"}, "orders must be"),
        ({"resync_timeout_ms": 0.0}, "resync_timeout_ms must be"),
        ({"max_loss": -1.0}, "max_loss must be at least 0"),
    ],
)
def test_settings_that_are_wrong_are_one_sentence(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        TraderSettings(**wrong)
    assert PASSWORD not in repr(TraderSettings(password=PASSWORD))


def test_passwords_are_found_and_addresses_must_be_ours(tmp_path: Path) -> None:
    assert find_password("trader", None, {"HFTLAB_PASSWORD": "one"}) == "one"
    assert find_password("trader", None, {"HFTLAB_ACCOUNTS": "TRADER:two"}) == "two"
    (tmp_path / "accounts").write_text("trader three\n")
    assert find_password("TRADER", str(tmp_path / "accounts"), {"HFTLAB_PASSWORD": "one"}) == "three"
    for environment in ({}, {"HFTLAB_ACCOUNTS": "OTHER:two"}):
        with pytest.raises(ConfigError, match="there is no"):
            find_password("TRADER", None, environment)
    with pytest.raises(ConfigError, match="cannot be listened to"):
        Trader(TraderSettings(lines=("192.0.2.1:0",), orders="127.0.0.1:1"), "python").start()
