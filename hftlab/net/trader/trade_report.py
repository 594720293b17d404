"""What a trader has done, in numbers, and as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.timing import Histogram
from hftlab.measurement.distribution import Distribution
from hftlab.settings import REJECTS

if TYPE_CHECKING:
    import polars as pl

    from hftlab.net.trader.trader import Trader

_COUNTED = 1024  # latencies that are counted at once


class Latency:
    """From a datagram's reading to the order's last byte handed to the system, ns."""

    def __init__(self) -> None:
        self._histogram, self._waiting = Histogram(), list[int]()

    def add(self, ns: int) -> None:
        self._waiting.append(ns)
        if len(self._waiting) >= _COUNTED:
            self._count()

    @property
    def distribution(self) -> Distribution:
        self._count()
        return Distribution("total", self._histogram)

    def _count(self) -> None:
        self._histogram.record(np.array(self._waiting, np.int64))
        self._waiting.clear()


def summary(trader: Trader) -> dict[str, Any]:
    """Everything that `hftlab net trade --json` says at the end; latency in ns, percentiles None where too few orders left."""
    result = trader.live.counters()
    arbiter, books = trader.feed.arbiter, trader.books.told()
    names = ("gaps", "recovered", "lost", "duplicates", "requests")
    malformed = trader.malformed + type(trader.malformed)(trader.live.malformed)
    return {
        "backend": trader.engine.backend,
        "feed_session": (arbiter.session or b"").decode("latin-1").strip(),
        "messages": arbiter.counts["messages"],
        **{name: arbiter.counts[name] for name in names},
        "feed": {name: n for name, n in {**arbiter.counts, **trader.feed.counts}.items() if n},
        "restarts": trader.restarts,
        "malformed": dict(malformed),
        "held": trader.held,
        "killed": trader.killed,
        "failed": trader.failed,
        "sent": trader.latency.distribution.n,
        "accepted": books["heard"].get("order accepted", 0),
        "executed": books["heard"].get("order executed", 0),
        "canceled": books["heard"].get("order canceled", 0),
        **books,
        "withheld": dict(trader.withheld),
        "refused_by_risk": {name: int(n) for name, n in zip(REJECTS, result["rejects"], strict=True) if n},
        "latency": trader.latency.distribution.to_dict(),
        "connection": dict(trader.gateway.counts) | {"why": trader.gateway.why},
        "journal": dict(trader.journal.counts) | {"failing": trader.journal.failing},
    }


def orders_frame(trader: Trader) -> pl.DataFrame:
    """One row per order: user_ref u32, symbol, side, quantity, limit (1/10,000), state, filled, average price (1/10,000; null if
    nothing was executed), reason, latency_ns."""
    import polars as pl

    rows = [
        (one.ref, one.symbol, "B" if one.sign > 0 else "S", one.quantity, one.price, one.state, one.filled,
         one.paid / one.filled if one.filled else None, one.reason, one.latency_ns)
        for one in trader.books.positions.orders.values()
    ]  # fmt: skip
    schema = {
        "user_ref": pl.UInt32, "symbol": pl.String, "side": pl.String, "quantity": pl.UInt32, "limit": pl.Int64,
        "state": pl.String, "filled": pl.UInt32, "average_price": pl.Float64, "reason": pl.String, "latency_ns": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
