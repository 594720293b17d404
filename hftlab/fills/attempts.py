"""The strategies that do not depend on what is filled: all latencies answer the same events, in one pass; and what each latency
got out of each attempt, in numbers that can be compared: filled or not, the markout, money.

join : whenever a better bid or ask appears, an order of ours joins it, and is taken back after a while. Who is how far from the
       front?
take : the orders of the engine's own order stage, sent later: immediate or cancel, at the price it saw
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hftlab.engine.engine import Engine
from hftlab.errors import HftlabError
from hftlab.events import Events, Kind, Side
from hftlab.feeds.feed import Feed
from hftlab.fills.accounts import FEE_UNITS, FeeSchedule
from hftlab.fills.delays import Latency
from hftlab.fills.requests import REQUEST_DTYPE, Action, Reason, Requests, TimeInForce
from hftlab.fills.simulation import Array
from hftlab.measurement.blocks import Floats, block_of, sums

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Touch:
    """Best bid and ask of every instrument, at the end of each exchange event that changed them; arrays of one length.

    index, ts_ns        : of the last message of the event
    bid, ask            : prices; bid_qty, ask_qty: 0 for an empty side
    """

    index: Ints
    ts_ns: Ints
    instrument: Ints
    bid: Ints
    bid_qty: Ints
    ask: Ints
    ask_qty: Ints

    @classmethod
    def of(cls, columns: dict[str, Array], ends: Array | None, events: Events) -> Touch:
        """From the columns of a run that recorded the top of the book."""
        index = columns["index"].astype(np.int64)
        last = index if ends is None else _ends_at(ends, index)
        keep = np.ones(len(index), bool)
        instrument = columns["instrument"].astype(np.int64)
        order = np.lexsort((index, instrument))  # per instrument, the last row of each event
        same = (instrument[order][1:] == instrument[order][:-1]) & (last[order][1:] == last[order][:-1])
        keep[order[:-1][same]] = False
        names = ("bid_price", "bid_qty", "ask_price", "ask_qty")
        bid, bid_qty, ask, ask_qty = (columns[name].astype(np.int64)[keep] for name in names)
        return cls(last[keep], events["ts_ns"][last[keep]].astype(np.int64), instrument[keep], bid, bid_qty, ask, ask_qty)

    @property
    def open(self) -> NDArray[np.bool_]:
        """Where both sides are there and apart."""
        both: NDArray[np.bool_] = (self.bid_qty > 0) & (self.ask_qty > 0) & (self.bid < self.ask)
        return both

    def mids2(self, instrument: int, times_ns: Array) -> Array:
        """Twice the mid of an instrument, price units, as it stood at these times; NaN before its first."""
        own = self.open & (self.instrument == instrument)
        ts_ns, mids = self.ts_ns[own], (self.bid + self.ask)[own].astype(np.float64)
        place = np.searchsorted(ts_ns, times_ns, side="right") - 1
        return np.where(place >= 0, mids[np.maximum(place, 0)], np.nan) if len(mids) else np.full(len(times_ns), np.nan)

    def tick(self) -> int:
        """Price units of the smallest step in which the touch moves: their greatest common divisor."""
        own = [(self.instrument == each) & self.open for each in np.unique(self.instrument)]
        moves = np.concatenate([np.zeros(0, np.int64), *(np.diff(side[rows]) for rows in own for side in (self.bid, self.ask))])
        return int(np.gcd.reduce(np.abs(moves))) or 1


def _ends_at(ends: Array, index: Ints) -> Ints:
    """The last message of the exchange event that each message belongs to; of an unfinished one the last of all."""
    last = np.append(np.flatnonzero(ends), len(ends) - 1)
    return last[np.searchsorted(last, index)]


@dataclass(frozen=True)
class Attempts:
    """What is decided, whatever the latency: arrays of one length.

    index, ts_ns : of the message that it answers; seen_ns: when we had it
    """

    index: Ints
    ts_ns: Ints
    seen_ns: Ints
    instrument: Ints
    side: Ints
    price: Ints
    qty: Ints
    tif: TimeInForce

    def __len__(self) -> int:
        return len(self.index)

    def where(self, keep: NDArray[np.bool_]) -> Attempts:
        """Those of them."""
        names = ("index", "ts_ns", "seen_ns", "instrument", "side", "price", "qty")
        return Attempts(**{name: getattr(self, name)[keep] for name in names}, tif=self.tif)

    def requests(self, latencies: Sequence[Latency], horizon_ns: int, seed: int) -> Requests:
        """Each attempt once per latency, in a world of its own, and what takes it back `horizon_ns` after it was decided.

        What would arrive after that is not sent.
        """
        n = len(self)
        out = np.zeros((len(latencies), 2, n), REQUEST_DTYPE)
        out["after"], out["tif"] = -1, self.tif
        out["order_id"] = np.arange(n)
        for name in ("instrument", "side", "price", "qty"):
            out[name] = getattr(self, name)
        out["action"][:, 0], out["action"][:, 1], out["qty"][:, 1] = Action.ENTER, Action.CANCEL, 0
        sent = np.ones((len(latencies), 2, n), bool)
        for world, latency in enumerate(latencies):
            delays = latency.draw(self.seen_ns, (seed, world))
            out["world"][world] = world
            out["time_ns"][world] = np.stack([self.seen_ns + delays, self.seen_ns + horizon_ns])
            sent[world, 0] = delays < horizon_ns
            sent[world, 1] = sent[world, 0] & (self.tif != TimeInForce.IOC)
        return out[sent]


def seen(feed: Feed, index: Ints, ts_ns: Ints, clock: str) -> Ints:
    """When we had the messages of these numbers, in the clock of the exchange: as received where the feed tells, never before."""
    received = feed.recv_ns if clock == "receive" else None
    return ts_ns if received is None else np.maximum(np.asarray(received).astype(np.int64)[index], ts_ns)


def births(feed: Feed, events: Events, touch: Touch, lot: int, clock: str) -> Attempts:
    """Join: every better bid or ask, at the end of an exchange event, in continuous trading."""
    order = np.lexsort((touch.index, touch.instrument))
    instrument, open_ = touch.instrument[order], touch.open[order]
    follows = np.concatenate([[False], (instrument[1:] == instrument[:-1])])
    found: list[tuple[Ints, int, Ints]] = []
    for side, sign, prices, qty in ((Side.BID, 1, touch.bid, touch.bid_qty), (Side.ASK, -1, touch.ask, touch.ask_qty)):
        price, there = prices[order], qty[order] > 0
        better = np.concatenate([[False], (sign * (price[1:] - price[:-1]) > 0) & there[1:] & there[:-1]])
        rows = np.flatnonzero(better & follows & open_)
        found.append((order[rows], int(side), price[rows]))
    rows = np.concatenate([row for row, _, _ in found])
    sides = np.concatenate([np.full(len(row), side) for row, side, _ in found])
    prices = np.concatenate([price for _, _, price in found])
    by_time = np.lexsort((sides, touch.index[rows]))
    rows, sides, prices = rows[by_time], sides[by_time], prices[by_time]
    index, ts_ns = touch.index[rows], touch.ts_ns[rows]
    lots, when = np.full(len(rows), lot), seen(feed, index, ts_ns, clock)
    made = Attempts(index, ts_ns, when, touch.instrument[rows], sides, prices, lots, TimeInForce.POST_ONLY)
    return made.where(trading(events, made.index, made.instrument))


def trading(events: Events, index: Ints, instrument: Ints) -> NDArray[np.bool_]:
    """Whether an instrument trades at these messages: it has traded before, and its last state, if the feed gives any, is T."""
    out = np.zeros(len(index), bool)
    for each in np.unique(instrument):
        own, chosen = events["instrument"] == each, instrument == each
        trades = np.flatnonzero(own & ((events["kind"] == Kind.EXECUTE) | (events["kind"] == Kind.TRADE)))
        states = np.flatnonzero(own & (events["kind"] == Kind.STATUS))
        place = np.searchsorted(states, index[chosen], side="right") - 1
        codes = events["qty"][states][np.maximum(place, 0)] if len(states) else np.full(chosen.sum(), ord("T"))
        going = (place < 0) | (codes == ord("T"))
        out[chosen] = going & (index[chosen] > (trades[0] if len(trades) else len(events)))
    return out


def taken(feed: Feed, orders: dict[str, Array], clock: str) -> Attempts:
    """Take: the orders of the engine's own order stage."""
    columns = {name: orders[name].astype(np.int64) for name in ("index", "ts_ns", "instrument", "side", "price", "qty")}
    when = seen(feed, columns["index"], columns["ts_ns"], clock)
    return Attempts(**columns, seen_ns=when, tif=TimeInForce.IOC)


def decide(
    feed: Feed, events: Events, ends: Array | None, strategy: str, lot: int, clock: str, engine: Engine
) -> tuple[Touch, Attempts]:
    """The touch of a feed, and what the strategy of this name decides on it.

    raises : HftlabError where nothing is decided
    """
    run = engine.run(feed, record="top")
    touch = Touch.of(run.columns, ends, events)
    if strategy == "join":
        attempts = births(feed, events, touch, lot, clock)
    else:
        orders = run.orders
        columns = {name: orders[name].to_numpy() for name in ("index", "ts_ns", "instrument", "price", "qty")}
        attempts = taken(feed, {**columns, "side": np.where(orders["side"].to_numpy() == "B", Side.BID, Side.ASK)}, clock)
    if not len(attempts):
        raise HftlabError(f"{feed.name}: {strategy} must find at least one event to act on, got none")
    return touch, attempts


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
