"""One order of ours in a book that is not ours: the shadow order, and the orders that stand ahead of it, by id."""

from __future__ import annotations

from hftlab.fills.requests import State

Key = tuple[int, int, int]  # instrument, side, price


class Shadow:
    """A resting order that the feed does not know of. It joins the queue of its price without changing it.

    ahead   : order id -> shares left, of everybody who was at the price before it and still is
    awaited : those of them that a CLEAR took away; a snapshot may bring them back, with their place
    """

    __slots__ = (
        *("world", "order_id", "instrument", "side", "price", "qty", "left", "ahead", "awaited", "arrived_ns", "ended_ns"),
        *("front_ns", "ahead_orders", "ahead_qty", "filled", "through", "canceled", "expired", "state"),
    )

    def __init__(self, world: int, order_id: int, key: Key, qty: int, arrived_ns: int) -> None:
        self.world, self.order_id, self.qty, self.left = world, order_id, qty, qty
        self.instrument, self.side, self.price = key
        self.ahead: dict[int, int] = {}
        self.awaited: set[int] = set()
        self.arrived_ns = self.ended_ns = arrived_ns
        self.front_ns = -1
        self.ahead_orders = self.ahead_qty = 0
        self.filled = self.through = self.canceled = self.expired = 0
        self.state = State.LIVE

    @property
    def key(self) -> Key:
        """Where it rests."""
        return self.instrument, self.side, self.price

    def join(self, queue: list[tuple[int, int]], awaited: set[int]) -> None:
        """Stand behind everybody who is really there, and whom a snapshot is still to bring back."""
        self.ahead, self.awaited = dict(queue), awaited
        self.ahead_orders, self.ahead_qty = len(queue), sum(self.ahead.values())
        if not queue and not awaited:
            self.front_ns = self.arrived_ns

    def shrink(self, order_id: int, left: int, ts_ns: int) -> None:
        """An order at its price has `left` shares left; with none it has gone, and everybody behind it moves up."""
        if order_id not in self.ahead:
            return
        if left:
            self.ahead[order_id] = left
            return
        del self.ahead[order_id]
        if not self.ahead:
            self.reach_front(ts_ns)

    def reach_front(self, ts_ns: int) -> None:
        """Nobody is ahead of it any more."""
        if self.front_ns < 0:
            self.front_ns = ts_ns

    def clear(self) -> None:
        """The feed starts its book anew: an order that comes back at this price keeps the place before us."""
        self.awaited = self.awaited | self.ahead.keys()
        self.ahead = {}

    def restore(self, order_id: int, qty: int) -> None:
        """A snapshot brings an order back."""
        if order_id in self.awaited:
            self.awaited.discard(order_id)
            self.ahead[order_id] = qty

    def end(self, state: State, ts_ns: int) -> None:
        """It is over; what is left counts under what ended it."""
        self.state, self.ended_ns = state, ts_ns
        if state is not State.FILLED:
            name = state.name.lower()
            setattr(self, name, getattr(self, name) + self.left)
        self.left = 0
