"""The charts of a report, each with a caption that says how to read it. They are drawn by `hftlab.charts`, from results alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from hftlab import charts
from hftlab.charts.base import THEME, alt
from hftlab.experiments.ablation import Kind
from hftlab.measurement.distribution import TITLES
from hftlab.presentation.document import Figure
from hftlab.reporting.conditions import source
from hftlab.reporting.measurements import Measurements

#: Percentiles of the open loop that a line is drawn for.
_LOADS = ("p50", "p99", "p99.9")


def frame(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Rows of plain values as a frame, each column of the type that all its values have."""
    return pl.DataFrame(list(rows), infer_schema_length=None)


def figure(name: str, title: str, chart: Any, caption: str, source: str) -> Figure:
    """A chart with its theme in it."""
    with alt.theme.enable(THEME), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Altair thinks of a chart is for whoever writes charts
        spec = chart.to_dict(validate=False)  # charts are tested where they are written
    return Figure(name, title, spec, caption, source)


def waterfall(found: Measurements) -> Iterator[Figure]:
    """From the Python engine over naive Rust to the best, one optimisation after the other."""
    if not found.ablation:
        return
    steps = [step for step in found.ablation.steps if step.switch.start == "ladder" and step.switch.kind is not Kind.CONTROL]
    whole = next(step for step in steps if step.switch.kind is Kind.WHOLE)
    python = next((engine for engine in found.bench.engines if engine.backend == "python"), None) if found.bench else None
    rows = [{"label": "Python engine", "ns": python.whole_ns, "kind": "start"}] if python else []
    rows.append({"label": "the same in Rust, naive", "ns": whole.paired.base_ns, "kind": "step" if python else "start"})
    for step in steps:
        if step is not whole:
            before, after = step.switch.names
            rows.append({"label": f"{step.switch.axis}: {before} → {after}", "ns": step.paired.ns, "kind": "step"})
    rows.append({"label": "best", "ns": whole.paired.ns, "kind": "end"})
    origin = source(found, "ablation", "unstamped passes")
    yield figure(
        "waterfall",
        "Before and after",
        charts.waterfall_chart(frame(rows), "Before and after", log=True),
        "Read from top to bottom: the whole bars are the first and the last engine, each bar between them reaches from the "
        "time of a message before a step to the time after it. On the logarithmic axis equal lengths are equal ratios, which "
        "the labels give.",
        f"Python engine: {source(found, 'bench', 'unstamped passes')}. Rust: {origin}" if python else origin,
    )


def forest(found: Measurements) -> Iterator[Figure]:
    """Every switch with its interval, beside the controls."""
    if found.ablation:
        yield figure(
            "forest",
            "What each switch is worth",
            found.ablation.forest(),
            "A dot is how many times as fast an engine is after one switch, its line the interval; right of 1 is faster. The "
            "grey band is the A/A control, an engine against itself: a dot within it is no difference.",
            source(found, "ablation", "unstamped passes"),
        )


def budget(found: Measurements) -> Iterator[Figure]:
    """What of a message each stage takes."""
    if found.bench:
        yield figure(
            "budget",
            "Where the time goes",
            charts.budget_chart(found.bench.stages().rename({"ns_per_message": "ns"})),
            "A bar is a message, its parts the stages, from differences of unstamped passes. Where engines lie far apart each "
            "bar has an axis of its own: compare parts within a bar, and bars by the numbers on their axes.",
            source(found, "bench", "unstamped passes"),
        )


def distributions(found: Measurements) -> Iterator[Figure]:
    """End to end of every engine, as percentiles, as chances, and as histograms; then the stages of the fastest."""
    totals = (
        [(engine.label, row) for engine in found.bench.engines if (row := engine.distribution("total"))] if found.bench else []
    )
    if not found.bench or not totals:
        return
    origin = source(found, "bench", "stamps of every message")
    points = frame({"series": label, **point} for label, row in totals for point in row.spectrum())
    yield figure(
        "percentiles",
        "End to end by percentile",
        charts.percentile_chart(points, "End to end by percentile", what="end to end"),
        "Each step to the right has a tenth of the messages beyond it. A line ends where fewer than 100 messages are left, "
        "which is as far as this sample can say anything. Flat is steady; a line that climbs at the right has a tail.",
        origin,
    )
    yield figure(
        "ccdf",
        "The chance of being slower",
        charts.ccdf_chart(points, "The chance of being slower", what="end to end"),
        "For each latency on the horizontal axis, the share of messages that took longer. Lower and further left is better; a "
        "straight slope down is a heavy tail, a cliff is a bound.",
        origin,
    )
    bins = frame({"series": label, **each} for label, row in totals for each in row.bins())
    yield figure(
        "ridges",
        "End to end as histograms",
        charts.ridge_chart(bins, "End to end, engine by engine", what="end to end"),
        "A ridge for each engine, scaled to its own highest place: the shape is to be compared, not the height. Several humps "
        "are several kinds of messages, or of paths through the code. The white line is the median.",
        origin,
    )
    fastest = found.bench.fastest
    stages = [{"series": TITLES[row.part], **each} for row in fastest.latency_ns for each in row.bins()]
    if len({row["series"] for row in stages}) > 1:
        title = f"The stages of {fastest.label}"
        yield figure(
            "stages",
            title,
            charts.ridge_chart(frame(stages), title, what="latency"),
            "As above, for the stages of the fastest engine. Where a stage is shorter than a reading of the clock, its ridge "
            "shows the steps of the clock, not the stage.",
            origin,
        )


def heat(found: Measurements) -> Iterator[Figure]:
    """The fastest engine over the feed."""
    if found.latency and found.latency.heat:
        title = f"{found.latency.label} over the feed"
        yield figure(
            "heat",
            title,
            charts.heat_chart(found.latency.timeline(), "message number", title, what="end to end"),
            "From left to right the feed, upwards the latency, the colour how many messages. A level band is steady; a step is a "
            "change of the market or of the machine; single cells high up are the outliers of the table of slowest messages.",
            source(found, "latency", "one stamped pass"),
        )


def load(found: Measurements) -> Iterator[Figure]:
    """Service and response time against the rate."""
    rows = [
        {"load": load.rate_per_s, "percentile": name, "ns": ns, "time": time}
        for load in found.open_loop
        for time, row in (("service", load.service), ("response", load.response))
        for name in _LOADS
        if (ns := row.percentiles[name])
    ]
    if found.latency and len({row["load"] for row in rows}) > 1:
        title = f"{found.latency.label} under load"
        yield figure(
            "load",
            title,
            charts.load_chart(frame(rows), "messages per second sent", title, load_format="~s", what="latency"),
            "Service time counts from when the engine got a message, response time from when the message was due. As the rate "
            "nears what one call per message can serve, messages wait and only the response time says so.",
            source(found, "latency", "open loop, one call per message"),
        )


def slowest(found: Measurements) -> Iterator[Figure]:
    """The slowest messages, stage by stage, among their neighbours."""
    if found.latency and found.latency.slowest:
        yield figure(
            "slowest",
            "The slowest messages among their neighbours",
            found.latency.slowest.plot(),
            "A row is a message, its stages one after the other from its own beginning; the wait before it stands at the left. "
            "Compare the slow one with those around it: the stage that is long there alone is where the time went.",
            source(found, "latency", "one stamped pass"),
        )
