"""Answers to the exercises of lessons 01 to 06: right ones, and wrong ones with the step and the words that reject them."""

import heapq
import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from struct import Struct
from typing import Any

import numpy as np
import polars as pl
from course import lesson01
from course.amdahl import speed_up
from course.lesson04 import piecemeal
from course.lesson05 import shares_added
from course.rust_function import RustFunction

import hftlab
from hftlab import Kind
from hftlab.experiments.open_loop import response_ns
from hftlab.measurement.paired import Interval

# 01, measuring


def print_everything(stamps: Any, step: int) -> dict[str, Any]:
    ns = stamps[:, 1] // step * step - stamps[:, 0] // step * step
    return dict(zip(("p50", "p95", "p99"), np.percentile(ns, (50, 95, 99)).tolist(), strict=True))


def cut_the_difference(stamps: Any, step: int) -> dict[str, Any]:
    ns = (stamps[:, 1] - stamps[:, 0]) // step * step
    table = dict(zip(("p50", "p95", "p99"), np.percentile(ns, (50, 95, 99)).tolist(), strict=True))
    return {name: value if value > step else None for name, value in table.items()}


def forget_the_sample(stamps: Any, step: int) -> dict[str, Any]:
    return {name: value if value > step else None for name, value in print_everything(stamps, step).items()}


def never_idle(service: Any, interval: float) -> Any:
    return np.cumsum(service) - np.arange(len(service)) * interval


def interval_alone(a: Any, b: Any, again: Any) -> str:
    return ("no difference seen", "faster", "slower")[Interval.of(a / b).side]


def unpaired(a: Any, b: Any, again: Any) -> str:
    left, right = Interval.of(a), Interval.of(b)
    return "faster" if right.high < left.low else "slower" if right.low > left.high else "no difference seen"


# 02, reading the market


def decode(message: bytes, order: Any = "big", symbol: Any = lambda raw: raw.decode().rstrip(), price: Any = int) -> Any:
    ts, ref, qty, units = (int.from_bytes(message[at : at + size], order) for at, size in ((5, 6), (11, 8), (20, 4), (32, 4)))
    return ts, ref, chr(message[19]), qty, symbol(message[24:32]), price(units)


def ahead(changes: Any, order_id: int, *, keeps_place: bool = False, cancel_is_delete: bool = False) -> int | None:
    queues: dict[Any, dict[int, int]] = {}
    where: dict[int, Any] = {}
    for kind, order, new_order, side, price, qty in changes:
        if kind == Kind.ADD:
            where[order] = (side, price)
            queues.setdefault(where[order], {})[order] = qty
            continue
        if order not in where:
            continue
        queue = queues[where[order]]
        if kind in (Kind.EXECUTE, Kind.CANCEL):
            queue[order] -= queue[order] if kind == Kind.CANCEL and cancel_is_delete else qty
        if kind in (Kind.DELETE, Kind.REPLACE) or not queue[order]:
            place = list(queue).index(order)
            del queue[order]
            side, _ = where.pop(order)
        if kind == Kind.REPLACE:
            where[new_order] = (side, price)
            into = queues.setdefault((side, price), {})
            into[new_order] = qty
            if keeps_place:
                rows = [row for row in into.items() if row[0] != new_order]
                rows.insert(place, (new_order, qty))
                queues[side, price] = dict(rows)
    if order_id not in where:
        return None
    queue = queues[where[order_id]]
    return sum(list(queue.values())[: list(queue).index(order_id)])


# 03, where the time goes


def own_hottest(frame: pl.DataFrame) -> tuple[Any, ...]:
    own = frame.filter(~pl.col("calls") & (pl.col("hits") > 0) & (pl.col("stage") != "engine"))
    return own.sort("ns", descending=True).select("function", "line").row(0)


def by(column: str, *, calls: bool) -> Any:
    def answer(frame: pl.DataFrame) -> tuple[Any, ...]:
        rows = frame if calls else frame.filter(~pl.col("calls"))
        return rows.sort(column, descending=True).select("function", "line").row(0)

    return answer


# 04, the fallback tuned


class Sorted:
    """Always sorted, changed by binary search."""

    def __init__(self) -> None:
        self.prices: list[Any] = []

    def add(self, price: Any) -> None:
        insort(self.prices, price)

    def remove(self, price: Any) -> None:
        del self.prices[bisect_left(self.prices, price)]

    def best(self, n: int) -> list[Any]:
        return self.prices[: -n - 1 : -1]


class SortedWhenAsked(Sorted):
    def best(self, n: int) -> list[Any]:
        return sorted(set(self.prices), reverse=True)[:n]


class SearchedFromTheFront(Sorted):
    def remove(self, price: Any) -> None:
        self.prices.remove(price)


class LowestFirst(Sorted):
    def best(self, n: int) -> list[Any]:
        return self.prices[:n]


class Heap(Sorted):
    def add(self, price: Any) -> None:
        heapq.heappush(self.prices, -price)

    def remove(self, price: Any) -> None:
        raise NotImplementedError("not yet")


UNPACK = Struct(">3xH2xHIQ")


def one_unpack(data: bytes) -> list[tuple[int, int, int]]:
    return [(locate, high << 32 | low, ref) for locate, high, low, ref in UNPACK.iter_unpack(data)]


# 05, crossing into Rust


def chunked(session: Any, messages: Iterable[bytes]) -> None:
    messages = iter(messages)
    while chunk := b"".join(islice(messages, 1_000)):
        session.push(chunk)


def one_by_one(session: Any, messages: Iterable[bytes]) -> None:
    for message in messages:
        session.push(message)


def whole(session: Any, messages: Iterable[bytes]) -> None:
    if data := b"".join(messages):
        session.push(data)


def forgets_the_rest(session: Any, messages: Iterable[bytes]) -> None:
    waiting: list[bytes] = []
    for message in messages:
        waiting.append(message)
        if len(waiting) == 1_000:
            session.push(b"".join(waiting))
            waiting.clear()


def breaks_messages(session: Any, messages: Iterable[bytes]) -> None:
    data = b"".join(messages)
    for at in range(0, len(data), 4_096):
        session.push(data[at : at + 4_096])


def size(call_ns: float, message_ns: float, share: float, per_second: float, up: Any = math.ceil) -> tuple[int, float]:
    chunk = max(1, up(call_ns / (share * message_ns)))
    return chunk, (chunk - 1) * 1e9 / per_second


WHOLE = "if at + 2 + size > data.len() { break; }"


def shares(add: str = "matches!(data[at + 2], b'A' | b'F')", torn: str = WHOLE, total: str = "u64") -> RustFunction:
    return RustFunction(
        f"""fn shares(data: &[u8]) -> u64 {{
    let (mut sum, mut at): ({total}, usize) = (0, 0);
    while at + 2 <= data.len() {{
        let size = u16::from_be_bytes([data[at], data[at + 1]]) as usize;
        {torn}
        if size > 0 && {add} {{
            let from = at + 22;
            sum = sum.wrapping_add(u32::from_be_bytes([data[from], data[from + 1], data[from + 2], data[from + 3]]) as {total});
        }}
        at += 2 + size;
    }}
    sum as u64
}}
""",
        "shares",
    )


# 06, order-book structures


class Ladder:
    """A bit for each slot."""

    def __init__(self, base: int, tick: int, slots: int) -> None:
        self.base, self.tick, self.slots, self.bits = base, tick, slots, 0
        self.prices: set[int] = set()

    def slot(self, price: int) -> int | None:
        slot, rest = divmod(price - self.base, self.tick)
        return slot if rest == 0 and 0 <= slot < self.slots else None

    def put(self, price: int) -> bool:
        slot = self.slot(price)
        if slot is None:
            return False
        self.bits |= 1 << slot
        self.prices.add(price)
        return True

    def drop(self, price: int) -> None:
        slot = self.slot(price)
        assert slot is not None
        self.bits &= ~(1 << slot)
        self.prices.discard(price)

    def best(self) -> int | None:
        return self.base + self.tick * ((self.bits & -self.bits).bit_length() - 1) if self.bits else None


class Searching(Ladder):
    def best(self) -> int | None:
        slots = (slot for slot in range(self.slots) if self.bits >> slot & 1)
        return next((self.base + self.tick * slot for slot in slots), None)


class Minimum(Ladder):
    def best(self) -> int | None:
        return min(self.prices, default=None)


class Clamping(Ladder):
    def slot(self, price: int) -> int | None:
        return min(max((price - self.base) // self.tick, 0), self.slots - 1)


class Broken(Ladder):
    def best(self) -> int | None:
        raise RuntimeError("no best today")


def crossing(frame: pl.DataFrame, a: str, b: str, low: str = "low", high: str = "high") -> int | None:
    left, right = (frame.filter(variant=name).sort("size") for name in (a, b))
    slower = (right[low] > left[high]).to_list()
    return next((size for at, size in enumerate(left["size"].to_list()) if all(slower[at:])), None)


def first_above(frame: pl.DataFrame, a: str, b: str) -> int | None:
    left, right = (frame.filter(variant=name).sort("size") for name in (a, b))
    return next((size for size, high, low in zip(left["size"], left["high"], right["low"], strict=True) if low > high), None)


def more_hits(sound: hftlab.Engine, slow: hftlab.Engine, feed: hftlab.Feed) -> str | None:
    hits: Counter[str] = Counter()
    for engine, sign in ((slow, 1), (sound, -1)):
        for row in hftlab.profile(engine, feed, "line").rows:
            hits[row["function"]] += sign * row["hits"]
    function, more = hits.most_common(1)[0]
    return function if more else None


RIGHT: dict[str, Any] = {
    "01.1": lesson01.honest,
    "01.2": response_ns,
    "01.3": lesson01.verdict,
    "02.1": decode,
    "02.2": ahead,
    "03.1": own_hottest,
    "03.2": speed_up,
    "03.3": more_hits,
    "04.1": Sorted,
    "04.2": one_unpack,
    "05.1": chunked,
    "05.2": size,
    "05.3": shares(),
    "06.1": Ladder,
    "06.2": crossing,
}

#: (exercise, answer, what the step that fails is about, what it must say)
WRONG: list[tuple[str, Any, str, str]] = [
    ("01.1", cut_the_difference, "cut", "each cut to 100 ns"),
    ("01.1", print_everything, "one step", "says nothing"),
    ("01.1", forget_the_sample, "samples", "neither p95"),
    ("01.1", lambda stamps, step: 5, "correct", "must return a dict with p50, p95, p99, got 5"),
    ("01.2", lambda service, interval: service, "busy", "the queue grows"),
    ("01.2", never_idle, "idle", "nobody waits"),
    ("01.3", lambda a, b, again: "faster" if b.mean() < a.mean() else "slower", "clear", "expected 'no difference seen'"),
    ("01.3", interval_alone, "false alarms", "A/A comparisons were called a difference"),
    ("01.3", unpaired, "power", "round by round"),
    ("01.3", lambda a, b, again: "no difference seen", "clear", "expected 'faster'"),
    ("02.1", lambda m: decode(m, "little"), "correct", "most significant byte first"),
    ("02.1", lambda m: decode(m, symbol=lambda raw: raw.decode()), "correct", "pads a symbol with spaces"),
    ("02.1", lambda m: decode(m, symbol=lambda raw: raw.rstrip()), "correct", "bytes are not text yet"),
    ("02.1", lambda m: decode(m, price=lambda units: units / 10_000), "correct", "a price stays an integer"),
    ("02.1", lambda m: (*decode(m)[:1], decode(m)[1] % 2**32, *decode(m)[2:]), "correct", "last 4 bytes were read"),
    ("02.1", lambda m: list(decode(m)), "correct", "expected a tuple of six"),
    ("02.2", lambda *given: ahead(*given, keeps_place=True), "correct", "goes to the back under a new id"),
    ("02.2", lambda *given: ahead(*given, cancel_is_delete=True), "correct", "cancelled in part, and keeps its place"),
    ("02.2", lambda changes, order_id: 30, "correct", "the front is executed in part"),
    ("02.2", lambda changes, order_id: 0, "correct", "three orders join"),
    ("03.1", by("ns", calls=True), "own time", "is not its own"),
    ("03.1", by("ns_per_hit", calls=False), "own time", "is not its own"),
    ("03.1", by("ns", calls=False), "a stage", "no stage"),
    ("03.1", lambda frame: 30, "correct", "must return (function, line), got 30"),
    ("03.2", lambda share, times: 1 + share * (times - 1), "half", "twice as fast"),
    ("03.2", lambda share, times: 1 / (1 - share), "nothing", "as fast as before"),
    ("03.2", lambda share, times: max(1.0, speed_up(share, times)), "slower", "the whole gets slower"),
    ("03.3", lambda sound, slow, feed: None, "engine 1", "expected 'Careful"),
    ("03.3", lambda sound, slow, feed: more_hits(sound, slow, feed) or "Book.apply", "no fault", "the same engine twice"),
    ("04.1", SortedWhenAsked, "ratio", "comparisons a change on average, with 1,000 prices"),
    ("04.1", SearchedFromTheFront, "ratio", "comparisons a change on average"),
    ("04.1", LowestFirst, "correct", "best(5) is ["),
    ("04.1", Heap, "correct", "NotImplementedError: not yet"),
    ("04.2", piecemeal, "faster", "times as fast as field by field"),
    ("04.2", lambda data: one_unpack(data)[:-1], "correct", ": 0 were returned"),
    ("04.2", lambda data: [(at, ts & 0xFFFFFFFF, ref) for at, ts, ref in one_unpack(data)], "correct", "message 0 is ("),
    ("04.2", lambda data: UNPACK.unpack(data), "correct", "error: unpack requires a buffer"),
    ("05.1", one_by_one, "fewer crossings", "999 messages were sent in 999 crossings, it must be at most 1"),
    ("05.1", whole, "tail", "the largest chunk held 1,001"),
    ("05.1", forgets_the_rest, "correct", "messages that reached the engine: 0, expected 1"),
    ("05.1", breaks_messages, "correct", "of which"),
    ("05.2", lambda *given: size(*given, up=int), "chunk", "142, expected 143"),
    ("05.2", lambda c, m, s, r: (size(c, m, s, r)[0], size(c, m, s, r)[0] * 1e9 / r), "wait", "100000, expected 99000"),
    ("05.3", shares(add="true"), "correct", "a delete between two adds"),
    ("05.3", shares(add="data[at + 2] == b'A'"), "correct", "an add that names who quotes (F)"),
    ("05.3", shares(total="u32"), "correct", "more shares than 32 bits hold"),
    ("05.3", shares(torn=""), "correct", "shares panicked: "),
    ("05.3", shares(add="data[at + 2] == 'A'"), "correct", "it does not compile: line 6:"),
    ("05.3", shares_added, "faster", "times as fast as the loop in Python; it must be at least 20"),
    ("06.1", Minimum, "faster", "2,048 levels"),
    ("06.1", Searching, "tail", "one level, in the last slot"),
    ("06.1", Clamping, "correct", "a price below the window"),
    ("06.1", Broken, "correct", "RuntimeError: no best today"),
    ("06.2", lambda *given: crossing(*given, low="ns_per_message", high="ns_per_message"), "correct", "their intervals overlap"),
    ("06.2", first_above, "correct", "b is above a at 1"),
]
