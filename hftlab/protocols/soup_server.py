"""The server's end of one SoupBinTCP connection, without the connection: received bytes in, messages and bytes to send out.

    login -- L with a known name and password --> open -- Z, logout, silence, a slow reader, a broken stream --> closed

Sequenced messages are not copied for each connection: all read the one `store` of their session, each as far as its client has
come, so a replay costs no memory and a slow reader cannot fill it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from hftlab.errors import WireError
from hftlab.protocols import soupbintcp as soup
from hftlab.protocols.soupbintcp import CLOSED, LOGGING_IN, OPEN, CloseReason, Connection

PIECE = 1 << 16  # bytes of one `outgoing`


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
        self.heartbeat_ns, self.backlog = heartbeat_ns, backlog
        self.idle_timeout_ns, self.login_timeout_ns = idle_timeout_ns, login_timeout_ns
        super().__init__(LOGGING_IN)  # once `closed`: send what `outgoing` still gives, then close the connection
        self.username = ""
        self.packets = 0  # of any kind, received
        self.sent = 0  # sequenced messages of the store that were taken
        self._live = 0  # messages that were in the store at the login
        self._framer = soup.Framer(limit)
        self._outbox = bytearray()
        self._ending = False
        self._now_ns: int | None = None
        self._last_seen_ns = self._sent_ns = 0

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """The client's unsequenced messages. A broken stream, or a packet not allowed, closes after the messages before it."""
        self._tick(now_ns)
        messages: list[bytes] = []
        if self.state == CLOSED:
            return messages
        try:
            for kind, payload in self._framer.feed(data):
                self.packets += 1
                self._last_seen_ns = now_ns if self.state == OPEN else self._last_seen_ns
                if kind == soup.UNSEQUENCED and self.state == OPEN:
                    messages.append(payload)
                else:
                    self._control(kind, payload)
                if self.closed:
                    break
        except WireError as error:
            self._close(CloseReason.BAD_PACKET, str(error))
        return messages

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

    def _control(self, kind: bytes, payload: bytes) -> None:
        if kind == soup.LOGIN and self.state == LOGGING_IN:
            self._login(payload)
        elif kind == soup.LOGOUT:
            self._close(CloseReason.LOGOUT, "logged out")
        elif kind not in (soup.DEBUG, soup.CLIENT_HEARTBEAT):
            allowed = "L, R, O, +" if self.state == LOGGING_IN else "U, R, O, +"
            text = f"SoupBinTCP packet type must be one of {allowed} in state {self.state}, got {kind!r}"
            self._close(CloseReason.BAD_PACKET, text)

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
