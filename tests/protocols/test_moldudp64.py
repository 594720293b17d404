"""Are MoldUDP64 packets read and written byte for byte, and is every wrong one refused with a sentence?"""

import contextlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from captures import PORT, frames, patient, payload, payloads, tshark, write
from hypothesis import given
from hypothesis import strategies as st

from hftlab.errors import WireError
from hftlab.protocols import moldudp64 as mold

SESSION = b"SESSION001"
FOLDERS = ["itch50_moldudp64", "itch50_rewrapped_20230822"]

messages = st.lists(st.binary(max_size=60), max_size=40)
numbers = st.one_of(st.integers(0, 5), st.integers(0, mold.HIGHEST), st.integers(mold.HIGHEST - 40, mold.HIGHEST))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_captured_packet_is_read_and_written_again(data_dir: Path, folder: str) -> None:
    for datagram in payloads(data_dir / "pcap" / folder):
        packet = mold.decode(datagram)
        assert packet.count == len(mold.split(packet.blocks)) > 0
        assert mold.encode(packet.session, packet.sequence, mold.split(packet.blocks)) == datagram


def test_a_real_packet_field_by_field(data_dir: Path) -> None:
    [datagram] = map(payload, frames(data_dir / "pcap/itch50_moldudp64/OrderDeleteMessage.pcap"))
    packet = mold.decode(datagram)
    assert packet == (b"000010059B", 0xE12F5A, 1, datagram[20:])
    assert packet.next == 0xE12F5B
    assert [(len(message), message[:1]) for message in mold.split(packet.blocks)] == [(19, b"D")]


def test_tshark_sees_the_same_in_packets_captured_and_written_here(data_dir: Path, tmp_path: Path) -> None:
    # Captured ones are written anew, since some of the captures have no ports.
    datagrams = [datagram for folder in FOLDERS for datagram in payloads(data_dir / "pcap" / folder)]
    many = [b"m" * n for n in range(30)]
    datagrams += [
        mold.encode(SESSION, 1, many),
        mold.encode(SESSION, mold.HIGHEST - 1, [b"last"]),
        *mold.pack(SESSION, 5, many, 100),
    ]
    datagrams += [mold.heartbeat(SESSION, 31), mold.end(SESSION, mold.HIGHEST)]
    path = write(tmp_path / "mold.pcap", datagrams, "udp")
    assert tshark(path, PORT, "moldudp64", "session sequence count msglen") == [seen(datagram) for datagram in datagrams]
    asked = write(tmp_path / "request.pcap", [mold.Request(SESSION, 7, 300).encode()], "udp")
    [[_, sequence, count]] = tshark(asked, PORT, "moldudp64", "session sequence count")
    assert (sequence, count) == ("7", "300")


def seen(datagram: bytes) -> list[str]:
    """What tshark prints of a packet."""
    packet = mold.decode(datagram)
    lengths = ",".join(str(len(message)) for message in mold.split(packet.blocks))
    return [packet.session.decode().rstrip("\0"), str(packet.sequence), str(packet.count), lengths]


@patient
@given(messages, st.integers(0, mold.HIGHEST - 40))
def test_what_is_written_is_read_again(many: list[bytes], sequence: int) -> None:
    packet = mold.decode(mold.encode(SESSION, sequence, many))
    assert packet[:3] == (SESSION, sequence, len(many))
    assert mold.split(packet.blocks) == many
    assert (packet.messages, packet.next) == (len(many), sequence + len(many))
    for count in range(len(many) + 1):
        assert mold.split(mold.skip(packet.blocks, count)) == many[count:]


@patient
@given(messages, st.integers(22, 200))
def test_packing_keeps_order_numbers_and_the_limit(many: list[bytes], limit: int) -> None:
    packets = [mold.decode(datagram) for datagram in mold.pack(SESSION, 9, many, limit)]
    assert [message for packet in packets for message in mold.split(packet.blocks)] == many
    assert [packet.sequence for packet in packets] == [9, *(packet.next for packet in packets)][: len(packets)]
    assert all(len(packet.blocks) <= limit or packet.count == 1 for packet in packets)
    # As many as fit: the first message of a packet had no room in the one before.
    for before, after in pairwise(packets):
        assert len(before.blocks) + 2 + len(mold.split(after.blocks)[0]) > limit


def test_neither_heartbeats_nor_ends_have_messages() -> None:
    beat, end = mold.decode(mold.heartbeat(SESSION, 12)), mold.decode(mold.end(SESSION, 12))
    assert (beat.count, beat.messages, beat.next) == (mold.HEARTBEAT, 0, 12)
    assert (end.count, end.messages, end.next) == (mold.END, 0, 12)
    assert mold.encode(SESSION, 12, []) == mold.heartbeat(SESSION, 12)


def test_the_largest_count_is_no_end() -> None:
    packet = mold.decode(mold.HEADER.pack(SESSION, 1, mold.MAX_MESSAGES) + bytes(2 * mold.MAX_MESSAGES))
    assert packet.next == 1 + mold.MAX_MESSAGES
    sizes = [len(datagram) for datagram in mold.pack(SESSION, 1, [bytes(1000)] * 100, limit=1 << 20)]
    assert 64_000 < max(sizes) <= 65_507  # what UDP can carry, whatever the limit


def test_requests() -> None:
    wanted = mold.Request(SESSION, 7, 300)
    assert mold.decode_request(wanted.encode()) == wanted
    assert len(wanted.encode()) == 20
    for wrong in (wanted.encode()[:-1], wanted.encode() + b"\0"):
        with pytest.raises(WireError, match=r"offset (19|20): .*20"):
            mold.decode_request(wrong)


@pytest.mark.parametrize(
    ("datagram", "offset", "got"),
    [
        (b"", 0, "got 0"),
        (mold.heartbeat(SESSION, 1)[:19], 19, "got 19"),
        (mold.encode(SESSION, 1, [b"abc"])[:-1], 20, "5 bytes with its length, got the last 4"),
        (mold.encode(SESSION, 1, [b"abc", b""])[:-1], 25, "got the last 1"),
        (mold.encode(SESSION, 1, [b"abc"]) + b"xy", 25, "after 1 messages, got 2 more"),
        (mold.heartbeat(SESSION, 1) + b"\0\0", 20, "got 2 more"),
        (mold.end(SESSION, 1) + b"\0\1a", 20, "got 3 more"),
        (mold.HEADER.pack(SESSION, mold.HIGHEST, 1) + b"\0\0", 10, f"at most {mold.HIGHEST}, got"),
        (mold.HEADER.pack(SESSION, 1, 2) + b"\xff\xff" + b"a" * 50, 20, "65537 bytes with its length, got the last 52"),
    ],
)
def test_wrong_packets_are_refused_with_a_sentence(datagram: bytes, offset: int, got: str) -> None:
    with pytest.raises(WireError, match=f"offset {offset}: .* must .*{got}") as caught:
        mold.decode(datagram)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (lambda: mold.heartbeat(b"short", 1), "must be 10 bytes"),
        (lambda: mold.heartbeat(SESSION, -1), "numbers must be between 0"),
        (lambda: mold.heartbeat(SESSION, mold.HIGHEST + 1), str(mold.HIGHEST)),
        (lambda: mold.encode(SESSION, mold.HIGHEST, [b""]), "and 1 messages"),
        (lambda: mold.encode(SESSION, 1, [bytes(65_536)]), "at most 65535 bytes, got 65536"),
        (lambda: mold.encode(SESSION, 1, [b""] * 65_535), "at most 65534 messages, got 65535"),
        (lambda: mold.encode(SESSION, 1, [bytes(40_000)] * 2), "at most 65487"),
        (lambda: mold.Request(SESSION, 1, -1).encode(), "between 0 and 65535, got -1"),
        (lambda: mold.Request(SESSION, 1, 65_536).encode(), "got 65536"),
    ],
)
def test_what_no_packet_can_carry_is_refused(write: Callable[[], bytes], text: str) -> None:
    with pytest.raises(WireError, match=text):
        write()


@patient
@given(
    st.binary(max_size=120)
    | st.builds(mold.HEADER.pack, st.just(SESSION), numbers, st.integers(0, 5)).flatmap(
        lambda head: st.binary(max_size=60).map(lambda tail: head + tail)
    )
)
def test_any_bytes_are_read_or_refused(datagram: bytes) -> None:
    try:
        packet = mold.decode(datagram)
    except WireError:
        pass
    else:
        again = mold.end(*packet[:2]) if packet.count == mold.END else mold.encode(*packet[:2], mold.split(packet.blocks))
        assert again == datagram
    try:
        assert mold.decode_request(datagram).encode() == datagram
    except WireError:
        assert len(datagram) != 20
    with contextlib.suppress(WireError):
        assert b"".join(map(mold.frame, mold.split(datagram))) == datagram
