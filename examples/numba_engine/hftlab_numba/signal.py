"""SIGNAL: the nine numbers, each in the order of operations that the contract writes, so that every bit is the reference's."""

from __future__ import annotations

import math

import numpy as np

from hftlab_numba.book import depth_qty
from hftlab_numba.jit import inner

_EXECUTE, _BID, _ASK = 2, 1, 2
# Places in a row of `Core.values`.
_MID, _SPREAD, _MICROPRICE, _IMBALANCE, _DEPTH_IMBALANCE, _OFI, _FLOW, _VOLATILITY, _SCORE = range(9)


@inner
def difference(a, b):
    """float(a - b), also where the difference leaves 64 signed bits: its size always fits into 64 unsigned ones."""
    if a >= b:
        return np.float64(np.uint64(a) - np.uint64(b))
    return -np.float64(np.uint64(b) - np.uint64(a))


@inner
def order_flow_imbalance(pb0, qb0, pa0, qa0, pb, qb, pa, qa):
    """Shares by which buying pressure at the touch grew; an empty side has quantity 0 and a price beyond all others."""
    e = np.int64(0)
    if qb and (not qb0 or pb >= pb0):
        e += qb
    if qb0 and (not qb or pb <= pb0):
        e -= qb0
    if qa and (not qa0 or pa <= pa0):
        e -= qa
    if qa0 and (not qa or pa >= pa0):
        e += qa0
    return e


@inner
def _first(c, instrument):
    """NaN and zeros, before anything has happened to an instrument."""
    c.seen[instrument] = 1
    for i in range(5):
        c.values[instrument, i] = math.nan


@inner
def _advance(c, r, instrument, kind, qty, side, e):
    """The sums that live from event to event, but for the volatility."""
    values, sums = c.values[instrument], c.sums[instrument]
    values[_OFI] = values[_OFI] * r.decay + np.float64(e)
    traded = np.int64(0)
    if kind == _EXECUTE:
        traded = -qty if side == _BID else qty
    values[_FLOW] = values[_FLOW] * r.decay + np.float64(traded)
    if side & _BID:
        sums[0] = depth_qty(c, instrument, _BID, r.levels)
    if side & _ASK:
        sums[1] = depth_qty(c, instrument, _ASK, r.levels)


@inner
def update(c, r, instrument, kind, qty, side, e):
    """Advance the signals of one instrument by one applied event; `c.tops` is up to date, `e` the order flow imbalance of it."""
    if not c.seen[instrument]:
        _first(c, instrument)
    _advance(c, r, instrument, kind, qty, side, e)
    values = c.values[instrument]
    bids, asks = c.sums[instrument, 0], c.sums[instrument, 1]
    depth_imbalance = np.float64(bids - asks) / np.float64(bids + asks) if bids or asks else math.nan
    top = c.tops[instrument]
    pb, qb, pa, qa = top[0], top[1], top[2], top[3]
    mid = spread = microprice = imbalance = math.nan
    score = 0.0
    if qb and qa:
        bid, ask, bid_qty, ask_qty = np.float64(pb), np.float64(pa), np.float64(qb), np.float64(qa)
        mid = (bid + ask) / 2.0
        spread = difference(pa, pb)
        microprice = (bid * ask_qty + ask * bid_qty) / (bid_qty + ask_qty)
        imbalance = np.float64(qb - qa) / np.float64(qb + qa)
        d = mid - values[_MID]
        if d == d:
            values[_VOLATILITY] = values[_VOLATILITY] * r.decay + ((1.0 - r.decay) * d) * d
        if spread > 0.0:
            w0, w1, w2, w3, w4 = r.weights
            ofi, flow = values[_OFI], values[_FLOW]
            score = (
                w0 * imbalance
                + w1 * depth_imbalance
                + (w2 * (microprice - mid)) / spread
                + (w3 * ofi) / (abs(ofi) + r.k)
                + (w4 * flow) / (abs(flow) + r.k)
            )
    values[_MID], values[_SPREAD], values[_MICROPRICE] = mid, spread, microprice
    values[_IMBALANCE], values[_DEPTH_IMBALANCE], values[_SCORE] = imbalance, depth_imbalance, score
