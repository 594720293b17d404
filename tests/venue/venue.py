"""A real exchange of a test and those who come to it: clients of its orders, listeners to its lines."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from hftlab.feeds.itch import ItchFeed
from hftlab.net import Exchange, ExchangeSettings, TraderSettings
from hftlab.net.endpoints import System
from hftlab.net.exchange.audit import SessionState
from venue.client import Client
from venue.feeds import SMALL
from venue.waiting import wait_until

ACCOUNTS = {"ME": "SECRET", "YOU": "HIDDEN"}


class Venue:
    """Exchanges, clients and listeners of one test; all are closed when it ends."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.clients: list[Client] = []
        self.listeners: list[Listener] = []

    def open(self, feed: bytes = SMALL, *, state: SessionState | None = None, **more: Any) -> Exchange:
        """A started exchange; what is not a setting is an argument of `Exchange`."""
        given = {"system": System(more.pop("clock", None))}
        values = {"pace": "max", "heartbeat_after_end_s": 600, "end_repeat_s": 0.05, "heartbeat_s": 0.05, "session": "DAY1"}
        return self.start(
            Exchange(ItchFeed(feed), ACCOUNTS, ExchangeSettings.on_free_ports(**{**values, **more}), state=state, **given)
        )

    def start(self, exchange: Exchange) -> Exchange:
        self.exchanges.append(exchange)
        exchange.start()
        return exchange

    @property
    def exchange(self) -> Exchange:
        """The latest."""
        return self.exchanges[-1]

    @property
    def closed(self) -> dict[str, int]:
        """Closed connections by reason."""
        return dict(self.exchange.summary()["connections"]["closed"])

    def connect(self, **more: Any) -> Client:
        """A client that has said nothing yet."""
        self.clients.append(client := Client(self.exchange.addresses["orders"], **more))
        return client

    def client(self, name: str = "ME", **login: Any) -> Client:
        """A client that is logged in."""
        client = self.connect()
        client.login(name, ACCOUNTS[name], **login)
        self.until(lambda: client.session is not None)
        return client

    def trader(self, **more: Any) -> TraderSettings:
        """Of a trader that finds this exchange, as ME."""
        place = self.exchange.addresses
        found = {name: place[name] for name in ("orders", "requests", "snapshots")}
        return TraderSettings((place["line_a"], place["line_b"]), **found, username="ME", password=ACCOUNTS["ME"], **more)

    def listener(self) -> Listener:
        self.listeners.append(listener := Listener(self.exchange.addresses))
        return listener

    def turn(self, timeout: float = 0.0) -> None:
        """Each does what it can."""
        self.exchange.poll(timeout)
        for other in (*self.clients, *self.listeners):
            other.pump()

    def until(self, true: Callable[[], object]) -> None:
        wait_until(true, lambda: self.turn(0.002), lambda: [client.letters for client in self.clients])

    def until_letters(self, client: Client, letters: str) -> None:
        self.until(lambda: len(client.letters) >= len(letters))
        assert client.letters == letters

    def close(self) -> None:
        for other in (*self.clients, *self.listeners):
            other.close()
        for exchange in self.exchanges:
            exchange.crash()


class Listener:
    """MoldUDP64 from the specification: two lines, requests for what is missing, no cleverness.

    messages : framed, by number; next : the highest next number heard of; beats, ended : heartbeats and ends of session heard
    """

    def __init__(self, addresses: dict[str, Any]) -> None:
        self.lines = [_listen(addresses[name]) for name in ("line_a", "line_b")]
        self.asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        host, port = addresses["requests"].split(":")
        self.asking.connect((host, int(port)))
        self.asking.setblocking(False)
        self.messages: dict[int, bytes] = {}
        self.session, self.next, self.ended, self.beats = b"", 1, 0, 0

    def pump(self) -> None:
        for opened in (*self.lines, self.asking):
            try:
                while True:
                    self._take(opened.recv(65_536))
            except BlockingIOError:
                pass

    def ask(self, sequence: int, count: int = 1) -> None:
        self.asking.send(struct.pack(">10sQH", self.session or b"DAY1      ", sequence, count))

    def ask_for_missing(self) -> None:
        for number in [number for number in range(1, self.next) if number not in self.messages][:50]:
            self.ask(number)

    def whole(self, count: int) -> bytes:
        return b"".join(self.messages[number] for number in range(1, count + 1))

    def _take(self, datagram: bytes) -> None:
        self.session, sequence, count = struct.unpack_from(">10sQH", datagram)
        self.next = max(self.next, sequence)
        if count in (0, 0xFFFF):
            self.beats, self.ended = self.beats + (not count), self.ended + bool(count)
            assert len(datagram) == 20
            return
        at = 20
        for number in range(sequence, sequence + count):
            (size,) = struct.unpack_from(">H", datagram, at)
            self.messages[number] = datagram[at : at + 2 + size]
            at += 2 + size
        assert at == len(datagram) <= 20 + 1400
        self.next = max(self.next, sequence + count)

    def close(self) -> None:
        for opened in (*self.lines, self.asking):
            opened.close()


def _listen(address: str) -> socket.socket:
    host, port = address.split(":")
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    opened.bind((host, int(port)))
    if not host.startswith("127."):
        member = socket.inet_aton(host) + socket.inet_aton("127.0.0.1")
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    opened.setblocking(False)
    return opened
