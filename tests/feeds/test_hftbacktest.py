"""Do hftbacktest's rows become records, and our feeds its rows, so that the book stays the same both ways?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hftlab
from hftlab.errors import FeedError, UnknownName
from hftlab.events import Kind
from hftlab.feeds import hftbacktest as hbt

T0 = 1_700_000_000_000_000_000
BID, ASK, BOTH = hbt.BUY, hbt.SELL, hbt.EXCH | hbt.LOCAL

ROWS: list[tuple[Any, ...]] = [
    # code, side and flags, time, price, quantity, order
    (hbt.DEPTH_SNAPSHOT, BID | BOTH, 1, 100.5, 3.0, 0),
    (hbt.DEPTH_SNAPSHOT, BID | BOTH, 1, 100.25, 2.5, 0),
    (hbt.DEPTH_SNAPSHOT, ASK | BOTH, 1, 101.0, 0.125, 0),
    (hbt.DEPTH, BID | BOTH, 2, 100.5, 4.0, 0),
    (hbt.DEPTH, BID | hbt.LOCAL, 2, 100.5, 4.0, 0),
    (hbt.DEPTH, BID | BOTH, 3, 100.25, 0.0, 0),
    (hbt.TRADE, ASK | BOTH, 3, 100.5, 1.0, 0),
    (hbt.DEPTH, BID | BOTH, 4, 99.0, 1.0, 0),
    (hbt.DEPTH_CLEAR, BID | BOTH, 5, 100.0, 0.0, 0),  # down to 100
    (hbt.DEPTH_BBO, BID | BOTH, 6, 99.0, 1.0, 0),
]


def saved(path: Path, rows: list[tuple[Any, ...]], name: str = "data") -> Path:
    array = np.array(
        [(code | flags, T0 + at, T0 + at + 10, px, qty, order, 0, 0.0) for code, flags, at, px, qty, order in rows], hbt.ROW_DTYPE
    )
    np.savez_compressed(path, **{name: array})
    return path


def test_levels(tmp_path: Path, backend: str) -> None:
    feed = hftlab.load(saved(tmp_path / "btc.npz", ROWS))
    events = hftlab.decode(feed)
    assert (feed.format, feed.symbols, feed.price_scale, feed.qty_scale, feed.epoch) == (
        "hftbacktest",
        ("", "btc"),
        100,
        1_000,
        "unix",
    )
    kinds = ["ADD", "ADD", "ADD", "REPLACE", "DELETE", "TRADE", "ADD", "DELETE", "OTHER", "OTHER"]
    assert [Kind(kind).name for kind in events["kind"]] == kinds
    assert feed.recv_ns is not None
    assert (feed.recv_ns - events["ts_ns"]).tolist() == [10] * 10
    assert feed.event_end is not None
    assert np.flatnonzero(feed.event_end).tolist() == [2, 3, 5, 6, 8, 9]
    run = hftlab.Engine(backend).run(feed)
    assert (run.faults, run.book("btc").rows()) == ({}, [("bid", 9_900, 1_000, 1), ("ask", 10_100, 125, 1)])
    assert feed.notes() == ["1 rows only say that something came here later"]
    every = [*ROWS, (hbt.DEPTH_CLEAR, BOTH, 7, float("nan"), 0.0, 0), (hbt.DEPTH, ASK | BOTH, 8, 7.0, 1.0, 0)]
    assert hftlab.Engine(backend).run(hftlab.load(saved(tmp_path / "btc.npz", every))).book("btc").rows() == [
        ("ask", 700, 1_000, 1)
    ]


def test_orders(tmp_path: Path, backend: str) -> None:
    rows = [
        (hbt.ADD_ORDER, BID | BOTH, 1, 100.0, 10.0, 7),
        (hbt.MODIFY_ORDER, BID | BOTH, 2, 100.0, 4.0, 7),
        (hbt.MODIFY_ORDER, BID | BOTH, 3, 101.0, 4.0, 7),
        (hbt.FILL, BID | BOTH, 4, 101.0, 1.0, 7),
        (hbt.ADD_ORDER, ASK | BOTH, 5, 102.0, 5.0, 8),
        (hbt.CANCEL_ORDER, ASK | BOTH, 6, 102.0, 5.0, 8),
    ]
    feed = hftlab.load(saved(tmp_path / "x.npz", rows, "arr_0"))
    assert [Kind(kind).name for kind in hftlab.decode(feed)["kind"]] == ["ADD", "CANCEL", "REPLACE", "OTHER", "ADD", "DELETE"]
    run = hftlab.Engine(backend).run(feed)
    assert (run.faults, run.book("x").rows()) == ({}, [("bid", 101, 4, 1)])


@pytest.mark.parametrize("regime", ["calm", "burst"])
def test_a_feed_of_ours_comes_back_with_the_same_books(regime: str, tmp_path: Path) -> None:
    wire = hftlab.synthetic(regime, 5_000, 3)
    events, symbols = hftlab.decode(wire), wire.symbols
    recv = events["ts_ns"] + np.uint64(500)
    feed = hftlab.EventFeed(events, symbols=symbols, recv_ns=recv)
    symbol, number = symbols[-1], len(symbols) - 1
    count = hbt.write(feed, tmp_path / "ours.npz", symbol)
    back = hftlab.load(tmp_path / "ours.npz")
    engine = hftlab.Engine("python", until="book")
    ours, theirs = (engine.run(one) for one in (feed, back))
    assert (theirs.faults, count) == ({}, len(np.load(tmp_path / "ours.npz")["data"]))
    scale = feed.price_scale // back.price_scale
    assert theirs.book("ours").with_columns(price=theirs.book("ours")["price"] * scale).rows() == ours.book(symbol).rows()
    assert back.recv_ns is not None
    assert set((back.recv_ns - hftlab.decode(back)["ts_ns"]).tolist()) == {500}

    def touches(run: hftlab.Run, instrument: int, by: int) -> list[tuple[int, ...]]:
        """Every change of the touch, the last of each nanosecond: a replace may take two rows there."""
        rows = run.frame.filter(run.frame["instrument"] == instrument).unique("ts_ns", keep="last", maintain_order=True)
        states = [(bid * by, bid_qty, ask * by, ask_qty) for _, _, _, bid, bid_qty, ask, ask_qty, *_ in rows.iter_rows()]
        changes = [state for state, before in zip(states, [None, *states], strict=False) if state != before]
        return changes[changes[0] == (0, 0, 0, 0) :]

    assert touches(ours, number, 1)[-1_000:] == touches(theirs, 1, scale)[-1_000:]
    with pytest.raises(UnknownName, match="known: HLAAA"):
        hbt.write(feed, tmp_path / "no.npz", "NONE")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((hbt.DEPTH, BID | BOTH, 9, 0.1234567891, 1.0, 0), "px must be a finite number of at most 9 decimals"),
        ((hbt.DEPTH, BID | BOTH, 9, float("inf"), 1.0, 0), "px must be a finite number"),
        ((hbt.DEPTH, BID | BOTH, 9, 100.0, 4294968.0, 0), "qty must be from 0 to 4294967295 units of 1/1000"),
        ((hbt.DEPTH, BID | BOTH, 9, 100.0, -1.0, 0), "qty must be from 0"),
    ],
)
def test_what_no_record_can_hold_is_one_sentence_with_its_row(row: tuple[Any, ...], text: str, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=f"btc.npz: offset {64 * len(ROWS)} of the array, row {len(ROWS)}: {text}"):
        hftlab.decode(hftlab.load(saved(tmp_path / "btc.npz", [*ROWS, row])))


def test_files_that_are_no_such_array(tmp_path: Path) -> None:
    path = saved(tmp_path / "btc.npz", ROWS * 100)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(FeedError, match=r"btc.npz: offset 0: cannot be read as .npz: File is not a zip file"):
        hftlab.load(path)
    path.write_bytes(whole[:200] + bytes(100) + whole[300:])
    with pytest.raises(FeedError, match=r"btc.npz: .*cannot be read as .npz"):
        hftlab.load(path)
    np.savez(path, data=np.zeros(5))
    with pytest.raises(FeedError, match=r"must be \(n,\) rows of ev, exch_ts, .*, got \(5,\) of float64"):
        hftlab.load(path)
    np.savez(path, other=np.zeros(5))
    with pytest.raises(FeedError, match=r"must hold an array called data, got \['other.npy'\]"):
        hftlab.load(path)
