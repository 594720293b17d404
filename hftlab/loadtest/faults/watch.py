"""What must hold, after every turn of a process and at the end of the day, whatever went wrong.

The truth is what the exchange has sent on its order sessions, read by offsets of the specification, and the feed as it is without
any network. The trader's own view is compared with it, and what it sends with what it had received by then. A trader that sends
an order while it has seen a message beyond one that it lacks has traded on a stale book; and one that sends on messages which had
to wait for such a one, on old news.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.net.exchange.publisher import messages
from hftlab.net.trader.feed import ANSWERS
from hftlab.net.trader.gates import HoldReason
from hftlab.net.trader.order_records import Order, OrderState
from hftlab.net.trader.trader import Trader

_US = "TRADER"
_HEADER, _END = struct.Struct(">10sQH"), 0xFFFF  # of MoldUDP64
_NEW_SESSION = 3  # datagrams of another session after which the old one's book must not be traded on
_ACCEPTED, _EXECUTED = struct.Struct(">8xIcI8s"), struct.Struct(">8xIIQcQ")
_SETTLED = (OrderState.EXECUTED, OrderState.CANCELED, OrderState.REJECTED, OrderState.ACCEPTED)
Levels = list[tuple[int, int, int, int]]


class Truth:
    """What the exchange has sent, all of it, once.

    accepted, rejected : how often, by (session, UserRefNum); filled : shares, likewise
    fills              : every (session, match number)
    shares             : by symbol, negative for a short position
    """

    def __init__(self) -> None:
        self.accepted: Counter[tuple[str, int]] = Counter()
        self.rejected: Counter[tuple[str, int]] = Counter()
        self.filled: Counter[tuple[str, int]] = Counter()
        self.shares: Counter[str] = Counter()
        self.fills: set[tuple[str, int]] = set()
        self.failures: list[str] = []
        self._read: Counter[str] = Counter()
        self._terms: dict[tuple[str, int], tuple[str, int]] = {}

    def update(self, session: str, stream: list[bytes]) -> bool:
        """What is new in the messages of a session; whether anything is."""
        if (start := self._read[session]) >= len(stream):
            return False
        for raw in stream[start:]:
            self._take(session, raw)
        self._read[session] = len(stream)
        return True

    def _take(self, session: str, raw: bytes) -> None:
        kind = raw[:1]
        if kind == b"A":
            ref, side, _, symbol = _ACCEPTED.unpack_from(raw, 1)
            self.accepted[session, ref] += 1
            self._terms[session, ref] = symbol.decode().strip(), 1 if side == b"B" else -1
            if self.accepted[session, ref] > 1:
                self.failures.append(f"order {ref} was accepted {self.accepted[session, ref]} times")
        elif kind == b"J":
            self.rejected[session, int.from_bytes(raw[9:13], "big")] += 1
        elif kind == b"E":
            ref, quantity, _, _, match = _EXECUTED.unpack_from(raw, 1)
            symbol, sign = self._terms[session, ref]
            self.filled[session, ref] += quantity
            self.shares[symbol] += sign * quantity
            if (session, match) in self.fills:
                self.failures.append(f"the exchange gave match number {match} twice")
            self.fills.add((session, match))


class Received:
    """The numbers of one session that have come. whole : the first that is missing; top : the one after the highest."""

    def __init__(self) -> None:
        self.whole, self.top, self.packets = 1, 1, 0
        self._early: set[int] = set()

    def take(self, sequence: int, count: int) -> None:
        self.packets += 1
        self.top = max(self.top, sequence + count)
        self._early.update(range(max(sequence, self.whole), sequence + count))
        while self.whole in self._early:
            self._early.discard(self.whole)
            self.whole += 1


class Recorder:
    """Listens at both ends of a trader, by its hooks.

    session   : the one that is published now, 10 bytes
    published : gives the number after the last message published in it; a higher one in a datagram is damage, not news
    stale     : one sentence for each order that left while messages were missing
    sent      : the bytes of every order that left
    datagrams : what came on the two lines; line : the number of the socket that was read last
    """

    def __init__(self, trader: Trader, session: bytes, published: Callable[[], int]) -> None:
        self.trader, self.session, self.published = trader, session, published
        self.sessions = defaultdict[bytes, Received](Received)
        self.stale: list[str] = []
        self.sent: list[bytes] = []
        self.datagrams = self.line = 0
        self._late = False  # whether a message was missing before the latest datagram
        self.counts: Counter[str] = Counter()
        trader.feed.on_datagram, trader.gateway.on_send = self._received, self._sending

    def _received(self, line: int, datagram: bytes) -> None:
        self.datagrams, self.line = self.datagrams + (line < 2), line
        now = self.sessions[self.session]
        self._late = now.top > now.whole
        header = read(datagram)
        if header and header[0] == self.session and header[1] + header[2] <= self.published():
            now.take(header[1], header[2])
        else:
            self.counts["damaged"] += 1

    def _sending(self, payload: bytes) -> None:
        if payload[:1] == b"O":
            self._judge(int.from_bytes(payload[1:5], "big"))
            self.sent.append(payload)

    def _judge(self, ref: int) -> None:
        ours, now = self.trader.feed.arbiter.session or b"", self.sessions[self.session]
        if ours != self.session and now.packets >= _NEW_SESSION:
            self.stale.append(f"order {ref} left on the book of session {ours!r}, when {self.session!r} had begun")
        seen = self.sessions[ours]
        if seen.top > seen.whole:
            self.stale.append(f"order {ref} left while message {seen.whole} was missing, and {seen.top - 1} had come")
        elif self._late:
            self.stale.append(f"order {ref} left on messages that had to wait for one that was missing")


@lru_cache(maxsize=4_096)  # both lines carry the same
def read(datagram: bytes) -> tuple[bytes, int, int] | None:
    """(session, number, messages) of a datagram that is whole, else None."""
    if len(datagram) < _HEADER.size:
        return None
    session, sequence, count = _HEADER.unpack_from(datagram)
    at, messages = _HEADER.size, 0 if count == _END else count
    for _ in range(messages):
        if at + 2 > len(datagram):
            return None
        at += 2 + int.from_bytes(datagram[at : at + 2], "big")
    return (session, sequence, messages) if at == len(datagram) else None


class Watch:
    """Looks on.

    failures : what is wrong, a sentence each; limit : shares of one symbol that may be held, either way
    sent     : every Enter Order that left, by session and UserRefNum: which of the traders has sent it
    reasons, longest_ns : why the trader held orders back, and for how long at most, since `since_ns`
    """

    def __init__(self, feed: Feed, failures: list[str], now: Callable[[], int], limit: int) -> None:
        self.feed, self.failures, self.now, self.limit = feed, failures, now, limit
        self.tops = tops(feed)
        self.truth = Truth()
        self.truth.failures = failures
        self.sent: dict[tuple[str, int], int] = {}
        self._traders = 0
        self.session_name, self.published = "", 1
        self.recorder: Recorder | None = None
        self.trader: Any = None
        self.sessions = 1  # there were so far
        self.reasons: set[HoldReason] = set()
        self.longest_ns = 0
        self.over = False  # the session ends, as it should
        self.since_ns = now()  # holds that began earlier do not count
        self._held_ns: int | None = None
        self._finished_ns: int | None = None
        self._checked = 0

    # As it goes -------------------------------------------------------------------------------------------------------------

    def exchange_opened(self, exchange: Any) -> None:
        """It is there, or there again."""
        self.session_name, self._publisher = exchange.session, exchange.publisher
        if self.recorder is not None:
            self.recorder.session = self._feed_session()

    def after_exchange(self, exchange: Any) -> None:
        """It has had a turn."""
        stream = exchange.sessions.streams.get(_US)
        if stream and self.truth.update(self.session_name, stream):
            for symbol, shares in self.truth.shares.items():
                if abs(shares) > self.limit:
                    self.failures.append(f"the position in {symbol} is {shares}, the limit {self.limit}")

    def trader_opened(self, trader: Any) -> None:
        """It is there, or there again."""
        self.trader, self._checked, self._traders = trader, 0, self._traders + 1
        self.recorder = Recorder(trader, self._feed_session(), lambda: self._publisher.next)
        noted = trader.gateway.on_send

        def sending(payload: bytes) -> None:
            noted(payload)
            if payload[:1] == b"O":
                self._sent(payload)

        trader.gateway.on_send = sending

    def after_trader(self, trader: Any) -> None:
        """It has had a turn: its book is the true one, or it does not trade."""
        assert self.recorder is not None
        self._note_hold(trader.held)
        if trader.feed.arbiter.finished:
            self._finished_ns = self._finished_ns or self.now()
        if self.recorder.stale:
            self.failures.append(self.recorder.stale[0])
        count = trader.live.messages
        if trader.held is None and count != self._checked:
            self._checked = count
            for instrument, top in self.tops[count].items():
                if trader.live.session.best(instrument) != top:
                    self.failures.append(f"the trader trades on a book that is not the true one after message {count}")

    def trader_leaves(self, trader: Any, reachable: bool) -> None:
        """It ends: not before it has learned what became of its orders, where that can be learned in time."""
        waiting = [order.ref for order in trader.orders.open if order.state is OrderState.SENT]
        over = trader.gates.stopping or trader.gateway.over or not reachable
        if waiting and not over and self.now() - (self._finished_ns or 0) < trader.settings.ns("connect_timeout"):
            self.failures.append(f"the trader went home without learning what became of order {waiting[0]}")

    def begin(self) -> None:
        """What goes wrong begins now: see `reasons`."""
        self.since_ns, self.longest_ns = self.now(), 0
        self.reasons.clear()

    @property
    def recovered_ms(self) -> float | None:
        """The longest time for which orders were held back since; None if they still were at the end."""
        still = self._held_ns is not None and self._held_ns >= self.since_ns
        return None if still else self.longest_ns / 1e6

    def _note_hold(self, why: HoldReason | None) -> None:
        if self.over:
            return
        if why is not None:
            self._held_ns = self.now() if self._held_ns is None else self._held_ns
            self.reasons.add(why)
        elif self._held_ns is not None:
            if self._held_ns >= self.since_ns:
                self.longest_ns = max(self.longest_ns, self.now() - self._held_ns)
            self._held_ns = None

    def _sent(self, order: bytes) -> None:
        ref = _ref(order)
        key = self.session_name, ref
        arrived = key in self.truth.accepted or key in self.truth.rejected  # else who is back may take the number again
        if key in self.sent and (arrived or self.sent[key] == self._traders):
            self.failures.append(f"order {ref} was sent twice")
        self.sent[key] = self._traders
        feed, line = self.trader.feed, self.recorder.line if self.recorder else 0
        waited_ns = self.now() - (feed.requests if line == ANSWERS else feed.lines[line]).came_ns
        if waited_ns > feed.settings.ns("max_age"):
            self.failures.append(f"order {ref} left on a message that had waited for {waited_ns / 1e6:g} ms")
        for other in self.trader.orders.open:
            waited_ns = self.now() - other.sent_ns if other.sent_ns and self.trader.gateway.ready else 0
            if other.state is OrderState.SENT and waited_ns > self.trader.settings.ns("ack_timeout"):
                self.failures.append(f"order {ref} left while order {other.ref} was unanswered for {waited_ns / 1e6:g} ms")
        if self.trader.gateway.client.missed:
            self.failures.append(f"order {ref} left while order messages of the exchange were missing")

    def _feed_session(self) -> bytes:
        return self.session_name.ljust(10).encode()

    # At the end -------------------------------------------------------------------------------------------------------------

    def at_the_end(self, trader: Any) -> None:
        """The day is over."""
        if not trader.gateway.counts["logins"] and trader.restarts == 0 and not trader.orders.by_ref:
            return  # it came too late to learn anything, and has done nothing
        views = (self._book(trader), self._fates(trader), self._positions(trader), self._secrets(trader))
        checks = (self._unseen(), *views)
        self.failures += [sentence for check in checks for sentence in check]

    def _book(self, trader: Any) -> Iterator[str]:
        if trader.feed.arbiter.finished and not trader.feed.arbiter.lost and not trader.live.corrupted:
            for instrument, levels in book_after(self.feed, trader.live.messages).items():
                if trader.live.book(instrument) != levels:
                    yield f"the book of {trader.live.names.get(instrument, instrument)} differs from the one without the network"
                    return

    def _unseen(self) -> Iterator[str]:
        if unseen := sorted(set(self.truth.accepted) - set(self.sent)):
            yield f"order {unseen[0][1]} was accepted, and was never sent"

    def _fates(self, trader: Any) -> Iterator[str]:
        """Every order that this trader has sent is acknowledged, rejected, or reported as one of which nothing is known."""
        assert self.recorder is not None
        for ref in sorted(set(map(_ref, self.recorder.sent))):
            order = trader.orders.by_ref.get(ref)
            if order is None:
                yield f"order {ref} was sent, and the trader has forgotten it"
            elif wrong := self._wrong(order, trader.gateway.client.missed):
                yield f"order {ref} {wrong}"
            else:
                continue
            return

    def _wrong(self, order: Order, missed: bool) -> str:
        """What does not fit between what the trader says of an order and what the exchange says."""
        ref, state = order.ref, order.state

        def reported(counts: Counter[tuple[str, int]]) -> int:
            return sum(n for (_, number), n in counts.items() if number == ref)

        if state is OrderState.LOST:
            return "is reported as lost; the exchange has accepted it" if reported(self.truth.accepted) else ""
        if state is OrderState.UNKNOWN or missed:
            return ""  # reported as such: that is all anybody could do
        if state not in _SETTLED:
            return f"is {state.value} for ever, without a report"
        if not reported(self.truth.rejected if state is OrderState.REJECTED else self.truth.accepted):
            return f"is {state.value} to the trader; the exchange never said so"
        filled = reported(self.truth.filled)
        return f"was filled {filled} shares; the trader says {order.filled}" if filled != order.filled else ""

    def _positions(self, trader: Any) -> Iterator[str]:
        """Exchange, trader and engine hold the same, but for orders of which nothing is known."""
        if trader.gateway.client.missed:
            return
        orders, doubt = trader.orders, Counter[str]()
        for order in orders.by_ref.values():
            doubt[order.symbol] += order.quantity if order.state is OrderState.UNKNOWN else 0
        for symbol in sorted({*orders.shares, *self.truth.shares}):
            ours, theirs = orders.shares[symbol], self.truth.shares[symbol]
            if abs(ours - theirs) > doubt[symbol]:
                yield f"the trader holds {ours} {symbol}; by the exchange it is {theirs}"
        orders.reconcile()  # what the engine had no time to learn
        names = trader.live.names
        held = {symbol: shares for symbol, shares in orders.shares.items() if shares and symbol in names.values()}
        engine = {names[instrument]: shares for instrument, shares in trader.live.positions.items()}
        if engine != held:
            yield f"the engine holds {engine}; by the trader it is {held}"

    def _secrets(self, trader: Any) -> Iterator[str]:
        """No password in anything that is written or shown."""
        written = "".join(data.decode() for data in trader.system.files.values())
        if trader.settings.password in f"{trader.settings!r} {trader.gateway.client!r} {written}":
            yield "a password can be read in what was written or shown"


def _ref(order: bytes) -> int:
    """UserRefNum of an Enter Order."""
    return int.from_bytes(order[1:5], "big")


@lru_cache(maxsize=64)
def tops(feed: Feed) -> list[dict[int, tuple[int, int, int, int]]]:
    """The best of every instrument after 0, 1, ... messages of a feed to which nothing has happened, in the reference engine."""
    session: Any = Engine("python").open()
    out: list[dict[int, tuple[int, int, int, int]]] = [{}]
    for _, framed in messages(feed):
        session.push(framed)
        out.append({instrument: session.best(instrument) for instrument in session.names()})
    return out


@lru_cache(maxsize=1_024)
def book_after(feed: Feed, count: int) -> dict[int, Levels]:
    """All levels of every instrument after the first `count` messages of such a feed."""
    session: Any = Engine("python").open()
    session.push(b"".join(framed for _, (_, framed) in zip(range(count), messages(feed), strict=False)))
    return {instrument: session.depth(instrument) for instrument in session.names()}
