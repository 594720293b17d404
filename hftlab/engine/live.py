"""Live: an engine that is fed as data arrives, and is told what became of its orders.

    live = Live("rust")
    for order in live.push(blocks):     # messages in, Enter Orders out, ready to be sent
        send(order)
    live.report(user_ref, filled=100)   # what the exchange says of them

What it sends depends on the messages and on where between them it was told something, never on how they were cut into blocks: the
same messages and reports give the same bytes in every engine, live or replayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from hftlab.engine.engine import Engine
from hftlab.errors import ConfigError, FeedError
from hftlab.protocols.itch_messages import SIZES
from hftlab.settings import Fills
from hftlab.stages.order import HALTED, STALE
from hftlab.stages.protocols import lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hftlab.engine.session import Backend
    from hftlab.stages.order import Accepted

_WANTED = ["report", "stale", "kill", "move", "adopt", "instruments", "working", "accepted", "renumber"]
_MOST = 2**32 - 1


class Live:
    """An engine fed as data arrives.

    backend     : as for `hftlab.Engine`, or an Engine; what else it can be told goes by name: `Live("rust", risk=...)`
    symbols     : names by instrument number, "" where the feed itself tells
    price_scale : price units of the feed per 1.0 of currency
    fills       : "reported": only `report` moves positions, and risk tests the worst case, the position with everything filled
                  that works on the order's side; "assumed": an order is filled at its limit at once, as in replay
    first_ref   : UserRefNum of the first order, 1 to 2^32-1
    raises      : as Engine does; ConfigError for an engine that cannot be told of fills

    malformed : messages that could not be read, by reason. One that may have changed a book makes every book stale,
    spoiled   : and this is True from then on: the books are wrong for good, whatever `stale` is told
    """

    def __init__(
        self,
        backend: str | Backend | Engine = "auto",
        *,
        symbols: Sequence[str] = (),
        price_scale: int = 10_000,
        fills: Fills = "reported",
        first_ref: int = 1,
        **options: Any,
    ) -> None:
        made = backend.replace(**options) if isinstance(backend, Engine) and options else backend
        self.engine = made if isinstance(made, Engine) else Engine(made, **options)
        more: dict[str, Any] = {"price_scale": price_scale, "symbols": tuple(symbols), "fills": fills, "first_ref": first_ref}
        self.settings = self.engine.settings(record="none", **more)
        self.session = cast(Any, self.engine.open(self.settings))
        self._entry: Any = getattr(self.session, "entry", self.session)
        if missing := [*lacking(self.session, ["react"]), *lacking(self._entry, _WANTED)]:
            raise ConfigError(f"{self.engine.label} cannot run live: it lacks {', '.join(missing)}")
        self.malformed: dict[str, int] = {}
        self.spoiled = False
        self._all_stale, self._killed = False, self.settings.risk.kill
        self._react = self.session.react

    def push(self, blocks: bytes) -> list[bytes]:
        """Run messages, each behind its u16 length as MoldUDP64 and files carry them; the Enter Orders that left, 47 bytes each.

        A message that cannot be read is counted and skipped.
        raises : FeedError if the last message is cut off; what stands before it has been run, and its orders are in `.orders`
        """
        orders, used, problem = self._react(blocks)
        if used == len(blocks):
            return orders  # type: ignore[no-any-return]
        return self._resume(orders, blocks, used, problem)

    def _resume(self, orders: list[bytes], blocks: bytes, at: int, problem: Any) -> list[bytes]:
        """Go on behind a message that cannot be read."""
        while at < len(blocks):
            if problem is None and blocks[at:] != b"\0\0":
                needs = int.from_bytes(blocks[at : at + 2], "big") + 2
                error = FeedError(f"offset {at}: message cut off; it needs {needs} bytes, {len(blocks) - at} are left", offset=at)
                error.orders = orders  # type: ignore[attr-defined]
                raise error
            code, _, _, size, letter = problem or ("zero_length", 0, 0, 0, 0)
            self.malformed[code] = self.malformed.get(code, 0) + 1
            if code == "bad_length" and SIZES[letter] >= 0:
                self.spoiled = True  # of a known type: an event has been missed, and nobody knows of which instrument
                self.stale(None, True)
            at += 2 + size
            more, used, problem = self._react(blocks[at:])
            orders += more
            at += used
        return orders

    def report(self, user_ref: int, filled: int = 0, canceled: int = 0, closed: bool = False) -> bool:
        """What the exchange says of an order: shares filled and canceled since the last report; `closed` if nothing more comes.

        Returns whether the order was open. If not, nothing has changed: `move` the position if shares were filled nevertheless.
        raises : ConfigError where fills are assumed, or for a number of shares out of range
        """
        if self.settings.fills != "reported":
            raise ConfigError("a fill was reported, but this engine was made with fills='assumed'; allowed is fills='reported'")
        for name, value in (("user_ref", user_ref), ("filled", filled), ("canceled", canceled)):
            _within(name, value, 0, _MOST)
        return self._entry.report(user_ref, filled, canceled, bool(closed))  # type: ignore[no-any-return]

    def stale(self, instrument: int | None, stale: bool) -> None:
        """Send no order on an instrument while its book is stale; None means every instrument, also those yet to come. The two
        are told apart: an instrument is traded again when neither holds."""
        if instrument is None:
            self._all_stale = bool(stale)
        else:
            _within("instrument", instrument, 1, 65_535)
        self._entry.stale(instrument, bool(stale))

    def kill(self, on: bool) -> None:
        """The kill switch: while it is on, risk refuses every order."""
        self._killed = bool(on)
        self._entry.kill(bool(on))

    def move(self, instrument: int, shares: int) -> None:
        """Move a position by what no report has told: carried over from another day, corrected by hand."""
        _within("instrument", instrument, 1, 65_535)
        _within("shares", shares, -(10**12), 10**12)
        self._entry.move(instrument, shares)

    def adopt(self, user_ref: int, instrument: int, side: int, left: int) -> None:
        """Take over an order that an earlier engine has sent, `left` shares of which still work; side 1 buys, 2 sells."""
        _within("user_ref", user_ref, 1, _MOST)
        _within("instrument", instrument, 1, 65_535)
        _within("side", side, 1, 2)
        _within("left", left, 1, _MOST)
        self._entry.adopt(user_ref, instrument, side, left)

    def renumber(self, first_ref: int) -> None:
        """The next order gets this UserRefNum, or a later one if it has been used."""
        _within("first_ref", first_ref, 1, _MOST + 1)
        self._entry.renumber(min(first_ref, _MOST))

    @property
    def next_ref(self) -> int:
        """The UserRefNum of the next order."""
        return int(self._entry.renumber(1))

    @property
    def killed(self) -> bool:
        return self._killed

    @property
    def all_stale(self) -> bool:
        """Whether every book is stale; see `stale`."""
        return self._all_stale

    @property
    def messages(self) -> int:
        """Messages run so far."""
        return int(self.session.messages)

    @property
    def names(self) -> dict[int, str]:
        """Symbol by instrument, as far as told."""
        return {instrument: name.decode("latin-1").strip() for instrument, name in self.session.names().items()}

    @property
    def positions(self) -> dict[int, int]:
        """Shares by instrument, negative for a short position; only those that are not flat."""
        return {one[0]: one[1] for one in self._entry.instruments() if one[1]}

    @property
    def halted(self) -> list[int]:
        """Instruments that the exchange has halted."""
        return [one[0] for one in self._entry.instruments() if one[4] & HALTED]

    @property
    def stale_instruments(self) -> list[int]:
        """Instruments whose own book is stale; see `all_stale`."""
        return [one[0] for one in self._entry.instruments() if one[4] & STALE]

    @property
    def working(self) -> list[tuple[int, int, int, int]]:
        """(UserRefNum, instrument, side, shares left) of every open order, oldest first; empty where fills are assumed."""
        return self._entry.working()  # type: ignore[no-any-return]

    def accepted(self) -> list[Accepted]:
        """Orders that have left since the last call, in the fields of `record.ORDER_DTYPE`; they are forgotten."""
        return self._entry.accepted()  # type: ignore[no-any-return]

    def book(self, instrument: int) -> list[tuple[int, int, int, int]]:
        """(side, price, quantity, orders) of every level, bids then asks, best first."""
        return self.session.depth(instrument)  # type: ignore[no-any-return]

    def counters(self) -> dict[str, Any]:
        """Counts, faults and refusals so far; see hftlab.engine.session.Session."""
        return self.session.counters()  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<Live {self.engine.label} fills={self.settings.fills} {self.messages:,} messages>"


def _within(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}; allowed is a whole number from {low} to {high}")
