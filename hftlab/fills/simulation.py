"""simulate(feed, requests): what the exchange would have done with our requests, by exact queue position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import decode
from hftlab.engine.session import resolve
from hftlab.errors import BackendMissing, ConfigError, HftlabError, check_choice, check_type
from hftlab.events import Events
from hftlab.feeds.feed import Feed
from hftlab.fills.accounts import NO_FEES, Account, FeeSchedule
from hftlab.fills.requests import FILL_DTYPE, OUTCOME_DTYPE, Reason, Requests, State, check_requests
from hftlab.fills.simulator import MODELS, LevelSimulator, Simulator
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import Result

if TYPE_CHECKING:
    import polars as pl

Array = np.ndarray[Any, Any]

#: What every figure about simulated fills rests on; shown beside each.
ASSUMED = "one lot, no impact on the feed, losers of races invisible in public data, one venue"


@dataclass(frozen=True, repr=False)
class Fills(Result):
    """What came of requests.

    fills       : (n,) FILL_DTYPE, in the order in which they happened
    orders      : (m,) OUTCOME_DTYPE, every order of ours in the order of arrival
    messages    : of the feed
    elapsed_ns  : of the simulator's loop alone; 0 for the reference
    price_scale : price units per 1.0 of currency; qty_scale: units of quantity per share, lot or coin
    """

    feed: str
    backend: str
    fills: Array
    orders: Array
    messages: int
    elapsed_ns: int
    price_scale: int
    qty_scale: int = 1

    def frame(self) -> pl.DataFrame:
        """`fills` as a frame, the reason by its name."""
        import polars as pl

        columns = {name: np.ascontiguousarray(self.fills[name]) for name in self.fills.dtype.names or ()}
        reasons = pl.Series([Reason(code).name.lower() for code in self.fills["reason"]], dtype=pl.String)
        return pl.DataFrame(columns).with_columns(reasons.alias("reason"))

    def account(self, world: int = 0, fees: FeeSchedule = NO_FEES, multiplier: int = 1) -> Account:
        """Position, cash and fees of one world, from its fills; see `Account`."""
        account = Account(self.price_scale, self.qty_scale, fees=fees, multiplier=multiplier)
        account.book_all(self.fills[self.fills["world"] == world])
        return account

    def headline(self) -> str:
        return f"{len(self.fills):,} fills of {len(self.orders):,} orders on {self.feed}, by the {self.backend} simulator"

    def __repr__(self) -> str:
        return f"<Fills: {self.headline()}>"

    def tables(self) -> list[Table]:
        ended = [(state.name.lower(), f"{int((self.orders['state'] == state).sum()):,}") for state in State if state]
        shares = [(name, f"{int(self.orders[name].sum()):,}") for name in ("filled", "through", "canceled", "expired")]
        return [table("Orders by what ended them", ("state", "orders"), ended), table("Shares", ("", "shares"), shares)]

    def notes(self) -> list[str]:
        return [f"assumed: {ASSUMED}; first in, first out at each price"]


def simulate(feed: Feed, requests: Requests, *, backend: str = "auto", queue_model: str | None = None) -> Fills:
    """Send requests to the exchange that a feed comes from, and see what is filled.

    feed        : order by order (L3): ITCH, DBN MBO, LOBSTER, generated, or event records of your own
    requests    : (n,) REQUEST_DTYPE, see `hftlab.fills.requests`; of the same time in the order given
    backend     : "auto", "python" (the reference) or "rust"; both give identical fills
    queue_model : for a feed of price levels (L2) alone: how the place in the queue is guessed; see `queue_model.MODELS`
    raises      : ConfigError for requests that cannot be; HftlabError for data without orders and no model; BackendMissing,
                  UnknownName
    """
    check_requests(requests)
    require_orders(check_type("feed", feed, Feed), queue_model)
    events = decode(feed)
    ends = exchange_events(feed, len(events))
    at, rows = schedule(events, ends, requests)
    name = resolved(backend) if queue_model is None else f"python, queue model {queue_model}"
    if queue_model is not None:
        fills, orders, elapsed_ns = _run_python(LevelSimulator(queue_model), events, ends, at, rows)
    elif name == "rust":
        fills, orders, elapsed_ns = _run_rust(events, ends, at, rows)
    else:
        fills, orders, elapsed_ns = _run_python(Simulator(), events, ends, at, rows)
    return Fills(feed.name, name, fills, orders, len(events), elapsed_ns, feed.price_scale, feed.qty_scale)


def resolved(backend: str) -> str:
    """ "python" or "rust", whichever `backend` means here. Raises BackendMissing, UnknownName."""
    check_choice("backend", backend, ("auto", "python", "rust"))
    name, implementation = resolve(backend)
    if name == "rust" and not hasattr(implementation, "FillSimulator"):
        raise BackendMissing("the Rust engine that is installed has no FillSimulator: build it anew")
    return name if name == "rust" else "python"


def require_orders(feed: Feed, queue_model: str | None = None) -> None:
    """Raises HftlabError unless a feed carries single orders, or levels and there is a model: in levels nobody has a place."""
    if queue_model is not None and feed.by_order:
        raise ConfigError(
            f"{feed.name}: queue_model must be None for a feed of orders, whose queues are known, got {queue_model!r}"
        )
    if queue_model is None and not feed.by_order:
        raise HftlabError(
            f"{feed.name}: fills need a feed of orders (L3), got one of price levels (L2), in which no queue position is known; "
            f"queue_model guesses it: {', '.join(MODELS)}"
        )


def exchange_events(feed: Feed, messages: int) -> Array | None:
    """(messages,) bool, the last message of each exchange event; None where every message is one.

    raises : HftlabError for a side array of another length
    """
    if (ends := feed.event_end) is None:
        return None
    ends = np.ascontiguousarray(ends, np.bool_)
    if len(ends) != messages:
        raise HftlabError(f"{feed.name}: event_end must have one value per message, {messages:,}, got {len(ends):,}")
    return ends


def schedule(events: Events, ends: Array | None, requests: Requests) -> tuple[Array, Requests]:
    """When each request takes effect: the number of the message that it precedes, ascending, and the requests in that order.

    A request with a time comes behind every message that is not later, at the end of an exchange event.
    """
    clock = np.maximum.accumulate(events["ts_ns"]) if len(events) else events["ts_ns"]
    at = np.searchsorted(clock, requests["time_ns"], side="right").astype(np.uint64)
    if ends is not None:
        boundaries = np.concatenate([[0], np.flatnonzero(ends) + 1, [len(events)]]).astype(np.uint64)
        at = boundaries[np.searchsorted(boundaries, at)]
    placed = requests["after"] >= 0
    at[placed] = np.minimum(requests["after"][placed].astype(np.uint64) + 1, len(events))
    order = np.lexsort((np.arange(len(at)), requests["time_ns"], at))
    return at[order], requests[order]


def _run_python(
    simulator: Simulator, events: Events, ends: Array | None, at: Array, requests: Requests
) -> tuple[Array, Array, int]:
    simulator.run(events.tolist(), None if ends is None else ends.tolist(), zip(at.tolist(), requests.tolist(), strict=True))
    return *simulator.finish(), 0


def _run_rust(events: Events, ends: Array | None, at: Array, requests: Requests) -> tuple[Array, Array, int]:
    import hftlab_rust

    simulator = hftlab_rust.FillSimulator()
    simulator.run(events, ends, at, requests)
    fills, orders, elapsed_ns = simulator.finish()
    return fills.view(FILL_DTYPE), orders.view(OUTCOME_DTYPE), elapsed_ns
