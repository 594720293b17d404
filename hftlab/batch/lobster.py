"""LOBSTER's two files out of any feed of orders: the messages of one stock, and its visible levels after each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hftlab.engine.engine import Engine, decoded
from hftlab.engine.session import Session
from hftlab.errors import ConfigError
from hftlab.events import Kind, Side
from hftlab.feeds.feed import Feed
from hftlab.presentation.output import atomic_path

_NAME = re.compile(r".+_message_(\d{1,3})\.csv")
_SUBMITTED, _REDUCED, _DELETED, _EXECUTED, _HIDDEN, _HALT = 1, 2, 3, 4, 5, 7
_STATES = {ord("H"): -1, ord("P"): -1, ord("Q"): 0, ord("T"): 1}
_NO_LEVEL = {Side.BID: -9_999_999_999, Side.ASK: 9_999_999_999}

Row = tuple[int, int, int, int, int]  # type, order, size, price, direction


def is_message_file(path: Path) -> bool:
    """Whether a name is that of a message file: TICKER_..._message_LEVELS.csv."""
    return _NAME.fullmatch(path.name) is not None


def write(feed: Feed, path: Path, symbol: str, backend: str = "auto") -> int:
    """Write a message file, and the order book file beside it with as many levels as the name says; how many rows.

    raises : ConfigError for a feed whose times or prices LOBSTER cannot hold; FeedError, OutputError
    """
    found = _NAME.fullmatch(path.name)
    if found is None or feed.price_scale != 10_000 or feed.epoch != "midnight":
        raise ConfigError(
            f"{path.name}: LOBSTER holds prices of 1/10,000 and times since midnight in files called ..._message_LEVELS.csv, "
            f"got 1/{feed.price_scale:,} and times since {feed.epoch}"
        )
    number, levels, rows = list(feed.symbols).index(symbol), int(found[1]), 0
    session = Engine(backend, until="book").open()
    with _writing(path) as out, _writing(path.with_name(path.name.replace("_message_", "_orderbook_"))) as book:
        for events in decoded(feed, backend):
            for event in events[events["instrument"] == number].tolist():
                for row in _rows(session, event):
                    out.write(f"{event[0] // 10**9}.{event[0] % 10**9:09d},{','.join(map(str, row))}\n")
                    book.write(_levels(session, number, levels))
                    rows += 1
    return rows


@contextmanager
def _writing(path: Path) -> Iterator[IO[str]]:
    """A text file that takes its place when all went well."""
    with atomic_path(path) as beside, beside.open("w", encoding="ascii", newline="") as file:
        yield file


def _rows(session: Session, event: tuple[int, ...]) -> Iterator[Row]:
    """What LOBSTER says of an event, step by step; the book has taken each step when it is given. A replace is two of them."""
    ts_ns, order, new, price, qty, instrument, kind, side = event
    before = session.locate(order)
    if kind == Kind.REPLACE and before:
        yield from _rows(session, (ts_ns, order, 0, 0, 0, instrument, Kind.DELETE, 0))
        yield from _rows(session, (ts_ns, new, 0, price, qty, instrument, Kind.ADD, before[1]))
        return
    if session.apply(*event) < 0:
        return  # the book has refused it
    if kind == Kind.ADD:
        yield _SUBMITTED, order, qty, price, _direction(side)
    elif kind == Kind.TRADE:
        yield _HIDDEN, 0, qty, price, _direction(side)
    elif kind == Kind.STATUS and qty in _STATES:
        yield _HALT, 0, 0, _STATES[qty], -1
    elif before and kind in (Kind.CANCEL, Kind.EXECUTE, Kind.DELETE):
        _, which, at, left = before
        gone = left if kind == Kind.DELETE else qty
        code = _EXECUTED if kind == Kind.EXECUTE else _DELETED if gone == left else _REDUCED
        yield code, order, gone, at, _direction(which)


def _direction(side: int) -> int:
    return 1 if side == Side.BID else -1


def _levels(session: Session, instrument: int, levels: int) -> str:
    """A row of the order book file: ask price, ask size, bid price, bid size of each level."""
    depth = session.depth(instrument)
    sides = {side: [(price, qty) for which, price, qty, _ in depth if which == side][:levels] for side in (Side.ASK, Side.BID)}
    full = {side: [*found, *[(_NO_LEVEL[side], 0)] * (levels - len(found))] for side, found in sides.items()}
    both = zip(full[Side.ASK], full[Side.BID], strict=True)
    return ",".join(f"{ask},{ask_qty},{bid},{bid_qty}" for (ask, ask_qty), (bid, bid_qty) in both) + "\n"
