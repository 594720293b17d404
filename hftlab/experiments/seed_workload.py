"""The workload of the project's seed, rebuilt from an account of it: three calls that its table named after stages of an engine.

Nothing comes from a wire, no order has an id, no level changes, nothing is sent: what these calls take says nothing about the
stage of that name in an engine, and is not to be compared with `hftlab.experiments` stage by stage.
"""

from __future__ import annotations

import random
from typing import NamedTuple

LEVELS = 20  # a side
TOP = 10  # of them summed
SHORT, LONG = 5, 20  # periods of the two moving averages

Levels = list[tuple[float, int]]


class Input(NamedTuple):
    """What one iteration is given: a trade, and whole sides of a book, best first, as (price, quantity)."""

    symbol: str
    price: float
    volume: int
    timestamp: int
    bids: Levels
    asks: Levels


def inputs(n: int, seed: int = 1) -> list[Input]:
    """n inputs along a random walk; the same seed gives the same ones."""
    rng, price, out = random.Random(seed), 100.0, []
    for i in range(n):
        price = round(price + rng.choice((-0.01, 0.0, 0.01)), 2)
        bids = [(round(price - 0.01 * (k + 1), 2), rng.randint(1, 20) * 100) for k in range(LEVELS)]
        asks = [(round(price + 0.01 * (k + 1), 2), rng.randint(1, 20) * 100) for k in range(LEVELS)]
        out.append(Input("SEED", price, rng.randint(1, 10) * 100, i, bids, asks))
    return out


class SeedWorkload:
    """The three calls, on state of their own."""

    def __init__(self) -> None:
        self.symbol, self.price, self.volume, self.timestamp = "", 0.0, 0, 0
        self.prices: list[float] = []
        self.volumes: list[int] = []
        self.bids: Levels = []
        self.asks: Levels = []
        self.bid_value = self.ask_value = 0.0
        self.signal_value = 0.0

    def tick(self, given: Input) -> None:
        """ "Tick processing": set four attributes, append to two lists."""
        self.symbol = given.symbol
        self.price = given.price
        self.volume = given.volume
        self.timestamp = given.timestamp
        self.prices.append(given.price)
        self.volumes.append(given.volume)

    def book(self, given: Input) -> None:
        """ "Order book update": store both sides, sum price times quantity over the best ten of each."""
        self.bids = given.bids
        self.asks = given.asks
        self.bid_value = sum(price * qty for price, qty in self.bids[:TOP])
        self.ask_value = sum(price * qty for price, qty in self.asks[:TOP])

    def signal(self, given: Input) -> None:
        """ "Signal generation": two moving averages of the prices so far, and an imbalance of the two sums."""
        short = sum(self.prices[-SHORT:]) / len(self.prices[-SHORT:])
        long = sum(self.prices[-LONG:]) / len(self.prices[-LONG:])
        imbalance = (self.bid_value - self.ask_value) / (self.bid_value + self.ask_value)
        self.signal_value = short - long + imbalance
