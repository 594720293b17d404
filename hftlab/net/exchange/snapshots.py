"""Snapshots for those who come late: the books as they stand, over SoupBinTCP, in the manner of Nasdaq's GLIMPSE.

A login is answered with ITCH messages that bring an engine to where the market is: the directory and trading state of every
stock, then an Add Order for every live order, each book side by side, best first and in time priority, with what is left of it.
The last message, `G` and a number of 20 digits, says which message of the lines comes next; then the session ends. A snapshot is
taken when the login is accepted. Signals begin anew with it: what flowed before is not in a book.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hftlab.net.exchange.matching import Matcher
from hftlab.net.exchange.publisher import Publisher
from hftlab.net.exchange.sessions import Session
from hftlab.net.exchange.settings import ExchangeSettings
from hftlab.protocols import soupbintcp
from hftlab.protocols.channel import Bucket
from hftlab.protocols.itch_messages import build
from hftlab.protocols.soup_session import Server

END_OF_SNAPSHOT = b"G"


def take_snapshot(publisher: Publisher, matcher: Matcher) -> list[bytes]:
    """The messages of a snapshot as things stand, without their lengths. matcher : has all that was published, no more"""
    names, book = matcher.tick.names, matcher.market.book
    orders = [
        build(
            "A", locate=instrument, ts=publisher.ts_ns, ref=ref, side=side, shares=qty, price=level.price,
            stock=names.get(instrument, b"").decode("latin-1"),
        )
        for instrument, halves in sorted(book.halves.items())
        for side, half in zip("BS", halves, strict=True)
        for level in half.walk()
        for ref, qty in level.queue.items()
    ]  # fmt: skip
    return [*publisher.standing.values(), *orders, END_OF_SNAPSHOT + b"%20d" % publisher.next]


class SnapshotSession(Server):
    """One connection; see `Session`, whose names it shares."""

    def __init__(
        self, accounts: Mapping[str, str], name: str, take: Callable[[], list[bytes]], bucket: Bucket, **limits: Any
    ) -> None:
        super().__init__(accounts, name, (), **limits)
        self.bucket, self.account, self.number = bucket, "", 0
        self._take = take

    def _accept(self, login: soupbintcp.Login) -> None:
        self.account, self.store = login.username.upper(), self._take()
        super()._accept(login)
        self.end()


class SnapshotSessions:
    """All connections for snapshots; `Connections` asks it what it asks of `OrderSessions`. taken : how many snapshots were"""

    def __init__(self, take: Callable[[], list[bytes]], accounts: Mapping[str, str], settings: ExchangeSettings) -> None:
        self._accounts, self._settings = accounts, settings
        self._messages, self.taken = take, 0

    def connect(self, peer: str, bucket: Bucket, now_ns: int) -> SnapshotSession:
        """A new connection."""
        limits = self._settings.connection_limits
        session = SnapshotSession(self._accounts, self._settings.session, self._take, bucket, **limits)
        session.due(now_ns)
        return session

    def _take(self) -> list[bytes]:
        self.taken += 1
        return self._messages()

    def received(self, session: SnapshotSession, data: bytes, now_ns: int) -> None:
        """Bytes of a connection; a message in them is none of ours."""
        before = session.packets
        if session.receive(data, now_ns):
            session.lost("nothing is entered here")
        session.bucket.spend(now_ns, session.packets - before)

    def due(self, session: SnapshotSession, now_ns: int) -> None:
        """Let time pass for a connection."""
        session.due(now_ns)

    def expire_orders(self, now_ns: int) -> None:
        """There are none."""

    def ended(self, session: Session | SnapshotSession, now_ns: int) -> None:
        """Nothing follows from it."""
