"""Run: what one pass of an engine over a feed gave, as frames, counts and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.recording import with_signals
from hftlab.engine.session import Counters, Session, SessionResult
from hftlab.engine.timing import Capture, Histogram
from hftlab.errors import check_choice, check_whole
from hftlab.events import EVENT_DTYPE, Fault, Kind, Side
from hftlab.feeds.feed import Feed, unknown_symbol
from hftlab.presentation.document import Table, duration, number, table
from hftlab.presentation.result import Result
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES
from hftlab.settings import REJECTS, Settings

if TYPE_CHECKING:
    import polars as pl


class Run(Result):
    """The result of `Engine.run`. The frames are built when first asked for.

    messages       : messages run
    warm_up        : of these, at the start: they filled the book, and neither elapsed_ns nor a stamp counts them
    elapsed_ns     : the engine's loop alone: no file reading, no conversion
    ns_per_message : elapsed_ns / (messages - warm_up), NaN if there was none
    wall_ns        : from the first byte to the result: reading, decompressing, the loop, handing over the rows
    costs          : of these, ns: "engine" (its loop, the warm-up too), "recording" (handing over what was kept), "reading" and
                     "decompressing". The last two run beside the engine, in a thread, where the file is large
    backend        : the engine that ran
    variant        : its variant by axis, a stage of one's own by its name; empty for an engine without variants
    counts         : messages by kind; unknown: messages of unknown type by letter
    faults         : refused events by reason, only reasons that occurred
    rejects        : orders refused by risk, by limit
    order_stream   : the exact bytes sent, 47 per order
    memory         : live_orders, and bytes by part
    filled         : the totals when the warm-up was over; None for a feed without one
    latency        : ns per message and stage ("tick" ... "order", "total") as arrays; None if not asked for
    histograms     : the same, counted, as `hftlab.engine.timing.Histogram`; None if not asked for
    columns        : those of `frame` as NumPy arrays, without a copy
    threads        : how it went on several threads, as `hftlab.engine.run.Threads`; None if one was asked for
    slowest        : the slowest messages and neighbours, as `hftlab.engine.timing.Capture`; None if not asked for or not known
    """

    def __init__(
        self,
        feed: Feed,
        backend: str,
        settings: Settings,
        session: Session,
        variant: Mapping[str, str | bool],
        filled: Counters | None = None,
    ) -> None:
        start = perf_counter_ns()
        result = session.finish()
        self.wall_ns = perf_counter_ns() - start
        self.costs = {"engine": result["elapsed_ns"], "recording": self.wall_ns}
        self.feed, self.backend, self.settings = feed.name, backend, settings
        self.variant = dict(variant)
        self.messages: int = result["messages"]
        self.warm_up = min(feed.warm_up, self.messages)
        self.elapsed_ns: int = result["elapsed_ns"] - (filled["elapsed_ns"] if filled else 0)
        self.filled = filled
        self.counts = {kind.name: result["counts"][kind] for kind in Kind}
        self.unknown = {chr(code) if 32 < code < 127 else f"0x{code:02x}": n for code, n in sorted(result["unknown"].items())}
        self.faults = {fault.name.lower(): n for fault, n in zip(Fault, result["faults"], strict=True) if n}
        self.rejects = {name: n for name, n in zip(REJECTS, result["rejects"], strict=True) if n}
        self.order_stream: bytes = result["order_stream"]
        self.memory: dict[str, int] = result["memory"]
        timed, latency = self.messages - self.warm_up, result["latency"]
        # Of an engine that stamps its warm-up, too, the last stamps are those that count.
        self.latency = latency and {part: ns[max(len(ns) - timed, 0) :] for part, ns in latency.items()}
        self.columns = with_signals(result["columns"])
        self.histograms = _histograms(result, settings.keep)
        slowest = result.get("slowest")
        offset = self.warm_up if _stamped_rows(result) <= timed else 0
        shifted = [Capture(at + offset, first + offset, stamps) for at, first, stamps in slowest or ()]
        self.slowest = None if slowest is None else [capture for capture in shifted if capture.at >= self.warm_up]
        self.threads = Threads.of(session, settings)
        self._result, self._session, self._names = result, session, _names(feed, session)

    @property
    def ns_per_message(self) -> float:
        timed = self.messages - self.warm_up
        return self.elapsed_ns / timed if timed else float("nan")

    @property
    def levels(self) -> int:
        """Price levels at the end, over all instruments."""
        return sum(len(self._session.depth(instrument)) for instrument in self._names)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """record="all": one row per message, the state of its instrument after it; "top": rows where the touch changed.

        index u64, ts_ns u64, instrument u16, bid_price i64, bid_qty u64, ask_price i64, ask_qty u64 (0 for an empty side and for
        a message without an instrument), then the nine signals f64.
        """
        return _frame(self.columns)

    @cached_property
    def orders(self) -> pl.DataFrame:
        """Accepted orders: index, ts_ns, instrument, symbol, side ("B", "S"), qty, price, score, position after, user_ref_num."""
        import polars as pl

        frame = _frame(self._result["orders"])
        symbols = pl.Series([self.name(i) for i in frame["instrument"]], dtype=pl.String)
        sides = pl.Series(["B" if side == Side.BID else "S" for side in frame["side"]], dtype=pl.String)
        frame = frame.with_columns(sides.alias("side"))
        return frame.insert_column(3, symbols.alias("symbol"))

    @cached_property
    def first_faults(self) -> pl.DataFrame:
        """The first 100 refused events: index, reason, and the record."""
        import polars as pl

        reasons = [Fault(reason).name.lower() for reason in self._result["fault_reason"]]
        head = pl.DataFrame(
            {"index": self._result["fault_index"], "reason": reasons},
            schema={"index": pl.UInt64, "reason": pl.String},
        )
        events = self._result["fault_events"]
        return head.hstack(_frame({name: events[name] for name in EVENT_DTYPE.names or ()}))

    @property
    def names(self) -> dict[int, str]:
        """Symbols by instrument, as far as the feed named them."""
        return dict(sorted(self._names.items()))

    def name(self, instrument: int) -> str:
        """Symbol of an instrument, "" if the feed never named it."""
        return self._names.get(instrument, "")

    def instrument(self, symbol: str) -> int:
        """Instrument of a symbol. Raises UnknownName with the known ones."""
        for instrument, name in self._names.items():
            if name == symbol:
                return instrument
        raise unknown_symbol(symbol, self._names.values())

    def book(self, symbol: str | int) -> pl.DataFrame:
        """Depth of a symbol, or an instrument by number, at the end: side, price, qty, orders; bids then asks, best first."""
        return depth_frame(self._session.depth(symbol if isinstance(symbol, int) else self.instrument(symbol)))

    def queue(self, symbol: str, side: str, price: int) -> pl.DataFrame:
        """One level's queue at the end of the run, the front first: order_id, qty. `side` is "bid" or "ask"."""
        return queue_frame(self._session, self.instrument(symbol), side, price)

    def queue_position(self, order_id: int) -> int | None:
        """How many orders stand before a live order in its level (0: it is next); None if the order is not live."""
        place = queue_place(self._session, check_whole("order_id", order_id, 0, 2**64 - 1))
        return place and place[0]

    def __repr__(self) -> str:
        speed = f"{self.ns_per_message:.1f} ns/message" if self.messages else "no message"
        return f"<Run {self.feed} on {self.backend}: {self.messages:,} messages, {speed}, {sum(self.faults.values())} faults>"

    def headline(self) -> str:
        return f"Run of {self.feed} on {self.backend}"

    def tables(self) -> list[Table]:
        live, order_bytes = self.memory["live_orders"], self.memory["order_bytes"]
        rows = [
            ("variant", " ".join(f"{axis}={value}" for axis, value in self.variant.items()) or "the only one"),
            ("messages", f"{self.messages:,}"),
            ("ns per message", number(self.ns_per_message)),
            ("from file to result", self.whole_way()),
            ("by kind", _totals(self.counts)),
            ("faults", _totals(self.faults)),
            ("unknown types", _totals(self.unknown)),
            ("orders sent", f"{self.order_count:,}"),
            ("refused by risk", _totals(self.rejects)),
            ("live orders", f"{live:,}"),
            ("memory of orders", f"{order_bytes:,} bytes" + (f", {order_bytes / live:,.1f} per live order" if live else "")),
            ("memory of levels", f"{self.memory['level_bytes']:,} bytes"),
        ]
        return [table("", ("", ""), rows, words=2)]

    def notes(self) -> list[str]:
        return self.threads.notes() if self.threads else []

    def whole_way(self) -> str:
        """The wall time, and the share of each part in it."""
        shares = ", ".join(f"{name} {ns / max(self.wall_ns, 1):.0%}" for name, ns in self.costs.items())
        return f"{duration(self.wall_ns)}: {shares}"

    @property
    def order_count(self) -> int:
        """How many orders were sent."""
        return len(self.order_stream) // ENTER_ORDER_BYTES

    def to_dict(self) -> dict[str, Any]:
        """The run in numbers, for JSON; the rows are in `frame`."""
        engine = ("backend", "variant", "messages", "elapsed_ns", "ns_per_message", "wall_ns", "costs")
        plain = {name: getattr(self, name) for name in (*engine, "counts", "unknown", "faults", "rejects", "memory")}
        return {**plain, "threads": self.settings.threads, "orders": self.order_count}


def _totals(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items() if n) or "none"


def _stamped_rows(result: SessionResult) -> int:
    """How many messages an engine stamped, by whatever it kept of them."""
    if samples := result["latency"]:
        return len(samples["total"])
    counted = (result.get("histograms") or {}).get("total")
    return 0 if counted is None else counted.n if isinstance(counted, Histogram) else int(sum(counted[1]))


def _histograms(result: SessionResult, keep: str) -> dict[str, Histogram] | None:
    counted, samples = result.get("histograms"), result["latency"]
    if counted:
        return {part: given if isinstance(given, Histogram) else Histogram.counted(*given) for part, given in counted.items()}
    if samples and keep != "samples":  # an engine that does not count itself
        return {part: Histogram.of(ns) for part, ns in samples.items()}
    return None


def _names(feed: Feed, session: Session) -> dict[int, str]:
    learned = {number: stock.decode("latin-1").strip() for number, stock in sorted(session.names().items())}
    # An OUCH name has eight characters; a feed of records may have longer ones.
    given = {i: name for i, name in enumerate(feed.symbols) if name} if feed.wire == "events" else {}
    return {**learned, **given}


def _frame(columns: dict[str, np.ndarray[Any, Any]]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({name: np.ascontiguousarray(column) for name, column in columns.items()})


def depth_frame(levels: list[tuple[int, int, int, int]]) -> pl.DataFrame:
    """Price levels as `Session.depth` gives them: side ("bid", "ask"), price, qty, orders."""
    import polars as pl

    rows = [("bid" if side == Side.BID else "ask", *level) for side, *level in levels]
    schema = {"side": pl.String, "price": pl.Int64, "qty": pl.UInt64, "orders": pl.UInt32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def queue_frame(session: Session, instrument: int, side: str, price: int) -> pl.DataFrame:
    """The queue of a level, the front first: order_id, qty.

    raises : UnknownName for a side that is not "bid" or "ask", ConfigError for a price that no field holds
    """
    import polars as pl

    number = int(Side[check_choice("side", side, ("bid", "ask")).upper()])
    rows = session.queue(instrument, number, check_whole("price", price, -(2**63), 2**63 - 1))
    return pl.DataFrame(rows, schema={"order_id": pl.UInt64, "qty": pl.UInt32}, orient="row")


def queue_place(session: Session, order_id: int) -> tuple[int, int, int] | None:
    """Orders and quantity that stand before a live order in its level, and its own quantity; None if it is not live."""
    place = session.locate(order_id)
    if place is None:
        return None
    queue = session.queue(*place[:3])
    rank = [number for number, _ in queue].index(order_id)
    return rank, sum(qty for _, qty in queue[:rank]), queue[rank][1]


@dataclass(frozen=True)
class Threads:
    """How a run on several threads went.

    asked      : how many threads were asked for
    messages   : messages of each shard's instruments, one number per thread; () where one engine ran them all
    cpu_ns     : processor time of each thread, ns: hopping over all messages, running its own, deciding
    one_by_one : messages run one after the other over all shards, since an order reference might have been live in another one
    doubted    : the first of them; None if there was none
    again      : the message that brought an order reference that may have come before, so near the beginning that one engine ran
                 them all; None if none did
    strict     : one engine ran them all, since a run that ends at the first fault runs in the order of the feed
    """

    asked: int
    messages: tuple[int, ...] = ()
    cpu_ns: tuple[int, ...] = ()
    one_by_one: int = 0
    doubted: int | None = None
    again: int | None = None
    strict: bool = False

    @classmethod
    def of(cls, session: Any, settings: Settings) -> Threads | None:
        """What a session says of itself; None where one thread was asked for."""
        if settings.threads == 1:
            return None
        given: dict[str, Any] = dict(session.threads() or {})
        messages, cpu_ns = (tuple(given.pop(name, ())) for name in ("messages", "cpu_ns"))
        return cls(settings.threads, messages, cpu_ns, strict=settings.strict, **given)

    def notes(self) -> list[str]:
        """A sentence each."""
        asked = f"threads={self.asked}"
        if self.strict:
            return [f"{asked}: ran on one thread, since a strict run ends at the first fault of the feed."]
        if self.again is not None:
            return [
                f"{asked}: ran on one thread, since message {self.again:,} brings an order reference that may have come before."
            ]
        total = max(sum(self.messages), 1)
        shares = " and ".join(f"{n / total:.1%}" for n in self.messages)
        notes = [f"{asked}: the shards ran {shares} of the messages."]
        if self.doubted is not None:
            notes.append(
                f"{self.one_by_one:,} messages ran one by one over all shards: "
                f"order references may have come again, first in message {self.doubted:,} or soon after."
            )
        return notes
