"""The receiving path in one thread: ring, arbiter and engine, driven at intended send times; a publisher answers requests."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.session import Session
from hftlab.feeds.itch import ItchFeed
from hftlab.loadtest.schedule import Times
from hftlab.loadtest.target import EngineTarget
from hftlab.net.trader.ingress import Ingress
from hftlab.protocols.arbiter import Arbiter, Delivery
from hftlab.protocols.moldudp64 import HEADER, Request, decode, end

SESSION = b"STRESS0001"
#: A request and its answer are under way for so long.
ROUND_TRIP_NS = 200_000
_END_EVERY_NS = 5_000_000  # the end of the session is said again and again, as the protocol wants it
_PATIENCE_NS = 10_000_000_000  # after the last datagram was due
#: What the book is while a message is applied.
FRESH, LATE, STALE = "fresh", "late", "stale"


@dataclass(frozen=True)
class Seen:
    """What a run saw.

    total, missing  : messages of the session, and those that never reached the engine
    ingress, arbiter: counts by reason
    stale           : whether the book still was at the end; stale_ns: how long it was
    timeline        : (ns, datagrams waiting, FRESH, LATE or STALE) whenever something was taken
    held            : [from, until) message numbers (from 0) that were applied while no order might leave
    session         : the engine as it ended
    """

    total: int
    missing: int
    ingress: dict[str, int]
    arbiter: dict[str, int]
    peak: int
    peak_bytes: int
    longest_wait_ns: int
    stale: bool
    stale_ns: int
    timeline: list[tuple[int, int, str]]
    held: list[tuple[int, int]]
    session: Session


class Publisher:
    """The store behind the retransmission port: it answers with the datagrams as they were sent."""

    def __init__(self, datagrams: list[bytes]) -> None:
        self.datagrams = datagrams
        self.firsts = [HEADER.unpack_from(datagram)[1] for datagram in datagrams]
        self.next = decode(datagrams[-1]).next

    def answer(self, request: Request) -> list[bytes]:
        """The datagrams that hold what is asked for, as far as there is such."""
        first = max(bisect_right(self.firsts, request.sequence) - 1, 0)
        return self.datagrams[first : bisect_left(self.firsts, request.sequence + request.count)]


class Path:
    """Ring, arbiter and one engine."""

    def __init__(self, target: EngineTarget, ring: int, late_ns: int) -> None:
        self.target, self.ring, self.late_ns = target, ring, late_ns

    def flat_out(self, datagrams: list[bytes]) -> float:
        """Datagrams/s when all are due at once and none is dropped: of three times the best, since it is to be exceeded."""
        took = []
        for _ in range(3):
            run = _Run(self.target, Ingress(len(datagrams) + 1, 1 << 30), datagrams)
            start = perf_counter_ns()
            run.drive(np.zeros(len(datagrams), np.int64))
            took.append(perf_counter_ns() - start)
        return len(datagrams) * 1e9 / min(took)

    def run(self, datagrams: list[bytes], due: Times) -> Seen:
        """Each datagram offered when it is due, until all has arrived or nothing more will."""
        run = _Run(self.target, Ingress(self.ring, late_ns=self.late_ns), datagrams)
        run.drive(due)
        return run.seen()

    def judge(self, feed: ItchFeed, seen: Seen) -> tuple[int, int, str]:
        """Orders, those that might not leave, and in what the engine ended otherwise than without overload."""
        run = self.target.engine.run(feed, record="none")
        told = seen.session.finish()
        wanted = {"counts": list(run.counts.values()), "order bytes": run.order_stream, "faults": sum(run.faults.values())}
        ended = {"counts": list(told["counts"]), "order bytes": told["order_stream"], "faults": sum(told["faults"])}
        instruments = sorted(seen.session.names())
        straight = [run.book(run.name(one)).rows() for one in instruments]
        names = {1: "bid", 2: "ask"}
        ours = [[(names[side], *rest) for side, *rest in seen.session.depth(one)] for one in instruments]
        differs = [name for name in wanted if wanted[name] != ended[name]] + ["depth"] * (straight != ours)
        index = run.orders["index"].to_numpy()
        withheld = sum(int(np.count_nonzero((index >= low) & (index < high))) for low, high in seen.held)
        return len(index), withheld, ", ".join(differs)


class _Run:
    """One pass of all datagrams."""

    def __init__(self, target: EngineTarget, ingress: Ingress, datagrams: list[bytes]) -> None:
        self.session = target.engine.open(target.engine.settings(record="none"))
        self.ingress, self.arbiter, self.publisher = ingress, Arbiter(SESSION), Publisher(datagrams)
        self.answers: list[tuple[int, int, bytes]] = []  # when it comes, in which order, the datagram
        self.asked = 0
        self.timeline: list[tuple[int, int, str]] = []
        self.held: list[tuple[int, int]] = []

    def drive(self, due: Times) -> None:
        datagrams, times, ingress = self.publisher.datagrams, due.tolist(), self.ingress
        sent, begin, clock = 0, perf_counter_ns(), perf_counter_ns
        last, said = times[-1], 0
        goodbye = end(SESSION, self.publisher.next)
        while not self.arbiter.finished:
            now = clock() - begin
            while sent < len(times) and times[sent] <= now:
                ingress.offer(0, datagrams[sent], times[sent])
                sent += 1
            if sent == len(times) and now >= said:
                ingress.offer(0, goodbye, now)
                said = now + _END_EVERY_NS
            if (waiting := ingress.take(now)) is not None:
                self._apply(self.arbiter.receive(waiting.line, waiting.datagram, now), now)
                self.timeline.append((now, len(ingress), self._book(now)))
            self._ask(now)
            if ingress.stale and not self.arbiter.stale:
                ingress.recovered(self.arbiter.expected, now)
            if now > last + _PATIENCE_NS:
                return

    def _ask(self, now: int) -> None:
        """Requests go out, answers come in; these pass by the ring."""
        for request in self.arbiter.due(now):
            for datagram in self.publisher.answer(request):
                self.asked += 1
                heapq.heappush(self.answers, (now + ROUND_TRIP_NS, self.asked, datagram))
        while self.answers and self.answers[0][0] <= now:
            self._apply(self.arbiter.receive(2, heapq.heappop(self.answers)[2], now), now)

    def _apply(self, delivery: Delivery, now: int) -> None:
        if not delivery.count:
            return
        if self._book(now) != FRESH:
            self._hold(delivery.sequence - 1, delivery.sequence - 1 + delivery.count)
        self.session.push(delivery.blocks)

    def _book(self, now: int) -> str:
        if self.ingress.stale or self.arbiter.stale:
            return STALE
        return FRESH if self.ingress.may_trade(now) else LATE

    def _hold(self, low: int, high: int) -> None:
        if self.held and self.held[-1][1] == low:
            low = self.held.pop()[0]
        self.held.append((low, high))

    def seen(self) -> Seen:
        ring, total = self.ingress, self.publisher.next - 1
        messages: Any = self.session.messages
        return Seen(
            total=total,
            missing=total - messages,
            ingress=dict(ring.counts),
            arbiter=dict(self.arbiter.counts),
            peak=ring.peak,
            peak_bytes=ring.peak_bytes,
            longest_wait_ns=ring.longest_wait_ns,
            stale=ring.stale or self.arbiter.stale,
            stale_ns=ring.stale_ns,
            timeline=self.timeline,
            held=self.held,
            session=self.session,
        )
