"""Regimes of the synthetic market: frozen records of integers, owned here, handed to both generators as lists.

Weights are out of 65,536 messages: the model runs on integers alone and gives the same bytes on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from hftlab.errors import ConfigError, check_choice, check_whole

MAX_SYMBOLS = 10_000

#: Parameter -> (lowest, highest), in the order in which they cross to the Rust generator.
BOUNDS: dict[str, tuple[int, int]] = {
    "zipf_offset": (1, 1_000_000),
    "stick": (0, 63),
    "add": (0, 65_536),
    "swing": (0, 65_536),
    "replace": (0, 65_536),
    "execute": (0, 65_536),
    "cancel": (0, 65_536),
    "trade": (0, 65_536),
    "live_floor": (2, 1_000_000),
    "live_total": (0, 100_000_000),
    "opening": (1, 1_000_000),
    "reach": (0, 12),
    "widen": (0, 8),
    "recent": (0, 256),
    "drift": (0, 64),
    "gap_ns": (1_000, 10_000_000_000),
    "price_low": (150, 100_000),
    "octaves": (1, 16),
    "penny_every": (0, 10_000),
    "burst_every": (0, 1_000_000_000),
    "burst_length": (1, 1_000_000),
    "burst_shift": (0, 32),
    "burst_execute": (0, 65_536),
    "burst_replace": (0, 65_536),
    "burst_delete": (0, 65_536),
    "halt_every": (0, 1_000_000_000),
    "halt_length": (1, 1_000_000),
}

#: Cents above which no symbol may start: asks then stay far below the wire's limit of 200,000 dollars.
PRICE_CEILING = 5_000_000


@dataclass(frozen=True, slots=True)
class Regime:
    """One kind of market day.

    symbols       : symbols where the caller names no number, 1 to 10,000
    zipf_offset   : activity of the symbol of rank k = 0, 1, ... is proportional to 1 / (k + zipf_offset)
    stick         : of 64 messages, how many stay with the symbol of the one before
    add           : weight of adds (A, F) while a symbol has no live orders
    swing         : what adds lose to deletes (D) by the time a symbol holds its target of live orders
    replace       : weight of replaces (U)
    execute       : weight of incoming marketable orders; each fills about two resting ones (E, C)
    cancel        : weight of partial cancels (X)
    trade         : weight of trades against hidden orders (P)
    live_floor    : target of live orders of the least active symbol
    live_total    : live orders shared out over all symbols by activity, on top of the floor
    opening       : orders per symbol and side placed at the open, before anything else
    reach         : octaves of the distance from the touch; each is half as likely as the one before
    widen         : distances are multiplied by 2 ** widen
    recent        : of 256 picks for D, U or X, how many prefer the latest orders; the rest are uniform
    drift         : of 64 messages of a symbol, how many move its fair price one step
    gap_ns        : mean nanoseconds between messages outside bursts; shortened where the day would overrun
    price_low     : lowest starting price, cents
    octaves       : starting prices reach from price_low to price_low * 2 ** octaves, mostly in the middle
    penny_every   : every so-manieth symbol costs less than a dollar and ticks by 0.0001; 0 = none
    burst_every   : mean messages from one burst to the next; 0 = none
    burst_length  : typical messages in a burst, all but a few on one symbol
    burst_shift   : a burst runs 2 ** burst_shift times as fast
    burst_execute : weight added to `execute` in a burst
    burst_replace : weight added to `replace` in a burst
    burst_delete  : weight that adds lose to deletes in a burst
    halt_every    : mean messages from a resumption to the next halt; 0 = none
    halt_length   : messages of the whole market that a halt lasts
    raises        : ConfigError for a value outside BOUNDS, or weights or prices that do not fit together
    """

    description: str
    symbols: int
    zipf_offset: int = 4
    stick: int = 16
    add: int = 31_600
    swing: int = 1_900
    replace: int = 4_500
    execute: int = 920
    cancel: int = 920
    trade: int = 660
    live_floor: int = 40
    live_total: int = 600
    opening: int = 20
    reach: int = 9
    widen: int = 0
    recent: int = 160
    drift: int = 1
    gap_ns: int = 5_000_000
    price_low: int = 3_000
    octaves: int = 1
    penny_every: int = 0
    burst_every: int = 4_000
    burst_length: int = 200
    burst_shift: int = 5
    burst_execute: int = 0
    burst_replace: int = 0
    burst_delete: int = 0
    halt_every: int = 30_000
    halt_length: int = 400

    def __post_init__(self) -> None:
        check_whole("symbols", self.symbols, 1, MAX_SYMBOLS)
        for name, (low, high) in BOUNDS.items():
            check_whole(name, getattr(self, name), low, high)
        rest = self.replace + self.execute + self.cancel + self.trade + self.burst_execute + self.burst_replace
        if rest > 65_536:
            raise ConfigError(f"the weights of U, E, X and P in a burst must sum to at most 65,536, got {rest:,}")
        check_whole("price_low * 2 ** octaves", self.price_low << self.octaves, 0, PRICE_CEILING, "cents")

    def parameters(self) -> list[int]:
        """The integers in the order of BOUNDS, which is that of the fields after `symbols`."""
        return [getattr(self, field.name) for field in fields(self)[2:]]


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


def regime_named(name: str) -> Regime:
    """The regime of that name; raises UnknownName with the known ones."""
    return REGIMES[check_choice("regime", name, REGIMES)]
