"""SIGNAL: nine numbers after each event, each written out exactly as the contract gives it.

All arithmetic is float64, left to right, brackets as shown: another engine that keeps the order gives the same bits.
Quantities and price differences are integers until the last moment. What follows from the best bid and ask alone is computed
when they change; the rest, three decaying sums and the score, after every event.
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

_NO_TOUCH = NO_VALUES[:4]
_EXECUTE, _BID, _ASK = int(Kind.EXECUTE), int(Side.BID), int(Side.ASK)


def order_flow_imbalance(before: Top, after: Top) -> int:
    """Shares by which buying pressure at the touch grew: Cont, Kukanov and Stoikov (2014), equation 3.

    An empty side has quantity 0; an empty bid counts as price minus infinity, an empty ask as plus infinity.
    """
    pb0, qb0, pa0, qa0 = before
    pb, qb, pa, qa = after
    e = 0
    if pb != pb0 or qb != qb0:  # a side that has not changed would add 0
        if qb and (not qb0 or pb >= pb0):
            e += qb
        if qb0 and (not qb or pb <= pb0):
            e -= qb0
    if pa != pa0 or qa != qa0:
        if qa and (not qa0 or pa <= pa0):
            e -= qa
        if qa0 and (not qa or pa >= pa0):
            e += qa0
    return e


class State:
    """One instrument: what lives from event to event.

    bids, asks : quantity of the best levels of each side
    touch      : mid, spread, microprice and imbalance
    terms      : the terms of the score that follow from the touch; None while there is no score
    values     : the latest nine
    """

    __slots__ = ("asks", "bids", "flow", "ofi", "terms", "touch", "values", "volatility")

    def __init__(self) -> None:
        self.bids = self.asks = 0
        self.ofi = self.flow = self.volatility = 0.0
        self.touch = _NO_TOUCH
        self.terms: tuple[float, float] | None = None
        self.values = NO_VALUES


class Signal:
    """The signals of all instruments. Made with a SignalConfig."""

    def __init__(self, config: SignalConfig) -> None:
        self.decay, self.k, self.levels = float(config.decay), float(config.k), config.levels
        self.rest = 1.0 - self.decay
        self.weights = tuple(map(float, config.weights))
        self.states: dict[int, State] = {}

    def values(self, instrument: int) -> Values:
        """The latest nine values of an instrument; NO_VALUES if it has none yet."""
        state = self.states.get(instrument)
        return state.values if state else NO_VALUES

    def update(self, book: Book, instrument: int, kind: int, qty: int, side: int, before: Top, after: Top) -> Values:
        """Advance one instrument by one applied event and return its nine values, in the order of NAMES.

        book          : after the event
        side          : the side of the order acted on, as Book.apply returned it; the other side has not changed
        before, after : the touch of the instrument around the event
        """
        state = self.states.get(instrument) or self._open(instrument)
        decay = self.decay

        e = 0.0
        if before != after:
            e = float(order_flow_imbalance(before, after))
            self._touch(state, after)
        elif state.touch is not _NO_TOUCH:
            state.volatility *= decay  # the mid has not moved
        mid, spread, microprice, imbalance = state.touch
        state.ofi = ofi = state.ofi * decay + e

        s = 0.0
        if kind == _EXECUTE:
            s = float(-qty if side == _BID else qty)  # an execution of a resting bid is a sale
        state.flow = flow = state.flow * decay + s

        if side & _BID:
            state.bids = book.depth_qty(instrument, _BID, self.levels)
        if side & _ASK:
            state.asks = book.depth_qty(instrument, _ASK, self.levels)
        bids, asks = state.bids, state.asks
        depth_imbalance = (bids - asks) / (bids + asks) if bids or asks else math.nan

        score = 0.0
        if state.terms:
            of_imbalance, of_microprice = state.terms
            _, w1, _, w3, w4 = self.weights
            k = self.k
            score = (
                of_imbalance + w1 * depth_imbalance + of_microprice + (w3 * ofi) / (abs(ofi) + k) + (w4 * flow) / (abs(flow) + k)
            )
        state.values = values = (
            mid, spread, microprice, imbalance, depth_imbalance, ofi, flow, state.volatility, score,
        )  # fmt: skip
        return values

    def _open(self, instrument: int) -> State:
        state = self.states[instrument] = State()
        return state

    def _touch(self, state: State, top: Top) -> None:
        """What follows from the best bid and ask alone, and the volatility, which follows from how the mid moves."""
        pb, qb, pa, qa = top
        before, state.touch, state.terms = state.touch, _NO_TOUCH, None
        if not (qb and qa):
            return
        bid, bid_qty, ask, ask_qty = float(pb), float(qb), float(pa), float(qa)
        mid, spread = (bid + ask) / 2.0, float(pa - pb)
        microprice = (bid * ask_qty + ask * bid_qty) / (bid_qty + ask_qty)
        imbalance = (qb - qa) / (qb + qa)
        state.touch = (mid, spread, microprice, imbalance)
        if before is not _NO_TOUCH:  # both mids exist
            d = mid - before[0]
            state.volatility = state.volatility * self.decay + (self.rest * d) * d
        if spread > 0.0:
            w0, _, w2, _, _ = self.weights
            state.terms = (w0 * imbalance, (w2 * (microprice - mid)) / spread)
