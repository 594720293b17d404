"""The exchange: a feed published on two lines, requests for what was lost, and orders matched against it. One loop, one thread.

exchange = Exchange(feed, {"TRADER": "SECRET"})
print(exchange.start())            # the addresses it listens on and sends to
while exchange.poll():
    ...

waiting (for traders) -> open (publishing) -> staying (heartbeats) -> ending (end of session repeated) -> closing -> done
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from selectors import EVENT_READ, BaseSelector
from typing import Any

from hftlab.errors import ConfigError, check_choice
from hftlab.feeds.feed import Feed
from hftlab.net.endpoints import Address, System, address_of
from hftlab.net.exchange.audit import AuditLog, SessionState
from hftlab.net.exchange.connections import Connection, Connections
from hftlab.net.exchange.matching import Matcher
from hftlab.net.exchange.publisher import Broadcast, read_directory
from hftlab.net.exchange.sessions import OrderSessions
from hftlab.net.exchange.settings import ExchangeSettings, check_accounts
from hftlab.net.exchange.snapshots import SnapshotSessions, take_snapshot
from hftlab.protocols.channel import SECOND_NS

_TIDY_NS, _CLOSING_NS = 10_000_000, 2 * SECOND_NS  # between two looks at timers; for the last words
_ASKED_NS, _LATECOMERS_NS = SECOND_NS // 2, 60 * SECOND_NS  # the end waits while requests come, and at most so long
_BUSY_NS = 2_000_000  # a wait shorter than this is spent looking, since the system wakes nobody that exactly


class Phase(Enum):
    """Where a session stands; see above."""

    WAITING = "waiting"
    OPEN = "open"
    STAYING = "staying"
    ENDING = "ending"
    CLOSING = "closing"
    DONE = "done"


class Exchange:
    """One session; nothing is bound before `start`.

    feed     : one of wire bytes
    accounts : password by username
    state    : a session to be taken up again, see `SessionState`; without it a new one
    system   : its clocks and sockets
    lines    : "A" and "B", whose faults may be changed while it runs
    raises   : ConfigError for what cannot be published or is no account
    """

    def __init__(
        self,
        feed: Feed,
        accounts: Mapping[str, str],
        settings: ExchangeSettings | None = None,
        *,
        state: SessionState | None = None,
        system: System | None = None,
    ) -> None:
        chosen = settings or ExchangeSettings.on_free_ports()
        self.session = state.session if state else chosen.session_name
        self.settings = chosen if chosen.session == self.session else replace(chosen, session=self.session)
        self.system, self.phase = system or System(), Phase.WAITING
        self.clock = self.system.clock
        self.broadcast = Broadcast(feed, self.session, self.settings, self.system)
        self.publisher, self.lines = self.broadcast.publisher, self.broadcast.lines
        self.matcher = Matcher(max_open_orders=self.settings.max_open_orders)
        self._accounts = check_accounts(tuple(accounts.items()), "accounts")
        if chosen.drop_copy:
            check_choice("drop_copy", chosen.drop_copy.upper(), self._accounts)
        self._feed, self._state = feed, state
        self._until_ns = self._tidy_ns = self._checkpoint_ns = self._noted = self._ended_ns = self._requests = 0
        self._selector: BaseSelector | None = None

    # Life -------------------------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        """Bind everything; returns the addresses. raises : ConfigError for an address or an audit log that cannot be had"""
        chosen = self.settings
        self.audit = AuditLog(chosen.audit, self.session, self.system)
        wanted = {"orders": chosen.orders, **({"snapshots": chosen.snapshots} if chosen.snapshots else {})}
        servers: list[socket.socket] = []
        try:
            requests = self.broadcast.open()
            for what, text in wanted.items():
                servers.append(self.system.server(Address.parse(text, what), what))
        except ConfigError:
            for server in servers:
                server.close()
            self.broadcast.close()
            self.audit.close()
            raise
        self._selector = self.system.selector()
        self._selector.register(requests, EVENT_READ, self.broadcast)
        self.sessions = OrderSessions(self.matcher, self._accounts, self.audit, chosen)
        self.connections = Connections(servers[0], self._selector, self.sessions, chosen)
        self.doors = [self.connections]
        for snapshots in servers[1:]:
            take = SnapshotSessions(lambda: take_snapshot(self.publisher, self.matcher), self._accounts, chosen)
            self.doors.append(Connections(snapshots, self._selector, take, chosen))
        self._begin(self.clock())
        return self.addresses

    @property
    def addresses(self) -> dict[str, Any]:
        """session, lines (A and B), interface, requests, orders: what a trader must know; each address as HOST:PORT."""
        return {
            "session": self.session,
            "line_a": str(self.broadcast.targets["A"]),
            "line_b": str(self.broadcast.targets["B"]),
            "interface": self.settings.interface,
            "requests": address_of(self.broadcast.requests),
            "orders": address_of(self.connections.listener),
            "snapshots": address_of(self.doors[1].listener) if len(self.doors) > 1 else "",
        }

    @property
    def bound(self) -> ExchangeSettings:
        """The settings with the addresses as they are: for an exchange that comes back at the same place."""
        return replace(self.settings, **self.addresses)

    def poll(self, timeout: float = 0.05) -> bool:
        """One round: what has come, what is due; False when the session is over. Waits at most `timeout` seconds."""
        if self._selector is None:
            return False
        events = self._selector.select(self._wait(timeout))
        now_ns = self.clock()
        self.sessions.time_ns = self.publisher.time_ns(now_ns) or self.sessions.time_ns
        for key, mask in events:
            if isinstance(key.data, Broadcast):
                self.broadcast.answer(now_ns)
            elif isinstance(key.data, Connections):
                key.data.accept(now_ns)
            elif mask & EVENT_READ and isinstance(key.data, Connection):
                next(door for door in self.doors if key.data in door.open).readable(key.data, now_ns)
        self._publish(now_ns)
        if now_ns >= self._tidy_ns:
            self._tidy_ns = now_ns + _TIDY_NS
            self._tidy(now_ns)
        self.matcher.accepting = self.audit.flush(now_ns)
        for door in self.doors:
            door.send(now_ns)
        return self.phase != Phase.DONE

    def run(self) -> None:
        """Poll until the session is over."""
        while self.poll():
            pass

    def finish(self) -> None:
        """End the session in order, soon: `poll` sends the end on the lines, cancels everything, and reports it."""
        now_ns = self.clock()
        if self.phase in (Phase.WAITING, Phase.OPEN, Phase.STAYING):
            self._enter(Phase.ENDING, now_ns)
        if self.phase == Phase.ENDING:
            self._until_ns = min(self._until_ns, now_ns + SECOND_NS // 5)

    def stop(self) -> None:
        """End the session in order, and wait for it: two seconds and a half at most."""
        self.finish()
        self.run()

    def crash(self) -> None:
        """Stop as a machine that fails does: no end of session, connections reset, nothing written any more."""
        if self._selector:
            self.audit.close()
            self.sessions.cancel_on_disconnect = False
            self._close(reset=True)

    def state(self) -> SessionState:
        """What another exchange needs to take up this session."""
        streams = {name: list(stream) for name, stream in self.sessions.streams.items()}
        copies = streams.pop(self.sessions.drop_copy, [])
        return SessionState(self.session, streams, self.publisher.next, copies=copies)

    def summary(self) -> dict[str, Any]:
        """What has happened, in numbers."""
        return {
            "session": self.session,
            "phase": self.phase.value,
            **self.broadcast.summary(),
            "orders": dict(self.matcher.counts),
            "connections": dict(self.connections.counts) | dict(self.sessions.counts) | {"closed": dict(self.sessions.closed)},
            "audit": dict(self.audit.counts),
        }

    # Rounds -----------------------------------------------------------------------------------------------------------------

    def _begin(self, now_ns: int) -> None:
        names, self.sessions.time_ns = read_directory(self._feed)
        self.matcher.tick.names.update(names)
        self._enter(Phase.WAITING, now_ns)
        for framed in self.publisher.skip(self._state.published if self._state else 1):
            self.matcher.feed(framed, self.publisher.ts_ns)
        self.sessions.time_ns = self.publisher.ts_ns or self.sessions.time_ns
        before = self._state or SessionState(self.session)
        self.sessions.restore(before.streams, before.copies, now_ns)

    def _wait(self, timeout: float) -> float:
        due_ns = self.publisher.due_ns() if self.phase == Phase.OPEN else None
        left_ns = SECOND_NS if due_ns is None else due_ns - self.clock()
        if self.settings.spin or left_ns < _BUSY_NS:
            return 0.0
        return min(timeout, 0.05, (left_ns - _BUSY_NS // 2) / SECOND_NS)

    def _enter(self, phase: Phase, now_ns: int) -> None:
        seconds = {
            Phase.WAITING: self.settings.delay_s,
            Phase.STAYING: self.settings.heartbeat_after_end_s,
            Phase.ENDING: self.settings.end_repeat_s,
        }
        self.phase = phase
        self._until_ns = now_ns + int(seconds.get(phase, 0) * SECOND_NS)
        if phase == Phase.OPEN:
            self.publisher.begin(now_ns)
        elif phase == Phase.ENDING:
            self._ended_ns, self._requests = now_ns, self.broadcast.retransmit.counts["answered"]
            self.broadcast.emit(self.publisher.end(now_ns))
        elif phase == Phase.CLOSING:
            self._until_ns = now_ns + _CLOSING_NS
            self.sessions.end(now_ns)
        self.audit.line(now_ns, "phase", phase=phase.value)

    def _publish(self, now_ns: int) -> None:
        if self.phase != Phase.OPEN:
            return
        for datagram in self.publisher.poll(now_ns, self.settings.publish_burst):
            self.broadcast.emit(datagram.data)
            self.sessions.time_ns = self.publisher.ts_ns
            self.sessions.report(self.matcher.feed(datagram.blocks, self.publisher.ts_ns), now_ns)
        if self.publisher.finished:
            self._enter(Phase.STAYING, now_ns)

    def _tidy(self, now_ns: int) -> None:
        """Timers: heartbeats of the lines, the next phase, connections."""
        if now_ns >= self._checkpoint_ns:
            self._checkpoint_ns = now_ns + SECOND_NS
            self._note(now_ns)
        self.broadcast.beat(now_ns, ending=self.phase in (Phase.ENDING, Phase.CLOSING))
        for door in self.doors:
            door.due(now_ns)
        self._next_phase(now_ns)

    def _next_phase(self, now_ns: int) -> None:
        if self.phase == Phase.CLOSING and (now_ns >= self._until_ns or not self.connections.busy):
            self._close()
        elif now_ns >= self._until_ns:
            if self.phase == Phase.WAITING and len(self.sessions.open) >= self.settings.wait:
                self._enter(Phase.OPEN, now_ns)
            elif self.phase == Phase.ENDING and self._asked(now_ns):
                self._until_ns = now_ns + _ASKED_NS
            elif follower := {Phase.STAYING: Phase.ENDING, Phase.ENDING: Phase.CLOSING}.get(self.phase):
                self._enter(follower, now_ns)

    def _asked(self, now_ns: int) -> bool:
        """Whether somebody still asks for messages, who is not to be left without them; but not for ever."""
        before, self._requests = self._requests, self.broadcast.retransmit.counts["answered"]
        return self._requests > before and now_ns < self._ended_ns + _LATECOMERS_NS

    def _note(self, now_ns: int) -> None:
        """How far the feed is, for a session that is taken up again: messages after this are published once more, the same."""
        if self.publisher.next != self._noted:
            self._noted = self.publisher.next
            self.audit.line(now_ns, "published", next=self._noted)

    def _close(self, *, reset: bool = False) -> None:
        now_ns = self.clock()
        self._note(now_ns)
        for door in self.doors:
            door.close(now_ns, reset=reset)
        if self._selector:
            self._selector.close()
        self._selector = None
        self.broadcast.close()
        self.phase = Phase.DONE
        self.audit.line(now_ns, "phase", phase=Phase.DONE.value)
        self.audit.close()
