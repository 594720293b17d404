"""Does every kind of chart draw what it is given: with units on its axes, gaps, one series or nine, nothing at all?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
import summaries as given
import vl_convert

from hftlab import charts
from hftlab.charts.base import MAX_ROWS, WIDTH, png_size
from hftlab.errors import HftlabError

SCALE = 10_000
Builder = Callable[[pl.DataFrame], Any]
#: Name -> chart of a frame, the frame, a column that every row needs ("" where rows are not checked), titles of axes.
KINDS: dict[str, tuple[Builder, pl.DataFrame | Callable[[], pl.DataFrame], str, set[str]]] = {
    "percentile": (
        charts.percentile_chart, given.quantiles, "ns", {"percentile (log scale of 1 / (1 - p))", "latency (ns to µs, log scale)"}
    ),
    "ridge": (charts.ridge_chart, given.bins, "count", {"latency (ns to µs, log scale)"}),
    "load": (
        lambda frame: charts.load_chart(frame, knee=0.7), given.loads, "ns",
        {"offered load (share of capacity)", "latency (µs, log scale)"},
    ),
    "budget": (charts.budget_chart, given.BUDGET, "ns", {"ns per message (linear scale)"}),
    "steps": (charts.waterfall_chart, given.STEPS, "ns", {"time per message (ns to µs, log scale)"}),
    "steps, linear": (lambda frame: charts.waterfall_chart(frame, log=False), given.STEPS, "ns", {"ns per message"}),
    "ratio": (
        lambda frame: charts.ratio_chart(frame, "title", x_title="speed-up"), given.RATIOS, "ratio",
        {"from best", "from naive", "speed-up (log scale)"},
    ),
    "depth": (
        lambda frame: charts.depth_chart(frame, SCALE), lambda: given.market()["book"], "qty",
        {"price", "quantity at the price (shares or lots): bids left, asks right"},
    ),
    "queue": (
        lambda frame: charts.queue_chart(frame, frame["order_id"].to_list()[-1:]), lambda: given.market()["queue"], "qty",
        {"quantity from the front (shares or lots)"},
    ),
    "price": (
        lambda frame: charts.price_chart(frame, SCALE, given.market()["orders"]), lambda: given.market()["rows"], "microprice",
        {"price (currency)", "time since the first quote (s)"},
    ),
    "signal": (
        lambda frame: charts.signal_chart(frame, SCALE), lambda: given.market()["rows"], "ofi", {"time since the first quote (s)"}
    ),
    "line": (
        lambda frame: charts.line_chart(frame, "title", x="levels", y="reads", log_y=True), given.LINES, "y",
        {"levels", "reads (log scale)"},
    ),
    "panels": (
        lambda frame: charts.line_chart(frame, "title", x="time (ms)", y="wait", ns=True, spans={"rust": (1, 9)}, mark="dots"),
        given.QUEUES, "y", {"time (ms)", "wait (ns, log scale)"},
    ),
    "ffi": (charts.ffi_chart, given.CALLS, "", {"messages per call (log scale)", "ns per message (log scale)"}),
    "round trip": (charts.round_trip_chart, given.TRANSPORTS, "p50", {"round trip (ns to µs, log scale)"}),
    "tick to trade": (
        lambda frame: charts.tick_to_trade_chart(frame, given.SHARES), given.PATHS, "",
        {"ns per message (linear scale)", "due time to order arrival (ns to µs, log scale)"},
    ),
    "bar": (lambda frame: charts.bar_chart(frame, "title", x_title="a (b)"), given.BARS, "", {"a (b)"}),
    "dot": (lambda frame: charts.dot_chart(frame, "title", x_title="a (b)"), given.BARS, "", {"a (b) (log scale)"}),
    "icicle": (lambda frame: charts.icicle_chart(frame, "title"), given.TREE, "", {"share"}),
}  # fmt: skip
CHECKED = [name for name, (_, _, column, _) in KINDS.items() if column]


def frame_of(name: str) -> pl.DataFrame:
    frame = KINDS[name][1]
    return frame if isinstance(frame, pl.DataFrame) else frame()


def parts(spec: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a specification."""
    if isinstance(spec, dict):
        yield spec
        spec = list(spec.values())
    if isinstance(spec, list):
        for value in spec:
            yield from parts(value)


def axis_titles(spec: dict[str, Any]) -> set[str]:
    axes = [part["axis"] for part in parts(spec) if isinstance(part.get("axis"), dict)]
    titles = [part["title"] for part in parts(spec) if part.get("type") == "quantitative" and isinstance(part.get("title"), str)]
    return {axis["title"] for axis in axes if axis.get("title")} | {title for title in titles if title == "price (currency)"}


@pytest.mark.parametrize("name", KINDS)
def test_it_is_a_picture_that_fits_with_units_on_its_axes(name: str) -> None:
    build, _, _, titles = KINDS[name]
    spec = build(frame_of(name)).to_dict()
    assert axis_titles(spec["config"] and {key: value for key, value in spec.items() if key != "config"}) == titles
    assert spec == build(frame_of(name)).to_dict()
    assert max(len(part["data"]["values"]) for part in parts(spec) if "values" in part.get("data", {})) <= MAX_ROWS
    assert vl_convert.vegalite_to_svg(spec, vl_version="5.8")  # about what JupyterLab has built in
    png = charts.render(spec)[0]["image/png"]
    width, height = png_size(png)
    assert 300 < width / 2 <= WIDTH
    assert height / 2 > 70
    assert max(len(png), len(json.dumps(spec))) < 150_000


@pytest.mark.parametrize("name", CHECKED)
def test_gaps_do_not_break_it_and_a_missing_column_is_named(name: str) -> None:
    build, _, column, _ = KINDS[name]
    full = frame_of(name).with_columns(pl.col(column).cast(pl.Float64)).head(400)
    holes = [None, float("nan"), float("inf"), -float("inf")]
    holed = full.with_columns(pl.Series(column, [holes[at % 4] if at % 5 == 1 else x for at, x in enumerate(full[column])]))
    for broken in (holed, full.with_columns(pl.lit(None, pl.Float64).alias(column)), full.clear()):
        svg = vl_convert.vegalite_to_svg(build(broken).to_dict())
        assert "NaN" not in svg
        assert "undefined" not in svg
    assert "no data" in svg
    with pytest.raises(HftlabError, match=f"needs a column '{column}'; the frame has "):
        build(frame_of(name).drop(column))


@pytest.mark.parametrize("name", ["percentile", "ridge", "load", "budget"])
def test_one_series_or_nine_with_long_names_a_thousand_times_apart_fit(name: str) -> None:
    build = KINDS[name][0]
    first = frame_of(name)
    column = "engine" if name == "budget" else "series"
    first = first.filter(pl.col(column) == "python") if column in first.columns else first
    names = [f"book=btree orders=std pool=False signal=recompute {at}" for at in range(7)] + ['it\'s \\ "quoted"', "A/A control"]
    values = [value for value in ("ns", "low_ns", "high_ns") if value in first.columns]
    nine = [first.with_columns(pl.lit(one).alias(column), pl.col(values) / 3.2**at) for at, one in enumerate(names)]
    for together in (first, pl.concat(nine)):
        svg = vl_convert.vegalite_to_svg(build(together).to_dict())
        assert float(re.findall(r'<svg[^>]* width="([\d.]+)"', svg)[0]) <= WIDTH
    texts = re.findall(r">([^<>]+)</t(?:ext|span)>", svg)
    assert [at for at in range(7) if not any(text.endswith(f"signal=recompute {at}") for text in texts)] == []
    assert "A/A control" in texts
