"""Sockets of the exchange: addresses read and checked, datagrams out, requests and connections in.

Everything binds to loopback unless another address is named. Multicast leaves by one interface only, and with a time to live of
0 where that is loopback: it never reaches a wire.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
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
