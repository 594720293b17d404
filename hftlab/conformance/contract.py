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
from hftlab.settings import OrderConfig, RiskConfig

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


@check
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
        subject.needs("order")
        refused.ask(subject)
        passed.ask(subject)

    return Check(f"limit_{name}", question, ask)


CHECKS += (
    _limit("kill_switch", "does the kill switch refuse everything?", {"kill": True}, {"kill": False}),
    _limit("max_order_qty", "is an order of exactly the limit let through?", {"max_order_qty": 99}, {"max_order_qty": 100}),
    _limit("max_notional", "is the notional quantity times limit price?", {"max_notional": 101}, {"max_notional": 102}),
    _limit("price_collar", "is the collar taken from the mid, in basis points?", {"collar_bps": 99}, {"collar_bps": 100}),
    _limit("position_limit", "is the position that after the fill?", {"position_limit": 99}, {"position_limit": 100}),
)


@check
def first_limit_wins(subject: EngineUnderTest) -> None:
    """is an order that breaks several limits counted once, for the first of them?"""
    subject.needs("order")
    limits: dict[str, Any] = {"kill": True, "max_order_qty": 0, "max_notional": 0, "collar_bps": 0, "position_limit": 0}
    names = ("kill_switch", "max_order_qty", "max_notional", "price_collar", "position_limit")
    for first, name in enumerate(names):
        broken = dict(list(limits.items())[first:])
        Case(name, "", TWO, {"rejects": {name: 1}}, {**_EAGER, "risk_config": RiskConfig(**broken)}).ask(subject)
