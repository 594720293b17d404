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


class Stream:
    """One direction of one connection: bytes on their way, and the frames in them."""

    def __init__(self) -> None:
        self.waiting = bytearray()  # to be passed on
        self._rest = bytearray()  # of a frame that has come in part

    def take(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now, each with its length."""
        self.waiting += data
        self._rest += data
        while len(self._rest) >= 2 and len(self._rest) >= (size := 2 + int.from_bytes(self._rest[:2], "big")):
            yield bytes(self._rest[:size])
            del self._rest[:size]


class Pair:
    """A connection of the trader, and the one link for it."""

    def __init__(self, client: socket.socket, server: socket.socket | None) -> None:
        self.client, self.server = client, server
        self.up, self.down = Stream(), Stream()


class Relay:
    """Listens on loopback and passes on what comes to `target`.

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
        self.pairs: list[Pair] = []
        self.orders: list[bytes] = []
        self.hold = self.swallow = self.cut_up = self.cut_down = False
        self.resets = self.accepted = 0

    def pump(self) -> None:
        """Whatever has come, both ways; never waits."""
        with suppress(BlockingIOError):
            while True:
                self._open(self.listener.accept()[0])
        for pair in list(self.pairs):
            if pair.server is not None:
                self._move(pair)

    def reset(self) -> None:
        """Break every connection, both ends by a TCP reset."""
        for pair in list(self.pairs):
            self._break(pair)
            self.resets += 1

    def close(self) -> None:
        for pair in list(self.pairs):
            self._break(pair)
        self.listener.close()

    def _open(self, client: socket.socket) -> None:
        self.accepted += 1
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = Pair(client, None)
        self.pairs.append(pair)
        if self.swallow:
            return
        host, port = self.target.split(":")
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            server.connect((host, int(port)))  # on loopback this is decided at once
        except OSError:
            server.close()
            self._break(pair)
            return
        server.setblocking(False)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair.server = server

    def _move(self, pair: Pair) -> None:
        assert pair.server is not None
        data, ended = _read(pair.client)
        for frame in pair.up.take(data):
            if frame[2:4] == b"UO":
                self.orders.append(frame[3:])
                if self.cut_up:
                    self._cut(pair, pair.server, pair.up, frame)
                    return
        answer, over = _read(pair.server)
        for frame in pair.down.take(answer):
            if self.cut_down and frame[2:4] == b"SA":
                self._cut(pair, pair.client, pair.down, frame)
                return
        _write(pair.server, pair.up)
        if not self.hold:
            _write(pair.client, pair.down)
        if ended or (over and not pair.down.waiting):
            self._break(pair)

    def _cut(self, pair: Pair, towards: socket.socket, stream: Stream, frame: bytes) -> None:
        """Pass on everything before this frame, and half of it."""
        at = stream.waiting.rindex(frame)
        del stream.waiting[at + len(frame) // 2 :]
        _write(towards, stream)
        self.cut_up = self.cut_down = False
        self._break(pair)
        self.resets += 1

    def _break(self, pair: Pair) -> None:
        self.pairs.remove(pair)
        for link in filter(None, (pair.client, pair.server)):
            with suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            link.close()


def _read(link: socket.socket) -> tuple[bytes, bool]:
    """What waits, and whether that was the end."""
    try:
        data = link.recv(_RECEIVE)
    except BlockingIOError:
        return b"", False
    except OSError:
        return b"", True
    return data, not data


def _write(link: socket.socket, stream: Stream) -> None:
    with suppress(OSError):
        while stream.waiting:
            del stream.waiting[: link.send(stream.waiting)]


class TestClient:
    """One connection to the exchange, by a client that need not behave. reads : whether it reads; closed : by the exchange."""

    __test__ = False  # for pytest: a class, not a test

    def __init__(self, address: str, *, reads: bool = True, buffer: int = 0) -> None:
        host, port = address.split(":")
        self.link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if buffer:
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.link.settimeout(5)
        self.link.connect((host, int(port)))
        self.link.setblocking(False)
        self.reads, self.closed = reads, False
        self.received, self._waiting = bytearray(), bytearray()

    def login(self, name: str, password: str) -> None:
        self.send(b"L", f"{name:<6}{password:<10}{'':>10}{1:>20}".encode())

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        self.raw(struct.pack(">Hc", 1 + len(payload), kind) + payload)

    def order(self, ref: int, symbol: str, side: str = "B", shares: int = 1, price: int = 1, tif: str = "3") -> None:
        """An Enter Order of 47 bytes without options."""
        fields = (b"O", ref, side.encode(), shares, symbol.encode().ljust(8), price, tif.encode(), b"Y", b"P", b"N", b"N")
        self.send(b"U", struct.pack(">cIcI8sQccccc14sH", *fields, b" " * 14, 0))

    def raw(self, data: bytes) -> None:
        self._waiting += data
        self.pump()

    @property
    def full(self) -> bool:
        """Whether the exchange takes nothing from it any more."""
        return len(self._waiting) > _RECEIVE

    def pump(self) -> None:
        """Write what waits, and read, if it does."""
        if self.closed:
            return
        try:
            while self._waiting:
                del self._waiting[: self.link.send(self._waiting[:_RECEIVE])]
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        try:
            while self.reads and not self.closed:
                data = self.link.recv(_RECEIVE)
                self.received += data
                self.closed = not data
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True

    def close(self) -> None:
        self.link.close()
