"""Position, cash and fees from fills, in whole units of money: sums are exact, and reconcile to the unit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np

from hftlab.errors import ConfigError, HftlabError, check_whole
from hftlab.events import Side
from hftlab.fills.requests import Reason

#: Fees are whole multiples of a billionth of the currency.
FEE_UNITS = 10**9


@dataclass(frozen=True)
class FeeSchedule:
    """What a venue charges, in its currency per share, lot or coin, as exact decimals; a rebate is below 0.

    name  : of the venue, and as of when
    maker : for an order that was resting when it was filled
    taker : for one that took
    """

    name: str = "no fees"
    maker: Decimal | str = Decimal(0)
    taker: Decimal | str = Decimal(0)

    def units(self, reason: int) -> int:
        """For one share filled for this reason, in billionths of the currency. Raises ConfigError if it is no such number."""
        field_, value = ("taker", self.taker) if reason == Reason.TAKE else ("maker", self.maker)
        try:
            units = Decimal(value) * FEE_UNITS
            whole = int(units)
        except (InvalidOperation, OverflowError, TypeError, ValueError):
            raise ConfigError(f"{field_} must be a decimal number, got {value!r}") from None
        if whole != units:
            raise ConfigError(f"{field_} must be a multiple of 0.000000001, got {value!r}")
        return whole


NO_FEES = FeeSchedule()
#: Schedules by name. They change, and differ by tier: examples with their source, to be replaced by the user's own.
SCHEDULES = {
    "none": NO_FEES,
    # 17 CFR 242.610(c): no US venue may charge more than $0.0030 a share for taking; many pay part of it to who was resting.
    "us-maker-taker": FeeSchedule("US equities, taker at the cap of Rule 610(c), maker rebate 20 mils", "-0.0020", "0.0030"),
    # CME Globex, E-mini S&P 500, exchange fee per side for non-members, 2023.
    "cme-es": FeeSchedule("CME E-mini S&P 500, non-member, 2023", "1.38", "1.38"),
}


@dataclass
class Account:
    """What one of ours owns, by whole numbers.

    price_scale : price units per 1.0 of currency
    qty_scale   : units of quantity per share, lot or coin
    multiplier  : currency per 1.0 of price and lot (50 for ES); 1 for shares
    positions   : units of quantity by instrument, a short one below 0
    cash        : of trades alone, in 1 / `unit` of the currency
    fees        : paid, in the same; below 0 what was received
    """

    price_scale: int
    qty_scale: int = 1
    fees_of: FeeSchedule = field(default=NO_FEES)
    multiplier: int = 1
    positions: dict[int, int] = field(default_factory=dict)
    cash: int = 0
    fees: int = 0

    def __init__(self, price_scale: int, qty_scale: int = 1, *, fees: FeeSchedule = NO_FEES, multiplier: int = 1) -> None:
        self.price_scale = check_whole("price_scale", price_scale, 1)
        self.qty_scale = check_whole("qty_scale", qty_scale, 1)
        self.multiplier = check_whole("multiplier", multiplier, 1)
        self.fees_of, self.positions, self.cash, self.fees = fees, {}, 0, 0

    @property
    def unit(self) -> int:
        """Parts of 1.0 of currency in which cash and fees are counted: prices, quantities and fees are all whole in it."""
        return lcm(self.price_scale, FEE_UNITS) * self.qty_scale

    def book(self, instrument: int, side: int, price: int, qty: int, reason: int) -> None:
        """One fill."""
        sign = 1 if side == Side.BID else -1
        self.positions[instrument] = self.positions.get(instrument, 0) + sign * qty
        self.cash -= sign * price * qty * self.multiplier * (self.unit // (self.price_scale * self.qty_scale))
        self.fees += self.fees_of.units(reason) * qty * (self.unit // (FEE_UNITS * self.qty_scale))

    def book_all(self, fills: np.ndarray[Any, Any]) -> None:
        """Fills as FILL_DTYPE has them."""
        for fill in fills[["instrument", "side", "price", "qty", "reason"]].tolist():
            self.book(*fill)

    def value(self, prices: dict[int, int]) -> Fraction:
        """In currency, exactly: cash less fees, and what the positions are worth at `prices` (price units by instrument)."""
        worth = sum(qty * prices[instrument] for instrument, qty in self.positions.items() if qty)
        stock = Fraction(worth * self.multiplier, self.price_scale * self.qty_scale)
        return Fraction(self.cash - self.fees, self.unit) + stock

    def reconcile(self, fills: np.ndarray[Any, Any]) -> None:
        """Add the fills up anew, another way, and compare to the unit.

        raises : HftlabError naming what differs: a position, the cash or the fees
        """
        sign = np.where(fills["side"] == Side.BID, 1, -1)
        pairs = [*zip(fills["instrument"].tolist(), (sign * fills["qty"].astype(np.int64)).tolist(), strict=True)]
        positions = {each: sum(qty for one, qty in pairs if one == each) for each in {one for one, _ in pairs}}
        traded = Fraction(_dot(fills["price"], sign * fills["qty"].astype(np.int64)), self.price_scale * self.qty_scale)
        shares = {reason: int(fills["qty"][fills["reason"] == reason].sum(dtype=np.int64)) for reason in Reason}
        fees = sum(Fraction(self.fees_of.units(reason) * qty, FEE_UNITS * self.qty_scale) for reason, qty in shares.items())
        for what, booked, wanted in (
            ("positions", self.positions, positions),
            ("cash", Fraction(self.cash, self.unit), -traded * self.multiplier),
            ("fees", Fraction(self.fees, self.unit), fees),
        ):
            if booked != wanted:
                raise HftlabError(f"{what} must reconcile with the fills, {wanted}, got {booked}")


def _dot(left: Iterable[Any], right: Iterable[Any]) -> int:
    """An exact sum of products: NumPy's own would overflow in silence."""
    return sum(int(a) * int(b) for a, b in zip(left, right, strict=True))
