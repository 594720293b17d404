"""Named checks: a few messages, a few requests, and the fills that first in, first out gives. `run_checks` asks any simulator.

Each is a rule that simulators are known to break. `name` says which; what a wrong one gave stands beside what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from hftlab.errors import HftlabError
from hftlab.events import EVENT_DTYPE, Kind, Side
from hftlab.feeds.feed import EventFeed
from hftlab.fills.accounts import Account, FeeSchedule
from hftlab.fills.requests import Action, Reason, TimeInForce, requests
from hftlab.fills.simulation import Fills

BID, ASK = Side.BID, Side.ASK
ADD, EXECUTE, CANCEL, DELETE = Kind.ADD, Kind.EXECUTE, Kind.CANCEL, Kind.DELETE
REPLACE, TRADE, CLEAR = Kind.REPLACE, Kind.TRADE, Kind.CLEAR
QUEUE, THROUGH, TAKE = Reason.QUEUE, Reason.THROUGH, Reason.TAKE
#: (kind, order, side, price, qty) or with a new order; each message one second after the one before.
Row = tuple[Any, ...]


@dataclass(frozen=True)
class FillCheck:
    """One rule. sent: requests, `after` the message of that number; fills: (our order, message, shares, reason)."""

    name: str
    rule: str
    messages: tuple[Row, ...]
    sent: tuple[dict[str, Any], ...]
    fills: tuple[tuple[int, int, int, int], ...]
    ends: tuple[bool, ...] | None = None

    def feed(self) -> EventFeed:
        """The messages as a feed of one instrument."""
        rows = [
            (i + 1, row[1], row[5] if len(row) > 5 else 0, row[3], row[4], 1, row[0], row[2])
            for i, row in enumerate(self.messages)
        ]
        ends = None if self.ends is None else np.array(self.ends)
        return EventFeed(np.array(rows, EVENT_DTYPE), symbols=("", "TEST"), name=self.name, event_end=ends)

    def ask(self, simulate: Callable[..., Fills]) -> str:
        """What is wrong, or "" if nothing is."""
        sent = requests([{"instrument": 1, "time_ns": 0, **row} for row in self.sent])
        got = tuple(simulate(self.feed(), sent).fills[["order_id", "index", "qty", "reason"]].tolist())
        return "" if got == self.fills else f"fills must be {self.fills}, got {got}"


def _bid(order_id: int, after: int, qty: int = 2, price: int = 100, **more: Any) -> dict[str, Any]:
    return {"order_id": order_id, "after": after, "side": BID, "price": price, "qty": qty, **more}


FIRST, SECOND = (ADD, 1, BID, 100, 5), (ADD, 2, BID, 100, 5)
CHECKS = (
    FillCheck(
        "first_in_first_out",
        "an order behind ours is executed: ours would have been hit first",
        (FIRST, SECOND, (EXECUTE, 1, 0, 0, 5), (EXECUTE, 2, 0, 0, 3)),
        (_bid(9, 0),),
        ((9, 3, 2, QUEUE),),
    ),
    FillCheck(
        "partial_fills",
        "what is executed behind ours fills it share by share",
        (FIRST, SECOND, (EXECUTE, 1, 0, 0, 5), (EXECUTE, 2, 0, 0, 1), (EXECUTE, 2, 0, 0, 1), (EXECUTE, 2, 0, 0, 1)),
        (_bid(9, 0),),
        ((9, 3, 1, QUEUE), (9, 4, 1, QUEUE)),
    ),
    FillCheck(
        "growth_loses_place",
        "an order that was ahead and grows goes to the back: its next execution is ours",
        (FIRST, SECOND, (REPLACE, 1, 0, 100, 9, 1), (EXECUTE, 1, 0, 0, 2)),
        (_bid(9, 0),),
        ((9, 3, 2, QUEUE),),
    ),
    FillCheck(
        "shrink_keeps_place",
        "an order that was ahead and shrinks is still ahead: its execution is not ours",
        (FIRST, SECOND, (CANCEL, 1, 0, 0, 2), (EXECUTE, 1, 0, 0, 3), (EXECUTE, 2, 0, 0, 1)),
        (_bid(9, 0),),
        ((9, 4, 1, QUEUE),),
    ),
    FillCheck(
        "cancel_of_a_stranger",
        "a cancel elsewhere in the queue puts nobody at the front",
        (
            FIRST,
            SECOND,
            (ADD, 3, BID, 100, 5),
            (DELETE, 3, 0, 0, 0),
            (CANCEL, 2, 0, 0, 1),
            (EXECUTE, 1, 0, 0, 5),
            (EXECUTE, 2, 0, 0, 4),
        ),
        (_bid(9, 1),),
        (),
    ),
    FillCheck(
        "snapshot_keeps_place",
        "a snapshot that brings the same orders back does not change who is ahead",
        (FIRST, (CLEAR, 0, 0, 0, 0), FIRST, SECOND, (EXECUTE, 1, 0, 0, 5), (EXECUTE, 2, 0, 0, 2)),
        (_bid(9, 0),),
        ((9, 5, 2, QUEUE),),
    ),
    FillCheck(
        "fill_before_its_cancel",
        "a TRADE that names a resting order is its fill; the CANCEL that follows is not another",
        (FIRST, SECOND, (TRADE, 1, BID, 100, 5), (CANCEL, 1, 0, 0, 5), (TRADE, 2, BID, 100, 1), (CANCEL, 2, 0, 0, 1)),
        (_bid(9, 0),),
        ((9, 4, 1, QUEUE),),
    ),
    FillCheck(
        "aggressor_named_in_a_trade",
        "a TRADE at another price than that of the order it names is no fill of its queue",
        (FIRST, SECOND, (TRADE, 2, BID, 101, 5), (CANCEL, 2, 0, 0, 5)),
        (_bid(9, 0),),
        (),
    ),
    FillCheck(
        "refused_execution",
        "an execution that the book refuses fills nobody",
        (FIRST, SECOND, (EXECUTE, 2, 0, 0, 6), (EXECUTE, 7, 0, 0, 5)),
        (_bid(9, 0),),
        (),
    ),
    FillCheck(
        "traded_through",
        "the other side reaches our price: all of ours is gone",
        (FIRST, (ADD, 2, ASK, 102, 5), (DELETE, 1, 0, 0, 0), (ADD, 3, ASK, 100, 1)),
        (_bid(9, 0),),
        ((9, 3, 2, THROUGH),),
    ),
    FillCheck(
        "through_at_the_end_of_an_event",
        "within an exchange event the book may cross for a moment: that is not the other side reaching us",
        (FIRST, (ADD, 3, ASK, 100, 1), (DELETE, 3, 0, 0, 0)),
        (_bid(9, 0),),
        (),
        ends=(True, False, True),
    ),
    FillCheck(
        "one_share_for_two",
        "a share that is executed fills the first of ours, and not the second with it",
        (FIRST, (EXECUTE, 1, 0, 0, 5), (ADD, 2, BID, 100, 5), (EXECUTE, 2, 0, 0, 3)),
        (_bid(8, 0), _bid(9, 0)),
        ((8, 3, 2, QUEUE), (9, 3, 1, QUEUE)),
    ),
    FillCheck(
        "take_each_share_once",
        "what one of ours took is not there for the next",
        ((ADD, 1, ASK, 101, 3), (ADD, 2, ASK, 102, 5)),
        (_bid(8, 1, 2, 101, tif=TimeInForce.IOC), _bid(9, 1, 4, 102, tif=TimeInForce.IOC)),
        ((8, 2, 2, TAKE), (9, 2, 1, TAKE), (9, 2, 3, TAKE)),
    ),
    FillCheck(
        "replace_goes_to_the_back",
        "one of ours that is replaced stands behind who came meanwhile",
        (FIRST, SECOND, (EXECUTE, 1, 0, 0, 5), (EXECUTE, 2, 0, 0, 5), (ADD, 3, BID, 100, 5), (EXECUTE, 3, 0, 0, 1)),
        (_bid(8, 0), _bid(8, 1, 2, 100, action=Action.REPLACE, new_order_id=9)),
        ((9, 5, 1, QUEUE),),
    ),
    FillCheck(
        "canceled_is_over",
        "what was taken back is not filled, and what is left of it is",
        (FIRST, SECOND, (EXECUTE, 1, 0, 0, 5), (EXECUTE, 2, 0, 0, 5)),
        (
            _bid(8, 0),
            _bid(9, 0),
            {"order_id": 8, "after": 1, "action": Action.CANCEL},
            {"order_id": 9, "after": 1, "action": Action.CANCEL, "qty": 1},
        ),
        ((9, 3, 1, QUEUE),),
    ),
)
#: The check of the accounts: its fees are those of the schedule, once.
FEES_ONCE = "fees_once"


def run_checks(simulate: Callable[..., Fills], account: type[Account] = Account) -> dict[str, str]:
    """Ask a simulator, and an account, every check: name -> what is wrong; empty if nothing is.

    simulate : as `hftlab.fills.simulation.simulate`, called with a feed and requests
    """
    wrong = {check.name: check.ask(simulate) for check in CHECKS}
    wrong[FEES_ONCE] = fees_once(account)
    return {name: text for name, text in wrong.items() if text}


def fees_once(account: type[Account] = Account) -> str:
    """What is wrong with the money of three fills, or ""."""
    rows = [(1, BID, 100_0000, 200, QUEUE), (1, ASK, 100_0100, 100, TAKE), (2, ASK, 7, 3, THROUGH)]
    fills = np.zeros(len(rows), [("instrument", "<u2"), ("side", "u1"), ("price", "<i8"), ("qty", "<u4"), ("reason", "u1")])
    fills[:] = rows
    booked = account(10_000, fees=FeeSchedule("test", maker=Decimal("-0.002"), taker=Decimal("0.003")))
    booked.book_all(fills)
    try:
        booked.reconcile(fills)
    except HftlabError as error:
        return str(error)
    return ""
