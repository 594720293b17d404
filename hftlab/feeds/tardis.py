"""Tardis CSV: incremental_book_L2 (levels, with snapshots) and trades, of any exchange, with the times they were received.

    exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount       incremental_book_L2
    exchange,symbol,timestamp,local_timestamp,id,side,price,amount                trades        (microseconds since 1970)

Prices and amounts are decimal texts: the scales of the feed are as fine as the finest of them, so every one is exact. Finding
them takes a pass of its own. Rows of one symbol with one local_timestamp came in one message, and are one event. A snapshot
begins with a CLEAR; an amount of 0 takes the level away.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.errors import FeedError
from hftlab.events import EVENT_DTYPE, Kind, Side
from hftlab.feeds.feed import Chunk
from hftlab.feeds.records import MOST_QTY, MOST_SYMBOLS, Levels, Lines, RecordFeed, columns, scaled, whole_events, whole_lines

if TYPE_CHECKING:
    import polars as pl

_START = b"exchange,symbol,timestamp,local_timestamp,"
_LEVELS = _START + b"is_snapshot,side,price,amount"
_TRADES = _START + b"id,side,price,amount"
_SIDES = {"bid": Side.BID, "ask": Side.ASK, "buy": Side.BID, "sell": Side.ASK, "unknown": Side.NONE}
_MOST_DIGITS = 12
_CLEAR = int(Kind.CLEAR)


class TardisFeed(RecordFeed):
    """Levels or trades of one file; instruments are its symbols in order of appearance."""

    epoch = "unix"
    by_order = False

    @staticmethod
    def sniff(head: bytes) -> bool:
        """Whether it begins with the four columns that all of Tardis' files have."""
        return head.startswith(_START)

    def _open(self) -> None:
        self._header: bytes = b""
        symbols: dict[str, int] = {}
        digits = {"price": 0, "amount": 0}
        for lines, frame in self._frames():
            for name in frame["symbol"].unique(maintain_order=True):
                symbols.setdefault(name, len(symbols) + 1)
            for name, most in digits.items():
                digits[name] = max(most, self._digits(lines, frame, name))
        if len(symbols) > MOST_SYMBOLS:
            raise self._wrong(0, f"a feed must have at most {MOST_SYMBOLS:,} symbols, got {len(symbols):,}")
        self._numbers, self._price_digits, self._qty_digits = symbols, digits["price"], digits["amount"]
        self.price_scale, self.qty_scale = 10 ** digits["price"], 10 ** digits["amount"]

    @property
    def symbols(self) -> tuple[str, ...]:
        return ("", *self._numbers)

    def _frames(self) -> Iterator[tuple[Lines, pl.DataFrame]]:
        """Rows behind the header, typed; prices and amounts are texts without exponents."""
        import polars as pl

        for lines in whole_lines(self._source):
            if not lines.row:
                header, _, rest = lines.data.partition(b"\n")
                self._header = header.rstrip(b"\r")
                if self._header not in (_LEVELS, _TRADES):
                    got = header[:120].decode("latin-1")
                    raise self._wrong(0, f"must be incremental_book_L2 or trades, got the columns {got}")
                lines = Lines(rest, len(header) + 1, 1)
                if not rest:
                    continue
            typed: dict[str, Any] = {"timestamp": pl.Int64, "local_timestamp": pl.Int64, "is_snapshot": pl.Boolean}
            kinds = {name: typed.get(name, pl.String) for name in self._header.decode().split(",")}
            frame = columns(lines, kinds, self.name)
            yield lines, frame.with_columns(_plain(frame[name]) for name in ("price", "amount"))
        if not self._header:
            raise self._wrong(0, "no bytes; a file has at least its header")

    def _digits(self, lines: Lines, frame: pl.DataFrame, name: str) -> int:
        """Decimals that the finest of a column needs."""
        numbers = frame[name].str.contains(r"^-?\d+(\.\d*)?$").to_numpy()
        decimals = frame[name].str.extract(r"\.(\d*?)0*$", 1).str.len_bytes().fill_null(0).to_numpy()
        wrong = ~numbers | (decimals > _MOST_DIGITS)
        if wrong.any():
            row = int(wrong.argmax())
            raise self._at(lines, row, f"{name} must be a number of at most {_MOST_DIGITS} decimals, got {frame[name][row]!r}")
        return int(decimals.max())

    def _at(self, lines: Lines, row: int, text: str) -> FeedError:
        offset = lines.offset + sum(map(len, lines.data.splitlines(keepends=True)[:row]))
        return FeedError(f"{self.name}: offset {offset}, row {lines.row + row}: {text}", offset=offset, index=lines.row + row)

    def _records(self) -> Iterator[Chunk]:
        return whole_events(self._chunks())

    def _chunks(self) -> Iterator[tuple[Chunk, Any]]:
        levels = _Snapshots()
        for lines, frame in self._frames():
            events = self._events(lines, frame)
            recv_ns = frame["local_timestamp"].to_numpy().astype(np.uint64) * np.uint64(1_000)
            if self._header == _LEVELS:
                at = levels.resolve(events, frame["is_snapshot"].to_numpy(), recv_ns)
                events, recv_ns = np.insert(events, at, levels.clears(events[at])), np.insert(recv_ns, at, recv_ns[at])
            yield Chunk(events, recv_ns), recv_ns ^ events["instrument"].astype(np.uint64) << np.uint64(48)

    def _events(self, lines: Lines, frame: pl.DataFrame) -> Any:
        events = np.zeros(len(frame), EVENT_DTYPE)
        qty = self._exact(lines, frame, "amount", self._qty_digits)
        if (qty > MOST_QTY).any() or (qty < 0).any():
            row = int(((qty > MOST_QTY) | (qty < 0)).argmax())
            text = f"amount must be at most {MOST_QTY} units of 1/{self.qty_scale}, which is as fine as the file is"
            raise self._at(lines, row, f"{text}, got {frame['amount'][row]}")
        times = frame["timestamp"].to_numpy()
        if (times < 0).any() or (times > 2**63 // 1_000).any() or (frame["local_timestamp"] < 0).any():
            raise self._at(lines, 0, "timestamps must be microseconds since 1970")
        if unknown := set(frame["side"].unique()) - set(_SIDES):
            row = int(frame["side"].is_in(list(unknown)).arg_max() or 0)
            raise self._at(lines, row, f"side must be one of {', '.join(_SIDES)}, got {frame['side'][row]!r}")
        events["ts_ns"], events["qty"] = times.astype(np.uint64) * np.uint64(1_000), qty
        events["price"] = self._exact(lines, frame, "price", self._price_digits)
        events["side"] = [_SIDES[side] for side in frame["side"].to_list()]
        events["instrument"] = [self._numbers[symbol] for symbol in frame["symbol"].to_list()]
        events["kind"] = Kind.TRADE
        return events

    def _exact(self, lines: Lines, frame: pl.DataFrame, name: str, digits: int) -> Any:
        try:
            return scaled(frame[name], digits)
        except ValueError as error:
            row = frame[name].to_list().index(str(error))
            raise self._at(lines, row, f"{name} must be a number that 64 bits hold, got {error}") from None


class _Snapshots:
    """Rows of levels -> events, in place; where a snapshot begins."""

    def __init__(self) -> None:
        self._levels = Levels()
        self._inside: dict[int, int] = {}  # instrument -> when the snapshot that it is inside of was received

    def resolve(self, events: Any, snapshot: Any, recv_ns: Any) -> list[int]:
        """The rows before which the book is cleared."""
        starts, out, inside = [], [], self._inside
        names = ("instrument", "side", "price", "qty")
        rows = zip(*(events[name].tolist() for name in names), snapshot.tolist(), recv_ns.tolist(), strict=True)
        for row, (instrument, side, price, qty, in_snapshot, at) in enumerate(rows):
            if in_snapshot and inside.get(instrument) != at:
                starts.append(row)
                self._levels.clear(instrument)
            inside[instrument] = at if in_snapshot else -1
            out.append(self._levels.set(instrument, side, price, qty))
        events["kind"], events["order_id"], events["new_order_id"] = zip(*out, strict=True) if out else ((), (), ())
        return starts

    @staticmethod
    def clears(first: Any) -> Any:
        """A CLEAR for each first row of a snapshot."""
        out = np.zeros(len(first), EVENT_DTYPE)
        out["kind"], out["instrument"], out["ts_ns"] = _CLEAR, first["instrument"], first["ts_ns"]
        return out


def _plain(texts: pl.Series) -> pl.Series:
    """Numbers without exponents: 1e-7 is 0.0000001. What is none stays as it is."""
    if not texts.str.contains("[eE]").any():
        return texts
    import polars as pl

    def plain(text: str) -> str:
        try:
            return format(Decimal(text), "f")
        except InvalidOperation:
            return text

    return pl.Series(texts.name, [plain(text) for text in texts], pl.String)
