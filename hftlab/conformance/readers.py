"""Does anybody's reader keep the contract of feeds? Order, conservation, whole events, damage, truncation; see `reader`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine, decode, decoded
from hftlab.errors import FeedError, HftlabError, UnknownName
from hftlab.events import EVENT_DTYPE, Kind
from hftlab.feeds.feed import Feed
from hftlab.feeds.reader import Reader
from hftlab.feeds.source import Source
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import Result

_CUTS = 24  # places at which the sample is cut off, and at which a byte is changed
_FOREIGN = {"empty": b"", "zeros": bytes(4_096), "text": b"what is this?\n" * 300, "ones": b"\xff" * 4_096}


class _RuleBrokenError(Exception):
    """A rule that is not kept, and by what."""


@dataclass(frozen=True)
class ReaderReport(Result):
    """What `reader` found: a verdict by rule, "" where it is kept. True if all are."""

    name: str
    messages: int
    verdicts: dict[str, str]

    def __bool__(self) -> bool:
        return not any(self.verdicts.values())

    def headline(self) -> str:
        broken = sum(map(bool, self.verdicts.values()))
        kept = "keeps the contract" if not broken else f"breaks {broken} of {len(self.verdicts)} rules"
        return f"The reader {self.name} {kept}, on {self.messages:,} messages"

    def tables(self) -> list[Table]:
        rows = [(rule, verdict or "kept") for rule, verdict in self.verdicts.items()]
        return [table("", ("rule", "verdict"), rows, words=2)]

    def to_dict(self) -> dict[str, Any]:
        return {"schema": "reader_report/1", "name": self.name, "messages": self.messages, "verdicts": self.verdicts}


def reader(candidate: Reader, sample: str | os.PathLike[str], oracle: Callable[[Feed], str] | None = None) -> ReaderReport:
    """Ask every rule of a reader, on a sample file of its format, best a small one.

    candidate : a class or object with `sniff` and `open`
    sample    : a good file of its format, plain, gzip or zstd
    oracle    : what else is known of the sample: given the feed, it says what is wrong, "" if nothing is
    raises    : FeedError where the sample itself cannot be read
    """
    path = Path(sample)
    whole = candidate.open(path)
    messages = len(decode(whole))
    rules: dict[str, Callable[[], None]] = {
        "sniff knows the sample and nothing foreign": lambda: _sniffs(candidate, path),
        "a feed gives the same records each time": lambda: _repeats(candidate, path),
        "records are of the contract's types and read-only": lambda: _typed(candidate.open(path)),
        "columns beside the records fit them": lambda: _beside(candidate.open(path)),
        "the book takes every record, and quantity is conserved": lambda: _conserves(candidate.open(path)),
        "no book is crossed at the end of an event": lambda: _uncrossed(candidate.open(path)),
        "one symbol is that part of all of them": lambda: _selects(candidate, path),
        "a symbol that is not there is UnknownName": lambda: _refuses(candidate, path),
        "a file that is cut off is a FeedError, or ends there": lambda: _survives(candidate, path, lambda data, at: data[:at]),
        "a changed byte is a FeedError at worst": lambda: _survives(candidate, path, _flipped),
        "foreign and empty files are a FeedError": lambda: _foreign(candidate),
    }
    if oracle:
        rules["the oracle agrees"] = lambda: _agrees(oracle, candidate.open(path))
    name = getattr(candidate, "__name__", type(candidate).__name__)
    return ReaderReport(name, messages, {rule: _verdict(ask) for rule, ask in rules.items()})


def _verdict(ask: Callable[[], None]) -> str:
    try:
        ask()
    except _RuleBrokenError as broken:
        return str(broken)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _sniffs(candidate: Reader, path: Path) -> None:
    if not candidate.sniff(Source(path).head()):
        raise _RuleBrokenError("it does not know the sample")
    for what, data in _FOREIGN.items():
        if candidate.sniff(data):
            raise _RuleBrokenError(f"it takes {what} for its format")


def _repeats(candidate: Reader, path: Path) -> None:
    feed = candidate.open(path)
    first = decode(feed)
    for again in (feed, candidate.open(path)):
        if decode(again).tobytes() != first.tobytes():
            raise _RuleBrokenError("the second pass gives other records than the first")


def _typed(feed: Feed) -> None:
    for events in decoded(feed):
        if events.dtype != EVENT_DTYPE:
            raise _RuleBrokenError(f"records must be EVENT_DTYPE, got {events.dtype}")
        if events["kind"].max(initial=0) > max(Kind):
            raise _RuleBrokenError(f"a kind must be at most {int(max(Kind))}, got {events['kind'].max()}")
        if events["instrument"].max(initial=0) >= max(len(feed.symbols), 1):
            raise _RuleBrokenError(f"instrument {events['instrument'].max()} has no name among {len(feed.symbols)} symbols")


def _beside(feed: Feed) -> None:
    if feed.wire != "events":
        return
    for chunk in feed.chunks():
        for name, kind in (("recv_ns", np.uint64), ("event_end", np.bool_)):
            column = getattr(chunk, name)
            if column is not None and (column.shape != chunk.events.shape or column.dtype != kind):
                raise _RuleBrokenError(
                    f"{name} must be {chunk.events.shape} of {np.dtype(kind)}, got {column.shape} of {column.dtype}"
                )
    ends = feed.event_end
    if ends is not None and len(ends) and not ends[-1]:
        raise _RuleBrokenError("the last record of the sample ends no event")


def _conserves(feed: Feed) -> None:
    """What came into the book and has not left stands in it at the end."""
    run = Engine("python", until="book").run(feed, "none")
    if run.faults:
        raise _RuleBrokenError("the book refuses " + ", ".join(f"{count} {reason}" for reason, count in run.faults.items()))
    left: dict[int, tuple[int, int]] = {}
    for event in decode(feed).tolist():
        _, order, new, _, qty, instrument, kind, _ = event
        if kind == Kind.ADD:
            left[order] = instrument, qty
        elif kind == Kind.REPLACE:
            del left[order]
            left[new] = instrument, qty
        elif kind in (Kind.EXECUTE, Kind.CANCEL):
            left[order] = instrument, left[order][1] - qty
        elif kind == Kind.DELETE:
            del left[order]
        elif kind == Kind.CLEAR:
            left = {key: one for key, one in left.items() if one[0] != instrument}
    live = sum(qty > 0 for _, qty in left.values())
    if live != run.memory["live_orders"]:
        raise _RuleBrokenError(f"the records leave {live} orders, the book has {run.memory['live_orders']}")


def _uncrossed(feed: Feed) -> None:
    """Crossed books are reported, not forbidden: an auction has them. More than one event in ten is a reader's fault."""
    run = Engine("python", until="book").run(feed, "all")
    ends = feed.event_end if feed.wire == "events" else None
    rows = run.columns
    crossed = (rows["bid_price"] >= rows["ask_price"]) & (rows["bid_qty"] > 0) & (rows["ask_qty"] > 0)
    at_ends = crossed if ends is None else crossed[ends]
    if at_ends.sum() * 10 > len(at_ends):
        raise _RuleBrokenError(f"{int(at_ends.sum())} of {len(at_ends)} events end with a locked or crossed book")


def _selects(candidate: Reader, path: Path) -> None:
    feed = candidate.open(path)
    events, names = decode(feed), list(feed.symbols)
    for number in np.unique(events["instrument"])[-2:].tolist():
        if number and names[number]:
            alone = decode(candidate.open(path, [names[number]]))
            same = [i for i, name in enumerate(names) if name == names[number]]
            if alone.tobytes() != events[np.isin(events["instrument"], [0, *same])].tobytes():
                raise _RuleBrokenError(f"{names[number]} alone gives {len(alone)} records, other ones than among all")


def _refuses(candidate: Reader, path: Path) -> None:
    try:
        decode(candidate.open(path, ["NO-SUCH"]))
    except UnknownName:
        return
    raise _RuleBrokenError("it gives a feed for a symbol that is not there")


def _agrees(oracle: Callable[[Feed], str], feed: Feed) -> None:
    if wrong := oracle(feed):
        raise _RuleBrokenError(wrong)


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :] if at < len(data) else data


def _survives(candidate: Reader, path: Path, harm: Callable[[bytes, int], bytes]) -> None:
    data = path.read_bytes()
    for at in np.linspace(0, len(data) - 1, _CUTS).astype(int).tolist():
        if error := _read(candidate, harm(data, at), path.name):
            raise _RuleBrokenError(f"byte {at}: {error}")


def _foreign(candidate: Reader) -> None:
    for what, data in _FOREIGN.items():
        if error := _read(candidate, data, "foreign", must_fail=True):
            raise _RuleBrokenError(f"{what}: {error}")


def _read(candidate: Reader, data: bytes, name: str, *, must_fail: bool = False) -> str:
    """Read what may be damaged to its end: "" if it ends as it must, else how it ended."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            for _ in decoded(candidate.open(path)):
                pass
        except HftlabError as error:
            one_sentence = "\n" not in str(error) and isinstance(error, FeedError)
            return "" if one_sentence else f"{type(error).__name__} must be a FeedError of one sentence: {error}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return "it is read without an error" if must_fail else ""
