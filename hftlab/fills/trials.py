"""What each latency got out of each attempt, in numbers that can be compared: filled or not, the markout, money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hftlab.events import Side
from hftlab.fills.accounts import FEE_UNITS, FeeSchedule
from hftlab.fills.requests import Reason
from hftlab.fills.simulation import Array
from hftlab.measurement.blocks import Floats, block_of, sums

#: Metric -> what it is.
METRICS = {
    "filled": "share of the quantity filled by the queue, or taken",
    "executed": "filled, or traded through",
    "value": "the mid some time after each execution against its price; 0 without an execution",
    "money": "currency over the whole feed, less fees",
}
#: Metrics that are a rate per attempt; the others are sums over the feed.
RATES = ("filled", "executed", "value")


@dataclass(frozen=True)
class Money:
    """What turns price units into currency. tick: price units; multiplier: currency per 1.0 of price and lot."""

    tick: int
    price_scale: int
    qty_scale: int
    multiplier: int
    fees: FeeSchedule

    def currency(self, units: Array, reasons: Array, qty: Array) -> Floats:
        """Of fills: price units gained per share, why, and how many shares; less fees."""
        gross = units * qty * self.multiplier / (self.price_scale * self.qty_scale)
        each = np.array([0, *(self.fees.units(reason) for reason in Reason)], np.float64)
        net: Floats = gross - each[reasons] * qty / (FEE_UNITS * self.qty_scale)
        return net


@dataclass(frozen=True)
class Trials:
    """One latency's attempts, arrays of one length; shares are of the quantity of the attempt.

    time_ns : when it was decided, which puts it into a block
    value   : ticks, per share attempted
    money   : currency
    front   : whether it was ever first in its queue; ahead: orders before it when it came, NaN if it never rested
    """

    time_ns: NDArray[np.int64]
    filled: Floats
    through: Floats
    canceled: Floats
    expired: Floats
    value: Floats
    money: Floats
    front: Floats
    ahead: Floats

    @property
    def executed(self) -> Floats:
        return self.filled + self.through

    def by_block(self, metric: str, first_ns: int, last_ns: int, blocks: int) -> tuple[Floats, Floats]:
        """(got, tried) of a metric by block of the time from first to last; tried: attempts, or for money the block itself."""
        times = np.concatenate([[first_ns, last_ns], self.time_ns])
        block = block_of(times, blocks)[2:]
        got = sums(block, getattr(self, metric), blocks)
        return got, sums(block, np.ones(len(block)), blocks) if metric in RATES else np.ones(blocks)


def trials(
    orders: Array,
    fills: Array,
    n: int,
    time_ns: Array,
    qty: Array,
    mids2: Callable[[int, Array], Array],
    markout_ns: int,
    money: Money,
) -> Trials:
    """The attempts of one world.

    orders, fills : of this world alone, their order_id the number of the attempt
    n             : attempts; time_ns, qty : of each
    mids2         : (instrument, times) -> twice the mid
    """
    whole = qty.astype(np.float64)
    worth = _worth(fills, mids2, markout_ns)
    at = fills["order_id"].astype(np.int64)
    gained = sums(at, worth / money.tick * fills["qty"], n)
    paid = sums(at, money.currency(worth, fills["reason"].astype(np.int64), fills["qty"].astype(np.float64)), n)
    own = orders["order_id"].astype(np.int64)
    shares = {name: np.zeros(n) for name in ("filled", "through", "expired", "front")}
    for name in ("filled", "through", "expired"):
        shares[name][own] = orders[name] / whole[own]
    shares["front"][own] = orders["front_ns"] >= 0
    ahead = np.full(n, np.nan)
    rested = orders["ended_ns"] > orders["arrived_ns"]
    ahead[own[rested]] = orders["ahead_orders"][rested]
    # What was never sent, because its time was over before it would have been there, counts as canceled.
    canceled = 1.0 - shares["filled"] - shares["through"] - shares["expired"]
    return Trials(time_ns.astype(np.int64), **shares, canceled=canceled, value=gained / whole, money=paid, ahead=ahead)


def _worth(fills: Array, mids2: Callable[[int, Array], Array], markout_ns: int) -> Floats:
    """Of each fill: price units per share that the mid is better than its price, `markout_ns` later; 0 where no mid is known."""
    out = np.zeros(len(fills))
    sign = np.where(fills["side"] == Side.BID, 1.0, -1.0)
    for instrument in np.unique(fills["instrument"]):
        own = fills["instrument"] == instrument
        mid = mids2(int(instrument), fills["ts_ns"][own].astype(np.int64) + markout_ns) / 2
        out[own] = sign[own] * (mid - fills["price"][own])
    return np.nan_to_num(out)
