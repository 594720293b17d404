"""Does a LOBSTER message file build the book of its order book file, at every visible level after every message?"""

import gzip
from pathlib import Path

import pytest

import hftlab
from hftlab.errors import FeedError, UnknownName
from hftlab.events import Kind, Side
from hftlab.feeds.lobster import SEED

MSFT = "lobster/MSFT_2012-06-21_34200000_37800000_message_50.csv.gz"
AAPL = "lobster/AAPL_2012-06-21_34200000_37800000_message_50.csv.gz"

Levels = dict[tuple[int, int], int]  # (side, price) -> quantity


def levels(row: str) -> Levels:
    """A row of an order book file."""
    cells = iter(map(int, row.split(",")))
    both = [((2, ask), ask_qty, (1, bid), bid_qty) for ask, ask_qty, bid, bid_qty in zip(cells, cells, cells, cells, strict=True)]
    pairs = [pair for ask, ask_qty, bid, bid_qty in both for pair in ((ask, ask_qty), (bid, bid_qty))]
    return {level: qty for level, qty in pairs if abs(level[1]) != 9_999_999_999}


def test_every_level_of_every_row_is_that_of_the_order_book_file(data_dir: Path, backend: str) -> None:
    feed = hftlab.load(data_dir / MSFT)
    rows = gzip.decompress((data_dir / MSFT.replace("_message_", "_orderbook_")).read_bytes()).decode().split()
    events, ends = hftlab.decode(feed), feed.event_end
    assert ends is not None
    assert ends.sum() == len(rows) == 1_000
    session, wanted, scrolled = hftlab.Engine(backend).open(), map(levels, rows), set[tuple[int, int]]()
    for event, end in zip(events.tolist(), ends.tolist(), strict=True):
        assert session.apply(*event) >= 0
        if end:
            ours = {(side, price): qty for side, price, qty, _ in session.depth(1)}
            row = next(wanted)
            # A level beyond the last visible one comes into sight when one before it goes: no message tells of it.
            far = {1: min(price for side, price in row if side == 1), 2: max(price for side, price in row if side == 2)}
            scrolled |= {(side, price) for side, price in row if price == far[side] and (side, price) not in ours}
            assert {level: qty for level, qty in row.items() if level not in scrolled} == {
                level: qty for level, qty in ours.items() if level in row and level not in scrolled
            }
    assert len(scrolled) == 5


def test_an_hour_without_a_book_file_ends_with_few_unknown_orders(data_dir: Path, backend: str) -> None:
    feed = hftlab.load(data_dir / AAPL)
    assert (feed.format, feed.symbols, feed.epoch) == ("lobster", ("", "AAPL"), "midnight")
    run = hftlab.Engine(backend).run(feed, "none")
    assert (run.messages, run.faults) == (91_997, {"unknown_order": 84})
    assert run.counts["EXECUTE"] + run.counts["TRADE"] == 4_067 + 2_201


MESSAGES = """\
34200.5,1,11,100,1000000,1
34200.600000001,3,7,40,999900,1
34200.7,4,11,30,1000000,1
34200.70,2,11,20,1000000,1
34200.999999999999,5,0,10,1000050,-1
34201,4,8,5,1000200,-1
34202,6,-1,500,1000100,-1
34203,7,0,0,-1,-1
34204,7,0,0,0,-1
34205,7,0,0,1,-1
34206,3,11,50,1000000,1
"""
#: The book after the first message: its order, and what was there before.
BOOK = "1000200,25,1000000,100,9999999999,0,999900,60\n"


def made(tmp_path: Path, messages: str, book: str = "") -> hftlab.Feed:
    (tmp_path / "XYZ_2024-01-02_34200000_57600000_message_2.csv").write_text(messages)
    if book:
        (tmp_path / "XYZ_2024-01-02_34200000_57600000_orderbook_2.csv.gz").write_bytes(gzip.compress(book.encode()))
    return hftlab.load(tmp_path / "XYZ_2024-01-02_34200000_57600000_message_2.csv")


def test_messages_become_events_and_the_seed_takes_what_nobody_has_announced(tmp_path: Path, backend: str) -> None:
    feed = made(tmp_path, MESSAGES, BOOK)
    events = hftlab.decode(feed)
    seeds, rest = events[:2], events[2:]
    assert seeds["order_id"].tolist() == [SEED, SEED + 1]
    assert sorted(zip(seeds["side"], seeds["price"], seeds["qty"], strict=True)) == [(1, 999_900, 60), (2, 1_000_200, 25)]
    kinds = ["ADD", "CANCEL", "EXECUTE", "CANCEL", "TRADE", "EXECUTE", "TRADE", "STATUS", "STATUS", "STATUS", "DELETE"]
    assert [Kind(kind).name for kind in rest["kind"]] == kinds
    assert rest["qty"].tolist() == [100, 40, 30, 20, 10, 5, 500, ord("H"), ord("Q"), ord("T"), 50]
    at = [500_000_000, 600_000_001, 700_000_000, 700_000_000, 1_000_000_000, 10**9]
    assert (rest["ts_ns"][:6] - 34_200 * 10**9).tolist() == at
    assert feed.event_end is not None
    assert feed.event_end.tolist() == [False, False] + [True] * 11
    run = hftlab.Engine(backend).run(feed)
    assert run.faults == {}
    assert run.book("XYZ").rows() == [("bid", 999_900, 20, 1), ("ask", 1_000_200, 20, 1)]
    assert hftlab.decode(hftlab.load(tmp_path / "XYZ_2024-01-02_34200000_57600000_message_2.csv", ["XYZ"])).tobytes() == (
        events.tobytes()
    )
    with pytest.raises(UnknownName, match="known: XYZ"):
        hftlab.load(tmp_path / "XYZ_2024-01-02_34200000_57600000_message_2.csv", ["ABC"])


def test_without_a_book_file_unknown_orders_are_faults(tmp_path: Path) -> None:
    run = hftlab.Engine("python").run(made(tmp_path, MESSAGES))
    assert run.faults == {"unknown_order": 2}
    assert Side.BID in hftlab.decode(made(tmp_path, MESSAGES))["side"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("34207,9,11,50,1000000,1", "a type must be between 1 and 7, got b'34207,9"),
        ("34207,3,11,50,1000000,7", "a direction must be 1 or -1, got"),
        ("34207,3,11,-5,1000000,1", "a size must be between 0 and 4294967295, got"),
        ("34207,3,11,4294967296,1000000,1", "a size must be between 0 and 4294967295, got"),
        ("noon,3,11,50,1000000,1", "a time must be seconds after midnight, got"),
        ("34207,3,11,50,1000000", "must be time String, type Int64, .*; got b'34207,3,11,50,1000000'"),
        ("34207,3,11,50,1000000,1,1", "must be time String"),
        ("34207,3,x,50,1000000,1", "must be time String"),
        ("3" * 70_000, "a line must be at most 65,536 bytes, got 70,000"),
    ],
)
def test_a_wrong_line_is_one_sentence_with_its_place(line: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=rf"message_2.csv: offset {len(MESSAGES)}, row 11: {text}") as caught:
        hftlab.Engine("python").run(made(tmp_path, MESSAGES + line))
    assert (caught.value.offset, caught.value.index) == (len(MESSAGES), 11)


def test_a_wrong_book_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"orderbook_2.csv.gz: offset 0: a row must be ask price, .* got b'1,2,3'"):
        hftlab.decode(made(tmp_path, MESSAGES, "1,2,3\n"))
