"""Captures of a network, pcap and pcapng, and in them ITCH 5.0 as it left the exchange: MoldUDP64 in UDP, IPv4, VLAN, Ethernet.

All lines of a session are arbitrated into one stream (`protocols.arbiter`): the first copy of a message wins, what comes early
waits, and what neither line brings is a gap, which is counted and reported. Nobody answers a request in a file, so none is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from struct import Struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hftlab.errors import FeedError, WireError
from hftlab.feeds.frames import Block, frame_problem, walk
from hftlab.feeds.itch import ItchFeed
from hftlab.feeds.source import Source
from hftlab.protocols import moldudp64
from hftlab.protocols.arbiter import Arbiter, Delivery

ETHERNET = 1  # the only link that is read
_NG = 0x0A0D0D0A
_MAGIC = {0xA1B2C3D4: 1_000, 0xA1B23C4D: 1}  # ns of the second part of a time
_SECTION, _INTERFACE, _SIMPLE, _PACKET = _NG, 1, 3, 6  # blocks of pcapng
_ORDER_NG = 0x1A2B3C4D
_LONGEST = 1 << 20  # bytes of a packet or a block; what is longer is no capture
_VLANS, _IPV4, _UDP = (b"\x81\x00", b"\x88\xa8"), b"\x08\x00", 17
_MOST_SESSIONS = 64
_WINDOW = 0xFFFF  # messages that may wait for the other line
_PATIENCE_NS = 20_000_000  # how long a hole waits for it


class Frame(NamedTuple):
    """One captured frame: where its record stands in the file, when it was captured (ns since 1970), and its bytes."""

    offset: int
    ts_ns: int
    data: bytes


class Datagram(NamedTuple):
    """What one UDP datagram carried, and which line brought it: destination address and port."""

    offset: int
    ts_ns: int
    line: bytes
    payload: bytes


class Gap(NamedTuple):
    """Messages that no line of a session brought: numbers from `first` to before `until`."""

    session: bytes
    first: int
    until: int


class _Bytes:
    """A stream of which bytes are taken by number."""

    def __init__(self, blocks: Iterable[bytes], name: str) -> None:
        self._blocks, self._rest, self._at = iter(blocks), b"", 0
        self.name, self.offset = name, 0

    def take(self, size: int, what: str = "") -> bytes:
        """The next bytes; b"" at the end of the stream. raises : FeedError where it ends before, if `what` has begun"""
        while len(self._rest) - self._at < size and (block := next(self._blocks, None)) is not None:
            self._rest, self._at = self._rest[self._at :] + block, 0
        data = self._rest[self._at : self._at + size]
        if len(data) < size and (data or what):
            text = f"cut off inside {what or 'a record'}; it needs {size} bytes, {len(data)} are left"
            raise self.wrong(text)
        self._at, self.offset = self._at + len(data), self.offset + len(data)
        return data

    def wrong(self, text: str, offset: int | None = None) -> FeedError:
        """The error for what stands at an offset, or comes next."""
        at = self.offset if offset is None else offset
        return FeedError(f"{self.name}: offset {at}: {text}", offset=at)


def frames(blocks: Iterable[bytes], name: str) -> Iterator[Frame]:
    """Every Ethernet frame of a capture in order, classic or pcapng, of either byte order.

    raises : FeedError for what is no capture, is of another link, or is cut off
    """
    stream = _Bytes(blocks, name)
    magic = stream.take(4, "the header of a capture")
    for order in ("<", ">"):
        value = Struct(order + "I").unpack(magic)[0]
        if value in _MAGIC:
            yield from _classic(stream, order, _MAGIC[value])
            return
    if int.from_bytes(magic, "big") != _NG:
        raise stream.wrong(f"must be the magic number of pcap or pcapng, got {magic!r}", 0)
    yield from _next_generation(stream)


def _classic(stream: _Bytes, order: str, unit_ns: int) -> Iterator[Frame]:
    major, minor, _, _, _, link = Struct(order + "HHiIII").unpack(stream.take(20, "the header of a capture"))
    if (major, link & 0xFFFF) != (2, ETHERNET):
        raise stream.wrong(f"must be pcap 2.x of Ethernet (link 1), got {major}.{minor} of link {link & 0xFFFF}", 4)
    header = Struct(order + "IIII")
    while head := stream.take(header.size):
        at = stream.offset - header.size
        seconds, part, size, _ = header.unpack(head)
        if size > _LONGEST:
            raise stream.wrong(f"a packet must be at most {_LONGEST:,} bytes, got {size:,}", at)
        yield Frame(at, seconds * 10**9 + part * unit_ns, stream.take(size, "a packet"))


def _next_generation(stream: _Bytes) -> Iterator[Frame]:
    order, head, units = "", b"\x0a\x0d\x0d\x0a", list[float]()
    while head:
        at = stream.offset - 4
        kind = _NG if head == b"\x0a\x0d\x0d\x0a" else Struct(order + "I").unpack(head)[0]
        sizes, mark = stream.take(4, "a block"), b""
        if kind == _SECTION:
            mark = stream.take(4, "a section header")
            order, units = "<" if mark == _ORDER_NG.to_bytes(4, "little") else ">", []
            if mark not in (_ORDER_NG.to_bytes(4, "little"), _ORDER_NG.to_bytes(4, "big")):
                raise stream.wrong(f"the byte order of a section must be 0x1a2b3c4d, got {mark!r}", at + 8)
        size = Struct(order + "I").unpack(sizes)[0]
        if not 12 + len(mark) <= size <= _LONGEST or size % 4:
            raise stream.wrong(f"a block must be a multiple of 4 from 12 to {_LONGEST:,} bytes, got {size:,}", at + 4)
        body = stream.take(size - 8 - len(mark), "a block")[:-4]
        if kind == _INTERFACE:
            units.append(_resolution(stream, order, body, at))
        elif kind in (_PACKET, _SIMPLE):
            yield _frame(stream, order, kind, body, units, at)
        head = stream.take(4)


def _resolution(stream: _Bytes, order: str, body: bytes, at: int) -> float:
    """ns of one step of an interface's clock (option 9: a power of ten, or of two if its highest bit is set)."""
    if len(body) < 8 or (link := Struct(order + "H").unpack_from(body)[0]) != ETHERNET:
        raise stream.wrong(f"an interface must be Ethernet (link 1), got link {link if len(body) >= 8 else 'none'}", at)
    place, step = 8, 6
    while place + 4 <= len(body):
        code, length = Struct(order + "HH").unpack_from(body, place)
        if code == 9 and place + 4 < len(body):
            step = body[place + 4]
        place += 4 + length + -length % 4
    return 1e9 * 2.0 ** -(step & 0x7F) if step & 0x80 else 10.0 ** (9 - step)


def _frame(stream: _Bytes, order: str, kind: int, body: bytes, units: list[float], at: int) -> Frame:
    """The frame in an enhanced packet block, or in a simple one, which has no time."""
    head = Struct(order + ("IIIII" if kind == _PACKET else "I"))
    if len(body) < head.size:
        raise stream.wrong(f"a packet block must have at least {head.size} bytes, got {len(body)}", at)
    if kind == _SIMPLE:
        return Frame(at, 0, body[head.size : head.size + head.unpack_from(body)[0]])
    interface, high, low, size, _ = head.unpack_from(body)
    if interface >= len(units) or size > len(body) - head.size:
        raise stream.wrong(f"a packet must be of a known interface and inside its block, got {interface} and {size} bytes", at)
    ticks, unit = high << 32 | low, units[interface]
    return Frame(at, ticks * int(unit) if unit >= 1 else int(ticks * unit), body[head.size : head.size + size])


def datagrams(found: Iterable[Frame], skipped: Counter[str]) -> Iterator[Datagram]:
    """The UDP datagrams in some frames; what is none is counted in `skipped`, by what it is."""
    for offset, ts_ns, data in found:
        at = 12
        while data[at : at + 2] in _VLANS:
            at += 4
        ip, at = data[at + 2 :], (data[at + 2] & 15) * 4 if len(data) > at + 2 else 0
        if data[len(data) - len(ip) - 2 : len(data) - len(ip)] != _IPV4 or at < 20 or len(ip) < at + 8:
            skipped["frames carry no IPv4"] += 1
        elif ip[9] != _UDP:
            skipped["frames carry no UDP"] += 1
        elif (ip[6] & 0x3F) or ip[7]:
            skipped["frames carry a fragment of a datagram"] += 1
        elif len(ip) < at + int.from_bytes(ip[at + 4 : at + 6], "big"):
            skipped["datagrams were cut when they were captured"] += 1
        else:
            size = int.from_bytes(ip[at + 4 : at + 6], "big")
            yield Datagram(offset, ts_ns, ip[16:20] + ip[at + 2 : at + 4], ip[at + 8 : at + size])


class Capture:
    """The messages of a capture, each session's in order; what was missing or foreign is known once they have been read.

    wrap    : a datagram as MoldUDP64, b"" for one of another protocol
    what    : the protocol, for the error where there is nothing of it
    gaps    : what no line brought; skipped : what was no message, by what it was
    """

    def __init__(self, source: Source, wrap: Callable[[bytes], bytes], what: str) -> None:
        self._source, self._wrap, self._what = source, wrap, what
        self.gaps: list[Gap] = []
        self.skipped: Counter[str] = Counter()

    def deliveries(self) -> Iterator[tuple[int, Delivery]]:
        """(time, messages). raises : FeedError for what is no capture, is cut off, or holds nothing of the protocol"""
        self.gaps.clear()
        self.skipped.clear()
        lines: dict[bytes, int] = {}
        streams: dict[bytes, _Session] = {}
        for datagram in datagrams(frames(self._source.blocks(), self._source.name), self.skipped):
            payload = self._wrap(datagram.payload)
            session = payload[:10]
            if not payload:
                self.skipped[f"datagrams are not {self._what}"] += 1
            elif session not in streams and len(streams) == _MOST_SESSIONS:
                self.skipped[f"datagrams are of a session beyond the first {_MOST_SESSIONS}"] += 1
            else:
                stream = streams.setdefault(session, _Session(session, self.gaps, self.skipped))
                line = lines.setdefault(datagram.line, len(lines))
                for delivery in stream.receive(line, datagram._replace(payload=payload)):
                    yield datagram.ts_ns, delivery
        for stream in streams.values():
            for delivery in stream.rest():
                yield stream.last_ns, delivery
        if not streams:
            why = "; ".join(self.notes()) or "it has no packets"
            raise FeedError(f"{self._source.name}: offset 0: must hold {self._what}, but {why}", offset=0)

    def notes(self) -> list[str]:
        """What was missing or foreign, as sentences."""
        lost = [
            f"messages {first:,} to {until - 1:,} of session {session.decode('latin-1').strip()!r} came on no line"
            for session, first, until in self.gaps[:10]
        ]
        more = [f"and {len(self.gaps) - 10:,} more gaps"] if self.gaps[10:] else []
        return [*lost, *more, *(f"{count:,} {what}" for what, count in self.skipped.items())]


class PcapFeed(ItchFeed):
    """ITCH 5.0 out of a capture. `gaps` are known once it has been read; `recv_ns` is when each message was captured."""

    @staticmethod
    def sniff(head: bytes) -> bool:
        """Whether it begins as a capture does."""
        return is_capture(head)

    @cached_property
    def _capture(self) -> Capture:
        return Capture(self._source, as_mold, "MoldUDP64 of ITCH 5.0")

    @property
    def gaps(self) -> list[Gap]:
        """What no line brought, in the last pass."""
        return self._capture.gaps

    def _whole(self, *, passing: bool = True) -> Iterator[Block]:
        return (delivery.blocks for _, delivery in self._capture.deliveries())

    @property
    def recv_ns(self) -> NDArray[np.uint64] | None:
        """(n,) u64, ns since 1970."""
        times, counts = zip(*((ts_ns, delivery.count) for ts_ns, delivery in self._capture.deliveries()), strict=True)
        whole = np.repeat(np.array(times, np.uint64), counts)
        return whole[self._of_symbols()] if self._locates else whole

    def _of_symbols(self) -> NDArray[np.bool_]:
        """Which messages are of the symbols asked for, or of none."""
        locates = (data[at + 1] << 8 | data[at + 2] if size > 2 else 0 for data, at, size in walk(self._whole(), self.name))
        return np.isin(np.fromiter(locates, np.uint16), [0, *self._locates])

    def notes(self) -> list[str]:
        return self._capture.notes()


class _Session:
    """One session: its arbiter, and a datagram from far ahead that waits until another one says whether its number is right."""

    def __init__(self, session: bytes, gaps: list[Gap], skipped: Counter[str]) -> None:
        self._arbiter = Arbiter(session, 0, _WINDOW, _PATIENCE_NS, max_requests=0, buffer_bytes=1 << 26)
        self._session, self._gaps, self._skipped, self.last_ns = session, gaps, skipped, 0
        self._far, self._first = b"", 0

    def receive(self, line: int, datagram: Datagram) -> list[Delivery]:
        """What is in order by now."""
        self.last_ns, self._first = datagram.ts_ns, self._first or _number(datagram.payload)
        if _number(datagram.payload) < self._first:
            self._skipped["datagrams have a number before that of the first one captured"] += 1
        if self._is_near(datagram.payload):
            if self._far:
                self._skipped["datagrams have a number far from those around them"] += 1
                self._far = b""
            return self._given([self._arbiter.receive(line, datagram.payload, datagram.ts_ns)])
        out = self.rest()
        if self._is_near(datagram.payload):
            return out + self._given([self._arbiter.receive(line, datagram.payload, datagram.ts_ns)])
        self._far = datagram.payload
        return out

    def rest(self) -> list[Delivery]:
        """What waits where no more comes, or where the numbers go on far ahead."""
        out = self._given(self._arbiter.abandon())
        if not self._far:
            return out
        first = _number(self._far)
        self._gaps.append(Gap(self._session, self._arbiter.expected, first))
        self._arbiter.restart(self._session, first)
        far, self._far = self._far, b""
        return out + self._given([self._arbiter.receive(0, far, self.last_ns)])

    def _is_near(self, payload: bytes) -> bool:
        return not self._arbiter.expected or _number(payload) - self._arbiter.expected < _WINDOW // 2

    def _given(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Those that hold something; the gaps that were given up for them go to the list."""
        while self._arbiter.lost:
            self._gaps.append(Gap(self._session, *self._arbiter.lost.popleft()))
        return [delivery for delivery in deliveries if delivery.count]


def _number(payload: bytes) -> int:
    """The number of a datagram's first message."""
    return int.from_bytes(payload[10:18], "big")


def as_mold(payload: bytes) -> bytes:
    """A datagram, if it is MoldUDP64 whose first message may be one of ITCH 5.0; b"" otherwise."""
    try:
        packet = moldudp64.decode(payload)
    except WireError:
        return b""
    first = packet.blocks[:3]
    good = not packet.messages or (len(first) == 3 and not frame_problem(first[0] << 8 | first[1], first[2]))
    return payload if good else b""


def first_payloads(head: bytes) -> list[bytes]:
    """What the first datagrams of a capture carry, of which only the beginning is there."""
    out: list[bytes] = []
    with suppress(FeedError):
        out.extend(datagram.payload for datagram in datagrams(frames([head], "head"), Counter()))
    return out


def is_capture(head: bytes) -> bool:
    """Whether a file begins as pcap or pcapng."""
    magic = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    return len(head) >= 4 and not magic.isdisjoint({*_MAGIC, _NG})
