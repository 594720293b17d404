"""Both ends of a SoupBinTCP connection, without the connection: received bytes in, events or messages and bytes to send out.

    client   idle -- connected --> login -- A --> open -- Z, J, logout, silence, a broken stream --> closed -- connected --> ...
    server   login -- L with a known name and password --> open -- Z, logout, silence, a slow reader, a broken stream --> closed

A `Client` outlives its connections: it keeps the session and the next expected number, and asks for them when it connects again;
after the end of a session it asks for whatever session is next, from its first message on. A `Server` is one connection: its
messages are not copied for each, all read the one `store` of their session, each as far as its client has come, so a replay
costs no memory and a slow reader cannot fill it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, TypeVar

from hftlab.errors import WireError, check_choice
from hftlab.protocols import soupbintcp as soup

IDLE, LOGGING_IN, OPEN, CLOSED = "idle", "login", "open", "closed"  # the states of a connection
VERSIONS = ("3.00", "4.00", "4.10")
_MAX_TIMEOUT_MS = 99_999  # ms, five digits
PIECE = 1 << 16  # bytes of one `outgoing`
T = TypeVar("T")


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

    def __init__(self, state: str, heartbeat_ns: int, idle_timeout_ns: int, limit: int = soup.MAX_LENGTH) -> None:
        self.state, self.closed = state, ""
        self.reason: CloseReason | None = None
        self.heartbeat_ns, self.idle_timeout_ns = heartbeat_ns, idle_timeout_ns
        self._framer = soup.Framer(limit)
        self._sent_ns = self._last_seen_ns = 0

    def lost(self, text: str = "connection lost", reason: CloseReason = CloseReason.LOST) -> None:
        """The TCP connection broke, or its owner ends it."""
        if self.state != CLOSED:
            self._close(reason, text)

    def _close(self, reason: CloseReason, text: str) -> None:
        self.state, self.reason, self.closed = CLOSED, reason, text

    def _deliver(self, data: bytes, handle: Callable[[bytes, bytes], T | None]) -> list[T]:
        """What `handle` makes of each packet received, until one closes the connection; a broken stream closes it, too."""
        out: list[T] = []
        try:
            for kind, payload in self._framer.feed(data):
                if (made := handle(kind, payload)) is not None:
                    out.append(made)
                if self.state == CLOSED:
                    break
        except WireError as error:
            self._close(CloseReason.BAD_PACKET, str(error))
        return out

    def _unexpected(self, kind: bytes, allowed: str) -> WireError:
        return WireError(f"SoupBinTCP packet type must be one of {allowed} in state {self.state}, got {kind!r}")


class Event(NamedTuple):
    """What the server said. kind : accepted (payload is the session, sequence the next number), rejected (payload is the reason
    letter), message (sequence is its number), unsequenced, debug, end."""

    kind: str
    payload: bytes = b""
    sequence: int = 0


class Client(Connection):
    """One client of a SoupBinTCP server.

    next            : the number of the next sequenced message wanted; 0 to begin with the most recent one
    session         : the session it belongs to; "" for the current one
    heartbeat_ns    : silence after which a heartbeat is sent
    idle_timeout_ns : silence of the server after which the connection is dead
    version         : 3.00, 4.00 or 4.10; the last also tells the server to wait for us no longer than `idle_timeout_ns`
    missed          : (from, until) of wanted messages that the server did not offer any more
    raises          : UnknownName for a version, WireError for what does not fit a login
    """

    def __init__(
        self,
        username: str,
        password: str,
        session: str = "",
        next: int = 1,
        heartbeat_ns: int = 1_000_000_000,
        idle_timeout_ns: int = 15_000_000_000,
        version: str = "4.00",
    ) -> None:
        super().__init__(IDLE, heartbeat_ns, idle_timeout_ns)
        check_choice("SoupBinTCP version", version, VERSIONS)
        self.username, self.session, self.next, self.version = username, session, next, version
        self.missed: list[tuple[int, int]] = []
        self._password = password
        self._ended = False
        self._login()  # what does not fit is said now

    def connected(self, now_ns: int) -> bytes:
        """The TCP connection stands: the login request to send."""
        self.state, self.reason, self.closed = LOGGING_IN, None, ""
        if self._ended:
            self.session, self.next, self._ended = "", 1, False
        self._framer = soup.Framer()
        self._sent_ns = self._last_seen_ns = now_ns
        return self._login()

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """What the bytes say. A broken stream or an unexpected packet closes the connection after the events before it."""
        if self.state not in (LOGGING_IN, OPEN):
            return []
        self._last_seen_ns = now_ns
        return self._deliver(data, self._event)

    def send(self, payload: bytes, now_ns: int) -> bytes:
        """The unsequenced packet that carries a message. raises : WireError where no login is accepted, or for one too long."""
        if self.state != OPEN:
            raise WireError(f"the SoupBinTCP connection must be open to send, got {self.state}")
        self._sent_ns = now_ns
        return soup.packet(soup.UNSEQUENCED, payload)

    def due(self, now_ns: int) -> bytes:
        """A heartbeat, if it is time for one. A server silent for too long closes the connection: see `state` and `closed`."""
        if self.state not in (LOGGING_IN, OPEN):
            return b""
        if (silent_ns := now_ns - self._last_seen_ns) > self.idle_timeout_ns:
            text = f"nothing from the server for {silent_ns / 1e9:.1f} s, limit {self.idle_timeout_ns / 1e9:g} s"
            self._close(CloseReason.SILENT, text)
            return b""
        if self.state == LOGGING_IN or now_ns - self._sent_ns < self.heartbeat_ns:
            return b""
        self._sent_ns = now_ns
        return soup.packet(soup.CLIENT_HEARTBEAT)

    def logout(self) -> bytes:
        """The logout request; the connection is closed with it. Nothing where none is open."""
        if self.state not in (LOGGING_IN, OPEN):
            return b""
        self._close(CloseReason.LOGOUT, "logged out")
        return soup.packet(soup.LOGOUT)

    def _login(self) -> bytes:
        timeout = min(self.idle_timeout_ns // soup.MS_NS, _MAX_TIMEOUT_MS) if self.version == "4.10" else None
        return soup.login(self.username, self._password, self.session, self.next, timeout)

    def _event(self, kind: bytes, payload: bytes) -> Event | None:
        if kind == soup.DEBUG:
            return Event("debug", payload)
        if kind == soup.SERVER_HEARTBEAT:
            return None
        if self.state == LOGGING_IN:
            return self._answered(kind, payload)
        if kind == soup.SEQUENCED:
            self.next += 1
            return Event("message", payload, self.next - 1)
        if kind == soup.UNSEQUENCED:
            return Event("unsequenced", payload)
        if kind == soup.END:
            self._ended = True
            self._close(CloseReason.END_OF_SESSION, "end of session")
            return Event("end", b"", self.next)
        raise self._unexpected(kind, "+ H S U Z")

    def _answered(self, kind: bytes, payload: bytes) -> Event | None:
        """The answer to the login."""
        if kind == soup.REJECTED:
            reason = soup.decode_rejected(payload)
            known = {soup.NOT_AUTHORISED: "not authorised", soup.NO_SESSION: "session not available"}
            self._close(CloseReason.LOGIN_REJECTED, f"login rejected: {known.get(reason, f'reason {reason!r}')}")
            return Event("rejected", payload)
        if kind != soup.ACCEPTED:
            raise self._unexpected(kind, "A J + H")
        session, sequence = soup.decode_accepted(payload)
        if self.session == session and sequence < self.next:
            # Numbers that were used before would come again for other messages.
            text = f"session {session!r} must go on at {self.next}, got {sequence}, which was received before"
            self._close(CloseReason.SESSION_WENT_BACK, text)
            return None
        if self.session in ("", session) and 0 < self.next < sequence:
            self.missed.append((self.next, sequence))
        self.session, self.next, self.state = session, sequence, OPEN
        return Event("accepted", session.encode(), sequence)


class Server(Connection):
    """One connection of a SoupBinTCP server.

    accounts         : password by username; letters of either case are the same
    session          : the session served, at most 10 letters and digits
    store            : all its sequenced messages, number 1 first; the owner appends to it and calls `publish`
    heartbeat_ns     : silence after which a heartbeat is sent
    idle_timeout_ns  : silence of the client after which the connection is closed; a 4.10 login may name its own
    login_timeout_ns : time for a login
    backlog          : live messages that may wait for a slow reader
    limit            : the largest length field allowed from a client
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        session: str,
        store: Sequence[bytes],
        *,
        heartbeat_ns: int = 1_000_000_000,
        idle_timeout_ns: int = 15_000_000_000,
        login_timeout_ns: int = 30_000_000_000,
        backlog: int = 65_536,
        limit: int = soup.MAX_LENGTH,
    ) -> None:
        self._accounts = {name.upper(): _digest(password) for name, password in accounts.items()}
        self.session, self.store = session, store
        self.backlog, self.login_timeout_ns = backlog, login_timeout_ns
        # Once `closed`: send what `outgoing` still gives, then close the connection.
        super().__init__(LOGGING_IN, heartbeat_ns, idle_timeout_ns, limit)
        self.username = ""
        self.packets = 0  # of any kind, received
        self.sent = 0  # sequenced messages of the store that were taken
        self._live = 0  # messages that were in the store at the login
        self._outbox = bytearray()
        self._ending = False
        self._now_ns: int | None = None

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """The client's unsequenced messages. A broken stream, or a packet not allowed, closes after the messages before it."""
        self._tick(now_ns)
        return self._deliver(data, self._packet) if self.state != CLOSED else []

    def publish(self) -> None:
        """Messages were appended to the store: they go out with `outgoing`, unless the client has fallen too far behind."""
        if self.state == OPEN and self.waiting > self.backlog:
            self._close(CloseReason.SLOW_READER, f"slow reader: {self.waiting} messages waiting, limit {self.backlog}")

    def outgoing(self, limit: int = PIECE) -> bytes:
        """Take what is to be sent now, about `limit` bytes at most. Call it again only when all of that was written."""
        while self.state == OPEN and self.sent < len(self.store) and len(self._outbox) < limit:
            self._outbox += soup.packet(soup.SEQUENCED, self.store[self.sent])
            self.sent += 1
        if self.state == OPEN and self._ending and self.sent == len(self.store):
            self._outbox += soup.packet(soup.END)
            self._close(CloseReason.END_OF_SESSION, "end of session")
        data = bytes(self._outbox)
        self._outbox.clear()
        if data:
            self._sent_ns = self._now_ns or 0
        return data

    def due(self, now_ns: int) -> None:
        """Let time pass: a heartbeat into the outbox, or the end of a connection whose client is silent."""
        self._tick(now_ns)
        allowed, what, reason = self.idle_timeout_ns, "nothing from the client", CloseReason.SILENT
        if self.state == LOGGING_IN:
            allowed, what, reason = self.login_timeout_ns, "no login", CloseReason.LOGIN_TIMEOUT
        silent = now_ns - self._last_seen_ns
        if self.state != CLOSED and silent > allowed:
            self._close(reason, f"{what} for {silent / 1e9:.1f} s, limit {allowed / 1e9:g} s")
        idle = not self._outbox and self.sent == len(self.store)
        if self.state == OPEN and idle and now_ns - self._sent_ns >= self.heartbeat_ns:
            self._outbox += soup.packet(soup.SERVER_HEARTBEAT)

    def end(self) -> None:
        """The session ends: what is in the store goes out, then the end of session, then the connection closes."""
        self._ending = True
        if self.state == LOGGING_IN:
            self._close(CloseReason.END_OF_SESSION, "end of session before a login")

    @property
    def waiting(self) -> int:
        """Sequenced messages that came after the login and were not taken yet."""
        return len(self.store) - max(self.sent, self._live) if self.state == OPEN else 0

    def _tick(self, now_ns: int) -> None:
        if self._now_ns is None:
            self._last_seen_ns = self._sent_ns = now_ns
        self._now_ns = now_ns

    def _packet(self, kind: bytes, payload: bytes) -> bytes | None:
        """One packet of the client's: its message, if it carries one."""
        self.packets += 1
        if self.state == OPEN:
            self._last_seen_ns = self._now_ns or 0
            if kind == soup.UNSEQUENCED:
                return payload
        if kind == soup.LOGIN and self.state == LOGGING_IN:
            self._login(payload)
        elif kind == soup.LOGOUT:
            self._close(CloseReason.LOGOUT, "logged out")
        elif kind not in (soup.DEBUG, soup.CLIENT_HEARTBEAT):
            raise self._unexpected(kind, "L, R, O, +" if self.state == LOGGING_IN else "U, R, O, +")
        return None

    def _login(self, payload: bytes) -> None:
        try:
            login = soup.decode_login(payload)
        except WireError as error:
            self._reject(soup.NOT_AUTHORISED, str(error), CloseReason.BAD_LOGIN)
            return
        known = self._accounts.get(login.username.upper())
        # Compared even where the name is unknown, so that the time taken does not tell which of the two was wrong.
        right = hmac.compare_digest(_digest(login.password), known or b"\0" * 32)
        if not right:
            self._reject(soup.NOT_AUTHORISED, f"login of {login.username!r} rejected: not authorised")
        elif login.session and login.session != self.session:
            text = f"login of {login.username!r} rejected: session {login.session!r}; available is {self.session!r}"
            self._reject(soup.NO_SESSION, text)
        else:
            self._accept(login)

    def _accept(self, login: soup.Login) -> None:
        """0 begins with the most recent message; a number beyond the next one is answered with the next one."""
        stored = len(self.store)
        first = min(login.sequence, stored + 1) if login.sequence else max(1, stored)
        self.username, self.state = login.username, OPEN
        self.sent, self._live = first - 1, stored
        self._last_seen_ns = self._now_ns or 0
        if login.heartbeat_ms:
            self.idle_timeout_ns = login.heartbeat_ms * soup.MS_NS
        self._outbox += soup.accepted(self.session, first)

    def _reject(self, letter: str, text: str, reason: CloseReason = CloseReason.LOGIN_REJECTED) -> None:
        self._outbox += soup.rejected(letter)
        self._close(reason, text)


def _digest(password: str) -> bytes:
    """Of a password in capitals: kept and compared in place of it."""
    return hashlib.sha256(password.upper().encode()).digest()
