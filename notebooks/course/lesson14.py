"""Exercises of lesson 14, is my fill real: who is ahead, and what a fill was worth afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from course.exercise import Step, exercise

#: What happens at our price: ("execute" | "cancel" | "delete" | "grow" | "add", order, shares).
Happening = tuple[str, int, int]


def queue_fills(ahead: dict[int, int], events: Sequence[Happening], qty: int) -> list[int]:
    """Shares that an order of `qty` gets at each event, behind the orders in `ahead`: first in, first out."""
    ahead, out = dict(ahead), []
    for what, order, shares in events:
        got = min(qty, shares) if what == "execute" and order not in ahead else 0
        qty -= got
        out.append(got)
        if what in ("delete", "grow"):
            ahead.pop(order, None)
        elif what in ("execute", "cancel") and order in ahead:
            ahead[order] -= shares
            if not ahead[order]:
                del ahead[order]
    return out


#: (what it is about, orders ahead, events)
CASES: tuple[tuple[str, dict[int, int], list[Happening]], ...] = (
    ("the order ahead is executed: that is not yours", {1: 5}, [("execute", 1, 5)]),
    ("an order behind you is executed: you would have been hit first", {1: 5}, [("execute", 1, 5), ("execute", 9, 2)]),
    ("part of the queue ahead is canceled: who is left is still ahead", {1: 5, 2: 5}, [("delete", 1, 0), ("execute", 2, 4)]),
    ("the order ahead shrinks and keeps its place", {1: 5}, [("cancel", 1, 3), ("execute", 1, 2)]),
    ("the order ahead grows and loses its place", {1: 5}, [("grow", 1, 9), ("execute", 1, 2)]),
    ("an order behind you is canceled: nothing changes", {1: 5}, [("add", 9, 4), ("delete", 9, 0), ("execute", 1, 5)]),
    ("you get no more than you asked for", {}, [("execute", 9, 2), ("execute", 8, 5), ("execute", 7, 5)]),
)


@exercise("14.1", "Whose shares are these?", minutes=20)
def whose_shares(fills: Callable[[dict[int, int], Sequence[Happening], int], Sequence[int]]) -> Iterator[Step]:
    """A function (orders ahead, events, shares asked for) -> shares filled at each event."""
    for about, ahead, events in CASES:
        got = [int(each) for each in fills(dict(ahead), list(events), 3)]
        yield Step.expect("correct", got, queue_fills(ahead, events, 3), about)
    random = np.random.default_rng(14)
    for _ in range(200):
        ahead, events = _some(random)
        right, got = queue_fills(ahead, events, 40), [int(each) for each in fills(dict(ahead), list(events), 40)]
        if got != right:
            yield Step.expect("correct", got, right, f"ahead {ahead}, events {events}")
            return
    yield Step.claim("correct", True, "200 queues that you have not seen")


def _some(random: np.random.Generator) -> tuple[dict[int, int], list[Happening]]:
    """A queue, and events that can happen to it."""
    live = {order: int(random.integers(1, 9)) for order in range(1, 6)}
    ahead, events = dict(live), []
    for number in range(12):
        what = str(random.choice(["execute", "cancel", "delete", "grow", "add"]))
        if what == "add" or not live:
            live[10 + number] = shares = int(random.integers(1, 9))
            events.append(("add", 10 + number, shares))
            continue
        order = int(random.choice(list(live)))
        shares = {"delete": 0, "grow": live[order] + 3}.get(what, int(random.integers(1, live[order] + 1)))
        live[order] = {"delete": 0, "grow": live[order] + 3}.get(what, live[order] - shares)
        events.append((what, order, shares))
        live = {each: left for each, left in live.items() if left}
    return ahead, events


@exercise("14.2", "Was it a good fill?", minutes=15)
def good_fill(markouts: Callable[..., Any]) -> Iterator[Step]:
    """A function (side, price, filled_ns, mid_ns, mid, after_ns, tick) -> ticks, one per fill."""
    mid_ns, mid = np.array([0, 1_000, 2_000]), np.array([100.0, 103.0, 90.0])

    def ask(side: int, filled_ns: int) -> float:
        fill = (np.array([side]), np.array([99.0]), np.array([filled_ns]))
        return float(np.asarray(markouts(*fill, mid_ns, mid, 1_000, 2.0))[0])

    yield Step.expect("correct", ask(1, 0), 2.0, "bought at 99, the mid is 103 when its time has come, a tick is 2")
    yield Step.expect("correct", ask(2, 0), -2.0, "sold at 99, and the mid is 103")
    yield Step.expect("correct", ask(1, 500), 2.0, "the mid that stands 1,500 ns in is the one of 1,000")
    random = np.random.default_rng(7)
    times = np.sort(random.integers(0, 10**6, 500))
    mids, filled = 1_000 + random.normal(0, 5, 500).cumsum(), random.integers(times[0], 10**6, 300)
    side, price = random.integers(1, 3, 300), 1_000 + random.normal(0, 5, 300)
    right = _markouts(side, price, filled, times, mids, 20_000, 0.5)
    got = np.asarray(markouts(side, price, filled, times, mids, 20_000, 0.5), float)
    near = got.shape == right.shape and bool(np.allclose(got, right))
    yield Step.claim("correct", near, f"300 fills that you have not seen: {'the same ticks' if near else 'other ticks'}")


def _markouts(side: Any, price: Any, filled_ns: Any, mid_ns: Any, mid: Any, after_ns: int, tick: float) -> Any:
    later = mid[np.searchsorted(mid_ns, filled_ns + after_ns, side="right") - 1]
    return np.where(side == 1, 1, -1) * (later - price) / tick
