"""Feeds nobody would send: seeded markets with every fault, walks of the price, wire bytes with defects, blocks of any size."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from hftlab.events import EVENT_DTYPE
from hftlab.feeds.feed import BytesFeed, EventFeed
from hftlab.protocols.itch_messages import MESSAGES, build
from hftlab.settings import OrderConfig, RiskConfig, SignalConfig

#: Constants under which a small market meets every limit and every branch of the score.
WILD: dict[str, Any] = {
    "signal_config": SignalConfig(decay=0.9, k=10.0, weights=(0.5, 0.1, 0.2, 0.1, 0.1), levels=3),
    "order_config": OrderConfig(threshold=0.1, lot=100, cooldown=3),
    "risk_config": RiskConfig(max_notional=105, collar_bps=80, position_limit=300, max_orders_per_sec=2),
}
SYMBOLS = ("", "AAA", "BBB", "CCC")
_EDGES = (1, 99, 10_000, 10_150, -10_000, 3_000_000, 2**31, 2**62, -(2**62), 2**63 - 1, -(2**63) + 1)


def dense(n: int, seed: int) -> EventFeed:
    """A market of three instruments in so small a space that every fault and every limit occurs."""
    random = np.random.default_rng(seed)
    rows = np.zeros(n, EVENT_DTYPE)
    rows["ts_ns"] = np.cumsum(random.integers(0, 4_000_000, n))
    rows["order_id"], rows["new_order_id"] = random.integers(1, 80, n), random.integers(1, 80, n)
    rows["side"] = np.where(random.random(n) < 0.01, 0, random.integers(1, 3, n))
    rows["price"] = 10_000 + np.where(rows["side"] == 1, -1, 1) * random.integers(-1, 12, n) * 100
    rows["price"][random.random(n) < 0.02] = 0
    rows["qty"] = random.integers(0, 5, n) * 100
    rows["instrument"] = random.integers(1, 4, n)
    rows["kind"] = random.choice([1, 1, 1, 1, 2, 3, 4, 5, 6, 7], n)
    rows["kind"][random.random(n) < 0.002] = 8
    status = rows["kind"] == 7
    rows["qty"][status] = np.where(random.random(int(status.sum())) < 0.2, ord("H"), ord("T"))
    return EventFeed(rows, symbols=SYMBOLS, name=f"dense market, seed {seed}")


def edges(n: int, seed: int) -> EventFeed:
    """Numbers at the edges of their types: any price, any order id, any quantity, times that run back."""
    random = np.random.default_rng(seed)
    rows = np.zeros(n, EVENT_DTYPE)
    rows["ts_ns"] = random.integers(0, 2**64, n, dtype=np.uint64)
    ids = np.concatenate([np.array([0, 2**64 - 1, 2**63], np.uint64), random.integers(0, 2**64, 20, dtype=np.uint64)])
    rows["order_id"], rows["new_order_id"] = random.choice(ids, n), random.choice(ids, n)
    rows["price"] = random.choice(np.array(_EDGES, np.int64), n)
    rows["qty"] = random.choice(np.array([1, 100, 2**31, 2**32 - 1], np.uint32), n)
    rows["instrument"] = random.choice(np.array([0, 1, 2, 2**16 - 1], np.uint16), n, p=[0.05, 0.6, 0.25, 0.1])
    rows["kind"] = random.choice([1, 1, 1, 2, 3, 4, 5, 8], n, p=[0.25, 0.25, 0.2, 0.08, 0.08, 0.07, 0.06, 0.01])
    rows["side"] = random.choice([0, 1, 2, 3, 255], n, p=[0.02, 0.47, 0.47, 0.02, 0.02])
    return EventFeed(rows, symbols=SYMBOLS, name=f"edges, seed {seed}")


def walk(n: int, step: int, seed: int) -> EventFeed:
    """A price that walks far and jumps, in units of `step`: thousands of levels, some of them forty times away."""
    random = np.random.default_rng(seed)
    rows = np.zeros(n, EVENT_DTYPE)
    at = 20_000 + np.cumsum(random.integers(-9, 10, n))
    rows["order_id"] = np.arange(1, n + 1)
    rows["side"] = random.integers(1, 3, n)
    rows["price"] = (at + np.where(rows["side"] == 1, -1, 1) * random.integers(1, 400, n)) * step
    rows["price"][random.random(n) < 0.05] += max(step // 3, 1)
    rows["price"][random.random(n) < 0.01] *= 40
    rows["qty"], rows["instrument"], rows["kind"] = 100, 1, 1
    gone = random.random(n) < 0.45
    rows["order_id"][gone] = random.integers(1, n, int(gone.sum()))
    rows["kind"][gone] = 4
    return EventFeed(rows, symbols=("", "WALK"), price_scale=max(step, 10_000), name=f"walk in steps of {step}")


def wire(n: int, seed: int, *, defects: int = 0) -> bytes:
    """Framed messages of every type with random fields, named instruments, and bytes overwritten anywhere."""
    random = np.random.default_rng(seed)
    letters = random.choice([*MESSAGES, *"AAAAAAFDDEEUUXC"], n)
    out = bytearray(b"".join(framed(build("R", locate=i, stock=f"SYM{i}")) for i in (1, 2)))
    for letter in map(str, letters):
        message = bytearray(build(letter, locate=int(random.integers(1, 3))))
        body = random.choice([0, 0, 0, 0, 1, 66, 83], len(message) - 11)
        message[11:] = bytes(body.astype(np.uint8))
        if letter in "AFEXCU" and random.random() < 0.8:
            message[11:19] = int(random.integers(1, 30)).to_bytes(8, "big")
        out += framed(bytes(message))
    for at, byte in zip(random.integers(0, len(out), defects), random.integers(0, 256, defects), strict=True):
        out[at] = byte
    return bytes(out)


def framed(message: bytes) -> bytes:
    """A message behind its length."""
    return len(message).to_bytes(2, "big") + message


def pieces(data: bytes, ends: Iterable[int], name: str) -> BytesFeed:
    """Wire bytes in blocks that end at given places, as read-only views."""
    view = memoryview(data)
    return BytesFeed(*(view[start:end] for start, end in pairwise([0, *ends, len(data)])), name=name)
