"""SIGNAL: nine numbers after each event, each written out exactly as the contract gives it.

All arithmetic is float64, left to right, brackets as shown: another engine that keeps the order gives the same bits.
Quantities and price differences are integers until the last moment; `* 1.0` makes a float of an integer, as float() would,
without a call.
"""

from __future__ import annotations

import math

from hftlab.events import Kind, Side
from hftlab.settings import SignalConfig
from hftlab.stages.book import Book, Top

#: The nine signals, in the order of the frame's columns.
NAMES = ("mid", "spread", "microprice", "imbalance", "depth_imbalance", "ofi", "flow", "volatility", "score")

Values = tuple[float, float, float, float, float, float, float, float, float]

#: Before anything has happened, and for a message that names no instrument.
NO_VALUES: Values = (math.nan, math.nan, math.nan, math.nan, math.nan, 0.0, 0.0, 0.0, 0.0)

_EXECUTE, _BID, _ASK = int(Kind.EXECUTE), int(Side.BID), int(Side.ASK)


def order_flow_imbalance(before: Top, after: Top) -> int:
    """Shares by which buying pressure at the touch grew: Cont, Kukanov and Stoikov (2014), equation 3.

    An empty side has quantity 0; an empty bid counts as price minus infinity, an empty ask as plus infinity.
    """
    pb0, qb0, pa0, qa0 = before
    pb, qb, pa, qa = after
    e = 0
    if qb and (not qb0 or pb >= pb0):
        e += qb
    if qb0 and (not qb or pb <= pb0):
        e -= qb0
    if qa and (not qa0 or pa <= pa0):
        e -= qa
    if qa0 and (not qa or pa >= pa0):
        e += qa0
    return e


class State:
    """One instrument: the five sums that live from event to event, and the latest nine values."""

    __slots__ = ("asks", "bids", "flow", "mid", "ofi", "values", "volatility")

    def __init__(self) -> None:
        self.bids = self.asks = 0  # quantity of the best levels of each side
        self.mid = math.nan
        self.ofi = self.flow = self.volatility = 0.0
        self.values = NO_VALUES


class Signal:
    """The signals of all instruments."""

    def __init__(self, config: SignalConfig) -> None:
        self.decay, self.k, self.levels = float(config.decay), float(config.k), config.levels
        self.weights = tuple(map(float, config.weights))
        self.states: dict[int, State] = {}

    def values(self, instrument: int) -> Values:
        """The latest nine values of an instrument."""
        state = self.states.get(instrument)
        return state.values if state else NO_VALUES

    def update(self, book: Book, instrument: int, kind: int, qty: int, side: int, before: Top, after: Top) -> Values:
        """Advance the signals of one instrument by one applied event.

        side          : the side of the order acted on, as Book.apply returned it; the other side has not changed
        before, after : the touch of the instrument around the event
        """
        state = self.states.get(instrument)
        if state is None:
            state = self.states[instrument] = State()
        decay = self.decay

        state.ofi = ofi = state.ofi * decay + order_flow_imbalance(before, after)
        traded = 0
        if kind == _EXECUTE:
            traded = -qty if side == _BID else qty  # an execution of a resting bid is a sale
        state.flow = flow = state.flow * decay + traded

        if side & _BID:
            state.bids = book.depth_qty(instrument, _BID, self.levels)
        if side & _ASK:
            state.asks = book.depth_qty(instrument, _ASK, self.levels)
        bids, asks = state.bids, state.asks
        depth_imbalance = (bids - asks) * 1.0 / (bids + asks) if bids or asks else math.nan

        pb, qb, pa, qa = after
        mid = spread = microprice = imbalance = math.nan
        score = 0.0
        if qb and qa:
            bid, ask = pb * 1.0, pa * 1.0
            mid = (bid + ask) / 2
            spread = (pa - pb) * 1.0
            microprice = (bid * qa + ask * qb) / (qb * 1.0 + qa)
            imbalance = (qb - qa) * 1.0 / (qb + qa)
            d = mid - state.mid
            if d == d:  # both mids exist
                state.volatility = state.volatility * decay + ((1 - decay) * d) * d
            if spread > 0:
                w0, w1, w2, w3, w4 = self.weights
                score = (
                    w0 * imbalance
                    + w1 * depth_imbalance
                    + (w2 * (microprice - mid)) / spread
                    + (w3 * ofi) / (abs(ofi) + self.k)
                    + (w4 * flow) / (abs(flow) + self.k)
                )
        state.mid = mid
        state.values = values = (
            mid, spread, microprice, imbalance, depth_imbalance, ofi, flow, state.volatility, score,
        )  # fmt: skip
        return values
