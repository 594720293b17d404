"""What a symbol is before the first trade: name, price, tick, lot, share of the activity, target depth."""

from __future__ import annotations

from collections.abc import Callable

from hftlab.feeds.generate.book import Book
from hftlab.feeds.generate.random import below
from hftlab.feeds.generate.regimes import Regime

#: Resolution of the activity table: a slot is 1/65,536 of all messages.
SLOTS = 65_536
#: Highest prices in ticks: under a dollar for penny symbols, the wire's 200,000 dollars for the rest.
PENNY_TOP, CENT_TOP = 9_999, 20_000_000


class Instrument:
    """One symbol; prices in ticks, `tick` in 1e-4 dollars."""

    def __init__(self, index: int, bits: int, regime: Regime) -> None:
        self.locate = index + 1
        self.stock = _stock(index)
        self.book = Book()
        self.halted = False
        penny = regime.penny_every > 0 and index % regime.penny_every == 3 % regime.penny_every
        self.tick = 1 if penny else 100
        self.fair = 1_000 + (((bits >> 16 & 0xFFF) * 3_500) >> 12) if penny else _price(bits, regime)
        self.bounds = (self.fair >> 1, self.fair << 1)
        self.step = max(1, self.fair >> (8 if penny else 13))
        self.half = 1 + (self.step >> 1)
        self.scale = self.step << regime.widen
        self.reach = regime.reach
        while self.reach > 0 and self.scale << (self.reach + 1) > self.fair >> 1:
            self.reach -= 1
        self.lowest = (1, -(PENNY_TOP if penny else CENT_TOP))
        # Round lots by price as the SEC defines them since 2025; penny stocks trade in thousands.
        self.odd = 100 if self.fair <= 25_000 or penny else 40 if self.fair <= 100_000 else 10
        self.lot = 1_000 if penny else self.odd
        self.rank = 0
        self.target = 0


def _stock(index: int) -> bytes:
    """HLAAA, HLAAB, ... for index 0, 1, ..., filled up to 8 bytes."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return f"HL{letters[index // 676]}{letters[index // 26 % 26]}{letters[index % 26]}   ".encode()


def _price(bits: int, regime: Regime) -> int:
    """Cents. Two dice instead of one, so that the middle octaves are the common ones."""
    octave = (bits & 0xFF) % ((regime.octaves + 1) >> 1) + (bits >> 8 & 0xFF) % ((regime.octaves >> 1) + 1)
    cents = regime.price_low << octave
    return cents + ((cents * (bits >> 16 & 0x3FF)) >> 10)


def make_instruments(count: int, regime: Regime, draw: Callable[[], int]) -> tuple[list[Instrument], list[Instrument]]:
    """All symbols by locate, and the activity table: SLOTS entries, each symbol as often as its share says.

    Ranks are shuffled over the locates, so that the busiest symbols are not neighbours in memory.
    """
    instruments = [Instrument(index, draw(), regime) for index in range(count)]
    ranked = list(instruments)
    for last in range(count - 1, 0, -1):
        other = below(draw(), last + 1)
        ranked[last], ranked[other] = ranked[other], ranked[last]
    weights = [(1 << 32) // (rank + regime.zipf_offset) for rank in range(count)]
    total = sum(weights)
    shares = [1 + (SLOTS - count) * weight // total for weight in weights]
    shares[0] += SLOTS - sum(shares)
    table: list[Instrument] = []
    for rank, (instrument, share) in enumerate(zip(ranked, shares, strict=True)):
        instrument.rank = rank
        instrument.target = regime.live_floor + (regime.live_total * share >> 16)
        table += [instrument] * share
    return instruments, table
