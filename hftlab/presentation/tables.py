"""Tables for a terminal, with rich. What is shown is made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from hftlab.experiments.measured import Measured
from hftlab.experiments.report import Report
from hftlab.measurement.distribution import PERCENTILES, TITLES, Distribution
from hftlab.settings import RECORDS, STAGES

if TYPE_CHECKING:
    from hftlab.engine.run import Run
    from hftlab.experiments.ablate import Ablation
    from hftlab.experiments.border import Border
    from hftlab.experiments.latency import LatencyReport
    from hftlab.experiments.scale import Scale

_COLUMNS = ("min", "max", "mean", *PERCENTILES)


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
        table.add_row(TITLES[row.part], *_cells(row))
        if row.part == "total":
            table.add_row("end to end, ms", *_cells(row, 1e6, 6))
    for row in one.first:
        if row.part == "total":
            table.add_row("  the first of a pass", *_cells(row))
    return table


def phases_table(found: LatencyReport) -> Table:
    """One engine: every part of the path, warm, first, and with swept caches."""
    table = Table(title=f"{found.label}: latency per message, us")
    for name in ("phase", "stage"):
        table.add_column(name)
    for name in (*_COLUMNS, "n"):
        table.add_column(name, justify="right")
    phase = ""
    for name, row in found.phases():
        if phase not in ("", name):
            table.add_section()
        table.add_row("" if name == phase else name, TITLES[row.part], *_cells(row))
        phase = name
    return table


def _cells(row: Distribution, unit: float = 1e3, digits: int = 3) -> list[str]:
    return [*(_cell(row.values()[name], unit, digits) for name in _COLUMNS), f"{row.n:,}"]


def throughput_table(report: Report) -> Table:
    """Unstamped whole passes: what each stage adds, the whole path, and the ratio to the first engine."""
    table = Table(title="unstamped whole passes, ns per message")
    table.add_column("engine")
    for name in (*TITLES.values(), "messages/s", f"x {report.measured[0].label}"):
        table.add_column(name, justify="right")
    ratios = report.ratios()
    for one in report.measured:
        stages = [f"{one.stage_ns[stage]:,.1f}" if stage in one.stage_ns else "n/a" for stage in STAGES]
        ratio = f"{ratios[one.label].median:.1f}" if one.label in ratios else "1.0"
        table.add_row(one.label, *stages, f"{one.whole_ns:,.1f}", f"{one.messages_per_s:,.0f}", ratio)
    return table


def record_table(report: Report) -> Table:
    """What keeping rows costs: whole passes by record mode."""
    table = Table(title="whole passes by record mode, ns per message")
    table.add_column("engine")
    for name in (*(f"record {mode}" for mode in RECORDS), "messages"):
        table.add_column(name, justify="right")
    for one in report.measured:
        table.add_row(one.label, *(f"{one.record_ns[mode]:,.1f}" for mode in RECORDS), f"{one.record_messages:,}")
    return table


def ablation_table(found: Ablation) -> Table:
    """Every switch: what it changes, ns per message before and after, the verdict."""
    table = Table(title="one optimisation at a time, ns per message, median ratio [95 % interval]")
    for name in ("start", "axis", "from", "to"):
        table.add_column(name)
    for name in ("before", "after"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    start = section = ""
    for step in found.steps:
        row = step.row()
        control = row["verdict"] == "control"
        if section not in ("", section := "controls" if control else row["start"]):
            table.add_section()
        verdict = f"control: {step.comparison.ratio}" if control else row["verdict"]
        times = [f"{row[name]:,.1f}" for name in ("from_ns_per_message", "to_ns_per_message")]
        table.add_row("" if row["start"] == start else row["start"], row["axis"], row["from"], row["to"], *times, escape(verdict))
        start = row["start"]
    return table


def scale_table(found: Scale) -> Table:
    """Sizes down, variants across."""
    names = list(dict.fromkeys(point.variant for point in found.points))
    cells = {(point.size, point.variant): f"{point.ns.median:,.1f}" for point in found.points}
    table = Table(title="ns per message, median over the rounds")
    for name in (found.axis, *names):
        table.add_column(name, justify="right")
    for size in dict.fromkeys(point.size for point in found.points):
        table.add_row(f"{size:,}", *(cells[size, name] for name in names))
    return table


def border_table(found: Border) -> Table:
    """Ways and chunks down, last stages across: median and min."""
    stages = list(dict.fromkeys(way.until for way in found.ways if way.until))
    by = {(way.name, way.per_crossing, way.until): way for way in found.ways}
    table = Table(title="ns per message, the loop subtracted: median (min)")
    table.add_column("way")
    for name in ("messages per crossing", *(f"until {until}" for until in stages)):
        table.add_column(name, justify="right")
    for name, size in dict.fromkeys((way.name, way.per_crossing) for way in found.ways):
        ways = [by.get((name, size, until)) or by[name, size, ""] for until in stages]
        cells = [f"{way.ns.median:,.1f} ({way.min_ns:,.1f})" for way in ways]
        table.add_row(name, f"{size:,}" if size else "a call", *cells)
    return table


def run_table(runs: list[Run]) -> Table:
    """One run in numbers."""
    run = runs[-1]
    table = Table(title=f"{run.feed} on {run.backend}", show_header=False)
    live, order_bytes = run.memory["live_orders"], run.memory["order_bytes"]
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
        "live orders": f"{live:,}",
        "memory of orders": f"{order_bytes:,} bytes" + (f", {order_bytes / live:,.1f} per live order" if live else ""),
        "memory of levels": f"{run.memory['level_bytes']:,} bytes",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def show_old(result: Any) -> None:
    """What is not yet a `hftlab.presentation.result.Result`."""
    from rich.console import Console

    by_class: dict[str, Any] = {
        "Report": lambda found: [*map(latency_table, found.measured), throughput_table(found), record_table(found)],
        "LatencyReport": lambda found: [phases_table(found)],
        "Ablation": lambda found: [ablation_table(found)],
        "Scale": lambda found: [scale_table(found)],
        "Border": lambda found: [border_table(found)],
    }
    if type(result).__name__ not in by_class or "conformance" in type(result).__module__:
        print(result)
        return
    console = Console(width=160)
    for table in by_class[type(result).__name__](result):
        console.print(table)
    for line in result.lines():
        console.print(line, highlight=False, soft_wrap=True, markup=False)
