"""The chapters of a report: a verdict in a few sentences, then the tables, notes and charts of the results, each with how to read
it and where it comes from."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from hftlab import charts
from hftlab.charts.base import THEME, alt
from hftlab.experiments.ablation import Ablation, Kind
from hftlab.experiments.latency import LatencyReport
from hftlab.experiments.open_loop import OpenLoop
from hftlab.experiments.stages import BenchReport
from hftlab.fills.value_result import LatencyValue
from hftlab.measurement.distribution import TITLES
from hftlab.measurement.machine import describe
from hftlab.measurement.paired import SMALLEST, Interval, Outcome
from hftlab.presentation.document import (
    NOT_KNOWN,
    Block,
    Code,
    Figure,
    Section,
    Table,
    Tiles,
    duration,
    number,
    rows_table,
    table,
    text,
)
from hftlab.reporting.measurements import Measurements

#: Percentiles of the open loop that are shown.
_LOADS = ("p50", "p99", "p99.9")


def chapters(found: Measurements) -> tuple[Section, ...]:
    """Every chapter, in order; one whose part was not measured gives the reason."""
    out = []
    for title, part, blocks in CHAPTERS:
        if not part:
            shown = tuple(blocks(found))
        elif result := getattr(found, part):
            shown = tuple(blocks(found, result))
        else:
            shown = (text(f"Not measured here: {found.why_not(part)}."),)
        out.append(Section(title, shown))
    return tuple(out)


def plain(value: Any) -> str:
    """Any plain value as text."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def mark(machine: dict[str, Any]) -> str:
    """A short name of a fingerprint: equal where every field is equal."""
    return hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:8]


def source(found: Measurements, part: str, how: str) -> str:
    """What stands under a table or a chart: what was run, on what, and under which fingerprint."""
    result = found.parts[part]
    return f"{how}; {result.subtitle()}; fingerprint {mark(result.machine)}, load {plain(result.machine.get('load_1min'))}"


def sourced(found: Measurements, part: str, how: str, tables: Iterable[Table]) -> Iterator[Table]:
    """Tables of a result, with their source."""
    return (replace(each, source=source(found, part, how)) for each in tables)


def figure(name: str, title: str, chart: Any, caption: str, source: str) -> Figure:
    """A chart with its theme in it. caption : how to read it"""
    with alt.theme.enable(THEME), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Altair's advice is for authors of charts
        spec = chart.to_dict(validate=False)  # charts are tested where they are written
    return Figure(name, title, spec, caption, source)


def _frame(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), infer_schema_length=None)


def conditions(found: Measurements) -> Iterator[Block]:
    """What was run, on what, with which clocks; the whole fingerprint stands in the last chapter."""
    how, first = found.how, next(iter(found.parts.values()))
    effort = [str(how["effort"])] if how.get("effort") else []
    effort += [f"{part.rounds} interleaved rounds of {name}" for name, part in found.parts.items()]
    rows = [
        ("feed", found.feed),
        ("source of the feed", str(how.get("feed") or NOT_KNOWN)),
        ("messages in a pass", plain(first.messages)),
        ("market", str(first.market or NOT_KNOWN)),
        ("seed", plain(how.get("seed"))),
        ("effort", ", ".join(effort)),
        ("engines", ", ".join(engine.label for engine in found.bench.engines) if found.bench else NOT_KNOWN),
        ("machine", describe(found.machine)),
        ("fingerprint", "; ".join(f"{name} {mark(part.machine)}" for name, part in found.parts.items())),
    ]
    yield table("The run", ("what", "value"), rows, words=2)
    if found.bench:
        costs = [{"engine": each.label, **each.clock.record()} for each in found.bench.engines]
        columns = {"engine": ("engine", 1.0), "clock": ("clock", 1.0), "step_ns": ("step, ns", 1.0)}
        columns |= {name: (f"a reading, {name}, ns", 1.0) for name in ("p50", "p99", "max")}
        note = "The median cost of a reading is subtracted from every latency, and none falls below 0 by it."
        clocks = rows_table("The clocks", costs, columns, words=2, note=note)
        yield from sourced(found, "bench", "100,000 readings", [clocks])
    yield text(*(f"{name} is MISSING: {why}." for name, why in found.missing.items()), kind="list")


def verdict(found: Measurements) -> Iterator[Block]:
    """The sentences and the figures, of whatever was measured."""
    bench, ablation = found.bench, found.ablation
    lead = [_fastest(bench), _trust(bench)] if bench else []
    lead.append(_optimisations(ablation) if ablation else f"The optimisations were not measured: {found.why_not('ablation')}.")
    yield text(*lead, kind="lead")
    tiles = [*(_bench_tiles(bench) if bench else ())]
    tiles += [(number(ablation.whole.ratio.median, 2), "times", "naive Rust to best")] if ablation else []
    yield Tiles(tuple(tiles))


def _fastest(bench: BenchReport) -> str:
    """The fastest engine against the first, where its time goes, and which others it was not seen to differ from."""
    first, fastest = bench.engines[0], bench.fastest
    shares = {part: max(ns, 0.0) for part, ns in fastest.stage_ns.items()}
    part = max(shares, key=lambda name: shares[name])
    where = f"of which {TITLES[part]} takes {shares[part] / (sum(shares.values()) or 1):.0%}"
    out = [f"The fastest engine, {fastest.label}, takes {duration(fastest.whole_ns)} per message, {where}"]
    if fastest is not first:
        ratio = f"{bench.ratios()[fastest.label]} the messages per second of {first.label}"
        out.append(f"{first.label} takes {duration(first.whole_ns)}: {ratio}")
    own = np.array(fastest.rounds_ns)
    others = [engine for engine in bench.engines if engine is not fastest]
    close = [engine.label for engine in others if Interval.of(np.array(engine.rounds_ns) / own).low <= 1]
    out += [f"round by round it was not seen to differ from {' and '.join(close)}, so which is fastest is open"] if close else []
    return "; ".join(out) + "."


def _trust(bench: BenchReport) -> str:
    """The A/A control, and whether stamps and whole passes agree."""
    agreements = [each.agree for engine in bench.engines for each in engine.agreement().values()]
    out = [f"Stamps and whole passes agree for {sum(agreements)} of {len(agreements)} stages"]
    if control := bench.control:
        apart = ", and that EXCLUDES 1: the machine was not quiet" if control.side else ""
        out.append(f"measured against itself in the same rounds, {bench.engines[-1].label} came out {control} as fast{apart}")
    return "; ".join(out) + "."


def _optimisations(ablation: Ablation) -> str:
    """All of them together, and the one that is worth most alone."""
    alone = [step for step in ablation.steps if step.switch.start == "naive" and step.switch.kind is Kind.SWITCH]
    faster = [step for step in alone if step.paired.outcome is Outcome.FASTER]
    out = f"All optimisations together on the naive Rust engine: {ablation.whole.judgement}"
    if not faster:
        return f"{out}; none alone makes it faster."
    top = max(faster, key=lambda step: step.paired.ratio.median)
    return f"{out}; {top.switch.axis} from {' to '.join(top.switch.names)} is worth most alone, {top.paired.ratio}."


def _bench_tiles(bench: BenchReport) -> Iterator[tuple[str, str, str]]:
    fastest, first = bench.fastest, bench.engines[0]
    yield *_split(fastest.whole_ns), f"per message, {fastest.label}"
    yield number(fastest.messages_per_s, 2, 1e6), "M/s", f"messages, {fastest.label}"
    if fastest is not first:
        yield number(bench.ratios()[fastest.label].median, 0), "times", f"the messages of {first.label}"
    for line in bench.headlines[1:]:
        yield *_split(line.ns[fastest.label].median), f"per message, {line.what}, {fastest.label}"
    total = fastest.distribution("total")
    if total and (p99 := total.percentiles["p99"]) is not None:
        yield *_split(p99), "end to end, p99"


def _split(ns: float) -> tuple[str, str]:
    value, _, unit = duration(ns).partition(" ")
    return value, unit


def latencies(found: Measurements, bench: BenchReport) -> Iterator[Block]:
    """Every table of the bench, and its notes."""
    yield text(
        "Each row is a distribution with stamps of its own: end to end is not the sum of the stages. A percentile with fewer "
        "than 100 samples beyond it is n/a."
    )
    yield from sourced(found, "bench", "stamps and whole passes", bench.tables())
    yield text(*bench.notes(), kind="list")


def optimisations(found: Measurements, ablation: Ablation) -> Iterator[Block]:
    """The waterfall, from the Python engine if it was timed; the forest, and the same in numbers."""
    engines = found.bench.engines if found.bench else ()
    python = next((engine.whole_ns for engine in engines if engine.label == "python"), None)
    origin = source(found, "ablation", "unstamped passes")
    yield figure(
        "waterfall",
        "Before and after",
        ablation.waterfall(python),
        "Read from top to bottom: the whole bars are the first and the last engine, each bar between them reaches from the "
        "time of a message before a step to the time after it.",
        f"Python engine: {source(found, 'bench', 'unstamped passes')}. Rust: {origin}" if python else origin,
    )
    yield text(
        "Faster or slower stands only where the interval lies on one side of 1, for each copy of what it is compared with, and "
        f"the ratio is outside its control and more than {SMALLEST:.1%} from 1. A control is an engine against itself in the "
        "same rounds: how far its ratio is from 1 is what this machine adds to every comparison."
    )
    yield figure(
        "forest",
        "What each switch is worth",
        ablation.forest(),
        "A dot is how many times as fast an engine is after one switch, its line the interval; right of 1 is faster. The "
        "grey band is the A/A control, an engine against itself: a dot within it is no difference.",
        origin,
    )
    yield from sourced(found, "ablation", "unstamped passes", ablation.tables())


def distributions(found: Measurements, bench: BenchReport) -> Iterator[Block]:
    """End to end of every engine, as percentiles and as histograms."""
    totals = [(engine.label, row) for engine in bench.engines if (row := engine.distribution("total"))]
    if not totals:
        yield text("No engine here has stamps.")
        return
    origin = source(found, "bench", "stamps of every message")
    points = _frame({"series": label, **point} for label, row in totals for point in row.spectrum())
    yield figure(
        "percentiles",
        "End to end by percentile",
        charts.percentile_chart(points, "End to end by percentile", what="end to end"),
        "Each step to the right has a tenth of the messages beyond it. A line ends where fewer than 100 messages are left, "
        "which is as far as this sample can say anything. Flat is steady; a line that climbs at the right has a tail.",
        origin,
    )
    bins = _frame({"series": label, **each} for label, row in totals for each in row.bins())
    yield figure(
        "ridges",
        "End to end as histograms",
        charts.ridge_chart(bins, "End to end, engine by engine", what="end to end"),
        "A ridge for each engine, scaled to its own highest place: the shape is to be compared, not the height. Several humps "
        "are several kinds of messages, or of paths through the code. The white line is the median.",
        origin,
    )


def alone(found: Measurements, fastest: LatencyReport) -> Iterator[Block]:
    """The fastest engine by itself: in a stream, alone, cold, at the start; over the feed; its slowest messages."""
    yield text(
        f"{fastest.headline()}. In a stream: message after message, code and book in the caches. Alone and cold: one message at "
        "a time, after a buffer as large as the second cache, or larger than the last one, was read through, which is what a "
        "quiet market does to an engine. Cold start: the first messages of the feed, which meet an empty book."
    )
    yield from sourced(found, "latency", "stamps of every message", fastest.tables())
    origin = source(found, "latency", "one stamped pass")
    if fastest.windows:
        title = f"{fastest.label} over the feed"
        yield figure(
            "over-time",
            title,
            charts.line_chart(fastest.timeline(), title, x="message number", y="end to end", ns=True, mark="step"),
            "From left to right the feed, in stretches of equally many messages. A level line is steady; a step is a change of "
            "the market or of the machine; peaks of the maximum are the slowest messages.",
            origin,
        )
    if fastest.slowest:
        yield figure(
            "slowest",
            "The slowest messages among their neighbours",
            fastest.slowest.plot(),
            "A row is a message, a dot a stage of it, or the wait before it. Compare the slow one with those around it: the "
            "stage that is long there alone is where the time went.",
            origin,
        )


def stage_budget(found: Measurements, bench: BenchReport) -> Iterator[Block]:
    """How much of a message each stage takes."""
    yield figure(
        "budget",
        "Where the time goes",
        charts.budget_chart(bench.stages().rename({"ns_per_message": "ns"})),
        "A bar is a message, its parts the stages, from differences of unstamped passes. Where engines lie far apart each "
        "bar has an axis of its own: compare parts within a bar, and bars by the numbers on their axes.",
        source(found, "bench", "unstamped passes"),
    )


def under_load(found: Measurements, loads: tuple[OpenLoop, ...]) -> Iterator[Block]:
    """Service against response time, by the rate."""
    capacity = found.how.get("capacity_per_s")
    yield text(
        "Messages were sent one by one at fixed times, whatever the engine did. The capacity is what one call per message serves "
        f"without a pause, {number(capacity, 0)} a second; the call and two readings of the clock are in it."
    )
    origin = source(found, "latency", "open loop, one call per message") if found.latency else ""
    columns = {"share": ("share of capacity", 0.0), "rate": ("messages/s", 1.0)}
    columns |= {f"{time} {name}": (f"{time} {name}, µs", 1e3) for name in _LOADS for time in ("service", "response")}
    columns |= {"late": ("late", 1.0), "n": ("n", 1.0)}
    rows, points = [], []
    for load in loads:
        times = [(time, name, load.times[time].percentiles[name]) for time in ("service", "response") for name in _LOADS]
        points += [{"load": load.rate_per_s, "percentile": name, "ns": ns, "time": time} for time, name, ns in times if ns]
        shown = {"share": load.rate_per_s / capacity if capacity else None, "rate": load.rate_per_s}
        rows.append({**shown, **{f"{time} {name}": ns for time, name, ns in times}, "late": load.late, "n": load.service.n})
    title = "Service and response time under load"
    yield figure(
        "load",
        title,
        charts.load_chart(_frame(points), "messages per second sent", title, load_format="~s"),
        "Service time counts from when the engine got a message, response time from when the message was due. As the rate "
        "nears what one call per message can serve, messages wait and only the response time says so.",
        origin,
    )
    note = (
        "Late: messages that were due before the engine was free. A closed loop, which waits for the engine before it sends the "
        "next, would show the service columns alone."
    )
    yield rows_table("Service and response", rows, columns, note=note, source=origin)


def again(found: Measurements) -> Iterator[Block]:
    """The commands that make this page again, and what has to be the same for its numbers to be."""
    how, machine = found.how, found.machine
    yield text(
        "The feed, the order within a round and the resampling of the intervals come from the seed and are the same again; "
        "times are not, and the A/A controls say by how much. Compare ratios of one run, not times of two."
    )
    steps = [f"git checkout {machine['commit']}"] if machine.get("commit") not in (None, "", "unknown") else []
    steps += ["make setup", how.get("command") or "hftlab report"]
    steps += [f"{how['again']}  # the same page from the stored results"] if how.get("again") else []
    yield Code("\n".join(steps))
    fields = dict.fromkeys(field for part in found.parts.values() for field in part.machine)
    rows = [(field.replace("_", " "), _each(found, field)) for field in fields]
    note = "What changed between the parts of the measurement is given for each; a fingerprint is equal where every field is."
    yield table("The fingerprint in full", ("what", "value"), rows, words=2, note=note)


def _each(found: Measurements, field: str) -> str:
    """A field of the fingerprint; where it changed from part to part, that of each."""
    values = {name: plain(part.machine.get(field)) for name, part in found.parts.items()}
    same = len(set(values.values())) == 1
    return next(iter(values.values())) if same else "; ".join(f"{name} {value}" for name, value in values.items())


def fills(found: Measurements, value: LatencyValue) -> Iterator[Block]:
    """What the engines' latencies are worth in fills and in money, and why the fills may be believed."""
    yield text(value.headline() + ".", kind="lead")
    caption = "Less than the base, with 95 % intervals, against latency. Dotted: the engines as they were measured above."
    first, part = next(iter(found.parts.items()))
    origin = (
        f"simulated by queue position on {value.feed}; latencies as measured under fingerprint {mark(part.machine)} ({first})"
    )
    yield figure("latency-value", "What latency is worth", value.plot(), caption, origin)
    yield from (replace(each, source=origin) for each in value.tables())
    yield text(*value.notes(), kind="list")
    if found.proofs:
        yield from (replace(each, source=origin) for each in found.proofs.tables())


#: Title, the part of the measurements that it is about ("": all of them), and what it shows.
CHAPTERS: tuple[tuple[str, str, Callable[..., Iterator[Block]]], ...] = (
    ("What was measured, on what", "", conditions),
    ("The verdict", "", verdict),
    ("Latency per message", "bench", latencies),
    ("The optimisations", "ablation", optimisations),
    ("Distributions", "bench", distributions),
    ("Where the time goes", "bench", stage_budget),
    ("The fastest engine alone", "latency", alone),
    ("Under load", "open_loop", under_load),
    ("What latency is worth", "fills", fills),
    ("How to do it again", "", again),
)
