"""The protocols of the wire in Rust against Python's, which are the reference: the same messages, the same refusals."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from struct import calcsize
from typing import Any

import pytest
from captures import payloads
from hypothesis import given, settings
from hypothesis import strategies as st

from hftlab.errors import WireError
from hftlab.protocols import moldudp64, ouch, soupbintcp
from hftlab.protocols.ouch_fields import BY_NUMBER, Message, encode_appendage

pytestmark = pytest.mark.rust
rust: Any = import_module("hftlab_rust") if find_spec("hftlab_rust") else None

EXAMPLES = settings(max_examples=300, deadline=None)


def either(function: Callable[..., Any], *args: Any) -> Any:
    """What a function gives, or the offset at which it finds its bytes wrong."""
    try:
        return function(*args)
    except WireError as error:
        return ("wrong", error.offset)
    except ValueError as error:  # Rust's: text and offset
        return ("wrong", error.args[1])


def in_python(decode: Callable[[bytes], Message], data: bytes) -> Any:
    message = decode(data)
    fields = [(name, getattr(message, name)) for name in message.CODES]
    return type(message).__name__, fields, list(getattr(message, "appendage", ())), message.encode()


def in_rust(decode: Callable[[bytes], Any], data: bytes) -> Any:
    name, fields, options, again = decode(data)
    # Padding goes where there is more than one letter, as Python takes it away.
    texts = [(key, value if isinstance(value, int) else value.decode("latin-1")) for key, value in fields]
    texts = [(key, value.rstrip(" ") if isinstance(value, str) and len(value) > 1 else value) for key, value in texts]
    return name, texts, [(tag, bytes(value)) for tag, value in options], again


def mold_in_rust(datagram: bytes) -> tuple[bytes, int, int, bytes]:
    session, *rest = rust.mold_decode(datagram)
    return bytes(session), *rest


def mold_request(datagram: bytes) -> tuple[bytes, int, int, bytes]:
    request = moldudp64.decode_request(datagram)
    return request.session, request.sequence, request.count, request.encode()


def mold_request_in_rust(datagram: bytes) -> tuple[bytes, int, int, bytes]:
    session, sequence, count, again = rust.mold_decode_request(datagram)
    return bytes(session), sequence, count, bytes(again)


def login(payload: bytes) -> Any:
    found = soupbintcp.decode_login(payload)
    fields = (found.username, found.password, found.session, found.sequence, found.heartbeat_ms)
    return fields, soupbintcp.login(*fields)


def login_in_rust(payload: bytes) -> Any:
    (username, password, session, *numbers), again = rust.soup_decode_login(payload)
    return (username.decode(), password.decode(), session.decode(), *numbers), again


def accepted(payload: bytes) -> Any:
    found = soupbintcp.decode_accepted(payload)
    return *found, soupbintcp.accepted(*found)


def accepted_in_rust(payload: bytes) -> Any:
    session, sequence, again = rust.soup_decode_accepted(payload)
    return session.decode(), sequence, again


def same(python: Callable[..., Any], compiled: Callable[..., Any], *args: Any) -> Any:
    """Both give the same, or find the same byte wrong."""
    expected = either(python, *args)
    assert either(compiled, *args) == expected
    return expected


# -- MoldUDP64 ---------------------------------------------------------------------------------------------------------

sessions = st.binary(min_size=10, max_size=10)
numbers = st.one_of(st.integers(0, 100), st.integers(2**64 - 5, 2**64 - 1), st.integers(0, 2**64 - 1))
messages = st.lists(st.binary(max_size=60), max_size=12)


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """Packets, whole or torn, with the right count or another one."""
    framed = b"".join(map(moldudp64.frame, draw(messages)))
    count = draw(st.one_of(st.integers(0, 13), st.sampled_from([0xFFFE, 0xFFFF])))
    datagram = draw(sessions) + draw(numbers).to_bytes(8, "big") + count.to_bytes(2, "big") + framed
    return datagram[: draw(st.integers(0, len(datagram)))] if draw(st.booleans()) else datagram + draw(st.binary(max_size=3))


@EXAMPLES
@given(sessions, numbers, messages)
def test_mold_packets_are_read_alike(session: bytes, sequence: int, some: list[bytes]) -> None:
    if sequence + len(some) < 2**64:
        datagram = moldudp64.encode(session, sequence, some)
        assert same(moldudp64.decode, mold_in_rust, datagram) == (session, sequence, len(some), datagram[20:])


@EXAMPLES
@given(datagrams())
def test_torn_mold_packets_are_refused_alike(datagram: bytes) -> None:
    same(moldudp64.decode, mold_in_rust, datagram)
    same(mold_request, mold_request_in_rust, datagram)
    same(mold_request, mold_request_in_rust, datagram[:20])


@EXAMPLES
@given(sessions, st.integers(1, 2**63), messages, st.integers(0, 200))
def test_mold_packets_are_filled_alike(session: bytes, sequence: int, some: list[bytes], limit: int) -> None:
    expected = [*moldudp64.pack(session, sequence, some, limit), moldudp64.end(session, sequence + len(some))]
    assert rust.mold_pack(session, sequence, some, limit) == expected


@pytest.mark.parametrize("folder", ["itch50_moldudp64", "itch50_rewrapped_20230822"])
def test_every_captured_datagram_is_read_alike(data_dir: Path, folder: str) -> None:
    for datagram in payloads(data_dir / "pcap" / folder):
        session, sequence, _, blocks = same(moldudp64.decode, mold_in_rust, datagram)
        again = rust.mold_pack(session, sequence, moldudp64.split(blocks), len(blocks))
        assert again == [datagram, moldudp64.end(session, moldudp64.decode(datagram).next)]
        for end in range(len(datagram)):
            assert same(moldudp64.decode, mold_in_rust, datagram[:end])[0] == "wrong"


# -- SoupBinTCP --------------------------------------------------------------------------------------------------------

packets = st.lists(st.tuples(st.sampled_from([b"+", b"A", b"S", b"U", b"H", b"Z", b"?"]), st.binary(max_size=70)), max_size=15)
tails = st.sampled_from([b"", b"\0", b"\0\0", b"\0\x05S12", b"\0\x60", b"\xff\xffS"])


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(edges)]


def framed(framer: soupbintcp.Framer, piece: bytes) -> Any:
    found: list[Any] = []
    try:
        for kind, payload in framer.feed(piece):
            found.append((kind[0], payload))
    except WireError as error:
        return found, error.offset
    return found, None


@EXAMPLES
@given(packets, tails, st.lists(st.integers(0, 10**6), max_size=30), st.sampled_from([65_535, 71, 40]))
def test_tcp_is_cut_into_the_same_packets(some: Any, tail: bytes, cuts: list[int], limit: int) -> None:
    stream = b"".join(soupbintcp.packet(*packet) for packet in some) + tail
    for parts in (pieces(stream, cuts), [stream[i : i + 1] for i in range(len(stream))], [stream]):
        python, compiled = soupbintcp.Framer(limit), rust.SoupFramer(limit)
        for part in parts:
            seen, offset = framed(python, part)
            assert compiled.feed(part) == (seen, offset)
            assert compiled.offset == python.offset
            if offset is not None:
                break
            assert compiled.waiting == python.waiting


@EXAMPLES
@given(st.integers(0, 255), st.one_of(st.binary(max_size=100), st.just(bytes(65_534)), st.just(bytes(65_535))))
def test_packets_are_made_alike(kind: int, payload: bytes) -> None:
    same_bytes = either(soupbintcp.packet, bytes([kind]), payload)
    if isinstance(same_bytes, bytes):
        assert rust.soup_packet(kind, payload) == same_bytes
    else:
        with pytest.raises(ValueError, match="too long"):
            rust.soup_packet(kind, payload)


def field(size: int, letters: str) -> st.SearchStrategy[bytes]:
    """A field with its padding on either side, or garbage in it."""
    text = st.text(letters, max_size=size)
    good = st.one_of(text.map(lambda value: value.ljust(size)), text.map(lambda value: value.rjust(size)))
    return st.one_of(good.map(str.encode), good.map(str.encode), st.binary(min_size=size, max_size=size))


ALNUM = "abcxyzABCXYZ0189"
login_payloads = st.tuples(
    field(6, ALNUM), field(10, ALNUM), field(10, ALNUM), field(20, "0123456789"), st.one_of(st.just(b""), field(5, "0123456789"))
)


@EXAMPLES
@given(login_payloads)
def test_logins_are_read_alike(fields: tuple[bytes, ...]) -> None:
    same(login, login_in_rust, b"".join(fields))
    same(accepted, accepted_in_rust, fields[2] + fields[3])


@EXAMPLES
@given(st.binary(max_size=60))
def test_any_payload_is_read_alike_as_a_login(payload: bytes) -> None:
    same(login, login_in_rust, payload)
    same(accepted, accepted_in_rust, payload)


def test_a_number_of_more_than_64_bits_is_refused() -> None:
    for digits, good in ((b"18446744073709551615", True), (b"18446744073709551616", False), (b"9" * 20, False)):
        for here, there, head in ((login, login_in_rust, b" " * 26), (accepted, accepted_in_rust, b" " * 10)):
            same(here, there, head + digits)
            assert (either(there, head + digits)[0] != "wrong") == good


# -- OUCH --------------------------------------------------------------------------------------------------------------

DIRECTIONS = {
    "inbound": (ouch.INBOUND, ouch.decode_inbound, "ouch_decode_inbound"),
    "outbound": (ouch.OUTBOUND, ouch.decode_outbound, "ouch_decode_outbound"),
}
KINDS = [pytest.param(name, kind, id=kind.__name__) for name, (kinds, *_) in DIRECTIONS.items() for kind in kinds.values()]
TAG_BYTES = {number: calcsize(">" + tag.code) for number, tag in BY_NUMBER.items()}


def ouch_alike(direction: str, data: bytes) -> Any:
    _, decode, name = DIRECTIONS[direction]
    return same(lambda it: in_python(decode, it), lambda it: in_rust(getattr(rust, name), it), data)


@st.composite
def options(draw: st.DrawFn) -> bytes:
    """An appendage with its length: known tags, unknown ones, wrong sizes, torn."""
    tags = draw(st.lists(st.one_of(st.sampled_from(sorted(TAG_BYTES)), st.integers(0, 255)), max_size=5))
    sizes = [TAG_BYTES.get(tag, tag % 9) for tag in tags]
    out = encode_appendage(tuple((tag, draw(st.binary(min_size=n, max_size=n))) for tag, n in zip(tags, sizes, strict=True)))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(out) - 1))
        out = out[:at] + draw(st.binary(max_size=1)) + out[at + 1 :]
    return out


@pytest.mark.parametrize(("direction", "kind"), KINDS)
def test_every_ouch_message_is_read_alike(direction: str, kind: type[Message]) -> None:
    fixed = kind.SIZE if kind.OPTIONAL or (kind.LETTER == "S" and direction == "outbound") else kind.SIZE - 2

    @settings(max_examples=60, deadline=None)
    @given(
        st.binary(min_size=fixed - 1, max_size=fixed - 1),
        st.one_of(st.just(b""), st.just(b"\0\0"), options()),
        st.integers(0, 200),
    )
    def check(body: bytes, tail: bytes, cut: int) -> None:
        data = kind.LETTER.encode() + body + tail
        ouch_alike(direction, data)
        ouch_alike(direction, data[: cut % (len(data) + 1)])

    check()


@EXAMPLES
@given(st.sampled_from(sorted(DIRECTIONS)), st.binary(max_size=90))
def test_any_bytes_are_read_alike_as_ouch(direction: str, data: bytes) -> None:
    ouch_alike(direction, data)


def test_every_captured_packet_of_order_entry_is_read_alike(data_dir: Path) -> None:
    read = []
    for stream in [one for folder in ("ouch50_soupbintcp", "soupbintcp_login") for one in payloads(data_dir / "pcap" / folder)]:
        found, broken = framed(soupbintcp.Framer(), stream)
        assert broken is None
        assert rust.SoupFramer().feed(stream) == (found, None)
        for kind, payload in found:
            again: Any = b""
            if kind in b"SU":
                *message, again = ouch_alike("inbound" if kind == ord("U") else "outbound", payload)
                read.append(message[0])
            elif kind == ord("L"):
                again = same(login, login_in_rust, payload)[1][3:]
            elif kind == ord("A"):
                again = same(accepted, accepted_in_rust, payload)[-1][3:]
            assert again == payload
    assert sorted(read) == ["Accepted", "CancelOrder", "Canceled", "EnterOrder"]
