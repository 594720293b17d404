"""Is a file read by what is in it, however it is compressed, by the reader of its format, and can any feed of records be run?"""

import gzip
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import zstandard

import hftlab
from hftlab.errors import ConfigError, FeedError, UnknownName
from hftlab.events import Events
from hftlab.feeds import reader, source
from hftlab.feeds.feed import Chunk, Feed
from hftlab.feeds.frames import walk
from hftlab.feeds.itch import selected
from hftlab.feeds.source import Source, ahead

ROWS = np.array(
    [(5, 1, 0, 100, 10, 1, 1, 1), (6, 2, 0, 102, 20, 1, 1, 2), (6, 2, 0, 0, 5, 1, 2, 0), (9, 0, 0, 0, 0, 1, 8, 0)],
    hftlab.EVENT_DTYPE,
)
RECV = np.arange(4, dtype=np.uint64) + 1_000
END = np.array([True, False, True, True])


class TwoBlocks(Feed):
    """Somebody's feed: records, with what stands beside them, in two blocks."""

    wire, name, epoch, price_scale, qty_scale = "events", "two blocks", "unix", 100, 10
    symbols = ("", "XYZ")

    def event_blocks(self) -> Iterator[Events]:
        return (chunk.events for chunk in self.chunks())

    def chunks(self) -> Iterator[Chunk]:
        yield Chunk(ROWS[:3], RECV[:3], END[:3])
        yield Chunk(ROWS[3:], RECV[3:], END[3:])


class Mine:
    """Somebody's reader."""

    @staticmethod
    def sniff(head: bytes) -> bool:
        return head.startswith(b"MINE")

    @staticmethod
    def open(path: str, symbols: Iterable[str] = ()) -> Feed:
        return TwoBlocks()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"mine": f"{__name__}:Mine", "broken": "no_such_module:Reader"}
    points = [EntryPoint(name, place, reader.GROUP) for name, place in points.items()]
    monkeypatch.setattr(reader, "_installed", lambda: points)
    monkeypatch.setattr(EntryPoint, "load", lambda point: Mine if point.name == "mine" else load(point))


load = EntryPoint.load


def test_a_feed_of_anybody_runs_on_every_engine_and_keeps_what_stands_beside(backend: str) -> None:
    feed = TwoBlocks()
    run = hftlab.Engine(backend).run(feed)
    assert (run.messages, run.faults) == (4, {})
    assert run.frame["bid_qty"].to_list() == [10, 10, 10, 0]
    assert feed.recv_ns is not None
    assert feed.event_end is not None
    assert feed.recv_ns.tolist() == RECV.tolist()
    assert feed.event_end.tolist() == END.tolist()
    head = feed.head(2)
    assert (head.recv_ns.tolist(), head.event_end.tolist()) == (RECV[:2].tolist(), END[:2].tolist())  # type: ignore[union-attr]
    assert (head.epoch, head.price_scale, head.qty_scale, head.symbols) == ("unix", 100, 10, ("", "XYZ"))


def test_what_stands_beside_records_must_fit_them() -> None:
    feed = hftlab.EventFeed(ROWS, recv_ns=RECV, event_end=END, qty_scale=10)
    assert (feed.qty_scale, len(list(feed.chunks()))) == (10, 1)
    assert hftlab.EventFeed(ROWS).recv_ns is hftlab.EventFeed(ROWS).event_end is None
    with pytest.raises(ValueError, match="read-only"):
        feed.recv_ns[0] = 1  # type: ignore[index]
    for wrong in ({"recv_ns": RECV[:3]}, {"recv_ns": RECV.astype(float)}, {"event_end": RECV}):
        with pytest.raises(FeedError, match=r"must be \(4,\) of (uint64|bool), got"):
            hftlab.EventFeed(ROWS, **wrong)
    with pytest.raises(ConfigError, match="qty_scale"):
        hftlab.EventFeed(ROWS, qty_scale=0)


def test_a_format_is_found_by_content_whoever_reads_it(installed: None, tmp_path: Path) -> None:
    (tmp_path / "day.itch").write_bytes(b"MINE, whatever the name says")
    assert hftlab.load(tmp_path / "day.itch").format == "mine"
    (tmp_path / "notes").write_bytes(b"hello")
    with pytest.raises(FeedError, match=r"reader broken .* cannot be loaded: ModuleNotFoundError"):
        hftlab.load(tmp_path / "notes")
    with pytest.raises(FeedError, match="a regular file"):
        hftlab.load(tmp_path)


def test_an_unknown_format_is_one_sentence_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "page.itch").write_bytes(b"<html>\x00\xff")
    with pytest.raises(FeedError, match=r"page.itch: offset 0: must be of a format .*itch.*, got b'<html>\\x00\\xff'") as caught:
        hftlab.load(tmp_path / "page.itch")
    assert caught.value.offset == 0


# --- compressed files


DAY = b"".join(hftlab.synthetic("calm", 60_000).blocks())
PACKED = {
    "plain": DAY,
    "gzip": gzip.compress(DAY, 1),
    "two members": gzip.compress(DAY[:-999_999], 1) + gzip.compress(DAY[-999_999:], 1) + bytes(9),
    "zstd": zstandard.compress(DAY),
    "two frames": zstandard.compress(DAY[:777]) + zstandard.ZstdCompressor(write_content_size=False).compress(DAY[777:]),
}


@pytest.fixture(params=["isal", "zlib"])
def inflater(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "zlib":
        monkeypatch.setattr(source, "find_spec", lambda name: None)
    return str(request.param)


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize("large", [False, True])
def test_however_it_is_packed_the_bytes_are_the_same(
    how: str, large: bool, inflater: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "day").write_bytes(PACKED[how])
    if large:
        monkeypatch.setattr(source, "_LARGE", 0)
    feed = hftlab.load(tmp_path / "day")
    blocks = list(feed.blocks())
    assert b"".join(map(bytes, blocks)) == DAY
    assert max(map(len, blocks)) <= 2 * source.BLOCK
    assert feed.spent_ns["reading"] > 0
    assert (feed.spent_ns["decompressing"] > 0) == (how != "plain")


@pytest.mark.parametrize("large", [False, True])
def test_memory_that_is_used_again_holds_a_block_until_the_next_is_asked_for(
    large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "day").write_bytes(DAY)
    monkeypatch.setattr(source, "BLOCK", 1 << 14)
    monkeypatch.setattr(source, "_LARGE", 0 if large else len(DAY))
    given, places = bytearray(), set()
    for number, block in enumerate(hftlab.load(tmp_path / "day").passing_blocks()):
        time.sleep(0.002 if number < 20 else 0)  # the reading thread is as far ahead as it may be
        given += block
        places.add(np.frombuffer(block, np.uint8).ctypes.data)
    assert given == DAY
    assert len(places) <= (6 if large else 1) < len(DAY) >> 14


@pytest.mark.parametrize("how", ["gzip", "two members", "zstd", "two frames"])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_every_byte_before_a_defect_is_handed_over(how: str, damage: str, inflater: str, tmp_path: Path) -> None:
    packed = bytearray(PACKED[how])
    if damage == "cut":
        del packed[-len(packed) // 3 :]
    else:
        packed[-len(packed) // 3 :: 7] = bytes(len(packed[-len(packed) // 3 :: 7]))
    (tmp_path / "day").write_bytes(packed)
    blocks: list[bytes] = []
    with pytest.raises(FeedError, match=r"day: offset \d+ of the inflated stream: (corrupt|gzip is|zstd is)") as caught:
        blocks.extend(Source(tmp_path / "day").blocks())
    given = b"".join(blocks)
    assert caught.value.offset == len(given)
    assert DAY.startswith(given) or damage == "flip"  # what was flipped may inflate to something else for a while
    assert len(given) > 300_000


def test_without_the_packages_zstd_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "day").write_bytes(PACKED["zstd"])
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(FeedError, match=r"compressed with zstd; reading it needs `pip install 'hftlab\[fast\]'`"):
        hftlab.load(tmp_path / "day")


# --- messages of some kinds


@pytest.mark.parametrize("backend", ["python", pytest.param("rust", marks=pytest.mark.rust)])
@pytest.mark.parametrize(("locates", "types"), [({1}, b""), (None, b"RUH"), ({1, 0}, b"AD"), (None, b"?")])
def test_what_is_selected_is_what_a_walk_finds(
    backend: str, locates: set[int] | None, types: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was good before a defect is handed over before it is reported."""
    if backend == "python":
        monkeypatch.setattr("hftlab.feeds.itch.rust", lambda: None)
    data = b"".join(hftlab.synthetic("burst", 3_000, symbols=3).blocks())
    of = {at: int.from_bytes(data[at + 1 : at + 3], "big") for _, at, _ in walk([data], "day")}
    for damage in (b"", b"\0\0\0"):
        blocks, found = [data[i : i + 777] for i in range(0, len(data), 777)] + [damage], bytearray()
        sentence = f"day: offset {len(data)}, message 3000: length prefix 0; a message has at least 1 byte"
        with pytest.raises(FeedError, match=sentence) if damage else nullcontext():
            for block in selected(blocks, "day", locates=locates, types=types):
                found += block
        wanted = [
            data[at - 2 : at + size]
            for _, at, size in walk([data], "day")
            if (locates is None or of[at] in locates | {0}) and (not types or data[at] in types)
        ]
        assert found == b"".join(wanted)


@pytest.mark.parametrize("backend", ["python", pytest.param("rust", marks=pytest.mark.rust)])
def test_a_stock_is_found_before_what_is_wrong_behind_it(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first block that names it; one that no block names is unknown, or what is wrong is said instead."""
    if backend == "python":
        monkeypatch.setattr("hftlab.feeds.itch.rust", lambda: None)
    data = b"".join(hftlab.synthetic("burst", 3_000, symbols=3).blocks())
    for block in (512, source.BLOCK):
        monkeypatch.setattr(source, "BLOCK", block)
        (tmp_path / "day").write_bytes(data)
        names = hftlab.load(tmp_path / "day").symbols
        with pytest.raises(UnknownName, match=f"unknown symbol 'NOPE'; known: {names[1]}, {names[2]}, {names[3]}"):
            hftlab.load(tmp_path / "day", [names[1], "NOPE"])
        (tmp_path / "day").write_bytes(data + bytes(3))
        feed = hftlab.load(tmp_path / "day", [names[3]])
        with pytest.raises(FeedError, match="message 3000: length prefix 0") as caught:
            hftlab.Engine("python", until="book").run(feed)
        assert caught.value.run is not None
        assert caught.value.run.messages > 100
        with pytest.raises(FeedError, match="message 3000: length prefix 0"):
            hftlab.load(tmp_path / "day", ["NOPE"])


# --- reading ahead


def test_nothing_is_read_after_the_end_of_its_reader() -> None:
    """A block that is in use would be read over."""
    taken: list[int] = []
    endless = ahead(iter(lambda: taken.append(1) or len(taken), -1), depth=3)
    next(endless)
    while len(taken) < 5:  # one in use, three that wait, and one for which there is no room
        time.sleep(0.001)
    endless.close()
    assert len(taken) == 5


def test_reading_ahead_changes_nothing_and_ends_with_its_reader() -> None:
    threads = threading.active_count()
    assert list(ahead(iter(range(100)))) == list(range(100))

    def breaks_off() -> Iterator[int]:
        yield 1
        raise FeedError("broken", offset=7)

    given = []
    with pytest.raises(FeedError, match="broken"):
        given.extend(ahead(breaks_off()))
    taken: list[int] = []
    endless = ahead(iter(lambda: taken.append(1) or len(taken), -1), depth=3)
    assert [next(endless), next(endless)] == [1, 2]
    endless.close()  # type: ignore[attr-defined]
    assert len(taken) <= 2 + 3 + 2
    assert threading.active_count() == threads
