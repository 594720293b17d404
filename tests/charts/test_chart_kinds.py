"""Does every kind of chart hold what a laboratory puts into it: real runs, one series or eight, gaps, nothing at all?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from summaries import STEPS, bins, loads, market, over_time, quantiles, run, samples

from hftlab import charts
from hftlab.charts.base import MOST_ROWS, WIDTH
from hftlab.charts.show import png_size
from hftlab.errors import HftlabError

vl_convert = pytest.importorskip("vl_convert")
SCALE = 10_000


@cache
def budget() -> pl.DataFrame:
    """ns per message and stage: medians of a stamped run, and of an engine a thousand times as fast."""
    stages = run().latency or {}
    rows = [("python", name, float(np.median(ns))) for name, ns in stages.items() if name != "total"]
    rows += [("a quick one", stage, ns / 1000) for _, stage, ns in rows]
    return pl.DataFrame([*rows, ("a quick one", "noise", -0.3)], schema=["engine", "stage", "ns"], orient="row")


Builder = Callable[[pl.DataFrame], Any]
#: Name -> chart of a frame, the frame, words on it, a column that may lack.
KINDS: dict[str, tuple[Builder, Callable[[], pl.DataFrame], list[str], str]] = {
    "percentile": (
        lambda frame: charts.percentile_chart(frame, subtitle="here"),
        lambda: quantiles(samples(), 121),
        ["python", "control", "50%", "99%", "percentile", "latency (", "log scale)"],
        "ns",
    ),
    "ccdf": (
        lambda frame: charts.ccdf_chart(frame, subtitle="here"),
        lambda: quantiles(samples(), 121),
        ["python", "control", "100%", "1%", "P(X &gt; x) (%, log scale)", "latency ("],
        "ns",
    ),
    "ridge": (
        lambda frame: charts.ridge_chart(frame, subtitle="here"),
        lambda: bins(samples()),
        ["python", "control", "p50 ", "latency ("],
        "count",
    ),
    "heat": (
        lambda frame: charts.heat_chart(frame, "message index", subtitle="here"),
        lambda: over_time(samples()["python"]),
        ["message index", "messages in a cell (log scale)", "latency ("],
        "count",
    ),
    "hockey": (
        lambda frame: charts.load_chart(frame, knee=0.7, subtitle="here"),
        lambda: loads(samples()["python"][:4_000]),
        [
            "response time, from the intended send time",
            "service time",
            "p99.9",
            "knee",
            "offered load (share of capacity)",
            "80%",
        ],
        "ns",
    ),
    "budget": (
        lambda frame: charts.budget_chart(frame, subtitle="here"),
        budget,
        ["a quick one", "ns per message (linear scale)", "signal", "%", "each bar on a scale of its own"],
        "ns",
    ),
    "steps": (
        lambda frame: charts.waterfall_chart(frame, subtitle="here"),
        lambda: STEPS,
        ["÷29", "×1.05", "÷2.0", "5.20 µs", "50.0 ns", "time per message (ns to µs, log scale)", "slower"],
        "ns",
    ),
    "steps, linear": (
        lambda frame: charts.waterfall_chart(frame, subtitle="here", log=False),
        lambda: STEPS,
        ["−1,100.0", "+200.0", "5,200.0", "ns per message"],
        "ns",
    ),
    "depth": (
        lambda frame: charts.depth_chart(frame, SCALE, subtitle="here"),
        lambda: market()["book"],
        ["price", "shares or lots", "bid", "ask", "spread 0.0", " in "],
        "qty",
    ),
    "queue": (
        lambda frame: charts.queue_chart(frame, frame["order_id"].to_list()[-1:], subtitle="here"),
        lambda: market()["queue"],
        ["ours", "ahead of us", "shares or lots from the front"],
        "qty",
    ),
    "price": (
        lambda frame: charts.price_chart(frame, SCALE, market()["orders"], subtitle="here"),
        lambda: market()["rows"],
        ["best bid", "best ask", "microprice", "buy", "price (currency)", "time since the first quote (s)", "own orders"],
        "microprice",
    ),
    "signal": (
        lambda frame: charts.signal_chart(frame, SCALE, by="index", subtitle="here"),
        lambda: market()["rows"],
        ["microprice (currency)", "imbalance (−1 to 1)", "ofi", "score", "message index"],
        "ofi",
    ),
}


def drawn(chart: Any) -> str:
    """The chart as SVG."""
    return str(vl_convert.vegalite_to_svg(chart.to_dict()))


def tables(spec: Any) -> Iterator[list[dict[str, Any]]]:
    """Every list of rows in a specification."""
    if isinstance(spec, dict):
        if isinstance(spec.get("data"), dict):
            yield spec["data"]["values"]
        for value in spec.values():
            yield from tables(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from tables(value)


@pytest.mark.parametrize("name", KINDS)
def test_it_becomes_a_picture_that_fits_with_every_word_on_it(name: str) -> None:
    build, frame, words, _ = KINDS[name]
    chart = build(frame())
    spec = chart.to_dict()
    for version in (None, "5.8"):  # the latest, and about what JupyterLab has built in
        svg = vl_convert.vegalite_to_svg(spec, vl_version=version)
        assert [word for word in [*words, "here"] if word not in svg] == []
    png = charts.render(spec)["image/png"]
    width, height = png_size(png)
    assert 400 < width / 2 <= WIDTH
    assert height / 2 > 100
    assert len(png) < 150_000
    assert len(json.dumps(spec)) < 150_000


@pytest.mark.parametrize("name", KINDS)
def test_the_same_frame_gives_the_same_chart_and_few_rows(name: str) -> None:
    build, frame, _, _ = KINDS[name]
    spec = build(frame()).to_dict(validate=False)
    assert spec == build(frame()).to_dict(validate=False)
    sizes = [len(rows) for rows in tables(spec)]
    assert sizes
    assert max(sizes) <= MOST_ROWS


@pytest.mark.parametrize("name", KINDS)
def test_gaps_do_not_break_it(name: str) -> None:
    build, frame, _, column = KINDS[name]
    full = frame().with_columns(pl.col(column).cast(pl.Float64)).head(400)
    holes = [None, float("nan"), float("inf"), -float("inf")]
    holed = full.with_columns(pl.Series(column, [holes[at % 4] if at % 5 == 1 else x for at, x in enumerate(full[column])]))
    for broken in (holed, full.with_columns(pl.lit(None, pl.Float64).alias(column)), full.clear()):
        svg = drawn(build(broken))
        assert "NaN" not in svg
        assert "undefined" not in svg
    assert "no data" in drawn(build(full.clear()))


@pytest.mark.parametrize("name", KINDS)
def test_a_column_that_lacks_is_named(name: str) -> None:
    build, frame, _, column = KINDS[name]
    with pytest.raises(HftlabError, match=f"needs a column '{column}'; the frame has "):
        build(frame().drop(column))


@pytest.mark.parametrize("name", ["percentile", "ccdf", "ridge", "hockey", "budget"])
def test_one_series_or_nine_with_long_names_a_thousand_times_apart_fit(name: str) -> None:
    build, frame, _, _ = KINDS[name]
    first = frame().gather_every(1 if name in ("budget", "hockey") else 2)
    column = "engine" if name == "budget" else "series"
    first = first.filter(pl.col(column) == "python") if column in first.columns else first
    names = [f"book=btree orders=std pool=False signal=recompute {at}" for at in range(7)] + ['it\'s \\ "quoted"', "A/A control"]
    values = [value for value in ("ns", "low_ns", "high_ns") if value in first.columns]
    nine = [first.with_columns(pl.lit(one).alias(column), pl.col(values) / 3.2**at) for at, one in enumerate(names)]
    for together in (first, pl.concat(nine)):
        svg = drawn(build(together))
        assert float(re.findall(r'<svg[^>]* width="([\d.]+)"', svg)[0]) <= WIDTH
    seen = re.findall(r">([^<>]+)</t(?:ext|span)>", svg)
    assert [at for at in range(7) if not any(text.endswith(f"signal=recompute {at}") for text in seen)] == []
    assert "A/A control" in seen
