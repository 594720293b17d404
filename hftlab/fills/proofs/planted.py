"""Markets in which what latency costs is known: by an integral over a rival's reaction time, and on Brownian prices.

Planted. Every few seconds a better bid appears: a birth. A rival joins it after a time R, exponential with mean `reaction_ns`.
One second after the birth the order that made it is executed, and one more order behind it: ours, if we came before the rival.
Half a second later the mid has moved, up so that the fill was worth 3 ticks, or down so that it cost 1: 1 in the mean. So an
order of ours that comes L after the birth is filled with probability exp(-L / reaction), and worth as many ticks; of a latency
with a distribution it is the integral of exp(-l / reaction) over that.

Brownian. Moallemi and Saglam (Operations Research 61(5), 2013): buyers who will pay up to a premium `delta` over the price come
now and then. A seller asks S + u and can only follow the price S after `dt`. In that time S moves by X, normal with
s = sigma sqrt(dt): an order asked too high is missed, one asked low gives the difference away. Best is u = delta - s z with z the
root of phi(z) / Phi(z) = s / delta; the cost, as a share of the premium, is

    exact       1 - Phi(z) + (s / delta) (z Phi(z) + phi(z))
    as dt -> 0  (s / delta) sqrt(log(delta^2 / (2 pi s^2)))       their closed form, off by 1 / z^2

In the simulator a buyer is a bid at S + delta that is there for a moment: an order of ours at or below it is traded through.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, exp, log, pi, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

from hftlab.errors import ConfigError
from hftlab.events import EVENT_DTYPE, Kind, Side
from hftlab.feeds.feed import EventFeed
from hftlab.fills.delays import Distributed, Latency
from hftlab.fills.requests import REQUEST_DTYPE, Action
from hftlab.fills.simulation import simulate
from hftlab.fills.value import latency_value
from hftlab.fills.value_result import LatencyValue
from hftlab.presentation.document import Table, number, table
from hftlab.presentation.result import StoredResult

TICK, CENTRE = 100, 1_000_000
#: ns from the birth to the executions, to the move of the mid, and from one birth to the next.
TRADE_NS, MOVE_NS, PERIOD_NS = 1_000_000_000, 1_500_000_000, 4_000_000_000
MARKOUT_S, HORIZON_S = 1.0, 1.2
_FIRST_NS = 34_200_000_000_000


def planted_market(births: int, reaction_ns: float = 100_000.0, seed: int = 1) -> EventFeed:
    """The feed of such a market. reaction_ns: the rival's mean reaction time."""
    random = np.random.default_rng(seed)
    react = np.minimum(np.rint(random.exponential(reaction_ns, births)), TRADE_NS / 2).astype(np.int64)
    up = random.random(births) < 0.5
    start = _FIRST_NS + PERIOD_NS * np.arange(1, births + 1)
    # (offset from the birth, kind, number of the order in its cycle, side, price in ticks from the centre, quantity)
    rows: list[tuple[Any, int, Any, int, int, int]] = [
        (-1_000_000, Kind.CLEAR, 0, 0, 0, 0),
        (-999_999, Kind.ADD, 2, Side.BID, -2, 9),
        (-999_998, Kind.ADD, 1, Side.BID, -6, 9),
        (-999_997, Kind.ADD, 4, Side.ASK, 2, 9),
        (-999_996, Kind.ADD, 3, Side.ASK, 6, 9),
        (0, Kind.ADD, 5, Side.BID, -1, 1),
        (react, Kind.ADD, 6, Side.BID, -1, 1),
        (TRADE_NS, Kind.EXECUTE, 5, 0, 0, 1),
        (TRADE_NS, Kind.EXECUTE, 6, 0, 0, 1),
        (MOVE_NS, Kind.DELETE, np.where(up, 4, 2), 0, 0, 0),
    ]
    out = np.zeros((births, len(rows)), EVENT_DTYPE)
    for column, (offset, kind, order, side, ticks, qty) in enumerate(rows):
        out["ts_ns"][:, column], out["kind"][:, column], out["side"][:, column] = start + offset, kind, side
        out["order_id"][:, column] = 0 if kind == Kind.CLEAR else 10 * np.arange(1, births + 1) + order
        out["price"][:, column] = CENTRE + ticks * TICK if kind == Kind.ADD else 0
        out["qty"][:, column] = qty
    first = [(1, Kind.ADD, Side.BID, 1), (2, Kind.EXECUTE, 0, 1)]  # the market has traded before
    lead = np.array([(_FIRST_NS + ns, 1, 0, CENTRE, qty, 1, kind, side) for ns, kind, side, qty in first], EVENT_DTYPE)
    out["instrument"] = 1
    end = np.array([(int(start[-1]) + PERIOD_NS, 0, 0, 0, 0, 0, Kind.OTHER, 0)], EVENT_DTYPE)
    return EventFeed(np.concatenate([lead, out.ravel(), end]), symbols=("", "PLANTED"), name=f"planted-{births}-{seed}")


def true_value(latency: Latency, reaction_ns: float) -> float:
    """Ticks per attempt, and the probability of a fill: the mean of exp(-l / reaction) over the latency."""
    if not isinstance(latency, Distributed):
        return float(np.exp(-latency.constant_ns / reaction_ns))
    ranks = (np.arange(200_000) + 0.5) / 200_000
    drawn = latency.constant_ns + np.rint(np.interp(ranks, latency.shares, latency.ns))
    return float(np.exp(-drawn / reaction_ns).mean())


def exponential(name: str, mean_ns: float) -> Distributed:
    """An exponential latency."""
    ranks = np.linspace(0.0, 0.9999, 2_001)
    return Distributed(name, shares=tuple(ranks.tolist()), ns=tuple((-mean_ns * np.log1p(-ranks)).tolist()), burst_ns=1)


@dataclass(frozen=True, repr=False)
class PlantedValue(StoredResult):
    """Planted differences, and what was found over many seeds.

    rows : (latency, metric, true difference, mean found, how many of the seeds' 95 % intervals hold the true one)
    """

    schema = "hftlab-planted-value/1"
    births: int
    reaction_ns: float
    seeds: int
    rows: tuple[tuple[str, str, float, float, int], ...]

    @property
    def coverage(self) -> float:
        """Share of all intervals that hold the true difference."""
        return sum(row[4] for row in self.rows) / (len(self.rows) * self.seeds)

    @property
    def worst_error(self) -> float:
        """The greatest distance of a mean from the true difference, as a share of it."""
        return max(abs(found / true - 1) for _, _, true, found, _ in self.rows)

    def headline(self) -> str:
        return (
            f"planted value: recovered within {self.worst_error:.1%}, 95 % intervals cover {self.coverage:.1%} "
            f"of {len(self.rows) * self.seeds:,}"
        )

    def tables(self) -> list[Table]:
        rows = [
            (name, metric, number(true, 4), number(found, 4), f"{n} of {self.seeds}")
            for name, metric, true, found, n in self.rows
        ]
        return [table("Planted value", ("latency", "metric", "true difference", "found", "covered"), rows, words=2)]


def planted_value(seeds: int = 100, births: int = 600, reaction_ns: float = 100_000.0, backend: str = "auto") -> PlantedValue:
    """Plant a value, look for it with `latency_value`, and count how often its intervals hold the true one."""
    latencies = [Latency("base"), Latency("quarter", round(reaction_ns / 4)), Latency("whole", round(reaction_ns))]
    latencies.append(exponential("exponential", reaction_ns / 2))
    keys = [(latency, metric) for metric in ("filled", "value") for latency in latencies[1:]]
    true = {(one.name, metric): true_value(one, reaction_ns) - 1.0 for one, metric in keys}
    found: dict[tuple[str, str], list[float]] = {key: [] for key in true}
    covered = dict.fromkeys(true, 0)
    for seed in range(seeds):
        result = ask(planted_market(births, reaction_ns, seed), latencies, seed, backend)
        for key in true:
            each = result.difference(*key)
            found[key].append(each.difference)
            covered[key] += each.low is not None and each.high is not None and each.low <= true[key] <= each.high
    rows = tuple((*key, true[key], float(np.mean(found[key])), covered[key]) for key in true)
    return PlantedValue(births, reaction_ns, seeds, rows)


def ask(feed: EventFeed, latencies: Any, seed: int, backend: str = "auto") -> LatencyValue:
    """`latency_value` with the times of this market."""
    return latency_value(feed, latencies, horizon_s=HORIZON_S, markout_s=MARKOUT_S, seed=seed, tick=TICK, backend=backend)


def same_against_same(seeds: int = 100, births: int = 300, backend: str = "auto") -> int:
    """A/A: of a number of pairs of draws of one latency, how many come out as "no difference seen" in every metric."""
    same = 0
    for seed in range(seeds):
        pair = {name: exponential(name, 50_000.0) for name in ("one draw", "another")}
        result = ask(planted_market(births, 100_000.0, 10_000 + seed), pair, seed, backend)
        same += all(each.verdict == "no difference seen" for each in result.compared)
    return same


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
