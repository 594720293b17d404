"""What OUCH 5.0 messages are made of: fields of fixed width, and the appendage of tagged options behind them.

A message class is its table: each field's type says how wide it is on the wire (U32, Alpha8, Char, ...), in wire order. Struct,
size, decoding and encoding follow from it. All integers are big-endian and unsigned, prices are in 1/10,000 of a dollar, text is
Latin-1, padded on the right with spaces. Here only the shape is checked; what a value means is for the exchange to judge.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import Annotated, Any, ClassVar, NamedTuple, Self, dataclass_transform, get_type_hints

from hftlab.errors import WireError

U16 = Annotated[int, "H"]
U32 = Annotated[int, "I"]
U64 = Annotated[int, "Q"]
Char = Annotated[str, "1s"]
Alpha4 = Annotated[str, "4s"]
Alpha8 = Annotated[str, "8s"]
Alpha14 = Annotated[str, "14s"]

#: An Enter Order without options: its type, the fields of `ouch.EnterOrder`, the length of its appendage. It stands here
#: so that an engine can write one without loading every message.
ENTER_ORDER = struct.Struct(">cIcI8sQccccc14sH")
ENTER_ORDER_BYTES = ENTER_ORDER.size  # 47
MAX_SHARES = 999_999  # the largest order
HIGHEST_LIMIT = 0x7735939C  # 199,999.9900, the largest limit price; from 200,000 on a price means a market order, and 0 is none

#: (tag, raw value) of each option, in wire order; unknown tags are kept as they are.
Appendage = tuple[tuple[int, bytes], ...]


class Tag(NamedTuple):
    """One option: its number, name, and the struct code of its value."""

    number: int
    name: str
    code: str


_TAGS = (
    "1 secondary_order_reference Q, 2 firm 4s, 3 min_qty I, 4 customer_type 1s, 5 max_floor I, 6 price_type 1s, 7 peg_offset i, "
    "9 discretion_price Q, 10 discretion_price_type 1s, 11 discretion_peg_offset i, 12 post_only 1s, 13 random_reserves I, "
    "14 route 4s, 15 expire_time I, 16 trade_now 1s, 17 handle_inst 1s, 18 bbo_weight_indicator 1s, 22 display_quantity I, "
    "23 display_price Q, 24 group_id H, 25 shares_located 1s, 26 locate_broker 4s, 27 side 1s, 28 user_ref_idx B"
)

#: Every known option by its name, and by its number.
TAGS: dict[str, Tag] = {name: Tag(int(number), name, code) for number, name, code in map(str.split, _TAGS.split(", "))}
BY_NUMBER: dict[int, Tag] = {tag.number: tag for tag in TAGS.values()}
#: Every message a client may send, and every one a host may, by its type byte; a host's begin with their time, `ts_ns`.
INBOUND: dict[str, type[Message]] = {}
OUTBOUND: dict[str, type[Message]] = {}
_MAX_LENGTH = 0xFFFF  # bytes of an appendage


def appendage(**options: int | str) -> Appendage:
    """An appendage from named options: ``appendage(min_qty=100, firm="LIME")``.

    raises : WireError for an unknown name, or a value that does not fit
    """
    for name in options:
        if name not in TAGS:
            raise WireError(f"unknown OUCH option {name!r}; known: {', '.join(TAGS)}")
    tags = [(TAGS[name], value) for name, value in options.items()]
    return tuple((tag.number, pack_value(f"option {tag.name}", tag.code, value)) for tag, value in tags)


def encode_appendage(options: Appendage) -> bytes:
    """Length, then length, tag and value of each option. raises : WireError for one that is too long."""
    for tag, value in options:
        if not 0 <= tag <= 0xFF or len(value) > 0xFE:
            raise WireError(f"an OUCH option must have a tag up to 255 and at most 254 bytes, got {tag} and {len(value)}")
    body = b"".join(bytes((1 + len(value), tag)) + value for tag, value in options)
    if len(body) > _MAX_LENGTH:
        raise WireError(f"an OUCH appendage must be at most {_MAX_LENGTH} bytes, got {len(body)}")
    return len(body).to_bytes(2, "big") + body


def decode_appendage(data: bytes, at: int, what: str) -> Appendage:
    """The options of `data` from its length field, at offset `at`, to the end.

    raises : WireError for a length that is not what follows, an option of length 0 or past the end, a known tag of another size
    """
    end = at + 2
    if end <= len(data):
        end += data[at] << 8 | data[at + 1]
    if end != len(data):
        raise WireError.at(what, at, f"the appendage must be {end - at - 2} bytes, got {max(0, len(data) - at - 2)}")
    at, options = at + 2, []
    while at < end:
        size = data[at]
        if size == 0 or at + 1 + size > end:
            raise WireError.at(what, at, f"the length of an option must be between 1 and {end - at - 1}, got {size}")
        tag, value = data[at + 1], bytes(data[at + 2 : at + 1 + size])
        known = BY_NUMBER.get(tag)
        if known and len(value) != struct.calcsize(known.code):
            needs = struct.calcsize(known.code)
            raise WireError.at(what, at, f"option {known.name} ({tag}) must be {needs} bytes, got {len(value)}")
        options.append((tag, value))
        at += 1 + size
    return tuple(options)


def pack_value(what: str, code: str, value: int | str) -> bytes:
    """One value in its field. raises : WireError for what does not fit."""
    size = struct.calcsize(code)
    if code.endswith("s"):
        raw = value.encode("latin-1", "replace") if isinstance(value, str) else b""
        if not isinstance(value, str) or len(raw) > size or raw.decode("latin-1") != value:
            raise WireError(f"OUCH {what} must be at most {size} Latin-1 characters, got {value!r}")
        return raw.ljust(size)
    low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if code.islower() else (0, (1 << 8 * size) - 1)
    if not isinstance(value, int) or not low <= value <= high:
        raise WireError(f"OUCH {what} must be an integer between {low} and {high}, got {value!r}")
    return struct.pack(">" + code, value)


def _padded(value: str, width: int) -> bytes:
    if len(value) > width:
        raise ValueError(width)
    return value.encode("latin-1").ljust(width)


def _text(raw: bytes, width: int) -> str:
    text = raw.decode("latin-1")
    return text if width == 1 else text.rstrip(" ")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class _Table:
    """Makes a frozen dataclass of each subclass; one with a letter is a message, whose fields are its table."""

    LETTER: ClassVar[str]
    NAME: ClassVar[str]
    SIZE: ClassVar[int]
    OPTIONAL: ClassVar[bool]
    CODES: ClassVar[dict[str, str]]
    STRUCT: ClassVar[struct.Struct]
    _WIDTHS: ClassVar[tuple[tuple[str, int], ...]]  # of text fields, 0 of integers
    _WHAT: ClassVar[str]
    _APPENDED: ClassVar[bool]

    def __init_subclass__(cls, *, letter: str = "", optional: bool = False, appended: bool = True) -> None:
        dataclasses.dataclass(frozen=True)(cls)
        if not letter:
            return
        hints = get_type_hints(cls, include_extras=True)
        names = [field.name for field in dataclasses.fields(cls) if field.name != "appendage"]  # type: ignore[arg-type]
        cls.CODES = {name: hints[name].__metadata__[0] for name in names}
        cls.STRUCT = struct.Struct(">c" + "".join(cls.CODES.values()))
        cls.LETTER, cls.OPTIONAL, cls._APPENDED = letter, optional, appended
        cls.NAME = (cls.__doc__ or "").partition(".")[0].lower()
        cls._WHAT = f"OUCH {cls.NAME} ({letter})"
        cls._WIDTHS = tuple((name, struct.calcsize(code) if code[-1] == "s" else 0) for name, code in cls.CODES.items())
        cls.SIZE = cls.STRUCT.size + (2 if appended and not optional else 0)
        (OUTBOUND if "ts_ns" in names else INBOUND)[letter] = cls  # type: ignore[assignment]  # messages alone have a letter


class Message(_Table):
    """Base of all messages: the fields in wire order, and an appendage of options where the type may have one.

    LETTER   : the type byte
    NAME     : the message in words; CODES : struct code by field; STRUCT : type and fixed fields
    SIZE     : bytes without options, the u16 length of the appendage included where it must be there
    OPTIONAL : whether appendage and length may be absent (then an empty appendage is not sent at all)
    """

    appendage: Appendage = dataclasses.field(default=(), kw_only=True)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The message in `data`, whose first byte is the type. raises : WireError for a wrong size or a broken appendage."""
        fixed, what = cls.STRUCT.size, cls._WHAT
        if len(data) < cls.SIZE or (len(data) > fixed and not cls._APPENDED):
            more = " and an appendage" if cls._APPENDED else ""
            raise WireError.at(what, 0, f"must be {cls.SIZE} bytes{more}, got {len(data)}")
        _, *raw = cls.STRUCT.unpack_from(data)
        values = [_text(value, width) if width else value for value, (_, width) in zip(raw, cls._WIDTHS, strict=True)]
        options = decode_appendage(data, fixed, what) if len(data) > fixed else ()
        return cls(*values, appendage=options)

    def encode(self) -> bytes:
        """The bytes of the message. raises : WireError for a value that does not fit its field."""
        fields = vars(self)
        try:
            raw = [_padded(fields[name], width) if width else fields[name] for name, width in self._WIDTHS]
            out = self.STRUCT.pack(self.LETTER.encode(), *raw)
        except (struct.error, ValueError, TypeError, AttributeError):
            # Field by field, to say which one it is.
            out = self.LETTER.encode()
            for name, code in self.CODES.items():
                out += pack_value(f"{self.NAME} {name}", code, fields[name])
        if self.appendage and not self._APPENDED:
            raise WireError(f"OUCH {self.NAME} must have no options, got {len(self.appendage)}")
        return out + encode_appendage(self.appendage) if self.appendage or (self._APPENDED and not self.OPTIONAL) else out

    def option(self, name: str) -> Any:
        """The value of an option by its name: int, or str without its padding; None where it is absent.

        raises : WireError for a name that is none
        """
        if name not in TAGS:
            raise WireError(f"unknown OUCH option {name!r}; known: {', '.join(TAGS)}")
        tag = TAGS[name]
        for number, raw in self.appendage:
            if number == tag.number:
                (value,) = struct.unpack(">" + tag.code, raw)
                return _text(value, len(raw)) if isinstance(value, bytes) else value
        return None

    @property
    def options(self) -> dict[str, Any]:
        """All known options by name."""
        known = [BY_NUMBER[number].name for number, _ in self.appendage if number in BY_NUMBER]
        return {name: self.option(name) for name in known}
