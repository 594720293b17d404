"""Run a trader's day again from its journal and the feed: the same orders, or the journal does not explain them.

A journal line says between which two messages of the feed it happened. What the exchange reported, when nothing could be traded
and which orders were withheld is told to a new engine at the same places; everything it decides on must then be what was decided.
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
from hftlab.net.trader.book_keeping import BookKeeping
from hftlab.protocols import ouch


@dataclass
class Retraced:
    """orders : the bytes of every order that left, in turn; live, books : engine and books as they stand after the last line."""

    live: LiveSession
    books: BookKeeping
    orders: list[bytes] = field(default_factory=list)


def retrace(journal: str | os.PathLike[str], feed: Feed, backend: str | Backend | Engine = "auto", **options: Any) -> Retraced:
    """The latest day of a journal once more, over the feed that it was; engine and options as the trader had them.

    raises : ConfigError for a journal that cannot be read
    """
    day = list(read_log(journal))
    start = max((number for number, line in enumerate(day) if line["event"] == "start"), default=0)
    live = LiveSession(backend, **options)
    live.suspend(None, True)
    found, rest = Retraced(live, BookKeeping(live)), messages(feed)
    for line in day[start:]:
        if line["event"] == "restart":
            rest = messages(feed)
            _anew(found)
        _until(found, rest, int(line["messages"]))
        _tell(found, line)
    return found


def _until(found: Retraced, rest: Iterator[tuple[int, bytes]], count: int) -> None:
    """Messages of the feed, until so many have been run."""
    while found.live.messages < count and (following := next(rest, None)):
        for raw in found.live.feed(following[1]):
            found.books.positions.sent(raw)
            found.orders.append(raw)


def _anew(found: Retraced) -> None:
    found.live = LiveSession(found.live.engine, first_ref=found.live.next_order_id)
    found.live.suspend(None, True)
    found.books.attach(found.live)


def _tell(found: Retraced, line: dict[str, Any]) -> None:
    """What one line says, to the engine."""
    books, event = found.books, line["event"]
    if event in ("held", "trading"):
        found.live.suspend(None, event == "held")
    elif event == "kill":
        found.live.kill_switch(True)
    elif event == "in":
        books.hear(_message(line["message"]), _silent)
    elif event == "down":
        books.broken()
    elif event == "settled":
        books.settled(line.get("next", 0), _silent)
    elif event == "ended":
        books.session_over(_silent)
    elif event == "reconciled":
        books.reconcile(_silent)
    elif event == "order" and line["state"] == "withheld":
        books.tell(books.positions.ended(books.positions.orders[line["ref"]], "withheld", line["reason"]))
        found.orders = [raw for raw in found.orders if int.from_bytes(raw[1:5], "big") != line["ref"]]
    if event == "order" and (order := books.positions.orders.get(line["ref"])) and "instrument" in line:
        order.instrument = books.instruments[order.symbol] = line["instrument"]


def _message(said: dict[str, Any]) -> ouch.Message:
    kind: type[ouch.Message] = getattr(ouch, said["type"])
    return kind(**{name: said[name] for name in kind.CODES})


def _silent(*_: object, **__: object) -> None:
    """Nothing is noted down twice."""
