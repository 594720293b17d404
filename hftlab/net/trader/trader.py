"""The trader: the feed in, the engine, orders out, and what the exchange makes of them back into it. One loop, one thread.

trader = Trader(TraderSettings(lines=("239.255.71.1:26401",), orders="127.0.0.1:26404", password=...), "rust")
trader.start()
while trader.poll():
    ...
print(trader.stop())

An order leaves only while nothing holds it back: the kill switch, a journal that cannot be written, an order connection that is
not ready, a feed that is not fresh. While something does, every book is stale to the engine, so that it decides on none; what was
decided nevertheless is withheld, counted and reported to it. Messages that come late, after a gap, are run and not traded on.

Messages lost for good, or unreadable, may have concerned any instrument. The session is then asked for again from its first
message, into a new engine, if there is somewhere to ask; else, and after `max_session_restarts` of these, nothing is traded till
the next one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.live import LiveSession
from hftlab.engine.session import Backend
from hftlab.net.exchange.audit import AuditLog
from hftlab.net.loop import Loop
from hftlab.net.trader import holds
from hftlab.net.trader.book_keeping import BookKeeping
from hftlab.net.trader.feed_handler import FeedHandler
from hftlab.net.trader.gateway import Gateway, Happening
from hftlab.net.trader.settings import MS_NS, TraderSettings
from hftlab.net.trader.trade_report import Latency, summary
from hftlab.protocols import ouch
from hftlab.protocols.arbiter import Delivery

_TIDY_NS = 10 * MS_NS  # between two looks at timers
_SOON, _LATER = 0.002, 0.02  # seconds: the longest wait while messages are missing, and else
_TURNS = 64  # of a spinning loop between two looks at the clock for that


class Trader:
    """One trader; nothing is bound before `start`.

    backend  : a name, a Backend or an Engine; options : as for hftlab.Engine (order, risk, signals, ...)
    clock    : monotonic ns
    live     : the engine; books : orders, positions and cash as the exchange has told them
    held     : why nothing is traded now, "" if it is
    killed   : why the kill switch has fallen, "" if it has not
    withheld : orders that were decided on and not sent, by reason
    raises   : ConfigError, UnknownName, BackendMissing for what cannot be
    """

    def __init__(
        self,
        settings: TraderSettings,
        backend: str | Backend | Engine = "auto",
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        **options: Any,
    ) -> None:
        self.settings, self.clock = settings, clock
        self.live = LiveSession(backend, **options)
        self.engine = self.live.engine
        self.feed, self.gateway = FeedHandler(settings), Gateway(settings)
        self.held, self.killed, self.failed = "starting", "", ""
        self.withheld: Counter[str] = Counter()
        self.latency = Latency()
        self.malformed: Counter[str] = Counter()
        self.restarts = 0
        self.journal = AuditLog(None, "")
        self.books = BookKeeping(self.live)
        self.live.suspend(None, True)
        self._loop: Loop | None = None
        self._asked, self.stopping = "", False
        self._whole, self._turns, self._tidy_ns, self._over_ns = True, 0, 0, 0

    # Life -------------------------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        """Bind, and begin to connect; returns the addresses. raises : ConfigError for an address or journal that cannot be had"""
        self.journal = AuditLog(self.settings.journal, "")
        try:
            self.feed.open()
        except Exception:
            self.journal.close()
            raise
        self._loop = Loop(self.feed.numbered, spin=self.settings.spin)
        self._note("start", engine=self.engine.label, **self.addresses)
        self._round(self.clock())
        return self.addresses

    @property
    def addresses(self) -> dict[str, Any]:
        """Where the lines are listened to, HOST:PORT, and where orders go to."""
        lines = ["{}:{}".format(*made.getsockname()) for made in self.feed.lines]
        return {"lines": lines, "orders": self.settings.orders, "requests": self.settings.requests}

    def poll(self, timeout: float = 0.05) -> bool:
        """One turn: what has come, what is due; False when it is over. Waits at most `timeout` seconds, if it does not spin."""
        if self._loop is None:
            return False
        for number in self._loop.wait(min(timeout, _SOON if self.feed.arbiter.gap else _LATER)):
            self.feed.receive(number, self._take, self.clock)
        self._turns += 1
        self._hear(self.gateway.poll(self.clock()))
        if self.settings.spin and self._turns % _TURNS:
            return True
        return self._round(self.clock())

    def stop(self) -> dict[str, Any]:
        """Cancel what is open, wait a moment for the answers, log out, close; returns the summary."""
        if self._loop is not None:
            self.stopping = True
            self._hold("stopping")
            until = self.clock() + self.settings.ns("shutdown_timeout")
            self._cancel_all()
            while self.books.open and self.gateway.ready and self.clock() < until:
                self._hear(self.gateway.poll(self.clock()))
                self._hear(self.gateway.due(self.clock()))
                time.sleep(0.001)
            self.gateway.close(self.clock())
            self._loop.close()
            self._loop = None
            self.feed.close()
            self._note("stop")
            self.journal.close()
        return self.summary()

    def kill(self, reason: str) -> None:
        """The kill switch: no order leaves any more, and what is open is canceled. It stays on."""
        if self.killed:
            return
        self.killed = reason
        self.live.kill_switch(True)
        self._note("kill", why=reason)
        self._hold(f"killed: {reason}")
        self._cancel_all()

    def request_kill(self, reason: str) -> None:
        """The same, from a signal handler or another thread: the next turn does it, 20 ms later at most."""
        self._asked = reason

    def summary(self) -> dict[str, Any]:
        """What has happened, in numbers."""
        return summary(self)

    # The path ---------------------------------------------------------------------------------------------------------------

    def _take(self, delivery: Delivery, came_ns: int) -> None:
        """Messages in order, or none; orders leave from here."""
        whole = not self.feed.arbiter.stale
        if (whole and self._whole) if self.held else not whole:
            self._judge(came_ns)
        if delivery.blocks:
            orders = self.live.feed(delivery.blocks)
            for order in orders:
                self._send(order, came_ns)
            if orders:
                self.books.decided(self.live.accepted(), self._note)
        self._whole = whole
        if self.held or self.live.corrupted:
            self._judge(came_ns)

    def _send(self, raw: bytes, came_ns: int) -> None:
        why = self.held or self.books.objects(raw) or ("" if self.gateway.send(raw, came_ns) else "order connection")
        ns = self.clock() - came_ns
        order = self.books.positions.sent(raw)
        order.latency_ns = ns
        if why:
            self.withheld[why] += 1
            self.books.tell(self.books.positions.ended(order, "withheld", why))
        else:
            self.latency.add(ns)

    def _hear(self, happenings: list[Happening]) -> None:
        """What the order connection says."""
        for one in happenings:
            if one.message is not None:
                self.books.hear(one.message, self._note)
                continue
            self._note(one.kind, **({"why": one.text} if one.text else {}), **({"next": one.next} if one.next else {}))
            if one.kind == "unreadable":
                self.books.positions.counts["unreadable"] += 1
            elif one.kind == "down":
                self.books.broken()
            elif one.kind == "settled":
                self.books.settled(one.next, self._note)
                if self.killed:
                    self._cancel_all()
            elif one.kind == "ended":
                self.books.session_over(self._note)
            elif one.kind == "refused":
                self.failed = one.text
        if happenings:
            self._judge(self.clock())

    def _judge(self, now_ns: int) -> None:
        """See whether anything holds orders back."""
        self._hold(holds.reason(self, now_ns))

    def _hold(self, why: str) -> None:
        if why != self.held:
            self.held = why
            self.live.suspend(None, bool(why))
            self._note("held" if why else "trading", **({"why": why} if why else {}))

    def _cancel_all(self) -> None:
        for order in self.books.open:
            self.gateway.send(ouch.CancelOrder(order.ref).encode(), self.clock())

    # Rounds -----------------------------------------------------------------------------------------------------------------

    def _round(self, now_ns: int) -> bool:
        """Everything that need not be at once."""
        self.feed.due(now_ns)
        if now_ns >= self._tidy_ns:
            self._tidy_ns = now_ns + _TIDY_NS
            self._hear(self.gateway.due(now_ns))
            self.books.reconcile(self._note)
            if why := self._asked or self.books.breaks(self.settings):
                self.kill(why)
            self._anew(holds.feed(self, now_ns))
            self._judge(now_ns)
        self.journal.flush(now_ns)
        if self._loop is not None:
            self._loop.watch(self.gateway.socket, writing=self.gateway.pending)
        self._over_ns = (self._over_ns or now_ns) if self.feed.arbiter.finished else 0
        return not holds.over(self, self._over_ns, now_ns)

    def _anew(self, feed: str) -> None:
        """Begin again from the first message, where that helps: a new session, or messages that are lost but may be had again."""
        again = feed in ("lost", "unreadable") and self.settings.requests and self.restarts < self.settings.max_session_restarts
        if feed != "session" and not again:
            return
        session = self.feed.arbiter.changed if feed == "session" else self.feed.arbiter.session
        self.restarts = self.restarts + 1 if again else 0
        self.feed.restart(session)
        self.malformed.update(self.live.malformed)
        self.live = LiveSession(self.engine, first_ref=self.live.next_order_id)
        self.live.kill_switch(bool(self.killed))
        self.live.suspend(None, True)
        self.books.attach(self.live)
        self._note("restart", why=feed, feed_session=(session or b"").decode("latin-1").strip())

    def _note(self, event: str, **more: Any) -> None:
        """A line of the journal; `messages` says between which two messages of the feed it happened."""
        self.journal.line(self.clock(), event, messages=self.live.messages, **more)
