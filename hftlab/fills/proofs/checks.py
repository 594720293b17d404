"""Named checks: a few messages, a few requests, and the fills that first in, first out gives. `run_checks` asks any simulator.

Each is a rule that simulators are known to break. `name` says which; what a wrong one gave stands beside what is right.
`prove(feed)` repeats every proof of the simulator that a machine can repeat in seconds, a row each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine, decode
from hftlab.engine.session import backends
from hftlab.errors import HftlabError, check_whole
from hftlab.events import EVENT_DTYPE, Kind, Side
from hftlab.feeds.feed import EventFeed, Feed
from hftlab.fills.accounts import SCHEDULES, Account, FeeSchedule
from hftlab.fills.attempts import decide
from hftlab.fills.delays import constant
from hftlab.fills.proofs.oracle import leave_one_out, oracle
from hftlab.fills.proofs.planted import exact, planted_value, same_against_same, simulated
from hftlab.fills.requests import Action, Reason, TimeInForce, requests
from hftlab.fills.simulation import Fills, exchange_events, simulate
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import StoredResult

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


#: Messages of the feed that the slower proofs look at.
HEAD = 3_000


@dataclass(frozen=True)
class Proof:
    """One question. found: what came out; bar: what must; holds: whether it does."""

    name: str
    found: str
    bar: str
    holds: bool


@dataclass(frozen=True, repr=False)
class Proofs(StoredResult):
    """The proofs of the simulator on one feed, and on generated markets."""

    schema = "hftlab-proofs/1"
    feed: str
    rows: tuple[Proof, ...]

    def records(self) -> list[dict[str, Any]]:
        """One per proof: name, found, bar, holds."""
        return [{name: getattr(row, name) for name in ("name", "found", "bar", "holds")} for row in self.rows]

    def headline(self) -> str:
        return f"{sum(row.holds for row in self.rows)} of {len(self.rows)} proofs of the simulator hold"

    def tables(self) -> list[Table]:
        rows = [(row.name, row.found, row.bar, "yes" if row.holds else "NO") for row in self.rows]
        return [table("Why the fills may be believed", ("proof", "found", "must be", "holds"), rows, words=4)]


def prove(feed: Feed, *, seeds: int = 4, backend: str = "auto") -> Proofs:
    """Repeat the proofs: named rules, the exchange as oracle, orders left out, both simulators, planted values, the known limit.

    seeds : of the planted markets, 1 to 1000
    """
    check_whole("seeds", seeds, 1, 1_000)
    market = (_oracle(feed), _left_out(feed, backend), _twins(feed))
    return Proofs(feed.name, tuple(chain(_rules(backend), *market, _planted(seeds, backend), _limit(backend))))


def _rules(backend: str) -> Iterator[Proof]:
    wrong = run_checks(lambda feed, sent: simulate(feed, sent, backend=backend))
    broken = ", ".join(wrong) or "none"
    yield Proof(f"{len(CHECKS) + 1} rules of the queue and of money, by name", f"broken: {broken}", "broken: none", not wrong)


def _oracle(feed: Feed) -> Iterator[Proof]:
    result = oracle(feed)
    named = sum(n for name, n in result.exceptions.items() if name != "stayed")
    exceptions = "".join(f"; {name} {n:,}" for name, n in result.exceptions.items())
    found = f"{result.front:,} of {result.executions:,}{exceptions}"
    holds = result.front + named >= 0.995 * result.executions
    yield Proof("executions hit the order predicted", found, "all but classified ones", holds)


def _left_out(feed: Feed, backend: str) -> Iterator[Proof]:
    result = leave_one_out(feed.head(HEAD), orders=20, backend=backend)
    found = f"{result.equal:,} of {result.tested:,}, {result.fills:,} executions"
    yield Proof("orders left out and put back get their own fills", found, "all", result.equal == result.tested)


def _twins(feed: Feed) -> Iterator[Proof]:
    """Both simulators, and an account that reconciles."""
    events = decode(feed)
    try:
        _, attempts = decide(feed, events, exchange_events(feed, len(events)), "join", 100, "exchange", Engine(until="book"))
    except HftlabError:
        return
    sent = attempts.requests([constant(0), constant(100_000)], 5_000_000_000, 1)
    python = simulate(feed, sent, backend="python")
    account = python.account(fees=SCHEDULES["us-maker-taker"])
    account.reconcile(python.fills[python.fills["world"] == 0])
    n = len(python.fills)
    yield Proof("position, cash and fees reconcile to the unit", f"{n:,} fills", "to the unit", True)
    if any(info.name == "rust" and info.available for info in backends()):
        rust = simulate(feed, sent, backend="rust")
        same = python.fills.tobytes() == rust.fills.tobytes() and python.orders.tobytes() == rust.orders.tobytes()
        yield Proof("the Python and the Rust simulator", f"{n:,} fills {'identical' if same else 'DIFFER'}", "identical", same)


def _planted(seeds: int, backend: str) -> Iterator[Proof]:
    result = planted_value(seeds, backend=backend)
    n = len(result.rows) * seeds
    found = f"within {result.worst_error:.1%}; {result.coverage:.1%} of {n:,} intervals hold it"
    yield Proof("a planted value is recovered", found, "within 2 % and 93 to 97 % at 100 seeds", result.coverage >= 0.8)
    same = same_against_same(seeds, backend=backend)
    yield Proof("one latency against itself", f"no difference in {same} of {seeds}", "95 of 100", same >= 0.75 * seeds)


def _limit(backend: str) -> Iterator[Proof]:
    ratios = [simulated(0.006, 0.01, dt, 20_000, backend=backend) / exact(0.006, 0.01, dt) for dt in (1e-6, 1e-5, 1e-4, 1e-3)]
    found = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    holds = all(abs(ratio - 1) < 0.05 for ratio in ratios)
    yield Proof("cost of latency on Brownian prices, 1 µs to 1 ms", f"{found} of Moallemi and Saglam's", "within 5 %", holds)
