"""Tables for a terminal, with rich. What is shown is made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from hftlab.bench.report import QUANTILES, TITLES, Measured, Report

if TYPE_CHECKING:
    from hftlab.run import Run

_COLUMNS = ("min", "max", "mean", *QUANTILES)


def _cell(ns: float | None, unit: float, digits: int) -> str:
    return "n/a" if ns is None else f"{ns / unit:,.{digits}f}"


def latency_table(one: Measured) -> Table:
    """The seed's table for one engine: microseconds per message and stage, end to end in milliseconds too."""
    variant = " ".join(f"{axis}={value}" for axis, value in one.variant.items())
    table = Table(title=f"{one.label}: latency per message, us" + (f" ({variant})" if variant else ""))
    table.add_column("stage")
    for name in (*_COLUMNS, "n"):
        table.add_column(name, justify="right")
    for row in one.rows:
        cells = [_cell(row.values()[name], 1e3, 2) for name in _COLUMNS]
        table.add_row(TITLES[row.stage], *cells, f"{row.n:,}")
        if row.stage == "total":
            cells = [_cell(row.values()[name], 1e6, 6) for name in _COLUMNS]
            table.add_row("end to end, ms", *cells, f"{row.n:,}")
    return table


def throughput_table(report: Report) -> Table:
    """Unstamped whole passes: what each stage adds, the whole path, and the ratio to the first engine."""
    table = Table(title="unstamped whole passes, ns per message")
    table.add_column("engine")
    for name in (*TITLES.values(), "messages/s", f"x {report.measured[0].label}"):
        table.add_column(name, justify="right")
    ratios = report.ratios()
    for one in report.measured:
        stages = [f"{ns:,.1f}" for ns in one.stage_ns.values()]
        ratio = ratios.get(one.label, {"median": 1.0})["median"]
        total = f"{one.until_ns['order']:,.1f}"
        table.add_row(one.label, *stages, total, f"{one.messages_per_s:,.0f}", f"{ratio:.1f}")
    return table


def run_table(runs: list[Run]) -> Table:
    """One run in numbers."""
    run = runs[-1]
    table = Table(title=f"{run.feed} on {run.backend}", show_header=False)
    speeds = sorted(one.ns_per_message for one in runs)
    rows: dict[str, Any] = {
        "variant": " ".join(f"{axis}={value}" for axis, value in run.variant.items()) or "the only one",
        "messages": f"{run.messages:,}",
        "ns per message": f"{speeds[len(speeds) // 2]:,.1f}" + (f" (median of {len(runs)})" if len(runs) > 1 else ""),
        "by kind": ", ".join(f"{kind} {n:,}" for kind, n in run.counts.items() if n),
        "faults": ", ".join(f"{reason} {n:,}" for reason, n in run.faults.items()) or "none",
        "unknown types": ", ".join(f"{letter} {n:,}" for letter, n in run.unknown.items()) or "none",
        "orders sent": f"{len(run.order_stream) // 47:,}",
        "refused by risk": ", ".join(f"{name} {n:,}" for name, n in run.rejects.items()) or "none",
        "live orders": f"{run.memory['live_orders']:,}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
