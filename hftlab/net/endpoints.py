"""Sockets of exchange and trader: addresses read and checked, what is bound and opened, and waiting for several of them.

Everything binds to loopback unless another address is named. Multicast leaves by one interface only, and with a time to live of
0 where that is loopback: it never reaches a wire.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, DefaultSelector
from typing import Any, NamedTuple

from hftlab.errors import ConfigError

LOOPBACK = "127.0.0.1"
# The default addresses. The groups are of the organisation-local scope, which no router forwards.
GROUP_A, GROUP_B = "239.255.71.1", "239.255.71.2"
LINE_A, LINE_B = f"{GROUP_A}:26401", f"{GROUP_B}:26402"
REQUESTS, ORDERS = f"{LOOPBACK}:26403", f"{LOOPBACK}:26404"
_BACKLOG = 128  # connections that may wait to be accepted
_RECEIVE_BUFFER = 1 << 22  # bytes asked of the system for each line
_LARGEST = 65_536  # no datagram is longer
_SO_TIMESTAMPING = 37  # of Linux; and the type of the ancillary data
_STAMPS = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6  # of what is received: by the card and by the kernel; report both
_TIMESPECS = struct.Struct("qqqqqq")  # (s, ns) of the kernel, of nobody, and of the card
_ANCILLARY = socket.CMSG_SPACE(_TIMESPECS.size)
_CARD_NS = 10_000_000  # a datagram is with the kernel sooner than this after the card had it
_IP_MULTICAST_ALL = 49  # of Linux; 0: not what another process of this machine has joined on another interface


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


class System:
    """What exchange and trader ask of the system: clocks, sockets that do not block, stamps of what comes, and waiting.

    A simulation brings another one, whose sockets have the methods that are used of these.

    clock      : monotonic ns
    wall_clock : ns since 1970, the clock of the stamps on what is received; None where these are not to be looked at, which is
                 the default beside a clock that is not the system's
    """

    def __init__(self, clock: Callable[[], int] | None = None, wall_clock: Callable[[], int] | None = None) -> None:
        self.clock = clock or time.monotonic_ns
        self.wall_clock = wall_clock or (None if clock else time.time_ns)

    def receive(self, opened: socket.socket) -> tuple[bytes, Any, int | None]:
        """The next datagram, whose it is, and when it came by `wall_clock`, None if unknown. raises : OSError if none waits"""
        datagram, ancillary, _, peer = opened.recvmsg(_LARGEST, _ANCILLARY if self.wall_clock else 0)
        return datagram, peer, arrival_stamp(ancillary)

    def destination(self, address: Address, what: str) -> Address:
        """Where a line goes to: a multicast group with port 0 gets a free port. raises : ConfigError for a port 0 elsewhere"""
        if address.port:
            return address
        if not address.multicast:
            raise ConfigError(f"{what} must have a port above 0 (0 is for multicast groups alone), got {address}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("", 0))
            return address._replace(port=probe.getsockname()[1])

    def sender(self, interface: str) -> socket.socket:
        """For datagrams to anywhere; multicast leaves by the interface with this address. raises : ConfigError"""
        host = Address.parse(f"{interface}:0", "interface").host
        with _opening(socket.SOCK_DGRAM, f"interface {interface}") as out:
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
            out.setsockopt(
                socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, struct.pack("b", 0 if IPv4Address(host).is_loopback else 1)
            )
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        return out

    def listener(self, address: Address, interface: str) -> socket.socket:
        """For what is sent to an address, a multicast group joined on one interface. raises : ConfigError"""
        with _opening(socket.SOCK_DGRAM, f"line {address}: cannot be listened to") as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            stamp(opened)
            if address.multicast:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            if address.multicast:
                group = struct.pack("4s4s", socket.inet_aton(address.host), socket.inet_aton(interface))
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
                opened.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        return opened

    def datagrams(self, address: Address, what: str) -> socket.socket:
        """For datagrams to and from an address of ours. raises : ConfigError"""
        with _opening(socket.SOCK_DGRAM, f"{what} {address}: cannot be bound") as opened:
            opened.bind(address)
        return opened

    def towards(self, server: Address, what: str) -> socket.socket:
        """For datagrams to a server and its answers, at that address of ours from which it is reached. raises : ConfigError"""
        with _opening(socket.SOCK_DGRAM, f"{what} {server}: cannot be reached") as probe, probe:
            probe.connect(server)
            opened = self.datagrams(Address(probe.getsockname()[0], 0), what)
        stamp(opened)
        return opened

    def server(self, address: Address, what: str) -> socket.socket:
        """For connections to an address of ours. raises : ConfigError"""
        with _opening(socket.SOCK_STREAM, f"{what} {address}: cannot be bound") as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            opened.listen(_BACKLOG)
        return opened

    def client(self) -> socket.socket:
        """For one connection to somewhere."""
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def selector(self) -> BaseSelector:
        """Waits for any of these sockets."""
        return DefaultSelector()

    def open(self, path: str | os.PathLike[str]) -> int:
        """A file to append to, for `write` and `close`. raises : OSError, as these do"""
        # A pipe that nobody reads is an error, not a wait.
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)

    def read(self, path: str | os.PathLike[str]) -> bytes:
        """All of a file, nothing where there is none. raises : OSError for another reason"""
        with suppress(FileNotFoundError), open(path, "rb") as file:
            return file.read()
        return b""

    def write(self, file: int, data: bytes | bytearray) -> int:
        """Append some of the data; returns how many bytes."""
        return os.write(file, data)

    def close(self, file: int) -> None:
        """Close it."""
        os.close(file)


@contextmanager
def _opening(kind: socket.SocketKind, failed: str) -> Iterator[socket.socket]:
    """A socket that does not block, to be set up; what the system refuses closes it. raises : ConfigError, `failed` and why"""
    opened = socket.socket(socket.AF_INET, kind)
    try:
        opened.setblocking(False)
        yield opened
    except OSError as error:
        opened.close()
        raise ConfigError(f"{failed}: {error.strerror}") from None


def stamp(opened: socket.socket) -> None:
    """Have the system stamp what comes, where it can: no stamp is met with None, see `arrival_stamp`."""
    with suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _STAMPS)


def arrival_stamp(ancillary: Iterable[tuple[int, int, bytes]]) -> int | None:
    """When a datagram came, ns since 1970: the card's stamp, if its clock keeps to the system's (phc2sys), else the kernel's.

    ancillary : as `recvmsg` gives it; None without a stamp in it
    """
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPING) and len(data) >= _TIMESPECS.size:
            seconds, ns, *_, card_seconds, card_ns = _TIMESPECS.unpack_from(data)
            kernel, card = seconds * 1_000_000_000 + ns, card_seconds * 1_000_000_000 + card_ns
            return card if card and 0 <= kernel - card < _CARD_NS else kernel or None
    return None


def address_of(opened: socket.socket | None) -> str:
    """HOST:PORT of a bound socket."""
    return str(Address(*opened.getsockname())) if opened else ""


class Loop:
    """Waiting for several sockets: asleep in the selector, or spinning, where every socket is tried each turn.

    numbered : sockets whose numbers `wait` gives; one more, which comes and goes, only wakes it; spin : never sleep
    """

    def __init__(self, numbered: Mapping[int, socket.socket], selector: BaseSelector, *, spin: bool = False) -> None:
        self.spin, self._numbers, self._selector = spin, list(numbered), selector
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
