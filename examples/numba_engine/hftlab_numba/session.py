"""One run as hftlab sees it: blocks go in, results come out. `hftlab.engine.session.Session` says what each promises."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.recording import columns
from hftlab.errors import HftlabError
from hftlab.events import EVENT_DTYPE, Events, Kind, as_events
from hftlab.feeds.frames import Block, frame_problem
from hftlab.settings import STAGES, Settings
from hftlab_numba import engine, orders
from hftlab_numba.state import (
    ACCEPTED,
    ARENA,
    KEPT,
    LARGEST,
    LIVE,
    MESSAGES,
    OUCH_BYTES,
    ROWS,
    STAMPS,
    Rules,
    new_core,
    with_larger_arena,
    with_room,
)

Problem = tuple[str, int, int, int, int]
#: Words for the codes of tick.py.
CODES = ("", "zero_length", "bad_length", "unknown_type", "fault")

_CHUNK = 1 << 14  # messages that room is made for at once
_SHORTEST = 14  # bytes of the shortest frame that real feeds hold; a guess that is too small costs another turn
_NO_BYTES = np.zeros(0, np.uint8)
_NO_BYTES.flags.writeable = False
_NO_EVENTS = np.zeros(0, EVENT_DTYPE)
_NO_EVENTS.flags.writeable = False


def as_bytes(data: Block) -> np.ndarray[Any, Any]:
    """A block as a read-only array, without a copy: the one type that the kernels are compiled for."""
    raw = np.frombuffer(data, np.uint8) if len(data) else _NO_BYTES
    raw.flags.writeable = False
    return raw


class Session:
    """State that lives from the first message to the last."""

    def __init__(self, settings: Settings) -> None:
        self._finished = False
        self.rules = Rules.of(settings)
        self.core = new_core(settings)
        self.elapsed_ns = 0

    @property
    def messages(self) -> int:
        return int(self.core.tally[MESSAGES])

    def _run(self, data: Any, events: Any) -> tuple[int, int, Problem | None]:
        """Run all of it: bytes or records used, what the book said of the last message, and the problem that stopped it."""
        at = said = 0
        total = len(data) or len(events)
        start = perf_counter_ns()
        while True:
            most = min(_CHUNK, (total - at) // _SHORTEST + 1 if len(data) else total - at)
            self._make_room(most)
            before = self.messages
            at, said, code, size, letter = engine.run(self.core, self.rules, data, events, at, most)
            if code or (len(data) and self.messages == before and not self._is_tight()) or at == total:
                break
            if self._is_tight():
                self.core = with_larger_arena(self.core)
        self.elapsed_ns += perf_counter_ns() - start
        problem = (CODES[code], at, self.messages, int(size), int(letter)) if code else None
        return at, int(said), problem

    def _is_tight(self) -> bool:
        """Whether the arena has not the room that the largest side would need to move."""
        tally = self.core.tally
        return bool(len(self.core.keys) - tally[ARENA] <= 2 * tally[LARGEST] + 8)

    def _make_room(self, messages: int) -> None:
        """Room for so many messages, and an order table that is never more than half full."""
        self.core = core = with_room(self.core, self.rules, messages)
        if 2 * len(core.ids) > len(core.table):
            table = np.zeros(1 << (4 * len(core.ids) - 1).bit_length(), np.int32)
            orders.rehash(core.table, table, core.ids)
            self.core = core._replace(table=table)

    def push(self, data: Block) -> tuple[int, Problem | None]:
        used, _, problem = self._run(as_bytes(data), _NO_EVENTS) if len(data) else (0, 0, None)
        return used, problem

    def push_events(self, events: Events) -> Problem | None:
        records = as_events(events).view()
        records.flags.writeable = False
        problem = self._run(_NO_BYTES, records)[2] if len(records) else None
        return problem and (problem[0], 0, *problem[2:])

    def apply(
        self,
        ts_ns: int,
        order_id: int,
        new_order_id: int,
        price: int,
        qty: int,
        instrument: int,
        kind: int,
        side: int,
    ) -> int:
        event = np.array([(ts_ns, order_id, new_order_id, price, qty, instrument, kind, side)], EVENT_DTYPE)
        event.flags.writeable = False
        return self._run(_NO_BYTES, event)[1]

    def message(self, message: bytes) -> int:
        if code := frame_problem(len(message), message[0] if message else 0):
            raise ValueError(f"message of type {message[:1]!r} has {len(message)} bytes: {code}")
        return self._run(as_bytes(len(message).to_bytes(2, "big") + message), _NO_EVENTS)[1]

    def counters(self) -> dict[str, Any]:
        core = self.core
        counts = core.counts[: len(Kind)].tolist()
        counts[0] += int(core.counts[len(Kind) :].sum())
        return {
            "messages": self.messages,
            "elapsed_ns": self.elapsed_ns,
            "counts": counts,
            "faults": core.faults.tolist(),
            "rejects": core.rejects.tolist(),
            "memory": self._memory(),
        }

    def finish(self) -> dict[str, Any]:
        if self._finished:
            raise HftlabError("finish() was called already; what the run produced was handed over then")
        self._finished = True
        core, tally = self.core, self.core.tally
        kept = int(tally[KEPT])
        stamps = core.stamps[: tally[STAMPS]]
        return {
            **self.counters(),
            "unknown": {int(letter): int(core.unknown[letter]) for letter in np.flatnonzero(core.unknown)},
            "fault_index": core.fault_index[:kept].tolist(),
            "fault_reason": core.fault_reason[:kept].tolist(),
            "fault_events": core.fault_events[:kept].copy(),
            "columns": columns(core.rows[: tally[ROWS]]),
            "orders": columns(core.accepted[: tally[ACCEPTED]]),
            "order_stream": core.stream[: tally[ACCEPTED] * OUCH_BYTES].tobytes(),
            "latency": dict(zip((*STAGES, "total"), stamps.T, strict=True)) if self.rules.timed else None,
        }

    def _memory(self) -> dict[str, int]:
        core = self.core
        by_order = (core.ids, core.left, core.level, core.before, core.after, core.table)
        by_level = (core.half, core.price, core.total, core.orders, core.front, core.back, core.keys, core.places)
        return {
            "live_orders": int(core.tally[LIVE]),
            "order_bytes": sum(array.nbytes for array in by_order),
            "level_bytes": sum(array.nbytes for array in by_level),
        }

    def best(self, instrument: int) -> tuple[int, int, int, int]:
        bid, ask = self._levels(2 * instrument)[:1], self._levels(2 * instrument + 1)[:1]
        return (*self._touch(bid), *self._touch(ask))

    def _touch(self, levels: list[int]) -> tuple[int, int]:
        return (int(self.core.price[levels[0]]), int(self.core.total[levels[0]])) if levels else (0, 0)

    def _levels(self, half: int) -> list[int]:
        """The levels of a side, best first."""
        start, length = int(self.core.start[half]), int(self.core.length[half])
        return self.core.places[start : start + length][::-1].tolist()

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        core = self.core
        return [
            (side, int(core.price[level]), int(core.total[level]), int(core.orders[level]))
            for side in (1, 2)
            for level in self._levels(2 * instrument + side - 1)
        ]

    def queue(self, instrument: int, side: int, price: int) -> list[tuple[int, int]]:
        core, out = self.core, []
        for level in self._levels(2 * instrument + side - 1) if side in (1, 2) else []:
            slot = core.front[level] if core.price[level] == price else -1
            while slot >= 0:
                out.append((int(core.ids[slot]), int(core.left[slot])))
                slot = core.after[slot]
        return out

    def locate(self, order_id: int) -> tuple[int, int, int, int] | None:
        core, slot = self.core, orders.locate(self.core, np.uint64(order_id))
        if slot < 0:
            return None
        half = int(core.half[core.level[slot]])
        return half // 2, half % 2 + 1, int(core.price[core.level[slot]]), int(core.left[slot])

    def names(self) -> dict[int, bytes]:
        return {int(i): self.core.names[i].tobytes() for i in np.flatnonzero(self.core.named)}
