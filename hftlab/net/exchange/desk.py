"""The order desk: connections on one side, the matching engine on the other, and between them what each account has been told.

No sockets: bytes of a connection go in by `received`, what it is to be sent comes from its `Port.outgoing`. A second login of an
account takes over: the first connection is closed, as a peer whose end has broken away may not know it yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hftlab.errors import WireError
from hftlab.net.exchange.audit import Audit, told
from hftlab.net.exchange.ledger import Report
from hftlab.net.exchange.matching import Matcher
from hftlab.net.exchange.state import Told
from hftlab.protocols import ouch, soupbintcp
from hftlab.protocols.pacing import Bucket
from hftlab.protocols.soup_server import OPEN, Server

LONGEST = 1024  # the largest length field of a packet from a client: an order with every option needs less than half

#: Why a connection ended, in one word, by how the sentence begins. The first that fits counts.
REASONS = {
    "no login": "login_timeout",
    "nothing from the client": "silent",
    "slow reader": "slow_reader",
    "logged out": "logout",
    "end of session": "end_of_session",
    "SoupBinTCP login": "bad_login",
    "login of": "login_rejected",
    "SoupBinTCP": "bad_packet",
    "OUCH": "bad_message",
    "taken over": "taken_over",
    "told enough": "stream_full",
    "reset": "reset",
    "made room": "made_room",
}


class Port(Server):
    """One connection. bucket : how many messages it may still send; number, peer : for the log."""

    def __init__(self, desk: Desk, number: int, peer: str, bucket: Bucket, **limits: Any) -> None:
        super().__init__(desk.accounts, desk.session, (), limit=LONGEST, **limits)
        self.number, self.peer, self.bucket = number, peer, bucket
        self.account = ""  # once it is logged in
        self.seen = False  # that it is closed
        self._desk = desk

    def _accept(self, login: soupbintcp.Login) -> None:
        # Only now is it known whose messages these are.
        self.account = login.username.upper()
        self.store = self._desk.opened(self, self._now_ns or 0)
        super()._accept(login)

    @property
    def reason(self) -> str:
        """Why it was closed, in one word."""
        return next((word for start, word in REASONS.items() if self.closed.startswith(start)), "lost")


class Desk:
    """All connections of a session.

    streams : what each account has been told, all of it, for those that come back
    most    : messages an account may be told before its connections are closed
    counts  : logins, messages (inbound), and closed connections by reason under `closed`
    """

    def __init__(
        self, matcher: Matcher, accounts: Mapping[str, str], session: str, audit: Audit, *, most: int = 1 << 20, **limits: Any
    ) -> None:
        self.matcher, self.session, self.audit, self.most = matcher, session, audit, most
        self.accounts = dict(accounts)
        self.streams: dict[str, list[bytes]] = {}
        self.open: dict[str, Port] = {}
        self.cancel_on_disconnect = True
        self.counts: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.time_ns = 0  # the exchange's time of day; its owner keeps it up to date
        self._limits = limits
        self._number = 0

    def connect(self, peer: str, bucket: Bucket, now_ns: int) -> Port:
        """A new connection."""
        self._number += 1
        port = Port(self, self._number, peer, bucket, **self._limits)
        port.due(now_ns)
        self.audit.line(now_ns, "connected", connection=port.number, peer=peer)
        return port

    def received(self, port: Port, data: bytes, now_ns: int) -> None:
        """Bytes of a connection: whole messages reach the matching engine at once."""
        before = port.packets
        payloads = port.receive(data, now_ns)
        port.bucket.spend(now_ns, port.packets - before)  # heartbeats and talk, too: they cost as much to read
        closed = port.closed  # by what came after these messages, which still count
        for payload in payloads:
            try:
                message = ouch.decode_inbound(payload)
            except WireError as error:
                port.lost(str(error))
                break
            self.counts["messages"] += 1
            self.audit.line(now_ns, "in", connection=port.number, account=port.account, message=told(message))
            self.report(self.matcher.inbound(port.account, message, self.time_ns), now_ns)
            if len(self.streams[port.account]) > self.most:
                port.lost(f"told enough: {self.most} messages; a new session is needed")
            if port.closed != closed:
                break
        self.ended(port, now_ns)

    def due(self, port: Port, now_ns: int) -> None:
        """Let time pass for a connection."""
        port.due(now_ns)
        self.ended(port, now_ns)

    def tick(self, now_ns: int) -> None:
        """Let time pass for the orders: some are good until a time."""
        self.report(self.matcher.feed(b"", self.time_ns), now_ns)

    def opened(self, port: Port, now_ns: int) -> list[bytes]:
        """A login was accepted; returns what this account has been told so far, which grows from here on."""
        name = port.account
        if before := self.open.pop(name, None):
            before.lost("taken over by a newer login of the same account")
            self.ended(before, now_ns)
        self.open[name] = port
        self.counts["logins"] += 1
        self.audit.line(now_ns, "login", connection=port.number, account=name)
        self.report(self.matcher.open(name, self.time_ns), now_ns)
        return self.streams.setdefault(name, [])

    def ended(self, port: Port, now_ns: int) -> None:
        """See whether a connection is over, whoever ended it; done once."""
        if not port.closed or port.seen:
            return
        port.seen = True
        self.closed[port.reason] += 1
        # Before a login, the sentence might repeat what the client sent in a wrong place.
        said = {"why": port.closed} if port.account else {}
        self.audit.line(now_ns, "closed", connection=port.number, account=port.account, reason=port.reason, **said)
        if self.open.get(port.account) is port:
            del self.open[port.account]
        elif port.reason != "taken_over":
            return
        if self.cancel_on_disconnect:
            self.report(self.matcher.disconnected(port.account, self.time_ns), now_ns)

    def report(self, reports: Iterable[Report], now_ns: int) -> None:
        """Tell the accounts, and write it down."""
        heard = set()
        for name, message in reports:
            raw, stream = message.encode(), self.streams.setdefault(name, [])
            stream.append(raw)
            self.audit.line(now_ns, "out", account=name, sequence=len(stream), message=told(message), raw=raw.hex())
            heard.add(name)
        for name in heard & self.open.keys():
            port = self.open[name]
            port.publish()
            self.ended(port, now_ns)

    def end(self, now_ns: int) -> None:
        """The session is over: everything is canceled, everybody is told, and the connections end after that."""
        self.report(self.matcher.close(self.time_ns), now_ns)
        for port in self.open.values():
            port.end()

    def restore(self, streams: Mapping[str, list[bytes]], now_ns: int) -> None:
        """Take up a session: numbers go on where they were, and orders that were live are canceled (reason Z)."""
        for name, stream in streams.items():
            self.streams[name] = list(stream)
            said = Told.by(stream)
            self.matcher.restore(name, said.next_ref, said.order_number, said.match_number)
            canceled = [ouch.Canceled(self.time_ns, ref, left, "Z") for ref, left in said.live.items()]
            self.report([(name, message) for message in canceled], now_ns)

    @property
    def logged_in(self) -> int:
        """How many accounts have a connection."""
        return sum(port.state == OPEN for port in self.open.values())
