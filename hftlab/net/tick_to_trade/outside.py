"""Tick-to-trade stamped outside: the kernel's stamps of the datagram that comes and of the frame with the order that leaves.

A tap (AF_PACKET) on the loopback interface sees both, each with the time at which the kernel had it. In a pass of its own two
times are taken of the same orders: that between these stamps, and what the trader says that it took. What the tap costs is in the
first.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hftlab.net.endpoints import System, arrival_stamp, stamp
from hftlab.net.tick_to_trade.scenario import Scenario, offsets
from hftlab.protocols.moldudp64 import HEADER

_ALL, _BUFFER_FORCE, _BUFFER = 0x0003, 33, 1 << 26  # ETH_P_ALL; SO_RCVBUFFORCE of Linux; bytes
_OUTGOING, _IPV4, _TCP, _UDP = 4, 0x0800, 6, 17
_SNAP = 512  # bytes of a frame that are looked at
_SESSION = b"WIRETOWIRE"  # of the measurement, in rust_ext/src/net/tick_to_trade
_ORDER = b"UO"  # an unsequenced packet of SoupBinTCP with an Enter Order in it
AGREE_SHARE, AGREE_NS = 0.05, 100.0


@dataclass(frozen=True)
class OutsideTime:
    """One path in a closed loop: of the same n orders, medians in ns.

    outside_ns : from the kernel's stamp of the tick's datagram to that of the frame with the order
    inside_ns  : in the trader, from the packet's bytes to the order's, raw
    """

    path: str
    n: int
    outside_ns: float
    inside_ns: float

    @property
    def agree(self) -> bool:
        """Within 5 % or 100 ns."""
        return abs(self.outside_ns - self.inside_ns) <= max(AGREE_NS, AGREE_SHARE * self.outside_ns)

    def describe(self) -> str:
        """Both, and which is believed."""
        outside, inside, kernel = (
            f"{ns / 1e3:,.2f} us" for ns in (self.outside_ns, self.inside_ns, self.outside_ns - self.inside_ns)
        )
        what = f"{self.path}: p50 of {self.n:,} orders by the kernel's stamps {outside}, in the trader {inside}"
        if self.agree:
            return f"{what}: they agree"
        why = "handing the datagram over and sending the order; for the wire the first is believed, for the engine the second"
        return f"{what}; the other {kernel} are the kernel's, {why}"


class Tap:
    """Frames of the loopback interface as they pass. raises : OSError without the right to see them (CAP_NET_RAW)"""

    def __init__(self) -> None:
        self._system = System()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, _BUFFER)
        stamp(self._socket)
        self._socket.bind(("lo", _ALL))
        self._socket.setblocking(False)

    def frames(self) -> Iterator[tuple[int, bool, bytes]]:
        """What has passed: when, whether it left (on loopback each frame leaves and comes), its bytes from the IPv4 header on."""
        while True:
            try:
                data, ancillary, _, place = self._socket.recvmsg(_SNAP, 128)
            except BlockingIOError:
                return
            at = arrival_stamp(ancillary)
            if at is not None and place[1] == _IPV4:
                yield at, place[2] == _OUTGOING, data[14:]

    def close(self) -> None:
        self._socket.close()


def pair_stamps(scenario: Scenario, frames: Iterator[tuple[int, bool, bytes]]) -> np.ndarray[Any, Any]:
    """(orders,) float64: ns from the stamp of the tick behind each order to that of the order; NaN where one was not seen."""
    ticks: dict[int, int] = {}
    orders: dict[int, int] = {}
    for at, left, packet in frames:
        body = _payload(packet)
        if not left and body.startswith(_SESSION) and len(body) > HEADER.size:
            ticks.setdefault(HEADER.unpack_from(body)[1], at)
        elif left and (place := body.find(_ORDER, 0, 4)) >= 0:
            orders.setdefault(struct.unpack_from(">I", body, place + 2)[0], at)
    starts = np.concatenate([[0], scenario.ends[:-1]])
    numbers = 1 + np.searchsorted(offsets(scenario.data), starts)[scenario.cause]  # of the first message of each causing packet
    pairs = ((orders.get(scenario.first + k), ticks.get(int(number))) for k, number in enumerate(numbers))
    return np.array([float("nan") if sent is None or came is None else float(sent - came) for sent, came in pairs])


def _payload(packet: bytes) -> bytes:
    """What UDP or TCP carries in an IPv4 packet; b"" for another protocol."""
    at = (packet[0] & 15) * 4
    if packet[9] == _UDP:
        return packet[at + 8 :]
    return packet[at + (packet[at + 12] >> 4) * 4 :] if packet[9] == _TCP and len(packet) > at + 12 else b""
