"""The journal: run a trader's day again from it and the feed: the same orders, or the journal does not explain them.

A journal line says between which two messages of the feed it happened. What the exchange reported, when nothing could be traded
and which orders were withheld is given to a new engine at the same places; it must then decide what was decided.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.live import LiveSession
from hftlab.engine.session import Backend
from hftlab.feeds.feed import Feed
from hftlab.net.exchange.audit import read_log
from hftlab.net.exchange.publisher import messages
from hftlab.net.trader.gateway import EventKind
from hftlab.net.trader.order_manager import OrderManager, OrderState
from hftlab.protocols import ouch


@dataclass
class Replay:
    """sent : the bytes of every order that left, in turn; live, orders : engine and orders as they stand after the last line."""

    live: LiveSession
    orders: OrderManager
    sent: list[bytes] = field(default_factory=list)


def replay_journal(
    journal: str | os.PathLike[str] | bytes, feed: Feed, backend: str | Backend | Engine = "auto", **options: Any
) -> Replay:
    """The latest day of a journal once more, over the feed that it was; engine and options as the trader had them.

    raises : ConfigError for a journal that cannot be read
    """
    day = list(read_log(journal))
    start = max((number for number, line in enumerate(day) if line["event"] == "start"), default=0)
    live = LiveSession(backend, **options)
    live.suspend(None, True)
    # Nothing is noted down twice.
    replay, rest = Replay(live, OrderManager(live, lambda *_, **__: None)), messages(feed)
    for line in day[start:]:
        if line["event"] == "restart":
            rest = messages(feed)
            _restart(replay)
        _run_until(replay, rest, int(line["messages"]))
        _apply(replay, line)
    return replay


def _run_until(replay: Replay, rest: Iterator[tuple[int, bytes]], count: int) -> None:
    """Messages of the feed, until this many have been run."""
    while replay.live.messages < count and (message := next(rest, None)):
        for raw in replay.live.feed(message[1]):
            replay.orders.sent(raw)
            replay.sent.append(raw)


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
        orders.on_message(_message(line["message"]))
    elif event == EventKind.DOWN.value:
        orders.disconnected()
    elif event == EventKind.SETTLED.value:
        orders.resynced(line.get("next", 0))
    elif event == EventKind.ENDED.value:
        orders.session_ended()
    elif event == EventKind.GONE.value:
        orders.session_lost()
    elif event == "reconciled":
        orders.reconcile()
    elif event == "order" and line["state"] == OrderState.WITHHELD.value:
        orders.withheld(orders.by_ref[line["ref"]], line["reason"])
        replay.sent = [raw for raw in replay.sent if int.from_bytes(raw[1:5], "big") != line["ref"]]
    if event == "order" and (order := orders.by_ref.get(line["ref"])) and "instrument" in line:
        order.instrument = orders.instruments[order.symbol] = line["instrument"]


def _message(values: dict[str, Any]) -> ouch.Message:
    kind: type[ouch.Message] = getattr(ouch, values["type"])
    return kind(**{name: values[name] for name in kind.CODES})
