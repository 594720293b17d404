"""A client of the exchange, from the specifications of SoupBinTCP and OUCH 5.0, that may misbehave in every way."""

from __future__ import annotations

import socket
import struct

_RECEIVE = 1 << 16


class Client:
    """One connection. Nothing blocks: `pump` writes what waits and reads what has come.

    reads   : whether it reads at all
    packets : (type, payload) of everything received; session, next : as the login was answered and messages came
    refused : reason letter of a login that was rejected; gone : whether the exchange has closed the connection
    """

    def __init__(self, address: str, *, reads: bool = True, buffer: int = 0) -> None:
        host, port = address.split(":")
        self.link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if buffer:
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.link.settimeout(30)
        self.link.connect((host, int(port)))
        self.link.setblocking(False)
        self.reads, self.gone = reads, False
        self.packets: list[tuple[str, bytes]] = []
        self.session: str | None = None
        self.next, self.refused = 0, ""
        self._received, self._waiting = b"", bytearray()

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._waiting += data
        self.pump()

    def packet(self, kind: str, payload: bytes = b"") -> None:
        self.raw(packet(kind, payload))

    def login(self, name: str = "ME", password: str = "SECRET", session: str = "", sequence: int = 1, beat: str = "") -> None:
        self.packet("L", f"{name:<6}{password:<10}{session:>10}{sequence:>20}{beat}".encode())

    def enter(self, ref: int, side: str, shares: int, price: int, tif: str = "0", symbol: str = "ABC") -> None:
        self.packet("U", enter_order(ref, side, shares, price, tif, symbol))

    def pump(self) -> None:
        """Write what waits, and read, if it does."""
        try:
            while self._waiting and not self.gone:
                del self._waiting[: self.link.send(self._waiting[:_RECEIVE])]
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
        try:
            while self.reads and not self.gone:
                data = self.link.recv(_RECEIVE)
                self._received += data
                self.gone = not data
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
        self._parse()

    def _parse(self) -> None:
        at = 0
        while len(self._received) >= at + 2 and len(self._received) >= (end := at + 2 + _size(self._received, at)):
            kind, payload = chr(self._received[at + 2]), self._received[at + 3 : end]
            self.packets.append((kind, payload))
            if kind == "A":
                self.session, self.next = payload[:10].decode().strip(), int(payload[10:30])
            self.refused += payload.decode() if kind == "J" else ""
            self.next += kind == "S"
            at = end
        self._received = self._received[at:]

    @property
    def full(self) -> bool:
        """Whether what it sends is not taken any more."""
        return len(self._waiting) > _RECEIVE

    @property
    def messages(self) -> list[bytes]:
        """The sequenced messages."""
        return [payload for kind, payload in self.packets if kind == "S"]

    @property
    def letters(self) -> str:
        """The types of the sequenced messages."""
        return "".join(chr(message[0]) for message in self.messages)

    @property
    def executions(self) -> list[tuple[int, int, int, str]]:
        """(UserRefNum, shares, price, liquidity) by the offsets of the specification."""
        found = [struct.unpack_from(">IIQc", message, 9) for message in self.messages if message[:1] == b"E"]
        return [(ref, shares, price, flag.decode()) for ref, shares, price, flag in found]

    def reset(self) -> None:
        """Break the connection as a machine that fails does."""
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.link.close()


def packet(kind: str, payload: bytes = b"") -> bytes:
    """A SoupBinTCP packet."""
    return struct.pack(">Hc", 1 + len(payload), kind.encode()) + payload


def enter_order(ref: int, side: str, shares: int, price: int, tif: str = "0", symbol: str = "ABC") -> bytes:
    """An Enter Order of 47 bytes without options."""
    fields = (b"O", ref, side.encode(), shares, symbol.encode().ljust(8), price, tif.encode(), b"Y", b"P", b"N", b"N")
    return struct.pack(">cIcI8sQccccc14sH", *fields, b"X" * 14, 0)


def _size(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")
