"""TCP connections of the exchange: bytes between sockets and order sessions, nothing else.

A connection is read once a round, a few orders at most, so that a flood of one does not hold up the others; one that has used up
its rate is not read at all for a while, and TCP slows its client down. A closed one gets what it is still to be sent, then its
end, and a second to hang up.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Any, Protocol

from hftlab.net.exchange.settings import ExchangeSettings
from hftlab.protocols.channel import SECOND_NS, Bucket
from hftlab.protocols.soup_session import CloseReason

_RECEIVE = 4096  # bytes of one read
_SEND_BUFFER = 1 << 18  # bytes that the system keeps for a slow reader, before we do
_ACCEPTS = 16  # new connections of one round
_WRITES = 4  # pieces written to one connection in one round
HANG_UP_NS = SECOND_NS  # for a closed connection's last bytes, and for its client to close


class Sessions(Protocol):
    """What connections lead to: `OrderSessions` or `SnapshotSessions`; a session is a SoupBinTCP server with a bucket."""

    def connect(self, peer: str, bucket: Bucket, now_ns: int) -> Any: ...
    def received(self, session: Any, data: bytes, now_ns: int) -> None: ...
    def due(self, session: Any, now_ns: int) -> None: ...
    def ended(self, session: Any, now_ns: int) -> None: ...
    def expire_orders(self, now_ns: int) -> None: ...


class Connection:
    """One connection. pending : bytes that the socket did not take yet; deadline_ns : when a closed one is dropped."""

    def __init__(self, link: socket.socket, session: Any) -> None:
        self.link, self.session = link, session
        self.pending = b""
        self.deadline_ns: int | None = None
        self.shut = False
        self.interest = EVENT_READ


class Connections:
    """All connections, at most `max_connections` of the settings at a time.

    counts : connections, refused (too many at once)
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: BaseSelector,
        sessions: Sessions,
        settings: ExchangeSettings,
    ) -> None:
        self.listener, self.selector, self.sessions, self.settings = listener, selector, sessions, settings
        self.counts: Counter[str] = Counter()
        self.open: set[Connection] = set()
        selector.register(listener, EVENT_READ, self)

    def accept(self, now_ns: int) -> None:
        """Take the connections that wait."""
        before = set(self.open)
        for _ in range(_ACCEPTS):
            try:
                link, peer = self.listener.accept()
            except OSError:  # none is left, it has gone already, or there are no file descriptors: the next round tries again
                return
            if len(self.open) >= self.settings.max_connections and not self._make_room(before, now_ns):
                self.counts["refused"] += 1
                link.close()
                continue
            self.counts["connections"] += 1
            link.setblocking(False)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            bucket = Bucket(self.settings.inbound_rate, self.settings.inbound_burst)
            connection = Connection(link, self.sessions.connect(f"{peer[0]}:{peer[1]}", bucket, now_ns))
            self.open.add(connection)
            self.selector.register(link, EVENT_READ, connection)

    def readable(self, connection: Connection, now_ns: int) -> None:
        """Read one piece and hand it over."""
        try:
            data = connection.link.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            connection.session.lost(f"reset: {error.strerror}", CloseReason.RESET)
            data = b""
        if connection.session.closed:  # what a closed connection still sends is not looked at
            if not data:
                self._drop(connection, now_ns)
        elif data:
            self.sessions.received(connection.session, data, now_ns)
        else:
            connection.session.lost("lost: the client hung up")
            self._drop(connection, now_ns)

    def due(self, now_ns: int) -> None:
        """Let time pass: orders that expire, heartbeats, silence, and connections whose end has come."""
        self.sessions.expire_orders(now_ns)
        for connection in list(self.open):
            self.sessions.due(connection.session, now_ns)
            if connection.deadline_ns is not None and now_ns >= connection.deadline_ns:
                self._drop(connection, now_ns)

    def send(self, now_ns: int) -> None:
        """Write what each connection is to be sent, as far as its socket takes it."""
        for connection in list(self.open):
            try:
                self._write(connection)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                connection.session.lost(f"reset: {error.strerror}", CloseReason.RESET)
                self._drop(connection, now_ns)
                continue
            self._after(connection, now_ns)

    def close(self, now_ns: int, *, reset: bool = False) -> None:
        """Close every connection and the listener; with `reset` by a TCP reset, as a machine that fails does."""
        for connection in list(self.open):
            if reset:
                connection.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.session.lost("end of session: the exchange stopped", CloseReason.END_OF_SESSION)
            self._drop(connection, now_ns)
        self.selector.unregister(self.listener)
        self.listener.close()

    @property
    def busy(self) -> bool:
        """Whether a connection is left that is still to be sent something."""
        return any(connection.session.account or connection.pending for connection in self.open)

    def _make_room(self, before: set[Connection], now_ns: int) -> bool:
        """Drop a connection that is closed, or the oldest without a login, so that those do not keep others out.

        before : who was there when this round began; a newcomer is read once before it may have to go
        """
        useless = [connection for connection in before & self.open if connection.session.closed or not connection.session.account]
        if not useless:
            return False
        connection = min(useless, key=lambda one: (not one.session.closed, one.session.number))
        connection.session.lost("made room: no login, and another connection came", CloseReason.MADE_ROOM)
        self._drop(connection, now_ns)
        return True

    def _write(self, connection: Connection) -> None:
        for _ in range(_WRITES):
            connection.pending = connection.pending or connection.session.outgoing()
            if not connection.pending:
                return
            connection.pending = connection.pending[connection.link.send(connection.pending) :]

    def _after(self, connection: Connection, now_ns: int) -> None:
        """What the socket is watched for from now on, and the end of a closed connection."""
        if connection.session.closed:
            self.sessions.ended(connection.session, now_ns)
            connection.deadline_ns = connection.deadline_ns or now_ns + HANG_UP_NS
            if not connection.pending and not connection.shut:
                connection.shut = True
                try:
                    connection.link.shutdown(socket.SHUT_WR)
                except OSError:
                    self._drop(connection, now_ns)
                    return
        reads = connection.session.closed or connection.session.bucket.left(now_ns) >= 1
        interest = (EVENT_READ if reads else 0) | (EVENT_WRITE if connection.pending else 0)
        if interest != connection.interest:
            if connection.interest:
                self.selector.unregister(connection.link)
            if interest:
                self.selector.register(connection.link, interest, connection)
            connection.interest = interest

    def _drop(self, connection: Connection, now_ns: int) -> None:
        self.open.discard(connection)
        if connection.interest:
            self.selector.unregister(connection.link)
            connection.interest = 0
        connection.link.close()
        self.sessions.ended(connection.session, now_ns)
