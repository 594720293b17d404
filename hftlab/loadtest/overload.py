"""More than can be worked off, on purpose: the overload policy of `hftlab.net.trader.ingress`, with the real parts around it.

    publisher -> datagrams, when due -> Ingress (bounded) -> Arbiter -> engine
        ^                                                       |
        `---------------- requests for what is missing ---------'

All in one thread, in real time: what fell due while the engine worked finds the ring as the engine left it, as it would in a
receiving thread. Calm, then for `length_ms` a multiple of what this path can do, then calm again, until all of it has arrived.
At the end the engine must be where it would be without the overload: the same counts, order bytes and depth, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.callable_module import make_callable
from hftlab.engine.engine import synthetic
from hftlab.errors import ConfigError
from hftlab.feeds.itch import ItchFeed
from hftlab.loadtest.ingesting import SESSION, Path, Seen
from hftlab.loadtest.schedule import Times
from hftlab.loadtest.target import EngineTarget
from hftlab.loadtest.targets import engine_target, every_engine
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import gc_paused
from hftlab.measurement.result import Result
from hftlab.protocols.moldudp64 import pack, split

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-stress-overload/1"
CALM = 0.3  # load before and after, share of what the path does
_LEAD, _TAIL = 50, 200  # datagrams before and after, at least
_LIMIT = 400  # bytes of messages in a datagram, about ten of them
_POINTS = 300  # of the chart


@dataclass(frozen=True)
class Overloaded:
    """One engine under overload.

    capacity        : datagrams/s of the whole path, flat out
    overload_ms     : (from, until) of the overload
    messages, orders: of the feed, and the orders the engine decided on; withheld: those that were not allowed to leave
    seen            : counts of the ring and of the arbiter, peak and timeline
    differs         : in what the engine ended otherwise than without overload, "" in nothing
    """

    target: str
    factor: float
    capacity: float
    ring: int
    overload_ms: tuple[float, float]
    datagrams: int
    messages: int
    orders: int
    withheld: int
    seen: Seen
    differs: str

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each."""
        out = [f"overload of {self.target}: ends otherwise in {self.differs}"] if self.differs else []
        if self.seen.missing:
            out.append(f"overload of {self.target}: {self.seen.missing:,} messages never arrived")
        return out + ([f"overload of {self.target}: the book was stale at the end"] if self.seen.stale else [])

    def row(self) -> dict[str, Any]:
        """One row of `Overload.frame`."""
        counts, arbiter = self.seen.ingress, self.seen.arbiter
        return {
            "target": self.target,
            "factor": self.factor,
            "capacity_per_s": self.capacity,
            "datagrams": self.datagrams,
            "peak_queue": self.seen.peak,
            "longest_wait_ns": self.seen.longest_wait_ns,
            "late": counts["late"],
            "dropped_full": counts["full"],
            "dropped_shedding": counts["shedding"],
            "overflows": counts["overflows"],
            "stale_ms": self.seen.stale_ns / 1e6,
            "requests": arbiter["requests"],
            "recovered": arbiter["recovered"],
            "lost": arbiter["lost"],
            "orders": self.orders,
            "withheld": self.withheld,
            "equal": not self.failures,
        }


@dataclass(frozen=True)
class Overload(Result):
    """Every engine under overload."""

    feed: str
    length_ms: float
    machine: dict[str, Any]
    engines: tuple[Overloaded, ...]

    def frame(self) -> pl.DataFrame:
        """One row per engine: target, factor (offered / capacity), capacity_per_s, datagrams, peak_queue, longest_wait_ns, late
        (datagrams taken too late), dropped_full, dropped_shedding (datagrams), overflows, stale_ms, requests, recovered, lost
        (messages), orders, withheld, equal (to the run without overload)."""
        import polars as pl

        return pl.DataFrame([one.row() for one in self.engines])

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each."""
        return [failure for one in self.engines for failure in one.failures]

    def to_dict(self) -> dict[str, Any]:
        names = ("ingress", "arbiter", "peak", "peak_bytes", "longest_wait_ns", "stale_ns")
        return {
            "schema": SCHEMA,
            "feed": self.feed,
            "length_ms": self.length_ms,
            "machine": self.machine,
            "engines": [
                {**one.row(), "differs": one.differs, **{name: getattr(one.seen, name) for name in names}} for one in self.engines
            ],
            "failures": self.failures,
        }

    def plot(self) -> Any:
        """The ring against time, and what the book was then, a panel per engine."""
        import polars as pl

        from hftlab.charts import overload_chart

        rows = []
        for one in self.engines:
            line = one.seen.timeline
            for place in np.unique(np.linspace(0, len(line) - 1, min(_POINTS, len(line))).astype(int)):
                at_ns, waiting, book = line[place]
                rows.append((one.target, at_ns / 1e6, waiting, book))
        frame = pl.DataFrame(rows, schema=["target", "ms", "waiting", "book"], orient="row")
        spans = {one.target: one.overload_ms for one in self.engines}
        return overload_chart(frame, spans, f"{self.feed}; overload of {self.engines[0].factor:g} times the capacity of the path")

    def lines(self) -> list[str]:
        """What it says, a sentence each."""
        out = []
        for one in self.engines:
            row = one.row()
            dropped = row["dropped_full"] + row["dropped_shedding"]
            out.append(
                f"overload of {one.target}: {one.factor:g} times {one.capacity:,.0f} datagrams/s for {self.length_ms:g} ms: at "
                f"most {row['peak_queue']:,} waiting, {dropped:,} of {one.datagrams:,} dropped, "
                f"the book stale for {row['stale_ms']:,.1f} ms, {row['recovered']:,} messages asked for and recovered, "
                f"{one.withheld:,} of {one.orders:,} orders withheld"
            )
        return [
            *out,
            *(self.failures or ["after the overload every book was as without it, bit for bit"]),
            describe(self.machine),
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Overload of {', '.join(one.target for one in self.engines)}: {len(self.failures)} failures>"


def overload(
    engines: Iterable[Any] | None = None,
    *,
    factor: float = 3.0,
    length_ms: float = 50.0,
    ring: int = 256,
    late_ns: int = 1_000_000,
    seed: int = 1,
) -> Overload:
    """Offer every engine more than its path can do, and see what becomes of its book.

    engines   : as `hftlab.as_engine` takes them, or targets of them; default every engine there is
    factor    : offered load during the overload, times what the path does flat out, above 1
    length_ms : of the overload; ring: datagrams that may wait; late_ns: how long before the book counts as late
    raises    : ConfigError for a number out of range
    """
    if not factor > 1 or not 0 < length_ms <= 10_000:
        raise ConfigError(f"an overload of {factor} for {length_ms} ms; allowed are above 1, and above 0 to 10000 ms")
    asked: Iterable[Any] = every_engine() if engines is None else engines
    found = [one if isinstance(one, EngineTarget) else engine_target(one) for one in asked]
    if not found:
        raise ConfigError("0 engines; allowed is one or more")
    with gc_paused():
        made = [_overload(target, factor, length_ms, ring, late_ns, seed) for target in found]
    return Overload("calm", length_ms, fingerprint(), tuple(made))


def _overload(target: EngineTarget, factor: float, length_ms: float, ring: int, late_ns: int, seed: int) -> Overloaded:
    path = Path(target, ring, late_ns)
    capacity = path.flat_out(_datagrams(3_000, seed)[0])
    calm, high = CALM * capacity, factor * capacity
    count = int(high * length_ms / 1e3)
    # What is left over, dropped or waiting, comes again once the load is calm.
    behind = int(calm * length_ms / 1e3 * factor) + _TAIL
    datagrams, messages = _datagrams(12 * (_LEAD + count + behind), seed)
    gaps = np.repeat([1e9 / calm, 1e9 / high, 1e9 / calm], [_LEAD, count, max(len(datagrams) - _LEAD - count, 0)])[
        : len(datagrams)
    ]
    due: Times = (np.cumsum(gaps) - gaps[0]).astype(np.int64)
    seen = path.run(datagrams, due)
    orders, withheld, differs = path.judge(ItchFeed(messages, name="calm"), seen)
    start, end = int(due[min(_LEAD, len(due) - 1)]), int(due[min(_LEAD + count, len(due) - 1)])
    return Overloaded(
        target=target.label,
        factor=factor,
        capacity=capacity,
        ring=ring,
        overload_ms=(start / 1e6, end / 1e6),
        datagrams=len(datagrams),
        messages=seen.total,
        orders=orders,
        withheld=withheld,
        seen=seen,
        differs=differs,
    )


def _datagrams(messages: int, seed: int) -> tuple[list[bytes], bytes]:
    """A calm feed as the datagrams of one session, and its bytes."""
    data = b"".join(map(bytes, synthetic("calm", messages, seed).blocks()))
    return list(pack(SESSION, 1, split(data), _LIMIT)), data


make_callable(__name__)
