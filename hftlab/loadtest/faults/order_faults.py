"""Faults of the order connection, and of clients that share the exchange with the trader."""

from __future__ import annotations

import socket
from functools import partial

from hftlab.loadtest.faults.testbed import ACCOUNTS, Ends, Fault, TestBed
from hftlab.net.trader.gateway import GatewayState

_RIVAL = ("RIVAL", ACCOUNTS["RIVAL"])
_SMALL_BUFFER = 4_096
_LOGINS = ("resets", "logins", "connections")


def _cut(which: str, bed: TestBed) -> None:
    """Three times in one session."""
    for resets, share in enumerate((0.25, 0.5, 0.75)):
        bed.publish(share)
        if not resets:
            bed.inject()
        setattr(bed.relay, which, True)
        bed.until(lambda: bed.relay.resets > resets, "a packet is cut")  # noqa: B023 - called at once
        bed.trades()
    bed.complete()
    bed.note(*_LOGINS)
    bed.must(bed.seen["resets"] == 3 and bed.seen["logins"] == 4, "the connection was to break and come back three times")


def _late_answers(bed: TestBed) -> None:
    bed.relay.hold = True
    bed.publish(2 / 3)
    bed.seen["unanswered"] = len(bed.trader.orders.open)
    bed.relay.hold = False
    bed.complete()
    bed.must(bed.seen["unanswered"] > 1, "the fault did not happen: no order waited for its answer")
    bed.must(bed.counts["breaks"] == 0, "the connection broke")


def _silent_exchange(bed: TestBed) -> None:
    bed.relay.hold = True
    bed.until(lambda: bed.counts["breaks"], "the trader gives up a connection that says nothing", 40_000, 20.0)
    bed.relay.hold = False
    bed.relay.reset()
    bed.restored(*_LOGINS)


def _unanswered_login(bed: TestBed) -> None:
    """Our own login goes unanswered, twice."""
    bed.relay.swallow = True
    bed.relay.reset()
    bed.until(lambda: bed.relay.accepted >= 3, "another connection is tried", 60_000, 20.0)
    bed.relay.swallow = False
    bed.restored(*_LOGINS)


def _slow_reader(bed: TestBed) -> None:
    """A client that never reads what it is told: it is closed, its orders with it, and nobody else notices."""
    symbol = sorted(name.decode().strip() for name in bed.exchange.matcher.tick.names.values())[0]
    slow, ref = bed.client(reads=False, buffer=_SMALL_BUFFER), 0
    slow.login(*_RIVAL)
    bed.until(lambda: "RIVAL" in bed.exchange.sessions.open, "the client is logged in")
    for connection in bed.exchange.connections.open:  # else the system keeps half a megabyte for it first
        if connection.session.account == "RIVAL":
            connection.link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL_BUFFER)
    before, closed = len(bed.recorder.sent), bed.exchange.sessions.closed
    while not closed["slow_reader"] and ref <= 60_000:
        for _ in range(0 if slow.full else 80):
            slow.order(ref := ref + 1, symbol)
        bed.turn()
    bed.must(closed["slow_reader"], "a reader that never reads was never closed")
    bed.complete()
    bed.seen.update({"its_orders": ref, "closed": closed["slow_reader"]})
    bed.must(len(bed.recorder.sent) > before, "the trader sent nothing while the client did not read")
    bed.must(bed.counts["breaks"] == 0, "the trader's own connection broke")


def _half_open(bed: TestBed) -> None:
    """More connections than there is room for, each with half a login; then our own is lost, and must find its way in."""
    for number in range(100):
        bed.client().raw(b"\0\x2fLTRADER"[: 1 + number % 9])
        bed.turn()
    bed.relay.reset()
    bed.turn()
    bed.trades()
    bed.publish()
    bed.run(3_500, 10.0)
    bed.calm()
    closed, connections = sum(client.closed for client in bed.clients), len(bed.exchange.connections.open)
    bed.note(*_LOGINS)
    bed.seen.update({"half_open": len(bed.clients), "closed": closed})
    bed.must((closed, connections) == (100, 1), f"{100 - closed} half-open logins are open still")


def _wrong_password(bed: TestBed) -> None:
    """Our own password is wrong; and a client tries ours, a hundred times."""
    bed.until(lambda: not bed.trading, "the trader gives up")
    for number in range(100):
        bed.client().login("TRADER", f"GUESS{number}")
        bed.turn()
    bed.run(100)
    closed = bed.exchange.sessions.closed["login_rejected"]
    bed.seen.update({"rejected": closed, "logins": bed.exchange.sessions.counts["logins"], "sent": len(bed.recorder.sent)})
    refused = sum(bytes(client.received[:4]) == b"\0\x02JA" and client.closed for client in bed.clients)
    bed.must(closed == 101 and refused == 100, f"of 101 wrong passwords {closed} were rejected, {refused} of 100 got the answer")
    refused_by = bed.trader.gateway.state
    bed.must(refused_by is GatewayState.REFUSED and bed.trader.failed, f"the trader does not report it, but {refused_by}")
    bed.must(not bed.seen["logins"] and not bed.seen["sent"], "somebody was logged in, or an order left")


FAULTS = (
    Fault("TCP reset in an order", "the connection breaks within an order, three times", partial(_cut, "cut_up"), begins=0,
        rate=1_000),
    Fault("TCP reset in an answer", "the connection breaks within an answer, three times", partial(_cut, "cut_down"), begins=0,
        rate=1_000),
    Fault("late answers", "answers are held back for a third of the feed", _late_answers),
    Fault("silent exchange", "the connection stands, and nothing comes on it any more", _silent_exchange),
    Fault(
        "slow reader", "a client sends orders, and never reads", _slow_reader,
        exchange={"backlog": 500, "inbound_rate": 1e7, "inbound_burst": 10_000_000},
    ),
    Fault("half-open logins", "100 connections with half a login, then ours breaks", _half_open,
        exchange={"login_timeout_s": 2.0}),
    Fault("unanswered login", "our connections are taken, our logins not answered", _unanswered_login),
    Fault(
        "wrong password", "ours is wrong, and a client guesses 100 times", _wrong_password, begins=0, ends=Ends.REFUSED,
        exchange={"wait": 0}, trader={"password": "WR0NG0NE"}, retraces=False,
    ),
)  # fmt: skip
