"""Does a capture of IEX DEEP+ become the orders of its messages, with their times and the ends of their events?"""

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from test_pcap import classic, frame

import hftlab
from hftlab.errors import FeedError, UnknownName
from hftlab.events import Kind

T0 = 1_700_000_000_000_000_000
ZIEXT, OTHER = b"ZIEXT   ", b"ABC     "


def segment(number: int, *messages: bytes, protocol: int = 0x8005) -> bytes:
    body = b"".join(struct.pack("<H", len(message)) + message for message in messages)
    return struct.pack("<BxHIIHHqqq", 1, protocol, 1, 77, len(body), len(messages), 0, number, T0) + body


def order(kind: str, at: int, order_id: int, size: int, price: int, flags: int = 0, symbol: bytes = ZIEXT) -> bytes:
    more = struct.pack("<q", 9) if kind == "L" else b""
    return struct.pack("<cBq8sQIq", kind.encode(), flags, T0 + at, symbol, order_id, size, price) + more


def opened(tmp_path: Path, segments: Sequence[bytes], symbols: Sequence[str] = ()) -> hftlab.Feed:
    (tmp_path / "day.pcap").write_bytes(classic([(T0 + 10 * at, frame(data)) for at, data in enumerate(segments)]))
    return hftlab.load(tmp_path / "day.pcap", symbols)


BUY, SELL, KEEP = ord("8"), ord("5"), 1
DAY = [
    (struct.pack("<cBq", b"S", ord("O"), T0), "OTHER", 0),
    (struct.pack("<cBq8s4s", b"H", ord("T"), T0 + 1, ZIEXT, b"    "), "STATUS", ord("T")),
    (order("a", 2, 1, 100, 1_000_000, BUY), "ADD", 100),
    (order("a", 2, 2, 300, 1_000_500, SELL), "ADD", 300),
    (order("a", 3, 3, 50, 500_000, BUY, OTHER), "ADD", 50),
    (order("M", 4, 1, 60, 1_000_000, KEEP), "CANCEL", 40),  # shrinks where it stands
    (order("M", 5, 2, 200, 1_000_500), "REPLACE", 200),  # shrinks, and loses its place
    (order("M", 6, 1, 60, 999_900, KEEP), "REPLACE", 60),
    (order("L", 7, 2, 50, 1_000_400), "EXECUTE", 50),
    (struct.pack("<cBq8sIqq", b"T", 0, T0 + 8, ZIEXT, 25, 1_000_100, 10), "TRADE", 25),
    (struct.pack("<cBq8sIqq", b"B", 0, T0 + 9, ZIEXT, 25, 1_000_100, 10), "OTHER", 25),
    (struct.pack("<cBq8sQ", b"R", 0, T0 + 9, ZIEXT, 1), "DELETE", 0),
    (struct.pack("<cBq8s", b"C", 0, T0 + 10, OTHER), "CLEAR", 0),
    (struct.pack("<cBq8s", b"z", 0, T0 + 11, ZIEXT) + b"of a later version", "OTHER", 0),
]
SEGMENTS = [segment(1, *(message for message, *_ in DAY[:4])), segment(5, *(message for message, *_ in DAY[4:]))]


def test_messages_become_events(tmp_path: Path, backend: str) -> None:
    feed = opened(tmp_path, [SEGMENTS[0], SEGMENTS[0], SEGMENTS[1]])  # the first one on two lines
    events = hftlab.decode(feed)
    assert (feed.format, feed.symbols, feed.epoch, feed.notes()) == ("iex", ("", "ZIEXT", "ABC"), "unix", [])
    assert [(Kind(row["kind"]).name, int(row["qty"])) for row in events] == [tuple(row[1:]) for row in DAY]
    assert (events["ts_ns"] - T0).tolist() == [0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 11]
    assert feed.event_end is not None
    assert feed.event_end.tolist() == [True, True, False, True, True, True, True, True, True, True, False, True, True, True]
    assert feed.recv_ns is not None
    assert (feed.recv_ns - T0).tolist() == [0] * 4 + [20] * 10
    run = hftlab.Engine(backend).run(feed)
    assert (run.faults, run.book("ZIEXT").rows(), run.book("ABC").rows()) == ({}, [("ask", 1_000_500, 150, 1)], [])


def test_one_symbol_and_what_is_missing(tmp_path: Path) -> None:
    feed = opened(tmp_path, SEGMENTS, ["ABC"])
    assert hftlab.decode(feed)["instrument"].tolist() == [0, 2, 2]
    with pytest.raises(UnknownName, match="known: ZIEXT, ABC"):
        opened(tmp_path, SEGMENTS, ["XYZ"])
    feed = opened(tmp_path, [SEGMENTS[0], segment(9, order("R", 9, 1, 0, 0)[:20], DAY[12][0]), b"hello", segment(2, DAY[0][0])])
    assert len(hftlab.decode(feed)) == 5
    assert feed.notes() == [
        "messages 5 to 8 of session '010000004d' came on no line",
        "1 datagrams are not IEX DEEP+",
        "1 messages are shorter than their type b'R' is",
    ]


def test_price_levels_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"day.pcap: offset 0: must hold IEX DEEP\+, but 1 datagrams are not IEX DEEP"):
        hftlab.decode(opened(tmp_path, [segment(1, DAY[0][0], protocol=0x8004)]))


def test_real_packets(data_dir: Path) -> None:
    folder, events = data_dir / "pcap/iex_deepplus", {}
    for path in folder.glob("?_*.pcap"):
        feed = hftlab.load(path)
        events[path.name[0]] = hftlab.decode(feed)
        assert (feed.format, feed.notes()) == ("iex", [])
    assert {letter: len(rows) for letter, rows in events.items()} == {
        "B": 1, "D": 66, "E": 35, "L": 3, "M": 1, "R": 1, "T": 4, "a": 1
    }  # fmt: skip
    assert set(events["a"]["kind"]) == {Kind.ADD}
    assert set(events["L"]["kind"]) == {Kind.EXECUTE}
    for letter in "aMLT":
        assert (events[letter]["price"] > 0).all()
        assert (events[letter]["qty"] > 0).all()
        assert (events[letter]["ts_ns"] // 10**9 // 86_400 == 19_997).all()  # 2024-10-01
