"""LiveSession: an engine that is fed as data arrives, and learns from reports what became of its orders.

    live = LiveSession("rust")
    for order in live.feed(blocks):         # messages in, Enter Orders out, ready to be sent
        send(order.wire)
    live.on_report(order.user_ref_num, filled=100)      # what the exchange reports of them

What it sends depends on the messages and on the calls between them, never on how the messages were cut into blocks: the same
messages and reports give the same bytes in every engine, live or replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from typing import Any, cast

from hftlab.engine.engine import Engine
from hftlab.engine.session import Backend
from hftlab.errors import ConfigError, FeedError, check_whole
from hftlab.protocols.itch_messages import SIZES
from hftlab.settings import Fills
from hftlab.stages.interfaces import lacking
from hftlab.stages.order import HALTED, STALE, Accepted

#: What an engine's order stage must have to run live.
_METHODS = ["report", "stale", "kill", "move", "adopt", "instruments", "working", "renumber"]
_MAX_REF = 2**32 - 1
_MAX_INSTRUMENT = 2**16 - 1


class LiveSession:
    """An engine fed as data arrives.

    backend     : as for `hftlab.Engine`, or an Engine; its other arguments go by name: `LiveSession("rust", risk_config=...)`
    symbols     : names by instrument number, "" where the feed itself tells
    price_scale : price units of the feed per 1.0 of currency
    fills       : "reported": only `report` moves positions, and risk tests the worst case, the position with everything filled
                  that works on the order's side; "assumed": an order is filled at its limit at once, as in replay
    first_ref   : UserRefNum of the first order, 1 to 2^32-1
    raises      : as Engine does; ConfigError for an engine that takes no reports

    malformed : messages that could not be read, by reason. One that may have changed a book suspends every instrument,
    corrupted : and this is True from then on: the books are wrong for good, whatever `suspend` says
    corrupted_at : messages run before the first of these; -1 if there is none
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
        if isinstance(backend, Engine):
            self.engine = backend.replace(**options) if options else backend
        else:
            self.engine = Engine(backend, **options)
        more: dict[str, Any] = {"price_scale": price_scale, "symbols": tuple(symbols), "fills": fills, "first_ref": first_ref}
        if self.engine.threads > 1:
            raise ConfigError(f"a live session runs on one thread, got threads={self.engine.threads}; use threads=1")
        self.settings = self.engine.settings(record="none", **more)
        self.session = cast(Any, self.engine.open(self.settings))
        self._order: Any = getattr(self.session, "order", self.session)
        if missing := [*lacking(self.session, "react"), *lacking(self._order, *_METHODS)]:
            raise ConfigError(f"{self.engine.label} cannot run live: it lacks {', '.join(missing)}")
        self.malformed: dict[str, int] = {}
        self.corrupted, self.corrupted_at = False, -1

    def feed(self, blocks: bytes) -> list[Accepted]:
        """Run messages, each behind its u16 length as MoldUDP64 and files carry them; the orders that left, `wire` being the 47
        bytes of the Enter Order.

        A message that cannot be read is counted and skipped.
        raises : FeedError if the last message is cut off; what stands before it has been run, and its orders are in `.orders`
        """
        orders, used, problem = self._react(blocks)
        return orders if used == len(blocks) else self._resume(orders, blocks, used, problem)

    def _react(self, blocks: bytes) -> tuple[list[Accepted], int, Any]:
        orders, used, problem = self.session.react(blocks)
        return list(starmap(Accepted, orders)), used, problem

    def _resume(self, orders: list[Accepted], blocks: bytes, at: int, problem: Any) -> list[Accepted]:
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
                # Of a known type: an event has been missed, and nobody knows of which instrument.
                self.corrupted, self.corrupted_at = True, self.corrupted_at if self.corrupted else self.messages
                self.suspend(None, True)
            at += 2 + size
            more, used, problem = self._react(blocks[at:])
            orders += more
            at += used
        return orders

    def on_report(self, user_ref: int, filled: int = 0, canceled: int = 0, closed: bool = False) -> bool:
        """What the exchange reports of an order: shares filled and canceled since the last one; `closed` if nothing more comes.

        Returns whether the order was open. If not, nothing has changed: `adjust_position` if shares were filled nevertheless.
        raises : ConfigError where fills are assumed, or for a number of shares out of range
        """
        if self.settings.fills != "reported":
            raise ConfigError(f"fills must be 'reported' for an engine that takes reports, got {self.settings.fills!r}")
        numbers = {"user_ref": user_ref, "filled": filled, "canceled": canceled}
        checked = [check_whole(name, value, 0, _MAX_REF) for name, value in numbers.items()]
        return self._order.report(*checked, bool(closed))  # type: ignore[no-any-return]

    def suspend(self, instrument: int | None, suspended: bool) -> None:
        """Send no order on an instrument while its book is not to be relied on; None means every instrument, also those yet to
        come. The two are independent: an instrument is traded again when neither holds."""
        if instrument is not None:
            instrument = check_whole("instrument", instrument, 1, _MAX_INSTRUMENT)
        self._order.stale(instrument, bool(suspended))

    def kill_switch(self, on: bool) -> None:
        """While it is on, risk refuses every order."""
        self._order.kill(bool(on))

    def adjust_position(self, instrument: int, shares: int) -> None:
        """Move a position by what no report says: carried over from another day, corrected by hand."""
        instrument = check_whole("instrument", instrument, 1, _MAX_INSTRUMENT)
        self._order.move(instrument, check_whole("shares", shares, -(10**12), 10**12))

    def restore_order(self, user_ref: int, instrument: int, side: int, left: int) -> None:
        """Take over an order that an earlier session has sent, `left` shares of which still work; side 1 buys, 2 sells."""
        self._order.adopt(
            check_whole("user_ref", user_ref, 1, _MAX_REF),
            check_whole("instrument", instrument, 1, _MAX_INSTRUMENT),
            check_whole("side", side, 1, 2),
            check_whole("left", left, 1, _MAX_REF),
        )

    def set_next_order_id(self, first_ref: int) -> None:
        """The next order gets this UserRefNum, or a later one if it has been used."""
        self._order.renumber(min(check_whole("first_ref", first_ref, 1, _MAX_REF + 1), _MAX_REF))

    @property
    def next_order_id(self) -> int:
        """The UserRefNum of the next order."""
        return int(self._order.renumber(1))

    @property
    def messages(self) -> int:
        """Messages run so far."""
        return int(self.session.messages)

    @property
    def names(self) -> dict[int, str]:
        """Symbol by instrument, as far as the feed has named them."""
        return {instrument: name.decode("latin-1").strip() for instrument, name in self.session.names().items()}

    @property
    def positions(self) -> dict[int, int]:
        """Shares by instrument, negative for a short position; only those that are not flat."""
        return {instrument: shares for instrument, shares, *_ in self._order.instruments() if shares}

    @property
    def halted(self) -> list[int]:
        """Instruments that the exchange has halted."""
        return self._blocked(HALTED)

    @property
    def suspended(self) -> list[int]:
        """Instruments that are suspended on their own; see `suspend`."""
        return self._blocked(STALE)

    def _blocked(self, bit: int) -> list[int]:
        return [instrument for instrument, *_, blocked in self._order.instruments() if blocked & bit]

    @property
    def working(self) -> list[tuple[int, int, int, int]]:
        """(UserRefNum, instrument, side, shares left) of every open order, oldest first; empty where fills are assumed."""
        return self._order.working()  # type: ignore[no-any-return]

    def book(self, instrument: int) -> list[tuple[int, int, int, int]]:
        """(side, price, quantity, orders) of every level, bids then asks, best first."""
        return self.session.depth(instrument)  # type: ignore[no-any-return]

    def counters(self) -> dict[str, Any]:
        """Counts, faults and refusals so far; see hftlab.engine.session.Session."""
        return self.session.counters()  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<LiveSession {self.engine.label} fills={self.settings.fills} {self.messages:,} messages>"
