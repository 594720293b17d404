"""Do charts draw the right values: where lines end, what bars add up to, what thinning keeps, what an error names?"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import summaries as given

from hftlab import charts
from hftlab.charts.base import STAGE_COLOURS, STAGE_TITLES, stage_colours
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.measurement.distribution import TITLES

SCALE = 10_000


def test_a_control_is_grey_and_dashed_and_takes_no_colour_from_the_others() -> None:
    encoding = charts.percentile_chart(given.quantiles()).to_dict()["layer"][0]["encoding"]
    assert encoding["color"]["scale"]["domain"] == ["python", "rust", "control"]
    assert encoding["color"]["scale"]["range"] == [*charts.PALETTE[:2], "#888888"]
    assert encoding["strokeDash"]["scale"]["range"] == [[1, 0], [1, 0], [4, 4]]


def test_a_line_ends_where_the_frame_does_and_the_maximum_has_no_place() -> None:
    frame = pl.DataFrame({"series": ["a"] * 4, "percentile": [0.0, 50.0, 99.0, 100.0], "ns": [10.0, 20.0, 90.0, 9e9]})
    ends = charts.percentile_chart(frame).to_dict()["layer"][1]["data"]["values"]
    assert [(end["percentile"], round(end["one_in"])) for end in ends] == [(99.0, 100)]


def test_the_ridge_marks_the_median_of_its_bins() -> None:
    marks = charts.ridge_chart(given.bins()).to_dict()["layer"][1]["data"]["values"]
    medians = [np.median(given.samples(at)) for at in given.SERIES.values()]
    assert [mark["ns"] for mark in marks] == pytest.approx(medians, rel=0.03)


def test_the_bars_of_a_budget_hang_together_and_share_a_scale_unless_far_apart() -> None:
    frame = given.frame(
        "engine stage ns", ("a", "tick", 10.0), ("a", "book", -1.0), ("a", "x", 30.0), ("b", "tick", 5.0), ("b", "x", 15.0)
    )
    bars = [panel["layer"][0] for panel in charts.budget_chart(frame).to_dict()["vconcat"]]
    assert [(part["start"], part["end"]) for part in bars[0]["data"]["values"]] == [(0, 10), (10, 10), (10, 40)]
    assert [bar["encoding"]["x"]["scale"]["domain"] for bar in bars] == [[0, 40], [0, 40]]
    own = charts.budget_chart(frame.with_columns(pl.col("ns") * pl.when(engine="b").then(0.1).otherwise(1))).to_dict()
    assert [panel["layer"][0]["encoding"]["x"]["scale"]["domain"] for panel in own["vconcat"]] == [[0, 40], [0, 2]]


def test_a_stage_has_its_colour_in_every_chart() -> None:
    budget = charts.budget_chart(given.BUDGET).to_dict()["vconcat"][0]["layer"][0]
    bar, icicle = (
        chart.to_dict()["layer"][0] for chart in (charts.bar_chart(given.BARS, "t"), charts.icicle_chart(given.TREE, "t"))
    )
    dot = charts.dot_chart(given.BARS, "t").to_dict()["layer"][1]
    for layer in (budget, bar, icicle, dot):
        scale = layer["encoding"]["color"]["scale"]
        colours = dict(zip(scale["domain"], scale["range"], strict=True))
        assert colours.keys() & STAGE_COLOURS.keys()
        assert colours.items() >= {(name, STAGE_COLOURS[name]) for name in colours if name in STAGE_COLOURS}
        assert len(set(colours.values())) == len(colours)
    assert {TITLES[name]: name for name in STAGE_COLOURS if name in TITLES} == {**STAGE_TITLES, "order": "order"}
    assert stage_colours(["order book update", "book"]) == [STAGE_COLOURS["book"]] * 2


def test_the_bars_of_a_waterfall_hang_together() -> None:
    steps = given.frame(
        "label ns kind", ("naive", 120.0, "start"), ("a", 130.0, "step"), ("b", 60.0, "step"), ("best", 60.0, "end")
    )
    bars = charts.waterfall_chart(steps).to_dict()["layer"][0]["data"]["values"]
    assert [(bar["low"], bar["high"]) for bar in bars] == [(0, 120), (120, 130), (60, 130), (0, 60)]
    assert [(bar["kind"], bar["text"]) for bar in bars] == [
        ("start", "120.0"), ("slower", "+10.0"), ("faster", "−70.0"), ("end", "60.0"),
    ]  # fmt: skip
    ratios = charts.waterfall_chart(given.STEPS).to_dict()["layer"][0]["data"]["values"]
    assert [bar["text"] for bar in ratios] == ["5.20 µs", "÷1.3", "×1.05", "÷29", "÷1.5", "÷2.0", "50.0 ns"]


def test_every_verdict_has_its_colour_in_its_panel() -> None:
    panels = charts.ratio_chart(given.RATIOS, "title").to_dict()["vconcat"]
    words = [[row["word"] for row in panel["layer"][1]["data"]["values"]] for panel in panels]
    assert words == [["faster", "no difference", "A/A control"], ["slower"]]


def test_a_line_per_series_with_steps_a_rule_marks_and_intervals() -> None:
    frame = pl.DataFrame({"series": ["a", "a", "b", "b"], "x": [0, 1, 0, 1], "y": [1.0, 2.0, 3.0, float("nan")]})
    rule, lines = charts.line_chart(frame, "Title", mark="step", rule=0.5).to_dict()["layer"]
    assert lines["mark"]["interpolate"] == "step-after"
    assert len(lines["data"]["values"]) == 3  # NaN has no place
    assert lines["encoding"]["color"]["scale"]["domain"] == ["a", "b"]
    assert rule["data"]["values"] == [{"at": 0.5}]
    spans = frame.with_columns(low=pl.col("y") * 0.9, high=pl.col("y") * 1.1)
    spec = charts.line_chart(spans, "Title", marks={"L2": 0.5}, log_y=True).to_dict()
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rule", "text", "line", "rule", "point"]
    assert spec["layer"][1]["data"]["values"] == [{"label": "L2", "at": 0.5}]


def test_thinning_keeps_every_spike_the_order_and_the_bound() -> None:
    price = np.sin(np.arange(100_000) / 900)
    price[[7, 33_333, 70_001]] = [9.0, -9.0, 8.0]
    frame = pl.DataFrame({"index": np.arange(100_000), "price": price}).with_columns(gap=pl.lit(None, pl.Float64))
    thinned = charts.thin(frame, 500)
    assert {0, 7, 33_333, 70_001, 99_999} <= set(thinned["index"])
    assert len(thinned) <= 500
    assert thinned["index"].is_sorted()
    assert thinned.columns == frame.columns
    assert charts.thin(frame.head(500), 500).height == 500
    with pytest.raises(ConfigError, match="at least 6, got 5"):
        charts.thin(frame, 5)


def test_what_cannot_be_drawn_is_an_error_in_one_sentence() -> None:
    rows = given.market()["rows"]
    with pytest.raises(HftlabError, match="one instrument; the frame has rows of 2"):
        charts.price_chart(pl.concat([rows, rows.with_columns(instrument=pl.lit(2, pl.UInt16))]), SCALE)
    with pytest.raises(HftlabError, match="5,001 rows; at most 5,000"):
        charts.line_chart(pl.DataFrame({name: np.arange(5_001) for name in ("series", "x", "y")}), "title")
    for draw, text in (
        (lambda: charts.signal_chart(rows, SCALE, ["alpha"]), "signal 'alpha'; known: mid"),
        (lambda: charts.price_chart(rows, SCALE, by="day"), "x axis 'day'"),
        (lambda: charts.waterfall_chart(given.STEPS.with_columns(kind=pl.lit("total"))), "kind of step 'total'"),
        (lambda: charts.load_chart(given.loads().with_columns(time=pl.lit("late"))), "time 'late'"),
    ):
        with pytest.raises(UnknownName, match=text):
            draw()
