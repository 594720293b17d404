"""The tables of a stress run for a terminal, with rich."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from hftlab.loadtest.curve import Curve
from hftlab.loadtest.faults.survived import counted

if TYPE_CHECKING:
    from hftlab.loadtest.faults.survived import Faults
    from hftlab.loadtest.whole import StressResult

#: Column of a frame -> its head in the table, and what a value is divided by.
_BURSTS = {
    "target": ("target", 0),
    "factor": ("burst", 0),
    "load": ("of capacity", -1),
    "calls": ("calls", 1),
    "peak_queue": ("peak queue", 1),
    "peak_theory": ("theory", 1),
    "drain_ns": ("drain ms", 1e6),
    "drain_theory_ns": ("theory", 1e6),
    "p50": ("p50 us", 1e3),
    "p99": ("p99 us", 1e3),
    "p99.9": ("p99.9 us", 1e3),
    "max": ("max us", 1e3),
}
_STORMS = {
    "storm": ("storm", 0),
    "target": ("target", 0),
    "live_orders": ("live orders", 1),
    "ns_per_message": ("ns/message", 1),
    "p50": ("p50 ns", 1),
    "p99": ("p99 ns", 1),
    "p99.9": ("p99.9 ns", 1),
    "max": ("max us", 1e3),
    "faults": ("faults", 1),
    "order_bytes": ("orders MB", 1e6),
    "level_bytes": ("levels MB", 1e6),
    "equal": ("equal", 0),
}
_OVERLOAD = {
    "target": ("target", 0),
    "capacity_per_s": ("datagrams/s", 1),
    "factor": ("offered", 0),
    "peak_queue": ("peak queue", 1),
    "longest_wait_ns": ("longest wait ms", 1e6),
    "dropped_full": ("full", 1),
    "dropped_shedding": ("shed", 1),
    "stale_ms": ("stale ms", 1),
    "recovered": ("recovered", 1),
    "lost": ("lost", 1),
    "withheld": ("orders withheld", 1),
    "equal": ("equal", 0),
}


def faults_table(found: Faults) -> Table:
    """One row per fault and engine."""
    table = Table(title=f"faults, injected and survived: seed {found.seed}")
    for name in ("fault", "engine", "how", "seen", "recovered ms", "verdict", "what came of it"):
        table.add_column(name, justify="right" if name == "recovered ms" else "left")
    before = ""
    for row in found.rows:
        again = row.fault == before
        ms = "never" if row.recovered_ms is None else f"{row.recovered_ms:,.1f}"
        head = ("", row.engine, "") if again else (row.fault, row.engine, row.how)
        table.add_row(*map(escape, (*head, counted(row.seen), ms, row.verdict, row.said)))
        before = row.fault
    return table


def tables(found: StressResult) -> Iterator[Table]:
    """One of each part that has one."""
    if found.sweep:
        yield from (_curve(curve) for curve in found.sweep.curves)
    if found.bursts:
        yield _frame(f"bursts of {found.bursts.length_ms:g} ms", found.bursts.frame(), _BURSTS)
    if found.storms:
        yield _frame("what is hard on a book", found.storms.frame(), _STORMS)
    if found.overload:
        yield _frame(f"overload for {found.overload.length_ms:g} ms", found.overload.frame(), _OVERLOAD)


def _curve(curve: Curve) -> Table:
    table = Table(title=f"{curve.target} under load, us: response from when a call was due, service from when it began")
    for name in ("offered/s", "of capacity", "achieved/s", "kept up", "p50", "p99", "p99.9", "max", "service p50", "service p99"):
        table.add_column(name, justify="right")
    for point in curve.points:
        response = [_said(point.median("response", name), 1e3) for name in ("p50", "p99", "p99.9")]
        service = [_said(point.median("service", name), 1e3) for name in ("p50", "p99")]
        share = f"{point.offered / curve.capacity:.0%}" if curve.capacity else "n/a"
        worst = _said(point.max_ns["response"], 1e3)
        kept = "yes" if point.sustained else "no"
        table.add_row(f"{point.offered:,.0f}", share, f"{point.achieved:,.0f}", kept, *response, worst, *service)
    return table


def _frame(title: str, frame: Any, columns: dict[str, tuple[str, float]]) -> Table:
    table = Table(title=title)
    for name, _ in columns.values():
        table.add_column(name, justify="left" if name in ("target", "storm") else "right")
    for row in frame.to_dicts():
        table.add_row(*(_said(row[name], scale) for name, (_, scale) in columns.items()))
    return table


def _said(value: Any, scale: float) -> str:
    """A value over a scale; 0: as it is, -1: as a share."""
    if value is None or value != value:
        return "n/a"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if scale <= 0:
        return f"{value:.0%}" if scale else f"{value:g}x" if isinstance(value, float) else str(value)
    value = value / scale
    return f"{value:,.0f}" if value >= 100 or isinstance(value, int) or value == int(value) else f"{value:,.2f}"
