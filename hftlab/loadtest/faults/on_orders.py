"""Faults of the order connection, and of those who share the exchange with us."""

from __future__ import annotations

import socket

from hftlab.loadtest.faults.rig import ACCOUNTS, Fault, Rig
from hftlab.loadtest.faults.rivals import Rival

_RIVAL = ("RIVAL", ACCOUNTS["RIVAL"])
_SMALL_BUFFER = 4_096


def _reset_in_an_order(rig: Rig) -> None:
    _cut(rig, "cut_up")


def _reset_in_an_answer(rig: Rig) -> None:
    _cut(rig, "cut_down")


def _cut(rig: Rig, which: str) -> None:
    """Three times in one session."""
    for share in (0.25, 0.5, 0.75):
        rig.publish(share)
        if share == 0.25:
            rig.inject()
        resets = rig.relay.resets
        setattr(rig.relay, which, True)
        rig.until(lambda: rig.relay.resets > resets, "a packet is cut")  # noqa: B023 - called at once
        rig.trades()
    rig.publish()
    rig.calm()
    _logins(rig)
    rig.must(rig.seen["resets"] == 3 and rig.seen["logins"] == 4, "the connection was to break and come back three times")


def _late_answers(rig: Rig) -> None:
    rig.publish(1 / 3)
    rig.inject()
    rig.relay.hold = True
    rig.publish(2 / 3)
    rig.seen["unanswered"] = len(rig.trader.orders.open)
    rig.relay.hold = False
    rig.publish()
    rig.calm()
    rig.must(rig.seen["unanswered"] > 1, "the fault did not happen: no order waited for its answer")
    rig.must(rig.trader.gateway.counts["breaks"] == 0, "the connection broke")


def _silent_exchange(rig: Rig) -> None:
    rig.publish(1 / 3)
    rig.inject()
    rig.relay.hold = True
    rig.until(lambda: rig.trader.gateway.counts["breaks"], "the trader gives up a connection that says nothing", 40_000, 20.0)
    rig.relay.hold = False
    rig.relay.reset()
    rig.trades()
    rig.publish()
    rig.calm()
    _logins(rig)


def _slow_reader(rig: Rig) -> None:
    """A rival that never reads what it is told: it is closed, its orders with it, and nobody else notices."""
    symbol = sorted(name.decode().strip() for name in rig.exchange.matcher.tick.names.values())[0]
    rig.publish(1 / 3)
    rig.inject()
    slow, ref = Rival(rig.exchange.addresses["orders"], reads=False, buffer=_SMALL_BUFFER), 0
    rig.rivals.append(slow)
    slow.login(*_RIVAL)
    rig.until(lambda: "RIVAL" in rig.exchange.sessions.open, "the rival is logged in")
    for connection in rig.exchange.connections.open:  # else the system keeps half a megabyte for it first
        if connection.session.account == "RIVAL":
            connection.link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL_BUFFER)
    before = len(rig.witness.sent)
    while not rig.exchange.sessions.closed["slow_reader"]:
        for _ in range(0 if slow.full else 80):
            slow.order(ref := ref + 1, symbol)
        rig.turn()
        if ref > 60_000:
            rig.must(False, "a reader that never reads was never closed")
            break
    rig.publish()
    rig.calm()
    rig.seen.update({"its_orders": ref, "closed": rig.exchange.sessions.closed["slow_reader"]})
    rig.must(len(rig.witness.sent) > before, "the trader sent nothing while the rival did not read")
    rig.must(rig.trader.gateway.counts["breaks"] == 0, "the trader's own connection broke")


def _half_open(rig: Rig) -> None:
    """More connections than there is room for, each with half a login; then our own is lost, and must find its way in."""
    rig.publish(1 / 3)
    rig.inject()
    address = rig.exchange.addresses["orders"]
    for number in range(100):
        rig.rivals.append(Rival(address))
        rig.rivals[-1].raw(b"\0\x2fLTRADER"[: 1 + number % 9])
        rig.turn()
    rig.relay.reset()
    rig.turn()
    rig.trades()
    rig.publish()
    rig.run(3_500, 10.0)
    rig.calm()
    gone, connections = sum(rival.gone for rival in rig.rivals), rig.exchange.connections
    _logins(rig)
    rig.seen.update({"half_open": len(rig.rivals), "closed": gone})
    rig.must(gone == len(rig.rivals) and len(connections.open) == 1, f"{len(rig.rivals) - gone} half-open logins are open still")


def _unanswered_login(rig: Rig) -> None:
    """Our own login goes unanswered, twice."""
    rig.publish(1 / 3)
    rig.inject()
    rig.relay.swallow = True
    rig.relay.reset()
    rig.until(lambda: rig.relay.taken >= 3, "another connection is tried", 60_000, 20.0)
    rig.relay.swallow = False
    rig.trades()
    rig.publish()
    rig.calm()
    _logins(rig)


def _wrong_password(rig: Rig) -> None:
    """Our own password is wrong; and a rival tries ours, a hundred times."""
    rig.inject()
    rig.until(lambda: not rig.trading, "the trader gives up")
    for number in range(100):
        rig.rivals.append(Rival(rig.exchange.addresses["orders"]))
        rig.rivals[-1].login("TRADER", f"GUESS{number}")
        rig.turn()
    rig.run(100)
    closed = rig.exchange.sessions.closed["login_rejected"]
    rig.seen.update({"rejected": closed, "logins": rig.exchange.sessions.counts["logins"], "sent": len(rig.witness.sent)})
    refused = sum(bytes(rival.heard[:4]) == b"\0\x02JA" and rival.gone for rival in rig.rivals)
    rig.must(closed == 101 and refused == 100, f"of 101 wrong passwords {closed} were rejected, {refused} of 100 told so")
    rig.must("not authorised" in rig.trader.failed, f"the trader does not say so, but {rig.trader.failed!r}")
    rig.must(not rig.seen["logins"] and not rig.seen["sent"], "somebody was logged in, or an order left")


def _logins(rig: Rig) -> None:
    counts = rig.trader.gateway.counts
    rig.seen.update({"resets": rig.relay.resets, "logins": counts["logins"], "connections": counts["connections"]})


FAULTS = (
    Fault("TCP reset in an order", "the connection breaks within an order, three times", _reset_in_an_order, rate=1_000),
    Fault("TCP reset in an answer", "the connection breaks within an answer, three times", _reset_in_an_answer, rate=1_000),
    Fault("late answers", "answers are held back for a third of the feed", _late_answers),
    Fault("silent exchange", "the connection stands, and nothing comes on it any more", _silent_exchange),
    Fault(
        "slow reader", "a rival sends orders, and never reads", _slow_reader,
        exchange={"backlog": 500, "inbound_rate": 1e7, "inbound_burst": 10_000_000},
    ),
    Fault("half-open logins", "100 connections with half a login, then ours breaks", _half_open,
        exchange={"login_timeout_s": 2.0}),
    Fault("unanswered login", "our connections are taken, our logins not answered", _unanswered_login),
    Fault(
        "wrong password", "ours is wrong, and a rival guesses 100 times", _wrong_password, ends="refused",
        exchange={"wait": 0}, trader={"password": "WR0NG0NE"}, retraces=False,
    ),
)  # fmt: skip
