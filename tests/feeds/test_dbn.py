"""Is DBN read as its maker reads it, record by record, and does it end in the published books?"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import databento_dbn as dbn
import numpy as np
import pytest
import zstandard

import hftlab
from hftlab.errors import FeedError, UnknownName
from hftlab.events import Kind
from hftlab.feeds.dbn import MBO_DTYPE

FILES = ["orderbooks_mbo_2024-05-08T00-00-00_2024-05-08T00-00-02.dbn.zst", "test_data.mbo.dbn", "test_data.mbo.v3.dbn.zst"]
FILES += ["esh4-glbx-mdp3-20231224.mbo.dbn.zst", "esh4-glbx-mdp3-20231225.mbo.dbn.zst", "XNAS.ITCH_test_data.mbo.dbn.zst"]


def inflated(path: Path) -> bytes:
    raw = path.read_bytes()
    packed = raw[:4] == zstandard.FRAME_HEADER
    return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True).read() if packed else raw


def decoded(data: bytes) -> list[dbn.MBOMsg]:
    decoder = dbn.DBNDecoder()
    decoder.write(data)
    return [record for record in decoder.decode() if isinstance(record, dbn.MBOMsg)]


@pytest.mark.parametrize("name", FILES)
def test_every_record_says_what_the_makers_decoder_says(name: str, data_dir: Path) -> None:
    feed, wanted = hftlab.load(data_dir / "dbn" / name), decoded(inflated(data_dir / "dbn" / name))
    events = hftlab.decode(feed)
    assert (len(events), feed.format, feed.epoch, feed.price_scale) == (len(wanted), "dbn", "unix", 10**9)
    assert feed.recv_ns is not None
    assert feed.event_end is not None
    assert feed.recv_ns.tolist() == [record.ts_recv for record in wanted]
    assert feed.event_end.tolist() == [bool(record.flags & 0x80) for record in wanted]
    assert events["ts_ns"].tolist() == [record.ts_event for record in wanted]
    assert events["order_id"].tolist() == [record.order_id for record in wanted]
    assert events["side"].tolist() == ["NBA".index(str(record.side)) for record in wanted]
    prices = [0 if str(record.action) == "R" or record.price == 2**63 - 1 else record.price for record in wanted]
    assert events["price"].tolist() == prices
    same = [i for i, record in enumerate(wanted) if str(record.action) != "M"]
    assert events["qty"][same].tolist() == [wanted[i].size for i in same]
    kinds = {"A": Kind.ADD, "C": Kind.CANCEL, "R": Kind.CLEAR, "T": Kind.TRADE, "F": Kind.TRADE, "N": Kind.OTHER}
    assert events["kind"][same].tolist() == [kinds[str(wanted[i].action)] for i in same]


@pytest.mark.parametrize(
    ("name", "best", "live", "events"),
    [
        (FILES[0], (5214.00, 28, 5214.25, 17), 13_598, 185),
        (FILES[3], (4799.00, 16, 4799.50, 23), 8_725, 1),
        (FILES[4], (4810.00, 22, 4810.25, 28), 11_217, 47_022),
    ],
)
def test_the_end_books_are_the_published_ones(
    name: str, best: tuple[float, ...], live: int, events: int, data_dir: Path, backend: str
) -> None:
    feed = hftlab.load(data_dir / "dbn" / name)
    run = hftlab.Engine(backend, until="book").run(feed, "top")
    bid, bid_qty, ask, ask_qty = run.frame.row(-1)[3:7]
    assert (bid / feed.price_scale, bid_qty, ask / feed.price_scale, ask_qty) == best
    assert (run.faults, run.memory["live_orders"]) == ({}, live)
    assert feed.event_end is not None
    assert feed.event_end.sum() == events
    assert (feed.symbols, feed.notes()) == (("", "ESM4" if name == FILES[0] else "ESH4"), [])


def test_orders_add_up_to_the_ten_levels_of_the_same_events(data_dir: Path) -> None:
    """L3 to L2: the same four events of NVDA, as orders and as ten price levels."""
    decoder = dbn.DBNDecoder()
    decoder.write(inflated(data_dir / "dbn/XNAS.ITCH_test_data.mbp-10.dbn.zst"))
    states = [record for record in decoder.decode() if isinstance(record, dbn.MBP10Msg)]
    feed = hftlab.load(data_dir / f"dbn/{FILES[5]}")
    assert len(states) == len(hftlab.decode(feed))
    for count, state in enumerate(states, start=1):
        book = hftlab.Engine("python").run(feed.head(count)).book("NVDA")
        for side, letter in (("bid", "bid"), ("ask", "ask")):
            ours = book.filter(side=side).select("price", "qty", "orders").rows()
            levels = [[getattr(level, f"{letter}_{part}") for part in ("px", "sz", "ct")] for level in state.levels]
            assert ours == [tuple(level) for level in levels if level[1]]


# --- files made here


def file(*records: bytes, version: int = 3, schema: dbn.Schema = dbn.Schema.MBO) -> bytes:
    """A file of one instrument, number 7, called XYZ, and of whatever follows."""
    span = SimpleNamespace(start_date=date(2024, 1, 1), end_date=date(2024, 1, 2), symbol="7")
    metadata = dbn.Metadata(
        dataset="TEST",
        start=1,
        stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID,
        schema=schema,
        symbols=["XYZ"],
        partial=[],
        not_found=["NONE"],
        mappings=[SimpleNamespace(raw_symbol="XYZ", intervals=[span])],
        version=version,
    )
    return bytes(metadata.encode()) + b"".join(records)


def record(action: str, order: int = 1, price: int = 10**9, size: int = 5, side: str = "B", number: int = 7) -> bytes:
    row = np.zeros(1, MBO_DTYPE)
    row["length"], row["rtype"], row["instrument"], row["flags"] = MBO_DTYPE.itemsize // 4, 0xA0, number, 0x80
    row["action"], row["side"], row["order_id"], row["price"], row["size"] = ord(action), ord(side), order, price, size
    return row.tobytes()


def opened(tmp_path: Path, data: bytes, symbols: tuple[str, ...] = ()) -> hftlab.Feed:
    (tmp_path / "day.dbn").write_bytes(data)
    return hftlab.load(tmp_path / "day.dbn", symbols)


def kinds(feed: hftlab.Feed) -> list[tuple[str, int, int]]:
    return [(Kind(row["kind"]).name, int(row["qty"]), int(row["new_order_id"])) for row in hftlab.decode(feed)]


def test_a_modify_becomes_what_it_does_to_the_place_in_the_queue(tmp_path: Path, backend: str) -> None:
    steps = [
        (record("A", size=10), ("ADD", 10, 0)),
        (record("M", size=10), ("OTHER", 10, 0)),
        (record("M", size=4), ("CANCEL", 6, 0)),  # shrinks: keeps its place
        (record("M", size=5), ("REPLACE", 5, 1)),  # grows: loses it
        (record("M", size=2, price=2 * 10**9), ("REPLACE", 2, 1)),
        (record("F", size=1), ("TRADE", 1, 0)),
        (record("T", order=0, size=1), ("TRADE", 1, 0)),
        (record("C", size=1), ("CANCEL", 1, 0)),
        (record("M", size=3, price=2 * 10**9), ("REPLACE", 3, 1)),  # one was left
        (record("M", order=2, size=8, side="A", price=3 * 10**9), ("ADD", 8, 0)),  # nobody has seen it
        (record("N", order=0), ("OTHER", 5, 0)),
        (record("M", order=2, size=0, side="A", price=3 * 10**9), ("CANCEL", 8, 0)),
        (record("R", order=0, price=2**63 - 1), ("CLEAR", 5, 0)),
        (record("M", size=3), ("ADD", 3, 0)),  # the clear took it away
    ]
    feed = opened(tmp_path, file(*(step for step, _ in steps)))
    assert kinds(feed) == [wanted for _, wanted in steps]
    run = hftlab.Engine(backend).run(feed)
    assert (run.faults, run.book("XYZ").rows()) == ({}, [("bid", 10**9, 3, 1)])


def test_an_iceberg_that_is_refreshed_goes_to_the_back(tmp_path: Path) -> None:
    steps = [
        (record("A", size=4), ("ADD", 4, 0)),
        (record("F", size=3), ("TRADE", 3, 0)),
        (record("M", size=1), ("CANCEL", 3, 0)),  # what is left stays
        (record("F", size=1), ("TRADE", 1, 0)),
        (record("M", size=1), ("REPLACE", 1, 1)),  # all that was shown is gone: this came from behind
        (record("M", size=1), ("OTHER", 1, 0)),
    ]
    assert kinds(opened(tmp_path, file(*(step for step, _ in steps)))) == [wanted for _, wanted in steps]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_with_records_of_other_kinds_and_lengths(version: int, tmp_path: Path) -> None:
    longer = bytearray(record("A", order=2, number=99)) + (1234).to_bytes(8, "little")
    longer[0] += 2  # with ts_out
    status = bytes((10, 0x12)) + bytes(38)
    data = file(record("A"), status, bytes(longer), status, status, record("C"), version=version)
    feed = opened(tmp_path, data)
    assert kinds(feed) == [("ADD", 5, 0), ("ADD", 5, 0), ("CANCEL", 5, 0)]
    assert feed.symbols == ("", "XYZ", "99")  # no mapping names number 99
    assert feed.notes() == ["3 records of type 0x12 are no orders"]
    assert kinds(opened(tmp_path, data, ("XYZ",))) == [("ADD", 5, 0), ("CANCEL", 5, 0)]
    with pytest.raises(UnknownName, match="unknown symbol 'ABC'; known: XYZ"):
        opened(tmp_path, data, ("ABC",))


def wrong(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


WHOLE = file(record("A"), record("C"))
BODY = len(WHOLE) - 2 * MBO_DTYPE.itemsize


@pytest.mark.parametrize(
    ("data", "offset", "text"),
    [
        (lambda: WHOLE[:6], 6, "cut off; the preamble of DBN has 8 bytes"),
        (lambda: wrong(WHOLE, 3, 9), 0, "must be DBN of version 1, 2 or 3, got b'DBN' and version 9"),
        (lambda: WHOLE[:100], 4, "the metadata must be from 100 bytes to the end of the file, got"),
        (lambda: wrong(WHOLE, 7, 255), 4, "the metadata must be from"),
        (lambda: wrong(WHOLE, 8 + 100 + 4, 200), 8, "metadata that cannot be read"),
        (lambda: file(schema=dbn.Schema.MBP_10), 24, "the schema must be mbo, the only one with orders, got mbp-10"),
        (lambda: WHOLE[:-1], BODY + 56, "cut off inside a record, 55 bytes of it are left"),
        (lambda: wrong(WHOLE, BODY + 56, 0), BODY + 56, "a record of type 0xa0 must be at least 56 bytes, got 0"),
        (lambda: wrong(WHOLE, BODY + 56, 13), BODY + 56, "must be at least 56 bytes, got 52"),
        (lambda: wrong(WHOLE, BODY + 56, 255), BODY + 56, "cut off inside a record"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_what_was_good_stays(
    data: Callable[[], bytes], offset: int, text: str, tmp_path: Path
) -> None:
    with pytest.raises(FeedError, match=f"day.dbn: offset {offset}: .*{text}") as caught:
        hftlab.Engine("python").run(opened(tmp_path, data()))
    assert caught.value.offset == offset
    assert caught.value.run is None or caught.value.run.counts["ADD"] == 1


@pytest.mark.rust
@pytest.mark.parametrize("block", [61, 1 << 20])
def test_rust_reads_what_the_reference_reads(block: int, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real orders, and drawn ones of instruments that nobody names, in blocks that end anywhere."""
    rng, rows = np.random.default_rng(5), np.frombuffer(record("A") * 3_000, MBO_DTYPE).copy()
    rows["action"] = np.frombuffer(b"ACMRTFN", np.uint8)[rng.choice(7, len(rows), p=[0.3, 0.2, 0.3, 0.01, 0.09, 0.09, 0.01])]
    rows["side"], rows["flags"] = rng.choice(list(b"ABN"), len(rows)), rng.integers(0, 256, len(rows))
    rows["order_id"], rows["size"], rows["price"] = (
        rng.integers(0, 50, len(rows)),
        rng.integers(0, 6, len(rows)),
        rng.integers(1, 4, len(rows)),
    )
    rows["instrument"], rows["ts_recv"] = rng.integers(3, 9, len(rows)), rng.integers(0, 2**63, len(rows))
    drawn = tmp_path / "drawn.dbn"
    drawn.write_bytes(file(rows.tobytes()))
    monkeypatch.setattr("hftlab.feeds.source.BLOCK", block)
    for path in (drawn, data_dir / "dbn" / FILES[1]):
        ours = hftlab.load(path)
        read = list(ours.chunks())
        with monkeypatch.context() as patch:
            patch.setattr("hftlab.feeds.dbn.rust", lambda: None)
            patch.setattr("hftlab.feeds.records.rust", lambda: None)
            theirs = hftlab.load(path)
            plain = list(theirs.chunks())
        assert ours.symbols == theirs.symbols
        assert len(read) == len(plain)
        for chunk, other in zip(read, plain, strict=True):
            assert [column.tobytes() for column in chunk] == [column.tobytes() for column in other]
