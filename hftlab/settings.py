"""The settings of an engine: which stages run, what is recorded, the constants of signals, orders and risk.

Every setting says its unit and range; a value outside it raises ConfigError before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hftlab.errors import ConfigError, check_choice, check_range, check_type, check_whole

STAGES = ("tick", "book", "signal", "order")
RECORDS = ("none", "top", "all")
LATENCIES = ("off", "stages", "total")
KEEPS = ("samples", "histogram", "both")
FILLS = ("assumed", "reported")

Stage = Literal["tick", "book", "signal", "order"]
Record = Literal["none", "top", "all"]
Latency = Literal["off", "stages", "total"]
Keep = Literal["samples", "histogram", "both"]
Fills = Literal["assumed", "reported"]


def _set(config: object, name: str, value: object) -> None:
    """Put a checked value, Python's own number now, in its place; the engines never see one of NumPy's."""
    object.__setattr__(config, name, value)


def _whole(config: object, **bounds: tuple[int, int]) -> None:
    """Check whole numbers by the names of their fields. Raises ConfigError."""
    for name, (low, high) in bounds.items():
        _set(config, name, check_whole(name, getattr(config, name), low, high))


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
        _set(self, "decay", check_range("decay", self.decay, 0.0, 1.0))
        _set(self, "k", check_range("k", self.k, 0.0, 1e12))
        if not self.k:
            raise ConfigError(f"k must be above 0, got {self.k!r}")
        if not isinstance(self.weights, tuple) or len(self.weights) != 5:
            raise ConfigError(f"weights must be a tuple of five numbers, got {self.weights!r}")
        weights = (check_range(f"weights[{index}]", weight, -1e6, 1e6) for index, weight in enumerate(self.weights))
        _set(self, "weights", tuple(weights))
        _whole(self, levels=(1, 64))


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
        _set(self, "threshold", check_range("threshold", self.threshold, 0.0, 1e6))
        _whole(self, lot=(1, 999_999), cooldown=(1, 2**31 - 1))


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
        check_type("kill", self.kill, bool)
        _whole(self, max_order_qty=(0, 2**32 - 1), max_notional=(0, 10**15), collar_bps=(0, 10**6), position_limit=(0, 10**12))
        _whole(self, max_orders_per_sec=(1, 1_000_000))


#: Reasons for which risk refuses an order, in the order in which they are tested.
REJECTS = ("kill_switch", "max_order_qty", "max_notional", "price_collar", "position_limit", "order_rate")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a session is opened with. `symbols[i]` names instrument i; empty where the feed itself tells.

    lookahead       : ask for memory that later messages of a buffer touch: True, False, or "auto", where it pays; an engine
                      may ignore it, and it is never done where messages are stamped
    keep            : of the stamps of a run: every sample, counts in buckets of `hftlab.engine.timing.Histogram`, or both; an
                      engine may ignore it and keep samples
    slowest, around : how many of the slowest messages are kept (0 to 1,000), and how many before and after each (0 to 1,000);
                      an engine may ignore them
    warm_up         : messages at the start that are not stamped; an engine may ignore it
    fills           : "assumed": an order is filled at once, as in replay; "reported": as `LiveSession.on_report` says
    first_ref       : UserRefNum of the first order, 1 to 2^32-1
    threads         : threads that share the instruments, 1 to 64; more than one neither stamp messages nor take reports of fills
    """

    book: str = "ladder"
    orders: str = "flat"
    pool: bool = True
    signal: str = "incremental"
    lookahead: bool | str = "auto"
    until: Stage = "order"
    record: Record = "all"
    latency: Latency = "off"
    keep: Keep = "samples"
    slowest: int = 0
    around: int = 8
    warm_up: int = 0
    strict: bool = False
    price_scale: int = 10_000
    symbols: tuple[str, ...] = ()
    signal_config: SignalConfig = field(default_factory=SignalConfig)
    order_config: OrderConfig = field(default_factory=OrderConfig)
    risk_config: RiskConfig = field(default_factory=RiskConfig)
    fills: Fills = "assumed"
    first_ref: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        check_choice("stage", self.until, STAGES)
        check_choice("record mode", self.record, RECORDS)
        check_choice("latency mode", self.latency, LATENCIES)
        check_choice("way to keep stamps", self.keep, KEEPS)
        check_choice("way to take fills", self.fills, FILLS)
        check_type("pool", self.pool, bool)
        if not isinstance(self.lookahead, bool):
            check_choice("lookahead", self.lookahead, ("False", "True", "auto"))
        check_type("strict", self.strict, bool)
        check_type("signal_config", self.signal_config, SignalConfig)
        check_type("order_config", self.order_config, OrderConfig)
        check_type("risk_config", self.risk_config, RiskConfig)
        _whole(self, slowest=(0, 1_000), around=(0, 1_000), warm_up=(0, 2**62))
        _whole(self, price_scale=(1, 10**12), first_ref=(1, 2**32 - 1), threads=(1, 64))
        if self.threads > 1 and (self.latency != "off" or self.fills == "reported"):
            what = "latency is of one thread" if self.latency != "off" else "reports of fills go to one thread"
            raise ConfigError(f"{what}, got threads={self.threads}; use threads=1")
