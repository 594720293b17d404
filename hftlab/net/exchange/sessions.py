"""Order sessions: connections on one side, the matching engine on the other, between them each account's outbound message log.

No sockets: bytes of a connection go in by `received`, what it is to be sent comes from its `Session.outgoing`. A second login of
an account takes over: the first connection is closed, as a peer whose end has broken away may not know it yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hftlab.errors import WireError
from hftlab.net.exchange.audit import AccountState, AuditLog, copied
from hftlab.net.exchange.matching import Matcher, Report
from hftlab.net.exchange.settings import ExchangeSettings
from hftlab.protocols import ouch, soupbintcp
from hftlab.protocols.channel import Bucket
from hftlab.protocols.soup_session import OPEN, CloseReason, Server

MAX_PACKET = 1024  # the largest length field of a packet from a client: an order with every option needs less than half


class Session(Server):
    """One connection. bucket : how many packets it may still send; number : for the log; account : "" before its login."""

    def __init__(self, sessions: OrderSessions, number: int, bucket: Bucket, **limits: Any) -> None:
        super().__init__(sessions.accounts, sessions.session, (), limit=MAX_PACKET, **limits)
        self.number, self.bucket = number, bucket
        self.account = ""
        self.close_handled = False
        self._sessions = sessions

    def dismiss(self, text: str, reason: CloseReason) -> None:
        """End a connection, and let its client know why: a debug packet, `reason: text`."""
        if self.state == OPEN:
            self._outbox += soupbintcp.packet(soupbintcp.DEBUG, f"{reason.value}: {text}".encode())
        self.lost(text, reason)

    def _accept(self, login: soupbintcp.Login) -> None:
        # Only now is it known whose messages these are.
        self.account = login.username.upper()
        self.store = self._sessions.logged_in(self, self._now_ns or 0)
        super()._accept(login)
        if self._sessions.matcher.closed:  # who comes after the end is sent what there was, and its end
            self.end()


class OrderSessions:
    """All connections of a session.

    settings             : of the exchange; the limits of connections and accounts, and the name of the session count
    open                 : connections that are logged in, by account
    streams              : the messages each account has been sent, all of them, for those that come back
    cancel_on_disconnect : cancel the open orders of an account whose connection is lost
    drop_copy            : the account that is sent a copy of what every other one is, "" for none
    time_ns              : the exchange's time of day; its owner keeps it up to date
    counts               : logins, messages (inbound); closed : connections by reason
    """

    def __init__(self, matcher: Matcher, accounts: Mapping[str, str], audit: AuditLog, settings: ExchangeSettings) -> None:
        self.matcher, self.audit, self.session = matcher, audit, settings.session
        self.max_messages, self.cancel_on_disconnect = settings.max_messages_per_account, settings.cancel_on_disconnect
        self.drop_copy = settings.drop_copy.upper()
        self.accounts = dict(accounts)
        self.streams: dict[str, list[bytes]] = {}
        self.open: dict[str, Session] = {}
        self.counts: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.time_ns = 0
        self._limits = settings.connection_limits
        self._number = 0

    def connect(self, peer: str, bucket: Bucket, now_ns: int) -> Session:
        """A new connection."""
        self._number += 1
        session = Session(self, self._number, bucket, **self._limits)
        session.due(now_ns)
        self.audit.line(now_ns, "connected", connection=session.number, peer=peer)
        return session

    def received(self, session: Session, data: bytes, now_ns: int) -> None:
        """Bytes of a connection: whole messages reach the matching engine at once."""
        before = session.packets
        payloads = session.receive(data, now_ns)
        session.bucket.spend(now_ns, session.packets - before)  # heartbeats and talk, too: they cost as much to read
        closed = session.closed  # by what came after these messages, which still count
        for payload in payloads:
            if not self._message(session, payload, now_ns) or session.closed != closed:
                break
        self.ended(session, now_ns)

    def due(self, session: Session, now_ns: int) -> None:
        """Let time pass for a connection."""
        session.due(now_ns)
        self.ended(session, now_ns)

    def expire_orders(self, now_ns: int) -> None:
        """Let time pass for the orders: some are good until a time."""
        self.report(self.matcher.feed(b"", self.time_ns), now_ns)

    def logged_in(self, session: Session, now_ns: int) -> list[bytes]:
        """A login was accepted; returns what this account has been sent so far, which grows from here on."""
        name = session.account
        if before := self.open.pop(name, None):
            before.dismiss("taken over by a newer login of the same account", CloseReason.TAKEN_OVER)
            self.ended(before, now_ns)
        self.open[name] = session
        self.counts["logins"] += 1
        self.audit.line(now_ns, "login", connection=session.number, account=name)
        if name != self.drop_copy:
            self.report(self.matcher.open(name, self.time_ns), now_ns)
        return self.streams.setdefault(name, [])

    def ended(self, session: Session, now_ns: int) -> None:
        """See whether a connection is over, from either end; done once."""
        if session.reason is None or session.close_handled:
            return
        session.close_handled = True
        reason = session.reason.value
        self.closed[reason] += 1
        # Before a login, the sentence might repeat what the client sent in a wrong place.
        why = {"why": session.closed} if session.account else {}
        self.audit.line(now_ns, "closed", connection=session.number, account=session.account, reason=reason, **why)
        if self.open.get(session.account) is session:
            del self.open[session.account]
        elif session.reason is not CloseReason.TAKEN_OVER:
            return
        if self.cancel_on_disconnect:
            self.report(self.matcher.disconnected(session.account, self.time_ns), now_ns)

    def report(self, reports: Iterable[Report], now_ns: int) -> None:
        """Write reports down and send them to their accounts."""
        names = set[str]()
        for name, message in reports:
            raw, stream = message.encode(), self.streams.setdefault(name, [])
            stream.append(raw)
            self._copy(name, raw, names)
            self.audit.line(now_ns, "out", account=name, sequence=len(stream), message=message, raw=raw.hex())
            names.add(name)
        for name in names & self.open.keys():
            session = self.open[name]
            session.publish()
            self.ended(session, now_ns)

    def _copy(self, name: str, raw: bytes, names: set[str]) -> None:
        """The same for who looks on: the account in six letters, then the message."""
        if self.drop_copy:
            self.streams.setdefault(self.drop_copy, []).append(copied(name, raw))
            names.add(self.drop_copy)

    def end(self, now_ns: int) -> None:
        """The session is over: everything is canceled and reported, and the connections end after that."""
        self.report(self.matcher.close(self.time_ns), now_ns)
        for session in self.open.values():
            session.end()

    def restore(self, streams: Mapping[str, list[bytes]], copies: list[bytes], now_ns: int) -> None:
        """Take up a session: numbers go on where they were, and orders that were open are canceled (reason Z)."""
        if self.drop_copy:
            self.streams[self.drop_copy] = list(copies)
        for name, stream in streams.items():
            self.streams[name] = list(stream)
            state = AccountState.replay(stream)
            self.matcher.restore(name, state.next_ref, state.order_number, state.match_number)
            canceled = [ouch.Canceled(self.time_ns, ref, left, "Z") for ref, left in state.open.items()]
            self.report([(name, message) for message in canceled], now_ns)

    def _message(self, session: Session, payload: bytes, now_ns: int) -> bool:
        """One message of a client; whether those behind it are looked at."""
        if session.account == self.drop_copy:
            session.dismiss("a drop copy is for looking on: nothing is entered there", CloseReason.BAD_MESSAGE)
            return False
        try:
            message = ouch.decode_inbound(payload)
        except WireError as error:
            session.dismiss(str(error), CloseReason.BAD_MESSAGE)
            return False
        account = session.account
        self.counts["messages"] += 1
        self.audit.line(now_ns, "in", connection=session.number, account=account, message=message)
        self.report(self.matcher.inbound(account, message, self.time_ns), now_ns)
        if len(self.streams[account]) > self.max_messages:
            session.dismiss(f"{self.max_messages} messages were sent; a new session is needed", CloseReason.STREAM_FULL)
        return True
