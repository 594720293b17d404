"""What an engine can be told: which stages run, what is recorded, the constants of signals, orders and risk.

Every setting says its unit and range; a value outside it raises ConfigError before anything runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from hftlab.errors import ConfigError, UnknownName

STAGES = ("tick", "book", "signal", "order")
RECORDS = ("none", "top", "all")
LATENCIES = ("off", "stages", "total")
KEEPS = ("samples", "histogram", "both")
FILLS = ("assumed", "reported")

#: Variant names by axis, naive to best. An engine may have some of them; one without an axis has one way only.
AXES: dict[str, tuple[str, ...]] = {
    "book": ("btree", "sorted", "ladder"),
    "orders": ("std", "fast", "flat"),
    "pool": ("False", "True"),
    "signal": ("recompute", "incremental"),
}

#: What each name is good at, and what it costs.
GOOD_AT: dict[str, dict[str, str]] = {
    "book": {
        "btree": "ordered map: any price, near or far, at the logarithm of the number of levels",
        "sorted": "sorted array, the best at its end: quick near the touch, slow deep in a deep book",
        "ladder": "one slot per tick around the touch and a bitmap of those in use; far prices in an ordered list",
    },
    "orders": {
        "std": "hash map with the standard hash: safe against chosen keys, which every look-up pays for",
        "fast": "hash map with a fast hash: the same table, cheaper look-ups",
        "flat": "one cell per reference, in their order: neighbours share a cache line, growth splits one cell at a time",
    },
    "pool": {
        "False": "each order its own heap allocation: simple, at the pace of the allocator",
        "True": "slab with a free list, touched beforehand, growing in place: orders close together, no allocator",
    },
    "signal": {
        "recompute": "walks the best levels after each event: simple",
        "incremental": "computes only what an event changed, and walks only where one of the best levels came or went",
    },
}

Stage = Literal["tick", "book", "signal", "order"]
Record = Literal["none", "top", "all"]
Latency = Literal["off", "stages", "total"]
Keep = Literal["samples", "histogram", "both"]
Fills = Literal["assumed", "reported"]


def _whole(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}; allowed is a whole number from {low} to {high}")


def _real(name: str, value: object, low: float, high: float, *, above: bool = False) -> None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high or (above and value == low):  # type: ignore[operator]
        edge = "above" if above else "from"
        raise ConfigError(f"{name} is {value!r}; allowed is a number {edge} {low:g} to {high:g}")


@dataclass(frozen=True, slots=True)
class SignalConfig:
    """Constants of the nine signals.

    decay   : what is left of ofi, flow and volatility after one applied event, in [0, 1]
    k       : shares at which ofi and flow reach half their weight in the score, > 0
    weights : of imbalance, depth_imbalance, microprice, ofi and flow in the score, each in [-1e6, 1e6]
    levels  : price levels a side summed for depth_imbalance, 1 to 64
    """

    decay: float = 0.99
    k: float = 1000.0
    weights: tuple[float, float, float, float, float] = (0.25, 0.25, 0.25, 0.125, 0.125)
    levels: int = 5

    def __post_init__(self) -> None:
        _real("decay", self.decay, 0.0, 1.0)
        _real("k", self.k, 0.0, 1e12, above=True)
        if not isinstance(self.weights, tuple) or len(self.weights) != 5:
            raise ConfigError(f"weights are {self.weights!r}; allowed is a tuple of five numbers")
        for index, weight in enumerate(self.weights):
            _real(f"weights[{index}]", weight, -1e6, 1e6)
        _whole("levels", self.levels, 1, 64)


@dataclass(frozen=True, slots=True)
class OrderConfig:
    """When the order stage acts.

    threshold : |score| above which it acts, in [0, 1e6]
    lot       : shares per order, 1 to 999,999 (the OUCH limit)
    cooldown  : applied events of an instrument from one attempt to the next, 1 to 2^31-1
    """

    threshold: float = 0.6
    lot: int = 100
    cooldown: int = 100

    def __post_init__(self) -> None:
        _real("threshold", self.threshold, 0.0, 1e6)
        _whole("lot", self.lot, 1, 999_999)
        _whole("cooldown", self.cooldown, 1, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class RiskConfig:
    """Pre-trade limits, in the order in which they are tested.

    kill               : refuse everything
    max_order_qty      : shares per order
    max_notional       : whole currency units per order
    collar_bps         : distance of the limit price from the mid, basis points
    position_limit     : absolute shares per instrument after the fill
    max_orders_per_sec : accepted orders in any second of event time, all instruments together, 1 to 1,000,000
    """

    kill: bool = False
    max_order_qty: int = 10_000
    max_notional: int = 1_000_000
    collar_bps: int = 200
    position_limit: int = 1_000
    max_orders_per_sec: int = 100

    def __post_init__(self) -> None:
        if not isinstance(self.kill, bool):
            raise ConfigError(f"kill is {self.kill!r}; allowed is True or False")
        _whole("max_order_qty", self.max_order_qty, 0, 2**32 - 1)
        _whole("max_notional", self.max_notional, 0, 10**15)
        _whole("collar_bps", self.collar_bps, 0, 10**6)
        _whole("position_limit", self.position_limit, 0, 10**12)
        _whole("max_orders_per_sec", self.max_orders_per_sec, 1, 1_000_000)


#: Reasons for which risk refuses an order, in the order in which they are tested.
REJECTS = ("kill_switch", "max_order_qty", "max_notional", "price_collar", "position_limit", "order_rate")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a session is opened with. `symbols[i]` names instrument i; empty where the feed itself tells.

    keep            : of the stamps of a run: every sample, counts in buckets of `hftlab.engine.histogram.Histogram`, or both; an
                      engine may ignore it and keep samples
    slowest, around : how many of the slowest messages are kept (0 to 1,000), and how many before and after each (0 to 1,000);
                      an engine may ignore them
    fills           : "assumed": an order is filled at its limit at once, as in replay; "reported": as told, see engine/live.py
    first_ref       : UserRefNum of the first order, 1 to 2^32-1
    """

    book: str = "ladder"
    orders: str = "flat"
    pool: bool = True
    signal: str = "incremental"
    until: Stage = "order"
    record: Record = "all"
    latency: Latency = "off"
    keep: Keep = "samples"
    slowest: int = 0
    around: int = 8
    strict: bool = False
    price_scale: int = 10_000
    symbols: tuple[str, ...] = ()
    signals: SignalConfig = field(default_factory=SignalConfig)
    order: OrderConfig = field(default_factory=OrderConfig)
    risk: RiskConfig = field(default_factory=RiskConfig)
    fills: Fills = "assumed"
    first_ref: int = 1

    def __post_init__(self) -> None:
        for what, value, known in (
            ("stage", self.until, STAGES),
            ("record mode", self.record, RECORDS),
            ("latency mode", self.latency, LATENCIES),
            ("way to keep stamps", self.keep, KEEPS),
            ("way to take fills", self.fills, FILLS),
        ):
            if value not in known:
                raise UnknownName(what, value, known)
        for name, flag in (("pool", self.pool), ("strict", self.strict)):
            if not isinstance(flag, bool):
                raise ConfigError(f"{name} is {flag!r}; allowed is True or False")
        _whole("slowest", self.slowest, 0, 1_000)
        _whole("around", self.around, 0, 1_000)
        _whole("price_scale", self.price_scale, 1, 10**12)
        _whole("first_ref", self.first_ref, 1, 2**32 - 1)
