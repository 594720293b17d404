"""The charts of a report, each with a caption that says how to read it. They are drawn by `hftlab.charts`, from the facts "
"alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hftlab.measurement.distribution import TITLES
from hftlab.presentation.document import Figure
from hftlab.reporting.conditions import bench_source, source
from hftlab.reporting.facts import Facts, whole_ns

if TYPE_CHECKING:
    import polars as pl

#: Percentiles of the open loop that a line is drawn for.
_LOADS = ("p50", "p99", "p99.9")


def frame(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Rows of plain values as a frame, each column of the type that all its values have."""
    import polars as pl

    return pl.DataFrame(list(rows), infer_schema_length=None)


def figure(name: str, title: str, chart: Any, caption: str, told: str) -> Figure:
    """A chart with its theme in it."""
    from hftlab.charts.base import THEME, alt

    with alt.theme.enable(THEME), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Altair thinks of a chart is for whoever writes charts
        spec = chart.to_dict(validate=False)  # charts are tested where they are written
    return Figure(name, title, spec, caption, told)


def waterfall(facts: Facts) -> Iterator[Figure]:
    """From the Python engine over naive Rust to the best, one optimisation after the other."""
    from hftlab.charts import waterfall_chart

    found = facts.part("ablation")
    if not found:
        return
    ladder = [step for step in found["rows"] if step["start"] == "ladder" and step["verdict"] != "control"]
    steps, whole = [step for step in ladder if step["axis"] != "all"], next(step for step in ladder if step["axis"] == "all")
    python = next((one for one in facts.engines if one["backend"] == "python"), None)
    naive = whole["from_ns_per_message"]
    rows = [{"label": "Python engine", "ns": whole_ns(python), "kind": "start"}] if python else []
    rows.append({"label": "the same in Rust, naive", "ns": naive, "kind": "step" if python else "start"})
    for step in steps:
        label = f"{step['axis']}: {step['from']} → {step['to']}"
        rows.append({"label": label, "ns": step["to_ns_per_message"], "kind": "step"})
    rows.append({"label": "best", "ns": whole["to_ns_per_message"], "kind": "end"})
    caption = (
        "Read from top to bottom: the whole bars are the first and the last engine, each bar between them reaches from the "
        "time of a message before a step to the time after it. On the logarithmic axis equal lengths are equal ratios, which "
        "the labels give."
    )
    told = source(facts, "ablation", f"unstamped passes, {found['messages']:,} messages, {found['rounds']} paired rounds")
    if python:
        told = f"Python engine: {bench_source(facts, 'unstamped passes')}. Rust: {told}"
    yield figure("waterfall", "Before and after", waterfall_chart(frame(rows), "Before and after", log=True), caption, told)


def forest(facts: Facts) -> Iterator[Figure]:
    """Every switch with its interval, beside the controls."""
    from hftlab.charts import forest_chart

    found = facts.part("ablation")
    if not found:
        return
    columns = ("start", "axis", "from", "to", "from_ns_per_message", "to_ns_per_message", "ratio", "low", "high", "verdict")
    rows = [{name: str(step[name]) if name in ("from", "to") else step[name] for name in columns} for step in found["rows"]]
    caption = (
        "A dot is how many times as fast an engine is after one switch, its line the 95 % interval; right of 1 is faster. The "
        "grey band is the A/A control, an engine against itself: a dot within it is no difference."
    )
    told = source(facts, "ablation", f"{found['messages']:,} messages, {found['rounds']} paired rounds")
    yield figure("forest", "What each switch is worth", forest_chart(frame(rows)), caption, told)


def budget(facts: Facts) -> Iterator[Figure]:
    """What of a message each stage takes."""
    from hftlab.charts import budget_chart

    rows = [
        {"engine": one["label"], "stage": TITLES[part], "ns": ns}
        for one in facts.engines
        for part, ns in one["stage_ns_per_message"].items()
    ]
    if not rows:
        return
    caption = (
        "A bar is a message, its parts the stages, from differences of unstamped passes. Where engines lie far apart each bar "
        "has an axis of its own: compare parts within a bar, and bars by the numbers on their axes."
    )
    yield figure("budget", "Where the time goes", budget_chart(frame(rows)), caption, bench_source(facts, "unstamped passes"))


def distributions(facts: Facts) -> Iterator[Figure]:
    """End to end of every engine, as percentiles, as chances, and as histograms; then the stages of the fastest."""
    from hftlab.charts import ccdf_chart, percentile_chart, ridge_chart

    spectrum, bins = facts.part("spectrum"), facts.part("bins")
    if not spectrum or not bins:
        return
    told, points = bench_source(facts), frame(spectrum)
    yield figure(
        "percentiles",
        "End to end by percentile",
        percentile_chart(points, "End to end by percentile", what="end to end"),
        "Each step to the right has a tenth of the messages beyond it. A line ends where fewer than 100 messages are left, "
        "which is as far as this sample can say anything. Flat is steady; a line that climbs at the right has a tail.",
        told,
    )
    yield figure(
        "ccdf",
        "The chance of being slower",
        ccdf_chart(points, "The chance of being slower", what="end to end"),
        "For each latency on the horizontal axis, the share of messages that took longer. Lower and further left is better; a "
        "straight slope down is a heavy tail, a cliff is a bound.",
        told,
    )
    totals = [{**row, "series": row["engine"]} for row in bins if row["stage"] == "total"]
    yield figure(
        "ridges",
        "End to end as histograms",
        ridge_chart(frame(totals), "End to end, engine by engine", what="end to end"),
        "A ridge for each engine, scaled to its own highest place: the shape is to be compared, not the height. Several humps "
        "are several kinds of messages, or of paths through the code. The white line is the median.",
        told,
    )
    fastest = facts.fastest
    stages = [{**row, "series": TITLES[row["stage"]]} for row in bins if fastest and row["engine"] == fastest["label"]]
    if fastest and len({row["series"] for row in stages}) > 1:
        yield figure(
            "stages",
            f"The stages of {fastest['label']}",
            ridge_chart(frame(stages), f"The stages of {fastest['label']}", what="latency"),
            "As above, for the stages of the fastest engine. Where a stage is shorter than a reading of the clock, its ridge "
            "shows the steps of the clock, not the stage.",
            told,
        )


def heat(facts: Facts) -> Iterator[Figure]:
    """The fastest engine over the feed."""
    from hftlab.charts import heat_chart

    best = facts.part("best")
    if not best or not best["timeline"]:
        return
    title = f"{best['label']} over the feed"
    yield figure(
        "heat",
        title,
        heat_chart(frame(best["timeline"]), "message number", title, what="end to end"),
        "From left to right the feed, upwards the latency, the colour how many messages. A level band is steady; a step is a "
        "change of the market or of the machine; single cells high up are the outliers of the table of slowest messages.",
        source(facts, "best", f"one stamped pass over {best['messages']:,} messages"),
    )


def load(facts: Facts) -> Iterator[Figure]:
    """Service and response time against the rate."""
    from hftlab.charts import load_chart

    found = facts.part("open_loop")
    if not found:
        return
    rows = [
        {"load": one["rate_per_s"], "percentile": name, "ns": one[time][name], "time": time}
        for one in found["rates"]
        for time in ("service", "response")
        for name in _LOADS
        if one[time][name]
    ]
    if len({row["load"] for row in rows}) < 2:
        return
    label = facts.told["best"]["label"]
    chart = load_chart(frame(rows), "messages per second sent", f"{label} under load", load_format="~s", what="latency")
    yield figure(
        "load",
        f"{label} under load",
        chart,
        "Service time counts from when the engine got a message, response time from when the message was due. As the rate "
        "nears what one call per message can serve, messages wait and only the response time says so.",
        source(facts, "best", "open loop, one call per message"),
    )


def flight(facts: Facts) -> Iterator[Figure]:
    """The slowest messages, stage by stage, among their neighbours."""
    from hftlab.charts import timeline_chart

    found = facts.part("flight")
    if not found:
        return
    yield figure(
        "flight",
        "The slowest messages among their neighbours",
        timeline_chart(frame(found["messages"]), frame(found["rows"]), found["engine"]),
        "A row is a message, its stages one after the other from its own beginning; the wait before it stands at the left. "
        "Compare the slow one with those around it: the stage that is long there alone is where the time went.",
        source(facts, "best", "one stamped pass"),
    )
