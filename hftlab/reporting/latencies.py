"""The latency of every stage, for every engine; warm, first and swept."""

from __future__ import annotations

from typing import Any

from hftlab.measurement.distribution import PERCENTILES, TITLES
from hftlab.presentation.document import NOT_KNOWN, Section, Table, number, table, text
from hftlab.reporting.conditions import bench_source
from hftlab.reporting.facts import Facts, whole_ns

_STATISTICS = ("min", "max", "mean", *PERCENTILES)
_LATENCY = ("min", "max", "mean", "p50", "p95", "p99", "p90", "p99.9", "p99.99")
US, MS = 1e3, 1e6


def variant_of(engine: dict[str, Any]) -> str:
    """The variant of an engine in words."""
    return " ".join(f"{axis}={value}" for axis, value in engine["variant"].items()) or "one way only"


def row_of(engine: dict[str, Any], part: str, phase: str = "latency_ns") -> dict[str, Any] | None:
    """The distribution of a part of the path, or None."""
    return next((row for row in engine[phase] if row["stage"] == part), None)


def latency_tables(facts: Facts) -> Section:
    """A table for each engine."""
    if not facts.engines:
        return Section("Latency per message", (text(f"Not measured here: {facts.missing('bench')}."),))
    note = (
        "Each row is a distribution with stamps of its own: end to end is stamped at the beginning and the end of a message, "
        "it is not the sum of the stages. A percentile with fewer than 100 samples beyond it says nothing and is n/a. "
        "Clock: the median cost of a reading, which is subtracted."
    )
    tables = [_table(facts, one, note) for one in facts.engines]
    return Section("Latency per message", (*tables, _whole(facts)))


def _table(facts: Facts, engine: dict[str, Any], note: str) -> Table:
    overhead = engine["clock"]["cost"]["percentiles"]["p50"]
    columns = ("stage", *_LATENCY, "n", "clock, ns")
    rows = []
    for part, title in TITLES.items():
        row = row_of(engine, part)
        rows.append((f"{title}, µs", *_cells(row, US, 3), f"{row['n']:,}" if row else "0", number(overhead, 0)))
        if part == "total":
            rows.append(("end to end, ms", *_cells(row, MS, 6), f"{row['n']:,}" if row else "0", number(overhead, 0)))
    title = f"{engine['label']}, microseconds per message ({engine['backend']}: {variant_of(engine)})"
    return table(title, columns, rows, note=note, source=bench_source(facts))


def _cells(row: dict[str, Any] | None, unit: float, digits: int) -> list[str]:
    return [number(row[name] if row else None, digits, unit) for name in _LATENCY]


def _whole(facts: Facts) -> Table:
    """Unstamped passes: what each stage adds."""
    bench = facts.part("bench")
    columns = ("engine", *(f"{name}, ns" for name in ("tick", "book", "signal", "order")), "whole path, ns", "messages/s")
    columns += (f"times the messages of {facts.engines[0]['label']}", "95 % interval")
    rows = []
    for one in facts.engines:
        stages = [number(one["stage_ns_per_message"].get(part)) for part in ("tick", "book", "signal", "order")]
        ratio = bench["ratios"].get(one["label"])
        times = (number(ratio["median"], 2), f"{ratio['low']:,.2f} to {ratio['high']:,.2f}") if ratio else ("1.00", NOT_KNOWN)
        rows.append((one["label"], *stages, number(whole_ns(one)), f"{one['messages_per_s']:,.0f}", *times))
    note = (
        "Nothing is stamped in these passes: the time of a whole pass, divided by its messages. A stage is the difference of "
        "the passes with and without it, and can come out a little below 0 where it costs next to nothing."
    )
    return table("Whole passes, ns per message", columns, rows, note=note, source=bench_source(facts, "unstamped passes"))


def phases(facts: Facts) -> Section:
    """Warm, first and swept."""
    columns = ("engine", "messages", *_STATISTICS, "n", "p50 / warm")
    rows = []
    swept = facts.part("swept") or {}
    for one in facts.engines:
        warm = row_of(one, "total")
        if warm is None:
            rows.append((one["label"], "no stamps", *[NOT_KNOWN] * len(_STATISTICS), "0", NOT_KNOWN))
            continue
        found = (
            ("warm", warm),
            ("the first of a pass", row_of(one, "total", "cold_start_ns")),
            ("caches swept", swept.get(one["label"])),
        )
        for name, row in found:
            cells = [number(row[statistic] if row else None, 3, US) for statistic in _STATISTICS]
            times = number(row["p50"] / warm["p50"] if row and warm["p50"] else None, 2)
            rows.append((one["label"], name, *cells, f"{row['n']:,}" if row else "0", times))
    if not rows:
        return Section("Warm, first and cold", (text(f"Not measured here: {facts.missing('bench')}."),))
    note = (
        "Warm: in the middle of a stream, code and book in the caches. The first: the first 1,000 messages of each pass (of a "
        "short feed a tenth), which meet an empty book. Caches swept: each message alone, after a buffer larger than the last "
        "cache has been read through, which is what a quiet market does to an engine."
    )
    return Section(
        "Warm, first and cold",
        (
            table(
                "End to end in microseconds, by what came before", columns, rows, words=2, note=note, source=bench_source(facts)
            ),
        ),
    )


def agreement(facts: Facts) -> Section:
    """Stamps against whole passes."""
    rows, said = [], []
    for one in facts.engines:
        for part, told in one["agreement"].items():
            both = (number(one["stage_means_ns"][part]), number(one["stage_ns_per_message"][part]))
            rows.append((one["label"], TITLES[part], *both, "yes" if told["agree"] else "no"))
            said.append(f"{one['label']}, {told['sentence']}.")
    if not rows:
        why = facts.missing("bench") if not facts.engines else "no engine here has stamps of its own"
        return Section("Stamps against whole passes", (text(f"Not compared here: {why}."),))
    agreeing = sum(row[-1] == "yes" for row in rows)
    lead = f"The mean of its stamps and the difference of whole passes agree for {agreeing} of {len(rows)} stages."
    overheads = [
        f"{one['label']} {one['stamped_ns'] / whole_ns(one):.2f} times" for one in facts.engines if one["stamped_ns"] is not None
    ]
    columns = ("engine", "stage", "stamps, mean, ns", "whole passes, ns", "agree")
    note = "They agree within 25 % of the greater, or within one reading of the clock."
    return Section(
        "Stamps against whole passes",
        (
            text(lead, f"Stamping every stage makes a pass longer: {', '.join(overheads)}."),
            table(
                "Two ways to the cost of a stage",
                columns,
                rows,
                words=2,
                note=note,
                source=bench_source(facts, "stamps and passes"),
            ),
            text(*said, kind="list"),
        ),
    )
