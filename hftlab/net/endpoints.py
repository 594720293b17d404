"""Sockets of exchange and trader: addresses read and checked, what is bound and opened, and waiting for several of them.

Everything binds to loopback unless another address is named. Multicast leaves by one interface only, and with a time to live of
0 where that is loopback: it never reaches a wire.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import NamedTuple

from hftlab.errors import ConfigError

LOOPBACK = "127.0.0.1"


class Address(NamedTuple):
    """An IPv4 address and a port; port 0 is any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, what: str) -> Address:
        """From HOST:PORT, HOST being an IPv4 address or localhost. raises : ConfigError"""
        host, colon, port = text.rpartition(":")
        try:
            if not colon or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
                raise ValueError
            return cls(str(IPv4Address(LOOPBACK if host == "localhost" else host)), int(port))
        except ValueError:
            raise ConfigError(f"{what} must be an IPv4 address and a port such as {LOOPBACK}:0, got {text!r}") from None

    @property
    def multicast(self) -> bool:
        return IPv4Address(self.host).is_multicast

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def destination(address: Address, what: str) -> Address:
    """Where a line goes to: a multicast group with port 0 gets a free port. raises : ConfigError for a port 0 elsewhere"""
    if address.port:
        return address
    if not address.multicast:
        raise ConfigError(f"{what} must have a port above 0 (0 is for multicast groups alone), got {address}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return address._replace(port=probe.getsockname()[1])


@contextmanager
def opening(kind: socket.SocketKind, failed: str) -> Iterator[socket.socket]:
    """A socket that does not block, to be set up; what the system refuses closes it. raises : ConfigError, `failed` and why"""
    opened = socket.socket(socket.AF_INET, kind)
    try:
        opened.setblocking(False)
        yield opened
    except OSError as error:
        opened.close()
        raise ConfigError(f"{failed}: {error.strerror}") from None


def sender(interface: str) -> socket.socket:
    """A socket for datagrams to anywhere; multicast leaves by the interface with this address. raises : ConfigError"""
    host = Address.parse(f"{interface}:0", "interface").host
    with opening(socket.SOCK_DGRAM, f"interface {interface}") as out:
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, struct.pack("b", 0 if IPv4Address(host).is_loopback else 1))
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    return out


def bind(kind: socket.SocketKind, address: Address, what: str, backlog: int = 0) -> socket.socket:
    """A datagram socket, or with a backlog a listening one, that does not block. raises : ConfigError"""
    with opening(kind, f"{what} {address}: cannot be bound") as opened:
        if backlog:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        if backlog:
            opened.listen(backlog)
    return opened


def address_of(opened: socket.socket | None) -> str:
    """HOST:PORT of a bound socket."""
    return str(Address(*opened.getsockname())) if opened else ""


class Loop:
    """Waiting for several sockets: asleep in the selector, or spinning, where every socket is tried each turn.

    numbered : sockets whose numbers `wait` gives; one more, which comes and goes, only wakes it; spin : never sleep
    """

    def __init__(self, numbered: Mapping[int, socket.socket], *, spin: bool = False) -> None:
        self.spin, self._numbers = spin, list(numbered)
        self._selector = DefaultSelector()
        self._watched: tuple[socket.socket, int] | None = None
        for number, opened in numbered.items():
            self._selector.register(opened, EVENT_READ, number)

    def wait(self, timeout: float) -> list[int]:
        """The numbers of the sockets that may have something, at most `timeout` seconds later."""
        if self.spin:
            return self._numbers
        return sorted(key.data for key, _ in self._selector.select(timeout) if key.data is not None)

    def watch(self, opened: socket.socket | None, *, writing: bool) -> None:
        """The one socket that wakes `wait`, too; for room only while something waits to be written."""
        wanted = (opened, EVENT_READ | (EVENT_WRITE if writing else 0)) if opened else None
        if wanted == self._watched:
            return
        for key in [key for key in self._selector.get_map().values() if key.data is None]:
            self._selector.unregister(key.fileobj)
        if wanted:
            self._selector.register(*wanted, None)
        self._watched = wanted

    def close(self) -> None:
        """Close the selector; the sockets stay open."""
        self._selector.close()
