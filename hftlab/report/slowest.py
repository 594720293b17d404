"""What the flight recorder kept of the slowest messages, as plain rows: what each was, where its time went, what is usual "
"there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hftlab.bench.latency import LatencyReport
from hftlab.bench.observe import BOUND
from hftlab.events import Kind
from hftlab.replay import decode
from hftlab.settings import STAGES
from hftlab.stamps import Capture

BETWEEN = "between messages"


def slow_rows(report: LatencyReport) -> list[dict[str, Any]]:
    """One row per slow message, the slowest first.

    rank, index, kind, symbol ("" for a feed too long to be decoded for them), total_ns, gap_ns (before the message), usual_ns
    (median of the neighbours), times (that), stage (which took most beyond its median there), stage_ns, where (the stage, or
    "between messages" if more time passed before the message than in it). Raw ns.
    """
    named = _names(report) if report.slowest and report.messages <= BOUND else {}
    slow = {capture.at for capture in report.slowest}
    return [_row(rank, one, named.get(one.at, ("", "")), slow) for rank, one in enumerate(report.slowest, 1)]


def _names(report: LatencyReport) -> dict[int, tuple[str, str]]:
    events, symbols = decode(report.source), report.source.symbols
    return {one.at: _name(events[one.at], symbols) for one in report.slowest}


def _name(event: Any, symbols: Sequence[str]) -> tuple[str, str]:
    place = int(event["instrument"])
    return Kind(event["kind"]).name, symbols[place] if place < len(symbols) else ""


def _row(rank: int, one: Capture, name: tuple[str, str], slow: set[int]) -> dict[str, Any]:
    place = one.at - one.first
    stages = np.diff(one.stamps, axis=1)
    beside = [row for row in range(len(stages)) if one.first + row not in slow]
    usual = np.median(stages[beside], axis=0) if beside else np.zeros(len(STAGES))
    worst = int(np.argmax(stages[place] - usual))
    total, gap = int(stages[place].sum()), int(one.stamps[place, 0] - one.stamps[place - 1, 4]) if place else 0
    usual_total = float(np.median(stages[beside].sum(axis=1))) if beside else None
    return {
        "rank": rank,
        "index": one.at,
        "kind": name[0],
        "symbol": name[1],
        "total_ns": total,
        "gap_ns": gap,
        "usual_ns": usual_total,
        "times": total / usual_total if usual_total else None,
        "stage": STAGES[worst],
        "stage_ns": int(stages[place, worst]),
        "where": BETWEEN if gap > total else STAGES[worst],
    }
