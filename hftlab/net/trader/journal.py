"""The journal: run a trader's day again from it and the feed: the same orders, or the journal does not explain them.

A journal line says between which two messages of the feed it happened. What the exchange reported, when nothing could be traded
and which orders were withheld is given to a new engine at the same places; it must then decide what was decided.

It also says what a trader holds when it starts again. The exchange repeats the session that it has; of an earlier one only the
journal knows: what was executed there is held still, and what was open and not answered there may have traded. A trader without a
journal, or with a new one, starts flat.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.live import LiveSession
from hftlab.engine.session import Backend
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.net.endpoints import System
from hftlab.net.exchange.audit import message_from_dict, read_log
from hftlab.net.exchange.matching import Matcher
from hftlab.net.exchange.publisher import Publisher, messages
from hftlab.net.exchange.settings import ExchangeSettings
from hftlab.net.exchange.snapshots import take_snapshot
from hftlab.net.trader.gateway import EventKind
from hftlab.net.trader.order_manager import OrderManager
from hftlab.net.trader.order_records import Order, OrderRecords, OrderState
from hftlab.protocols import ouch
from hftlab.protocols.moldudp64 import frame
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES
from hftlab.settings import OrderConfig, RiskConfig, SignalConfig


@dataclass
class Replay:
    """A day run again.

    sent         : the bytes of every order that left, in turn
    noted        : the orders that left by the journal: (UserRefNum, symbol, side, quantity, limit)
    live, orders : engine and orders as they stand after the last line
    """

    live: LiveSession
    orders: OrderManager
    sent: list[bytes] = field(default_factory=list)
    noted: list[tuple[int, str, str, int, int]] = field(default_factory=list)

    @property
    def first_difference(self) -> int | None:
        """The place of the first order that the journal does not explain; None where all are the same."""
        again = [ouch.EnterOrder.decode(raw[:ENTER_ORDER_BYTES]) for raw in self.sent]
        found = [(order.user_ref, order.symbol, order.side, order.quantity, order.price) for order in again]
        pairs = zip_longest(found, self.noted)
        return next((place for place, (one, other) in enumerate(pairs) if one != other), None)


def replay_journal(
    journal: str | os.PathLike[str] | bytes, feed: Feed, backend: str | Backend | Engine = "auto", **options: Any
) -> Replay:
    """The latest day of a journal once more, over the feed that it was.

    backend : the engine; options : as the trader had them, by default as the journal says
    raises : ConfigError for a journal that cannot be read
    """
    day = list(read_log(journal))
    start = max((number for number, line in enumerate(day) if line["event"] == "start"), default=0)
    if not isinstance(backend, Engine):
        options = _constants(day[start] if day else {}) | options
    live = LiveSession(backend, **options)
    live.suspend(None, True)
    # Nothing is noted down twice.
    replay, rest = Replay(live, OrderManager(live, lambda *_, **__: None)), messages(feed)
    for line in day[start:]:
        if line["event"] == "restart":
            rest = messages(feed)
            _restart(replay)
        if line["event"] == "snapshot":
            rest = _begin(replay, feed, int(line["next"]))
        _run_until(replay, rest, int(line["messages"]))
        _apply(replay, line)
    return replay


def _constants(line: dict[str, Any]) -> dict[str, Any]:
    """What the trader's engine decided by, as the first line of its day says."""
    kinds = {"signal_config": SignalConfig, "order_config": OrderConfig, "risk_config": RiskConfig}
    plain = {
        name: {key: tuple(v) if isinstance(v, list) else v for key, v in line[name].items()} for name in kinds if name in line
    }
    return {name: kinds[name](**values) for name, values in plain.items()}


def _run_until(replay: Replay, rest: Iterator[tuple[int, bytes]], count: int) -> None:
    """Messages of the feed, until this many have been run."""
    while replay.live.messages < count and (message := next(rest, None)):
        for order in replay.live.feed(message[1]):
            replay.orders.sent(order.wire)
            replay.sent.append(order.wire)


def _begin(replay: Replay, feed: Feed, number: int) -> Iterator[tuple[int, bytes]]:
    """The snapshot that the trader had before this message of the feed; returns the messages from there on."""
    publisher, matcher = Publisher(feed, b"", ExchangeSettings()), Matcher()
    for framed in publisher.skip(number):
        matcher.feed(framed, publisher.ts_ns)
    replay.live.feed(b"".join(map(frame, take_snapshot(publisher, matcher)[:-1])))
    return islice(messages(feed), number - 1, None)


def _restart(replay: Replay) -> None:
    replay.live = LiveSession(replay.live.engine, first_ref=replay.live.next_order_id)
    replay.live.suspend(None, True)
    replay.orders.attach(replay.live)


def _apply(replay: Replay, line: dict[str, Any]) -> None:
    """What one line says, to the engine."""
    orders, event = replay.orders, line["event"]
    if event in ("held", "trading"):
        replay.live.suspend(None, event == "held")
    elif event == "kill":
        replay.live.kill_switch(True)
    elif event == "in":
        orders.on_message(message_from_dict(line["message"]))
    elif event == EventKind.DOWN.value:
        orders.disconnected()
    elif event == EventKind.SETTLED.value:
        orders.resynced(line.get("next", 0))
    elif event == EventKind.ENDED.value:
        orders.session_ended()
    elif event == EventKind.GONE.value:
        orders.session_lost()
    elif event == "carried":
        past = OrderRecords()
        past.shares.update(line["shares"])
        past.cash.update(line["cash"])
        for row in line["orders"]:
            past.add(Order(*row)).state = OrderState.UNKNOWN
        orders.carry_over(past, line["last"])
    elif event == "reconciled":
        orders.reconcile()
    elif event == "order" and line["state"] == OrderState.WITHHELD.value:
        orders.withheld(orders.by_ref[line["ref"]], line["reason"])
        replay.sent = [raw for raw in replay.sent if int.from_bytes(raw[1:5], "big") != line["ref"]]
    if event == "order" and line["state"] == OrderState.SENT.value and "symbol" in line:
        replay.noted.append((line["ref"], line["symbol"], line["side"], line["quantity"], line["limit"]))
    if event == "order" and (order := orders.by_ref.get(line["ref"])) and "instrument" in line:
        order.instrument = orders.instruments[order.symbol] = line["instrument"]


# What earlier sessions have left ---------------------------------------------------------------------------------------------


@dataclass
class PastSession:
    """One order session by the lines of a journal.

    sent     : the orders that left, by UserRefNum; lost : those that never arrived
    messages : those of the exchange, by their text, each once, though it may have repeated it
    ended    : whether the session has ended in order
    """

    sent: dict[int, Order] = field(default_factory=dict)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    ended: bool = False

    def take(self, line: dict[str, Any]) -> None:
        """One line of the journal that belongs to this session."""
        event = line["event"]
        if event == "in":
            self.messages.setdefault(repr(line["message"]), line["message"])
        elif event == EventKind.ENDED.value:
            self.ended = True
        elif event == "order" and line["state"] == OrderState.SENT.value:
            sign = 1 if line["side"] == "B" else -1
            self.sent[line["ref"]] = Order(line["ref"], line["symbol"], sign, line["quantity"], line["limit"], line["quantity"])
        elif event == "order" and line["state"] == OrderState.LOST.value:
            self.lost.add(line["ref"])


def records(past: PastSession) -> OrderRecords:
    """What was executed in a session, and its orders; those that were open are unknown, for good."""
    out = OrderRecords()
    for order in past.sent.values():
        out.add(order)
    for values in past.messages.values():
        out.apply(message_from_dict(values))
    for ref in past.lost & past.sent.keys():
        past.sent[ref].left = 0
    if past.ended:
        out.end_session()
    out.lose_session()
    return out


def read_past(system: System, journal: str, account: str) -> dict[str, PastSession]:
    """The order sessions of an account in a journal, by name, the oldest first; none where there is no journal yet.

    raises : ConfigError for one that cannot be read: nobody else knows what we hold
    """
    try:
        lines = read_log(system.read(journal))
    except OSError as error:
        raise ConfigError(f"journal {journal}: cannot be read: {error.strerror}") from None
    past, session, ours = dict[str, PastSession](), None, True
    for line in lines:
        if line["event"] == "start":
            session, ours = None, line.get("account", account) == account
        elif line["event"] == EventKind.UP.value and ours:
            session = past.setdefault(line["why"], PastSession())
        elif session is not None:
            session.take(line)
    return past
