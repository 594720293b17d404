"""The client's end of a SoupBinTCP connection, without the connection: received bytes in, events and bytes to send out.

    idle -- connected --> login -- A --> open -- Z, J, logout, silence, a broken stream --> closed -- connected --> login ...

A `Client` outlives its connections: it keeps the session and the next expected number, and asks for them when it connects again;
after the end of a session it asks for whatever session is next, from its first message on.
"""

from __future__ import annotations

from typing import NamedTuple

from hftlab.errors import WireError, check_choice
from hftlab.protocols import soupbintcp as soup
from hftlab.protocols.soupbintcp import CLOSED, IDLE, LOGGING_IN, OPEN, CloseReason, Connection

VERSIONS = ("3.00", "4.00", "4.10")
_MAX_TIMEOUT_MS = 99_999  # ms, five digits


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
        super().__init__(IDLE)
        check_choice("SoupBinTCP version", version, VERSIONS)
        self.username, self.session, self.next = username, session, next
        self.heartbeat_ns, self.idle_timeout_ns, self.version = heartbeat_ns, idle_timeout_ns, version
        self.missed: list[tuple[int, int]] = []
        self._password = password
        self._framer = soup.Framer()
        self._sent_ns = self._last_seen_ns = 0
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
        events: list[Event] = []
        if self.state not in (LOGGING_IN, OPEN):
            return events
        self._last_seen_ns = now_ns
        try:
            for kind, payload in self._framer.feed(data):
                if event := self._event(kind, payload):
                    events.append(event)
                if self.state == CLOSED:
                    break
        except WireError as error:
            self._close(CloseReason.BAD_PACKET, str(error))
        return events

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

    def _unexpected(self, kind: bytes, allowed: str) -> WireError:
        return WireError(f"SoupBinTCP packet type must be one of {allowed} in state {self.state}, got {kind!r}")
