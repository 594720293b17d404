"""The gates of the trader: everything that may hold orders back, the gravest first; and when it is over."""

from __future__ import annotations

import os
from collections import deque
from enum import Enum

from hftlab.net.exchange.audit import AuditLog
from hftlab.net.trader.feed import FeedHandler, FeedState
from hftlab.net.trader.gateway import Gateway, GatewayState
from hftlab.net.trader.settings import MS_NS, TraderSettings
from hftlab.protocols import ouch

_END_GRACE_NS = 300 * MS_NS  # after the end of the feed's session, for the end of the orders' session


class HoldReason(Enum):
    """Why no order leaves; the value is what journal and summary say. UNKNOWN_POSITION holds back single orders only."""

    STARTING = "starting"
    STOPPING = "stopping"
    KILLED = "killed"
    JOURNAL = "journal"
    CONNECTION = "order connection"
    MISSED_REPORTS = "reports of the exchange are missing"
    REJECTS = "rejects"
    UNACKNOWLEDGED = "unacknowledged"
    FEED_OVER = "feed: over"
    FEED_SESSION = "feed: session"
    FEED_LOST = "feed: lost"
    FEED_UNREADABLE = "feed: unreadable"
    FEED_GAP = "feed: gap"
    FEED_LATE = "feed: late"
    FEED_SILENT = "feed: silent"
    UNKNOWN_POSITION = "position not known to the engine"


class Breakers:
    """Hold orders back while the exchange does not do with them what it should: it rejects them, or says nothing."""

    def __init__(self, settings: TraderSettings) -> None:
        self._within_ns, self._timeout_ns = settings.ns("rejects_within"), settings.ns("ack_timeout")
        self._rejects = deque[int](maxlen=settings.max_rejects)  # when the latest came, ns
        self._unanswered: dict[int, int] = {}  # UserRefNum -> when it left, ns; the oldest first

    def sent(self, ref: int, now_ns: int) -> None:
        """An order has left."""
        self._unanswered[ref] = now_ns

    def answered(self, message: ouch.Message, now_ns: int) -> None:
        """A message of the exchange. Only the first answer to an order counts: what is repeated after a login is no news."""
        waited = self._unanswered.pop(getattr(message, "user_ref", 0), None) is not None
        if waited and isinstance(message, ouch.Rejected):
            self._rejects.append(now_ns)

    def disconnected(self) -> None:
        """What becomes of unanswered orders is known after the next login."""
        self._unanswered.clear()

    def reason(self, now_ns: int) -> HoldReason | None:
        """Which breaker is open."""
        if len(self._rejects) == self._rejects.maxlen and now_ns - self._rejects[0] < self._within_ns:
            return HoldReason.REJECTS
        oldest_ns = next(iter(self._unanswered.values()), now_ns)
        return HoldReason.UNACKNOWLEDGED if now_ns - oldest_ns > self._timeout_ns else None


class TradingGates:
    """Asked before every packet is acted on.

    breakers : see `Breakers`
    owed     : executions of the session that the journal has and the exchange has not repeated, (UserRefNum, match number); it
               never does where the session is another one under an old name
    killed   : why the kill switch has fallen, "" if it has not
    stopping : whether the trader is about to end
    """

    def __init__(self, settings: TraderSettings, feed: FeedHandler, gateway: Gateway) -> None:
        self.settings, self.feed, self.gateway = settings, feed, gateway
        self.breakers = Breakers(settings)
        self.owed: set[tuple[int, int]] = set()
        self.killed, self.stopping = "", False
        self._finished_ns = 0  # since when the feed's session is over
        self._until_ns = 0  # the end of a trader that is stopping

    def stop(self, now_ns: int) -> None:
        """The trader is about to end."""
        self.stopping, self._until_ns = True, now_ns + self.settings.ns("shutdown_timeout")

    def reason(self, now_ns: int, journal: AuditLog, *, corrupted: bool) -> HoldReason | None:
        """Why nothing may leave now; None if every gate is open. corrupted : whether the engine's books are wrong for good"""
        if self.stopping:
            return HoldReason.STOPPING
        if self.killed:
            return HoldReason.KILLED
        if journal.failing:
            return HoldReason.JOURNAL
        if not self.gateway.ready:
            return HoldReason.CONNECTION
        if self.gateway.client.missed or self.owed:  # nobody knows what they said, so positions may be wrong for good
            return HoldReason.MISSED_REPORTS
        if why := self.breakers.reason(now_ns):
            return why
        if self.feed.arbiter.finished:
            return HoldReason.FEED_OVER
        state = self.feed.state(now_ns, corrupted=corrupted)
        return None if state is FeedState.FRESH else HoldReason(f"feed: {state.value}")

    def describe(self, reason: HoldReason | None) -> str:
        """The reason as journal and summary say it; "" for None."""
        if reason is HoldReason.KILLED:
            return f"killed: {self.killed}"
        return reason.value if reason else ""

    def breach(self, profit: float) -> str:
        """Why the kill switch is to fall, "" if it is not. profit : in currency"""
        if self.settings.kill_file and os.path.exists(self.settings.kill_file):
            return f"the file {self.settings.kill_file} is there"
        limit = self.settings.max_loss
        return f"the loss must be at most {limit:,.2f}, got {-profit:,.2f}" if limit is not None and profit < -limit else ""

    def is_over(self, now_ns: int, *, open_orders: bool) -> bool:
        """Whether the trader can end: it was to, the login is refused, or the feed's session is over and has left nothing open.

        Also where messages are missing still, or the end of the session did not arrive, when one of the two sessions is over and
        nobody is there any more who could send them.
        """
        if self.stopping:
            return not (open_orders and self.gateway.ready and now_ns < self._until_ns)
        self._finished_ns = (self._finished_ns or now_ns) if self.feed.arbiter.finished else 0
        if self.gateway.state is GatewayState.REFUSED:
            return True
        if self.settings.run_forever:
            return False
        if not self._finished_ns:
            silent = now_ns - self.feed.last_seen_ns > self.settings.ns("silence")
            return (self.feed.ending or self.gateway.over) and silent and not self.gateway.ready
        since_end_ns = now_ns - self._finished_ns
        if open_orders:  # their fate comes on a connection that may come back
            return not self.gateway.ready and since_end_ns > self.settings.ns("connect_timeout")
        return not self.gateway.ready or since_end_ns > _END_GRACE_NS
