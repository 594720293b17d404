"""The market data side of the exchange: the publisher's datagrams onto two lines, and answers to requests for what was lost."""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any

from hftlab.feeds.feed import Feed
from hftlab.net import endpoints
from hftlab.net.endpoints import Address
from hftlab.net.exchange.kept import Resender
from hftlab.net.exchange.publisher import Publisher
from hftlab.net.exchange.settings import ExchangeSettings
from hftlab.protocols.lines import Line
from hftlab.protocols.pacing import SECOND_NS, Pace

_REQUESTS = 64  # answered in one round


class Broadcast:
    """Publisher, lines and request server of one session; `open` binds.

    lines   : "A" and "B"
    targets : where each goes to
    counts  : send_failed (datagrams the system did not take)
    """

    def __init__(self, feed: Feed, session: str, settings: ExchangeSettings) -> None:
        self.settings = settings
        self.publisher = Publisher(
            feed,
            session.ljust(10).encode(),
            Pace.parse(settings.pace),
            batch=settings.batch,
            keep=settings.retransmit_window,
            longest_lull_ns=settings.max_idle_gap_s * SECOND_NS,
            heartbeat_ns=int(settings.heartbeat_s * SECOND_NS),
        )
        self.resender = Resender(self.publisher.kept, self.publisher.session, rate=settings.retransmit_rate)
        self.lines = {name: Line(name, chance, settings.line_seed) for name, chance in zip("AB", settings.chances, strict=True)}
        self.targets: dict[str, Address] = {}
        self.counts: Counter[str] = Counter()
        self.requests: socket.socket | None = None
        self._sender: socket.socket | None = None

    def open(self) -> socket.socket:
        """Bind; returns the socket on which requests come. raises : ConfigError"""
        wanted = {"A": self.settings.line_a, "B": self.settings.line_b}
        for name, text in wanted.items():
            self.targets[name] = endpoints.destination(Address.parse(text, f"line {name}"), f"line {name}")
        self._sender = endpoints.sender(self.settings.interface)  # closed by `close`, whatever follows
        self.requests = endpoints.bound(socket.SOCK_DGRAM, Address.parse(self.settings.requests, "requests"), "requests")
        return self.requests

    def close(self) -> None:
        for made in (self._sender, self.requests):
            if made:
                made.close()

    def emit(self, data: bytes) -> None:
        """One datagram onto both lines."""
        for name, line in self.lines.items():
            for arriving in line.carry(data):
                self._send(arriving, self.targets[name])

    def beat(self, now_ns: int, *, ending: bool) -> None:
        """A heartbeat, or the end of the session again, if nothing has left for a while; what a line holds back goes first."""
        beat = self.publisher.end_again(now_ns) if ending else self.publisher.beat(now_ns)
        if beat:
            for name, line in self.lines.items():
                for held in line.flush():
                    self._send(held, self.targets[name])
            self.emit(beat)

    def answer(self, now_ns: int) -> None:
        """The requests that wait, a bounded number of them."""
        assert self.requests is not None
        for _ in range(_REQUESTS):
            try:
                request, peer = self.requests.recvfrom(64)
                if answer := self.resender.answer(request, now_ns):
                    self.requests.sendto(answer, peer)
            except OSError:  # nothing waits, or the answer was not taken: the client will ask again
                return

    def summary(self) -> dict[str, Any]:
        lag = self.publisher.lags()
        late = {"p50": int(lag.quantile(0.5)), "p99": int(lag.quantile(0.99)), "max": int(lag.max)} if lag.n else {}
        return {
            "published": dict(self.publisher.counts),
            "lag_ns": late,
            "lulls_cut": self.publisher.schedule.lulls_cut,
            "lines": {name: dict(line.counts) for name, line in self.lines.items()},
            "send_failed": self.counts["send_failed"],
            "resent": dict(self.resender.counts),
            "feed_error": str(self.publisher.error or ""),
        }

    def _send(self, data: bytes, target: Address) -> None:
        assert self._sender is not None
        try:
            self._sender.sendto(data, target)
        except OSError:  # full buffers lose a datagram as a network does; the listener asks for it again
            self.counts["send_failed"] += 1
