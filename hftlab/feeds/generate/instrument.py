"""One symbol of the synthetic market: its book, what it is before the first trade, and where its orders go.

Sides are 0 (bid) and 1 (ask). A price is kept as a key, in ticks: itself for bids, its negative for asks.
So the best level of either side is the greatest key, and a book is locked or crossed iff the best keys sum to
0 or more. Where an order goes and how large it is, is pure arithmetic on one symbol and some random bits,
which splitmix64 gives.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable

from hftlab.feeds.generate.regimes import Regime

MASK = 0xFFFF_FFFF_FFFF_FFFF


def splitmix64(seed: int) -> Callable[[], int]:
    """A function that gives the next 64-bit number of the sequence of `seed` (Steele, Lea and Flood 2014).

    64 random bits from a counter and two multiplications. A closure and not a class: it is called twice a message, and a local
    is the cheapest state Python has.
    """
    state = seed & MASK

    def draw() -> int:
        nonlocal state
        state = (state + 0x9E37_79B9_7F4A_7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & MASK
        return z ^ (z >> 31)

    return draw


#: Trailing zeros of a 12-bit number, 12 for zero: P(k) = 2 ** -(k + 1), the source of every heavy tail here.
OCTAVE: tuple[int, ...] = (12, *((k & -k).bit_length() - 1 for k in range(1, 4096)))


def octave_number(octave: int, bits: int) -> int:
    """A number in [2^octave - 1, 2^(octave+1) - 2], uniform over `bits`: with OCTAVE a power law."""
    return (1 << octave) - 1 + (bits & ((1 << octave) - 1))


def below(number: int, limit: int) -> int:
    """A 64-bit random number scaled down to [0, limit), limit <= 2^32."""
    return ((number >> 32) * limit) >> 32


BID, ASK = 0, 1
#: Resolution of the activity table: a slot is 1/65,536 of all messages.
SLOTS = 65_536
#: Highest prices in ticks: under a dollar for penny symbols, the wire's 200,000 dollars for the rest.
PENNY_TOP, CENT_TOP = 9_999, 20_000_000


class Order:
    """A live order. `slot` is its index in Book.live."""

    __slots__ = ("key", "qty", "reference", "side", "slot")

    def __init__(self, reference: int, side: int, key: int, qty: int) -> None:
        self.reference = reference
        self.side = side
        self.key = key
        self.qty = qty
        self.slot = 0


class Book:
    """Two sides of price levels, each level a FIFO queue; `live` lists all orders, the latest mostly last."""

    __slots__ = ("counts", "keys", "levels", "live")

    def __init__(self) -> None:
        self.keys: tuple[list[int], list[int]] = ([], [])
        self.levels: tuple[dict[int, dict[int, Order]], dict[int, dict[int, Order]]] = ({}, {})
        self.counts = [0, 0]
        self.live: list[Order] = []

    def insert(self, order: Order) -> None:
        """Put the order at the back of its level's queue."""
        side, key = order.side, order.key
        levels = self.levels[side]
        queue = levels.get(key)
        if queue is None:
            levels[key] = {order.reference: order}
            insort(self.keys[side], key)
        else:
            queue[order.reference] = order
        order.slot = len(self.live)
        self.live.append(order)
        self.counts[side] += 1

    def remove(self, order: Order) -> None:
        """Take the order out; the last of `live` takes its place there."""
        side, key = order.side, order.key
        queue = self.levels[side][key]
        del queue[order.reference]
        if not queue:
            self._drop(side, key)
        last = self.live.pop()
        if last is not order:
            self.live[order.slot] = last
            last.slot = order.slot
        self.counts[side] -= 1

    def _drop(self, side: int, key: int) -> None:
        del self.levels[side][key]
        keys = self.keys[side]
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]

    def front(self, side: int) -> Order:
        """The order that trades next: the oldest at the best price. The side must not be empty."""
        return next(iter(self.levels[side][self.keys[side][-1]].values()))

    def back(self, side: int) -> Order:
        """The youngest order at the best price. The side must not be empty."""
        return next(reversed(self.levels[side][self.keys[side][-1]].values()))


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

    def drift(self, up: int) -> None:
        """Move the fair price one step, unless the touch is already more than a step behind it."""
        fair, step = self.fair, self.step
        bids, asks = self.book.keys
        if up:
            if fair + step <= self.bounds[1] and asks and -asks[-1] >= fair - step:
                self.fair = fair + step
        elif fair - step >= self.bounds[0] and bids and bids[-1] < fair + step:
            self.fair = fair - step

    def stale(self) -> int:
        """The side whose best price the fair price has left behind; -1 if neither."""
        bids, asks = self.book.keys
        if asks and -asks[-1] < self.fair:
            return ASK
        if bids and bids[-1] >= self.fair:
            return BID
        return -1

    def price_key(self, side: int, bits: int) -> int:
        """A price key: some octaves behind the fair price, and behind the best of the other side."""
        base = self.fair - self.half if side == BID else 1 - self.fair - self.half
        opposite = self.book.keys[1 - side]
        if opposite and base >= -opposite[-1]:
            base = -opposite[-1] - 1
        octave = OCTAVE[bits >> 1 & 0xFFF]
        if octave > self.reach:
            octave = self.reach
        scale = self.scale
        key = base - octave_number(octave, bits >> 13) * scale - ((bits >> 26 & 0xFF) * scale >> 8)
        lowest = self.lowest[side]
        return key if key > lowest else lowest

    def shares(self, bits: int) -> int:
        """Of 16: 8 one lot, 3 odd lots, 3 two to nine lots, 2 a power of two with a heavy tail."""
        kind, size = bits >> 34 & 15, bits >> 38 & 0xFFF
        if kind < 8:
            return self.lot
        if kind < 11:
            return 1 + (size * (self.odd - 1) >> 12)
        if kind < 14:
            return self.lot * (2 + (size & 7))
        return self.lot << min(1 + OCTAVE[size], 8)

    def part(self, qty: int, bits: int) -> int:
        """Some of `qty` > 1 shares, never all; whole lots where there are more than one."""
        lot = self.odd
        if qty > lot:
            return lot * (1 + ((bits & 0xFFFF) * ((qty - 1) // lot) >> 16))
        return 1 + ((bits & 0xFFFF) * (qty - 1) >> 16)

    def middle(self) -> int:
        """Half way between the best prices, in 1e-4 dollars, rounded down: where hidden orders trade."""
        bids, asks = self.book.keys
        return (bids[-1] - asks[-1]) * self.tick >> 1


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
