"""Lines captured to pcap, and captures put on lines again: files that tcpdump and Wireshark read, or have written.

What is captured is what comes to a socket, so it needs no rights; the frames around it are made here, the time is the kernel's.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import BinaryIO

from hftlab.errors import ConfigError, OutputError, check_range
from hftlab.feeds.pcap import datagrams, frames
from hftlab.feeds.source import Source
from hftlab.net.endpoints import LINE_A, LINE_B, LOOPBACK, Address, Loop, System
from hftlab.protocols.moldudp64 import END, HEADER

_FILE = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 1)  # nanoseconds, version 2.4, Ethernet
_RECORD, _IP, _UDP = struct.Struct("<IIII"), struct.Struct(">BBHHHBBH4s4s"), struct.Struct(">HHHH")
_SECOND_NS = 1_000_000_000
_WAIT_S = 0.05  # between two looks at whether to go on
_BURST = 256  # datagrams taken from one line before the others have their turn


class PcapWriter:
    """A capture of UDP datagrams, classic pcap with times in nanoseconds. raises : OutputError where it cannot be written"""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        try:
            self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by `close`
            self._file.write(_FILE)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None

    def write(self, ts_ns: int, source: Address, target: Address, payload: bytes) -> None:
        """One datagram. ts_ns : when it was received, since 1970"""
        data = frame(source, target, payload)
        try:
            self._file.write(_RECORD.pack(*divmod(ts_ns, _SECOND_NS), len(data), len(data)) + data)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def close(self) -> None:
        """Write what is buffered, and close."""
        self._file.close()


def frame(source: Address, target: Address, payload: bytes) -> bytes:
    """A datagram in UDP, IPv4 and Ethernet; the hardware addresses are made up but for those of multicast (RFC 1112)."""
    ends = socket.inet_aton(source.host), socket.inet_aton(target.host)
    group = int.from_bytes(ends[1], "big") & 0x7FFFFF
    hardware = b"\x01\x00\x5e" + group.to_bytes(3, "big") if target.multicast else b"\x02\x00" + ends[1]
    header = (0x45, 0, _IP.size + _UDP.size + len(payload), 0, 0x4000, 1, 17)
    checksum = _checksum(_IP.pack(*header, 0, *ends))
    udp = _UDP.pack(source.port, target.port, _UDP.size + len(payload), 0)  # a checksum of 0 is none
    return hardware + b"\x02\x00" + ends[0] + b"\x08\x00" + _IP.pack(*header, checksum, *ends) + udp + payload


def _checksum(header: bytes) -> int:
    """Of an IPv4 header (RFC 1071)."""
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def capture_lines(
    path: str,
    lines: tuple[str, ...] = (LINE_A, LINE_B),
    *,
    interface: str = LOOPBACK,
    seconds: float | None = None,
    going: Callable[[], bool] = lambda: True,
) -> Counter[str]:
    """Write what comes on lines into a capture, until the session has ended on one of them and the others are quiet.

    path      : the file, pcap with nanoseconds
    lines     : what to listen to, HOST:PORT
    interface : multicast groups are joined on the interface with this address
    seconds   : end after so long in any case, seconds; default never
    going     : asked now and then whether to go on
    returns   : datagrams by line
    raises    : ConfigError for an address; OutputError
    """
    check_range("seconds", seconds if seconds is not None else 1.0, 0.001, None, "s")
    system, counts, places = System(), Counter[str](), [Address.parse(text, "line") for text in lines]
    with ExitStack() as stack:
        writer = PcapWriter(path)
        stack.callback(writer.close)
        opened = [stack.enter_context(system.listener(place, interface)) for place in places]
        loop = Loop(dict(enumerate(opened)), system.selector())
        stack.callback(loop.close)
        until_ns = None if seconds is None else system.clock() + int(seconds * _SECOND_NS)
        ended = False
        while going() and (until_ns is None or system.clock() < until_ns):
            came = [record for number in loop.wait(_WAIT_S) for record in _take(system, opened[number], number)]
            if ended and not came:  # the other lines may lie behind, in the kernel or on their way
                break
            for ts_ns, number, peer, datagram in sorted(came):  # a capture is in the order of time, not of lines
                writer.write(ts_ns, peer, places[number], datagram)
                counts[lines[number]] += 1
                ended = ended or (len(datagram) == HEADER.size and HEADER.unpack(datagram)[2] == END)
    return counts


def _take(system: System, opened: socket.socket, number: int) -> Iterator[tuple[int, int, Address, bytes]]:
    """What waits on one line, a burst at most: when it came, the line, whose it is, the datagram."""
    for _ in range(_BURST):
        try:
            datagram, peer, stamp_ns = system.receive(opened)
        except OSError:  # nothing waits
            return
        yield time.time_ns() if stamp_ns is None else stamp_ns, number, Address(*peer), datagram


def replay_capture(
    path: str,
    lines: tuple[str, ...] = (LINE_A, LINE_B),
    *,
    interface: str = LOOPBACK,
    speed: float = 1.0,
    going: Callable[[], bool] = lambda: True,
) -> Counter[str]:
    """Put the datagrams of a capture on lines again, as they are and in its own time, its lines as they appear.

    path      : the capture, pcap or pcapng
    lines     : where they go to, HOST:PORT
    interface : multicast leaves by the interface with this address
    speed     : times as fast as they were captured, above 0
    going     : asked before each whether to go on
    returns   : datagrams by line, those of further lines of the capture under "left out"; what was no datagram, by what it was
    raises    : FeedError for what is no capture; ConfigError for an address
    """
    check_range("speed", speed, 1e-6, 1e9)
    system, counts, skipped = System(), Counter[str](), Counter[str]()
    places = [system.destination(Address.parse(text, "line"), "line") for text in lines]
    if not places:
        raise ConfigError("lines must be one or more, got none")
    source = Source(path)
    found: dict[bytes, int] = {}
    first_ns, begun_ns = None, system.clock()
    with system.sender(interface) as out:
        for datagram in datagrams(frames(source.blocks(), source.name), skipped):
            first_ns = datagram.ts_ns if first_ns is None else first_ns
            number = found.setdefault(datagram.line, len(found))
            if number >= len(places):
                counts["left out"] += 1
                continue
            if not _wait(system, begun_ns + int((datagram.ts_ns - first_ns) / speed), going):
                break
            out.sendto(datagram.payload, places[number])
            counts[lines[number]] += 1
    return counts + skipped


def _wait(system: System, due_ns: int, going: Callable[[], bool]) -> bool:
    """Until it is time; whether to go on."""
    while going():
        left_ns = due_ns - system.clock()
        if left_ns <= 0:
            return True
        if left_ns > 2_000_000:  # the last stretch is spent looking: the system wakes nobody that exactly
            time.sleep(min(_WAIT_S, left_ns / _SECOND_NS - 0.001))
    return False
