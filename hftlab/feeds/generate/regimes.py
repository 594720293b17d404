"""Regimes of the synthetic market: frozen records of integers, owned here, handed to both generators as lists.

Weights are out of 65,536 messages: the model runs on integers alone and gives the same bytes on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from hftlab.errors import ConfigError, check_whole

MAX_SYMBOLS = 10_000

#: Cents above which no symbol may start: asks then stay far below the wire's limit of 200,000 dollars.
PRICE_CEILING = 5_000_000


def _bounded(default: int, low: int, high: int) -> Any:
    """A field that says what it may be, both bounds among it."""
    return field(default=default, metadata={"bounds": (low, high)})


@dataclass(frozen=True, slots=True)
class Regime:
    """One kind of market day: each parameter with its default, its bounds, and what it is. Weights add up to less than 65,536.

    raises : ConfigError for a value outside its bounds, or weights or prices that do not fit together
    """

    description: str
    symbols: int  # where the caller names no number, 1 to 10,000
    settle: int = 20_000  # messages after the opening until a book is as full as it stays; of a market, for that many symbols
    # activity of the symbol of rank k = 0, 1, ... is proportional to 1 / (k + zipf_offset)
    zipf_offset: int = _bounded(4, 1, 1_000_000)
    stick: int = _bounded(16, 0, 63)  # of 64 messages, how many stay with the symbol of the one before
    add: int = _bounded(31_600, 0, 65_536)  # weight of adds (A, F) while a symbol has no live orders
    swing: int = _bounded(1_900, 0, 65_536)  # what adds lose to deletes (D) by the time a symbol holds its target of live orders
    replace: int = _bounded(4_500, 0, 65_536)  # weight of replaces (U)
    execute: int = _bounded(920, 0, 65_536)  # weight of incoming marketable orders; each fills about two resting ones (E, C)
    cancel: int = _bounded(920, 0, 65_536)  # weight of partial cancels (X)
    trade: int = _bounded(660, 0, 65_536)  # weight of trades against hidden orders (P)
    live_floor: int = _bounded(40, 2, 1_000_000)  # target of live orders of the least active symbol
    live_total: int = _bounded(600, 0, 100_000_000)  # live orders shared out over all symbols by activity, on top of the floor
    opening: int = _bounded(20, 1, 1_000_000)  # orders per symbol and side placed at the open, before anything else
    reach: int = _bounded(9, 0, 12)  # octaves of the distance from the touch; each is half as likely as the one before
    widen: int = _bounded(0, 0, 8)  # distances are multiplied by 2 ** widen
    recent: int = _bounded(160, 0, 256)  # of 256 picks for D, U or X, how many prefer the latest orders; the rest are uniform
    drift: int = _bounded(1, 0, 64)  # of 64 messages of a symbol, how many move its fair price one step
    # mean nanoseconds between messages outside bursts; shortened where the day would overrun
    gap_ns: int = _bounded(5_000_000, 1_000, 10_000_000_000)
    price_low: int = _bounded(3_000, 150, 100_000)  # lowest starting price, cents
    octaves: int = _bounded(1, 1, 16)  # starting prices reach from price_low to price_low * 2 ** octaves, mostly in the middle
    penny_every: int = _bounded(0, 0, 10_000)  # every n-th symbol costs less than a dollar and ticks by 0.0001; 0 = none
    burst_every: int = _bounded(4_000, 0, 1_000_000_000)  # mean messages from one burst to the next; 0 = none
    burst_length: int = _bounded(200, 1, 1_000_000)  # typical messages in a burst, all but a few on one symbol
    burst_shift: int = _bounded(5, 0, 32)  # a burst runs 2 ** burst_shift times as fast
    burst_execute: int = _bounded(0, 0, 65_536)  # weight added to `execute` in a burst
    burst_replace: int = _bounded(0, 0, 65_536)  # weight added to `replace` in a burst
    burst_delete: int = _bounded(0, 0, 65_536)  # weight that adds lose to deletes in a burst
    halt_every: int = _bounded(30_000, 0, 1_000_000_000)  # mean messages from a resumption to the next halt; 0 = none
    halt_length: int = _bounded(400, 1, 1_000_000)  # messages of the whole market that a halt lasts

    def __post_init__(self) -> None:
        check_whole("symbols", self.symbols, 1, MAX_SYMBOLS)
        for name, (low, high) in bounds().items():
            check_whole(name, getattr(self, name), low, high)
        rest = self.replace + self.execute + self.cancel + self.trade + self.burst_execute + self.burst_replace
        if rest > 65_536:
            raise ConfigError(f"the weights of U, E, X and P in a burst must sum to at most 65,536, got {rest:,}")
        check_whole("price_low * 2 ** octaves", self.price_low << self.octaves, 0, PRICE_CEILING, "cents")

    def warm_up(self, symbols: int) -> int:
        """Messages after which the books of `symbols` symbols are as full as they stay: the frame of the day, the opening, and
        what it takes to settle, to which every symbol comes as often as its activity says."""
        return (3 + 2 * self.opening) * symbols + self.settle * symbols // self.symbols

    def parameters(self) -> list[int]:
        """The integers as they cross to the Rust generator, in the order of the fields."""
        return [getattr(self, name) for name in bounds()]


def bounds() -> dict[str, tuple[int, int]]:
    """(lowest, highest) of every parameter, in the order of the fields."""
    return {parameter.name: parameter.metadata["bounds"] for parameter in fields(Regime)[3:]}


REGIMES: dict[str, Regime] = {
    "calm": Regime("one liquid symbol, a one-cent spread, tens of levels a side", symbols=1),
    "burst": Regime(
        "eight symbols; sudden runs on one of them, fast and full of executions in one direction",
        symbols=8,
        zipf_offset=2,
        live_total=3_000,
        gap_ns=1_000_000,
        price_low=800,
        octaves=5,
        penny_every=8,
        burst_every=3_000,
        burst_length=1_000,
        burst_shift=8,
        burst_execute=6_000,
        halt_every=30_000,
    ),
    "cancel_storm": Regime(
        "four symbols; waves in which deletes and replaces crowd out adds and the book thins, then refills",
        symbols=4,
        zipf_offset=2,
        live_total=4_000,
        add=34_000,
        swing=4_300,
        gap_ns=1_000_000,
        price_low=1_500,
        octaves=4,
        burst_every=3_000,
        burst_length=1_000,
        burst_shift=8,
        burst_replace=8_000,
        burst_delete=14_000,
    ),
    "deep": Regime(
        "one symbol with hundreds of levels a side and about twenty thousand live orders",
        symbols=1,
        settle=4_000,
        live_total=20_000,
        opening=8_000,
        reach=12,
        widen=1,
        recent=176,
        gap_ns=2_000_000,
        price_low=20_000,
    ),
    "market": Regime(
        "a thousand symbols from pennies to thousands of dollars, activity by Zipf's law",
        symbols=1_000,
        settle=200_000,
        add=30_750,
        swing=600,
        execute=975,
        live_floor=24,
        live_total=60_000,
        opening=1,
        gap_ns=66_000,
        price_low=150,
        octaves=12,
        penny_every=25,
        burst_every=2_000,
        burst_length=100,
        burst_shift=4,
        halt_every=20_000,
        halt_length=2_000,
    ),
}
REGIMES["whole_market"] = replace(
    REGIMES["market"],
    description="four thousand symbols as in a market; their books hold over three hundred thousand orders from the opening on",
    symbols=4_000,
    settle=8_000,
    live_floor=80,
    live_total=40_000,
    opening=40,
    gap_ns=8_000,
)
