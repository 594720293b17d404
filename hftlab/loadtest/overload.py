"""More than the path can process, on purpose: the overload policy of `hftlab.loadtest.ingress`, with the real parts around it.

    publisher -> datagrams, when due -> Ingress (bounded) -> Arbiter -> engine
        ^                                                       |
        `---------------- requests for what is missing ---------'

All in one thread, in real time: what fell due while the engine worked finds the ring as the engine left it, as it would in a
receiving thread. Calm, then for `length_ms` a multiple of what this path can do, then calm again, until all of it has arrived.
At the end the engine must be where it would be without the overload: the same counts, order bytes and depth, bit for bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine, synthetic
from hftlab.errors import ConfigError, check_range
from hftlab.loadtest.ingress import Ingress
from hftlab.loadtest.report import LoadReport
from hftlab.loadtest.schedule import Times, check_above_0, check_at_least, phases_at
from hftlab.loadtest.target import differences, end_state, resolve_targets
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import gc_paused
from hftlab.net.exchange.publisher import RetransmitBuffer, RetransmitServer
from hftlab.presentation.document import Table, rows_table
from hftlab.protocols.arbiter import Arbiter, Delivery, Recovery
from hftlab.protocols.moldudp64 import end, frame, pack, split

CALM = 0.3  # load before and after, share of what the path does
SESSION = b"STRESS0001"
#: A request and its answer are under way for so long.
ROUND_TRIP_NS = 200_000
#: What the book is while a message is applied.
FRESH, LATE, STALE = "fresh", "late", "stale"
_LEAD, _TAIL = 50, 200  # datagrams before and after, at least
_DATAGRAM_BYTES = 400  # of messages, about ten of them
_END_EVERY_NS = 5_000_000  # the end of the session is repeated, as the protocol wants it
_GIVE_UP_NS = 10_000_000_000  # after the last datagram was due
_POINTS = 300  # of the chart
_COLUMNS = {
    "target": ("target", 1),
    "capacity_per_s": ("datagrams/s", 1),
    "factor": ("times offered", 1),
    "peak_queue": ("peak queue", 1),
    "longest_wait_ns": ("longest wait ms", 1e6),
    "dropped_full": ("full", 1),
    "dropped_shedding": ("shed", 1),
    "stale_ms": ("stale ms", 1),
    "recovered": ("recovered", 1),
    "lost": ("lost", 1),
    "suppressed": ("orders suppressed", 1),
    "equal": ("equal", 1),
}


@dataclass(frozen=True)
class OverloadResult:
    """One engine under overload.

    capacity        : datagrams/s of the whole path, flat out
    overload_ms     : (from, until) of the overload
    orders          : that the engine decided on; suppressed: those that were not allowed to leave
    missing         : messages that never reached the engine
    ingress, arbiter: counts by reason; peak: datagrams waiting at most
    stale           : whether the book still was at the end; stale_ns: how long it was
    timeline        : (ms, datagrams waiting, FRESH, LATE or STALE), some of the times at which a datagram was taken
    differs         : what ended otherwise than without overload
    """

    target: str
    factor: float
    capacity: float
    overload_ms: tuple[float, float]
    datagrams: int
    messages: int
    orders: int
    suppressed: int
    missing: int
    ingress: dict[str, int]
    arbiter: dict[str, int]
    peak: int
    longest_wait_ns: int
    stale: bool
    stale_ns: int
    timeline: tuple[tuple[float, int, str], ...]
    differs: tuple[str, ...]

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each."""
        wrong = [f"ends otherwise in {', '.join(self.differs)}"] if self.differs else []
        wrong += [f"{self.missing:,} messages never arrived"] if self.missing else []
        wrong += ["the book was stale at the end"] if self.stale else []
        return [f"overload of {self.target}: {what}" for what in wrong]

    def row(self) -> dict[str, Any]:
        """One row of `OverloadReport.frame`."""
        return {
            "target": self.target,
            "factor": self.factor,
            "capacity_per_s": self.capacity,
            "datagrams": self.datagrams,
            "peak_queue": self.peak,
            "longest_wait_ns": self.longest_wait_ns,
            "late": self.ingress["late"],
            "dropped_full": self.ingress["full"],
            "dropped_shedding": self.ingress["shedding"],
            "overflows": self.ingress["overflows"],
            "stale_ms": self.stale_ns / 1e6,
            **{name: self.arbiter[name] for name in ("requests", "recovered", "lost")},
            "orders": self.orders,
            "suppressed": self.suppressed,
            "equal": not self.failures,
        }


@dataclass(frozen=True, repr=False)
class OverloadReport(LoadReport):
    """Every engine under overload.

    frame : a row each: target, factor (offered / capacity), capacity_per_s, datagrams, peak_queue, longest_wait_ns, late
            (datagrams taken too late), dropped_full, dropped_shedding (datagrams), overflows, stale_ms, requests, recovered, lost
            (messages), orders, suppressed, equal (to the run without overload)
    """

    schema = "hftlab-overload/2"

    feed: str
    length_ms: float
    machine: dict[str, Any]
    results: tuple[OverloadResult, ...]

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each."""
        return [failure for one in self.results for failure in one.failures]

    def plot(self) -> Any:
        """The ring against time, and what the book was then, a panel per engine."""
        import polars as pl

        from hftlab.charts import line_chart

        rows = [(one.target, *point) for one in self.results for point in one.timeline]
        frame = pl.DataFrame(rows, schema=["panel", "x", "y", "series"], orient="row")
        spans = {one.target: one.overload_ms for one in self.results}
        subtitle = f"{self.feed}; shaded: the overload, {self.results[0].factor:g} times the capacity of the path"
        axes: dict[str, Any] = {"x": "time (ms)", "y": "datagrams waiting", "mark": "dots", "height": 160}
        return line_chart(frame, "Queue length, and how old the book is", subtitle, spans=spans, **axes)

    def tables(self) -> list[Table]:
        return [rows_table(f"overload for {self.length_ms:g} ms", self.records(), _COLUMNS)]

    def notes(self) -> list[str]:
        return [*([] if self.failures else ["after the overload every book was as without it, bit for bit"]), *super().notes()]


def overload_test(
    engines: Iterable[Any] | None = None,
    *,
    factor: float = 3.0,
    length_ms: float = 50.0,
    ring: int = 256,
    late_ns: int = 1_000_000,
    seed: int = 1,
) -> OverloadReport:
    """Offer every engine more than its path can do, and look at its book afterwards.

    engines   : as `hftlab.as_engine` takes them, or targets of them; default every engine there is
    factor    : offered load during the overload, times what the path does flat out, above 1 to 1000
    length_ms : of the overload, above 0 to 10000; ring: datagrams that may wait; late_ns: how long before the book counts as late
    raises    : ConfigError for a number out of range, or a target that is no engine
    """
    check_range("factor", factor, 1.001, 1_000)
    check_above_0("length_ms", length_ms, 10_000)
    check_at_least(1, ring=ring)
    check_at_least(0, late_ns=late_ns, seed=seed)
    targets = resolve_targets(engines)
    results = []
    with gc_paused():
        for target in targets:
            if target.engine is None:
                raise ConfigError(f"targets of an overload must be engines, got {target.label}")
            results.append(_overload(target.label, target.engine, (ring, late_ns), factor, length_ms, seed))
    return OverloadReport("calm", length_ms, fingerprint(), tuple(results))


def flat_out(engine: Engine, day: CalmDay) -> float:
    """Datagrams/s when all are due at once and none is dropped: of three times the best, since it is to be exceeded."""
    took = []
    for _ in range(3):
        path = IngressPath(engine, day, len(day.datagrams) + 1, 1_000_000)
        start = perf_counter_ns()
        path.drive(np.zeros(len(day.datagrams), np.int64))
        took.append(perf_counter_ns() - start)
    return len(day.datagrams) * 1e9 / min(took)


def _overload(label: str, engine: Engine, bounds: tuple[int, int], factor: float, length_ms: float, seed: int) -> OverloadResult:
    capacity = flat_out(engine, CalmDay(3_000, seed))
    calm, high = CALM * capacity, factor * capacity
    count = int(high * length_ms / 1e3)
    # What is left over, dropped or waiting, comes again once the load is calm.
    behind = int(calm * length_ms / 1e3 * factor) + _TAIL
    day = CalmDay(12 * (_LEAD + count + behind), seed)
    n = len(day.datagrams)
    due = phases_at((_LEAD, calm), (count, high), (n - _LEAD - count, calm))[:n]
    run = IngressPath(engine, day, *bounds)
    run.drive(due)
    orders, suppressed, differs = run.compare()
    ring, last = run.ingress, len(due) - 1
    places = np.unique(np.linspace(0, len(run.timeline) - 1, min(_POINTS, len(run.timeline))).astype(int)).tolist()
    return OverloadResult(
        target=label,
        factor=factor,
        capacity=capacity,
        overload_ms=(int(due[min(_LEAD, last)]) / 1e6, int(due[min(_LEAD + count, last)]) / 1e6),
        datagrams=n,
        messages=day.messages,
        orders=orders,
        suppressed=suppressed,
        missing=run.missing,
        ingress=dict(ring.counts),
        arbiter=dict(run.arbiter.counts),
        peak=ring.peak,
        longest_wait_ns=ring.longest_wait_ns,
        stale=run.stale,
        stale_ns=ring.stale_ns,
        timeline=tuple((at / 1e6, waiting, book) for at, waiting, book in (run.timeline[place] for place in places)),
        differs=differs,
    )


class CalmDay:
    """A calm feed as the datagrams of one session. data : its bytes; buffer : its messages, which may be asked for again"""

    def __init__(self, messages: int, seed: int) -> None:
        self.data = b"".join(map(bytes, synthetic("calm", messages, seed).blocks()))
        pieces = split(self.data)
        self.datagrams = list(pack(SESSION, 1, pieces, _DATAGRAM_BYTES))
        self.messages, self.buffer = len(pieces), RetransmitBuffer(max(1, len(pieces)))
        for piece in pieces:
            self.buffer.append(frame(piece))


class IngressPath:
    """One pass of all datagrams through ring, arbiter and one engine.

    ring, late_ns : as `overload_test`; give_up_ns: after the last datagram was due, or the last message was used
    timeline      : (ns, datagrams waiting, FRESH, LATE or STALE) whenever a datagram was taken
    held          : [from, until) message numbers (from 0) that were applied while no order might leave
    """

    def __init__(self, engine: Engine, day: CalmDay, ring: int, late_ns: int, give_up_ns: int = _GIVE_UP_NS) -> None:
        self.engine, self.day, self.give_up_ns = engine, day, give_up_ns
        self.session = engine.open(engine.settings(record="none"))
        self.ingress = Ingress(ring, max(8 << 20, ring * 2 * _DATAGRAM_BYTES), late_ns=late_ns)
        self.arbiter = Arbiter(SESSION, max_requests=1)  # `recovery` asks, and gives nothing up
        self.recovery = Recovery(self.arbiter, self.arbiter.gap_timeout_ns, self.arbiter.request_interval_ns)
        self.server = RetransmitServer(day.buffer, SESSION, rate=1e9, burst=1_000_000_000)
        self.answers: deque[tuple[int, bytes]] = deque()  # when it comes, and the datagram
        self.timeline: list[tuple[int, int, str]] = []
        self.held: list[tuple[int, int]] = []

    def compare(self) -> tuple[int, int, tuple[str, ...]]:
        """Orders, those that might not leave, and what ended otherwise than without overload."""
        straight = self.engine.open(self.engine.settings(record="none"))
        straight.push(self.day.data)
        wanted = end_state(straight, sorted(straight.names()))
        index = np.asarray(wanted["orders"]["index"])
        suppressed = sum(int(np.count_nonzero((index >= low) & (index < high))) for low, high in self.held)
        return len(index), suppressed, differences(end_state(self.session, wanted["depth"]), wanted)

    @property
    def missing(self) -> int:
        """Messages that never reached the engine."""
        messages: Any = self.session.messages
        return self.day.messages - int(messages)

    @property
    def stale(self) -> bool:
        """Whether the book lacks something."""
        return self.ingress.stale or self.arbiter.stale

    def drive(self, due: Times) -> None:
        """Offer each datagram when it is due; return when the session has ended, or nothing more will come."""
        datagrams, times, ingress = self.day.datagrams, due.tolist(), self.ingress
        sent, end_due, last, used = 0, 0, times[-1], 0
        session_end = end(SESSION, self.day.messages + 1)
        begin, clock = perf_counter_ns(), perf_counter_ns
        while not self.arbiter.finished:
            now = clock() - begin
            while sent < len(times) and times[sent] <= now:
                ingress.offer(0, datagrams[sent], times[sent])
                sent += 1
            if sent == len(times) and now >= end_due:
                ingress.offer(0, session_end, now)
                end_due = now + _END_EVERY_NS
            if (waiting := ingress.take(now)) is not None:
                self._apply(self.arbiter.receive(waiting.line, waiting.datagram, now), now)
                self.timeline.append((now, len(ingress), self._book(now)))
            for datagram in self._answers(now):
                self._apply(self.arbiter.receive(2, datagram, now), now)
            if ingress.stale and not self.arbiter.stale:
                ingress.recovered(self.arbiter.expected, now)
            if self.arbiter.expected != used:
                used, last = self.arbiter.expected, max(last, now)
            if now > last + self.give_up_ns:
                return

    def _answers(self, now: int) -> Iterator[bytes]:
        """Requests go out, and the answers that have come by now; they bypass the ring."""
        for request in self.recovery.due(now):
            if datagram := self.server.answer(request.encode(), now):
                self.answers.append((now + ROUND_TRIP_NS, datagram))
        while self.answers and self.answers[0][0] <= now:
            yield self.answers.popleft()[1]

    def _apply(self, delivery: Delivery, now: int) -> None:
        if not delivery.count:
            return
        if self._book(now) != FRESH:
            low, high = delivery.sequence - 1, delivery.sequence - 1 + delivery.count
            if self.held and self.held[-1][1] == low:
                low = self.held.pop()[0]
            self.held.append((low, high))
        self.session.push(delivery.blocks)

    def _book(self, now: int) -> str:
        if self.stale:
            return STALE
        return FRESH if self.ingress.may_trade(now) else LATE
