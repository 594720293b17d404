"""ORDER: decide, check the risk, encode an OUCH 5.0 Enter Order.

In replay nobody answers, so an order that passes is taken as filled at its limit at once: it moves the position, nothing else.
Live, the exchange answers: an order then works until its reports have closed it, only fills move the position, and risk looks at
the worst case, as if everything that works on the order's side were filled.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hftlab.events import Side
from hftlab.protocols.ouch_fields import ENTER_ORDER, ENTER_ORDER_BYTES, HIGHEST_LIMIT
from hftlab.settings import REJECTS, OrderConfig, RiskConfig
from hftlab.stages.book import Top

# Time in force IOC, display visible, capacity principal, no intermarket sweep, cross type continuous.
_CHOICES = (b"3", b"Y", b"P", b"N", b"N")

_OUCH_SCALE = 10_000  # OUCH prices have four implied decimals
_SECOND_NS = 1_000_000_000
_TRADING = ord("T")
_BID, _ASK = int(Side.BID), int(Side.ASK)
_KILL, _QTY, _NOTIONAL, _COLLAR, _POSITION, _RATE = range(1, 7)  # 0 is "accepted"; the order of REJECTS


class Accepted(NamedTuple):
    """An order that risk let through: the message that led to it, what it is, and the Enter Order, ready to be sent."""

    message: int  # its number
    ts_ns: int
    instrument: int
    side: int
    qty: int
    price: int  # in units of the feed
    score: float
    position: int  # after it, as far as risk knows
    user_ref_num: int
    wire: bytes


#: Why an instrument is not traded, the bits of State.blocked: halted by the exchange, its own book stale, every book stale.
HALTED, STALE, ALL_STALE = 1, 2, 4

_LAST_NUMBER = 2**32 - 1  # UserRefNum is a u32 that only grows


class State:
    """What the stage knows of one instrument: applied events until it may act, why it may not, and shares.

    blocked  : HALTED, STALE and ALL_STALE; 0 if it is traded
    position : shares, negative for a short position
    working  : shares that orders may still buy and sell, where the exchange reports; else 0
    """

    __slots__ = ("blocked", "position", "wait", "working")

    def __init__(self, blocked: int = 0) -> None:
        self.wait = 0
        self.position = 0
        self.blocked = blocked
        self.working = [0, 0]


class OrderEntry:
    """Decide, risk and encode for all instruments.

    names    : 8-byte symbol by instrument, shared with the tick stage, which learns it from the feed
    reported : fills come by `report`; else an order is filled at once
    first    : UserRefNum of the first order
    stream   : the exact bytes sent, one 47-byte message per accepted order
    orders   : the accepted orders
    rejects  : refusals by index into REJECTS
    number   : the latest UserRefNum
    open     : where fills are reported: [instrument, side, shares that still work] by UserRefNum
    """

    def __init__(
        self,
        config: OrderConfig,
        risk: RiskConfig,
        names: dict[int, bytes],
        price_scale: int = _OUCH_SCALE,
        *,
        reported: bool = False,
        first: int = 1,
    ) -> None:
        self.config, self.risk, self.names, self.price_scale = config, risk, names, price_scale
        self.reported, self.number, self.killed = reported, first - 1, risk.kill
        self.open: dict[int, list[int]] = {}
        self.threshold, self.cooldown = config.threshold, config.cooldown
        self.states: dict[int, State] = {}
        self._blank = 0  # what the `blocked` of an instrument that has not been seen yet begins with
        self.orders: list[Accepted] = []
        self.rejects = [0] * len(REJECTS)
        self.stream = bytearray()
        self._message = bytearray(ENTER_ORDER_BYTES)
        self._recent: deque[int] = deque(maxlen=risk.max_orders_per_sec)  # ts_ns of the latest accepted orders

    def status(self, instrument: int, code: int) -> None:
        """The trading state of an instrument changed; `code` is its ASCII letter. Only T is trading."""
        self._block(self._state(instrument), HALTED, code != _TRADING)

    def stale(self, instrument: int | None, stale: bool) -> None:
        """Trade, or do not trade, one instrument whose book is not to be relied on; all, also those yet to come, for None."""
        if instrument is not None:
            self._block(self._state(instrument), STALE, stale)
            return
        self._blank = ALL_STALE if stale else 0
        for state in self.states.values():
            self._block(state, ALL_STALE, stale)

    def kill(self, on: bool) -> None:
        """The kill switch of RiskConfig, at run time."""
        self.killed = on

    def report(self, user_ref: int, filled: int, canceled: int, closed: bool) -> bool:
        """What the exchange says of an order: shares filled and canceled since the last report, and whether it is over.

        An order is over, too, when nothing of it is left. False if it is not open: then nothing has changed.
        """
        order = self.open.get(user_ref)
        if order is None:
            return False
        instrument, side, left = order
        rest = 0 if closed else max(left - filled - canceled, 0)
        state = self._state(instrument)
        state.position += filled if side == _BID else -filled
        state.working[side - 1] -= left - rest
        order[2] = rest
        if not rest:
            del self.open[user_ref]
        return True

    def move(self, instrument: int, shares: int) -> None:
        """Move a position by what no order of this run has done: carried over, or corrected."""
        self._state(instrument).position += shares

    def adopt(self, user_ref: int, instrument: int, side: int, left: int) -> None:
        """Take over an order that an earlier session has sent: `left` shares of it still work."""
        self.open[user_ref] = [instrument, side, left]
        self._state(instrument).working[side - 1] += left

    def renumber(self, first: int) -> int:
        """The next UserRefNum shall be `first`, if it is not beyond that already; returns the one that it is."""
        self.number = max(self.number, first - 1)
        return self.number + 1

    def instruments(self) -> list[tuple[int, int, int, int, int]]:
        """(instrument, position, shares that orders may still buy, and sell, HALTED and STALE) of those where any is not 0."""
        states = sorted(self.states.items())
        rows = [(i, state.position, state.working[0], state.working[1], state.blocked & ~ALL_STALE) for i, state in states]
        return [row for row in rows if any(row[1:])]

    def working(self) -> list[tuple[int, int, int, int]]:
        """(UserRefNum, instrument, side, shares left) of every open order, oldest first."""
        return [(ref, instrument, side, left) for ref, (instrument, side, left) in sorted(self.open.items())]

    def take(self) -> list[Accepted]:
        """The accepted orders since the last call; they, and their bytes, are forgotten."""
        orders, self.orders = self.orders, []
        self.stream.clear()
        return orders

    def update(self, index: int, ts_ns: int, instrument: int, top: Top, score: float) -> None:
        """Act, or not, on one applied event of an instrument."""
        state = self.states.get(instrument) or self._state(instrument)
        if state.wait:
            state.wait -= 1
            if state.wait:
                return
        if -self.threshold <= score <= self.threshold or state.blocked or not (top[1] and top[3]):
            return
        state.wait = self.cooldown  # an attempt counts, whatever risk says
        side, price = (_BID, top[2]) if score > 0 else (_ASK, top[0])
        limit, lot = self._ouch_price(price, side), self.config.lot
        working = state.working[side - 1] + lot
        position = state.position + (working if side == _BID else -working)
        before = position - lot if side == _BID else position + lot
        if refused := self._refuses(ts_ns, price, limit, top, before, position):
            self.rejects[refused - 1] += 1
            return
        self.number += 1
        if self.reported:
            state.working[side - 1] = working
            self.open[self.number] = [instrument, side, lot]
        else:
            state.position = position
        self._recent.append(ts_ns)
        wire = self._encode(self.number, side, instrument, limit)
        self.stream += wire
        self.orders.append(Accepted(index, ts_ns, instrument, side, lot, price, score, position, self.number, wire))

    def _state(self, instrument: int) -> State:
        return self.states.setdefault(instrument, State(self._blank))

    def _block(self, state: State, bit: int, on: bool) -> None:
        state.blocked = state.blocked | bit if on else state.blocked & ~bit

    def _refuses(self, ts_ns: int, price: int, limit: int, top: Top, before: int, position: int) -> int:
        """The first limit that the order breaks, 0 if none. Integers only, so that a boundary is a boundary."""
        risk, lot, twice_mid = self.risk, self.config.lot, top[0] + top[2]
        if self.killed or self.number == _LAST_NUMBER:
            return _KILL
        if lot > risk.max_order_qty:
            return _QTY
        if lot * abs(price) > risk.max_notional * self.price_scale:
            return _NOTIONAL
        too_far = abs(2 * price - twice_mid) * 10_000 > risk.collar_bps * abs(twice_mid)
        if too_far or not 0 < limit <= HIGHEST_LIMIT:
            return _COLLAR
        if abs(position) > risk.position_limit and abs(position) > abs(before):  # what reduces an excess may leave
            return _POSITION
        full = len(self._recent) == risk.max_orders_per_sec
        if full and ts_ns - self._recent[0] < _SECOND_NS:
            return _RATE
        return 0

    def _ouch_price(self, price: int, side: int) -> int:
        """Price in 1/10,000; where the feed is finer, rounded so that the order still reaches the quote it aims at."""
        scaled = price * _OUCH_SCALE
        return -(-scaled // self.price_scale) if side == _BID else scaled // self.price_scale

    def _encode(self, number: int, side: int, instrument: int, limit: int) -> bytes:
        symbol = self.names.get(instrument, b"").ljust(8)[:8]
        letter = b"B" if side == _BID else b"S"
        client_id = b"HL%012d" % number
        ENTER_ORDER.pack_into(self._message, 0, b"O", number, letter, self.config.lot, symbol, limit, *_CHOICES, client_id, 0)
        return bytes(self._message)
