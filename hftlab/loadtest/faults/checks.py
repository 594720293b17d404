"""What must hold after every fault, whatever it was: the book, the orders, the positions, the end.

Three independent sources are compared: the exchange's audit log, the frames on the connection between the two, and the
trader's own view.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.loadtest.faults.testbed import ACCOUNTS, EAGER, Ends, TestBed
from hftlab.net.exchange import audit
from hftlab.net.trader.journal import replay_journal
from hftlab.net.trader.order_manager import Order, OrderState

_US = "TRADER"
_SETTLED = (OrderState.EXECUTED, OrderState.CANCELED, OrderState.REJECTED, OrderState.ACCEPTED)


class Story:
    """The exchange's record of our orders. entered, accepted, rejected : how often, by UserRefNum; filled : shares."""

    def __init__(self, path: str) -> None:
        self.entered: Counter[int] = Counter()
        self.accepted: Counter[int] = Counter()
        self.rejected: Counter[int] = Counter()
        self.filled: Counter[int] = Counter()
        self.shares: Counter[str] = Counter()
        self._terms: dict[int, tuple[str, int]] = {}
        for line in audit.read_log(path):
            if line.get("account") == _US and line["event"] in ("in", "out"):
                self._add(line["message"])
        self.positions = {symbol: shares for symbol, shares in self.shares.items() if shares}

    def _add(self, message: dict[str, Any]) -> None:
        kind, ref = message["type"], message.get("user_ref", 0)
        self.entered[ref] += kind == "EnterOrder"
        self.accepted[ref] += kind == "Accepted"
        self.rejected[ref] += kind == "Rejected"
        if kind == "Accepted":
            self._terms[ref] = message["symbol"], 1 if message["side"] == "B" else -1
        elif kind == "Executed":
            symbol, sign = self._terms[ref]
            self.filled[ref] += message["quantity"]
            self.shares[symbol] += sign * message["quantity"]


def failures(bed: TestBed) -> list[str]:
    """Everything that is wrong, one sentence each; [] if the fault was survived."""
    story = Story(bed.audit)
    checks = (_book(bed), iter(bed.recorder.stale[:1]), _once(bed, story), _fates(bed, story), _positions(bed, story))
    found = [sentence for check in checks for sentence in check]
    return [*bed.failures, *found, *_again(bed), *_secrets(bed)]


def summary(bed: TestBed) -> str:
    """What became of the orders, and of the book, in one sentence."""
    states = dict(sorted(bed.summary["orders"].items()))
    withheld = states.pop("withheld", 0)
    orders = ", ".join(f"{n} {state}" for state, n in states.items()) or "none"
    return f"{bed.fault.ends}; orders sent: {orders}" + (f"; {withheld} withheld" if withheld else "")


@lru_cache(maxsize=8)
def _reference(name: str, seed: int, messages: int) -> dict[int, list[tuple[int, int, int, int]]]:
    """The books after a feed that nothing has happened to, in the reference engine, by instrument."""
    from hftlab.engine.engine import synthetic

    session = Engine("python").open()
    session.push(b"".join(map(bytes, synthetic("burst", messages, seed=seed).blocks())))
    return {instrument: session.depth(instrument) for instrument in session.names()}


def _book(bed: TestBed) -> Iterator[str]:
    if bed.fault.ends == Ends.STALE:
        if bed.recovered_ms is not None:
            yield "the book cannot be whole, and the trader traded on it nevertheless"
        return
    if bed.fault.ends == Ends.REFUSED:
        return
    live, wanted = bed.trader.live, _reference(bed.feed.name, bed.seed, bed.fault.messages)
    if sorted(live.names) != sorted(wanted):
        yield f"the trader knows {len(live.names)} instruments; the feed has {len(wanted)}"
    for instrument, levels in wanted.items():
        if live.book(instrument) != levels:
            yield f"the book of {live.names.get(instrument, instrument)} differs from the one without the fault"
            return
    if bed.fault.ends == Ends.WHOLE and bed.recovered_ms is None:
        yield "it never traded again: orders were still held back at the end"


def _ref(order: bytes) -> int:
    """UserRefNum of an Enter Order."""
    return int.from_bytes(order[1:5], "big")


def _once(bed: TestBed, story: Story) -> Iterator[str]:
    """No order twice, under its number or under another one."""
    for ref, times in story.accepted.items():
        if times > 1:
            yield f"order {ref} was accepted {times} times"
            return
    wire = Counter(map(_ref, bed.relay.orders))
    if twice := [ref for ref, times in wire.items() if times > 1]:
        yield f"order {twice[0]} was sent twice"
    decided = {line["ref"] for line in audit.read_log(bed.journal) if line["event"] == "order" and "index" in line}
    if strange := sorted(set(wire) - decided):
        yield f"order {strange[0]} left without a decision of the engine, as one that is sent again does"
    if unseen := sorted({ref for ref, times in story.accepted.items() if times} - set(wire)):
        yield f"order {unseen[0]} was accepted, and was never on the wire"


def _fates(bed: TestBed, story: Story) -> Iterator[str]:
    """Every order that left is acknowledged, rejected, or reported as one of which nothing is known."""
    for ref in sorted(set(map(_ref, [*bed.relay.orders, *bed.recorder.sent]))):
        order = bed.trader.orders.by_ref.get(ref)
        if order is None:
            yield f"order {ref} was sent, and the trader has forgotten it"
        elif wrong := _wrong(order, story):
            yield f"order {ref} {wrong}"
        else:
            continue
        return


def _wrong(order: Order, story: Story) -> str:
    """What does not fit between what the trader says of an order and what the exchange says."""
    ref, state = order.ref, order.state
    if state is OrderState.LOST:
        return "is reported as lost; the exchange has accepted it" if story.entered[ref] else ""
    if state is OrderState.UNKNOWN:
        return ""  # reported as such: that is all anybody could do
    if state not in _SETTLED:
        return f"is {state.value} for ever, without a report"
    reported = story.rejected[ref] if state is OrderState.REJECTED else story.accepted[ref]
    if not reported:
        return f"is {state.value} to the trader; the exchange never reported it"
    return f"was filled {story.filled[ref]} shares; the trader says {order.filled}" if story.filled[ref] != order.filled else ""


def _positions(bed: TestBed, story: Story) -> Iterator[str]:
    """Exchange, trader and engine hold the same, but for orders of which nothing is known."""
    orders, doubt = bed.trader.orders, Counter[str]()
    for order in orders.by_ref.values():
        doubt[order.symbol] += order.quantity if order.state is OrderState.UNKNOWN else 0
    held = {symbol: shares for symbol, shares in orders.shares.items() if shares}
    engine = {bed.trader.live.names[instrument]: shares for instrument, shares in bed.trader.live.positions.items()}
    for symbol in sorted({*held, *story.positions}):
        ours, theirs = held.get(symbol, 0), story.positions.get(symbol, 0)
        if abs(ours - theirs) > doubt[symbol]:
            yield f"the trader holds {ours} {symbol}; by the exchange it is {theirs}"
    if bed.fault.ends == Ends.WHOLE and engine != held:
        yield f"the engine holds {engine}; by the trader it is {held}"


def _again(bed: TestBed) -> Iterator[str]:
    """The journal, run again, gives the orders that were sent, byte for byte."""
    if not bed.fault.retraces:
        return
    again = replay_journal(bed.journal, bed.feed, bed.backend, **EAGER).sent
    if again != bed.recorder.sent:
        yield f"the journal, run again, gives {len(again)} orders; {len(bed.recorder.sent)} were sent, or not the same"


def _secrets(bed: TestBed) -> Iterator[str]:
    """No password in anything that is written or shown."""
    shown = [repr(bed.trader.settings), repr(bed.trader.gateway.client), json.dumps(bed.summary, default=str)]
    written = [Path(path).read_text() for path in (bed.audit, bed.journal) if Path(path).exists()]
    for text in (*shown, *written):
        if any(password in text for password in (*ACCOUNTS.values(), str(bed.fault.trader.get("password", "?" * 9)))):
            yield "a password can be read in what was written or shown"
            return
