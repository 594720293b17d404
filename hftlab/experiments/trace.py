"""A flight as a trace in the Trace Event Format, which the Perfetto UI and chrome://tracing open.

Every message and every stage of it is a complete event ("X") on a track of its own: slow messages | messages | tick | book |
signal | order. What lies between two messages stays empty. Times are microseconds with three decimals, whatever the unit of
display: read back as whole nanoseconds they meet exactly, and they must, since a viewer drops an event that overlaps another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hftlab.settings import STAGES

if TYPE_CHECKING:
    from hftlab.experiments.flight import Flight
    from hftlab.experiments.moments import Moment

TRACKS = ("slow messages", "messages", *STAGES)
_PID = 1


def trace_events(flight: Flight) -> dict[str, Any]:
    """The JSON object of the format: traceEvents, displayTimeUnit, otherData."""
    return {
        "traceEvents": [*_metadata(flight), *_events(flight)],
        "displayTimeUnit": "ns",
        "otherData": {"feed": flight.feed, "engine": flight.engine, "machine": flight.machine},
    }


def _metadata(flight: Flight) -> Iterator[dict[str, Any]]:
    """The names of the process and of its tracks, and the order in which they are shown."""
    yield {"ph": "M", "pid": _PID, "tid": 0, "name": "process_name", "args": {"name": f"hftlab {flight.engine} on {flight.feed}"}}
    for tid, name in enumerate(TRACKS, 1):
        yield {"ph": "M", "pid": _PID, "tid": tid, "name": "thread_name", "args": {"name": name}}
        yield {"ph": "M", "pid": _PID, "tid": tid, "name": "thread_sort_index", "args": {"sort_index": tid}}


def _events(flight: Flight) -> Iterator[dict[str, Any]]:
    """Complete events by time, the longer of two that start together first."""
    slow = {one.moment.index: one for one in flight.slow}
    for one in flight.moments:
        if one.index in slow:
            name = f"{one.rank}. {slow[one.index].where}: message {one.index}"
            yield _complete("slow messages", name, one.start_ns, one.total_ns, {"words": slow[one.index].words()})
        yield _complete("messages", one.kind, one.start_ns, one.total_ns, _arguments(one, flight.price_scale))
        at = one.start_ns
        for stage, ns in zip(STAGES, one.stages_ns, strict=True):
            if ns:  # a stage that did not run, or was quicker than the clock's step, has nothing to show
                yield _complete(stage, stage, at, ns, {"message": one.index, "kind": one.kind, "ns": ns})
            at += ns


def _complete(track: str, name: str, start_ns: int, ns: int, args: dict[str, Any]) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": _PID,
        "tid": 1 + TRACKS.index(track),
        "cat": track,
        "name": name,
        "ts": start_ns / 1000,
        "dur": ns / 1000,
        "args": args,
    }


def _arguments(one: Moment, price_scale: int) -> dict[str, Any]:
    """The decoded message. Order ids are strings: a viewer's numbers are exact to 2^53 only."""
    return {
        "message": one.index,
        "offset": one.offset,
        "slow message": one.rank,
        "event time ns": str(one.ts_ns),
        "kind": one.kind,
        "side": one.side,
        "order id": str(one.order_id),
        "new order id": str(one.new_order_id),
        "instrument": one.instrument,
        "symbol": one.symbol,
        "price": one.price / price_scale,
        "qty": one.qty,
        "total ns": one.total_ns,
        "gap before ns": "unknown" if one.gap_ns is None else one.gap_ns,
    }
