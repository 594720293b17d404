"""The rules that one feed shows, each as a row of a table; see contract.Case."""

from __future__ import annotations

from hftlab.conformance.checks import CHECKS, Check
from hftlab.conformance.contract import ASK, BID, SECOND, TWO, Case, add, row
from hftlab.events import Kind
from hftlab.settings import OrderConfig, RiskConfig, SignalConfig

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
