"""Does real exchange data decode to the published fields, and build the published book, on every engine?"""

import json
from pathlib import Path

import pytest
from captures import frames, payload

import hftlab
from hftlab.conformance.feeds import framed
from hftlab.errors import FeedError
from hftlab.events import Side
from hftlab.feeds.itch import AAPL_MORNING, real_data
from hftlab.protocols import moldudp64
from hftlab.protocols.itch_messages import MESSAGES, anatomy, build, fields

AAPL = AAPL_MORNING


def captured_messages(path: Path) -> list[bytes]:
    """The ITCH messages of all MoldUDP64 packets of a capture."""
    packets = [moldudp64.decode(payload(frame)) for frame in frames(path)]
    return [message for packet in packets for message in moldudp64.split(packet.blocks)]


def test_the_aapl_morning(data_dir: Path, backend: str) -> None:
    run = hftlab.Engine(backend).run(hftlab.load(data_dir / AAPL))
    assert run.messages == 10_000
    assert run.faults == {}
    assert run.unknown == {}
    assert {kind: n for kind, n in run.counts.items() if n} == {
        "OTHER": 54, "ADD": 4760, "EXECUTE": 849, "CANCEL": 6, "DELETE": 4083, "REPLACE": 7, "TRADE": 240, "STATUS": 1
    }  # fmt: skip
    assert run.memory["live_orders"] == 215 == run.book("AAPL")["orders"].sum()
    both = run.frame.filter((run.frame["bid_qty"] > 0) & (run.frame["ask_qty"] > 0))
    assert (both["bid_price"] < both["ask_price"]).all()


def test_the_book_after_1001_messages_is_the_published_one(data_dir: Path, backend: str) -> None:
    expected = (data_dir / "itch50/aapl_20200130_first10k.expected_book_after_1001.txt").read_text().split("-----\n")
    book = hftlab.Engine(backend).run(hftlab.load(data_dir / AAPL).head(1001)).book("AAPL")
    lines = {
        side: [f"{letter} {price / 10_000:.2f}: {qty}" for price, qty in book.filter(side=side).select("price", "qty").rows()]
        for side, letter in (("bid", "B"), ("ask", "S"))
    }
    assert sorted(lines["bid"]) == sorted(expected[0].split("\n")[:-1])
    assert sorted(lines["ask"]) == sorted(line for line in expected[1].split("\n") if line)


def test_every_execution_hits_the_front_of_the_queue_at_the_best_price(data_dir: Path, backend: str) -> None:
    events = hftlab.decode(hftlab.load(data_dir / AAPL), backend)
    session, executed = hftlab.Engine(backend).open(), 0
    for event in events.tolist():
        if event[6] == hftlab.Kind.EXECUTE:
            place = session.locate(event[1])
            assert place is not None
            instrument, side, price, _ = place
            bid, _, ask, _ = session.best(instrument)
            assert price == (bid if side == Side.BID else ask)
            assert session.queue(instrument, side, price)[0][0] == event[1]
            executed += 1
        assert session.apply(*event) >= 0
    assert executed == 849


def test_the_first_thousand_messages_of_a_day_name_their_stocks(data_dir: Path) -> None:
    feed = hftlab.load(data_dir / "itch50/nasdaq_20191230_first1000.itch")
    run = hftlab.Engine("python").run(feed)
    assert run.messages == 1000
    assert run.faults == {} == run.unknown
    assert feed.symbols[1] == run.name(1) == "A"
    assert run.instrument("AAL") == feed.symbols.index("AAL")


def test_golden_messages(data_dir: Path) -> None:
    golden = json.loads((data_dir / "itch50/nasdaq_20191230_golden_messages.json").read_text())["messages"]
    for one in golden:
        assert fields(bytes.fromhex(one["hex"])) == one["fields"]


def test_every_captured_message_decodes_and_encodes_again(data_dir: Path) -> None:
    seen: dict[str, list[bytes]] = {}
    for path in sorted(data_dir.glob("pcap/itch50*/*.pcap")):
        for message in captured_messages(path):
            decoded = fields(message)
            letter = decoded.pop("type")
            assert len(message) == MESSAGES[letter].size
            assert build(letter, **decoded) == message
            seen.setdefault(letter, []).append(message)
    assert set("ADEFHIJLPQSUXY") <= set(seen)
    assert fields(seen["C"][0])["price"] == 224_800
    assert "FLTU" in {fields(message)["mpid"] for message in seen["F"]}

    def captured(name: str) -> bytes:
        return captured_messages(data_dir / f"pcap/itch50_rewrapped_20230822/{name}.pcap")[0]

    names = ("OrderExecutedWithPrice", "CrossTrade", "StockTradingAction", "OrderReplace")
    feed = hftlab.ItchFeed(b"".join(framed(captured(name)) for name in names))
    events = hftlab.decode(feed, "python")
    assert events["kind"].tolist() == [2, 6, 7, 5]
    assert events["qty"].tolist() == [4926, 0, ord("P"), 100]
    assert events["price"].tolist() == [224_800, 0, 0, 1_062_600]
    assert events["new_order_id"].tolist() == [0, 0, 0, 21_361_351]


@pytest.mark.rust
def test_both_engines_decode_every_captured_message_alike(data_dir: Path) -> None:
    paths = data_dir.glob("pcap/itch50*/*.pcap")
    feed = hftlab.ItchFeed(b"".join(framed(message) for path in paths for message in captured_messages(path)))
    assert hftlab.verify("python", "rust", feed)
    assert hftlab.verify("python", "rust", hftlab.load(data_dir / AAPL))


def test_a_file_without_lengths_is_refused(data_dir: Path, backend: str) -> None:
    feed = hftlab.load(data_dir / "itch50/ritch_ex20101224.TEST_ITCH_50.gz")
    with pytest.raises(FeedError, match="offset 0, message 0: length prefix 0") as caught:
        hftlab.Engine(backend).run(feed)
    assert caught.value.offset == 0
    assert caught.value.run.messages == 0


def test_the_named_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTLAB_DATA", str(tmp_path))
    assert real_data() is None
    (tmp_path / "itch50").mkdir()
    (tmp_path / AAPL_MORNING).write_bytes(b"".join(hftlab.synthetic("calm", 100).blocks()))
    feed = real_data()
    assert feed is not None
    assert hftlab.Engine("python").run(feed).messages == 100
    monkeypatch.setenv("HFTLAB_DATA", str(tmp_path / "gone"))
    with pytest.raises(FeedError, match="HFTLAB_DATA must be a folder, got"):
        real_data()


def test_every_message_is_taken_apart_without_a_gap() -> None:
    for letter, known in MESSAGES.items():
        message = build(letter, locate=7)
        rows = anatomy(message)
        assert bytes.fromhex("".join(str(row["hex"]) for row in rows)) == message
        assert [row["offset"] for row in rows] == [part.offset for part in known.parts]
        assert rows[1] == {"field": "locate", "offset": 1, "width": 2, "hex": "00 07", "value": "7"}
