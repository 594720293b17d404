"""THE MAIN PATH, in Python: for each message -> tick, book, signal, order. The reference that every other engine must equal.

`PythonSession._run` is the engine; the rest of this file hands it messages and keeps what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.recording import ORDER_DTYPE, Rows, columns
from hftlab.engine.session import Counters, SessionResult
from hftlab.engine.timing import Stamps
from hftlab.errors import FeedError, HftlabError
from hftlab.events import EVENT_DTYPE, EVENT_FIELDS, Events, Fault, Kind, as_events
from hftlab.feeds.frames import NO_NAME, Block, Problem, frame_problem
from hftlab.settings import RECORDS, STAGES, Settings
from hftlab.stages.book import EMPTY_TOP, Book, Top
from hftlab.stages.interfaces import INTERFACES, Factory, build
from hftlab.stages.order import Accepted, OrderEntry
from hftlab.stages.signal import NO_VALUES, Signal
from hftlab.stages.tick import Event, Tick

FIRST_FAULTS = 100
FINISHED = "finish() was called already; what the run produced was handed over then"
_PIECE = 1 << 20  # bytes of wire data run at once, more than the longest message
_STATUS = int(Kind.STATUS)
_pack = Struct("<QQQqIHBB").pack  # the event record, which knows what its fields can hold
#: What makes each stage, unless the caller supplies one.
OURS: dict[str, Factory] = {stage: interface.ours for stage, interface in INTERFACES.items()}


class PythonSession:
    """One run of the Python engine: state that lives from the first message to the last.

    stages : what makes each stage, by its name in stages/interfaces.py
    raises : ConfigError if what was made lacks a method
    """

    def __init__(self, settings: Settings, stages: Mapping[str, Factory] = OURS) -> None:
        self.settings = settings
        symbols = {i: name.encode("latin-1", "replace").ljust(8)[:8] for i, name in enumerate(settings.symbols) if name}
        names = {i: name for i, name in symbols.items() if name != NO_NAME}
        self.tick: Tick = build("tick", stages["tick"], names, strict=settings.strict)
        self.book: Book = build("book", stages["book"])
        self.signal: Signal = build("signal", stages["signal"], settings.signal_config)
        live: dict[str, Any] = {}  # a stage of one's own need know nothing of what replay does not use
        if settings.fills == "reported" or settings.first_ref > 1:
            live = {"reported": settings.fills == "reported", "first": settings.first_ref}
        configs = (settings.order_config, settings.risk_config)
        self.order: OrderEntry = build("order", stages["order"], *configs, names, settings.price_scale, **live)
        self.messages = self.elapsed_ns = 0
        self.counts = [0] * 256
        self.faults = [0] * len(Fault)
        self.first_faults: list[tuple[int, int, Event]] = []
        self._tops: dict[int, Top] = {}
        self._finished = False
        self._rows, self._stamps = Rows(), Stamps(settings)

    def _run(self, events: Iterable[Event]) -> int:
        """Run every event through the stages; returns the answer of the book to the last one (see Book.apply)."""
        until = STAGES.index(self.settings.until)
        recorded = RECORDS.index(self.settings.record)
        timed = self.settings.latency != "off" and self.messages >= self.settings.warm_up
        stamped = timed and self.settings.latency == "stages"
        clock, counts, tops = perf_counter_ns, self.counts, self._tops
        apply, best, update, decide = self.book.apply, self.book.best, self.signal.update, self.order.update
        record, stamp = self._rows.add, self._stamps.add
        applied, index, t0 = 0, self.messages, clock()
        for event in events:  # TICK: the iterator decodes
            ts_ns, order_id, new_order_id, price, qty, instrument, kind, side = event
            counts[kind] += 1
            t1 = t2 = t3 = clock() if stamped else t0
            before = after = EMPTY_TOP
            values = NO_VALUES

            if until >= 1:  # BOOK
                applied = apply(kind, instrument, side, order_id, new_order_id, price, qty)
                before = after = tops.get(instrument, EMPTY_TOP)
                if applied > 0:
                    after = tops[instrument] = best(instrument)
                elif applied < 0 and self._fault(index, -applied, event):
                    break
                if stamped:
                    t2 = t3 = clock()

            if until >= 2:  # SIGNAL
                if applied > 0:
                    values = update(self.book, instrument, kind, qty, applied, before, after)
                else:
                    values = self.signal.values(instrument)
                if stamped:
                    t3 = clock()

            if until >= 3:  # ORDER
                if applied > 0 and instrument:
                    decide(index, ts_ns, instrument, after, values[8])
                elif kind == _STATUS:
                    self.order.status(instrument, qty)

            if timed:
                stamp(t0, t1, t2, t3, clock())
            if recorded == 2 or (recorded == 1 and instrument and after != before):
                record(index, ts_ns, instrument, after, values)
            index += 1
            if timed:
                t0 = clock()
        self.messages = index
        return applied

    def push(self, data: Block) -> tuple[int, Problem | None]:
        """Run every whole framed message in `data`. Returns the bytes used, and why it stopped early, if it did."""
        view, at = memoryview(data), 0
        while piece := bytes(view[at : at + _PIECE]):  # bytes are quicker to index than a view
            start = perf_counter_ns()
            self._run(self.tick.events(piece))
            self.elapsed_ns += perf_counter_ns() - start
            problem = self._strict_fault(self.tick.used) or self.tick.problem
            if problem:
                number = self.messages if problem is self.tick.problem else problem.message
                return at + self.tick.used, problem._replace(at=at + self.tick.used, message=number)
            if not self.tick.used:
                break
            at += self.tick.used
        return at, None

    def push_events(self, events: Events) -> Problem | None:
        """Run event records."""
        start = perf_counter_ns()
        self._run(as_events(events).tolist())
        self.elapsed_ns += perf_counter_ns() - start
        return self._strict_fault(0)

    def apply(
        self, ts_ns: int, order_id: int, new_order_id: int, price: int, qty: int, instrument: int, kind: int, side: int
    ) -> int:
        """Run one event given as integers; returns the book's answer (see Book.apply).

        raises : FeedError if a field cannot hold its value
        """
        event = (ts_ns, order_id, new_order_id, price, qty, instrument, kind, side)
        try:
            _pack(*event)
        except StructError as error:
            raise FeedError(f"event: every field must be a whole number that its type can hold: {error}") from None
        return self._run((event,))

    def message(self, message: bytes) -> int:
        """Run one raw ITCH message, without a length prefix; returns what the book said of it.

        raises : FeedError if its length is not that of its type
        """
        size, letter = len(message), message[0] if message else 0
        if code := frame_problem(size, letter):
            raise Problem(code, 0, self.messages, size, letter).error(0, "message")
        return self._run(self.tick.events(size.to_bytes(2, "big") + message))

    def react(self, data: Block) -> tuple[list[Accepted], int, Problem | None]:
        """Like `push`; before that, the orders that left on these messages."""
        used, problem = self.push(data)
        return self.order.take(), used, problem

    def _fault(self, index: int, reason: int, event: Event) -> bool:
        """Count a refusal and keep the first ones; true if the run must stop."""
        self.faults[reason] += 1
        if len(self.first_faults) < FIRST_FAULTS:
            self.first_faults.append((index, reason, event))
        return self.settings.strict

    def _strict_fault(self, at: int) -> Problem | None:
        if self.settings.strict and self.first_faults:
            index, reason, _ = self.first_faults[0]
            return Problem("fault", at, index, reason, 0)
        return None

    def counters(self) -> Counters:
        """The totals so far; see session.Session."""
        counts = self.counts[: len(Kind)]
        counts[0] += sum(self.counts[len(Kind) :])
        return {
            "messages": self.messages,
            "elapsed_ns": self.elapsed_ns,
            "counts": counts,
            "faults": list(self.faults),
            "rejects": list(self.order.rejects),
            "memory": self.book.memory(),
        }

    def take_rows(self) -> dict[str, np.ndarray[Any, Any]]:
        """The rows recorded since the last call, which are then in neither the next nor `finish`."""
        rows, self._rows = self._rows, Rows()
        return rows.columns()

    def finish(self) -> SessionResult:
        """Everything the run produced, as plain values and arrays; see session.Session.

        raises : HftlabError if it was called already
        """
        if self._finished:
            raise HftlabError(FINISHED)
        self._finished = True
        return {
            **self.counters(),
            "unknown": dict(self.tick.unknown),
            "fault_index": [index for index, _, _ in self.first_faults],
            "fault_reason": [reason for _, reason, _ in self.first_faults],
            "fault_events": np.array([event for _, _, event in self.first_faults], EVENT_DTYPE),
            "columns": self._rows.columns(),
            "orders": columns(np.array([tuple(order[:9]) for order in self.order.orders], ORDER_DTYPE)),
            "order_stream": bytes(self.order.stream),
            **self._stamps.result(),
        }

    def best(self, instrument: int) -> Top:
        return self.book.best(instrument)

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        return self.book.depth(instrument)

    def queue(self, instrument: int, side: int, price: int) -> list[tuple[int, int]]:
        return self.book.queue(instrument, side, price)

    def locate(self, order_id: int) -> tuple[int, int, int, int] | None:
        return self.book.locate(order_id)

    def names(self) -> dict[int, bytes]:
        return self.tick.names


class PythonBackend:
    """The pure-Python engine as a backend: runs everywhere, and is the oracle of every other one.

    stages : stages of one's own by name (tick, book, signal, order); ours do the rest
    """

    clock = "perf_counter_ns"

    def __init__(self, **stages: Factory) -> None:
        self.stages = {**OURS, **stages}

    def with_stages(self, **stages: Factory) -> PythonBackend:
        """This engine with some of its stages replaced."""
        return PythonBackend(**{**self.stages, **stages})

    def event_layout(self) -> list[tuple[str, str, int]]:
        return list(EVENT_FIELDS)

    def variants(self) -> Mapping[str, tuple[str, ...]]:
        """The Python engine has one set; the axes belong to Rust."""
        return {}

    def session(self, settings: Settings) -> PythonSession:
        return PythonSession(settings, self.stages)

    def decode(self, data: Block) -> tuple[Events, int, Problem | None]:
        """Events of every whole message in `data`, the bytes used, and the problem that stopped it."""
        tick: Tick = build("tick", self.stages["tick"], {}, strict=False)
        events = np.array(list(tick.events(data)), EVENT_DTYPE)
        return events, tick.used, tick.problem
