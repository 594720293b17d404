"""SoupBinTCP 3.00, 4.00 and 4.10: the packets on one TCP connection, and the frames they come in.

    u16 length | type | payload      (big-endian; the length counts type and payload, so it is at least 1)

Packets say nothing about their number: both ends count the S packets. The sessions themselves, without sockets, are in
`soup_client` and `soup_server`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from hftlab.errors import WireError

DEBUG = b"+"
ACCEPTED, REJECTED = b"A", b"J"
SEQUENCED, UNSEQUENCED = b"S", b"U"
SERVER_HEARTBEAT, CLIENT_HEARTBEAT = b"H", b"R"
END, LOGIN, LOGOUT = b"Z", b"L", b"O"
NOT_AUTHORISED, NO_SESSION = "A", "S"  # why a login is rejected

IDLE, LOGGING_IN, OPEN, CLOSED = "idle", "login", "open", "closed"  # the states of a connection
MS_NS = 1_000_000

MAX_LENGTH = 0xFFFF  # the largest value of the length field
_USERNAME, _PASSWORD, _SESSION, _DIGITS, _TIMEOUT = 6, 10, 10, 20, 5
_LOGIN_BYTES = _USERNAME + _PASSWORD + _SESSION + _DIGITS  # 46; with a heartbeat timeout (4.10) 51


class CloseReason(Enum):
    """Why a connection ended. The last are for the owner of the connection, who calls `lost`."""

    LOGIN_TIMEOUT = "login_timeout"
    SILENT = "silent"
    SLOW_READER = "slow_reader"
    LOGOUT = "logout"
    END_OF_SESSION = "end_of_session"
    BAD_LOGIN = "bad_login"
    LOGIN_REJECTED = "login_rejected"
    BAD_PACKET = "bad_packet"
    SESSION_WENT_BACK = "session_went_back"
    LOST = "lost"
    RESET = "reset"
    BAD_MESSAGE = "bad_message"
    TAKEN_OVER = "taken_over"
    STREAM_FULL = "stream_full"
    MADE_ROOM = "made_room"


class Connection:
    """What both ends of a connection keep.

    state  : IDLE (a client's before its first connection), LOGGING_IN, OPEN or CLOSED
    reason : why it ended, None while it has not; closed : the same as a sentence, "" while it has not
    """

    def __init__(self, state: str) -> None:
        self.state, self.closed = state, ""
        self.reason: CloseReason | None = None

    def lost(self, text: str = "connection lost", reason: CloseReason = CloseReason.LOST) -> None:
        """The TCP connection broke, or its owner ends it."""
        if self.state != CLOSED:
            self._close(reason, text)

    def _close(self, reason: CloseReason, text: str) -> None:
        self.state, self.reason, self.closed = CLOSED, reason, text


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
    text = _text("username", username, _USERNAME).ljust(_USERNAME)
    text += _text("password", password, _PASSWORD, secret=True).ljust(_PASSWORD)
    text += _text("session", session, _SESSION).rjust(_SESSION) + _number("sequence", sequence, _DIGITS)
    if heartbeat_ms is not None:
        text += _number("heartbeat timeout", heartbeat_ms, _TIMEOUT)
    return packet(LOGIN, text)


def decode_login(payload: bytes) -> Login:
    """The payload of an L packet, trimmed on both sides. raises : WireError; it never repeats the password."""
    if len(payload) not in (_LOGIN_BYTES, _LOGIN_BYTES + _TIMEOUT):
        lengths = f"{1 + _LOGIN_BYTES}, or {1 + _LOGIN_BYTES + _TIMEOUT} (4.10)"
        raise WireError.at("SoupBinTCP login", 0, f"length must be {lengths}, got {1 + len(payload)}")
    timeout = payload[_LOGIN_BYTES:]
    return Login(
        _trimmed("username", payload, 0, _USERNAME),
        _trimmed("password", payload, _USERNAME, _PASSWORD, secret=True),
        _trimmed("session", payload, _USERNAME + _PASSWORD, _SESSION),
        _digits("sequence", payload, _LOGIN_BYTES - _DIGITS, _DIGITS),
        _digits("heartbeat timeout", payload, _LOGIN_BYTES, _TIMEOUT) if timeout else None,
    )


def accepted(session: str, sequence: int) -> bytes:
    """A login accepted packet, 33 bytes. raises : WireError for what does not fit."""
    return packet(ACCEPTED, _text("session", session, _SESSION).rjust(_SESSION) + _number("sequence", sequence, _DIGITS))


def decode_accepted(payload: bytes) -> LoginAccepted:
    """The payload of an A packet. raises : WireError."""
    if len(payload) != _SESSION + _DIGITS:
        text = f"length must be {1 + _SESSION + _DIGITS}, got {1 + len(payload)}"
        raise WireError.at("SoupBinTCP login accepted", 0, text)
    return LoginAccepted(_trimmed("session", payload, 0, _SESSION), _digits("sequence", payload, _SESSION, _DIGITS))


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


def _text(name: str, value: str, width: int, secret: bool = False) -> bytes:
    if len(value) > width or not value.isascii() or not (value == "" or value.isalnum()):
        shown = f"{len(value)} characters" if secret else repr(value)
        raise WireError(f"SoupBinTCP {name} must be at most {width} ASCII letters and digits, got {shown}")
    return value.encode("ascii")


def _number(name: str, value: int, width: int) -> bytes:
    if not 0 <= value < 10**width:
        raise WireError(f"SoupBinTCP {name} must be between 0 and {10**width - 1}, got {value}")
    return b"%*d" % (width, value)


def _trimmed(name: str, payload: bytes, at: int, width: int, secret: bool = False) -> str:
    raw = payload[at : at + width].strip(b" ")
    if raw and not (raw.isascii() and raw.isalnum()):
        shown = "(not shown)" if secret else repr(raw)
        raise WireError.at("SoupBinTCP login", at, f"{name} must be ASCII letters and digits, got {shown}")
    return raw.decode("ascii")


def _digits(name: str, payload: bytes, at: int, width: int) -> int:
    raw = payload[at : at + width].strip(b" ")
    if not raw.isdigit() or int(raw) >= 1 << 64:
        raise WireError.at("SoupBinTCP login", at, f"{name} must be ASCII digits of 64 bits, padded with spaces, got {raw!r}")
    return int(raw)
