"""Do our orders trade with the replayed book as price-time priority says, and is no share created or lost?"""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftlab.net.exchange.matching import Matcher, Report
from hftlab.net.exchange.orders import RejectReason
from hftlab.protocols import ouch
from hftlab.protocols.itch_messages import build
from hftlab.protocols.ouch import Accepted, AiqCanceled, Canceled, EnterOrder, Executed, Message, Modified, Rejected, Replaced

NOW = 34_200_000_000_000  # 9:30
ABC = 7  # the stock locate of the one stock
B, S = "B", "S"


class Floor:
    """A matcher with one stock, fed with ITCH messages and asked with OUCH ones."""

    def __init__(self) -> None:
        self.matcher = Matcher()
        for account in ("ME", "YOU"):
            self.matcher.open(account, NOW)
        self.feed("R", stock="ABC")

    def feed(self, letter: str, **values: int | str) -> list[Report]:
        message = build(letter, locate=ABC, ts=NOW, **values)
        return self.matcher.feed(len(message).to_bytes(2, "big") + message, NOW)

    def add(self, ref: int, side: str, shares: int, price: int) -> list[Report]:
        return self.feed("A", ref=ref, side=side, shares=shares, stock="ABC", price=price)

    def send(self, message: Message, account: str = "ME") -> list[Message]:
        """What the account itself hears."""
        return [report for name, report in self.matcher.inbound(account, message, NOW) if name == account]

    def enter(self, ref: int, side: str, qty: int, price: int, tif: str = "0", account: str = "ME", **more: str) -> list[Message]:
        return self.send(EnterOrder(ref, side, qty, "ABC", price, tif, **more), account)


@pytest.fixture
def floor() -> Floor:
    return Floor()


def fills(reports: list[Report] | list[Message]) -> list[tuple[int, int, int, str]]:
    """(UserRefNum, shares, price, liquidity) of the executions."""
    messages = [report[1] if isinstance(report, tuple) else report for report in reports]
    return [(m.user_ref, m.quantity, m.price, m.liquidity) for m in messages if isinstance(m, Executed)]


def cancels(reports: list[Report] | list[Message]) -> list[tuple[int, int, str]]:
    messages = [report[1] if isinstance(report, tuple) else report for report in reports]
    return [(m.user_ref, m.quantity, m.reason) for m in messages if isinstance(m, Canceled)]


# Taking -----------------------------------------------------------------------------------------------------------------


def test_immediate_orders_take_what_is_displayed_best_first_and_the_rest_is_canceled(floor: Floor) -> None:
    floor.add(1, S, 100, 101_00)
    floor.add(2, S, 50, 100_00)
    floor.add(3, S, 500, 103_00)
    heard = floor.enter(1, B, 200, 102_00, tif="3")
    assert isinstance(heard[0], Accepted)
    assert (heard[0].quantity, heard[0].order_state, heard[0].symbol) == (200, "L", "ABC")
    assert fills(heard) == [(1, 50, 100_00, "R"), (1, 100, 101_00, "R")]
    assert cancels(heard) == [(1, 50, "I")]


def test_what_we_have_taken_is_not_given_twice(floor: Floor) -> None:
    floor.add(1, S, 100, 100_00)
    assert fills(floor.enter(1, B, 60, 100_00, tif="3")) == [(1, 60, 100_00, "R")]
    heard = floor.enter(2, B, 60, 100_00, tif="3")
    assert fills(heard) == [(2, 40, 100_00, "R")]
    assert cancels(heard) == [(2, 20, "I")]
    assert fills(floor.enter(3, B, 60, 100_00, tif="3")) == []


def test_history_goes_on_with_an_order_that_we_have_taken_from(floor: Floor) -> None:
    floor.add(1, S, 500, 100_00)
    floor.enter(1, B, 300, 100_00, tif="3")
    floor.feed("E", ref=1, shares=100, match=1)  # 400 displayed, 300 of them ours already
    assert fills(floor.enter(2, B, 500, 100_00, tif="3")) == [(2, 100, 100_00, "R")]
    floor.feed("U", ref=1, new_ref=2, shares=450, price=100_00)  # 450 stated for the chain, 400 of them taken
    assert fills(floor.enter(3, B, 500, 100_00, tif="3")) == [(3, 50, 100_00, "R")]
    floor.feed("D", ref=2)
    floor.add(2, S, 80, 100_00)  # the same reference again: nothing of it is taken
    assert fills(floor.enter(4, B, 500, 100_00, tif="3")) == [(4, 80, 100_00, "R")]


# Resting ----------------------------------------------------------------------------------------------------------------


def test_a_resting_order_waits_for_the_queue_ahead_of_it(floor: Floor) -> None:
    floor.add(1, B, 100, 100_00)
    assert fills(floor.enter(1, B, 50, 100_00)) == []
    floor.add(2, B, 70, 100_00)  # behind us
    assert fills(floor.feed("E", ref=1, shares=60, match=1)) == []
    floor.feed("X", ref=1, shares=10)
    assert fills(floor.feed("E", ref=1, shares=30, match=2)) == []
    assert fills(floor.feed("E", ref=2, shares=20, match=3)) == [(1, 20, 100_00, "A")]
    assert fills(floor.feed("E", ref=2, shares=50, match=4)) == [(1, 30, 100_00, "A")]
    assert floor.send(ouch.CancelOrder(1)) == [], "nothing of it is left"


def test_a_trade_through_our_price_fills_us_at_our_price(floor: Floor) -> None:
    floor.add(1, B, 100, 100_00)
    floor.enter(1, B, 150, 101_00)  # better than the market's best bid
    assert fills(floor.feed("E", ref=1, shares=60, match=1)) == [(1, 60, 101_00, "A")]
    assert fills(floor.feed("P", ref=0, side=B, shares=30, stock="ABC", price=100_50, match=2)) == [(1, 30, 101_00, "A")]
    assert fills(floor.feed("P", ref=0, side=B, shares=30, stock="ABC", price=101_00, match=3)) == []  # hidden comes after us
    assert fills(floor.feed("Q", shares=900, stock="ABC", price=100_00, match=4, cross_type="O")) == []


def test_an_order_that_comes_in_across_ours_trades_with_it_and_what_it_gave_is_taken(floor: Floor) -> None:
    floor.enter(1, B, 100, 100_00)
    assert fills(floor.add(1, S, 60, 99_00)) == [(1, 60, 100_00, "A")]
    assert fills(floor.enter(2, B, 100, 99_00, tif="3")) == []  # nothing of it is left
    floor.add(2, S, 100, 102_00)
    assert fills(floor.feed("U", ref=2, new_ref=3, shares=90, price=100_00)) == [(1, 40, 100_00, "A")]
    assert fills(floor.enter(3, B, 100, 100_00, tif="3")) == [(3, 50, 100_00, "R")]


def test_in_a_crossed_market_displayed_bids_before_ours_come_first(floor: Floor) -> None:
    floor.add(1, B, 80, 101_00)
    floor.enter(1, B, 100, 100_00)
    assert fills(floor.add(2, S, 100, 100_00)) == [(1, 20, 100_00, "A")]


@pytest.mark.parametrize("ref", [2, 1], ids=["a new reference", "the old one"])
def test_a_replaced_order_of_history_goes_behind_us(floor: Floor, ref: int) -> None:
    floor.add(1, B, 100, 100_00)
    floor.enter(1, B, 50, 100_00)
    floor.feed("U", ref=1, new_ref=ref, shares=100, price=100_00)
    assert fills(floor.feed("E", ref=ref, shares=10, match=1)) == [(1, 10, 100_00, "A")]


def test_nothing_trades_while_halted_and_what_crosses_trades_when_it_resumes(floor: Floor) -> None:
    floor.enter(1, B, 100, 100_00)
    floor.feed("H", stock="ABC", state="H")
    assert fills(floor.add(1, S, 30, 99_00)) == []
    (heard,) = floor.enter(2, B, 100, 100_00)
    assert isinstance(heard, Rejected)
    assert heard.reason == RejectReason.HALTED
    assert fills(floor.feed("H", stock="ABC", state="T")) == [(1, 30, 99_00, "R")]


# Each other -------------------------------------------------------------------------------------------------------------


def test_two_accounts_trade_with_each_other_in_time_priority_with_the_market(floor: Floor) -> None:
    floor.add(1, S, 10, 100_00)
    floor.enter(1, S, 20, 100_00, account="YOU")
    floor.add(2, S, 30, 100_00)
    reports = floor.matcher.inbound("ME", EnterOrder(1, B, 45, "ABC", 100_00, "3"), NOW)
    done = [(name, m.quantity, m.liquidity) for name, m in reports if isinstance(m, Executed)]
    assert done == [("ME", 10, "R"), ("ME", 20, "R"), ("YOU", 20, "A"), ("ME", 15, "R")]
    matches = [m.match_number for _, m in reports if isinstance(m, Executed)]
    assert matches[1] == matches[2]  # the two sides of one trade
    assert len(set(matches)) == 3


def test_an_account_does_not_trade_with_itself_the_older_order_goes(floor: Floor) -> None:
    floor.enter(1, S, 80, 100_00)
    heard = floor.enter(2, B, 50, 100_00)
    assert isinstance(heard[1], AiqCanceled)
    assert (heard[1].user_ref, heard[1].quantity, heard[1].prevented, heard[1].strategy) == (1, 80, 50, "O")
    assert fills(heard) == []
    assert floor.send(ouch.CancelOrder(1)) == []
    assert cancels(floor.send(ouch.CancelOrder(2))) == [(2, 50, "U")]


# Messages ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"side": "X"}, RejectReason.INVALID_SIDE),
        ({"quantity": 0}, RejectReason.INVALID_QUANTITY),
        ({"quantity": 1_000_000}, RejectReason.INVALID_QUANTITY),
        ({"symbol": "NONE"}, RejectReason.INVALID_SYMBOL),
        ({"price": 0}, RejectReason.INVALID_PRICE),
        ({"price": 0x7FFFFFFF}, RejectReason.INVALID_PRICE),
        ({"time_in_force": "9"}, RejectReason.OTHER),
        ({"time_in_force": "6"}, RejectReason.OTHER),  # without an expire time
        ({"display": "N"}, RejectReason.INVALID_DISPLAY),
        ({"capacity": "?"}, RejectReason.OTHER),
        ({"intermarket_sweep": "?"}, RejectReason.ISO_NOT_ALLOWED),
        ({"cross_type": "O"}, RejectReason.INVALID_CROSS),
        ({"appendage": ouch.appendage(min_qty=10)}, RejectReason.INVALID_MIN_QTY),
        ({"appendage": ouch.appendage(price_type="M")}, RejectReason.PEGGING_NOT_ALLOWED),
        ({"appendage": ouch.appendage(route="SCAN")}, RejectReason.ROUTING_NOT_ALLOWED),
    ],
)
def test_what_is_wrong_is_rejected_with_its_reason_and_uses_up_the_number(floor: Floor, changed: dict, reason: int) -> None:
    fine = {"user_ref": 5, "side": B, "quantity": 10, "symbol": "ABC", "price": 100_00, "cl_ord_id": "MINE"}
    (heard,) = floor.send(EnterOrder(**fine | changed))
    assert heard == Rejected(NOW, 5, reason, "MINE")
    assert floor.send(EnterOrder(**fine)) == []  # number 5 again
    harmless = ouch.appendage(firm="LIME", min_qty=0)
    (heard,) = floor.send(EnterOrder(**fine | {"user_ref": 6, "appendage": harmless}))
    assert isinstance(heard, Accepted)
    assert heard.appendage == harmless, "what changes nothing is accepted, and repeated"


def test_a_replace_states_the_whole_chain_and_goes_to_the_back_of_the_queue(floor: Floor) -> None:
    floor.add(1, S, 30, 100_00)
    floor.enter(1, B, 100, 100_00)  # 30 executed, 70 rest
    floor.add(2, B, 10, 100_00)
    (heard,) = floor.send(ouch.ReplaceOrder(1, 2, 90, 100_00))
    assert isinstance(heard, Replaced)
    assert (heard.orig_user_ref, heard.user_ref, heard.quantity, heard.side) == (1, 2, 60, B)
    assert fills(floor.feed("E", ref=2, shares=10, match=1)) == []  # it is before us now
    assert floor.send(ouch.ReplaceOrder(1, 3, 50, 100_00)) == []  # not live any more
    assert floor.send(ouch.ReplaceOrder(2, 2, 50, 100_00)) == []  # number used
    assert cancels(floor.send(ouch.ReplaceOrder(2, 3, 90, 0))) == [(2, 60, "U")]  # bad details
    assert floor.send(ouch.AccountQuery()) == [ouch.AccountQueryResponse(NOW, 3)]  # so 3 was not used


def test_a_replace_may_trade_at_once(floor: Floor) -> None:
    floor.add(1, S, 30, 100_00)
    floor.enter(1, B, 100, 99_00)
    heard = floor.send(ouch.ReplaceOrder(1, 2, 100, 100_00, "3"))
    assert fills(heard) == [(2, 30, 100_00, "R")]
    assert cancels(heard) == [(2, 70, "I")]


def test_a_cancel_states_the_intended_size_and_what_is_redundant_is_ignored(floor: Floor) -> None:
    floor.add(1, S, 30, 100_00)
    floor.enter(1, B, 100, 100_00)
    assert floor.send(ouch.CancelOrder(1, 100)) == []
    assert cancels(floor.send(ouch.CancelOrder(1, 50))) == [(1, 50, "U")]  # 30 executed, 20 left
    assert cancels(floor.send(ouch.CancelOrder(1, 0))) == [(1, 20, "U")]
    assert floor.send(ouch.CancelOrder(1, 0)) == []
    assert floor.send(ouch.CancelOrder(77, 0)) == []


def test_a_modify_keeps_the_place_in_the_queue(floor: Floor) -> None:
    floor.enter(1, S, 100, 100_00)
    floor.add(1, S, 10, 100_00)
    assert floor.send(ouch.ModifyOrder(1, "T", 60)) == [Modified(NOW, 1, "T", 60)]
    assert floor.send(ouch.ModifyOrder(1, "S", 60)) == []  # T to S is none of the changes
    assert floor.send(ouch.ModifyOrder(1, "T", 900)) == [Modified(NOW, 1, "T", 60)]  # never up
    assert fills(floor.feed("E", ref=1, shares=5, match=1)) == [(1, 5, 100_00, "A")]
    assert cancels(floor.send(ouch.ModifyOrder(1, "T", 0))) == [(1, 55, "U")]


def test_until_a_time_until_the_line_is_cut_until_the_end(floor: Floor) -> None:
    floor.enter(1, B, 10, 100_00, tif="6", appendage=ouch.appendage(expire_time=1))
    floor.enter(2, B, 20, 100_00)
    floor.enter(3, B, 5, 100_00, tif="6", appendage=ouch.appendage(expire_time=1))
    floor.send(ouch.CancelOrder(3))
    assert floor.matcher.feed(b"", NOW) == []
    assert cancels(floor.matcher.feed(b"", NOW + 1_000_000_000)) == [(1, 10, "T")]
    assert cancels(floor.matcher.disconnected("ME", NOW)) == [(2, 20, "Z")]
    floor.enter(4, B, 30, 100_00)
    floor.enter(1, B, 40, 100_00, account="YOU")
    ended = floor.matcher.close(NOW)
    assert cancels(ended) == [(4, 30, "E"), (1, 40, "E")]
    assert [(name, m.event) for name, m in ended if isinstance(m, ouch.SystemEvent)] == [("ME", "E"), ("YOU", "E")]
    assert floor.enter(5, B, 30, 100_00)[0] == Rejected(NOW, 5, RejectReason.CLOSED, "")
    assert floor.matcher.close(NOW) == []


def test_mass_cancel_and_disabling(floor: Floor) -> None:
    floor.enter(1, B, 10, 100_00)
    floor.enter(2, S, 20, 200_00)
    heard = floor.send(ouch.MassCancel(3, "LIME", appendage=ouch.appendage(side="S")))
    assert heard == [ouch.MassCancelResponse(NOW, 3, "LIME", ""), Canceled(NOW, 2, 20, "U")]
    assert floor.send(ouch.DisableOrderEntry(4, "LIME")) == [ouch.DisableResponse(NOW, 4, "LIME")]
    assert floor.enter(5, B, 10, 100_00) == [Rejected(NOW, 5, RejectReason.NOT_AUTHORIZED, "")]
    assert floor.send(ouch.EnableOrderEntry(6, "LIME")) == [ouch.EnableResponse(NOW, 6, "LIME")]
    assert isinstance(floor.enter(7, B, 10, 100_00)[0], Accepted)


def test_nothing_new_is_accepted_while_nothing_can_be_written_down_but_cancels_are(floor: Floor) -> None:
    floor.enter(1, B, 10, 100_00)
    floor.matcher.accepting = False
    assert floor.enter(2, B, 10, 100_00) == [Rejected(NOW, 2, RejectReason.PROCESSING_ERROR, "")]
    assert floor.send(ouch.ReplaceOrder(1, 3, 20, 100_00)) == [Rejected(NOW, 3, RejectReason.REPLACE_NOT_ALLOWED, "")]
    assert cancels(floor.send(ouch.CancelOrder(1))) == [(1, 10, "U")]


# Whatever happens -------------------------------------------------------------------------------------------------------

PRICES = st.integers(1, 8).map(lambda cents: 100_00 + cents * 100)
SHARES = st.integers(1, 300)
HISTORY = st.tuples(st.sampled_from("AAAAEEXDUP"), st.sampled_from([B, S]), SHARES, PRICES, st.integers(0, 30))
ORDERS = st.tuples(st.sampled_from("OOOOUXM"), st.sampled_from([B, S]), SHARES, PRICES, st.integers(0, 10))


class Auditor:
    """Adds up what the messages say, order by order, knowing nothing of the matcher."""

    def __init__(self) -> None:
        self.left: dict[tuple[str, int], int] = {}
        self.limit: dict[tuple[str, int], tuple[str, int]] = {}
        self.filled: Counter[str] = Counter()

    def hear(self, reports: list[Report]) -> None:
        for name, report in reports:
            match report:
                case Accepted():
                    self.left[name, report.user_ref] = report.quantity
                    self.limit[name, report.user_ref] = (report.side, report.price)
                case Replaced():
                    del self.left[name, report.orig_user_ref]
                    self.left[name, report.user_ref] = report.quantity
                    self.limit[name, report.user_ref] = (report.side, report.price)
                case Executed():
                    side, limit = self.limit[name, report.user_ref]
                    assert report.price <= limit if side == B else report.price >= limit
                    self.left[name, report.user_ref] -= report.quantity
                    self.filled[report.liquidity] += report.quantity
                case Canceled() | AiqCanceled():
                    self.left[name, report.user_ref] -= report.quantity
                case Modified():
                    assert 0 < report.quantity <= self.left[name, report.user_ref]
                    self.left[name, report.user_ref] = report.quantity
        assert min(self.left.values(), default=0) >= 0


def history(floor: Floor, live: dict[int, list], step: tuple, number: int) -> tuple[list[Report], int]:
    """One plausible message of the feed; returns what it caused and the shares that history itself traded."""
    letter, side, shares, price, pick = step
    if letter == "P":
        return floor.feed("P", ref=0, side=B, shares=shares, stock="ABC", price=price, match=number), shares
    if letter == "A" or not live:
        live[number] = [side, shares]
        return floor.add(number, side, shares, price), shares
    ref = sorted(live)[pick % len(live)]
    if letter == "D":
        del live[ref]
        return floor.feed("D", ref=ref), 0
    if letter == "U":
        live[number] = [live.pop(ref)[0], shares]
        return floor.feed("U", ref=ref, new_ref=number, shares=shares, price=price), shares
    shares = min(shares, live[ref][1])
    live[ref][1] -= shares
    if not live[ref][1]:
        del live[ref]
    values = {"ref": ref, "shares": shares} | ({"match": number} if letter == "E" else {})
    return floor.feed(letter, **values), shares if letter == "E" else 0


def order(number: int, step: tuple, live: list[int]) -> Message:
    kind, side, shares, price, pick = step
    known = live[pick % len(live)] if live else 0
    if kind == "U":
        return ouch.ReplaceOrder(known, number, shares, price, "03"[pick % 2])
    if kind == "X":
        return ouch.CancelOrder(known, shares if pick % 2 else 0)
    if kind == "M":
        return ouch.ModifyOrder(known, side, shares)
    return EnterOrder(number, side, shares, "ABC", price, "003"[pick % 3])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["feed", "feed", "ME", "YOU"]), HISTORY, ORDERS), max_size=60))
def test_no_share_is_created_or_lost_and_no_limit_broken(steps: list) -> None:
    floor, auditor, live = Floor(), Auditor(), {}
    for number, (who, feed_step, order_step) in enumerate(steps, start=1):
        if who == "feed":
            reports, traded = history(floor, live, feed_step, number)
            auditor.hear(reports)
            assert sum(fill[1] for fill in fills(reports) if fill[3] == "A") <= traded
        else:
            own = sorted(ref for (owner, ref), left in auditor.left.items() if owner == who and left)
            auditor.hear(floor.matcher.inbound(who, order(number, order_step, own), NOW))
    open_before = {key: left for key, left in auditor.left.items() if left}
    ended = floor.matcher.close(NOW)
    canceled = {(name, m.user_ref): m.quantity for name, m in ended if isinstance(m, Canceled)}
    assert canceled == open_before, "what the messages say is open is what the end of the session cancels"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), SHARES), min_size=2, max_size=8), st.lists(SHARES, max_size=12))
def test_our_own_orders_at_one_price_are_filled_first_in_first_out(entered: list, executions: list) -> None:
    floor = Floor()
    for ref, (_, shares) in enumerate(entered, start=1):
        floor.enter(ref, B, shares, 100_00)
    floor.add(1, B, 10_000, 100_00)
    open_shares, heard = [shares for _, shares in entered], defaultdict(int)
    for shares in executions:
        for ref, qty, _, _ in fills(floor.feed("E", ref=1, shares=shares, match=1)):
            heard[ref] += qty
    left = sum(executions)
    for ref, shares in enumerate(open_shares, start=1):
        assert heard[ref] == min(shares, left)
        left -= min(shares, left)


@settings(max_examples=50, deadline=None)
@given(st.lists(HISTORY, max_size=40), st.lists(st.tuples(st.sampled_from([B, S]), SHARES, PRICES), max_size=40))
def test_displayed_shares_are_taken_at_most_once(steps: list, orders: list) -> None:
    """Immediate orders alone, history standing still: what they take of a side is at most what it shows."""
    floor, live = Floor(), {}
    for number, step in enumerate(steps, start=1):
        history(floor, live, step, number)
    shown = {side: sum(shares for there, shares in live.values() if there == side) for side in (B, S)}
    took = {B: 0, S: 0}
    for ref, (side, shares, price) in enumerate(orders, start=1):
        took[side] += sum(fill[1] for fill in fills(floor.enter(ref, side, shares, price, tif="3")))
    assert took[B] <= shown[S]
    assert took[S] <= shown[B]
