"""Databento DBN, schema mbo (market by order), versions 1 to 3: orders of every venue Databento records, one by one.

    "DBN" version u8 | length u32, metadata | record, record ...        (little-endian)

Prices keep all their digits: 1 unit is 1e-9. Add, cancel, modify and clear change the book; trade (T), fill (F) and none (N) do
not: the cancel that follows a fill does. T and F are TRADEs: T names who came, F who rested, at its own price. An order that has
shown all it had and is modified after its fills was refreshed from its hidden part, and goes to the back. An exchange event ends
where F_LAST is set.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hftlab.events import EVENT_DTYPE, Events, Kind, Side
from hftlab.feeds.feed import Chunk
from hftlab.feeds.frames import Block
from hftlab.feeds.records import MODIFY, MOST_SYMBOLS, RecordFeed, orders
from hftlab.feeds.source import rust

VERSIONS = (1, 2, 3)
PRICE_SCALE = 10**9
F_LAST = 0x80
_UNDEFINED = 2**63 - 1  # a price that is none
_MBO_SCHEMA, _MIXED = 0, 0xFFFF
_SCHEMAS = (
    "mbo",
    "mbp-1",
    "mbp-10",
    "tbbo",
    "trades",
    "ohlcv-1s",
    "ohlcv-1m",
    "ohlcv-1h",
    "ohlcv-1d",
    "definition",
    "statistics",
)
_INSTRUMENT_ID = 0  # of symbology
_MBO, _HEADER_BYTES, _MBO_BYTES = 0xA0, 16, 56
_MOST_METADATA = 1 << 26
_PREAMBLE = Struct("<3sBI")
#: Dataset, schema, start, end, limit (in version 1: count of records), symbology in and out, ts_out (and how wide symbols are).
_FIXED = {1: Struct("<16sHQQQQBBB47x"), 2: Struct("<16sHQQQBBBH53x"), 3: Struct("<16sHQQQBBBH53x")}
_SYMBOL_BYTES = 22  # of version 1

MBO_DTYPE = np.dtype(
    [
        ("length", "u1"),  # of the record, in words of 4 bytes
        ("rtype", "u1"),
        ("publisher", "<u2"),
        ("instrument", "<u4"),
        ("ts_event", "<u8"),
        ("order_id", "<u8"),
        ("price", "<i8"),
        ("size", "<u4"),
        ("flags", "u1"),
        ("channel", "u1"),
        ("action", "u1"),
        ("side", "u1"),
        ("ts_recv", "<u8"),
        ("ts_in_delta", "<i4"),
        ("sequence", "<u4"),
    ]
)


def _table(**values: int) -> NDArray[np.uint8]:
    """A number for each letter, 0 for the others."""
    out = np.zeros(256, np.uint8)
    for letter, value in values.items():
        out[ord(letter)] = value
    return out


_KINDS = _table(A=Kind.ADD, C=Kind.CANCEL, R=Kind.CLEAR, T=Kind.TRADE, F=Kind.TRADE)
_SIDES = _table(B=Side.BID, A=Side.ASK)


class Metadata(NamedTuple):
    """What a file says of itself: schema number, where its records begin, names by the venue's instrument numbers."""

    version: int
    dataset: str
    schema: int
    records_at: int
    names: dict[int, str]


class Run(NamedTuple):
    """mbo records of one length, one after the other."""

    data: memoryview
    size: int

    @property
    def records(self) -> Events:
        """(n,) of the fields of MBO_DTYPE, without a copy."""
        return np.frombuffer(self.data, _padded(self.size))


class DbnFeed(RecordFeed):
    """One DBN file of schema mbo; `metadata` says what it holds. Instruments are numbered as the metadata lists them; one that it
    does not name has the venue's number for a name, once it has been met."""

    price_scale = PRICE_SCALE
    epoch = "unix"

    @staticmethod
    def sniff(head: bytes) -> bool:
        """Whether it begins as DBN does, whatever its version."""
        return head[:3] == b"DBN"

    def _open(self) -> None:
        self.metadata = self._metadata()
        self.numbers = {number: index for index, number in enumerate(self.metadata.names, start=1)}
        self._names: list[str] = ["", *self.metadata.names.values()]
        self._check_count(0)
        if not self.numbers:
            self._learn()

    def _learn(self) -> None:
        """Number the instruments that no mapping names."""
        for run in self._runs():
            self.number(run.records["instrument"])

    def _records(self) -> Iterator[Chunk]:
        extension = rust()
        decoder = _RustDecoder(self, extension) if extension else _Decoder(self)
        return map(decoder.decode, self._runs())

    def number(self, ids: NDArray[np.uint32]) -> NDArray[np.uint16]:
        """Our numbers of (n,) instruments of the venue; those that have none yet get the next ones, in order of appearance.

        raises : FeedError for more instruments than a feed can have
        """
        known, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        for number in known[np.argsort(first)].tolist():
            if number not in self.numbers:
                self.numbers[number] = len(self._names)
                self._names.append(str(number))
        self._check_count(0)
        return np.array([self.numbers[number] for number in known.tolist()], np.uint16)[inverse]

    def _check_count(self, offset: int) -> None:
        if len(self._names) - 1 > MOST_SYMBOLS:
            raise self._wrong(offset, f"a feed must have at most {MOST_SYMBOLS:,} instruments, got {len(self._names) - 1:,}")

    def _runs(self) -> Iterator[Run]:
        """mbo records in runs of one length; records of another kind are counted and left out."""
        rest, offset = b"", self.metadata.records_at
        for block in _beyond(offset, self._source.passing_blocks()):
            for data in _pieces(rest, block):
                used = yield from self._runs_in(data, offset)
                rest, offset = bytes(data[used:]), offset + used
        if rest:
            raise self._wrong(offset, f"cut off inside a record, {len(rest)} bytes of it are left")

    def _runs_in(self, data: memoryview, offset: int) -> Generator[Run, None, int]:
        """Those in a block that stands at an offset. Returns the bytes that were whole records."""
        at = 0
        while len(data) - at >= _HEADER_BYTES:
            size, rtype = data[at] * 4, data[at + 1]
            least = _MBO_BYTES if rtype == _MBO else _HEADER_BYTES
            if size < least:
                raise self._wrong(offset + at, f"a record of type 0x{rtype:02x} must be at least {least} bytes, got {size}")
            if not (count := _run_length(data[at:], size)):
                break
            if rtype == _MBO:
                yield Run(data[at : at + count * size], size)
            else:
                self.skipped[f"records of type 0x{rtype:02x} are no orders"] += count
            at += count * size
        return at

    def _metadata(self) -> Metadata:
        head = bytearray()
        for block in self._source.blocks():
            head += block
            if len(head) >= _PREAMBLE.size + int.from_bytes(head[4:8], "little"):
                break
        if len(head) < _PREAMBLE.size:
            raise self._wrong(len(head), f"cut off; the preamble of DBN has {_PREAMBLE.size} bytes")
        magic, version, size = _PREAMBLE.unpack_from(head)
        if magic != b"DBN" or version not in VERSIONS:
            raise self._wrong(0, f"must be DBN of version 1, 2 or 3, got {magic!r} and version {version}")
        if not _FIXED[version].size <= size <= min(_MOST_METADATA, len(head) - _PREAMBLE.size):
            raise self._wrong(4, f"the metadata must be from {_FIXED[version].size} bytes to the end of the file, got {size}")
        body = memoryview(head)[_PREAMBLE.size : _PREAMBLE.size + size]
        try:
            metadata = _parse(version, body)
        except (StructError, ValueError) as error:
            raise self._wrong(_PREAMBLE.size, f"metadata that cannot be read: {error}") from None
        if (schema := metadata.schema) not in (_MBO_SCHEMA, _MIXED):
            name = _SCHEMAS[schema] if schema < len(_SCHEMAS) else f"number {schema}"
            raise self._wrong(_PREAMBLE.size + 16, f"the schema must be mbo, the only one with orders, got {name}")
        return metadata


class _Decoder:
    """Records as events: the reference."""

    def __init__(self, feed: DbnFeed) -> None:
        self._feed, self._orders = feed, orders()

    def decode(self, run: Run) -> Chunk:
        records = run.records
        events = np.zeros(len(records), EVENT_DTYPE)
        events["kind"], events["side"] = _KINDS[records["action"]], _SIDES[records["side"]]
        events["ts_ns"], events["order_id"], events["qty"] = records["ts_event"], records["order_id"], records["size"]
        events["price"] = np.where((records["price"] == _UNDEFINED) | (records["action"] == ord("R")), 0, records["price"])
        events["instrument"] = self._feed.number(records["instrument"])
        self._orders.resolve(events, (records["action"] == ord("M")).astype(np.uint8) * np.uint8(MODIFY))
        return Chunk(events, records["ts_recv"].copy(), records["flags"] & F_LAST != 0)


class _RustDecoder:
    """The same, by the extension."""

    def __init__(self, feed: DbnFeed, extension: Any) -> None:
        self._feed, self._decoder = feed, extension.DbnDecoder()
        self._decoder.number(list(feed.numbers.items()))

    def decode(self, run: Run) -> Chunk:
        if ids := self._decoder.unnumbered(run.data, run.size):
            new = np.array(ids, np.uint32)
            self._decoder.number(list(zip(ids, self._feed.number(new).tolist(), strict=True)))
        return Chunk(*self._decoder.decode(run.data, run.size))


def _parse(version: int, body: memoryview) -> Metadata:
    dataset, schema, *_ = fixed = _FIXED[version].unpack_from(body)
    (stype_in, stype_out), width = (fixed[6:8], _SYMBOL_BYTES) if version == 1 else (fixed[5:7], fixed[8])
    at = _FIXED[version].size
    at += 4 + int.from_bytes(body[at : at + 4], "little")  # a definition of the schema, never used
    for _ in range(3):  # symbols asked for, those found in part, those not found
        at += 4 + width * int.from_bytes(body[at : at + 4], "little")
    names: dict[int, str] = {}
    for asked, found in _mappings(body, at, width):
        number, name = (found, asked) if stype_out == _INSTRUMENT_ID else (asked, found)
        if _INSTRUMENT_ID in (stype_in, stype_out) and number.isdigit():
            names.setdefault(int(number), name)
    return Metadata(version, dataset.rstrip(b"\0").decode("latin-1"), schema, _PREAMBLE.size + len(body), names)


def _mappings(body: memoryview, at: int, width: int) -> Iterator[tuple[str, str]]:
    """(symbol asked for, symbol found) for each span of days."""

    def text(start: int) -> str:
        return bytes(body[start : start + width]).rstrip(b"\0").decode("latin-1")

    def number(start: int) -> int:
        return int(Struct("<I").unpack_from(body, start)[0])

    count, at = number(at), at + 4
    for _ in range(count):
        asked, spans, at = text(at), number(at + width), at + width + 4
        for _ in range(spans):
            number(at + 4)  # before the name: the first day, and the one after the last
            yield asked, text(at + 8)
            at += 8 + width


def _padded(size: int) -> np.dtype[np.void]:
    """The record with what follows it: the time it was sent, in files written with ts_out."""
    if size == _MBO_BYTES:
        return MBO_DTYPE
    return np.dtype([*((name, MBO_DTYPE[name]) for name in MBO_DTYPE.names or ()), ("more", f"V{size - _MBO_BYTES}")])


def _run_length(data: memoryview, size: int) -> int:
    """How many whole records from the start have the length and the type of the first."""
    if extension := rust():
        return int(extension.dbn_run_length(data, size))
    count = len(data) // size
    heads = np.frombuffer(data, np.uint8, count * size).reshape(count, size)[:, :2]
    other = (heads != heads[:1]).any(axis=1)
    return int(other.argmax()) if other.any() else count


def _pieces(rest: bytes, block: Block) -> Iterator[memoryview]:
    """A block behind the beginning of a record: that record alone, and what follows it, without a copy."""
    missing = max(rest[0] * 4, _HEADER_BYTES) - len(rest) if rest else 0
    if rest:
        yield memoryview(rest + block[:missing])
    if missing < len(block):
        yield memoryview(block)[missing:]


def _beyond(skip: int, blocks: Iterator[Block]) -> Iterator[Block]:
    """What comes after the first `skip` bytes."""
    for block in blocks:
        yield block[skip:]
        skip = max(0, skip - len(block))
