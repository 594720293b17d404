"""Answers to the exercises of lessons 07 to 09: right ones, and wrong ones with the step and the words that reject them."""

from typing import Any

import numpy as np
from course import lesson09
from course.lesson08 import ChangedSide

import hftlab

# 07, memory


def rebuilds(limit: int) -> list[int]:
    return [full for full in (3, *(7 << power for power in range(60))) if full < limit]


class Pool:
    """The free slots chained through the cells."""

    def __init__(self, cells: Any) -> None:
        self.cells, self.free = cells, 0
        for slot in range(len(cells)):
            cells[slot] = slot + 1

    def put(self, value: Any) -> int:
        slot = self.free
        self.free = self.cells[slot]
        self.cells[slot] = value
        return slot

    def take(self, slot: int) -> Any:
        value, self.cells[slot] = self.cells[slot], self.free
        self.free = slot
        return value


class SearchingPool(Pool):
    def __init__(self, cells: Any) -> None:
        self.cells = cells

    def put(self, value: Any) -> int:
        slot = next(slot for slot in range(len(self.cells)) if self.cells[slot] is None)
        self.cells[slot] = value
        return slot

    def take(self, slot: int) -> Any:
        value, self.cells[slot] = self.cells[slot], None
        return value


class SweepingPool(SearchingPool):
    """Short on average; now and then it searches for everything that is free."""

    def __init__(self, cells: Any) -> None:
        self.cells, self.slots = cells, list(range(len(cells)))

    def put(self, value: Any) -> int:
        if not self.slots:
            self.slots = [slot for slot in range(len(self.cells)) if self.cells[slot] is None]
        slot = self.slots.pop()
        self.cells[slot] = value
        return slot


class ForgettingPool(Pool):
    def take(self, slot: int) -> Any:
        return self.cells[slot]


class GrowingPool(ForgettingPool):
    """Never reuses a slot."""

    def put(self, value: Any) -> int:
        self.free += 1
        if self.free <= len(self.cells):
            self.cells[self.free - 1] = value
        return self.free - 1


# 08, signals


class RunningSum:
    """Maintain the sum, walk where a level appeared or vanished."""

    def __init__(self, levels: int) -> None:
        self.levels, self.sums, self.ends = levels, [0, 0], [None, None]

    def changed(self, sides: Any, change: Any) -> list[int]:
        i = change.side
        if self.ends[i] is None or change.key >= self.ends[i]:
            if change.reshaped:
                best = sides[i].best(self.levels)
                self.sums[i] = sum(qty for _, qty in best)
                self.ends[i] = best[-1][0] if len(best) == self.levels else None
            else:
                self.sums[i] += change.gained
        return self.sums


class Gained(RunningSum):
    def changed(self, sides: Any, change: Any) -> list[int]:
        self.sums[change.side] += change.gained
        return self.sums


class Raises(RunningSum):
    def changed(self, sides: Any, change: Any) -> list[int]:
        return [sides[2]]


def by_columns(c: Any, config: hftlab.SignalConfig) -> Any:
    w0, w1, w2, w3, w4 = config.weights
    total = w0 * c["imbalance"] + w1 * c["depth_imbalance"] + (w2 * (c["microprice"] - c["mid"])) / c["spread"]
    total = total + (w3 * c["ofi"]) / (abs(c["ofi"]) + config.k) + (w4 * c["flow"]) / (abs(c["flow"]) + config.k)
    return np.where(np.isnan(total) | ~(c["spread"] > 0), 0.0, total)


def backwards(c: Any, config: hftlab.SignalConfig) -> Any:
    w0, w1, w2, w3, w4 = config.weights
    total = (w4 * c["flow"]) / (abs(c["flow"]) + config.k) + (w3 * c["ofi"]) / (abs(c["ofi"]) + config.k)
    total = total + (w2 * (c["microprice"] - c["mid"])) / c["spread"] + w1 * c["depth_imbalance"] + w0 * c["imbalance"]
    return np.where(np.isnan(total), 0.0, total)


# 09, the network


class Greedy(lesson09.Expected):
    """Delivers whatever is new, in order of arrival."""

    def __init__(self, window: int) -> None:
        super().__init__(window)
        self.known: set[int] = set()

    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        fresh = {number: message for number, message in enumerate(messages, sequence) if number not in self.known}
        self.known.update(fresh)
        return list(fresh.values())


class Boundless(lesson09.Expected):
    def __init__(self, window: int) -> None:
        super().__init__(1 << 60)


class Remembering(lesson09.Expected):
    """Right, but it remembers every number."""

    def __init__(self, window: int) -> None:
        super().__init__(window)
        self.known: set[int] = set()

    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        self.known.update(range(sequence, sequence + len(messages)))
        return super().receive(sequence, messages)


class Sorting(lesson09.Expected):
    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        out = super().receive(sequence, messages)
        self.held = dict(sorted(self.held.items()))
        return out


class WholePackets(lesson09.Expected):
    """Drops a packet that begins with something old."""

    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        return super().receive(sequence, messages) if sequence >= self.expected else []


class Framer:
    """Packets out of a buffer, read from its front by index."""

    def __init__(self) -> None:
        self.rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        self.rest += data
        out, at = [], 0
        while at + 2 <= len(self.rest):
            length = int.from_bytes(self.rest[at : at + 2], "big")
            if not length:
                raise ValueError("a packet of length 0")
            if at + 2 + length > len(self.rest):
                break
            out.append((bytes(self.rest[at + 2 : at + 3]), bytes(self.rest[at + 3 : at + 2 + length])))
            at += 2 + length
        del self.rest[:at]
        return out


class OneRead(Framer):
    """A read is a packet."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        return [(data[2:3], data[3:])]


class FirstAlone(Framer):
    """Takes one packet of each read."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        return [(data[2:3], data[3 : 2 + int.from_bytes(data[:2], "big")])]


class Forgetting(Framer):
    """Stores nothing from one read to the next."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        self.rest.clear()
        return super().feed(data)


class Patient(Framer):
    """Waits for the rest of a packet that has none."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        try:
            return super().feed(data)
        except ValueError:
            return []


class Copying(Framer):
    """Copies the rest after every packet."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        rest, out = bytes(self.rest) + data, []
        while len(rest) >= 2 and len(rest) >= 2 + int.from_bytes(rest[:2], "big"):
            length = int.from_bytes(rest[:2], "big")
            if not length:
                raise ValueError("a packet of length 0")
            out.append((rest[2:3], rest[3 : 2 + length]))
            rest = rest[2 + length :]
        self.rest = bytearray(rest)
        return out


RIGHT: dict[str, Any] = {
    "07.1": rebuilds,
    "07.2": Pool,
    "08.1": RunningSum,
    "08.2": by_columns,
    "09.1": lesson09.Expected,
    "09.2": Framer,
}

#: (exercise, answer, what the step that fails is about, what it must say)
WRONG: list[tuple[str, Any, str, str]] = [
    ("07.1", lambda limit: [1 << i for i in range(30) if 1 << i < limit], "correct", "the answer is [1, 2, 4, 8"),
    ("07.1", lambda limit: rebuilds(limit)[1:], "correct", "asked for a larger table at [3, 7"),
    ("07.1", lambda limit: rebuilds(min(limit, 4_000)), "further", "the last three below 2,000,000"),
    ("07.2", SearchingPool, "ratio", "cells touched by a call on average"),
    ("07.2", SweepingPool, "tail", "cells touched by the worst call"),
    ("07.2", ForgettingPool, "correct", "IndexError"),
    ("07.2", GrowingPool, "correct", "which is no slot from 0 to 39"),
    ("08.1", Gained, "correct", "are wrong from change"),
    ("08.1", ChangedSide, "less", "levels read, walking the changed side reads"),
    ("08.1", Raises, "correct", "IndexError: tuple index out of range"),
    ("08.2", backwards, "same bits", "scores differ in their bits; the first at row"),
    ("08.2", lambda c, _: by_columns(c, hftlab.SignalConfig()), "correct", "the scores are not those of the contract"),
    ("08.2", lambda c, _: c["imbalance"], "correct", "scores that are NaN"),
    ("08.2", lambda c, _: c["score"], "correct", "KeyError: 'score'"),
    ("09.1", Greedy, "correct", "while 3 is missing"),
    ("09.1", WholePackets, "correct", "2 is old"),
    ("09.1", Boundless, "bounded", "beyond a window of 64"),
    ("09.1", Remembering, "bounded", "bytes are left of 40,000"),
    ("09.1", Sorting, "faster", "while 4,096 wait"),
    ("09.2", OneRead, "correct", "two packets in one read"),
    ("09.2", FirstAlone, "correct", "two packets in one read"),
    ("09.2", Forgetting, "correct", "cut after 1"),
    ("09.2", Patient, "hidden", "a length of 0"),
    ("09.2", Copying, "faster", "as many packets"),
    ("09.2", lambda: None, "correct", "AttributeError"),
]
