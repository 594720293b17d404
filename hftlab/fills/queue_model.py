"""Price levels alone (L2): where in the queue we are is not known, and a model guesses it. Every result says which.

Who is ahead is one number: at first the whole level. A trade at our price takes from it, and what it leaves fills ours. What else
the level loses was canceled, and the models differ in where:

    trades         behind us: only trades advance us (the cautious one; "risk adverse" elsewhere)
    proportional   anywhere alike: of what goes, the share that was ahead of us was ahead
"""

from __future__ import annotations

from collections.abc import Callable

from hftlab.errors import check_choice
from hftlab.events import Kind
from hftlab.fills.requests import Reason
from hftlab.fills.shadow import Key
from hftlab.fills.simulator import Simulator
from hftlab.stages.tick import Event

#: Name -> what is left ahead of us, of: ahead, the level before, what was canceled of it.
MODELS: dict[str, Callable[[int, int, int], int]] = {
    "trades": lambda ahead, before, canceled: min(ahead, before - canceled),
    "proportional": lambda ahead, before, canceled: ahead - canceled * ahead // max(before, 1),
}


class LevelSimulator(Simulator):
    """Shadow orders in a book of levels, one synthetic order each. Raises UnknownName for a model that is not known."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.left_ahead = MODELS[check_choice("queue model", model, MODELS)]
        self._before = 0
        self._traded: dict[tuple[int, int], int] = {}  # (instrument, price) -> shares traded since the level was last set

    def apply(self, event: Event) -> int:
        """One message: a trade, or a level that is set."""
        ts_ns, order_id, _, price, qty, instrument, kind, _ = event
        if kind == Kind.TRADE:
            self._trade(instrument, price, qty, ts_ns)
        place = self.book.locate(order_id)
        self._before = place[3] if place else 0
        return super().apply(event)

    def _trade(self, instrument: int, price: int, qty: int, ts_ns: int) -> None:
        """Shares changed hands at a price: those ahead of us first, then ours."""
        self._traded[instrument, price] = self._traded.get((instrument, price), 0) + qty
        flow: dict[int, int] = {}
        for side in (1, 2):
            for shadow in self._queue((instrument, side, price)):
                rest = qty
                for order_id, ahead in list(shadow.ahead.items()):
                    shadow.shrink(order_id, max(0, ahead - rest), ts_ns)
                    rest = max(0, rest - ahead)
                share = min(shadow.left, rest, flow.get(shadow.world, rest))
                flow[shadow.world] = flow.get(shadow.world, rest) - share
                if share:
                    shadow.reach_front(ts_ns)
                    self._fill(shadow, share, price, 0, Reason.QUEUE, self.index, ts_ns)

    def _execute(self, key: Key, maker: int, qty: int, ts_ns: int) -> None:
        """Levels are not executed: trades are rows of their own."""

    def _leave(self, key: Key, kind: int, order_id: int, left: int, ts_ns: int) -> None:
        """A level was set: what it lost beyond its trades was canceled."""
        place = self.book.locate(order_id)
        after = place[3] if place and kind != Kind.DELETE else 0
        traded = self._traded.pop((key[0], key[2]), 0)
        canceled = max(0, self._before - after - traded)
        for shadow in self._queue(key):
            ahead = shadow.ahead.get(order_id, 0)
            rest = self.left_ahead(ahead, max(self._before - traded, ahead), canceled)
            shadow.shrink(order_id, min(rest, after), ts_ns)
