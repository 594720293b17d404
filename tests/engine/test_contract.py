"""Are the signals and the orders those of the contract? Worked out by hand, on every engine; see also conformance/contract.py."""

import math
import struct

import numpy as np
import pytest

import hftlab
from hftlab.errors import FaultError
from hftlab.stages.signal import order_flow_imbalance

ADD, EXECUTE, DELETE, TRADE = 1, 2, 4, 6
BID, ASK = 1, 2


def run(backend: str, rows: list[tuple[int, ...]], **more: object) -> hftlab.Run:
    """Rows are (ts, id, new id, price, qty, instrument, kind, side)."""
    feed = hftlab.EventFeed(np.array(rows, hftlab.EVENT_DTYPE), symbols=("", "ABC", "DE"))
    return hftlab.Engine(backend, **more).run(feed)


def two_sided(bid_qty: int = 300, ask_qty: int = 100) -> list[tuple[int, ...]]:
    return [(0, 1, 0, 10_000, bid_qty, 1, ADD, BID), (0, 2, 0, 10_200, ask_qty, 1, ADD, ASK)]


def test_the_signals_of_two_orders(backend: str) -> None:
    rows = run(backend, two_sided()).frame.to_dicts()
    first, second = rows
    assert math.isnan(first["mid"])
    assert first["depth_imbalance"] == 1.0
    assert first["ofi"] == 300.0  # an empty bid counts as minus infinity: all of the new one is pressure
    assert first["score"] == 0.0
    assert second["mid"] == 10_100.0
    assert second["spread"] == 200.0
    assert second["microprice"] == (10_000 * 100 + 10_200 * 300) / 400
    assert second["imbalance"] == 0.5
    assert second["ofi"] == 300 * 0.99 - 100
    assert second["volatility"] == 0.0  # there was no mid before
    score = 0.25 * 0.5 + 0.25 * 0.5 + (0.25 * (second["microprice"] - 10_100)) / 200
    score = score + (0.125 * second["ofi"]) / (second["ofi"] + 1000) + 0.0
    assert second["score"] == score


def test_flow_and_volatility(backend: str) -> None:
    rows = [*two_sided(), (0, 1, 0, 0, 50, 1, EXECUTE, 0), (0, 2, 0, 0, 100, 1, EXECUTE, 0)]
    frame = run(backend, [*rows, (0, 3, 0, 10_400, 10, 1, ADD, ASK), (0, 4, 0, 10_100, 10, 1, ADD, BID)]).frame
    assert frame["flow"].to_list()[2:4] == [-50.0, -50.0 * 0.99 + 100.0]
    assert frame["volatility"].to_list()[3:5] == [0.0, 0.0]  # no mid on one side of the step
    assert frame["volatility"][5] == 0.0 * 0.99 + ((1 - 0.99) * 50.0) * 50.0


def test_faults_and_messages_without_instrument_change_nothing(backend: str) -> None:
    rows = [*two_sided(), (0, 9, 0, 0, 0, 1, DELETE, 0), (0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 5, 7, 1, TRADE, BID)]
    result = run(backend, rows)
    frame = result.frame.drop("index", "ts_ns")
    assert frame.row(1) == frame.row(2) == frame.row(4)
    assert frame.row(3)[:5] == (0, 0, 0, 0, 0)
    assert all(math.isnan(value) for value in frame.row(3)[5:10])
    assert frame.row(3)[10:] == (0.0, 0.0, 0.0, 0.0)
    assert result.faults == {"unknown_order": 1}


def test_order_flow_imbalance_case_by_case() -> None:
    at = (100, 5, 110, 7)
    assert order_flow_imbalance(at, at) == 0
    assert order_flow_imbalance(at, (100, 8, 110, 7)) == 3
    assert order_flow_imbalance(at, (101, 2, 110, 7)) == 2
    assert order_flow_imbalance(at, (99, 9, 110, 7)) == -5
    assert order_flow_imbalance(at, (100, 5, 109, 4)) == -4
    assert order_flow_imbalance(at, (100, 5, 111, 4)) == 7
    assert order_flow_imbalance(at, (0, 0, 110, 7)) == -5
    assert order_flow_imbalance((0, 0, 0, 0), at) == 5 - 7


def test_an_order_byte_by_byte(backend: str) -> None:
    result = run(backend, two_sided(900, 100), order_config=hftlab.OrderConfig(threshold=0.4, lot=200, cooldown=1))
    assert result.orders.select("symbol", "side", "qty", "price", "position").rows() == [("ABC", "B", 200, 10_200, 200)]
    assert result.order_stream == (
        b"O" + struct.pack(">I", 1) + b"B" + struct.pack(">I", 200) + b"ABC     " + struct.pack(">Q", 10_200)
        + b"3YPNN" + b"HL000000000001" + b"\0\0"
    )  # fmt: skip
    assert len(result.order_stream) == 47


def test_strict_stops_at_the_first_fault_and_keeps_what_was_before(backend: str) -> None:
    with pytest.raises(FaultError, match=r"message 2: excess_qty: EXECUTE id 1 .*400") as caught:
        run(backend, [*two_sided(), (0, 1, 0, 0, 400, 1, EXECUTE, 0), (0, 1, 0, 0, 0, 1, DELETE, 0)], strict=True)
    assert (caught.value.index, caught.value.reason) == (2, "excess_qty")
    assert caught.value.run.frame.height == 2


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros(3), "dtype float64"),
        (np.zeros((2, 2), hftlab.EVENT_DTYPE), r"shape \(2, 2\)"),
        (np.zeros(4, hftlab.EVENT_DTYPE)[::2], "stride 80"),
        (np.zeros(2, hftlab.EVENT_DTYPE.newbyteorder(">")), "big-endian"),
        (np.full(2, 9, np.uint8).repeat(40).view(hftlab.EVENT_DTYPE), "event 0: kind must be between 0 and 8, got 9"),
        (np.array([(0, 1, 0, -(2**63), 1, 1, 1, 1)], hftlab.EVENT_DTYPE), "event 0: price must be above -9223372036854775808"),
        (np.ma.zeros(2, hftlab.EVENT_DTYPE), "masked"),
        ([1, 2], "not list"),
    ],
)
def test_an_array_that_is_no_feed_says_why(array: object, text: str) -> None:
    with pytest.raises(hftlab.HftlabError, match=text):
        hftlab.EventFeed(array)


def test_the_best_ask_of_a_sub_dollar_stock_is_found_after_a_change_of_grid(backend: str) -> None:
    asks = [5_000, *range(4_801, 4_832, 2), 5_011]
    rows = [(0, 1, 0, 4_000, 100, 1, ADD, BID)]
    rows += [(0, 2 + n, 0, price, 100 + n, 1, ADD, ASK) for n, price in enumerate(asks)]
    last = run(backend, [*rows, (0, 3, 0, 0, 0, 1, DELETE, 0)]).frame.row(-1, named=True)
    assert (last["ask_price"], last["ask_qty"]) == (4_803, 102)
