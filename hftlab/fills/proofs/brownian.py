"""The limit that is known in closed form: what latency costs the seller by a limit order while the price is a Brownian motion.

Moallemi and Saglam (Operations Research 61(5), 2013): buyers who will pay up to a premium `delta` over the price come now and
then. A seller asks S + u and can only follow the price S after `dt`. In that time S moves by X, normal with s = sigma sqrt(dt):
an order asked too high is missed, one asked low gives the difference away. Best is u = delta - s z with z the root of
phi(z) / Phi(z) = s / delta; the cost, as a share of the premium, is

    exact       1 - Phi(z) + (s / delta) (z Phi(z) + phi(z))
    as dt -> 0  (s / delta) sqrt(log(delta^2 / (2 pi s^2)))       their closed form, off by 1 / z^2

In the simulator a buyer is a bid at S + delta that is there for a moment: an order of ours at or below it is traded through.
"""

from __future__ import annotations

from math import erf, exp, log, pi, sqrt
from statistics import NormalDist

import numpy as np

from hftlab.errors import ConfigError
from hftlab.events import EVENT_DTYPE, Kind, Side
from hftlab.feeds.feed import EventFeed
from hftlab.fills.requests import REQUEST_DTYPE, Action
from hftlab.fills.simulation import simulate

#: Price units in which the simulated price is quoted: fine enough that rounding is nothing.
UNITS = 10**9


def closed_form(sigma: float, delta: float, dt_s: float) -> float:
    """The cost of latency as a share of the premium, by the closed form.

    sigma  : of the price, currency per square root of a second
    delta  : premium, currency
    raises : ConfigError where sigma sqrt(dt) is too large for the formula
    """
    ratio = delta / (sigma * sqrt(dt_s))
    if ratio**2 <= 2 * pi:
        raise ConfigError(f"delta / (sigma sqrt(dt)) must be above {sqrt(2 * pi):.4f}, got {ratio:.4f}")
    return sqrt(log(ratio**2 / (2 * pi))) / ratio


def exact(sigma: float, delta: float, dt_s: float) -> float:
    """The same without the limit."""
    small = sigma * sqrt(dt_s) / delta
    z = best_z(small)
    return 1 - _normal(z) + small * (z * _normal(z) + _density(z))


def best_z(small: float) -> float:
    """The root of phi(z) / Phi(z) = small, by bisection."""
    low, high = -5.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _density(middle) > small * _normal(middle) else (low, middle)
    return low


def _normal(z: float) -> float:
    return (1 + erf(z / sqrt(2))) / 2


def _density(z: float) -> float:
    return exp(-z * z / 2) / sqrt(2 * pi)


def simulated(sigma: float, delta: float, dt_s: float, trials: int = 100_000, seed: int = 1, backend: str = "auto") -> float:
    """The same by the simulator, on one Brownian path of `trials` steps of `dt_s`, each with a decision and a buyer.

    The steps are drawn one from each of `trials` slices of the normal distribution, in random order: a miss is rare and costly.
    """
    step, random = sigma * sqrt(dt_s), np.random.default_rng(seed)
    ranks = (random.permutation(trials) + random.uniform(1e-9, 1.0, trials)) / trials
    moves = step * np.array([NormalDist().inv_cdf(rank) for rank in ranks.tolist()])
    before = 1_000.0 + np.concatenate([[0.0], np.cumsum(moves)[:-1]])
    after = before + moves
    asked = before + delta - step * best_z(step / delta)
    number = np.arange(trials)
    rows = np.zeros((trials, 2), EVENT_DTYPE)
    rows["ts_ns"] = (3 * number + 2)[:, None]
    rows["order_id"], rows["instrument"], rows["qty"] = (number + 1)[:, None], 1, 1
    rows["kind"], rows["side"] = [Kind.ADD, Kind.DELETE], [Side.BID, 0]
    rows["price"][:, 0] = np.floor((after + delta) * UNITS)
    sent = np.zeros((trials, 2), REQUEST_DTYPE)
    sent["after"], sent["order_id"], sent["instrument"] = -1, number[:, None], 1
    sent["time_ns"] = np.stack([3 * number + 1, 3 * number + 3], axis=1)
    sent["action"], sent["side"], sent["qty"] = [Action.ENTER, Action.CANCEL], Side.ASK, [1, 0]
    sent["price"] = np.rint(asked * UNITS)[:, None]
    run = simulate(EventFeed(rows.ravel(), price_scale=UNITS), sent.ravel(), backend=backend)
    got = run.fills["order_id"].astype(np.int64)
    return float(1 - (asked - after)[got].sum() / (delta * trials))
