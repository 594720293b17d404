"""Other clients of the exchange, none of them nice, written from the specification."""

from __future__ import annotations

import socket
import struct

_RECEIVE = 1 << 16


class Rival:
    """One connection to the exchange. reads : whether it reads; gone : whether the exchange has closed it."""

    def __init__(self, address: str, *, reads: bool = True, buffer: int = 0) -> None:
        host, port = address.split(":")
        self.link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if buffer:
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.link.settimeout(5)
        self.link.connect((host, int(port)))
        self.link.setblocking(False)
        self.reads, self.gone = reads, False
        self.heard, self._waiting = bytearray(), bytearray()

    def login(self, name: str, password: str) -> None:
        self.say(b"L", f"{name:<6}{password:<10}{'':>10}{1:>20}".encode())

    def say(self, kind: bytes, payload: bytes = b"") -> None:
        self.raw(struct.pack(">Hc", 1 + len(payload), kind) + payload)

    def order(self, ref: int, symbol: str, side: str = "B", shares: int = 1, price: int = 1, tif: str = "3") -> None:
        """An Enter Order of 47 bytes without options."""
        fields = (b"O", ref, side.encode(), shares, symbol.encode().ljust(8), price, tif.encode(), b"Y", b"P", b"N", b"N")
        self.say(b"U", struct.pack(">cIcI8sQccccc14sH", *fields, b" " * 14, 0))

    def raw(self, data: bytes) -> None:
        self._waiting += data
        self.pump()

    @property
    def full(self) -> bool:
        """Whether what it says is not taken any more."""
        return len(self._waiting) > _RECEIVE

    def pump(self) -> None:
        """Write what waits, and read, if it does."""
        if self.gone:
            return
        try:
            while self._waiting:
                del self._waiting[: self.link.send(self._waiting[:_RECEIVE])]
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
        try:
            while self.reads and not self.gone:
                data = self.link.recv(_RECEIVE)
                self.heard += data
                self.gone = not data
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True

    def close(self) -> None:
        self.link.close()
