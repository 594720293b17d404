"""Other clients of the exchange, which need not behave, written from the specification: u16 length, a letter, payload."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from hftlab.loadtest.faults.network import MS_NS, Host, Network
from hftlab.loadtest.faults.sockets import Stream
from hftlab.net.endpoints import Address

_BUFFER, _AT_ONCE, _MAX_WAITING = 4_096, 80, 1 << 16
SYMBOL = b"HLAAA"


class Rival:
    """Some clients on a machine of their own. received : what each was sent; closed : how many connections were ended by it"""

    def __init__(self, network: Network, orders: Address) -> None:
        self.host, self.orders = Host(network, "rival"), orders
        self.received: list[bytearray] = []
        self._waiting: list[bytearray] = []
        self._streams: list[Stream] = []
        self._flood: Iterator[int] | None = None

    @property
    def closed(self) -> int:
        return sum(stream.closed for stream in self._streams)

    def connect(self, *words: bytes, reads: bool = True) -> None:
        """One more connection, on which this is said."""
        stream: Stream = self.host.client()
        if not reads:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        stream.connect_ex(self.orders)
        self._streams.append(stream)
        self._waiting.append(bytearray(b"".join(words)))
        self.received.append(bytearray())
        self.host.run = self._turn
        self.host.wake(self.host.network.now)

    def flood(self, name: str, password: str) -> None:
        """Logs in, sends orders without end, and never reads."""
        self.connect(login(name, password), reads=False)
        self._flood = iter(range(1, 60_000))

    def half_logins(self, count: int) -> None:
        """As many connections with a part of a login each, and never more."""
        for number in range(count):
            self.connect(b"\0\x2fLTRADER"[: 1 + number % 9])

    def guesses(self, name: str, count: int) -> None:
        """As many logins with a wrong password."""
        for number in range(count):
            self.connect(login(name, f"GUESS{number}"))

    def _turn(self) -> int | None:
        for stream, waiting, received in zip(self._streams, self._waiting, self.received, strict=True):
            if stream.closed or not stream.connected:
                continue
            if self._flood and len(waiting) < _MAX_WAITING:
                waiting += b"".join(order(ref) for _, ref in zip(range(_AT_ONCE), self._flood, strict=False))
            try:
                if waiting:
                    del waiting[: stream.send(waiting)]
                if stream.window > _BUFFER:
                    received += (data := stream.recv(1 << 16))
                    if not data:
                        stream.close()
            except BlockingIOError:
                pass
            except OSError:
                stream.close()
        return self.host.network.now + MS_NS


def login(name: str, password: str) -> bytes:
    """A Login Request for the current session, from its first message."""
    return packet(b"L", f"{name:<6}{password:<10}{'':>10}{1:>20}".encode())


def order(ref: int) -> bytes:
    """An Enter Order of 47 bytes without options: buy a share at the least price, or cancel."""
    fields = (b"O", ref, b"B", 1, SYMBOL.ljust(8), 1, b"3", b"Y", b"P", b"N", b"N", b" " * 14, 0)
    return packet(b"U", struct.pack(">cIcI8sQccccc14sH", *fields))


def packet(kind: bytes, payload: bytes) -> bytes:
    """A SoupBinTCP packet."""
    return struct.pack(">Hc", 1 + len(payload), kind) + payload
