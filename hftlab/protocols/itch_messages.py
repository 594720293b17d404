"""NASDAQ TotalView-ITCH 5.0: the 23 message types, field by field.

One table says what a message is made of; sizes, decoding and encoding follow from it. All integers are big-endian and unsigned.
A field reads `name:code`, code being the width in bytes for an integer, or `a` and the width for ASCII. Prices stay integers:
1/10,000 of a dollar (`p4`), 1/100,000,000 (`p8`, only in V).
"""

from __future__ import annotations

from typing import Any, NamedTuple

_STOCK = "stock:a8"
_HEADER = "type:a1 locate:2 tracking:2 ts:6"
_ADD = f"ref:8 side:a1 shares:4 {_STOCK} price:p4"

_TABLE: dict[str, tuple[str, str]] = {
    "S": ("system event", "event:a1"),
    "R": (
        "stock directory",
        f"{_STOCK} market_category:a1 financial_status:a1 round_lot:4 round_lots_only:a1 issue_class:a1 "
        "issue_subtype:a2 authenticity:a1 short_sale:a1 ipo:a1 luld_tier:a1 etp:a1 etp_leverage:4 inverse:a1",
    ),
    "H": ("stock trading action", f"{_STOCK} state:a1 reserved:a1 reason:a4"),
    "Y": ("Reg SHO restriction", f"{_STOCK} action:a1"),
    "L": ("market participant position", f"mpid:a4 {_STOCK} primary:a1 mode:a1 state:a1"),
    "V": ("MWCB decline levels", "level1:p8 level2:p8 level3:p8"),
    "W": ("MWCB status", "breached:a1"),
    "K": ("IPO quoting period update", f"{_STOCK} release_time:4 qualifier:a1 price:p4"),
    "J": ("LULD auction collar", f"{_STOCK} reference_price:p4 upper:p4 lower:p4 extension:4"),
    "h": ("operational halt", f"{_STOCK} market:a1 action:a1"),
    "A": ("add order", _ADD),
    "F": ("add order with MPID", f"{_ADD} mpid:a4"),
    "E": ("order executed", "ref:8 shares:4 match:8"),
    "C": ("order executed with price", "ref:8 shares:4 match:8 printable:a1 price:p4"),
    "X": ("order cancel", "ref:8 shares:4"),
    "D": ("order delete", "ref:8"),
    "U": ("order replace", "ref:8 new_ref:8 shares:4 price:p4"),
    "P": ("trade", f"{_ADD} match:8"),
    "Q": ("cross trade", f"shares:8 {_STOCK} price:p4 match:8 cross_type:a1"),
    "B": ("broken trade", "match:8"),
    "I": (
        "net order imbalance indicator",
        f"paired:8 imbalance:8 direction:a1 {_STOCK} far_price:p4 near_price:p4 reference_price:p4 cross_type:a1 variation:a1",
    ),
    "N": ("retail price improvement indicator", f"{_STOCK} flag:a1"),
    "O": (
        "direct listing with capital raise",
        f"{_STOCK} eligible:a1 min_price:p4 max_price:p4 near_price:p4 near_time:8 lower:p4 upper:p4",
    ),
}


class Part(NamedTuple):
    """One field: where it stands (bytes from the type byte), how wide it is, and whether it is ASCII."""

    name: str
    offset: int
    width: int
    ascii: bool


class Message(NamedTuple):
    """One message type: its letter, name, size in bytes and fields in wire order."""

    letter: str
    name: str
    size: int
    parts: tuple[Part, ...]


def _message(letter: str, name: str, body: str) -> Message:
    parts, offset = [], 0
    for word in f"{_HEADER} {body}".split():
        field, code = word.split(":")
        width = int(code.lstrip("ap"))
        parts.append(Part(field, offset, width, code.startswith("a")))
        offset += width
    return Message(letter, name, offset, tuple(parts))


#: Every known message type by its letter.
MESSAGES: dict[str, Message] = {letter: _message(letter, *row) for letter, row in _TABLE.items()}

#: Size in bytes by type byte, -1 where the type is not known.
SIZES: tuple[int, ...] = tuple(MESSAGES[chr(c)].size if chr(c) in MESSAGES else -1 for c in range(256))


def fields(message: bytes) -> dict[str, Any]:
    """Decode one whole message (without its length prefix) to its named fields; integers stay raw, `stock` is stripped.

    >>> fields(bytes.fromhex("53000000000a11ea0e8c434f"))
    {'type': 'S', 'locate': 0, 'tracking': 0, 'ts': 11072057543747, 'event': 'O'}

    An unknown type gives the common header as far as it reaches, and the rest as `body`.
    """
    known = MESSAGES.get(chr(message[0])) if message else None
    if known is None or len(message) != known.size:
        head = {part.name: _value(message, part) for part in MESSAGES["S"].parts[:4] if len(message) >= 11}
        return {**head, "body": message[11:] if head else message}
    return {part.name: _value(message, part) for part in known.parts}


def anatomy(message: bytes) -> list[dict[str, int | str]]:
    """A whole message (without its length prefix) taken apart, a row per field: name, offset, width (bytes), hex, value.

    raises : KeyError for an unknown letter
    """
    parts = MESSAGES[chr(message[0])].parts
    cut = [message[part.offset : part.offset + part.width].hex(" ") for part in parts]
    return [
        {"field": part.name, "offset": part.offset, "width": part.width, "hex": raw, "value": str(_value(message, part))}
        for part, raw in zip(parts, cut, strict=True)
    ]


def _value(message: bytes, part: Part) -> int | str:
    raw = message[part.offset : part.offset + part.width]
    if not part.ascii:
        return int.from_bytes(raw, "big")
    text = raw.decode("latin-1")
    return text.rstrip() if part.name == "stock" else text


def build(letter: str, **values: int | str) -> bytes:
    """Encode one message from its fields, the inverse of `fields`; what is not given is 0 or spaces.

    raises : KeyError for an unknown letter, TypeError for a field the type does not have, OverflowError for a value too wide
    """
    known = MESSAGES[letter]
    out = bytearray(known.size)
    for part in known.parts:
        value = letter if part.name == "type" else values.pop(part.name, "" if part.ascii else 0)
        if isinstance(value, str):
            raw = value.encode("latin-1").ljust(part.width)
            if len(raw) > part.width:
                raise OverflowError(f"{letter}.{part.name} must be at most {part.width} characters, got {value!r}")
        else:
            raw = value.to_bytes(part.width, "big")
        out[part.offset : part.offset + part.width] = raw
    if values:
        raise TypeError(f"{known.name} ({letter}) has no field {', '.join(sorted(values))}")
    return bytes(out)
