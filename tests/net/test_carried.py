"""What a trader knows when it comes back, and what makes it stop: its journal, the end of a session, the breakers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hftlab.errors import ConfigError
from hftlab.net.endpoints import System
from hftlab.net.exchange.audit import AuditLog, message_to_dict
from hftlab.net.exchange.matching import Matcher
from hftlab.net.exchange.sessions import OrderSessions
from hftlab.net.exchange.settings import ExchangeSettings
from hftlab.net.trader.gates import Breakers, HoldReason
from hftlab.net.trader.journal import read_past, records
from hftlab.net.trader.order_records import OrderState
from hftlab.net.trader.settings import MS_NS, TraderSettings
from hftlab.protocols import ouch, soupbintcp
from hftlab.protocols.channel import Bucket

TERMS: dict[str, Any] = {"side": "B", "symbol": "HLAAA", "price": 10_000, "time_in_force": "0", "display": "Y", "capacity": "P"}


def accepted(ref: int, quantity: int = 100) -> ouch.Accepted:
    rest = {"order_reference": ref, "intermarket_sweep": "N", "cross_type": "N"}
    return ouch.Accepted(ts_ns=1, user_ref=ref, quantity=quantity, **TERMS, **rest)


def heard(*messages: ouch.Message) -> list[dict[str, Any]]:
    return [{"event": "in", "message": message_to_dict(message)} for message in messages]


def left(ref: int, quantity: int = 100) -> dict[str, Any]:
    return {"event": "order", "state": "sent", "ref": ref, "symbol": "HLAAA", "side": "B", "quantity": quantity, "limit": 10_000}


def journal(path: Path, *lines: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_a_journal_tells_what_earlier_sessions_have_left(tmp_path: Path) -> None:
    """What the exchange repeats after a login counts once; another account's lines not at all."""
    fill = ouch.Executed(ts_ns=2, user_ref=1, quantity=60, price=10_000, liquidity="R", match_number=7)
    first = [left(1), *heard(accepted(1), fill)]
    path = journal(
        tmp_path / "journal",
        {"event": "start", "account": "TRADER"}, {"event": "up", "why": "DAY1"}, *first, left(2), left(3),
        {"event": "order", "ref": 3, "state": "lost", "reason": "never arrived"},
        {"event": "start", "account": "TRADER"}, {"event": "up", "why": "DAY1"}, *heard(accepted(1), fill),
        {"event": "up", "why": "DAY2"}, left(4), *heard(accepted(4)), {"event": "ended"},
        {"event": "start", "account": "RIVAL"}, {"event": "up", "why": "DAY2"}, left(9),
    )  # fmt: skip
    past = read_past(System(), path, "TRADER")
    one, two = (records(past[name]) for name in ("DAY1", "DAY2"))
    assert list(past) == ["DAY1", "DAY2"]
    assert (dict(one.shares), dict(one.cash)) == ({"HLAAA": 60}, {"HLAAA": -600_000})
    assert [(order.ref, order.left, order.state) for order in one.open] == [
        (1, 40, OrderState.UNKNOWN), (2, 100, OrderState.UNKNOWN),
    ]  # fmt: skip
    assert (two.open, two.by_ref[4].state) == ([], OrderState.CANCELED)


def test_a_journal_that_is_not_there_is_no_past_and_one_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    assert read_past(System(), str(tmp_path / "none"), "TRADER") == {}
    with pytest.raises(ConfigError, match=r"journal .*: cannot be read: Is a directory"):
        read_past(System(), str(tmp_path), "TRADER")


def test_who_logs_in_after_the_end_of_the_session_is_told_so() -> None:
    sessions = OrderSessions(Matcher(), {"TRADER": "SECRET"}, AuditLog(None, ""), ExchangeSettings(session="DAY1"))
    sessions.end(0)
    session = sessions.connect("peer", Bucket(1e6, 1_000), 0)
    sessions.received(session, soupbintcp.login("TRADER", "SECRET"), 0)
    assert session.outgoing().endswith(soupbintcp.packet(soupbintcp.END))
    assert session.closed == "end of session"


def test_the_breakers_open_and_close() -> None:
    breakers = Breakers(TraderSettings(max_rejects=2, rejects_within_ms=10.0, ack_timeout_ms=5.0))
    rejected = [ouch.Rejected(1, ref, 1) for ref in range(4)]
    breakers.answered(rejected[3], 0)  # of an order that is not waited for: repeated after a login
    for ref in (1, 2):
        breakers.sent(ref, 0)
        assert breakers.reason(1) is None
        breakers.answered(rejected[ref], ref)
    assert [breakers.reason(at) for at in (2, 10 * MS_NS, 10 * MS_NS + 1)] == [HoldReason.REJECTS] * 2 + [None]
    breakers.sent(3, 20 * MS_NS)
    assert [breakers.reason(at * MS_NS) for at in (25, 26)] == [None, HoldReason.UNACKNOWLEDGED]
    breakers.disconnected()
    assert breakers.reason(26 * MS_NS) is None
