"""Are OUCH 5.0 messages of both directions read and written byte for byte, with their options, and wrong ones refused?"""

import contextlib
import dataclasses
import struct
from pathlib import Path
from typing import Any

import pytest
from captures import frames, patient, payload
from hypothesis import given
from hypothesis import strategies as st

from hftlab.errors import WireError
from hftlab.protocols import ouch
from hftlab.protocols.ouch_fields import BY_NUMBER, ENTER_ORDER, ENTER_ORDER_BYTES
from hftlab.stages import order

ALL = [*ouch.INBOUND.values(), *ouch.OUTBOUND.values()]
each = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)

#: Offsets of the specification: where each field stands (bytes), by direction and letter; the last number is the fixed size.
LAYOUT = {
    "inbound": {
        "O": "user_ref 1 side 5 quantity 6 symbol 10 price 18 time_in_force 26 display 27 capacity 28 intermarket_sweep 29 "
        "cross_type 30 cl_ord_id 31 appendage 45",
        "U": "orig_user_ref 1 user_ref 5 quantity 9 price 13 time_in_force 21 display 22 intermarket_sweep 23 cl_ord_id 24 "
        "appendage 38",
        "X": "user_ref 1 quantity 5 appendage 9",
        "M": "user_ref 1 side 5 quantity 6 appendage 10",
        "Q": "appendage 1",
        "C": "user_ref 1 firm 5 symbol 9 appendage 17",
        "D": "user_ref 1 firm 5 appendage 9",
        "E": "user_ref 1 firm 5 appendage 9",
    },
    "outbound": {
        "S": "ts_ns 1 event 9",
        "A": "ts_ns 1 user_ref 9 side 13 quantity 14 symbol 18 price 26 time_in_force 34 display 35 order_reference 36 "
        "capacity 44 intermarket_sweep 45 cross_type 46 order_state 47 cl_ord_id 48 appendage 62",
        "U": "ts_ns 1 orig_user_ref 9 user_ref 13 side 17 quantity 18 symbol 22 price 30 time_in_force 38 display 39 "
        "order_reference 40 capacity 48 intermarket_sweep 49 cross_type 50 order_state 51 cl_ord_id 52 appendage 66",
        "C": "ts_ns 1 user_ref 9 quantity 13 reason 17 appendage 18",
        "D": "ts_ns 1 user_ref 9 quantity 13 reason 17 prevented 18 price 22 liquidity 30 strategy 31 appendage 32",
        "E": "ts_ns 1 user_ref 9 quantity 13 price 17 liquidity 25 match_number 26 appendage 34",
        "B": "ts_ns 1 user_ref 9 match_number 13 reason 21 cl_ord_id 22 appendage 36",
        "J": "ts_ns 1 user_ref 9 reason 13 cl_ord_id 15 appendage 29",
        "P": "ts_ns 1 user_ref 9 appendage 13",
        "I": "ts_ns 1 user_ref 9 appendage 13",
        "T": "ts_ns 1 user_ref 9 price 13 display 21 order_reference 22 appendage 30",
        "M": "ts_ns 1 user_ref 9 side 13 quantity 14 appendage 18",
        "R": "ts_ns 1 user_ref 9 reason 13 appendage 14",
        "Q": "ts_ns 1 user_ref 9 appendage 13",
        "X": "ts_ns 1 user_ref 9 firm 13 symbol 17 appendage 25",
        "G": "ts_ns 1 user_ref 9 firm 13 appendage 17",
        "K": "ts_ns 1 user_ref 9 firm 13 appendage 17",
    },
}
#: Bytes without an appendage: the length field of one that must be there is counted.
SIZES = {
    "inbound": "O:47 U:40 X:9 M:10 Q:1 C:19 D:11 E:11",
    "outbound": "S:10 A:64 U:68 C:18 D:32 E:36 B:36 J:29 P:13 I:13 T:30 M:18 R:16 Q:13 X:27 G:19 K:19",
}


def decode(message: ouch.Message, data: bytes) -> ouch.Message:
    inbound = ouch.INBOUND.get(message.LETTER) is type(message)
    return (ouch.decode_inbound if inbound else ouch.decode_outbound)(data)


@st.composite
def options(draw: st.DrawFn) -> ouch.Appendage:
    """Known and unknown options, in any order."""
    known = st.sampled_from(sorted(BY_NUMBER)).flatmap(
        lambda tag: st.tuples(st.just(tag), st.binary(min_size=(n := struct.calcsize(BY_NUMBER[tag].code)), max_size=n))
    )
    unknown = st.tuples(st.integers(0, 255).filter(lambda tag: tag not in BY_NUMBER), st.binary(max_size=254))
    return tuple(draw(st.lists(known | unknown, max_size=5)))


@st.composite
def messages(draw: st.DrawFn) -> ouch.Message:
    """Any message with any values that fit."""
    kind = draw(st.sampled_from(ALL))
    values: dict[str, Any] = {}
    for name, code in kind.CODES.items():
        size = struct.calcsize(code)
        if code.endswith("s"):
            text = st.text(st.characters(max_codepoint=255), min_size=size == 1, max_size=size)
            values[name] = draw(text if size == 1 else text.map(lambda one: one.rstrip(" ")))
        else:
            values[name] = draw(st.integers(0, (1 << 8 * size) - 1))
    if kind is not ouch.SystemEvent:
        values["appendage"] = draw(options())
    return kind(**values)


def plain(kind: type[ouch.Message], **values: Any) -> ouch.Message:
    """A message of zeros and spaces."""
    return kind(**{name: " " if code.endswith("s") else 0 for name, code in kind.CODES.items()} | values)


# --- the layout


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_every_field_stands_where_the_specification_says(direction: str) -> None:
    kinds = ouch.INBOUND if direction == "inbound" else ouch.OUTBOUND
    assert list(kinds) == list(LAYOUT[direction])
    assert " ".join(f"{letter}:{kind.SIZE}" for letter, kind in kinds.items()) == SIZES[direction]
    for letter, kind in kinds.items():
        words = LAYOUT[direction][letter].split()
        offsets = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        assert list(kind.CODES) == [name for name in offsets if name != "appendage"]
        blank = plain(kind).encode()
        assert blank[:1] == letter.encode()
        for name, code in kind.CODES.items():
            full = "x" * struct.calcsize(code) if code.endswith("s") else (1 << 8 * struct.calcsize(code)) - 1
            changed = [at for at, byte in enumerate(plain(kind, **{name: full}).encode()) if byte != blank[at]]
            assert changed == list(range(offsets[name], offsets[name] + struct.calcsize(code)))
        if "appendage" in offsets:
            assert plain(kind, appendage=((99, b"?"),)).encode()[offsets["appendage"] :] == b"\0\3\2\x63?"


def test_the_engine_writes_the_same_order() -> None:
    entry = order.OrderEntry(order.OrderConfig(), order.RiskConfig(), {0: b"AAPL"})
    wire = entry._encode(7, order._BID, 0, 1_234_500)
    message = ouch.decode_inbound(wire)
    wanted = ouch.EnterOrder(7, "B", order.OrderConfig().lot, "AAPL", 1_234_500, time_in_force="3", cl_ord_id="HL000000000007")
    assert message == wanted
    assert wanted.encode() == wire
    assert (ENTER_ORDER.format.removesuffix("H"), ENTER_ORDER_BYTES) == (
        ouch.EnterOrder.STRUCT.format.replace("1s", "c"),
        ouch.EnterOrder.SIZE,
    )


def test_every_captured_message_is_read_and_written_again(data_dir: Path) -> None:
    def captured(name: str) -> bytes:
        [frame] = frames(data_dir / f"pcap/ouch50_soupbintcp/{name}Message.pcap")
        return payload(frame)[3:]

    enter = ouch.EnterOrder(
        0x71, "T", 225, "CVLT", 630_200, "0", "Y", "A", "N", "N", "H8FUB8IV", appendage=ouch.appendage(firm="LIME")
    )
    accepted = ouch.Accepted(
        0x289B4D64AF87, 0x753A8D, "B", 40, "ADBE", 4_777_800, "5", "Y", 0x0F56B4F5, "A", "N", "N", "L", "7682701"
    )
    assert ouch.decode_inbound(captured("EnterOrder")) == enter
    seen = ouch.decode_outbound(captured("OrderAccepted"))
    assert dataclasses.replace(seen, appendage=()) == accepted  # type: ignore[type-var]
    assert seen.options == {"firm": "MLRO", "bbo_weight_indicator": "0"}
    assert ouch.decode_inbound(captured("CancelOrder")) == ouch.CancelOrder(0x75_2E71)
    assert ouch.decode_outbound(captured("Canceled")) == ouch.Canceled(0x289B4D681317, 0x753A8D, 40, "U")
    for name in ("EnterOrder", "CancelOrder"):
        assert ouch.decode_inbound(captured(name)).encode() == captured(name)
    for name in ("OrderAccepted", "Canceled"):
        assert ouch.decode_outbound(captured(name)).encode() == captured(name)


# --- any message, any bytes


@patient
@given(messages())
def test_what_is_written_is_read_again(message: ouch.Message) -> None:
    assert decode(message, message.encode()) == message
    assert set(message.options) <= set(ouch.TAGS)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message with up to three bytes changed, cut, or with more behind it."""
    data = bytearray(draw(messages()).encode())
    for _ in range(draw(st.integers(1, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=3))


@patient
@given(damaged() | st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (ouch.decode_inbound, ouch.decode_outbound):
        with contextlib.suppress(WireError):
            again = read(data).encode()
            assert data in (again, again + b"\0\0"), "an empty appendage that may be absent is not written"


# --- options


def test_options_by_name() -> None:
    values: tuple[int | str, ...] = (
        1 << 63, "LIME", 100, "R", 5, "m", -10_000, 7, "L", -1, "P", 3, "SCAN", 86_399, " ", "I", "S", 9, 8,
        65_535, "Y", "ABC", "E", 255,
    )  # fmt: skip
    wanted = dict(zip(ouch.TAGS, values, strict=True))
    sizes = "1:8 2:4 3:4 4:1 5:4 6:1 7:4 9:8 10:1 11:4 12:1 13:4 14:4 15:4 16:1 17:1 18:1 22:4 23:8 24:2 25:1 26:4 27:1 28:1"
    message = ouch.EnterOrder(1, "B", 100, "A", 1, appendage=ouch.appendage(**wanted))
    assert " ".join(f"{tag}:{len(value)}" for tag, value in message.appendage) == sizes
    again = ouch.decode_inbound(message.encode())
    assert again.options == wanted
    assert (again.option("peg_offset"), ouch.EnterOrder(1, "B", 1, "A", 1).option("peg_offset")) == (-10_000, None)
    for name in ("secondary", "FIRM", ""):
        with pytest.raises(WireError, match="known: secondary_order_reference, firm"):
            message.option(name)
    with pytest.raises(WireError, match="option 'Firm'; known"):
        ouch.appendage(Firm="LIME")
    assert ouch.SystemEvent(1, "S").options == {}


def test_unknown_options_are_kept() -> None:
    message = ouch.CancelOrder(1, 0, appendage=((200, b"later"), *ouch.appendage(user_ref_idx=3)))
    assert message.encode() == b"X" + bytes((0, 0, 0, 1, 0, 0, 0, 0)) + b"\0\x0a\6\xc8later\2\x1c\3"
    again = ouch.decode_inbound(message.encode())
    assert (again, again.options) == (message, {"user_ref_idx": 3})


@each
def test_an_empty_appendage_may_be_absent_where_only_edition_b_has_one(kind: type[ouch.Message]) -> None:
    data = plain(kind).encode()
    read = ouch.decode_inbound if kind in ouch.INBOUND.values() else ouch.decode_outbound
    if kind.OPTIONAL:
        assert read(data) == read(data + b"\0\0")
    else:
        with pytest.raises(WireError, match=r"must be .* bytes, got|must be 0 bytes, got 2"):
            read(data + b"\0\0")
    for size in range(1, len(data)):
        with pytest.raises(WireError, match=rf"offset 0: must be {kind.SIZE} bytes.*, got {size}"):
            read(data[:size])


@pytest.mark.parametrize(
    ("tail", "offset", "text"),
    [
        (b"", 0, "47 bytes and an appendage, got 45"),
        (b"\0", 0, "got 46"),
        (b"\0\1", 45, "the appendage must be 1 bytes, got 0"),
        (b"\0\0x", 45, "0 bytes, got 1"),
        (b"\0\1\0", 47, "length of an option must be between 1 and 0, got 0"),
        (b"\0\4\1\x63\0\1", 49, "between 1 and 1, got 0"),
        (b"\0\3\3\x63L", 47, "between 1 and 2, got 3"),
        (b"\0\3\2\2L", 47, r"option firm \(2\) must be 4 bytes, got 1"),
        (b"\xff\xff\2\2L", 45, "65535 bytes, got 3"),
    ],
)
def test_broken_appendages_are_refused_with_a_sentence(tail: bytes, offset: int, text: str) -> None:
    with pytest.raises(WireError, match=rf"OUCH enter order \(O\): offset {offset}: .*{text}") as caught:
        ouch.decode_inbound(ouch.EnterOrder(1, "B", 100, "A", 1).encode()[:45] + tail)
    assert caught.value.offset == offset


# --- what is refused


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"", "at least 1 byte"), (b"Z" * 47, "unknown type 'Z'; known: O U X M Q C D E"), (b"\0", "unknown type '0x00'")],
)
def test_unknown_types_are_refused_with_a_sentence(data: bytes, text: str) -> None:
    with pytest.raises(WireError, match=f"inbound message: offset 0: .*{text}"):
        ouch.decode_inbound(data)
    with pytest.raises(WireError, match="outbound"):
        ouch.decode_outbound(data or b"F" + bytes(48))  # a trade correction: not in the specification any more


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"user_ref": -1}, "enter order user_ref must be an integer between 0 and 4294967295, got -1"),
        ({"quantity": 1 << 32}, "got 4294967296"),
        ({"price": 1.5}, "price must be an integer .*, got 1.5"),
        ({"symbol": "TOOLONGER"}, "symbol must be at most 8 Latin-1 characters, got 'TOOLONGER'"),
        ({"symbol": "€"}, "got '€'"),
        ({"side": "BUY"}, "at most 1 Latin-1 characters, got 'BUY'"),
        ({"side": 66}, "got 66"),
        ({"appendage": ((256, b""),)}, "tag up to 255 .*, got 256 and 0"),
        ({"appendage": ((1, bytes(255)),)}, "at most 254 bytes, got 1 and 255"),
        ({"appendage": ((99, bytes(254)),) * 300}, "at most 65535 bytes, got 76800"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_a_sentence(values: dict[str, Any], text: str) -> None:
    with pytest.raises(WireError, match=text):
        dataclasses.replace(ouch.EnterOrder(1, "B", 100, "A", 1), **values).encode()
    with pytest.raises(WireError, match="no options"):
        ouch.SystemEvent(1, "S", appendage=((99, b""),)).encode()


def test_option_values_that_do_not_fit_are_refused() -> None:
    for name, value in (("peg_offset", 1 << 31), ("min_qty", -1), ("firm", "LIMES"), ("firm", 5), ("group_id", "1")):
        with pytest.raises(WireError, match=f"option {name} must be .*, got {value!r}"):
            ouch.appendage(**{name: value})  # type: ignore[arg-type]


def test_the_codes_of_the_specification() -> None:
    assert sorted(ouch.REJECT_REASONS) == list(range(1, 0x2B))
    assert (ouch.REJECT_REASONS[0x24], ouch.REJECT_REASONS[0x18]) == ("risk: ISO not allowed", "test")
    assert ouch.HIGHEST_LIMIT == 1_999_999_900
