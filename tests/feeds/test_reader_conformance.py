"""Does each reader keep the contract of feeds, does the suite see one that does not, and does any damage end in a sentence?"""

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from test_dbn import file as dbn_file
from test_dbn import record as dbn_record
from test_hftbacktest import ROWS, saved
from test_iex import SEGMENTS
from test_lobster import BOOK, MESSAGES, made
from test_pcap import both_lines, classic, frame, next_generation
from test_tardis import DAY, HEADER

import hftlab
from hftlab.conformance import reader
from hftlab.errors import HftlabError
from hftlab.feeds.feed import Chunk, EventFeed, Feed
from hftlab.feeds.reader import readers
from hftlab.feeds.records import Orders, orders

T0 = 1_700_000_000_000_000_000
DBN = [
    dbn_record("A", 1, 10**9, 10),
    dbn_record("A", 2, 2 * 10**9, 7, "A"),
    dbn_record("M", 1, 10**9, 4),
    dbn_record("T", 0, size=1),
]
DBN += [
    dbn_record("F", 1, 10**9, 1),
    dbn_record("C", 1, 10**9, 1),
    dbn_record("A", 3, 10**9, 5, number=8),
    dbn_record("C", 2, size=7),
]


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def lobster(folder: Path) -> Path:
    made(folder, MESSAGES, BOOK)
    return folder / "XYZ_2024-01-02_34200000_57600000_message_2.csv"


#: Format -> what writes a small sample of it.
SAMPLES: dict[str, Callable[[Path], Path]] = {
    "itch": lambda folder: written(folder / "day.itch", b"".join(hftlab.synthetic("burst", 600, 3).blocks())),
    "dbn": lambda folder: written(folder / "day.dbn", dbn_file(*DBN)),
    "lobster": lobster,
    "tardis": lambda folder: written(folder / "day.csv", (HEADER + DAY).encode()),
    "hftbacktest": lambda folder: saved(folder / "btc.npz", ROWS),
    "iex": lambda folder: written(folder / "iex.pcap", classic([(T0, frame(data)) for data in SEGMENTS])),
    "pcap": lambda folder: written(folder / "itch.pcap", next_generation(list(both_lines())[:40])),
}


def test_every_format_has_a_sample() -> None:
    assert set(SAMPLES) == set(readers())


@pytest.mark.parametrize("name", SAMPLES)
def test_our_readers_keep_the_contract(name: str, tmp_path: Path) -> None:
    report = reader(readers()[name].load(), SAMPLES[name](tmp_path))
    assert report, str(report)
    assert report.messages > 5


class Careless:
    """A reader with every fault."""

    @staticmethod
    def sniff(head: bytes) -> bool:
        return True

    @staticmethod
    def open(path: str | Path, symbols: Iterable[str] = ()) -> Feed:
        data = np.frombuffer(Path(path).read_bytes(), np.uint8)
        rows = np.zeros(len(data), hftlab.EVENT_DTYPE)
        rows["kind"], rows["order_id"], rows["side"], rows["qty"] = 1, data, 1 + data % 2, random.randrange(1, 9)
        rows["price"], rows["instrument"] = 500 - data.astype(int), 3
        feed = EventFeed(rows, symbols=("", "XYZ"))
        feed.chunks = lambda: iter([Chunk(rows, np.zeros(1), None)])  # type: ignore[method-assign, arg-type]
        return feed


def test_a_careless_reader_breaks_the_rules(tmp_path: Path) -> None:
    report = reader(Careless, written(tmp_path / "x", b"some bytes, some of them twice"), lambda feed: "it is wrong")  # type: ignore[arg-type]
    assert not report
    broken = [rule for rule, verdict in report.verdicts.items() if verdict]
    assert len(broken) >= 9, str(report)
    assert report.verdicts["the oracle agrees"] == "it is wrong"
    assert report.verdicts["sniff knows the sample and nothing foreign"] == "it takes empty for its format"


@pytest.mark.parametrize("name", SAMPLES)
def test_whatever_is_damaged_ends_in_a_sentence(name: str, tmp_path: Path) -> None:
    """Bytes changed, cut out, doubled or put in anywhere: it is read, or refused with one sentence; nothing hangs."""
    path, rng = SAMPLES[name](tmp_path), random.Random(name)
    whole, sentences = path.read_bytes(), list[str]()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            at, size = rng.randrange(len(data)), rng.randrange(1, 9)
            how = rng.randrange(4)
            data[at : at + (size if how else 0)] = [rng.randbytes(size), b"\xff" * size, b"", data[at : at + size] * 2][how]
            data = data or bytearray(b"\0")
        path.write_bytes(data)
        try:
            feed = hftlab.load(path)
            hftlab.Engine("python", until="book").run(feed, "none")
            feed.notes()
        except HftlabError as error:
            sentences.append(str(error))
    assert not any("\n" in sentence for sentence in sentences)


def test_orders_are_followed_alike_in_both_languages() -> None:
    pytest.importorskip("hftlab_rust")
    rng = np.random.default_rng(3)
    ours, theirs = Orders(), orders()
    assert type(ours) is not type(theirs)
    for _ in range(20):
        rows = np.zeros(500, hftlab.EVENT_DTYPE)
        rows["kind"], rows["order_id"], rows["qty"] = (
            rng.choice([0, 1, 1, 2, 3, 4, 6], 500),
            rng.integers(0, 40, 500),
            rng.integers(0, 4, 500),
        )
        rows["price"], rows["instrument"] = rng.integers(1, 3, 500), rng.integers(1, 3, 500)
        rows["kind"][rng.integers(0, 500, 2)] = 8
        modifies = rng.choice([0, 0, 1, 2], 500).astype(np.uint8)
        again = rows.copy()
        ours.resolve(rows, modifies)
        theirs.resolve(again, modifies)
        assert rows.tobytes() == again.tobytes()
        rows["kind"] = rng.choice([0, 1, 1, 2, 2, 3, 4, 5, 6], 500)
        rows["new_order_id"], rows["price"] = rng.integers(0, 40, 500), rng.integers(0, 3, 500)
        prices = ours.prices(rows)
        assert prices.tolist() == theirs.prices(rows).tolist()
        assert (prices != rows["price"]).any()
