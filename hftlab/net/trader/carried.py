"""What a trader holds when it starts: the sessions before, as its own journal tells them.

The exchange repeats the session that it has. Of an earlier one only the journal knows: what was executed there is held still, and
what was open and not answered there may have traded. A trader without a journal, or with a new one, starts flat.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hftlab.errors import ConfigError
from hftlab.net.endpoints import System
from hftlab.net.exchange.audit import message_from_dict, read_log
from hftlab.net.trader.gateway import EventKind
from hftlab.net.trader.order_records import Order, OrderRecords, OrderState


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
