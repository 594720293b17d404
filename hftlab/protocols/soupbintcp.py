"""SoupBinTCP 3.00, 4.00 and 4.10: the packets on one TCP connection, and the frames they come in.

    u16 length | type | payload      (big-endian; the length counts type and payload, so it is at least 1)

Packets say nothing about their number: both ends count the S packets. The two ends themselves are in `soup_session`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hftlab.errors import WireError

DEBUG = b"+"
ACCEPTED, REJECTED = b"A", b"J"
SEQUENCED, UNSEQUENCED = b"S", b"U"
SERVER_HEARTBEAT, CLIENT_HEARTBEAT = b"H", b"R"
END, LOGIN, LOGOUT = b"Z", b"L", b"O"
NOT_AUTHORISED, NO_SESSION = "A", "S"  # why a login is rejected

MS_NS = 1_000_000

MAX_LENGTH = 0xFFFF  # the largest value of the length field
_Layout = tuple[tuple[str, int], ...]

#: Fields of a login request and of its answer: name and bytes. Integers are ASCII digits, padded on the left as sessions are.
_LOGIN = (("username", 6), ("password", 10), ("session", 10), ("sequence", 20))
_LOGIN_4_10 = (*_LOGIN, ("heartbeat timeout", 5))
_ACCEPTED = _LOGIN[2:]


@dataclass(frozen=True)
class Login:
    """A login request. sequence : next number wanted, 0 for the most recent message. heartbeat_ms : 4.10 only, else None."""

    username: str
    password: str = field(repr=False)
    session: str = ""
    sequence: int = 1
    heartbeat_ms: int | None = None


class LoginAccepted(NamedTuple):
    """The session, and the number of the next S packet."""

    session: str
    sequence: int


def packet(kind: bytes, payload: bytes = b"") -> bytes:
    """One whole packet. raises : WireError for a type that is not one byte, or a payload above 65,534 bytes."""
    if len(kind) != 1:
        raise WireError(f"a SoupBinTCP packet type must be one byte, got {kind!r}")
    if len(payload) >= MAX_LENGTH:
        raise WireError(f"a SoupBinTCP payload must be at most {MAX_LENGTH - 1} bytes, got {len(payload)}")
    return (1 + len(payload)).to_bytes(2, "big") + kind + payload


class Framer:
    """Cuts a TCP stream into packets, wherever it was split or joined.

    limit : the largest length field that is allowed; at most `limit` + 1 bytes wait for their rest
    """

    def __init__(self, limit: int = MAX_LENGTH) -> None:
        self.limit = limit
        self.offset = 0  # bytes of the stream that were whole packets
        self._rest = bytearray()
        self._broken = ""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Take what was received; iterate for (type, payload) of each packet that is whole by now.

        raises : WireError, after the packets before it, for a length of 0 or above the limit; from then on whenever it is fed
        """
        if not self._broken:
            self._rest += data
        return self._packets()

    @property
    def waiting(self) -> int:
        """Bytes of a packet whose rest has not come yet."""
        return len(self._rest)

    def _packets(self) -> Iterator[tuple[bytes, bytes]]:
        rest, at = self._rest, 0
        try:
            while at + 2 <= len(rest) and not self._broken:
                length = rest[at] << 8 | rest[at + 1]
                if not 1 <= length <= self.limit:
                    self._broken = f"the length of a packet must be between 1 and {self.limit}, got {length}"
                    break
                start, end = at + 2, at + 2 + length
                if end > len(rest):
                    break
                at = end
                yield bytes(rest[start : start + 1]), bytes(rest[start + 1 : end])
        finally:
            del rest[:at]
            self.offset += at
        if self._broken:
            rest.clear()
            raise WireError.at("SoupBinTCP stream", self.offset, self._broken)


def login(username: str, password: str, session: str = "", sequence: int = 1, heartbeat_ms: int | None = None) -> bytes:
    """A login request packet: 49 bytes, or 54 where `heartbeat_ms` (4.10) is given.

    raises : WireError for what does not fit its field; it never repeats the password
    """
    values = (username, password, session, sequence)
    if heartbeat_ms is None:
        return packet(LOGIN, _write(_LOGIN, values))
    return packet(LOGIN, _write(_LOGIN_4_10, (*values, heartbeat_ms)))


def decode_login(payload: bytes) -> Login:
    """The payload of an L packet, trimmed on both sides. raises : WireError; it never repeats the password."""
    by_size = {_size(layout): layout for layout in (_LOGIN, _LOGIN_4_10)}
    if len(payload) not in by_size:
        lengths = ", or ".join(str(1 + size) for size in by_size)
        raise WireError.at("SoupBinTCP login", 0, f"length must be {lengths} (4.10), got {1 + len(payload)}")
    return Login(*_read(by_size[len(payload)], payload))


def accepted(session: str, sequence: int) -> bytes:
    """A login accepted packet, 33 bytes. raises : WireError for what does not fit."""
    return packet(ACCEPTED, _write(_ACCEPTED, (session, sequence)))


def decode_accepted(payload: bytes) -> LoginAccepted:
    """The payload of an A packet. raises : WireError."""
    if len(payload) != (size := _size(_ACCEPTED)):
        raise WireError.at("SoupBinTCP login accepted", 0, f"length must be {1 + size}, got {1 + len(payload)}")
    return LoginAccepted(*_read(_ACCEPTED, payload))


def rejected(reason: str) -> bytes:
    """A login rejected packet: "A" not authorised, "S" session not available."""
    if reason not in (NOT_AUTHORISED, NO_SESSION):
        raise WireError(f"the reason of a rejected login must be {NOT_AUTHORISED} or {NO_SESSION}, got {reason!r}")
    return packet(REJECTED, reason.encode())


def decode_rejected(payload: bytes) -> str:
    """The reason letter of a J packet. raises : WireError unless it is one byte."""
    if len(payload) != 1:
        raise WireError.at("SoupBinTCP login rejected", 0, f"length must be 2, got {1 + len(payload)}")
    return payload.decode("latin-1")


def _size(layout: _Layout) -> int:
    return sum(width for _, width in layout)


def _write(layout: _Layout, values: tuple[str | int, ...]) -> bytes:
    return b"".join(_field(name, width, value) for (name, width), value in zip(layout, values, strict=True))


def _field(name: str, width: int, value: str | int) -> bytes:
    if isinstance(value, int):
        if not 0 <= value < 10**width:
            raise WireError(f"SoupBinTCP {name} must be between 0 and {10**width - 1}, got {value}")
        return b"%*d" % (width, value)
    if len(value) > width or not value.isascii() or not (value == "" or value.isalnum()):
        shown = f"{len(value)} characters" if name == "password" else repr(value)
        raise WireError(f"SoupBinTCP {name} must be at most {width} ASCII letters and digits, got {shown}")
    return value.encode("ascii").rjust(width) if name == "session" else value.encode("ascii").ljust(width)


def _read(layout: _Layout, payload: bytes) -> Iterator[Any]:
    at = 0
    for name, width in layout:
        raw = payload[at : at + width].strip(b" ")
        if name in ("sequence", "heartbeat timeout"):
            if not raw.isdigit() or int(raw) >= 1 << 64:
                text = f"{name} must be ASCII digits of 64 bits, padded with spaces, got {raw!r}"
                raise WireError.at("SoupBinTCP login", at, text)
            yield int(raw)
        else:
            if raw and not (raw.isascii() and raw.isalnum()):
                shown = "(not shown)" if name == "password" else repr(raw)
                raise WireError.at("SoupBinTCP login", at, f"{name} must be ASCII letters and digits, got {shown}")
            yield raw.decode("ascii")
        at += width
