"""The table of faults: each is a plan of a longer day, and what must have happened in it for the fault to have been there.

In some of them other clients come, which need not behave: `Rival`, written from the specification.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hftlab.loadtest.faults.day import ACCOUNTS, ORDERS, Day, Plan
from hftlab.loadtest.faults.network import MS_NS, Host, Network
from hftlab.loadtest.faults.sockets import Stream
from hftlab.loadtest.faults.steps import Step
from hftlab.net.endpoints import Address
from hftlab.net.trader.gates import HoldReason

_BEGIN_US = 22_000  # the feed begins a little before
_TRADES_US = 80_000  # by then the trader trades
_SETTLE_US = 1_000_000
_LONG_US = 60_000_000  # until nothing is left that it could hit
_DAY_MS = 300_000
_BUFFER, _AT_ONCE, _MAX_WAITING = 4_096, 80, 1 << 16  # of a client that floods


class Ends(StrEnum):
    """How a day with a fault ends."""

    WHOLE = "book as without the fault"
    STALE = "stale to the end"  # nothing is traded any more
    REFUSED = "login refused"


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    name, how : what goes wrong, and how it is made to
    steps     : (from, until) as shares of the feed, kind, on what, share of the datagrams; beyond 1 it begins after the feed
    ends      : see `Ends`; WHOLE: the book is the fault-free one, and is traded on
    must      : what must have been counted, a name each; -name : must not; why : a reason for which orders must have been held
    rate      : messages/s; messages : of the feed
    exchange, trader : settings that differ
    rival     : what another client does meanwhile
    journal   : it is kept, and must give the same orders when it is run again
    """

    name: str
    how: str
    steps: tuple[tuple[float, float, str, str, float], ...] = ()
    ends: Ends = Ends.WHOLE
    must: tuple[str, ...] = ()
    why: HoldReason | None = None
    rate: int = 5_000
    messages: int = 1_500
    exchange: dict[str, Any] = field(default_factory=dict)
    trader: dict[str, Any] = field(default_factory=dict)
    rival: Callable[[Rival], None] | None = None
    journal: bool = True

    def plan(self, seed: int) -> Plan:
        """The day."""
        length_us = 1_000_000 * self.messages / self.rate
        steps = [
            Step(_BEGIN_US + int(start * length_us), kind, on, min(int((stop - start) * length_us), _LONG_US), share)
            for start, stop, kind, on, share in self.steps
        ]
        usual = {"heartbeat_after_end_s": 3_600.0}
        return Plan(
            seed, seed, "burst", self.messages, self.rate, _SETTLE_US, tuple(steps), {**usual, **self.exchange}, self.trader,
            self.journal, _DAY_MS,
        )  # fmt: skip

    def run(self, engine: Any, seed: int, tamper: Callable[[Day], None] = lambda _: None) -> Day:
        """The day, and what of the fault was there in `failures`, too."""
        rivals = []

        def start(day: Day) -> None:
            if self.rival:
                rivals.append(Rival(day.network, ORDERS))
                day.network.at(day.started_ns + 1_000 * (_BEGIN_US + 100_000), self.rival, rivals[0])
            first = max(min((step.at_us for step in day.plan.steps), default=0), _TRADES_US)
            day.network.at(day.started_ns + 1_000 * first, day.watch.begin)
            tamper(day)

        day = Day(self.plan(seed), engine, start).run()
        if not day.failures:
            day.failures += self._missing(day)
        return day

    def _missing(self, day: Day) -> Iterable[str]:
        counts, trader = day.counts, day.last
        for name in self.must:
            if bool(counts[name.lstrip("-")]) is name.startswith("-"):
                yield f"the fault did not happen, or was noticed: {name.lstrip('-')} is {counts[name.lstrip('-')]}"
        if self.why and self.why not in day.watch.reasons:
            yield f"orders were not held back for {self.why.value!r}"
        if self.ends is Ends.WHOLE and day.watch.recovered_ms is None:
            yield "it never traded again: orders were still held back at the end"
        if self.ends is Ends.WHOLE and trader and trader.live.messages < len(day.watch.tops) - 1:
            yield f"the trader has {trader.live.messages} messages; the feed has {len(day.watch.tops) - 1}"
        if self.ends is Ends.STALE and day.watch.recovered_ms is not None:
            yield "the book cannot be whole, and the trader traded on it nevertheless"
        if self.ends is Ends.REFUSED and (trader is None or not trader.failed or day.watch.sent):
            yield "the login was refused, and the trader does not report it, or has sent orders"


def _always(kind: str, share: float, lines: str = "AB") -> tuple[tuple[float, float, str, str, float], ...]:
    return tuple((-1.0, 1e9, kind, line, share) for line in lines)


def _once(start: float, stop: float, kind: str, on: str = "") -> tuple[tuple[float, float, str, str, float], ...]:
    return ((start, stop, kind, on, 1.0),)


def fault_table(dead_s: float = 1.0) -> tuple[Fault, ...]:
    """Every fault there is, in the order of the table. dead_s : how long both lines are dead"""
    return (*_of_the_feed(dead_s), *_of_the_orders(), *_of_the_environment())


def _of_the_feed(dead_s: float) -> tuple[Fault, ...]:
    rate, third = max(1, round(500 / dead_s)), 1 / 3
    both = tuple((third, 2 * third, "lose", line, 1.0) for line in "AB")
    return (
        Fault("nothing", "the control: no fault", must=("messages", "-gaps", "-relogins")),
        Fault("packet loss", "20 % of the datagrams of either line", _always("lose", 0.2), must=("lose", "gaps", "recovered")),
        Fault("duplication", "30 % come twice, on either line", _always("repeat", 0.3), must=("repeat", "duplicates")),
        Fault("reordering", "30 % are overtaken by others", _always("delay", 0.3), must=("delay", "buffered")),
        Fault("corruption", "a bit flipped in 10 %, in header or lengths", _always("flip", 0.1), must=("flip", "malformed")),
        Fault(
            "truncated packets", "10 % of either line cut anywhere", _always("shorten", 0.1), must=("truncated", "malformed")
        ),
        Fault(
            "oversized packets", "10 % too long, up to 65,507 bytes, or their counts are", _always("lengthen", 0.1),
            must=("lengthen", "malformed"),
        ),
        Fault("line A dead", "from a third of the feed on", _once(third, 1e9, "lose", "A"), must=("lose", "-gaps")),
        Fault("line B dead", "from a third of the feed on", _once(third, 1e9, "lose", "B"), must=("lose", "-gaps")),
        Fault("both lines dead", f"for {dead_s:g} s, while the feed goes on", both, rate=rate, must=("gaps", "recovered")),
        Fault("gap above window", "500 messages missing, a window of 64", both, trader={"window": 64}, must=("gaps", "overflow")),
        Fault("end not heard", "both lines are dead when the session ends", tuple((1.01, 1e9, "lose", x, 1.0) for x in "AB"),
            must=("lose",)),
        Fault("unreadable message", "on both lines, a message shorter than its type", _once(third, 2 * third, "garble", "AB"),
            must=("garble", "restarts"), why=HoldReason.FEED_UNREADABLE, journal=False),
        Fault("lost for good", "250 messages missing, nobody to ask", both, Ends.STALE, ("gaps",), trader={"requests": ""}),
    )  # fmt: skip


def _of_the_orders() -> tuple[Fault, ...]:
    thrice = (0.25, 0.5, 0.75)
    name, password = "RIVAL", ACCOUNTS["RIVAL"]
    return (
        Fault("TCP reset in an order", "the connection breaks within an order, three times",
            tuple((at, at + 0.1, "cut", "up", 1.0) for at in thrice), rate=1_000, must=("cut", "relogins")),
        Fault("TCP reset in an answer", "the connection breaks within an answer, three times",
            tuple((at, at + 0.1, "cut", "down", 1.0) for at in thrice), rate=1_000, must=("cut", "relogins")),
        Fault("late answers", "answers are held back for a third of the feed", _once(1 / 3, 2 / 3, "stall", "down"),
            must=("-relogins",)),
        Fault("no acknowledgements", "answers are held back for longer than an order may wait for one",
            _once(1 / 3, 2 / 3, "stall", "down"), must=("-relogins",), why=HoldReason.UNACKNOWLEDGED,
            trader={"ack_timeout_ms": 20.0}),
        Fault("too many rejects", "the exchange cannot write down any more, and rejects every order",
            _once(1 / 3, 1 / 2, "full", "exchange"), must=("rejected",), why=HoldReason.REJECTS,
            trader={"max_rejects": 3, "rejects_within_ms": 20.0}),
        Fault("silent exchange", "the connection stands, and nothing comes on it any more",
            _once(0.2, 0.9, "stall", "down"), rate=25, must=("relogins",)),
        Fault("slow reader", "a client sends orders, and never reads", must=("closed slow_reader", "-relogins"),
            exchange={"backlog": 500, "inbound_rate": 1e7, "inbound_burst": 10_000_000},
            rival=lambda rival: rival.flood(name, password)),
        Fault("half-open logins", "100 connections with half a login, then ours breaks", _once(2 / 3, 1.0, "break"), rate=500,
            exchange={"login_timeout_s": 2.0}, must=("relogins",), rival=lambda rival: rival.half_logins(100)),
        Fault("unanswered login", "our connections are taken, our logins not answered", _once(1 / 3, 1 / 2, "swallow"), rate=20,
            must=("relogins",)),
        Fault("wrong password", "ours is wrong, and a client guesses 100 times", (), Ends.REFUSED,
            must=("closed login_rejected", "-logins"), exchange={"wait": 0}, trader={"password": "WR0NG0NE"},
            rival=lambda rival: rival.guesses("TRADER", 100), journal=False),
        Fault("order message missing", "the exchange cannot repeat a message that we ask for", _once(1 / 3, 0.4, "forget"),
            Ends.STALE, ("forget",), HoldReason.MISSED_REPORTS),
        Fault("orders unanswered at the end", "the connection breaks, and is not back when the feed ends",
            ((0.85, 0.95, "stall", "down", 1.0), (0.9, 1.2, "swallow", "", 1.0)), must=("relogins",)),
    )  # fmt: skip


def _of_the_environment() -> tuple[Fault, ...]:
    forever = {"run_forever": True}
    return (
        Fault("exchange restart", "it fails, and takes up its session again from the audit log",
            _once(1 / 2, 1.5, "crash", "exchange"), must=("relogins", "-restarts")),
        Fault("session change", "it fails, and comes back with a new session", _once(1 / 2, 1.5, "change", "exchange"),
            trader=forever, must=("relogins", "foreign_session"), journal=False),
        Fault("session ended", "in order, in the midst of the feed; another one follows", _once(1 / 2, 4.0, "end", "exchange"),
            trader=forever, must=("logins", "foreign_session"), journal=False),
        Fault("trader restart", "it fails, and comes back", _once(1 / 2, 0.6, "crash", "trader"), must=("recovered", "logins"),
            journal=False),
        Fault("clock step", "the wall clocks step an hour forth, and back",
            ((1 / 2, 2 / 3, "clock", "exchange", 1.0), (1 / 2, 2 / 3, "clock", "trader", 1.0)), must=("-relogins", "-gaps")),
        Fault("machine asleep", "a minute passes at once, for both", _once(1 / 2, 200.5, "pause", "exchange and trader")),
        Fault("trader asleep", "for half a second, while the feed goes on", _once(1 / 3, 2 / 3, "pause", "trader"), rate=1_000,
            must=("late",), why=HoldReason.FEED_LATE),
        Fault("audit disk full", "for a sixth of the feed", _once(1 / 3, 1 / 2, "full", "exchange"),
            must=("log failures", "rejected")),
        Fault("journal disk full", "for a sixth of the feed", _once(1 / 3, 1 / 2, "full", "trader"), why=HoldReason.JOURNAL),
    )  # fmt: skip


class Rival:
    """Some clients on a machine of their own. received : what each was sent; closed : how many connections were ended by it"""

    def __init__(self, network: Network, orders: Address) -> None:
        self.host, self.orders = Host(network, "rival"), orders
        self.received: list[bytearray] = []
        self._waiting: list[bytearray] = []
        self._streams: list[Stream] = []
        self._flood: Iterator[int] | None = None

    @property
    def closed(self) -> int:
        return sum(stream.closed for stream in self._streams)

    def connect(self, *words: bytes, reads: bool = True) -> None:
        """One more connection, on which this is said."""
        stream: Stream = self.host.client()
        if not reads:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        stream.connect_ex(self.orders)
        self._streams.append(stream)
        self._waiting.append(bytearray(b"".join(words)))
        self.received.append(bytearray())
        self.host.run = self._turn
        self.host.wake(self.host.network.now)

    def flood(self, name: str, password: str) -> None:
        """Logs in, sends orders without end, and never reads."""
        self.connect(_login(name, password), reads=False)
        self._flood = iter(range(1, 60_000))

    def half_logins(self, count: int) -> None:
        """As many connections with a part of a login each, and never more."""
        for number in range(count):
            self.connect(b"\0\x2fLTRADER"[: 1 + number % 9])

    def guesses(self, name: str, count: int) -> None:
        """As many logins with a wrong password."""
        for number in range(count):
            self.connect(_login(name, f"GUESS{number}"))

    def _turn(self) -> int | None:
        for stream, waiting, received in zip(self._streams, self._waiting, self.received, strict=True):
            if stream.closed or not stream.connected:
                continue
            if self._flood and len(waiting) < _MAX_WAITING:
                waiting += b"".join(_order(ref) for _, ref in zip(range(_AT_ONCE), self._flood, strict=False))
            try:
                if waiting:
                    del waiting[: stream.send(waiting)]
                if stream.window > _BUFFER:
                    received += (data := stream.recv(1 << 16))
                    if not data:
                        stream.close()
            except BlockingIOError:
                pass
            except OSError:
                stream.close()
        return self.host.network.now + MS_NS


def _login(name: str, password: str) -> bytes:
    """A Login Request for the current session, from its first message."""
    return _packet(b"L", f"{name:<6}{password:<10}{'':>10}{1:>20}".encode())


def _order(ref: int) -> bytes:
    """An Enter Order of 47 bytes without options: buy a share at the least price, or cancel."""
    fields = (b"O", ref, b"B", 1, b"HLAAA".ljust(8), 1, b"3", b"Y", b"P", b"N", b"N", b" " * 14, 0)
    return _packet(b"U", struct.pack(">cIcI8sQccccc14sH", *fields))


def _packet(kind: bytes, payload: bytes) -> bytes:
    """A SoupBinTCP packet: u16 length, a letter, payload."""
    return struct.pack(">Hc", 1 + len(payload), kind) + payload
