"""Feeds for scale curves: a population of live orders, then traffic that keeps it as large as it is and touches it at random.

    build    A A A A ...                          every order once
    steady   D A D A E D A D A U  D A ...         delete, add, execute one share, replace at the same price

Every order has a seat: an instrument, a side and a price level. A fifth of the seats is empty at any time. While those are
filled, as many others are drawn at random from the live ones and emptied, and then it is their turn to be filled: neither the
orders nor the levels grow or shrink, and what the engine touches next is anybody's guess. The pattern of the messages, on the
other hand, is the same throughout: caches are what is to be seen, not branches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hftlab.errors import ConfigError, check_whole
from hftlab.feeds.itch import ItchFeed
from hftlab.protocols.itch_messages import MESSAGES

MIN_ORDERS = 16
CYCLE = 10  # messages of the pattern
LOT = 1_000_000  # shares of an order: executed one by one, it outlives the run
_DELETES = 4  # in the pattern, and as many adds
_PATTERN = "DADAEDADAU"
_PLACES = {letter: [place for place, other in enumerate(_PATTERN) if other == letter] for letter in "DAEU"}
_MIDDLE, _TICK = 500_0000, 100  # $500.0000, one cent
_OPEN = 34_200_000_000_000  # 9:30 in ns since midnight

Array = np.ndarray[Any, Any]


def framed(letter: str) -> np.dtype[np.void]:
    """A framed message; tracking number and timestamp as one word, as in wire.py."""
    body = [(part.name, f"S{part.width}" if part.ascii else f">u{part.width}") for part in MESSAGES[letter].parts[4:]]
    return np.dtype([("length", ">u2"), ("type", "S1"), ("locate", ">u2"), ("stamp", ">u8"), *body])


_ADD = framed("A")
_CYCLE = np.dtype([(str(place), framed(letter)) for place, letter in enumerate(_PATTERN)])


@dataclass(frozen=True)
class Steady:
    """`build` makes the population, `steady` is the traffic; both are framed ITCH."""

    build: bytes
    steady: bytes
    messages: int  # of the traffic

    def chunk(self, number: int, messages: int) -> memoryview:
        """The traffic in pieces of `messages` messages, a multiple of 10, each going on where the one before ended."""
        size = messages // CYCLE * _CYCLE.itemsize
        return memoryview(self.steady)[number * size : (number + 1) * size]

    def feed(self, name: str = "steady") -> ItchFeed:
        """Both, one after the other."""
        return ItchFeed(self.build + self.steady, name=name)


def steady(orders: int, instruments: int = 1, levels: int = 50, messages: int = 100_000, seed: int = 1) -> Steady:
    """Make such a feed.

    orders      : live at any time, 16 to 10^8
    instruments : 1 to 65,535, among which the orders are dealt out
    levels      : price levels a side, 1 to 49,000, one cent apart
    messages    : of the traffic, a multiple of 10
    raises      : ConfigError
    """
    check_whole("orders", orders, MIN_ORDERS, 10**8)
    check_whole("instruments", instruments, 1, 65_535)
    check_whole("levels", levels, 1, 49_000)
    if check_whole("messages", messages, CYCLE) % CYCLE:
        raise ConfigError(f"messages must be a multiple of {CYCLE}, got {messages}")
    turns = _Turns(orders, messages // CYCLE, np.random.default_rng(seed))
    seats = Seats(orders + turns.lag, instruments, levels)
    return Steady(added(seats, turns.first), _traffic(seats, turns), messages)


class _Turns:
    """Which seats are emptied, filled and touched, in order.

    first           : (orders,) the seats of the population
    emptied, filled : (cycles, 4) each
    touched         : (cycles, 2) seats that are live throughout, for an execution and a replacement
    """

    def __init__(self, orders: int, cycles: int, random: np.random.Generator) -> None:
        self.lag = orders // 16 * _DELETES
        live, empty = np.split(random.permutation(orders + self.lag), [orders])
        self.first = np.sort(live)
        turns = -(-_DELETES * cycles // self.lag)
        emptied, filled = np.empty((2, turns, self.lag), np.int64)
        touched = np.empty((turns, self.lag // 2), np.int64)
        for turn in range(turns):
            random.shuffle(live)
            emptied[turn], rest, filled[turn] = live[: self.lag], live[self.lag :], empty
            touched[turn] = rest[: self.lag // 2]
            live, empty = np.concatenate([rest, empty]), live[: self.lag]
        self.emptied, self.filled = (part.reshape(-1, _DELETES)[:cycles] for part in (emptied, filled))
        self.touched = touched.reshape(-1, 2)[:cycles]


class Seats:
    """Instrument, side, price and stock of every seat, dealt out in turn."""

    def __init__(self, count: int, instruments: int, levels: int) -> None:
        seat = np.arange(count)
        self.locate = 1 + seat % instruments
        row = seat // instruments
        self.bid = row % 2 == 0
        away = row // 2 % levels + 1
        self.price = _MIDDLE + np.where(self.bid, -away, away) * _TICK
        self.stocks = np.char.mod("S%05d  ", np.arange(instruments + 1)).astype("S8")


def added(seats: Seats, seat: Array, first: int = 1, number: Array | int = 0) -> bytes:
    """An order into each of some seats, their references from `first` upwards; number: of the message, for its timestamp."""
    adds = np.zeros(len(seat), _ADD)
    fill_head(adds, "A", seats.locate[seat], number)
    fill_add(adds, seats, seat, first + np.arange(len(seat)))
    return adds.tobytes()


def _traffic(seats: Seats, turns: _Turns) -> bytes:
    live, cycles = turns.first, len(turns.emptied)
    acting = np.empty((cycles, CYCLE), np.int64)
    acting[:, _PLACES["D"]], acting[:, _PLACES["A"]] = turns.emptied, turns.filled
    acting[:, _PLACES["E"] + _PLACES["U"]] = turns.touched
    before, after = _references(live, acting)
    out = np.zeros(cycles, _CYCLE)
    for place, letter in enumerate(_PATTERN):
        part, seat = out[str(place)], acting[:, place]
        fill_head(part, letter, seats.locate[seat], len(live) + CYCLE * np.arange(cycles) + place)
        part["ref"] = before[:, place]
        if letter == "A":
            fill_add(part, seats, seat, after[:, place])
        elif letter == "E":
            part["shares"] = 1
        elif letter == "U":
            part["new_ref"], part["shares"], part["price"] = after[:, place], LOT, seats.price[seat]
    return out.tobytes()


def fill_head(part: Array, letter: str, locate: Array, number: Array | int) -> None:
    part["length"], part["type"], part["locate"] = MESSAGES[letter].size, letter.encode(), locate
    part["stamp"] = _OPEN + 1_000 * np.asarray(number)


def fill_add(part: Array, seats: Seats, seat: Array, reference: Array) -> None:
    part["ref"], part["shares"], part["price"] = reference, LOT, seats.price[seat]
    part["side"], part["stock"] = np.where(seats.bid[seat], b"B", b"S"), seats.stocks[seats.locate[seat]]


def _references(live: Array, acting: Array) -> tuple[Array, Array]:
    """The reference of the order in the acting seat before and after each message: a fresh one where the message names one."""
    names = np.tile([letter in "AU" for letter in _PATTERN], len(acting))
    seat = np.concatenate([live, acting.ravel()])
    fresh = np.concatenate([np.ones(len(live), bool), names])
    reference = np.cumsum(fresh)
    by_seat = np.argsort(seat, kind="stable")
    latest = np.maximum.accumulate(np.where(fresh[by_seat], np.arange(len(seat)), 0))
    after = np.empty_like(reference)
    after[by_seat] = reference[by_seat][latest]
    before = np.empty_like(reference)
    before[by_seat] = np.concatenate([[0], after[by_seat][:-1]])
    return before[len(live) :].reshape(acting.shape), after[len(live) :].reshape(acting.shape)
