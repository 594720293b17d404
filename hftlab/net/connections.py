"""TCP connections of the exchange: bytes between sockets and the order desk, nothing else.

A connection is read once a round, a few orders at most, so that a flood of one does not hold up the others; one that has used up
its rate is not read at all for a while, and TCP slows its client down. A closed one gets what it is still to be sent, then its
end, and a second to hang up.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector

from hftlab.net.exchange.desk import Desk, Port
from hftlab.protocols.pacing import SECOND_NS, Bucket

_RECEIVE = 4096  # bytes of one read
_SEND_BUFFER = 1 << 18  # bytes that the system keeps for a slow reader, before we do
_ACCEPTS = 16  # new connections of one round
_WRITES = 4  # pieces written to one connection in one round
HANG_UP_NS = SECOND_NS  # for a closed connection's last bytes, and for its client to close


class Wire:
    """One connection. pending : bytes that the socket did not take yet; deadline_ns : when a closed one is dropped."""

    def __init__(self, link: socket.socket, port: Port) -> None:
        self.link, self.port = link, port
        self.pending = b""
        self.deadline_ns: int | None = None
        self.shut = False
        self.interest = EVENT_READ


class Wires:
    """All connections, at most `most` at a time.

    counts : connections, refused (too many at once)
    """

    def __init__(
        self, listener: socket.socket, selector: BaseSelector, desk: Desk, *, most: int, rate: float, burst: int
    ) -> None:
        self.listener, self.selector, self.desk, self.most = listener, selector, desk, most
        self.rate, self.burst = rate, burst
        self.counts: Counter[str] = Counter()
        self.wires: set[Wire] = set()
        selector.register(listener, EVENT_READ, self)

    def accept(self, now_ns: int) -> None:
        """Take the connections that wait."""
        before = set(self.wires)
        for _ in range(_ACCEPTS):
            try:
                link, peer = self.listener.accept()
            except OSError:  # none is left, it has gone already, or there are no file descriptors: the next round tries again
                return
            if len(self.wires) >= self.most and not self._make_room(before, now_ns):
                self.counts["refused"] += 1
                link.close()
                continue
            self.counts["connections"] += 1
            link.setblocking(False)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            wire = Wire(link, self.desk.connect(f"{peer[0]}:{peer[1]}", Bucket(self.rate, self.burst), now_ns))
            self.wires.add(wire)
            self.selector.register(link, EVENT_READ, wire)

    def readable(self, wire: Wire, now_ns: int) -> None:
        """Read one piece and hand it over."""
        try:
            data = wire.link.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            wire.port.lost(f"reset: {error.strerror}")
            data = b""
        if wire.port.closed:  # what a closed connection still sends is not looked at
            if not data:
                self._drop(wire, now_ns)
        elif data:
            self.desk.received(wire.port, data, now_ns)
        else:
            wire.port.lost("lost: the client hung up")
            self._drop(wire, now_ns)

    def due(self, now_ns: int) -> None:
        """Let time pass: orders that expire, heartbeats, silence, and connections whose end has come."""
        self.desk.tick(now_ns)
        for wire in list(self.wires):
            self.desk.due(wire.port, now_ns)
            if wire.deadline_ns is not None and now_ns >= wire.deadline_ns:
                self._drop(wire, now_ns)

    def send(self, now_ns: int) -> None:
        """Write what each connection is to be told, as far as its socket takes it."""
        for wire in list(self.wires):
            try:
                self._write(wire)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                wire.port.lost(f"reset: {error.strerror}")
                self._drop(wire, now_ns)
                continue
            self._after(wire, now_ns)

    def close(self, now_ns: int, *, reset: bool = False) -> None:
        """Close every connection and the listener; with `reset` by a TCP reset, as a machine that fails does."""
        for wire in list(self.wires):
            if reset:
                wire.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.port.lost("end of session: the exchange stopped")
            self._drop(wire, now_ns)
        self.selector.unregister(self.listener)
        self.listener.close()

    @property
    def busy(self) -> bool:
        """Whether a connection is left that is still to be told something."""
        return any(wire.port.account or wire.pending for wire in self.wires)

    def _make_room(self, before: set[Wire], now_ns: int) -> bool:
        """Drop a connection that is closed, or the oldest without a login, so that those do not keep others out.

        before : who was there when this round began; a newcomer is read once before it may have to go
        """
        useless = [wire for wire in before & self.wires if wire.port.closed or not wire.port.account]
        if not useless:
            return False
        wire = min(useless, key=lambda one: (not one.port.closed, one.port.number))
        wire.port.lost("made room: no login, and another connection came")
        self._drop(wire, now_ns)
        return True

    def _write(self, wire: Wire) -> None:
        for _ in range(_WRITES):
            wire.pending = wire.pending or wire.port.outgoing()
            if not wire.pending:
                return
            wire.pending = wire.pending[wire.link.send(wire.pending) :]

    def _after(self, wire: Wire, now_ns: int) -> None:
        """What the socket is watched for from now on, and the end of a closed connection."""
        if wire.port.closed:
            self.desk.ended(wire.port, now_ns)
            wire.deadline_ns = wire.deadline_ns or now_ns + HANG_UP_NS
            if not wire.pending and not wire.shut:
                wire.shut = True
                try:
                    wire.link.shutdown(socket.SHUT_WR)
                except OSError:
                    self._drop(wire, now_ns)
                    return
        reads = wire.port.closed or wire.port.bucket.left(now_ns) > 0
        interest = (EVENT_READ if reads else 0) | (EVENT_WRITE if wire.pending else 0)
        if interest != wire.interest:
            if wire.interest:
                self.selector.unregister(wire.link)
            if interest:
                self.selector.register(wire.link, interest, wire)
            wire.interest = interest

    def _drop(self, wire: Wire, now_ns: int) -> None:
        self.wires.discard(wire)
        if wire.interest:
            self.selector.unregister(wire.link)
            wire.interest = 0
        wire.link.close()
        self.desk.ended(wire.port, now_ns)
