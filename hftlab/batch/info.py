"""What is in a file of market data: its format, messages by kind, symbols, times, and what could not be read and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hftlab.engine.engine import decoded
from hftlab.errors import FeedError
from hftlab.events import Kind
from hftlab.feeds.feed import Feed
from hftlab.feeds.reader import load
from hftlab.feeds.source import Source
from hftlab.presentation.document import Table, moment, table
from hftlab.presentation.result import StoredResult

_SHOWN = 12  # symbols in the table


@dataclass(frozen=True, repr=False)
class DataInfo(StoredResult):
    """What `data_info` found.

    messages : that could be read; counts: by kind, those that occur
    symbols  : all names; most: messages of the busiest of them, by name
    first_ns, last_ns : the least and the greatest time, counted from `epoch`; None without messages
    received : whether it says when the capture received each message
    events   : steps of the exchange; None where every message is one
    problem  : why reading stopped early, "" if it did not; skipped: what was no message, a sentence each
    """

    schema: ClassVar[str] = "hftlab-data-info/1"
    file: str
    format: str
    bytes: int
    messages: int
    counts: dict[str, int]
    symbols: list[str]
    most: dict[str, int]
    first_ns: int | None
    last_ns: int | None
    epoch: str
    price_scale: int
    qty_scale: int
    received: bool
    events: int | None
    problem: str
    skipped: list[str]

    def headline(self) -> str:
        return f"{self.file}: {self.messages:,} messages of {self.format}"

    def tables(self) -> list[Table]:
        shown = ", ".join(self.symbols[:_SHOWN]) + (", ..." if self.symbols[_SHOWN:] else "")
        rows = [
            ("file", f"{self.bytes:,} bytes"),
            ("messages by kind", ", ".join(f"{name} {count:,}" for name, count in self.counts.items()) or "none"),
            ("symbols", f"{len(self.symbols):,}" + (f": {shown}" if shown else "")),
            ("busiest", ", ".join(f"{name} {count:,}" for name, count in self.most.items()) or "none"),
            ("first message", moment(self.first_ns, self.epoch)),
            ("last message", moment(self.last_ns, self.epoch)),
            ("price units per 1.0", f"{self.price_scale:,}"),
            ("quantity units per 1.0", f"{self.qty_scale:,}"),
            ("times of receipt", "yes" if self.received else "no"),
            ("events of the exchange", "each message" if self.events is None else f"{self.events:,}"),
        ]
        return [table("", ("", ""), rows, words=2)]

    def notes(self) -> list[str]:
        return [*([f"reading stopped: {self.problem}"] if self.problem else []), *self.skipped]


def data_info(file: str | os.PathLike[str]) -> DataInfo:
    """Read a whole file once and say what is in it; memory is bounded whatever its size.

    file   : of any format that a reader knows
    raises : FeedError if it cannot be opened, or is of no known format; what goes wrong later is in `problem`
    """
    path = Source(file).path
    feed = load(file)
    counts, numbers = np.zeros(len(Kind), np.int64), np.zeros(1 << 16, np.int64)
    first, last, ends, received, problem = [], [], [], [], ""
    try:
        for events, recv_ns, event_end in _chunks(feed):
            counts += np.bincount(events["kind"], minlength=len(Kind))
            numbers += np.bincount(events["instrument"], minlength=1 << 16)
            if len(events):
                first.append(int(events["ts_ns"].min()))
                last.append(int(events["ts_ns"].max()))
            ends.append(None if event_end is None else int(event_end.sum()))
            received.append(recv_ns is not None)
    except FeedError as error:
        problem = str(error)
    names = _names(feed)
    busiest = [int(number) for number in np.argsort(-numbers, kind="stable")[:_SHOWN] if numbers[number] and number]
    return DataInfo(
        file=feed.name,
        format=feed.format,
        bytes=path.stat().st_size if path else 0,
        messages=int(counts.sum()),
        counts={kind.name: int(counts[kind]) for kind in Kind if counts[kind]},
        symbols=[name for name in names if name],
        most={(names[number] if number < len(names) else "") or str(number): int(numbers[number]) for number in busiest},
        first_ns=min(first, default=None),
        last_ns=max(last, default=None),
        epoch=feed.epoch,
        price_scale=feed.price_scale,
        qty_scale=feed.qty_scale,
        received=bool(received) and all(received),
        events=None if None in ends or not ends else sum(end or 0 for end in ends),
        problem=problem,
        skipped=feed.notes(),
    )


def _chunks(feed: Feed) -> Any:
    """Records with what stands beside them; of wire bytes the records alone."""
    return feed.chunks() if feed.wire == "events" else ((events, None, None) for events in decoded(feed))


def _names(feed: Feed) -> list[str]:
    try:
        return list(feed.symbols)
    except FeedError:  # the feed's notes name what is wrong
        return []
