"""The slowest messages as a trace in the Trace Event Format, which the Perfetto UI and chrome://tracing open.

Every message and every stage of it is a complete event ("X") on a track of its own: slow messages | messages | tick | book |
signal | order. What lies between two messages stays empty. Times are microseconds with three decimals, whatever the unit of
display: read back as whole nanoseconds they meet exactly, and they must, since a viewer drops an event that overlaps another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hftlab.experiments.slowest import SlowestMessages, TracedMessage
from hftlab.presentation.output import write_text
from hftlab.settings import STAGES

TRACKS = ("slow messages", "messages", *STAGES)
_PID = 1


def write_trace(path: str | Path, slowest: SlowestMessages) -> None:
    """Write the trace, for the Perfetto UI. Raises OutputError."""
    write_text(path, json.dumps(trace_events(slowest)) + "\n")


def trace_events(slowest: SlowestMessages) -> dict[str, Any]:
    """The JSON object of the format: traceEvents, displayTimeUnit, otherData."""
    return {
        "traceEvents": [*_metadata(slowest), *_events(slowest)],
        "displayTimeUnit": "ns",
        "otherData": {"feed": slowest.feed, "engine": slowest.engine, "machine": slowest.machine},
    }


def _metadata(slowest: SlowestMessages) -> Iterator[dict[str, Any]]:
    """The names of the process and of its tracks, and the order in which they are shown."""
    yield {
        "ph": "M",
        "pid": _PID,
        "tid": 0,
        "name": "process_name",
        "args": {"name": f"hftlab {slowest.engine} on {slowest.feed}"},
    }
    for tid, name in enumerate(TRACKS, 1):
        yield {"ph": "M", "pid": _PID, "tid": tid, "name": "thread_name", "args": {"name": name}}
        yield {"ph": "M", "pid": _PID, "tid": tid, "name": "thread_sort_index", "args": {"sort_index": tid}}


def _events(slowest: SlowestMessages) -> Iterator[dict[str, Any]]:
    """Complete events by time, the longer of two that start together first."""
    slow = {message.message.index: message for message in slowest.slow}
    for message in slowest.messages:
        if message.index in slow:
            name = f"{message.rank}. {slow[message.index].where}: message {message.index}"
            yield _complete(
                "slow messages", name, message.start_ns, message.total_ns, {"sentence": slow[message.index].sentence()}
            )
        yield _complete("messages", message.kind, message.start_ns, message.total_ns, _arguments(message, slowest.price_scale))
        at = message.start_ns
        for stage, ns in zip(STAGES, message.stages_ns, strict=True):
            if ns:  # a stage that did not run, or was quicker than the clock's step, has nothing to show
                yield _complete(stage, stage, at, ns, {"message": message.index, "kind": message.kind, "ns": ns})
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


def _arguments(message: TracedMessage, price_scale: int) -> dict[str, Any]:
    """The decoded message. Order ids are strings: a viewer's numbers are exact to 2^53 only."""
    return {
        "message": message.index,
        "offset": message.offset,
        "slow message": message.rank,
        "event time ns": str(message.ts_ns),
        "kind": message.kind,
        "side": message.side,
        "order id": str(message.order_id),
        "new order id": str(message.new_order_id),
        "instrument": message.instrument,
        "symbol": message.symbol,
        "price": message.price / price_scale,
        "qty": message.qty,
        "total ns": message.total_ns,
        "gap before ns": "unknown" if message.gap_ns is None else message.gap_ns,
    }
