"""ORDER: decide, check the risk, encode an OUCH 5.0 Enter Order.

In replay nobody answers, so an order that passes is taken as filled at its limit at once: it moves the position, nothing else.
"""

from __future__ import annotations

from collections import deque
from struct import Struct

from hftlab.events import Side
from hftlab.settings import REJECTS, OrderConfig, RiskConfig
from hftlab.stages.book import Top

#: type, UserRefNum, side, quantity, symbol, price, five one-byte choices, ClOrdID, appendage length
_ENTER = Struct(">cIcI8sQ5s14sH")
ENTER_BYTES = _ENTER.size  # 47

# Time in force IOC, display visible, capacity principal, no intermarket sweep, cross type continuous.
_CHOICES = b"3YPNN"

_OUCH_SCALE = 10_000  # OUCH prices have four implied decimals
_HIGHEST_LIMIT = 0x7735939C  # 199,999.9900; anything above is a market order to OUCH, and 0 is none
_SECOND_NS = 1_000_000_000
_TRADING = ord("T")
_BID, _ASK = int(Side.BID), int(Side.ASK)
_KILL, _QTY, _NOTIONAL, _COLLAR, _POSITION, _RATE = range(1, 7)  # 0 is "accepted"; the order of REJECTS

#: (index, ts_ns, instrument, side, qty, price, score, position after, UserRefNum) of an accepted order
Accepted = tuple[int, int, int, int, int, int, float, int, int]


class State:
    """What the stage knows of one instrument: applied events until it may act, position in shares, halted or not."""

    __slots__ = ("halted", "position", "wait")

    def __init__(self) -> None:
        self.wait = 0
        self.position = 0
        self.halted = False


class OrderEntry:
    """Decide, risk and encode for all instruments.

    names   : 8-byte symbol by instrument, shared with the tick stage, which learns it from the feed
    stream  : the exact bytes sent, one 47-byte message per accepted order
    orders  : the accepted orders
    rejects : refusals by index into REJECTS
    """

    def __init__(self, config: OrderConfig, risk: RiskConfig, names: dict[int, bytes], price_scale: int = _OUCH_SCALE) -> None:
        self.config, self.risk, self.names, self.price_scale = config, risk, names, price_scale
        self.threshold, self.cooldown = config.threshold, config.cooldown
        self.states: dict[int, State] = {}
        self.orders: list[Accepted] = []
        self.rejects = [0] * len(REJECTS)
        self.stream = bytearray()
        self._message = bytearray(ENTER_BYTES)
        self._recent: deque[int] = deque(maxlen=risk.max_orders_per_sec)  # ts_ns of the latest accepted orders

    def status(self, instrument: int, code: int) -> None:
        """The trading state of an instrument changed; `code` is its ASCII letter. Only T is trading."""
        self._state(instrument).halted = code != _TRADING

    def update(self, index: int, ts_ns: int, instrument: int, top: Top, score: float) -> None:
        """Act, or not, on one applied event of an instrument."""
        state = self.states.get(instrument) or self._state(instrument)
        if state.wait:
            state.wait -= 1
            if state.wait:
                return
        if -self.threshold <= score <= self.threshold or state.halted or not (top[1] and top[3]):
            return
        state.wait = self.cooldown  # an attempt counts, whatever risk says
        side, price = (_BID, top[2]) if score > 0 else (_ASK, top[0])
        limit = self._ouch_price(price, side)
        position = state.position + (self.config.lot if side == _BID else -self.config.lot)
        if refused := self._refuses(ts_ns, price, limit, top, position):
            self.rejects[refused - 1] += 1
            return
        state.position = position
        self._recent.append(ts_ns)
        number = len(self.orders) + 1
        self._encode(number, side, instrument, limit)
        self.orders.append((index, ts_ns, instrument, side, self.config.lot, price, score, position, number))

    def _state(self, instrument: int) -> State:
        return self.states.setdefault(instrument, State())

    def _refuses(self, ts_ns: int, price: int, limit: int, top: Top, position: int) -> int:
        """The first limit that the order breaks, 0 if none. Integers only, so that a boundary is a boundary."""
        risk, lot, twice_mid = self.risk, self.config.lot, top[0] + top[2]
        if risk.kill:
            return _KILL
        if lot > risk.max_order_qty:
            return _QTY
        if lot * abs(price) > risk.max_notional * self.price_scale:
            return _NOTIONAL
        too_far = abs(2 * price - twice_mid) * 10_000 > risk.collar_bps * abs(twice_mid)
        if too_far or not 0 < limit <= _HIGHEST_LIMIT:
            return _COLLAR
        if abs(position) > risk.position_limit:
            return _POSITION
        full = len(self._recent) == risk.max_orders_per_sec
        if full and ts_ns - self._recent[0] < _SECOND_NS:
            return _RATE
        return 0

    def _ouch_price(self, price: int, side: int) -> int:
        """Price in 1/10,000; where the feed is finer, rounded so that the order still reaches the quote it aims at."""
        scaled = price * _OUCH_SCALE
        return -(-scaled // self.price_scale) if side == _BID else scaled // self.price_scale

    def _encode(self, number: int, side: int, instrument: int, limit: int) -> None:
        symbol = self.names.get(instrument, b"").ljust(8)[:8]
        letter = b"B" if side == _BID else b"S"
        client_id = b"HL%012d" % number
        _ENTER.pack_into(self._message, 0, b"O", number, letter, self.config.lot, symbol, limit, _CHOICES, client_id, 0)
        self.stream += self._message
