"""The contract by hand: small feeds, each about one rule, with what the rule gives beside them.

A case is run by the reference and by the engine under test and compared bit for bit; what is written here is checked of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from hftlab.conformance.checks import CHECKS, Check, EngineUnderTest, check, expect
from hftlab.events import EVENT_DTYPE, Events, Kind, Side
from hftlab.feeds.feed import EventFeed
from hftlab.settings import OrderConfig, RiskConfig, SignalConfig

BID, ASK = int(Side.BID), int(Side.ASK)
SECOND = 1_000_000_000

#: Why an event can be refused, in the order in which the contract tests.
REASONS: dict[Kind, tuple[str, ...]] = {
    Kind.ADD: ("bad_side", "zero_qty", "zero_price", "duplicate_order"),
    Kind.EXECUTE: ("unknown_order", "wrong_instrument", "zero_qty", "excess_qty"),
    Kind.CANCEL: ("unknown_order", "wrong_instrument", "zero_qty", "excess_qty"),
    Kind.DELETE: ("unknown_order", "wrong_instrument"),
    Kind.REPLACE: ("unknown_order", "wrong_instrument", "zero_qty", "zero_price", "duplicate_order"),
}
#: What breaks each rule, as changes to an event that breaks none.
_BREAKS: dict[str, dict[str, int]] = {
    "bad_side": {"side": 3},
    "zero_qty": {"qty": 0},
    "zero_price": {"price": 0},
    "unknown_order": {"order_id": 99},
    "wrong_instrument": {"instrument": 2},
    "excess_qty": {"qty": 101},
}

Row = tuple[int, ...]


def row(kind: Kind, order_id: int = 0, price: int = 0, qty: int = 0, side: int = 0, **more: int) -> Row:
    """One event as a tuple in the order of the record; `more` holds ts_ns, new_order_id and instrument (default 1)."""
    return (more.get("ts_ns", 0), order_id, more.get("new_order_id", 0), price, qty, more.get("instrument", 1), kind, side)


def add(order_id: int, price: int, qty: int, side: int, **more: int) -> Row:
    return row(Kind.ADD, order_id, price, qty, side, **more)


def feed(rows: list[Row], name: str, price_scale: int = 10_000) -> EventFeed:
    """Rows as a feed of two instruments."""
    events: Events = np.array(rows, EVENT_DTYPE)
    return EventFeed(events, symbols=("", "ABC", "DE"), price_scale=price_scale, name=name)


@dataclass(frozen=True)
class Case:
    """One rule: the rows that show it, the settings, and what comes of it.

    gives : attribute of Run -> its value; "orders" the message numbers of the accepted orders, "depth" the book of instrument 1
    """

    name: str
    question: str
    rows: list[Row]
    gives: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    price_scale: int = 10_000

    def ask(self, subject: EngineUnderTest) -> None:
        """Compare with the reference, then with the contract's own numbers."""
        events = feed(self.rows, self.name, self.price_scale)
        subject.same(events, **self.settings)
        if {"orders", "rejects"} & set(self.gives):
            subject.needs("order")
        run = subject.run(events, **self.settings)
        for what, wanted in self.gives.items():
            if what == "orders":
                expect("the message numbers of the orders", run.orders["index"].to_list(), wanted)
            elif what == "depth" and what not in subject.absent:
                expect("the book", run.book("ABC").rows(), wanted)
            elif what != "depth":
                expect(what, getattr(run, what), wanted)


def _broken(kind: Kind) -> Iterator[tuple[Row, str]]:
    """An event for every set of rules that can be broken at once, and the reason that must be given: the first."""
    good = {"order_id": 9 if kind == Kind.ADD else 1, "new_order_id": 8, "price": 100, "qty": 100, "side": BID, "instrument": 1}
    reasons = REASONS[kind]
    for number in range(1, len(reasons) + 1):
        for broken in combinations(reasons, number):
            if {"zero_qty", "excess_qty"} <= set(broken):
                continue
            event = dict(good)
            for reason in broken:
                taken = {"order_id": 2} if kind == Kind.ADD else {"new_order_id": 2}
                event.update(taken if reason == "duplicate_order" else _BREAKS[reason])
            yield row(kind, **event), broken[0]


def _refusals(kind: Kind) -> Check:
    def ask(subject: EngineUnderTest) -> None:
        rows, reasons = zip(*_broken(kind), strict=True)
        setup = [add(1, 100, 100, BID), add(2, 90, 50, BID), add(3, 200, 10, ASK, instrument=2)]
        events = feed([*setup, *rows], f"refusals of {kind.name}")
        subject.same(events)
        run = subject.run(events)
        expect("the list of reasons", run.first_faults["reason"].to_list(), list(reasons))
        if "depth" not in subject.absent:
            expect("the book after refusals alone", run.book("ABC").rows(), [("bid", 100, 100, 1), ("bid", 90, 50, 1)])

    return Check(
        f"refusals_of_{kind.name.lower()}", f"is {kind.name} refused for {', '.join(REASONS[kind])}, in this order?", ask
    )


CHECKS.extend(map(_refusals, REASONS))


@check()
def first_hundred_refusals(subject: EngineUnderTest) -> None:
    """are all refusals counted, and the first hundred kept?"""
    events = feed([row(Kind.DELETE, i) for i in range(1, 131)], "130 unknown orders")
    subject.same(events)
    run = subject.run(events)
    expect("faults", run.faults, {"unknown_order": 130})
    expect("the number of refusals kept", run.first_faults.height, 100)


#: The two sides of instrument 1.
TWO = [add(1, 10_000, 900, BID), add(2, 10_200, 100, ASK)]  # a score of 0.4 and more, a mid of 10,100
_EAGER = {"order_config": OrderConfig(threshold=0.4, lot=100, cooldown=1)}


def _limit(name: str, question: str, broken: dict[str, Any], obeyed: dict[str, Any]) -> Check:
    """A limit just below and exactly at its boundary."""
    refused = Case("", "", TWO, {"rejects": {name: 1}, "orders": []}, {**_EAGER, "risk_config": RiskConfig(**broken)})
    passed = Case("", "", TWO, {"rejects": {}, "orders": [1]}, {**_EAGER, "risk_config": RiskConfig(**obeyed)})

    def ask(subject: EngineUnderTest) -> None:
        refused.ask(subject)
        passed.ask(subject)

    return Check(f"limit_{name}", question, ask, ("order",))


CHECKS += (
    _limit("kill_switch", "does the kill switch refuse everything?", {"kill": True}, {"kill": False}),
    _limit("max_order_qty", "is an order of exactly the limit let through?", {"max_order_qty": 99}, {"max_order_qty": 100}),
    _limit("max_notional", "is the notional quantity times limit price?", {"max_notional": 101}, {"max_notional": 102}),
    _limit("price_collar", "is the collar taken from the mid, in basis points?", {"collar_bps": 99}, {"collar_bps": 100}),
    _limit("position_limit", "is the position that after the fill?", {"position_limit": 99}, {"position_limit": 100}),
)


@check("order")
def first_limit_wins(subject: EngineUnderTest) -> None:
    """is an order that breaks several limits counted once, for the first of them?"""
    limits: dict[str, Any] = {"kill": True, "max_order_qty": 0, "max_notional": 0, "collar_bps": 0, "position_limit": 0}
    names = ("kill_switch", "max_order_qty", "max_notional", "price_collar", "position_limit")
    for first, name in enumerate(names):
        broken = dict(list(limits.items())[first:])
        Case(name, "", TWO, {"rejects": {name: 1}}, {**_EAGER, "risk_config": RiskConfig(**broken)}).ask(subject)


# Rules that one feed shows.

_BEHIND = [add(10 + i, 9_000 - i, 1, BID) for i in range(12)]  # applied events that leave the touch as it is
_QUEUE = [add(i, 100, 10, BID) for i in (1, 2, 3)]
_HALT, _TRADE = row(Kind.STATUS, qty=ord("H")), row(Kind.STATUS, qty=ord("T"))
_ONE_LOT = {"order_config": OrderConfig(threshold=0.4, lot=1, cooldown=4)}
_TIMES = [10, 20, SECOND + 9, SECOND + 10, SECOND + 20]

CASES = [
    Case(
        "partial_fills",
        "does an order keep what is left, and go with its last share?",
        [*_QUEUE, row(Kind.EXECUTE, 1, qty=4), row(Kind.CANCEL, 2, qty=10), row(Kind.EXECUTE, 1, qty=6), row(Kind.DELETE, 1)],
        {"depth": [("bid", 100, 10, 1)], "faults": {"unknown_order": 1}},
    ),
    Case(
        "replace",
        "may a replace keep its id, take a freed one, and move to another price?",
        [
            *_QUEUE,
            row(Kind.REPLACE, 1, 100, 7, new_order_id=1),
            row(Kind.REPLACE, 2, 101, 8, new_order_id=20),
            add(2, 99, 5, BID),
            row(Kind.REPLACE, 20, 101, 2**32 - 1, new_order_id=21),
        ],
        {"depth": [("bid", 101, 2**32 - 1, 1), ("bid", 100, 17, 2), ("bid", 99, 5, 1)], "faults": {}},
    ),
    Case(
        "clear",
        "does CLEAR empty one instrument, free its order ids, and advance its signals?",
        [*TWO, add(3, 500, 5, BID, instrument=2), row(Kind.CLEAR), row(Kind.DELETE, 1), add(1, 50, 5, ASK), row(Kind.DELETE, 3)],
        {"depth": [("ask", 50, 5, 1)], "faults": {"unknown_order": 1, "wrong_instrument": 1}},
    ),
    Case(
        "crossed_book",
        "is a locked or crossed book reported as it is, with a score of 0?",
        [add(1, 100, 5, BID), add(2, 100, 7, ASK), add(3, 90, 8, ASK), add(4, 120, 900, BID), row(Kind.DELETE, 1)],
        {"depth": [("bid", 120, 900, 1), ("ask", 90, 8, 1), ("ask", 100, 7, 1)], "faults": {}},
        {"order_config": OrderConfig(threshold=0.0)},
    ),
    Case(
        "empty_sides",
        "do signals miss an empty side, and find it again?",
        [*TWO, row(Kind.DELETE, 2), row(Kind.DELETE, 1), add(5, 10_400, 5, ASK), add(6, 10_100, 5, BID), row(Kind.DELETE, 6)],
        {"depth": [("ask", 10_400, 5, 1)]},
    ),
    Case(
        "no_instrument",
        "does a message without an instrument leave zeros and NaN, and an order of instrument 0 never reach the strategy?",
        [row(Kind.OTHER, instrument=0), add(1, 100, 900, BID, instrument=0), add(2, 102, 1, ASK, instrument=0)],
        {"faults": {}},
        {"order_config": OrderConfig(threshold=0.0)},
    ),
    Case(
        "events_without_effect",
        "do TRADE, OTHER, STATUS and refusals leave the book and the signals alone?",
        [*TWO, row(Kind.TRADE, 1, 5, 7, BID), row(Kind.OTHER), row(Kind.DELETE, 77), _TRADE, add(3, 10_000, 1, BID)],
        {"faults": {"unknown_order": 1}, "depth": [("bid", 10_000, 901, 2), ("ask", 10_200, 100, 1)]},
    ),
    Case(
        "ofi_flow_volatility",
        "do executions, better and worse prices move the sums that live from event to event?",
        [
            *TWO,
            row(Kind.EXECUTE, 1, qty=50),
            add(3, 10_100, 40, BID),
            row(Kind.EXECUTE, 3, qty=40),
            add(4, 10_150, 30, ASK),
            row(Kind.EXECUTE, 2, qty=100),
            row(Kind.REPLACE, 4, 10_300, 60, new_order_id=5),
        ],
    ),
    Case(
        "levels_of_the_depth",
        "are the best N levels summed, no matter how many there are?",
        [
            *(add(i, 100 - i, i, BID) for i in range(1, 9)),
            *(add(20 + i, 200 + i, i, ASK) for i in range(1, 4)),
            row(Kind.DELETE, 2),
        ],
        settings={"signal_config": SignalConfig(levels=3)},
    ),
    Case(
        "extreme_constants",
        "are a decay of 1, one level and large weights computed as written?",
        [*TWO, row(Kind.EXECUTE, 1, qty=50), *_BEHIND],
        settings={"signal_config": SignalConfig(decay=1.0, k=1e-9, weights=(1e6, -1e6, 0.1, 3.0, -7.0), levels=1)},
    ),
    Case(
        "cooldown",
        "is the cooldown counted in applied events of the instrument, and does an attempt that risk refuses count?",
        [*TWO, *_BEHIND[:2], row(Kind.DELETE, 99), add(50, 1, 1, BID, instrument=2), *_BEHIND[2:]],
        {"orders": [1, 7, 11, 15]},
        _ONE_LOT,
    ),
    Case(
        "cooldown_after_a_refusal",
        "does an attempt that risk refuses start the cooldown?",
        [*TWO, *_BEHIND[:9]],
        {"orders": [], "rejects": {"max_order_qty": 3}},
        {**_ONE_LOT, "risk_config": RiskConfig(max_order_qty=0)},
    ),
    Case(
        "halts",
        "is nothing sent while the instrument is halted, and does the cooldown run on?",
        [_HALT, *TWO, *_BEHIND[:5], _TRADE, *_BEHIND[5:]],
        {"orders": [9, 13]},
        _ONE_LOT,
    ),
    Case(
        "threshold",
        "must the score be beyond the threshold, on either side?",
        [add(1, 10_000, 100, BID), add(2, 10_200, 900, ASK), *_BEHIND[:3], add(3, 10_100, 5_000, BID), *_BEHIND[3:]],
        settings={"order_config": OrderConfig(threshold=0.3, lot=10, cooldown=1)},
    ),
    Case(
        "limit_order_rate",
        "is the rate that of the last second of event time?",
        [TWO[0], add(2, 10_200, 100, ASK), *(add(10 + i, 9_000, 1, BID, ts_ns=ts) for i, ts in enumerate(_TIMES))],
        {"orders": [1, 2, 4, 5], "rejects": {"order_rate": 2}},
        {"order_config": OrderConfig(threshold=0.4, lot=1, cooldown=1), "risk_config": RiskConfig(max_orders_per_sec=2)},
    ),
    Case(
        "order_without_a_name",
        "does an order for an instrument that was never named carry eight spaces?",
        [add(1, 10_000, 900, BID, instrument=7), add(2, 10_200, 100, ASK, instrument=7)],
        {"orders": [1]},
        {"order_config": OrderConfig(threshold=0.4)},
    ),
    Case(
        "fine_prices",
        "are prices finer than OUCH rounded so that the order still reaches the quote?",
        [add(1, 10_000_000_000_001, 900, BID), add(2, 10_000_000_000_003, 100, ASK), *_BEHIND[:1]],
        {"orders": [1], "rejects": {}},
        {"order_config": OrderConfig(threshold=0.3, lot=10, cooldown=2)},
        price_scale=10**12,
    ),
    Case(
        "negative_prices",
        "may prices be negative, and is no order sent at one?",
        [add(1, -300, 900, BID), add(2, -100, 100, ASK), add(3, -50, 10, ASK), row(Kind.DELETE, 2)],
        {"orders": [], "depth": [("bid", -300, 900, 1), ("ask", -50, 10, 1)]},
        {"order_config": OrderConfig(threshold=0.1, cooldown=1)},
    ),
]

CHECKS.extend(Check(case.name, case.question, case.ask) for case in CASES)
