"""Is the book at a message what a run that ends there shows?"""

import numpy as np
import pytest

import hftlab
from hftlab.engine.history import BookHistory
from hftlab.errors import ConfigError, UnknownName
from hftlab.stages.signal import NAMES


def same(history: BookHistory, index: int) -> None:
    """Compare one snapshot with a fresh run of the head, every level and every queue of every instrument."""
    run = history.engine.run(history.feed.head(index + 1))
    assert run.messages == index + 1
    for symbol in history.symbols:
        if symbol not in run._names.values():
            continue
        snapshot = history.at(index, symbol)
        assert snapshot.book().equals(run.book(symbol))
        for side, price in snapshot.book().select("side", "price").rows():
            assert snapshot.queue(side, price).equals(run.queue(symbol, side, price))
        rows = run.frame.filter(run.frame["instrument"] == run.instrument(symbol))
        if len(rows):
            last = rows.row(-1, named=True)
            assert snapshot.top == tuple(last[name] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty"))
            values = np.array([snapshot.signals[name] for name in NAMES])
            assert values.tobytes() == np.array([last[name] for name in NAMES]).tobytes()


@pytest.mark.parametrize(("regime", "every"), [("calm", 250), ("burst", 64), ("burst", 9_999)])
def test_a_snapshot_is_a_fresh_run_of_the_head(backend: str, regime: str, every: int) -> None:
    feed = hftlab.synthetic(regime, 3_000, seed=3, symbols=3)
    history = BookHistory(feed, hftlab.Engine(backend), every=every)
    # forwards, backwards, on a checkpoint, beside one, the first and the last
    for index in (0, 17, 249, 250, 251, 1_999, 700, 701, 499, 2_999, 2_750, 2_749):
        same(history, index)


def test_a_snapshot_stays_what_it_was_when_a_later_one_is_taken() -> None:
    history = BookHistory(hftlab.synthetic("calm", 2_000))
    early = history.at(500)
    book, late = early.book(), history.at(1_900).book()
    assert not book.equals(late)
    assert early.book().equals(book)


def test_what_stands_before_an_order() -> None:
    events = np.array(
        [(i, i + 1, 0, 100, 10 * (i + 1), 1, 1, 1) for i in range(3)] + [(3, 1, 0, 0, 4, 1, 2, 0), (4, 1, 0, 0, 6, 1, 2, 0)],
        hftlab.EVENT_DTYPE,
    )
    history = BookHistory(hftlab.EventFeed(events, symbols=["", "ABC"]))
    assert history.at(2).queue_position(3) == (2, 30)
    assert history.at(3).queue_position(3) == (2, 26)
    assert history.at(4).queue_position(3) == (1, 20)
    assert history.at(1).queue_position(3) is None
    trade = history.at(4).trade
    assert trade is not None
    assert (trade.index, trade.price, trade.qty, trade.hidden) == (4, 100, 6, False)
    assert history.at(2).trade is None
    assert history.at(2).wire == b""
    assert history.at(2).fields == {}


def test_the_bytes_and_the_fields_of_a_message() -> None:
    feed = hftlab.synthetic("calm", 500)
    history = BookHistory(feed)
    kinds = {"A": "ADD", "F": "ADD", "D": "DELETE", "E": "EXECUTE", "U": "REPLACE"}
    for index in range(len(history)):
        snapshot = history.at(index)
        assert snapshot.description.startswith(kinds.get(snapshot.fields["type"], ""))
        assert snapshot.fields["ts"] == snapshot.ts_ns
    wire = b"".join(len(history.at(i).wire).to_bytes(2, "big") + history.at(i).wire for i in range(len(history)))
    assert wire == b"".join(feed.blocks())


def test_wrong_arguments_are_refused() -> None:
    history = BookHistory(hftlab.synthetic("calm", 100))
    with pytest.raises(ConfigError, match="index must be a whole number between 0 and 99, got 100"):
        history.at(100)
    with pytest.raises(UnknownName, match="NOPE"):
        history.at(5, "NOPE")
    with pytest.raises(ConfigError, match="every must be a whole number at least 1, got 0"):
        BookHistory(hftlab.synthetic("calm", 100), every=0)


def test_the_real_morning(data_dir) -> None:  # type: ignore[no-untyped-def]
    history = BookHistory(hftlab.load(data_dir / "itch50/aapl_20200130_first10k.itch"))
    for index in (1_000, 9_999, 5_000):
        same(history, index)
    assert len(history.trades("AAPL")) == 849 + 240


def test_the_lives_of_orders_are_those_of_the_book() -> None:
    history = BookHistory(hftlab.synthetic("calm", 4_000, seed=7))
    lives = history.lifetimes()
    live = lives.filter(lives["end"].is_null())
    assert len(live) == history.run.memory["live_orders"]
    assert lives["order_id"].n_unique() == len(lives)
    for order_id, born, gone, end, executed in lives.head(200).rows():
        assert history.at(born).queue_position(order_id) is not None
        assert born == 0 or history.at(born - 1).queue_position(order_id) is None
        if end is not None:
            assert history.at(gone).queue_position(order_id) is None
            assert history.at(gone - 1).queue_position(order_id) is not None
            assert history.at(gone).description.startswith(end)
        assert (end == "EXECUTE") <= (executed > 0)


def test_an_order_is_followed_through_its_queue() -> None:
    rows = [(0, 1, 0, 100, 10, 1, 1, 1), (1, 2, 0, 100, 20, 1, 1, 1), (2, 3, 0, 100, 30, 1, 1, 1), (3, 9, 0, 99, 5, 1, 1, 1)]
    rows += [(4, 1, 0, 0, 4, 1, 2, 0), (5, 2, 0, 0, 0, 1, 4, 0), (6, 1, 0, 0, 6, 1, 2, 0), (7, 3, 0, 0, 30, 1, 2, 0)]
    history = BookHistory(hftlab.EventFeed(np.array(rows, hftlab.EVENT_DTYPE), symbols=["", "ABC"]))
    assert history.follow(3).rows() == [
        (2, "ADD", 2, 30, 30),
        (4, "EXECUTE", 2, 26, 30),
        (5, "DELETE", 1, 6, 30),
        (6, "EXECUTE", 0, 0, 30),
        (7, "EXECUTE", None, None, 0),
    ]
    with pytest.raises(ConfigError, match="got 77, which never comes"):
        history.follow(77)
