"""Feeds that are hard on a book: cancel storms, deep books, thousands of instruments. Valid ITCH 5.0, the same bytes everywhere.

Each has a part that builds the book and is not timed, and the traffic that is. `calm` is what they are compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hftlab.errors import ConfigError, check_choice
from hftlab.feeds.frames import walk
from hftlab.feeds.generate.steady import LOT, Seats, added, fill_head, framed, steady
from hftlab.feeds.generate.synthetic import generate
from hftlab.feeds.itch import ItchFeed

STORMS: dict[str, str] = {
    "calm": "one liquid symbol, tens of levels a side: what the others are compared with",
    "burst": "sudden runs on one of eight symbols, full of executions in one direction",
    "cancel_storm": "waves in which deletes and replaces crowd out adds and the book thins, then refills",
    "mass_cancel": "every live order is cut down, then deleted, in random order, then the whole book comes again",
    "deep": "one symbol with very many live orders over thousands of levels, touched at random",
    "wide": "thousands of symbols, no two messages in a row on the same one",
}


@dataclass(frozen=True)
class Size:
    """How large the feeds are made.

    messages          : of the traffic, at least (a multiple of 10)
    deep, deep_levels : live orders of the deep book, and price levels a side
    wide              : instruments of the wide market, ten orders each
    """

    messages: int = 100_000
    deep: int = 200_000
    deep_levels: int = 5_000
    wide: int = 10_000


QUICK = Size(messages=10_000, deep=10_000, deep_levels=1_000, wide=1_000)


@dataclass(frozen=True)
class Storm:
    """`build` makes the book, `traffic` is what is timed; both are framed ITCH."""

    name: str
    build: bytes
    traffic: bytes
    instruments: int
    messages: int  # of the traffic

    @property
    def places(self) -> range:
        """Its instruments, by number."""
        return range(1, self.instruments + 1)


def storm_feed(name: str, size: Size | None = None, seed: int = 1) -> Storm:
    """The feed of that name, one of STORMS.

    raises : UnknownName; ConfigError for a size out of range
    """
    check_choice("storm", name, STORMS)
    return _MAKERS.get(name, _generated)(name, size or Size(), seed)


def _generated(name: str, size: Size, seed: int) -> Storm:
    """A regime of the generator: its first fifth builds the book."""
    data = generate(name, size.messages * 5 // 4, seed)
    at = [start - 2 for _, start, _ in walk([data], name)]
    cut = at[len(at) - size.messages]
    return Storm(name, data[:cut], data[cut:], {"calm": 1, "burst": 8, "cancel_storm": 4}[name], size.messages)


def _standing(name: str, size: Size, seed: int) -> Storm:
    """One symbol with very many orders, or very many symbols with ten each, as many orders at the end as at the beginning."""
    shape = (size.deep, 1, size.deep_levels) if name == "deep" else (10 * size.wide, size.wide, 5)
    made = steady(*shape, size.messages, seed)
    return Storm(name, made.build, made.steady, shape[1], made.messages)


def _mass_cancel(name: str, size: Size, seed: int) -> Storm:
    """Two waves, or as many as the messages take: half of the shares of every order go, then the orders, then new ones come."""
    orders, instruments, waves = max(size.messages // 6, 16), 8, 2
    seats, random = Seats(orders, instruments, 200), np.random.default_rng(seed)
    every, parts, number = np.arange(orders), [], orders
    for wave in range(waves):
        reference = 1 + orders * wave
        for letter in "XD":
            seat = random.permutation(orders)
            cut = np.zeros(orders, framed(letter))
            fill_head(cut, letter, seats.locate[seat], number + every)
            cut["ref"] = reference + seat
            if letter == "X":
                cut["shares"] = LOT // 2
            parts.append(cut.tobytes())
            number += orders
        parts.append(added(seats, every, reference + orders, number + every))
        number += orders
    return Storm(name, added(seats, every), b"".join(parts), instruments, 3 * orders * waves)


_MAKERS: dict[str, Callable[[str, Size, int], Storm]] = {"deep": _standing, "wide": _standing, "mass_cancel": _mass_cancel}


def repeatable(data: bytes) -> bytes:
    """The same messages, and behind them a delete for every order that is still live: they can be run again and again in one
    session, which ends each time with an empty book and must end with the memory it had.

    raises : ConfigError if the book is not as the messages say (an order deleted that was never added)
    """
    from hftlab.engine.engine import decode
    from hftlab.events import Kind

    events = decode(ItchFeed(data))
    live: dict[int, list[int]] = {}
    try:
        for kind, order, new, qty, instrument in events[["kind", "order_id", "new_order_id", "qty", "instrument"]].tolist():
            if kind == Kind.ADD:
                live[order] = [qty, instrument]
            elif kind in (Kind.EXECUTE, Kind.CANCEL):
                live[order][0] -= qty
                if not live[order][0]:
                    del live[order]
            elif kind == Kind.DELETE:
                del live[order]
            elif kind == Kind.REPLACE:
                del live[order]
                live[new] = [qty, instrument]
    except KeyError as error:
        raise ConfigError(f"a repeatable feed must have no faults, got order {error.args[0]} that is not live") from None
    out = np.zeros(len(live), framed("D"))
    if live:
        fill_head(out, "D", np.array([instrument for _, instrument in live.values()]), len(events) + np.arange(len(live)))
        out["stamp"] = int(events["ts_ns"][-1]) + 1 + np.arange(len(live))
        out["ref"] = list(live)
    return data + out.tobytes()
