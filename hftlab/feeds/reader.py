"""Files -> feeds, by what is in them and never by their name: which reader knows a format, ours or anybody's.

A reader is found through the entry-point group `hftlab.feeds`: a class with `sniff` and `open`, as `Reader` has them. Ours are
entry points like any other, and are asked first.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from hftlab.errors import FeedError, HftlabError
from hftlab.feeds.feed import Feed
from hftlab.feeds.itch import ItchFeed
from hftlab.feeds.source import Source

GROUP = "hftlab.feeds"


class Plugin(NamedTuple):
    """One of ours, like an entry point of the system: to ask the system takes 50 ms, which every run would pay."""

    name: str
    value: str  # "module:attribute", or a module

    def load(self) -> Any:
        module, _, attribute = self.value.partition(":")
        loaded = import_module(module)
        return getattr(loaded, attribute) if attribute else loaded


#: Our formats. ITCH begins with a 0, as no other does: of the most common format only its own reader is imported.
OURS = tuple(
    Plugin(name, f"hftlab.feeds.{place}")
    for name, place in {
        "itch": "itch:ItchFeed",
        "dbn": "dbn:DbnFeed",
        "lobster": "lobster:LobsterFeed",
        "tardis": "tardis:TardisFeed",
        "hftbacktest": "hftbacktest:NpzFeed",
        "iex": "iex:IexFeed",
        "pcap": "pcap:PcapFeed",
    }.items()
)


class Reader(Protocol):
    """What reads a format: a class, or an object, with these two functions."""

    def sniff(self, head: bytes) -> bool:
        """Whether a stream that begins with these bytes (up to 65,536, inflated) is of this format."""

    def open(self, path: str | os.PathLike[str], symbols: Iterable[str] = ()) -> Feed:
        """The file as a feed, of all symbols or of these.

        raises : FeedError for what cannot be read; UnknownName for a symbol that is not there
        """


def readers() -> dict[str, Any]:
    """The entry point of every format that can be read, by its name: ours, then those installed under `hftlab.feeds`."""
    ours = {point.name: point for point in OURS}
    return ours | {point.name: point for point in _installed() if point.name not in ours}


@cache
def _installed() -> tuple[Any, ...]:
    """What is installed under the group."""
    from importlib.metadata import entry_points

    return tuple(entry_points(group=GROUP))


def _asked() -> Iterator[Any]:
    """Every entry point, ours before the system is asked for others."""
    yield from OURS
    yield from list(readers().values())[len(OURS) :]


def format_of(path: str | os.PathLike[str]) -> tuple[str, Reader]:
    """The name of a file's format, and its reader.

    raises : FeedError for a file that cannot be opened, or is of no format that is known
    """
    source = Source(path)
    head = source.head()
    for point in _asked():
        reader: Reader = _loaded(point)
        if reader.sniff(head):
            return point.name, reader
    if head[:1] in (b"", b"\0"):  # the length of an ITCH message begins with 0: what is wrong with the first, its feed says
        return "itch", ItchFeed
    known = ", ".join(readers())
    raise FeedError(f"{source.name}: offset 0: must be of a format that is known here ({known}), got {head[:16]!r}", offset=0)


def load(path: str | os.PathLike[str], symbols: Iterable[str] = ()) -> Feed:
    """A file of market data as a feed: plain, gzip or zstd. The content says which format it is (`hftlab data info` names it).

    symbols : keep only messages of these, and those about none
    raises  : FeedError if it cannot be opened or is of no known format; UnknownName for a symbol it does not name
    """
    name, reader = format_of(path)
    feed = reader.open(path, symbols)
    feed.format = name
    return feed


def _loaded(point: Any) -> Reader:
    try:
        return point.load()  # type: ignore[no-any-return]
    except HftlabError:
        raise
    except Exception as error:
        raise FeedError(f"the reader {point.name} ({point.value}) cannot be loaded: {type(error).__name__}: {error}") from error
