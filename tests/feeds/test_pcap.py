"""Does a capture give the messages of its lines, once and in order, and say what neither line brought?"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import hftlab
from hftlab.errors import FeedError
from hftlab.feeds.feed import messages
from hftlab.protocols import moldudp64 as mold
from hftlab.protocols.channel import Impairment, LossyChannel

SESSION = b"SESSION001"
DAY = b"".join(hftlab.synthetic("burst", 3_000, 3).blocks())
MESSAGES = mold.split(DAY)
T0 = 1_700_000_000_123_456_789
Packets = Sequence[tuple[int, bytes]]  # (ns, frame)


def frame(payload: bytes, line: int = 0, vlans: int = 0, protocol: int = 17, fragment: int = 0) -> bytes:
    """Ethernet, IPv4 and UDP around a payload, with the padding of a short frame."""
    udp = struct.pack(">HHHH", 40_000, 30_000 + line, 8 + len(payload), 0) + payload
    options = b"\x01" * 4 if line else b""
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x45 + (line > 0),
        0,
        20 + len(options) + len(udp),
        0,
        fragment,
        64,
        protocol,
        0,
        b"\n\0\0\1",
        b"\xe9\0\0\1",
    )
    data = bytes(12) + b"\x81\x00\x00\x07" * vlans + b"\x08\x00" + head + options + udp
    return data + b"\xaa" * max(0, 60 - len(data))


def classic(packets: Packets, order: str = "<", ns: bool = True) -> bytes:
    out = struct.pack(order + "IHHiIII", 0xA1B23C4D if ns else 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    for at, data in packets:
        out += struct.pack(order + "IIII", at // 10**9, at % 10**9 // (1 if ns else 1_000), len(data), len(data)) + data
    return out


def next_generation(packets: Packets, order: str = "<", step: int = 9) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, 12 + len(body)) + body + struct.pack(order + "I", 12 + len(body))

    out = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack(order + "HHIHHB3xHH", 1, 0, 0, 9, 1, step, 0, 0)) + block(5, b"statistics..")
    for at, data in packets:
        ticks = at // 10 ** (9 - step)
        out += block(6, struct.pack(order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)) + data)
    return out


def both_lines(loss: float = 0.0, seed: int = 1, cut: Sequence[int] = ()) -> Iterator[tuple[int, bytes]]:
    """The day on lines A and B, each with faults of its own; packets beginning with a number in `cut` come on neither."""
    lines = [LossyChannel(name, Impairment(loss, 0.05, 0.1) if loss else None, seed) for name in "AB"]
    for at, datagram in enumerate(mold.pack(SESSION, 1, MESSAGES, 200)):
        if mold.decode(datagram).sequence not in cut:
            for line, channel in enumerate(lines):
                for arrived in channel.carry(datagram):
                    yield T0 + at * 1_000 + line, frame(arrived, line, vlans=line)
    yield T0 + 10**9, frame(mold.end(SESSION, len(MESSAGES) + 1))


def opened(tmp_path: Path, data: bytes, symbols: Sequence[str] = ()) -> hftlab.Feed:
    (tmp_path / "day.pcap").write_bytes(data)
    return hftlab.load(tmp_path / "day.pcap", symbols)


def content(feed: hftlab.Feed) -> bytes:
    return b"".join(map(bytes, feed.blocks()))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("write", [classic, next_generation])
def test_two_whole_lines_are_one_stream_with_the_times_of_its_first_copies(order: str, write: type, tmp_path: Path) -> None:
    feed = opened(tmp_path, write(list(both_lines()), order))
    assert (content(feed), feed.notes(), feed.format) == (DAY, [], "pcap")
    counts = [mold.decode(datagram).count for datagram in mold.pack(SESSION, 1, MESSAGES, 200)]
    assert feed.recv_ns is not None
    assert feed.recv_ns.tolist() == [T0 + at * 1_000 for at, count in enumerate(counts) for _ in range(count)]
    assert hftlab.decode(feed).tobytes() == hftlab.decode(hftlab.ItchFeed(DAY)).tobytes()


def test_coarser_clocks_keep_what_they_have(tmp_path: Path) -> None:
    packets = list(both_lines())
    for data in (classic(packets, ns=False), next_generation(packets, step=6)):
        recv = opened(tmp_path, data).recv_ns
        assert recv is not None
        assert int(recv[0]) == T0 // 1_000 * 1_000


@pytest.mark.parametrize("seed", range(4))
def test_what_one_line_lost_the_other_brings(seed: int, tmp_path: Path) -> None:
    feed = opened(tmp_path, classic(list(both_lines(0.1, seed))))
    given = content(feed)
    lost = {number for gap in feed.gaps for number in range(gap.first, gap.until)}  # type: ignore[attr-defined]
    assert given == b"".join(mold.frame(message) for number, message in enumerate(MESSAGES, 1) if number not in lost)
    assert len(lost) < 0.05 * len(MESSAGES)
    assert len(feed.notes()) == len(feed.gaps)  # type: ignore[attr-defined]


def test_what_neither_line_brings_is_told_and_the_rest_stays(tmp_path: Path, backend: str) -> None:
    numbers = [mold.decode(datagram).sequence for datagram in mold.pack(SESSION, 1, MESSAGES, 200)]
    feed = opened(tmp_path, classic(list(both_lines(cut=numbers[50:52]))))
    missing = range(numbers[50], numbers[52])
    assert content(feed) == b"".join(mold.frame(message) for number, message in enumerate(MESSAGES, 1) if number not in missing)
    assert feed.notes() == [f"messages {numbers[50]} to {numbers[52] - 1} of session 'SESSION001' came on no line"]
    assert hftlab.Engine(backend).run(feed).messages == len(MESSAGES) - len(missing)


def test_a_capture_may_skip_far_ahead_but_one_wild_number_does_not_move_it(tmp_path: Path) -> None:
    far = [(T0 + 5, frame(mold.encode(SESSION, 1_000_000 + at, MESSAGES[at : at + 2]))) for at in (0, 2)]
    start = [(T0, frame(mold.encode(SESSION, 1, MESSAGES[:3])))]
    feed = opened(tmp_path, classic([*start, *far]))
    assert content(feed) == b"".join(map(mold.frame, [*MESSAGES[:3], *MESSAGES[:4]]))
    assert feed.notes() == ["messages 4 to 999,999 of session 'SESSION001' came on no line"]
    after = [(T0 + 9, frame(mold.encode(SESSION, 4, MESSAGES[3:6])))]
    feed = opened(tmp_path, classic([*start, far[0], *after]))
    assert content(feed) == b"".join(map(mold.frame, MESSAGES[:6]))
    assert feed.notes() == ["1 datagrams have a number far from those around them"]


def test_everything_else_in_a_capture_is_counted(tmp_path: Path) -> None:
    good = frame(mold.encode(SESSION, 1, MESSAGES[:2]))
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    packets = [
        good,
        arp,
        frame(b"", protocol=6),
        frame(b"x" * 80, fragment=0x2000),
        good[:-30],
        frame(b"hello, world" * 3),
        b"short",
    ]
    feed = opened(tmp_path, classic([(T0, data) for data in packets]))
    assert content(feed) == b"".join(map(mold.frame, MESSAGES[:2]))
    assert sorted(feed.notes()) == [
        "1 datagrams are not MoldUDP64 of ITCH 5.0",
        "1 datagrams were cut when they were captured",
        "1 frames carry a fragment of a datagram",
        "1 frames carry no UDP",
        "2 frames carry no IPv4",
    ]


def test_one_symbol_out_of_a_capture(tmp_path: Path) -> None:
    feed = opened(tmp_path, classic(list(both_lines())), ["HLAAC"])
    alone = hftlab.ItchFeed(DAY, symbols=["HLAAC"])
    assert content(feed) == content(alone)
    assert feed.recv_ns is not None
    assert len(feed.recv_ns) == sum(1 for _ in messages(alone))


CAPTURE = classic(list(both_lines())[:9])
NG = next_generation(list(both_lines())[:9])
AFTER_TWO = 24 + 2 * 16 + sum(len(data) for _, data in list(both_lines())[:2])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (CAPTURE[:20], "offset 4: cut off inside the header of a capture; it needs 20 bytes, 16 are left"),
        (CAPTURE[:20] + b"\x65" + CAPTURE[21:], r"offset 4: must be pcap 2.x of Ethernet \(link 1\), got 2.4 of link 101"),
        (CAPTURE[: AFTER_TWO + 9], f"offset {AFTER_TWO}: cut off inside a record; it needs 16 bytes, 9 are left"),
        (CAPTURE[: AFTER_TWO + 30], f"offset {AFTER_TWO + 16}: cut off inside a packet"),
        (
            CAPTURE[: AFTER_TWO + 8] + b"\xff" * 4 + CAPTURE[AFTER_TWO + 12 :],
            f"offset {AFTER_TWO}: a packet must be at most 1,048,576",
        ),
        (NG[:10], "offset 8: cut off inside a section header"),
        (NG[:8] + b"abcd" + NG[12:], "offset 8: the byte order of a section must be 0x1a2b3c4d, got b'abcd'"),
        (NG[:4] + b"\xff\xff\xff\x7f" + NG[8:], "offset 4: a block must be a multiple of 4 from 12 to"),
        (NG[:36] + b"\x65" + NG[37:], r"offset 28: an interface must be Ethernet \(link 1\), got link 101"),
        (NG[:-3], r"offset \d+: cut off inside a block"),
        (classic([]), "offset 0: must hold MoldUDP64 of ITCH 5.0, but it has no packets"),
        (classic([(T0, frame(b"hello"))]), "offset 0: must hold MoldUDP64 of ITCH 5.0, but 1 datagrams are not"),
    ],
)
def test_damage_is_one_sentence_and_what_was_good_stays(data: bytes, text: str, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=f"day.pcap: {text}") as caught:
        hftlab.Engine("python").run(opened(tmp_path, data))
    assert caught.value.offset is not None
    assert caught.value.run.messages >= (5 if f"offset {AFTER_TWO}" in text or len(data) == len(NG) - 3 else 0)


def test_real_packets(data_dir: Path) -> None:
    feed = hftlab.load(data_dir / "pcap/itch50_moldudp64/Multiple.Packets.pcap")
    assert hftlab.Engine("python").run(feed).counts["ADD"] == 38
    assert feed.notes() == ["messages 14,764,497 to 19,009,116 of session '000010059B' came on no line"]
    assert feed.recv_ns is not None
    assert feed.recv_ns[0] // 10**9 == 1_692_711_000
