"""A trace of the slowest messages for the Perfetto UI, in the Trace Event Format.

Every message and every stage of it is a complete event ("X") on a track of its own. Times are microseconds with three decimals,
whatever the unit of display: read back as whole nanoseconds they meet exactly, and they must, since a viewer drops an event that
overlaps another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hftlab.experiments.slowest import UNSIGNED, SlowestMessages, TracedMessage
from hftlab.presentation.output import write_text
from hftlab.settings import STAGES

TRACKS = ("slow messages", "messages", *STAGES)
_PID = 1


def write_trace(path: str | Path, slowest: SlowestMessages) -> None:
    """Write the trace, for the Perfetto UI. Raises OutputError."""
    other = {"feed": slowest.feed, "engine": slowest.engine, "machine": slowest.machine}
    events = [*_metadata(slowest), *_events(slowest)]
    write_text(path, json.dumps({"traceEvents": events, "displayTimeUnit": "ns", "otherData": other}) + "\n")


def _metadata(slowest: SlowestMessages) -> Iterator[dict[str, Any]]:
    """The names of the process and of its tracks, and the order in which they are shown."""

    def named(tid: int, event: str, /, **args: Any) -> dict[str, Any]:
        return {"ph": "M", "pid": _PID, "tid": tid, "name": event, "args": args}

    yield named(0, "process_name", name=f"hftlab {slowest.engine} on {slowest.feed}")
    for tid, track in enumerate(TRACKS, 1):
        yield named(tid, "thread_name", name=track)
        yield named(tid, "thread_sort_index", sort_index=tid)


def _events(slowest: SlowestMessages) -> Iterator[dict[str, Any]]:
    """Complete events by time, the longer of two that start together first."""
    slow = {each.message.index: each for each in slowest.slow}
    for message in slowest.messages:
        start, total = message.start_ns, message.total_ns
        if message.index in slow:
            its = slow[message.index]
            name = f"{message.rank}. {its.where}: message {message.index}"
            yield _complete("slow messages", name, start, total, {"sentence": its.sentence()})
        yield _complete("messages", message.kind, start, total, _arguments(message, slowest.price_scale))
        for stage, ns in zip(STAGES, message.stages_ns, strict=True):
            if ns:  # a stage that did not run, or was quicker than the clock's step, has nothing to show
                yield _complete(stage, stage, start, ns, {"message": message.index, "kind": message.kind, "ns": ns})
            start += ns


def _complete(track: str, name: str, start_ns: int, ns: int, args: dict[str, Any]) -> dict[str, Any]:
    place = {"ph": "X", "pid": _PID, "tid": 1 + TRACKS.index(track), "cat": track}
    return {**place, "name": name, "ts": start_ns / 1000, "dur": ns / 1000, "args": args}


def _arguments(message: TracedMessage, price_scale: int) -> dict[str, Any]:
    """The decoded message. What may be above 2^53, up to which a viewer's numbers are exact, is a string."""
    exact = {name: str(getattr(message, name)) for name in UNSIGNED}
    return {**asdict(message), **exact, "message": message.index, "price": message.price / price_scale}
