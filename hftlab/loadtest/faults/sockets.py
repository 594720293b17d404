"""Sockets that keep nobody waiting: what `hftlab.loadtest.faults.network` gives out in place of the system's."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, NamedTuple, Protocol

from hftlab.net.endpoints import Address

_WINDOW = 1 << 16  # bytes of a stream that may be under way or unread
_PORT_BYTES = 1 << 22  # of datagrams that wait in a socket
_CUT = 20  # bytes of a frame that arrive before its connection breaks


class Machine(Protocol):
    """Where a socket belongs. network : its network; sockets : those that are open"""

    name: str
    network: Any
    sockets: list[Any]

    def wake(self, ns: int) -> None:
        """Its process runs then."""

    def time_of_day(self) -> int:
        """What its wall clock says, ns since 1970."""


class _Socket:
    """What all sockets here can be asked for and does nothing. readable : whether something can be read or accepted"""

    readable: Any = False

    def __init__(self, host: Machine, address: Address) -> None:
        self.host, self.network, self.address = host, host.network, address
        self.closed = False

    @property
    def ready(self) -> int:
        """What a selector finds."""
        return EVENT_READ if self.readable else 0

    def setblocking(self, flag: bool) -> None:
        """None of them waits."""

    def setsockopt(self, *option: Any) -> None:
        """Nothing is chosen here."""

    def getsockname(self) -> Address:
        return self.address

    def close(self) -> None:
        """Nothing more comes in."""
        if not self.closed:
            self.closed = True
            self.host.sockets.remove(self)
            if (bound := self.network.ports.get(self.address)) and self in bound:
                bound.remove(self)

    reset = close


class Port(_Socket):
    """A datagram socket. came_ns, stamp_ns : when the datagram came that was taken last, by the wall clock of its machine, too"""

    def __init__(self, host: Machine, address: Address) -> None:
        super().__init__(host, address)
        self.came_ns = self.stamp_ns = self._bytes = 0
        self._queue: deque[tuple[bytes, Address, int, int]] = deque()

    def take(self, data: bytes, source: Address) -> None:
        """One that has come; it is lost where there is no room."""
        if self._bytes + len(data) <= _PORT_BYTES:
            self._bytes += len(data)
            self._queue.append((data, source, self.network.now, self.host.time_of_day()))
            self.readable = True
            self.host.wake(self.network.now)

    def recvfrom(self, limit: int) -> tuple[bytes, Address]:
        if not self._queue:
            raise BlockingIOError
        data, source, self.came_ns, self.stamp_ns = self._queue.popleft()
        self._bytes -= len(data)
        self.readable = bool(self._queue)
        return data, source

    def sendto(self, data: bytes, target: Address) -> int:
        self.network.send_datagram(bytes(data), self.address, target)
        return len(data)


class Listener(_Socket):
    """Takes connections."""

    def __init__(self, host: Machine, address: Address) -> None:
        super().__init__(host, address)
        self._backlog: deque[Stream] = deque()

    def take(self, stream: Stream) -> None:
        """A connection that is to be accepted."""
        self._backlog.append(stream)
        self.readable = True
        self.host.wake(self.network.now)

    def accept(self) -> tuple[Stream, Address]:
        if not self._backlog:
            raise BlockingIOError
        stream = self._backlog.popleft()
        self.readable = bool(self._backlog)
        assert stream.peer is not None
        return stream, stream.peer.address


class Stream(_Socket):
    """One end of a connection. peer : the other one; error : of the system, which the next call meets"""

    def __init__(self, host: Machine) -> None:
        host.network.free_port += 1
        super().__init__(host, Address(host.name, host.network.free_port))
        self.peer: Stream | None = None
        self.link = self.network.links["other"]
        self.window = _WINDOW
        self.error = 0
        self.connected = self._shut = self._over = False
        self._incoming = bytearray()
        self._under_way = self._last_ns = 0

    def setsockopt(self, *option: Any) -> None:
        if option[:2] == (socket.SOL_SOCKET, socket.SO_RCVBUF):
            self.window = option[2]

    def getsockopt(self, *option: Any) -> int:
        error, self.error = self.error, 0 if not self.connected else self.error
        return error

    def getpeername(self) -> Address:
        if not self.connected:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self.address

    @property
    def readable(self) -> Any:
        return self._incoming or self._over or self.error

    @property
    def ready(self) -> int:
        return (EVENT_READ if self.readable else 0) | (EVENT_WRITE if self.connected and self._room() > 0 else 0)

    def connect_ex(self, address: Address) -> int:
        self.network.at(self.network.now + self.link.latency_ns, self._knock, address)
        return errno.EINPROGRESS

    def _knock(self, address: Address) -> None:
        """The request to connect has arrived."""
        ours = self.host.name == "trader"
        self.link, back = (self.network.links[name] for name in (("up", "down") if ours else ("other", "other")))
        listeners = self.network.ports.get(address)
        if self.link.swallow:
            self.network.at(self.network.now + self.link.latency_ns, self._made)
        elif not listeners:
            self.network.at(self.network.now + self.link.latency_ns, self.fail, errno.ECONNREFUSED)
        else:
            listener = listeners[0]
            listener.host.sockets.append(other := Stream(listener.host))
            self.peer, other.peer, other.link, other.connected = other, self, back, True
            listener.take(other)
            self.network.at(self.network.now + self.link.latency_ns, self._made)

    def _made(self) -> None:
        self.connected = not self.error
        self.host.wake(self.network.now)

    def _room(self) -> int:
        return self.window if self.peer is None else self.peer.window - len(self.peer._incoming) - self._under_way

    def send(self, data: bytes | bytearray) -> int:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        if not self.connected or self._shut:
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        taken = bytes(data[: max(self._room(), 0)])
        if not taken:
            raise BlockingIOError
        if self.peer is not None:
            self._pass_on(taken)
        return len(taken)

    def _pass_on(self, data: bytes) -> None:
        link = self.link
        link.counts["sent"] += 1
        broken = link.cut and (at := _frame(data, link.cut)) >= 0
        if broken:
            link.cut, data = b"", data[: at + _CUT]
            link.counts["cut"] += 1
        if link.alter:
            data = link.alter(data)
        self._under_way += len(data)
        self.network.at(self._when(link), self._arrive, data)
        if broken:
            self.network.at(self._when(link), self.break_off)

    def _when(self, link: Any) -> int:
        """When what is sent now arrives: after all that was sent before."""
        self._last_ns = max(self._last_ns, self.network.now + self.link.latency_ns, link.stall_ns)
        return self._last_ns

    def _arrive(self, data: bytes) -> None:
        self.network.arrived(data)
        self._under_way -= len(data)
        if self.peer is not None and not self.peer.closed:
            self.peer._incoming += data
            self.peer.host.wake(self.network.now)

    def recv(self, limit: int) -> bytes:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        if not self._incoming:
            if self._over:
                return b""
            raise BlockingIOError
        data = bytes(self._incoming[:limit])
        del self._incoming[:limit]
        if self.peer is not None and self.peer.host is not self.host:
            self.peer.host.wake(self.network.now + self.link.latency_ns) if self.peer._room() <= len(data) else None
        return data

    def shutdown(self, how: int) -> None:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        if not self._shut:
            self._shut = True
            self.network.at(self._when(self.link), self._ended)

    def _ended(self) -> None:
        if self.peer is not None:
            self.peer._over = True
            self.peer.host.wake(self.network.now)

    def close(self) -> None:
        """In order; with something unread, by a reset, as TCP does."""
        if self.closed:
            return
        if self._incoming:
            self.reset()
        elif self.connected and not self.error and not self._shut:
            self.shutdown(socket.SHUT_WR)
        super().close()

    def reset(self) -> None:
        """By a reset, which overtakes nothing."""
        if not self.closed and self.peer is not None:
            self.network.at(self._when(self.link), self.peer.fail, errno.ECONNRESET)
        super().close()

    def break_off(self) -> None:
        """The connection breaks: both ends find it reset."""
        for end in (self, self.peer):
            if end is not None:
                end.fail(errno.ECONNRESET)

    def fail(self, error: int) -> None:
        """The system's word that it is broken."""
        if not self.closed:
            self.error = error
            self._incoming.clear()
            self.host.wake(self.network.now)


def _frame(data: bytes, begins: bytes) -> int:
    """Where the first SoupBinTCP packet in `data` begins whose type and payload begin so, -1 for none; data begins with one."""
    at = 0
    while at + 2 < len(data):
        if data[at + 2 : at + 2 + len(begins)] == begins:
            return at
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    return -1


class _Key(NamedTuple):
    fileobj: Any
    events: int
    data: Any


class Selector:
    """Which of some sockets have something."""

    def __init__(self) -> None:
        self._keys: dict[Any, _Key] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> None:
        """Look at it from now on."""
        self._keys[fileobj] = _Key(fileobj, events, data)

    def unregister(self, fileobj: Any) -> None:
        """Look at it no longer."""
        del self._keys[fileobj]

    def get_map(self) -> Mapping[Any, _Key]:
        """What is looked at."""
        return self._keys

    def select(self, timeout: float) -> list[tuple[_Key, int]]:
        """Those that are ready now; nobody waits."""
        return [(key, mask) for key in self._keys.values() if (mask := key.fileobj.ready & key.events)]

    def close(self) -> None:
        """Nothing is looked at."""
        self._keys.clear()
