"""The test bed: a real exchange, a real trader and the connections between them, all on loopback, which can be broken.

Both read one clock and take turns: what is sent in one turn has arrived before the next one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from hftlab.engine.engine import synthetic
from hftlab.loadtest.faults.recorder import Recorder
from hftlab.loadtest.faults.relay import Relay, TestClient
from hftlab.net.endpoints import System
from hftlab.net.exchange.audit import SessionState
from hftlab.net.exchange.server import Exchange, Phase
from hftlab.net.exchange.settings import ExchangeSettings
from hftlab.net.trader.gates import HoldReason
from hftlab.net.trader.settings import TraderSettings
from hftlab.net.trader.trader import Trader
from hftlab.settings import OrderConfig, RiskConfig

ACCOUNTS = {"TRADER": "TR4D3RSWRD", "RIVAL": "R1V4LSWORD"}
#: An engine that sends an order every few messages, so that whatever happens meets some on their way.
EAGER: dict[str, Any] = {
    "order_config": OrderConfig(threshold=0.1, cooldown=2),
    "risk_config": RiskConfig(position_limit=500, max_orders_per_sec=10_000),
}
_REAL_LIMIT_S = 60.0  # of the machine's time, for one scenario
_ARRIVE_S = 0.02  # for what was sent on loopback to arrive
MS_NS = 1_000_000
_IDLE_NS = MS_NS


class Missed(Exception):  # noqa: N818 - it reads as what it is
    """Something did not happen in time; the sentence says what."""


class Ends(StrEnum):
    """How a scenario ends."""

    WHOLE = "book as without the fault"
    STALE = "stale to the end"  # nothing is traded any more
    REFUSED = "login refused"


class Clock:
    """Monotonic ns. real : the machine's clock, and what was jumped; else it stands still until it is advanced.

    A clock of its own makes a second of silence free, and the same seed the same run.
    """

    def __init__(self, real: bool = False) -> None:
        self.real = real
        self._ns = 0 if real else 1_000_000_000_000

    def __call__(self) -> int:
        return self._ns + time.monotonic_ns() if self.real else self._ns

    def advance(self, ns: int) -> None:
        """So much has passed; the machine's clock advances by itself."""
        if not self.real:
            self._ns += ns

    def jump(self, ns: int) -> None:
        """So much has passed at once: the machine was asleep."""
        self._ns += ns


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    name, how : what goes wrong, and how it is made to
    act       : drives the bed through it, from the moment at which the trader trades
    ends      : see `Ends`; WHOLE: the book is the fault-free one, and is traded on
    begins    : once this share of the feed has been published
    exchange, trader : settings that differ; messages, rate : of the feed, per second
    retraces  : whether the journal, run again over the feed, must give the same orders
    """

    name: str
    how: str
    act: Callable[[TestBed], None]
    ends: Ends = Ends.WHOLE
    begins: float = 1 / 3
    exchange: dict[str, Any] = field(default_factory=dict)
    trader: dict[str, Any] = field(default_factory=dict)
    messages: int = 1_500
    rate: int = 5_000
    retraces: bool = True


class TestBed:
    """A real exchange, a real trader and the connections between them; `start` opens all, `close` closes it whatever happened.

    seen     : what was seen of the fault, by name
    failures : what is wrong, one sentence each
    reasons  : why the trader has held its orders back since the fault began
    """

    __test__ = False  # for pytest: a class, not a test

    def __init__(self, fault: Fault, backend: Any, seed: int, folder: Path, *, real: bool = False) -> None:
        self.fault, self.backend, self.seed, self.folder = fault, backend, seed, folder
        self.clock, self.wall_clock_ahead_s = Clock(real), 0.0
        self.feed = synthetic("burst", fault.messages, seed=seed)
        self.audit, self.journal = str(folder / "audit"), str(folder / "journal")
        self.seen: Counter[str] = Counter()
        self.failures: list[str] = []
        self._held_ns: int | None = None  # since when the trader has held its orders back
        self._longest_ns = 0
        self.reasons: set[HoldReason] = set()
        self.injected_ns: int | None = None
        self.over_ns: int | None = None
        self.clients: list[TestClient] = []
        self.skipped = ""  # why it cannot be tried here
        self.sent = 0  # datagrams on the lines by exchanges that are gone, and those that have not arrived
        self.trading, self.summary = True, dict[str, Any]()
        self._closing: list[Callable[[], object]] = []  # the exchange first, so that the trader does not wait for it
        self._limit_s = time.monotonic() + _REAL_LIMIT_S

    def start(self) -> None:
        """Open both, and let the feed begin."""
        pace, ours = f"{self.fault.rate}/s", {"password": ACCOUNTS["TRADER"], "journal": self.journal, **self.fault.trader}
        usual = {"pace": pace, "wait": 1, "heartbeat_after_end_s": 3_600.0, "session": "DAY1", "line_seed": self.seed}
        self._open(ExchangeSettings.on_free_ports(**{**usual, "audit": self.audit, **self.fault.exchange}))
        self._closing.append(lambda: self.exchange.crash())
        place = self.exchange.addresses
        self.relay = Relay(place["orders"])
        self._closing.append(self.relay.close)
        at = {"lines": (place["line_a"], place["line_b"]), "requests": place["requests"], "orders": self.relay.address}
        self.trader = Trader(TraderSettings(**{**at, **ours}), self.backend, system=System(self.clock), **EAGER)
        self.recorder = Recorder(self.trader, self.exchange.session.ljust(10).encode(), lambda: self.exchange.publisher.next)
        self._closing += [lambda: self.trader.gateway.close(self.clock()), self.trader.stop]
        self.trader.start()
        self.trader.journal.wall_clock = self.wall_clock

    def _open(self, settings: ExchangeSettings, state: SessionState | None = None) -> None:
        self.exchange = Exchange(self.feed, ACCOUNTS, settings, state=state, system=System(self.clock))
        self.exchange.start()
        self.exchange.audit.wall_clock = self.wall_clock

    def close(self) -> None:
        """Whatever is still open."""
        for client in self.clients:
            client.link.close()
        for close in self._closing:
            close()

    def wall_clock(self) -> datetime:
        """The time of day as exchange and trader are told it, stepped by `wall_clock_ahead_s`."""
        return datetime.now(UTC) + timedelta(seconds=self.wall_clock_ahead_s)

    # Time -------------------------------------------------------------------------------------------------------------------

    def turn(self, step_ns: int = 0) -> None:
        """A short time passes, and each does what it has to. raises : Missed when it has all taken too long"""
        publishing = self.exchange.phase == Phase.OPEN
        self.clock.advance(step_ns or (1_000_000_000 // self.fault.rate if publishing else _IDLE_NS))
        wait = 0.0002 if self.clock.real else 0.0
        self.exchange.poll(wait)
        self.relay.pump()
        if self.trading:
            self.trading = self.trader.poll(wait)
            self._arrive()
            self._note_hold()
        self.relay.pump()
        for client in self.clients:
            client.pump()
        if time.monotonic() > self._limit_s:
            raise Missed(f"it took more than {_REAL_LIMIT_S:g} s")

    def until(self, so: Callable[[], object], what: str, ms: float = 10_000.0, step_ms: float = 0.0) -> None:
        """Turn until something is so. raises : Missed after `ms` of the clock"""
        end = self.clock() + int(ms * MS_NS)
        while not so():
            if self.clock() > end:
                state = f"held {self.trader.held}, connection {self.trader.gateway.state}"
                raise Missed(f"{what}: not within {ms:,.0f} ms ({state})")
            self.turn(int(step_ms * MS_NS))

    def run(self, ms: float, step_ms: float = 0.0) -> None:
        """Turn for so long."""
        end = self.clock() + int(ms * MS_NS)
        self.until(lambda: self.clock() >= end, "time passes", ms + 1_000, step_ms)

    def publish(self, share: float = 1.0) -> None:
        """Until this share of the feed has been published."""
        upto = int(self.fault.messages * share)
        self.until(lambda: self.exchange.publisher.next > upto, f"message {upto} is published", 60_000)

    def trades(self) -> None:
        """Until the trader trades."""
        self.until(lambda: not self.trader.held, "the trader trades", 30_000)

    def calm(self) -> None:
        """Until everything published was run, and nothing is open any more."""
        self.until(
            lambda: (
                self.trader.feed.arbiter.expected == self.exchange.publisher.next
                and not self.trader.held
                and not self.trader.orders.open
            ),
            "the trader has everything and trades",
            20_000,
        )

    def complete(self) -> None:
        """Until the whole feed has been published and run, and nothing is open any more."""
        self.publish()
        self.calm()

    def restored(self, *names: str) -> None:
        """Until the trader trades again and the session is complete; then note counts of these names."""
        self.trades()
        self.complete()
        self.note(*names)

    def inject(self) -> None:
        """The fault begins now."""
        self.injected_ns, self._longest_ns = self.clock(), 0
        self.reasons.clear()

    def finish(self) -> None:
        """The session ends, and both go home; nothing if they have."""
        if self.over_ns is not None:
            return
        self.over_ns = self.clock()
        self.exchange.finish()
        self.until(lambda: not self.trading and self.exchange.phase == Phase.DONE, "both end with the session", 30_000, 1.0)
        self.summary = self.trader.stop()

    # The exchange -----------------------------------------------------------------------------------------------------------

    def crash(self) -> None:
        """The exchange fails, as a machine does."""
        self.sent += self._on_lines()
        self._bound = self.exchange.bound
        self.exchange.crash()

    def restart(self, session: str = "") -> None:
        """It is back at the same place: with its session, from the audit log, or with a new one and the feed from its start."""
        state = None if session else SessionState.read(self.audit)
        settings = replace(self._bound, session=session or self._bound.session, wait=1 if session else 0)
        self._open(settings, state)
        self.recorder.session = self.exchange.session.ljust(10).encode()

    # What was seen ----------------------------------------------------------------------------------------------------------

    def must(self, so: object, otherwise: str) -> None:
        """Something that has to be so, or the row has failed with this sentence."""
        if not so:
            self.failures.append(otherwise)

    @property
    def counts(self) -> dict[str, int]:
        """What the arbiter, the gateway, the lines and the relay count, by name."""
        lines = Counter[str]()
        for line in self.exchange.lines.values():
            lines.update(line.counts)
        relay = {"resets": self.relay.resets}
        return {"breaks": 0, "logins": 0, **lines, **self.trader.feed.arbiter.counts, **self.trader.gateway.counts, **relay}

    def note(self, *names: str) -> None:
        """See counts of these names."""
        counts = self.counts
        for name in names:
            self.seen[name] = counts[name]

    def client(self, *, reads: bool = True, buffer: int = 0) -> TestClient:
        """One more connection to the exchange, by a client that need not behave."""
        self.clients.append(TestClient(self.exchange.addresses["orders"], reads=reads, buffer=buffer))
        return self.clients[-1]

    @property
    def recovered_ms(self) -> float | None:
        """The longest time for which orders were held back since the fault began; None if they still were at the end."""
        still = self._held_ns is not None and self._held_ns >= (self.injected_ns or 0)
        return None if still else self._longest_ns / MS_NS

    def _note_hold(self) -> None:
        if self.over_ns is not None:
            return
        if self.trader.held:
            self._held_ns = self.clock() if self._held_ns is None else self._held_ns
            self.reasons.add(self.trader.held)
        elif self._held_ns is not None:
            if self._held_ns >= (self.injected_ns or 0):
                self._longest_ns = max(self._longest_ns, self.clock() - self._held_ns)
            self._held_ns = None

    def _on_lines(self) -> int:
        return sum(line.counts["sent"] for line in self.exchange.lines.values()) - self.exchange.broadcast.counts["send_failed"]

    def _arrive(self) -> None:
        """Let the trader take what is on the lines, which the system may be slow to hand over."""
        if self.clock.real:
            return
        end = time.monotonic() + _ARRIVE_S
        while self.trading and (behind := self.sent + self._on_lines() - self.recorder.datagrams) > 0:
            if time.monotonic() > end:
                self.sent -= behind  # it does not come
                return
            self.trading = self.trader.poll(0.001)
