"""The order connection between trader and exchange, which breaks on command, and other clients of the exchange.

Both are written from the specification: u16 length, one letter, payload.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

_RECEIVE = 1 << 16
_RESET = struct.pack("ii", 1, 0)


class Link:
    """One end of a connection; never waits. waiting : bytes still to be written; closed : by the other end"""

    def __init__(self, link: socket.socket) -> None:
        self.link, self.closed = link, False
        link.setblocking(False)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting = bytearray()
        self._rest = bytearray()  # of a frame that has come in part

    def read(self) -> bytes:
        """What has come."""
        try:
            data = self.link.recv(_RECEIVE)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        self.closed |= not data
        return data

    def frames(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole with this data, each with its length."""
        self._rest += data
        while len(self._rest) >= 2 and len(self._rest) >= (size := 2 + int.from_bytes(self._rest[:2], "big")):
            yield bytes(self._rest[:size])
            del self._rest[:size]

    def write(self) -> None:
        """As much of what waits as the system takes."""
        try:
            while self.waiting:
                del self.waiting[: self.link.send(self.waiting[:_RECEIVE])]
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True

    def reset(self) -> None:
        """Close it by a TCP reset."""
        with suppress(OSError):
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.link.close()


def connect(address: str, buffer: int = 0) -> socket.socket:
    """To host:port, which is decided at once on loopback; buffer: for what comes, bytes. raises : OSError"""
    host, port = address.split(":")
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if buffer:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        link.settimeout(5)
        link.connect((host, int(port)))
    except OSError:
        link.close()
        raise
    return link


class Relay:
    """Listens on loopback and passes on what comes to `target`.

    pairs    : connections of the trader, each with the one to the exchange for it, if there is one
    orders   : every Enter Order that came from the trader, in turn, also those that were cut
    hold     : do not pass on what the exchange sends
    swallow  : accept connections, and pass on nothing either way
    cut_up   : break the next frame that brings an order in the middle, and the connection with it
    cut_down : the same with the next answer that says an order was accepted
    resets   : connections that were cut
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.address = "{}:{}".format(*self.listener.getsockname())
        self.pairs: list[tuple[Link, Link | None]] = []
        self.orders: list[bytes] = []
        self.hold = self.swallow = self.cut_up = self.cut_down = False
        self.resets = self.accepted = 0

    def pump(self) -> None:
        """Whatever has come, both ways; never waits."""
        with suppress(BlockingIOError):
            while True:
                self._open(Link(self.listener.accept()[0]))
        for client, server in list(self.pairs):
            if server is not None and not (self._up(client, server) or self._down(client, server)):
                server.write()
                if not self.hold:
                    client.write()
                if client.closed or (server.closed and not client.waiting):
                    self._break(client, server)

    def reset(self) -> None:
        """Break every connection, both ends by a TCP reset."""
        self.resets += len(self.pairs)
        for pair in list(self.pairs):
            self._break(*pair)

    def close(self) -> None:
        for pair in list(self.pairs):
            self._break(*pair)
        self.listener.close()

    def _open(self, client: Link) -> None:
        self.accepted += 1
        try:
            self.pairs.append((client, None if self.swallow else Link(connect(self.target))))
        except OSError:
            client.reset()

    def _up(self, client: Link, server: Link) -> bool:
        """From the trader; whether an order was cut."""
        server.waiting += (data := client.read())
        for frame in client.frames(data):
            if frame[2:4] == b"UO":
                self.orders.append(frame[3:])
                if self.cut_up:
                    return self._cut(client, server, server, frame)
        return False

    def _down(self, client: Link, server: Link) -> bool:
        """From the exchange; whether an answer was cut."""
        client.waiting += (data := server.read())
        return any(
            self._cut(client, server, client, frame) for frame in server.frames(data) if self.cut_down and frame[2:4] == b"SA"
        )

    def _cut(self, client: Link, server: Link, towards: Link, frame: bytes) -> bool:
        """Pass on everything before this frame, and half of it."""
        del towards.waiting[towards.waiting.rindex(frame) + len(frame) // 2 :]
        towards.write()
        self.cut_up = self.cut_down = False
        self._break(client, server)
        self.resets += 1
        return True

    def _break(self, client: Link, server: Link | None) -> None:
        self.pairs.remove((client, server))
        client.reset()
        if server is not None:
            server.reset()


class TestClient(Link):
    """One connection to the exchange, by a client that need not behave. reads : whether it does; received : what came"""

    __test__ = False  # for pytest: a class, not a test

    def __init__(self, address: str, *, reads: bool = True, buffer: int = 0) -> None:
        super().__init__(connect(address, buffer))
        self.reads, self.received = reads, bytearray()

    def login(self, name: str, password: str) -> None:
        self.send(b"L", f"{name:<6}{password:<10}{'':>10}{1:>20}".encode())

    def send(self, kind: bytes, payload: bytes) -> None:
        self.raw(struct.pack(">Hc", 1 + len(payload), kind) + payload)

    def order(self, ref: int, symbol: str) -> None:
        """An Enter Order of 47 bytes without options: buy a share at the least price, or cancel."""
        fields = (b"O", ref, b"B", 1, symbol.encode().ljust(8), 1, b"3", b"Y", b"P", b"N", b"N", b" " * 14, 0)
        self.send(b"U", struct.pack(">cIcI8sQccccc14sH", *fields))

    def raw(self, data: bytes) -> None:
        self.waiting += data
        self.pump()

    @property
    def full(self) -> bool:
        """Whether the exchange takes nothing from it any more."""
        return len(self.waiting) > _RECEIVE

    def pump(self) -> None:
        """Write what waits, and read, if it does."""
        if not self.closed:
            self.write()
            self.received += self.read() if self.reads else b""
