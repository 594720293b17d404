"""Feed: an immutable stream of messages, as wire bytes or as event records, handed over block by block.

An engine never sees where a feed comes from. A block may end in the middle of a message: whoever drives the engine carries
the rest into the next one, exactly as with bytes from a socket.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from hftlab.errors import ConfigError, FeedError
from hftlab.events import Events, Kind, as_events
from hftlab.presentation import html

Block = bytes | memoryview

_NO_PRICE = -(2**63)  # has no negative, which a side-signed price needs


class Feed(ABC):
    """A stream of messages.

    name        : what it is, for tables and file names
    price_scale : integer price units per 1.0 of currency
    epoch       : "midnight" or "unix", what ts_ns counts from
    wire        : "itch" if blocks() yields framed ITCH 5.0, "events" if event_blocks() yields records
    """

    name: str
    price_scale: int = 10_000
    epoch: str = "midnight"
    wire: str

    @property
    @abstractmethod
    def symbols(self) -> Sequence[str]:
        """Names by instrument number; "" where the feed gives none. Instrument 0 is no instrument."""

    def blocks(self) -> Iterator[Block]:
        """Wire bytes in order, without loss; raises FeedError where the source breaks off."""
        raise NotImplementedError(f"{type(self).__name__} carries event records, not wire bytes")

    def event_blocks(self) -> Iterator[Events]:
        """Event records in order, EVENT_DTYPE, read-only."""
        raise NotImplementedError(f"{type(self).__name__} carries wire bytes, not event records")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _repr_html_(self) -> str:
        named = [name for name in self.symbols if name]
        few = ", ".join(named[:8]) + (", ..." if len(named) > 8 else "")
        facts = {
            "carries": "framed ITCH 5.0" if self.wire == "itch" else "event records",
            "symbols": f"{len(named):,}" + (f": {few}" if named else ""),
            "price units per 1.0": f"{self.price_scale:,}",
            "time counts from": self.epoch,
        }
        return html.block(f"{type(self).__name__} {self.name}", html.facts(facts))


class EventFeed(Feed):
    """Messages that are event records already, for data from any source.

    array   : (n,) EVENT_DTYPE; copied once, so that nobody can change it under a running engine
    symbols : names by instrument number, symbols[0] being no instrument
    raises  : FeedError for a wrong dtype, byte order, stride or kind, naming the index
    """

    wire = "events"
    _BLOCK = 1 << 18

    def __init__(
        self,
        array: Events,
        *,
        symbols: Sequence[str] = (),
        price_scale: int = 10_000,
        epoch: str = "midnight",
        name: str = "events",
    ) -> None:
        if epoch not in ("midnight", "unix"):
            raise ConfigError(f"epoch is {epoch!r}; allowed is 'midnight' or 'unix'")
        self._array = as_events(array).copy()
        self._array.flags.writeable = False
        wrong = np.flatnonzero(self._array["kind"] > max(Kind))
        if wrong.size:
            kind = self._array["kind"][wrong[0]]
            raise FeedError(f"event {wrong[0]} has kind {kind}; allowed is 0 to {int(max(Kind))}", index=int(wrong[0]))
        lowest = np.flatnonzero(self._array["price"] == _NO_PRICE)
        if lowest.size:
            raise FeedError(f"event {lowest[0]} has price {_NO_PRICE}; allowed is anything above", index=int(lowest[0]))
        self._symbols = tuple(symbols)
        self.price_scale, self.epoch, self.name = price_scale, epoch, name

    @property
    def symbols(self) -> Sequence[str]:
        return self._symbols

    def event_blocks(self) -> Iterator[Events]:
        for start in range(0, len(self._array), self._BLOCK):
            yield self._array[start : start + self._BLOCK]
