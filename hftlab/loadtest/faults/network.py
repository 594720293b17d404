"""A network in one process, on a clock of its own: sockets that keep nobody waiting, and everything that can happen under way.

    host = Host(network, "trader")      a machine: it gives out sockets, as `hftlab.net.endpoints.System` does, and keeps files
    network.at(ns, call)                something that happens then; `network.run()` goes from one event to the next

Times are whole nanoseconds, and chance is drawn from one seed, so the same seed gives the same bytes at the same times. The real
exchange and the real trader run on it; they cannot tell the difference, but for what they ask of a socket and is not here.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any
from zlib import crc32

from hftlab.loadtest.faults.sockets import Listener, Port, Selector, Stream
from hftlab.net.endpoints import Address, System

MS_NS = 1_000_000
_START_NS = 1_000_000_000_000
_LATENCY_NS, _JITTER_NS = 20_000, 10_000
_EPOCH_NS = 1_800_000_000_000_000_000  # what the wall clock says at the beginning

#: What becomes of a datagram: how much later than usual each copy of it comes, ns, and its bytes.
Fate = Callable[[bytes], list[tuple[int, bytes]]]


class Link:
    """One way through the network, and what goes wrong on it now.

    latency_ns : of what nothing happens to
    fates    : of the datagrams, by the number of the fault
    stall_ns : nothing of a stream arrives before this
    cut      : a stream breaks in the middle of the next frame that begins with this, length left out; b"" : of none
    alter    : what is done to the bytes of a stream on their way
    swallow  : connections are made, and nothing passes either way
    counts   : what was sent, and what was done to it
    """

    def __init__(self, latency_ns: int) -> None:
        self.latency_ns = latency_ns
        self.fates: dict[int, Fate] = {}
        self.stall_ns = 0
        self.cut = b""
        self.alter: Callable[[bytes], bytes] | None = None
        self.swallow = False
        self.counts: Counter[str] = Counter()

    def carry(self, data: bytes) -> list[tuple[int, bytes]]:
        """How much later than usual each copy of a datagram comes, and what it is by then."""
        copies = [(0, data)]
        for fate in self.fates.values():
            copies = [(late + more, bytes) for late, copy in copies for more, bytes in fate(copy)]
        return copies


class Network:
    """Time, everything under way, and who listens where.

    now   : ns; trace : a checksum of all that has arrived, and when
    ports : what is bound, by address; several for a multicast group
    links : by name: A, B (lines), requests, answers, up, down (order connection of the trader), other
    names : the name of the link to an address
    """

    def __init__(self, seed: int = 0) -> None:
        self.now, self.trace = _START_NS, 0
        random = Random(seed)
        self.ports: dict[Address, list[Any]] = {}
        names = ("A", "B", "requests", "answers", "up", "down", "other")
        self.links = {name: Link(_LATENCY_NS + random.randrange(_JITTER_NS)) for name in names}
        if seed % 2:  # then both lines come at the same time
            self.links["B"].latency_ns = self.links["A"].latency_ns
        self.names: dict[Address, str] = {}
        self.free_port = 40_000
        self._agenda: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, ns: int, call: Callable[..., object], *args: Any) -> None:
        """Call it then, or at once if that is over; what is due together comes in the order in which it was asked for."""
        self._number += 1
        heappush(self._agenda, (ns if ns > self.now else self.now, self._number, call, args))

    def step(self) -> bool:
        """The next event; False if there is none."""
        if not self._agenda:
            return False
        self.now, _, call, args = heappop(self._agenda)
        call(*args)
        return True

    def arrived(self, data: bytes) -> None:
        """Note it down in the trace."""
        self.trace = crc32(data, self.trace ^ (self.now & 0xFFFFFFFF))

    def send_datagram(self, data: bytes, source: Address, target: Address) -> None:
        """One datagram to all that listen there."""
        link = self.links[self.names.get(target, "answers")]
        link.counts["sent"] += 1
        usual = self.now + link.latency_ns
        for late_ns, copy in link.carry(data) if link.fates else ((0, data),):
            self.at(usual + late_ns, self._deliver, copy, source, target)

    def _deliver(self, data: bytes, source: Address, target: Address) -> None:
        self.arrived(data)
        for port in self.ports.get(target, ()):
            port.take(data, source)


def _idle() -> None:
    """Of a host without a process."""


class Host(System):
    """A machine: clocks, sockets, files. A process that runs on it can be killed, and its files stay.

    paused     : its process does not run
    full       : nothing can be written any more
    ahead_ns   : how far its wall clock is wrong
    files      : their bytes, by path
    run        : lets the process do what it has to; returns when it wants to run again, ns, None if it is over
    """

    def __init__(self, network: Network, name: str) -> None:
        super().__init__(lambda: network.now, self.time_of_day)
        self.network, self.name = network, name
        self.paused = self.full = False
        self.ahead_ns = 0
        self.files: dict[str, bytearray] = {}
        self.run: Callable[[], int | None] = _idle
        self.sockets: list[Any] = []
        self._open: list[str] = []  # paths, by handle
        self._due_ns: int | None = None

    # Time -------------------------------------------------------------------------------------------------------------------

    def time_of_day(self) -> int:
        """What its wall clock says, ns since 1970."""
        return _EPOCH_NS + self.network.now + self.ahead_ns

    def wake(self, ns: int) -> None:
        """The process runs then, or before."""
        if self._due_ns is None or ns < self._due_ns:
            self._due_ns = ns
            self.network.at(ns, self._turn, ns)

    def resume(self) -> None:
        """It runs again."""
        self.paused = False
        self.wake(self.network.now)

    def _turn(self, due_ns: int) -> None:
        if due_ns != self._due_ns:
            return
        self._due_ns = None
        if self.paused:
            return
        if (again := self.run()) is None:
            self.run = _idle
        else:
            self.wake(max(again, self.network.now + 1))

    # Sockets ----------------------------------------------------------------------------------------------------------------

    def destination(self, address: Address, what: str) -> Address:
        return address

    def sender(self, interface: str) -> Any:
        return self._bound(Port(self, Address(interface, 0)))

    def listener(self, address: Address, interface: str) -> Any:
        return self._bound(Port(self, address))

    def datagrams(self, address: Address, what: str) -> Any:
        return self._bound(Port(self, address))

    def towards(self, server: Address, what: str) -> Any:
        return self._bound(Port(self, Address(server.host, 0)))

    def server(self, address: Address, what: str) -> Any:
        return self._bound(Listener(self, address))

    def client(self) -> Any:
        self.sockets.append(stream := Stream(self))
        return stream

    def receive(self, opened: Any) -> tuple[bytes, Any, int | None]:
        data, source = opened.recvfrom(0)
        return data, source, opened.stamp_ns

    def selector(self) -> Any:
        return Selector()

    def _bound(self, port: Any) -> Any:
        if not port.address.port:
            self.network.free_port += 1
            port.address = port.address._replace(port=self.network.free_port)
        self.network.ports.setdefault(port.address, []).append(port)
        self.sockets.append(port)
        return port

    def kill(self) -> None:
        """The process is gone, at once: its connections are reset, and what it had not written is lost."""
        self.run, self._due_ns, self.paused = _idle, None, False
        for opened in list(self.sockets):
            opened.reset()

    # Files ------------------------------------------------------------------------------------------------------------------

    def open(self, path: str | os.PathLike[str]) -> int:
        """A file to be appended to."""
        self.files.setdefault(str(path), bytearray())
        self._open.append(str(path))
        return len(self._open) - 1

    def write(self, file: int, data: bytes | bytearray) -> int:
        """Append to it; returns how many bytes were taken. raises : OSError on a disk that is full"""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.files[self._open[file]] += data
        return len(data)

    def close(self, file: int) -> None:
        """Nothing more is written."""

    def read(self, path: str | os.PathLike[str]) -> bytes:
        """All of a file, nothing where there is none."""
        return bytes(self.files.get(str(path), b""))
