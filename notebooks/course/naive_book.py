"""The naive book: objects and lists, and every query searches and adds up.

It keeps the contract of `hftlab.stages.book.Book`, and is right. Lesson 04 makes it faster, one method at a time; the
methods that the steps replace are separate:

    opened, closed          a price level appears, vanishes
    best_prices             the best n prices of a side
    total                   shares of a level
    rest, leave, shrink     an order joins its queue, leaves it, loses shares
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from hftlab.events import Fault, Kind, Side


class Order:
    """A live order."""

    def __init__(self, order_id: int, instrument: int, side: int, price: int, qty: int) -> None:
        self.order_id = order_id
        self.instrument = instrument
        self.side = side
        self.price = price
        self.qty = qty


class NaiveBook:
    """Orders by id; by instrument and side the levels: price -> queue, a list of orders, the front first."""

    make_order: Any = Order

    def __init__(self) -> None:
        self.orders: dict[int, Any] = {}
        self.sides: dict[tuple[int, int], dict[int, Any]] = {}

    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        """Apply one event; see Book."""
        name = Kind(kind).name if kind <= Kind.CLEAR else "OTHER"
        handler = getattr(self, f"on_{name.lower()}")
        return handler(instrument, side, order_id, new_order_id, price, qty)  # type: ignore[no-any-return]

    def on_other(self, *_: int) -> int:
        """Nothing to do with a book."""
        return 0

    on_trade = on_status = on_other

    def on_add(self, instrument: int, side: int, order_id: int, _: int, price: int, qty: int) -> int:
        """An order comes."""
        if side not in (Side.BID, Side.ASK):
            return -Fault.BAD_SIDE.value
        if qty == 0:
            return -Fault.ZERO_QTY.value
        if price == 0:
            return -Fault.ZERO_PRICE.value
        if order_id in self.orders:
            return -Fault.DUPLICATE_ORDER.value
        self.place(self.make_order(order_id, instrument, side, price, qty))
        return side

    def on_reduce(self, instrument: int, _side: int, order_id: int, _new: int, _price: int, qty: int) -> int:
        """An order is executed or cancelled, in part or whole."""
        order = self.orders.get(order_id)
        if order is None:
            return -Fault.UNKNOWN_ORDER.value
        if order.instrument != instrument:
            return -Fault.WRONG_INSTRUMENT.value
        if qty == 0:
            return -Fault.ZERO_QTY.value
        if qty > order.qty:
            return -Fault.EXCESS_QTY.value
        if qty == order.qty:
            self.remove(order)
        else:
            self.shrink(order, qty)
        return order.side  # type: ignore[no-any-return]

    on_execute = on_cancel = on_reduce

    def on_delete(self, instrument: int, _side: int, order_id: int, *_: int) -> int:
        """An order goes."""
        order = self.orders.get(order_id)
        if order is None:
            return -Fault.UNKNOWN_ORDER.value
        if order.instrument != instrument:
            return -Fault.WRONG_INSTRUMENT.value
        self.remove(order)
        return order.side  # type: ignore[no-any-return]

    def on_replace(self, instrument: int, _: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        """An order goes, and another one comes in its place, at the end of its queue."""
        order = self.orders.get(order_id)
        if order is None:
            return -Fault.UNKNOWN_ORDER.value
        if order.instrument != instrument:
            return -Fault.WRONG_INSTRUMENT.value
        if qty == 0:
            return -Fault.ZERO_QTY.value
        if price == 0:
            return -Fault.ZERO_PRICE.value
        if new_order_id in self.orders and new_order_id != order_id:
            return -Fault.DUPLICATE_ORDER.value
        self.remove(order)
        self.place(self.make_order(new_order_id, instrument, order.side, price, qty))
        return order.side  # type: ignore[no-any-return]

    def on_clear(self, instrument: int, *_: int) -> int:
        """All orders of an instrument go."""
        for order in [order for order in self.orders.values() if order.instrument == instrument]:
            self.remove(order)
        return 3

    def place(self, order: Any) -> None:
        """An order into the index and its level, which may be new."""
        levels = self.sides.setdefault((order.instrument, order.side), {})
        if order.price not in levels:
            self.opened(levels, order)
        self.rest(levels, order)
        self.orders[order.order_id] = order

    def remove(self, order: Any) -> None:
        """An order out of the index and its level, which may vanish."""
        levels = self.sides[order.instrument, order.side]
        del self.orders[order.order_id]
        self.leave(levels, order)
        if not levels[order.price]:
            self.closed(levels, order)

    def opened(self, levels: dict[int, Any], order: Any) -> None:
        """A new level."""
        levels[order.price] = []

    def closed(self, levels: dict[int, Any], order: Any) -> None:
        """A level without orders goes."""
        del levels[order.price]

    def rest(self, levels: dict[int, Any], order: Any) -> None:
        """To the back of the queue."""
        levels[order.price].append(order)

    def leave(self, levels: dict[int, Any], order: Any) -> None:
        """Out of the queue, wherever it stands."""
        levels[order.price].remove(order)

    def shrink(self, order: Any, qty: int) -> None:
        """A part goes."""
        order.qty -= qty

    def queued(self, queue: Any) -> Iterable[Any]:
        """The orders of a queue, the front first."""
        return queue  # type: ignore[no-any-return]

    def total(self, instrument: int, side: int, price: int) -> int:
        """Shares of a level."""
        return sum(order.qty for order in self.queued(self.sides[instrument, side][price]))

    def best_prices(self, instrument: int, side: int, n: int) -> list[int]:
        """The best n prices of a side, the best first."""
        return sorted(self.sides.get((instrument, side), ()), reverse=side == Side.BID)[:n]

    def best(self, instrument: int) -> tuple[int, int, int, int]:
        """The touch; see Book."""
        out = []
        for side in (Side.BID, Side.ASK):
            prices = self.best_prices(instrument, side, 1)
            out += [prices[0], self.total(instrument, side, prices[0])] if prices else [0, 0]
        return out[0], out[1], out[2], out[3]

    def depth_qty(self, instrument: int, side: int, n: int) -> int:
        """Shares of the best n levels."""
        return sum(self.total(instrument, side, price) for price in self.best_prices(instrument, side, n))

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        """Every level; see Book."""
        return [
            (int(side), price, self.total(instrument, side, price), len(self.sides[instrument, side][price]))
            for side in (Side.BID, Side.ASK)
            for price in self.best_prices(instrument, side, len(self.orders))
        ]

    def queue(self, instrument: int, side: int, price: int) -> list[tuple[int, int]]:
        """One level; see Book."""
        queue = self.sides.get((instrument, side), {}).get(price, ())
        return [(order.order_id, order.qty) for order in self.queued(queue)]

    def locate(self, order_id: int) -> tuple[int, int, int, int] | None:
        """Where an order is; see Book."""
        order = self.orders.get(order_id)
        return (order.instrument, order.side, order.price, order.qty) if order else None

    def memory(self) -> dict[str, int]:
        """Live orders, the bytes of them and of their attributes, and those of the levels."""
        orders = sum(sys.getsizeof(order) + sys.getsizeof(getattr(order, "__dict__", 0)) for order in self.orders.values())
        levels = sum(sys.getsizeof(queue) for side in self.sides.values() for queue in side.values())
        return {"live_orders": len(self.orders), "order_bytes": sys.getsizeof(self.orders) + orders, "level_bytes": levels}
