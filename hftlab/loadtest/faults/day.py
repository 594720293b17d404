"""A day: the real exchange and the real trader on the network of one process, from the first login to the end of the session.

What goes wrong, and when, is the plan's list of steps (see `hftlab.loadtest.faults.steps`); what must hold meanwhile and at the
end is looked at by `hftlab.loadtest.faults.watch`. A plan says everything: the same plan gives the same day, bit for bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import StringIO
from typing import Any

from hftlab.engine.engine import Engine, synthetic
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.loadtest.faults.network import MS_NS, Host, Network
from hftlab.loadtest.faults.steps import Step, begin
from hftlab.loadtest.faults.watch import Watch
from hftlab.net.endpoints import Address
from hftlab.net.exchange.audit import SessionState
from hftlab.net.exchange.server import Exchange, Phase
from hftlab.net.exchange.settings import ExchangeSettings
from hftlab.net.trader.journal import replay_journal
from hftlab.net.trader.settings import TraderSettings
from hftlab.net.trader.trader import Trader
from hftlab.settings import OrderConfig, RiskConfig

ACCOUNTS = {"TRADER": "TR4D3RSWRD", "RIVAL": "R1V4LSWORD"}
LINE_A, LINE_B, REQUESTS, ORDERS = (Address(host, port) for host, port in (
    ("239.255.71.1", 1), ("239.255.71.2", 2), ("10.0.0.1", 3), ("10.0.0.1", 4),
))  # fmt: skip
#: An engine that sends an order every few messages, so that whatever happens meets some on their way.
EAGER: dict[str, Any] = {
    "order_config": OrderConfig(threshold=0.1, cooldown=2),
    "risk_config": RiskConfig(position_limit=500, max_orders_per_sec=10_000),
}
_EXCHANGE: dict[str, Any] = {
    "wait": 1, "heartbeat_after_end_s": 3_600.0, "session": "DAY1", "interface": "10.0.0.1", "line_a": str(LINE_A),
    "line_b": str(LINE_B), "requests": str(REQUESTS), "orders": str(ORDERS),
}  # fmt: skip
_TRADER: dict[str, Any] = {
    "lines": (str(LINE_A), str(LINE_B)), "requests": str(REQUESTS), "orders": str(ORDERS), "password": ACCOUNTS["TRADER"],
    "interface": "10.0.0.2",
}  # fmt: skip
#: What a short day waits for is short, too.
SHORT_EXCHANGE: dict[str, Any] = {"heartbeat_s": 0.01, "end_repeat_s": 0.02, "login_timeout_s": 0.1}
SHORT_TRADER: dict[str, Any] = {
    "gap_timeout_ms": 0.5, "request_interval_ms": 2.0, "silence_ms": 60.0, "resync_timeout_ms": 20.0, "reconnect_ms": 2.0,
    "max_backoff_ms": 20.0, "connect_timeout_ms": 50.0, "shutdown_timeout_ms": 30.0, "max_age_ms": 5.0, "window": 64,
    "max_rejects": 3, "rejects_within_ms": 20.0, "ack_timeout_ms": 10.0,
}  # fmt: skip
_LOOK_NS, _GAP_LOOK_NS = 20 * MS_NS, 2 * MS_NS  # the longest a process sleeps, and a trader that misses something
_SOON_NS = 1_000  # what is left in a socket is taken with the next turn
_ROUND_NS = MS_NS  # between two looks of an exchange whose messages are due in the meantime
_PATIENCE_NS = 200 * MS_NS  # with a side that waits for one that is gone for good


@dataclass(frozen=True)
class Plan:
    """Everything that decides a day.

    seed      : of the network; feed : of the synthetic feed, messages : its length, regime : its kind
    rate      : messages/s
    settle_us : from the last message until the exchange ends the session
    steps     : what goes wrong
    exchange, trader : settings that differ
    journal   : the trader keeps one, which is run again in the end
    limit_ms  : by then both are gone
    """

    seed: int = 1
    feed: int = 1
    regime: str = "calm"
    messages: int = 40
    rate: int = 4_000
    settle_us: int = 20_000
    steps: tuple[Step, ...] = ()
    exchange: dict[str, Any] = field(default_factory=lambda: SHORT_EXCHANGE)
    trader: dict[str, Any] = field(default_factory=lambda: SHORT_TRADER)
    journal: bool = False
    limit_ms: int = 10_000

    @property
    def audit(self) -> bool:
        """Whether the exchange must keep a log, to take up its session again."""
        return self.journal or any(step.on == "exchange" for step in self.steps)


class Day:
    """One day. failures : what is wrong, a sentence each; tamper : breaks what should be found broken, once both are there"""

    def __init__(self, plan: Plan, engine: Engine, tamper: Callable[[Day], None] = lambda _: None) -> None:
        self.plan, self.engine, self.tamper = plan, engine, tamper
        self.network = Network(plan.seed)
        self.network.names = {LINE_A: "A", LINE_B: "B", REQUESTS: "requests"}
        self.hosts = {name: Host(self.network, name) for name in ("exchange", "trader")}
        self.feed = day_feed(plan.regime, plan.messages, plan.feed)
        self.failures: list[str] = []
        self.started_ns = self.network.now
        self.exchange: Exchange | None = None
        self.trader: Trader | None = None
        self.last: Trader | None = None  # the one that has ended
        self.last_exchange: Exchange | None = None  # the latest there was
        self.awaited = 0  # processes that will be back
        self._end_ns: int | None = None
        self._sessions = 1
        self.watch = Watch(self.feed, self.failures, lambda: self.network.now, EAGER["risk_config"].position_limit)

    def run(self) -> Day:
        """From the first login to the end. An exception counts as a process that died of it."""
        with redirect_stderr(StringIO()):  # where a process says that its disk is full
            self._run()
        return self

    def _run(self) -> None:
        try:
            self.open_exchange()
            self.open_trader()
            self.tamper(self)
            for number, step in enumerate(self.plan.steps):
                self.network.at(self.started_ns + 1_000 * step.at_us, begin, self, number, step)
            self._go_on()
            if not self.failures and self.last is not None:
                self.watch.at_the_end(self.last)
                self._again(self.last)
        except Exception as error:
            self.failures.append(f"it died: {type(error).__name__}: {error}")

    @property
    def coming(self) -> bool:
        """Whether a trader runs, or will."""
        return self.trader is not None or self.last is None

    def _go_on(self) -> None:
        limit_ns = self.started_ns + self.plan.limit_ms * MS_NS
        while not self.failures and (self.trader or self.exchange or self.awaited) and self.network.step():
            if self.network.now > limit_ns:
                who = [name for name, process in (("exchange", self.exchange), ("trader", self.trader)) if process]
                self.failures.append(f"the day did not end: {' and '.join(who)} went on")

    # The exchange -----------------------------------------------------------------------------------------------------------

    def open_exchange(self, *, again: bool = False, session: str = "") -> None:
        """It starts; `again`: with the session that its log ends in, or with a new one where that cannot be taken up."""
        host, state = self.hosts["exchange"], None
        settings = _exchange(self.plan.rate, self.plan.audit, _frozen(self.plan.exchange))
        if again:
            try:
                if session:
                    raise ConfigError("a new session was asked for")
                state = SessionState.read(host.read("audit"))
            except ConfigError:
                self._sessions += 1
                self.watch.sessions += 1
                settings = replace(settings, session=session or f"DAY{self._sessions}")
        self.exchange = Exchange(self.feed, ACCOUNTS, settings, state=state, system=host)
        self.exchange.start()
        self.last_exchange = self.exchange
        self.watch.exchange_opened(self.exchange)
        self._end_ns = None
        host.run = self._exchange_turn
        host.wake(self.network.now)

    def _exchange_turn(self) -> int | None:
        exchange, now_ns = self.exchange, self.network.now
        assert exchange is not None
        going = exchange.poll(0.0)
        self.watch.after_exchange(exchange)
        if not going:
            self.exchange = None
            self.network.at(now_ns + _PATIENCE_NS, self._enough)
            return None
        if exchange.phase is Phase.STAYING:
            self._end_ns = self._end_ns or now_ns + 1_000 * self.plan.settle_us
            if now_ns >= self._end_ns:
                self.watch.over = True
                exchange.finish()
            return min(now_ns + _LOOK_NS, max(self._end_ns, now_ns + MS_NS))
        due_ns = exchange.publisher.due_ns() if exchange.phase is Phase.OPEN else None
        if exchange.phase is Phase.WAITING and not self.coming:
            exchange.finish()
        if _left(self.hosts["exchange"]):
            return now_ns + _SOON_NS
        return now_ns + _LOOK_NS if due_ns is None else max(due_ns, now_ns + (_ROUND_NS if exchange.settings.batch else 1))

    # The trader -------------------------------------------------------------------------------------------------------------

    def open_trader(self) -> None:
        """It starts."""
        host = self.hosts["trader"]
        trader = Trader(_trader(self.plan.journal, _frozen(self.plan.trader)), self.engine, system=host)
        self.trader = trader
        self.watch.trader_opened(trader)
        trader.start()
        host.run = self._trader_turn
        host.wake(self.network.now)

    def _trader_turn(self) -> int | None:
        trader, now_ns = self.trader, self.network.now
        assert trader is not None
        going = trader.poll(0.0)
        self.watch.after_trader(trader)
        if not going:
            self.watch.trader_leaves(trader, self.exchange is not None)
            trader.close()
            self.last, self.trader = trader, None
            return None
        if _left(self.hosts["trader"]):
            return now_ns + _SOON_NS
        return now_ns + (_GAP_LOOK_NS if trader.feed.arbiter.gap else _LOOK_NS)

    def _enough(self) -> None:
        """The exchange is gone for good; a trader that still waits for it is ended, as by Ctrl-C."""
        if self.exchange is None and self.trader is not None and not self.awaited:
            self.trader.finish()

    def _again(self, trader: Trader) -> None:
        """The journal, run again, gives the orders that were sent, byte for byte, where it has all of the feed."""
        if not self.plan.journal or trader.restarts or trader.journal.counts["lost"]:
            return
        sent = self.watch.recorder.sent if self.watch.recorder else []
        again = replay_journal(self.hosts["trader"].read("journal"), self.feed, self.engine).sent
        if again != sent:
            self.failures.append(f"the journal, run again, gives {len(again)} orders; {len(sent)} were sent, or not the same")

    @property
    def counts(self) -> dict[str, int]:
        """What arbiter, gateway, exchange and links have counted, by name."""
        counts, trader, exchange = Counter[str](), self.trader or self.last, self.exchange or self.last_exchange
        for link in self.network.links.values():
            counts.update({name: n for name, n in link.counts.items() if name != "sent"})
        if trader is not None:
            counts.update(
                {**trader.feed.arbiter.counts, **trader.feed.counts, **trader.gateway.counts, "restarts": trader.restarts}
            )
            counts["orders"], counts["relogins"] = len(trader.orders.by_ref), max(0, trader.gateway.counts["logins"] - 1)
        if exchange is not None:
            counts.update({f"closed {reason}": n for reason, n in exchange.sessions.closed.items()})
            counts.update(
                {"log failures": exchange.audit.counts["failures"], "rejected": sum(self.watch.truth.rejected.values())}
            )
        return counts

    # What the steps do ------------------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """A process fails, as a machine does."""
        self.hosts[name].kill()
        if name == "exchange":
            self.exchange = None
        else:
            self.trader = None

    def restart(self, name: str, session: str = "") -> None:
        """It is back, where it was killed or has ended; it was awaited."""
        self.awaited -= 1
        if name == "exchange" and self.exchange is None:
            self.open_exchange(again=True, session=session)
        elif name == "trader" and self.trader is None:
            self.open_trader()
        self.network.at(self.network.now + _PATIENCE_NS, self._enough)

    def break_orders(self) -> None:
        """The order connection breaks."""
        if self.trader is not None and self.trader.gateway.socket is not None:
            self.trader.gateway.socket.break_off()  # type: ignore[attr-defined]


def _left(host: Host) -> bool:
    """Whether something waits in a socket."""
    return any(opened.readable for opened in host.sockets)


def _frozen(settings: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(settings.items())


@lru_cache(maxsize=256)
def _exchange(rate: int, audit: bool, more: tuple[tuple[str, Any], ...]) -> ExchangeSettings:
    log = {"audit": "audit"} if audit else {}
    return ExchangeSettings(**{**_EXCHANGE, "pace": f"{rate}/s", **log, **dict(more)})


@lru_cache(maxsize=256)
def _trader(journal: bool, more: tuple[tuple[str, Any], ...]) -> TraderSettings:
    return TraderSettings(**{**_TRADER, **({"journal": "journal"} if journal else {}), **dict(more)})


@lru_cache(maxsize=64)
def day_feed(regime: str, messages: int, seed: int) -> Feed:
    """The feed of a day."""
    return synthetic(regime, messages, seed=seed)
