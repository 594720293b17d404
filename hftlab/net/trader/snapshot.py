"""A snapshot for a trader that comes late, instead of the whole session from its first message; see `net.exchange.snapshots`."""

from __future__ import annotations

import errno
import socket
from typing import NamedTuple

from hftlab.net.endpoints import Address, System
from hftlab.net.trader.settings import TraderSettings
from hftlab.protocols.moldudp64 import frame
from hftlab.protocols.soup_session import CLOSED, Client

_RECEIVE = 1 << 18
_RETRY_NS = 1_000_000_000
_END = b"G"


class Snapshot(NamedTuple):
    """blocks : the messages, framed, as an engine reads them; next : the number of the message that comes after them."""

    session: bytes
    blocks: bytes
    next: int


class SnapshotClient:
    """Fetches one snapshot, however often it must try. counts : tries"""

    def __init__(self, settings: TraderSettings, system: System) -> None:
        self.settings, self.system = settings, system
        self.address = Address.parse(settings.snapshots, "snapshots")
        self.tries, self._due_ns = 0, 0
        self._socket: socket.socket | None = None
        self._client: Client | None = None
        self._outbox, self._blocks = b"", list[bytes]()

    def poll(self, now_ns: int) -> Snapshot | None:
        """What has come: the snapshot, once it is whole. Never blocks."""
        if self._socket is None:
            if now_ns >= self._due_ns:
                self._connect(now_ns)
            return None
        if now_ns > self._due_ns:
            self._drop(now_ns)
            return None
        try:
            self._flush()
            data = self._socket.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # not yet
                self._drop(now_ns)
            return None
        return self._read(data, now_ns)

    def close(self) -> None:
        """Hang up."""
        self._drop(0)

    def _connect(self, now_ns: int) -> None:
        self.tries += 1
        self._socket = self.system.client()
        self._due_ns = now_ns + self.settings.ns("connect_timeout")
        self._client = Client(self.settings.username, self.settings.password, version=self.settings.version)
        self._outbox = self._client.connected(now_ns)
        if self._socket.connect_ex(self.address) not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            self._drop(now_ns)

    def _flush(self) -> None:
        if self._outbox and self._socket is not None:
            self._outbox = self._outbox[self._socket.send(self._outbox) :]

    def _read(self, data: bytes, now_ns: int) -> Snapshot | None:
        assert self._client is not None
        for event in self._client.receive(data, now_ns):
            if event.kind == "message" and event.payload[:1] == _END:
                whole = Snapshot(self._client.session.ljust(10).encode(), b"".join(self._blocks), int(event.payload[1:]))
                self._drop(now_ns)
                return whole
            if event.kind == "message":
                self._blocks.append(frame(event.payload))
        if not data or self._client.state == CLOSED:
            self._drop(now_ns)
        else:
            self._due_ns = now_ns + self.settings.ns("connect_timeout")
        return None

    def _drop(self, now_ns: int) -> None:
        """Hang up, and try again after a while."""
        if self._socket:
            self._socket.close()
        self._socket, self._client, self._outbox, self._blocks = None, None, b"", []
        self._due_ns = now_ns + _RETRY_NS if now_ns else 0
