"""The trader: the feed in, the engine, orders out, and what the exchange makes of them back into it. One loop, one thread.

trader = Trader(TraderSettings(lines=("239.255.71.1:26401",), orders="127.0.0.1:26404", password=...), "rust")
trader.start()
while trader.poll():
    ...
print(trader.stop())

An order leaves only while every gate is open (see `TradingGates`). While one is closed, every book is stale to the engine, so
that it decides on none; what was decided nevertheless is withheld, counted and reported to it. Messages that come late, after a
gap, are run and not traded on. Before the gates open, an engine that does not know them learns positions and open orders.

A message that cannot be read may have concerned any instrument. The session is then requested again from its first message, into
a new engine, if there is somewhere to ask. Where that cannot be, or the same message is as unreadable again, and where messages
are lost for good, nothing is traded till the next session.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.live import LiveSession
from hftlab.engine.session import Backend
from hftlab.measurement.distribution import Times
from hftlab.net.endpoints import Loop, System
from hftlab.net.exchange.audit import AuditLog
from hftlab.net.trader.feed import FeedHandler, FeedState
from hftlab.net.trader.gates import HoldReason, TradingGates
from hftlab.net.trader.gateway import EventKind, Gateway, GatewayEvent
from hftlab.net.trader.journal import PastSession, read_past, records
from hftlab.net.trader.order_manager import OrderManager
from hftlab.net.trader.order_records import OrderRecords, OrderState
from hftlab.net.trader.settings import MS_NS, TraderSettings
from hftlab.net.trader.snapshot import Snapshot, SnapshotClient
from hftlab.protocols import ouch
from hftlab.protocols.arbiter import Delivery
from hftlab.settings import REJECTS, Settings

_TIMERS_NS = 10 * MS_NS  # between two looks at timers
_WAIT_GAP_S, _WAIT_S = 0.002, 0.02  # the longest wait while messages are missing, and else
_LAST_REF = 2**32 - 1  # of UserRefNum
_SPIN_TURNS = 64  # of a spinning loop between two looks at the clock for that


class Trader:
    """One trader; nothing is bound before `start`.

    backend  : a name, a Backend or an Engine; options : as for hftlab.Engine (order_config, risk_config, ...)
    system   : its clocks and sockets
    live     : the engine; orders : orders, positions and cash as the exchange has reported them
    held     : why nothing is traded now, None if it is
    failed   : why the login was refused, "" if it was not
    times    : of the orders that left, ns: "waited", from the kernel's stamp of the datagram to its reading; "worked", from there
               to the last byte handed to the system; "total"
    withheld : orders that were decided on and not sent, by reason
    restarts : sessions requested again from their first message
    raises   : ConfigError, UnknownName, BackendMissing for what cannot be
    """

    def __init__(
        self,
        settings: TraderSettings,
        backend: str | Backend | Engine = "auto",
        *,
        system: System | None = None,
        **options: Any,
    ) -> None:
        self.settings, self.system = settings, system or System()
        self.clock = self.system.clock
        self.live = LiveSession(backend, **options)
        self.engine = self.live.engine
        self.feed, self.gateway = FeedHandler(settings, self.system), Gateway(settings, self.system)
        self.gates = TradingGates(settings, self.feed, self.gateway)
        self.journal = AuditLog(None, "")
        self.orders = OrderManager(self.live, self._note)
        self.snapshot = SnapshotClient(settings, self.system) if settings.snapshots else None
        self.held: HoldReason | None = HoldReason.STARTING
        self._held_ns, self._held_since_ns = Counter[HoldReason](), self.clock()
        self._holds = Counter[HoldReason]()
        self.live.suspend(None, True)
        self.failed, self.restarts, self._corrupted_at = "", 0, -1
        self.withheld: Counter[HoldReason] = Counter()
        self.malformed: Counter[str] = Counter()
        self.times = Times("total", "waited", "worked")
        self._max_age_ns = settings.ns("max_age")
        self._loop: Loop | None = None
        self._kill_request, self._at_end = "", ""
        self._was_current, self._turns, self._timers_ns = True, 0, 0
        self._past: dict[str, PastSession] = {}  # what the journal says of sessions before, until the first login

    # Life -------------------------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        """Bind, and begin to connect; returns the addresses. raises : ConfigError for an address or journal that cannot be had"""
        if self.settings.journal:
            self._past = read_past(self.system, self.settings.journal, self.settings.username)
        self.journal = AuditLog(self.settings.journal, "", self.system, "journal")
        try:
            self.feed.open()
        except Exception:
            self.journal.close()
            raise
        self._loop = Loop(self.feed.numbered, self.system.selector(), spin=self.settings.spin)
        who = {"engine": self.engine.label, "account": self.settings.username}
        self._note("start", **who, **self.addresses, **_constants(self.live.settings))
        self._round(self.clock())
        return self.addresses

    @property
    def addresses(self) -> dict[str, Any]:
        """Where the lines are received, HOST:PORT, and where orders go to."""
        lines = ["{}:{}".format(*opened.getsockname()) for opened in self.feed.lines]
        return {"lines": lines, "orders": self.settings.orders, "requests": self.settings.requests}

    def poll(self, timeout: float = 0.05) -> bool:
        """One turn: what has come, what is due; False when it is over. Waits at most `timeout` seconds, if it does not spin."""
        if self._loop is None:
            return False
        for number in self._loop.wait(min(timeout, _WAIT_GAP_S if self.feed.arbiter.gap else _WAIT_S)):
            self.feed.receive(number, self._take)
        self._turns += 1
        self._on_events(self.gateway.poll(now_ns := self.clock()), now_ns)
        if self.settings.spin and self._turns % _SPIN_TURNS:
            return True
        return self._round(self.clock())

    def finish(self) -> None:
        """End soon: what is open is canceled; `poll` returns False when that is answered, or after `shutdown_timeout_ms`."""
        if not self.gates.stopping:
            self._at_end = self.gates.describe(self.held)
            self.gates.stop(self.clock())
            self._check_gates(self.clock())
            self._cancel_all()

    def stop(self) -> dict[str, Any]:
        """`close`, and what has happened."""
        self.close()
        return self.summary()

    def close(self) -> None:
        """Cancel what is open, wait a moment for the answers, log out, close."""
        if self._loop is not None:
            self.finish()
            while not self.gates.is_over(now_ns := self.clock(), open_orders=bool(self.orders.open)):
                self._loop.wait(0.001)
                self._on_events([*self.gateway.poll(now_ns), *self.gateway.due(now_ns)], now_ns)
            self.gateway.close(self.clock())
            if self.snapshot:
                self.snapshot.close()
            self._loop.close()
            self._loop = None
            self.feed.close()
            self.orders.abandon()
            self._note("stop")
            self.journal.close()

    @property
    def killed(self) -> str:
        """Why the kill switch has fallen, "" if it has not."""
        return self.gates.killed

    def kill(self, reason: str) -> None:
        """The kill switch: no order leaves any more, and what is open is canceled. It stays on."""
        if self.killed:
            return
        self.gates.killed = reason
        self.live.kill_switch(True)
        self._note("kill", why=reason)
        self._check_gates(self.clock())
        self._cancel_all()

    def request_kill(self, reason: str) -> None:
        """The same, from a signal handler or another thread: the next turn does it, 20 ms later at most."""
        self._kill_request = reason

    # The path ---------------------------------------------------------------------------------------------------------------

    def _take(self, delivery: Delivery, read_ns: int, waited_ns: int) -> None:
        """Messages in order, or none; orders leave from here."""
        current = self.feed.current
        if (current and self._was_current) if self.held else not current:
            self._check_gates(read_ns)
        if delivery.blocks:
            orders = self.live.feed(delivery.blocks)
            for order in orders:
                self._send(order.wire, read_ns, waited_ns)
            self.orders.decided(orders)
        self._was_current = current
        if (self.held and current) or self.live.corrupted:  # of what is missing the timers know soon enough
            self._check_gates(read_ns)

    def _send(self, raw: bytes, read_ns: int, waited_ns: int) -> None:
        reason = self.held or self.gates.breakers.reason(read_ns)
        if not reason and not self.orders.is_known(raw):
            reason = HoldReason.UNKNOWN_POSITION
        if not reason and self.clock() - read_ns + waited_ns > self._max_age_ns:  # it took us too long, or we were asleep
            reason = HoldReason.FEED_LATE
        if not reason and not self.gateway.send(raw, read_ns):
            reason = HoldReason.CONNECTION
        worked_ns = self.clock() - read_ns
        order = self.orders.sent(raw)
        order.waited_ns, order.latency_ns = waited_ns, waited_ns + worked_ns
        if reason:
            self.withheld[reason] += 1
            self.orders.withheld(order, self.gates.describe(reason))
        else:
            order.sent_ns = read_ns + worked_ns
            self.gates.breakers.sent(order.ref, order.sent_ns)
            self.times.add(waited_ns + worked_ns, waited_ns, worked_ns)

    def _on_events(self, events: list[GatewayEvent], now_ns: int) -> None:
        """What came on the order connection."""
        if not events:
            return
        for event in events:
            if event.message is not None:
                self.gates.breakers.answered(event.message, now_ns)
                if isinstance(event.message, ouch.Executed):
                    self.gates.owed.discard((event.message.user_ref, event.message.match_number))
                self.orders.on_message(event.message, now_ns)
                continue
            text, next_ref = {"why": event.text} if event.text else {}, {"next": event.next_ref} if event.next_ref else {}
            self._note(event.kind.value, **text, **next_ref)
            if event.kind is EventKind.UNREADABLE:
                self.orders.counts["unreadable"] += 1
            elif event.kind is EventKind.UP:
                past, self._past = self._past, {}
                for name, before in past.items():  # what was in this session the exchange says itself; its numbers are used
                    found, same = records(before), name == event.text
                    self.gates.owed |= found.fills if same else set()
                    self.orders.carry_over(OrderRecords() if same else found, max(before.sent, default=0))
            elif event.kind is EventKind.DOWN:
                self.orders.disconnected()
                self.gates.breakers.disconnected()
            elif event.kind is EventKind.SETTLED:
                self.orders.resynced(event.next_ref)
                if self.killed:
                    self._cancel_all()
            elif event.kind is EventKind.ENDED:
                self.orders.session_ended()
            elif event.kind is EventKind.GONE:
                self.orders.session_lost()
            elif event.kind is EventKind.REFUSED:
                self.failed = event.text
        self._check_gates(now_ns)

    def _check_gates(self, now_ns: int) -> None:
        """See whether anything holds orders back, and let the engine know."""
        self._hold(self.gates.reason(now_ns, self.journal, corrupted=self.live.corrupted))

    def _hold(self, reason: HoldReason | None) -> None:
        if reason is self.held:
            return
        if reason is None:
            self.orders.reconcile()  # the engine must know what we hold before it may trade
        if self.held:
            self._held_ns[self.held] += self.clock() - self._held_since_ns
        self.held, self._held_since_ns = reason, self.clock()
        if reason:
            self._holds[reason] += 1
        self.live.suspend(None, reason is not None)
        self._note("held" if reason else "trading", **({"why": self.gates.describe(reason)} if reason else {}))

    def _cancel_all(self) -> None:
        for order in self.orders.open:
            self.gateway.send(ouch.CancelOrder(order.ref).encode(), self.clock())

    # Rounds -----------------------------------------------------------------------------------------------------------------

    def _round(self, now_ns: int) -> bool:
        """Everything that need not be at once."""
        if self.snapshot is None or not self._late():
            self.feed.due(now_ns)
        elif found := self.snapshot.poll(now_ns):
            self._begin(found)
        if now_ns >= self._timers_ns:
            self._timers_ns = now_ns + _TIMERS_NS
            self._on_events(self.gateway.due(now_ns), now_ns)
            self.orders.reconcile()
            if why := self._kill_request or self.gates.breach(self.orders.profit()):
                self.kill(why)
            self._restart(self.feed.state(now_ns, corrupted=self.live.corrupted))
            self._check_gates(now_ns)
        self.journal.flush(now_ns)
        if self._loop is not None:
            self._loop.watch(self.gateway.socket, writing=self.gateway.pending)
        return not self.gates.is_over(now_ns, open_orders=bool(self.orders.open))

    def _late(self) -> bool:
        """Whether so much was before our first message that a snapshot is quicker."""
        arbiter = self.feed.arbiter
        return arbiter.expected == 1 and arbiter.newest > arbiter.window

    def _begin(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, if it is one of the session of the lines."""
        if snapshot.session == self.feed.arbiter.session:
            self.live.feed(snapshot.blocks)
            self.feed.restart(snapshot.session, snapshot.next)
            self._note("snapshot", next=snapshot.next)

    def _restart(self, state: FeedState) -> None:
        """Begin again from the first message, where that helps: a new session, or a message that may be readable another time."""
        again = state is FeedState.UNREADABLE and self.settings.requests and self.live.corrupted_at != self._corrupted_at
        if state is not FeedState.SESSION and not again:
            return
        session = self.feed.arbiter.session if again else self.feed.arbiter.changed
        self.restarts += 1
        self._corrupted_at = self.live.corrupted_at if again else -1
        self._was_current = False  # what comes first may be everything up to now, in one datagram: it is run, and not traded on
        self.feed.restart(session)
        self.malformed.update(self.live.malformed)
        self.live = LiveSession(self.engine, first_ref=self.live.next_order_id)
        self.live.kill_switch(bool(self.killed))
        self.live.suspend(None, True)
        self.orders.attach(self.live)
        self._note("restart", why=state.value, feed_session=(session or b"").decode("latin-1").strip())

    def _note(self, event: str, **values: Any) -> None:
        """A line of the journal; `messages` says between which two messages of the feed it happened."""
        if self.settings.journal:
            self.journal.line(self.clock(), event, messages=self.live.messages, **values)

    # What has happened ------------------------------------------------------------------------------------------------------

    def attention(self) -> dict[str, int]:
        """What somebody should look at, how often by name; nothing after a day on which all was well.

        never_connected; missing_reports, unreadable_reports, unexpected_reports, overfills, unknown_fills: what the exchange said
        and did not say; possibly_live: orders open at the end; unknown_fate: of which nobody knows what became; missing_messages:
        of the feed, at the end; unwritten: lines of the journal; numbers_used_up: no UserRefNum is left; too_many_rejects,
        unacknowledged: times these held orders back
        """
        counts, orders, over = self.orders.counts, self.orders.by_ref.values(), self._loop is None
        names = {
            "never_connected": int(over and not self.gateway.counts["logins"]),
            "missing_reports": sum(until - first for first, until in self.gateway.client.missed) + len(self.gates.owed),
            "unreadable_reports": counts["unreadable"],
            "unexpected_reports": counts["unexpected"],
            "overfills": counts["overfills"],
            "unknown_fills": counts["unknown_fills"],
            "possibly_live": len(self.orders.open) if over else 0,
            "unknown_fate": sum(order.state is OrderState.UNKNOWN and not order.left for order in orders),
            "missing_messages": self.feed.arbiter.newest - self.feed.arbiter.expected if over else 0,
            "unwritten": self.journal.counts["lost"],
            "too_many_rejects": self._holds[HoldReason.REJECTS],
            "unacknowledged": self._holds[HoldReason.UNACKNOWLEDGED],
            "numbers_used_up": int(self.live.next_order_id >= _LAST_REF),
        }
        return {name: n for name, n in names.items() if n}

    def status(self) -> dict[str, Any]:
        """How things are now; cheap enough to be asked in the midst of trading. See `summary`."""
        return {
            "feed_session": (self.feed.arbiter.session or b"").decode("latin-1").strip(),
            "messages": self.feed.arbiter.counts["messages"],
            "missing": self.feed.arbiter.newest - self.feed.arbiter.expected,
            "feed": {name: n for name, n in {**self.feed.arbiter.counts, **self.feed.counts}.items() if n},
            "held": self._at_end if self.gates.stopping else self.gates.describe(self.held),
            "held_s": {reason.value: round(ns / 1e9, 3) for reason, ns in self._held_ns.items()},
            "attention": self.attention(),
            "killed": self.killed,
            "failed": self.failed,
            "restarts": self.restarts,
            **self.orders.summary(),
            "open": len(self.orders.open),
            "withheld": {reason.value: n for reason, n in self.withheld.items()},
            "connection": {"state": self.gateway.state.value, **self.gateway.counts, "last_break": self.gateway.why},
            "journal": dict(self.journal.counts) | {"failing": self.journal.failing},
        }

    def summary(self) -> dict[str, Any]:
        """What has happened, in numbers; latency in ns, percentiles None where too few orders left."""
        counters, arbiter, status = self.live.counters(), self.feed.arbiter, self.status()
        received, rejects = status["received"], zip(REJECTS, counters["rejects"], strict=True)
        return {
            "backend": self.engine.backend,
            **status,
            **{name: arbiter.counts[name] for name in ("gaps", "recovered", "lost", "duplicates", "requests")},
            "lines": self.feed.statistics.summary(),
            "malformed": dict(self.malformed + Counter(self.live.malformed)),
            "sent": self.times["total"].n,
            **{name: received.get(f"order {name}", 0) for name in ("accepted", "executed", "canceled")},
            "refused_by_risk": {name: int(n) for name, n in rejects if n},
            "latency": self.times.summary() | self.orders.times.summary(),
        }


def _constants(settings: Settings) -> dict[str, Any]:
    """What the engine decides by, for the journal."""
    return {name: asdict(getattr(settings, name)) for name in ("signal_config", "order_config", "risk_config")}
