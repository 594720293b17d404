"""A fake exchange: a few sockets that do as the test says, so that it can misbehave; and a trader driven against it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hftlab.engine.live import LiveSession
from hftlab.net import Trader, TraderSettings
from hftlab.protocols import moldudp64, ouch, soupbintcp
from hftlab.settings import OrderConfig, RiskConfig
from venue.waiting import wait_until

#: An engine that sends an order every few messages.
EAGER: dict[str, Any] = {
    "order_config": OrderConfig(threshold=0.1, cooldown=2),
    "risk_config": RiskConfig(position_limit=500, max_orders_per_sec=10_000),
}
FEED_SESSION = b"FEED000001"
PASSWORD = "S3CR3TPASS"
_QUICK = {
    "reconnect_ms": 10.0, "max_backoff_ms": 80.0, "resync_timeout_ms": 60.0, "gap_timeout_ms": 1.0,
    "request_interval_ms": 10.0, "shutdown_timeout_ms": 30.0, "max_age_ms": 60_000.0,
}  # fmt: skip


class FakeExchange:
    """Sockets on loopback; by default an order is received and nothing is said of it.

    executes : what is said to an order; accepts : whether logins are; queries : whether account queries are answered
    next_ref : what queries are answered with, None for one more than the highest order that came
    skips    : messages that the next answer to a login leaves out
    behind   : bytes that follow the next answer to a login, in the same piece
    kept     : messages of the feed that can be requested
    """

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.tcp.setblocking(False)
        self.udp, self.asked = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.asked.bind(("127.0.0.1", 0))
        self.asked.setblocking(False)
        self.link: socket.socket | None = None
        self.framer = soupbintcp.Framer()
        self.logins: list[soupbintcp.Login] = []
        self.inbound: list[bytes] = []
        self.stream: list[bytes] = []
        self.session, self.accepts, self.queries, self.behind = "ORDERS0001", True, True, b""
        self.skips = 0
        self.next_ref: int | None = None
        self.executes: Callable[[ouch.EnterOrder], list[ouch.Message]] = lambda _: []
        self.kept: list[bytes] = []
        self.requests: list[moldudp64.Request] = []
        self.targets: list[tuple[str, int]] = []

    def settings(self, *, requests: bool = False, **more: Any) -> TraderSettings:
        """Of a trader that finds this exchange. requests : whether it may request lost messages"""
        place = {"orders": "{}:{}".format(*self.tcp.getsockname()), "password": PASSWORD}
        place["requests"] = "{}:{}".format(*self.asked.getsockname()) if requests else ""
        return TraderSettings(**{"lines": ("127.0.0.1:0", "127.0.0.1:0"), **place, **_QUICK, **more})

    def publish(self, messages: list[bytes], sequence: int, session: bytes = FEED_SESSION) -> None:
        for datagram in moldudp64.pack(session, sequence, messages):
            self.send(datagram)

    def send(self, datagram: bytes) -> None:
        """A datagram on both lines."""
        for target in self.targets:
            self.udp.sendto(datagram, target)

    def say(self, *messages: ouch.Message) -> None:
        """Sequenced messages, kept for those that come back."""
        for message in messages:
            self.stream.append(message.encode())
            if self.link:
                self.raw(soupbintcp.packet(b"S", message.encode()))

    def raw(self, data: bytes) -> None:
        assert self.link is not None
        self.link.sendall(data)

    def reset(self) -> None:
        """Break the order connection as a machine that fails does."""
        assert self.link is not None
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.close()
        self.link = None

    def pump(self) -> None:
        """Everything that has come."""
        if self.tcp.fileno() < 0:
            return
        for step in (self._accept, self._read, self._answer):
            with suppress(BlockingIOError):
                step()

    @property
    def orders(self) -> list[ouch.EnterOrder]:
        messages = [ouch.decode_inbound(payload) for payload in self.inbound]
        return [message for message in messages if isinstance(message, ouch.EnterOrder)]

    @property
    def cancels(self) -> list[int]:
        return [int.from_bytes(payload[1:5], "big") for payload in self.inbound if payload[:1] == b"X"]

    def close(self) -> None:
        for opened in (self.tcp, self.udp, self.asked, self.link):
            if opened:
                opened.close()

    def _accept(self) -> None:
        link, _ = self.tcp.accept()
        if self.link:
            self.link.close()
        self.link, self.framer = link, soupbintcp.Framer()
        self.link.setblocking(False)

    def _read(self) -> None:
        try:
            while self.link and (data := self.link.recv(65_536)):
                for kind, payload in self.framer.feed(data):
                    self._packet(kind, payload)
        except ConnectionError:
            self.link = None

    def _answer(self) -> None:
        while True:
            request, peer = self.asked.recvfrom(100)
            self.requests.append(wanted := moldudp64.decode_request(request))
            if answer := self.kept[wanted.sequence - 1 : wanted.sequence - 1 + min(wanted.count, 30)]:
                self.asked.sendto(moldudp64.encode(wanted.session, wanted.sequence, answer), peer)

    def _packet(self, kind: bytes, payload: bytes) -> None:
        if kind == b"L":
            self.logins.append(login := soupbintcp.decode_login(payload))
            if not self.accepts:
                self.raw(soupbintcp.rejected("A"))
                return
            sequence, self.skips = login.sequence + self.skips, 0
            self.raw(soupbintcp.accepted(self.session, sequence) + self.behind)
            self.behind = b""
            for message in self.stream[sequence - 1 :]:
                self.raw(soupbintcp.packet(b"S", message))
        elif kind == b"U":
            self.inbound.append(payload)
            message = ouch.decode_inbound(payload)
            if isinstance(message, ouch.AccountQuery) and self.queries:
                highest = max((order.user_ref for order in self.orders), default=0)
                self.say(ouch.AccountQueryResponse(0, self.next_ref or highest + 1))
            elif isinstance(message, ouch.EnterOrder):
                self.say(*self.executes(message))


class Duo:
    """A trader and the fake exchange it talks to, taking turns."""

    def __init__(self, exchange: FakeExchange, settings: TraderSettings, backend: str = "python", **options: Any) -> None:
        self.exchange, self.trader = exchange, Trader(settings, backend, **{**EAGER, **options})
        lines = self.trader.start()["lines"]
        exchange.targets = [(host, int(port)) for host, _, port in (line.partition(":") for line in lines)]

    def turn(self) -> bool:
        going = self.trader.poll(0.002)
        self.exchange.pump()
        return going

    def until(self, true: Callable[[], object]) -> None:
        trader = self.trader
        wait_until(true, self.turn, lambda: f"{trader.held}, {trader.gateway.state}, {trader.feed.arbiter.counts}")

    def ready(self) -> None:
        self.until(lambda: self.trader.gateway.ready)

    def feed(self, messages: list[bytes], sequence: int = 1, **more: Any) -> None:
        """Publish in small pieces, and wait until all has been run."""
        for at in range(0, len(messages), 40):
            piece = messages[at : at + 40]
            self.exchange.publish(piece, sequence + at, **more)
            upto = sequence + at + len(piece)
            self.until(lambda: self.trader.feed.arbiter.expected >= upto)  # noqa: B023 - called at once

    def settle(self) -> None:
        """Until everything that was sent has arrived at the other side: what left is what came, what was said was heard."""
        self.until(lambda: not self.trader.gateway.pending and len(self.exchange.orders) == self.trader.times["total"].n)
        self.until(lambda: self.trader.gateway.client.next == len(self.exchange.stream) + 1)

    def trade(self, messages: list[bytes], sequence: int = 1) -> int:
        """Feed, and settle; the number of orders that have left so far, some at least."""
        self.feed(messages, sequence)
        self.settle()
        assert len(self.exchange.orders) > 5
        return len(self.exchange.orders)

    def damage(self, messages: list[bytes], at: int) -> int:
        """From here on, the next message that changes a book comes unreadable; the session is requested anew from its first."""
        bad, before = next(n for n in range(at, len(messages)) if messages[n][:1] in (b"A", b"D", b"E")), self.trader.restarts
        self.feed(messages[at:bad], at + 1)
        self.exchange.publish([messages[bad][:15]], bad + 1)
        self.until(lambda: self.trader.restarts > before)
        return bad + 1


def accepted(order: ouch.EnterOrder) -> list[ouch.Message]:
    terms = {name: getattr(order, name) for name in order.CODES}
    return [ouch.Accepted(ts_ns=0, order_reference=order.user_ref, **terms)]


def filled(order: ouch.EnterOrder) -> list[ouch.Message]:
    return [*accepted(order), ouch.Executed(0, order.user_ref, order.quantity, order.price, "R", order.user_ref)]


def canceled(order: ouch.EnterOrder) -> list[ouch.Message]:
    return [*accepted(order), ouch.Canceled(0, order.user_ref, order.quantity, "I")]


def books(live: LiveSession) -> list[Any]:
    return [live.book(instrument) for instrument in sorted(live.names)]


def whole(messages: list[bytes]) -> LiveSession:
    """An engine after all of these messages."""
    live = LiveSession("python")
    live.feed(b"".join(map(moldudp64.frame, messages)))
    return live
