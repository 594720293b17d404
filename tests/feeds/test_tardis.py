"""Do Tardis' levels and trades become exact records, with their snapshots, times and events?"""

from pathlib import Path

import numpy as np
import pytest

import hftlab
from hftlab.errors import FeedError, UnknownName
from hftlab.events import Kind
from hftlab.feeds import source

HEADER = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
T0 = 1_700_000_000_000_000  # us


def level(at: int, side: str, price: str, amount: str, snapshot: bool = False, symbol: str = "BTC", sent: int = 0) -> str:
    return f"venue,{symbol},{T0 + sent},{T0 + at},{str(snapshot).lower()},{side},{price},{amount}\n"


def opened(tmp_path: Path, text: str, symbols: tuple[str, ...] = ()) -> hftlab.Feed:
    (tmp_path / "day.csv").write_text(text)
    return hftlab.load(tmp_path / "day.csv", symbols)


DAY = "".join(
    [
        level(1, "bid", "100.50", "3", True),
        level(1, "bid", "100.25", "2.5", True),
        level(1, "ask", "101", "0.125", True),
        level(2, "ask", "50", "7", True, "ETH"),
        level(2, "bid", "100.50", "4"),  # on another symbol, so another message
        level(3, "bid", "100.75", "1e-3"),
        level(3, "bid", "100.5", "0"),
        level(3, "ask", "999", "0.000"),  # not there: nothing happens
        level(4, "bid", "99", "1", True),
        level(4, "ask", "102", "2", True),
        level(5, "ask", "102.0", "2.5"),
    ]
)


def test_levels_become_one_order_each(tmp_path: Path, backend: str) -> None:
    feed = opened(tmp_path, HEADER + DAY)
    events = hftlab.decode(feed)
    assert (feed.format, feed.symbols, feed.price_scale, feed.qty_scale) == ("tardis", ("", "BTC", "ETH"), 100, 1_000)
    kinds = ["CLEAR", "ADD", "ADD", "ADD", "CLEAR", "ADD", "REPLACE", "ADD", "DELETE", "OTHER", "CLEAR", "ADD", "ADD", "REPLACE"]
    assert [Kind(kind).name for kind in events["kind"]] == kinds
    assert events["qty"].tolist() == [0, 3_000, 2_500, 125, 0, 7_000, 4_000, 1, 0, 0, 0, 1_000, 2_000, 2_500]
    assert events["order_id"].tolist() == [0, 1, 2, 3, 0, 4, 1, 5, 1, 0, 0, 7, 8, 8]
    assert feed.event_end is not None
    assert np.flatnonzero(feed.event_end).tolist() == [3, 5, 6, 9, 12, 13]
    assert feed.recv_ns is not None
    assert (feed.recv_ns - T0 * 1_000).tolist() == [n * 1_000 for n in (1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5)]
    run = hftlab.Engine(backend).run(feed)
    assert run.faults == {}
    assert run.book("BTC").rows() == [("bid", 9_900, 1_000, 1), ("ask", 10_200, 2_500, 1)]
    assert run.book("ETH").rows() == [("ask", 5_000, 7_000, 1)]


def test_one_symbol_and_small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = opened(tmp_path, HEADER + DAY)
    events, ends = hftlab.decode(whole), whole.event_end
    monkeypatch.setattr(source, "BLOCK", 100)
    again = opened(tmp_path, HEADER + DAY)
    assert len(list(again.chunks())) > 3
    assert hftlab.decode(again).tobytes() == events.tobytes()
    assert again.event_end.tolist() == ends.tolist()  # type: ignore[union-attr]
    assert set(hftlab.decode(opened(tmp_path, HEADER + DAY, ("ETH",)))["instrument"]) == {2}
    with pytest.raises(UnknownName, match="known: BTC, ETH"):
        opened(tmp_path, HEADER + DAY, ("XRP",))


def test_trades(tmp_path: Path, backend: str) -> None:
    rows = [("a-1", "buy", "8531.5", "2152"), ("b-2", "sell", "8531", "0.5"), ("c", "unknown", "8530.25", "1")]
    text = "".join(f"venue,XBT,{T0},{T0 + n},{','.join(row)}\n" for n, row in enumerate(rows))
    feed = opened(tmp_path, TRADES + text)
    run = hftlab.Engine(backend).run(feed)
    assert (run.counts["TRADE"], run.faults, feed.price_scale, feed.qty_scale) == (3, {}, 100, 10)
    assert hftlab.decode(feed)["side"].tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (level(9, "bid", "100.5x", "1"), "price must be a number of at most 12 decimals, got '100.5x'"),
        (level(9, "bid", "1", "0.1234567890123"), "amount must be a number of at most 12 decimals, got"),
        (level(9, "bid", "1", "4294968"), "amount must be at most 4294967295 units of 1/1000, .*, got 4294968"),
        (level(9, "bid", "1", "-1"), "amount must be at most 4294967295 units"),
        (level(9, "bid", "9" * 19, "1"), "price must be a number that 64 bits hold, got 9999"),
        (level(9, "both", "1", "1"), "side must be one of bid, ask, buy, sell, unknown, got 'both'"),
        (level(9, "bid", "1", "1").replace("false", "no"), "must be exchange String, .*; got b'venue,BTC"),
        ("venue,BTC,5\n", "must be exchange String, .*; got b'venue,BTC,5"),
    ],
)
def test_what_no_record_can_hold_is_one_sentence_with_its_place(line: str, text: str, tmp_path: Path) -> None:
    offset = len(HEADER + DAY)
    with pytest.raises(FeedError, match=f"day.csv: offset {offset}, row 12: {text}") as caught:
        hftlab.Engine("python").run(opened(tmp_path, HEADER + DAY + line))
    assert (caught.value.offset, caught.value.index) == (offset, 12)


def test_other_files_of_the_same_maker_are_refused(tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(FeedError, match=r"offset 0: must be incremental_book_L2 or trades, got the columns .*asks\[0\].price"):
        hftlab.load(data_dir / "tardis/binance-futures_book_snapshot_5_BTCUSDT.csv")
    assert hftlab.decode(opened(tmp_path, HEADER)).size == 0


def test_real_rows(data_dir: Path, backend: str) -> None:
    feed = hftlab.load(data_dir / "tardis/deribit_incremental_book_L2_BTC-PERPETUAL.csv")
    run = hftlab.Engine(backend).run(feed)
    assert (run.messages, run.faults, run.counts["CLEAR"]) == (16, {}, 1)
    trades = hftlab.load(data_dir / "tardis/bitmex_trades_XBTUSD.csv")
    assert hftlab.Engine(backend).run(trades).counts["TRADE"] == 10
