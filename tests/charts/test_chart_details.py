"""Do charts say the right thing: where lines end, what bars add up to, what thinning keeps, what an error names?"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from summaries import STEPS, bins, market, quantiles

from hftlab import charts
from hftlab.errors import ConfigError, HftlabError, UnknownName

pytest.importorskip("altair")
SCALE = 10_000


def test_a_control_is_grey_and_dashed_and_takes_no_colour_from_the_others() -> None:
    spec = charts.percentile_chart(quantiles({"control": np.arange(1.0, 9e3), "rust": np.arange(1.0, 9e3)})).to_dict()
    told = spec["layer"][0]["encoding"]
    assert told["color"]["scale"]["range"] == ["#888888", charts.PALETTE[0]]
    assert told["strokeDash"]["scale"]["range"] == [[4, 4], [1, 0]]


def test_a_line_ends_where_the_frame_does_and_the_maximum_has_no_place() -> None:
    frame = pl.DataFrame({"series": ["a"] * 4, "percentile": [0.0, 50.0, 99.0, 100.0], "ns": [10.0, 20.0, 90.0, 9e9]})
    spec = charts.percentile_chart(frame).to_dict()
    ends = spec["layer"][1]["data"]["values"]
    assert [(end["percentile"], round(end["one_in"])) for end in ends] == [(99.0, 100)]


def test_the_ridge_says_the_median_of_its_bins() -> None:
    ns = np.random.default_rng(3).lognormal(8, 0.4, 50_000)
    spec = charts.ridge_chart(bins({"a": ns})).to_dict()
    (mark,) = spec["layer"][1]["data"]["values"]
    assert mark["ns"] == pytest.approx(np.median(ns), rel=0.02)


def test_the_bars_of_a_budget_hang_together_and_share_a_scale_unless_far_apart() -> None:
    frame = pl.DataFrame(
        {"engine": ["a"] * 3 + ["b"] * 2, "stage": ["t", "b", "s", "t", "b"], "ns": [10.0, -1.0, 30.0, 5.0, 15.0]}
    )
    spec = charts.budget_chart(frame).to_dict()
    bars = [panel["layer"][0] for panel in spec["vconcat"]]
    assert [(part["start"], part["end"]) for part in bars[0]["data"]["values"]] == [(0, 10), (10, 10), (10, 40)]
    assert [bar["encoding"]["x"]["scale"]["domain"] for bar in bars] == [[0, 40], [0, 40]]
    own = charts.budget_chart(frame, scale="own").to_dict()
    assert [panel["layer"][0]["encoding"]["x"]["scale"]["domain"] for panel in own["vconcat"]] == [[0, 40], [0, 20]]
    with pytest.raises(UnknownName, match="auto, shared, own"):
        charts.budget_chart(frame, scale="log")


def test_thinning_keeps_every_spike_the_order_and_the_bound() -> None:
    price = np.sin(np.arange(100_000) / 900)
    price[[7, 33_333, 70_001]] = [9.0, -9.0, 8.0]
    frame = pl.DataFrame(
        {"index": np.arange(100_000), "price": price, "gap": [None] * 100_000}, schema_overrides={"gap": pl.Float64}
    )
    told = charts.thin(frame, 500)
    assert {0, 7, 33_333, 70_001, 99_999} <= set(told["index"])
    assert len(told) <= 500
    assert told["index"].is_sorted()
    assert told.columns == frame.columns
    assert charts.thin(frame.head(500), 500).height == 500
    with pytest.raises(ConfigError, match="at least 6"):
        charts.thin(frame, 5)


def test_what_cannot_be_drawn_is_said_in_one_sentence() -> None:
    rows = market()["rows"]
    with pytest.raises(HftlabError, match="one instrument; the frame has rows of 2"):
        charts.price_chart(pl.concat([rows, rows.with_columns(instrument=pl.lit(2, pl.UInt16))]), SCALE)
    with pytest.raises(UnknownName, match="signal 'alpha'; known: mid"):
        charts.signal_chart(rows, SCALE, ["alpha"])
    with pytest.raises(UnknownName, match="x axis 'day'"):
        charts.price_chart(rows, SCALE, by="day")
    with pytest.raises(UnknownName, match="kind of step 'total'"):
        charts.waterfall_chart(STEPS.with_columns(kind=pl.lit("total")))
    with pytest.raises(HftlabError, match="5,001 rows; at most 5,000"):
        charts.heat_chart(pl.DataFrame({name: np.arange(5_001) for name in ("start", "end", "low_ns", "high_ns", "count")}))


def test_a_line_per_series_with_steps_a_rule_marks_and_intervals() -> None:
    frame = pl.DataFrame({"series": ["a", "a", "b", "b"], "x": [0, 1, 0, 1], "y": [1.0, 2.0, 3.0, float("nan")]})
    rule, lines = charts.line_chart(frame, "Title", step=True, rule=0.5).to_dict()["layer"]
    assert lines["mark"]["interpolate"] == "step-after"
    assert len(lines["data"]["values"]) == 3  # NaN has no place
    assert lines["encoding"]["color"]["scale"]["domain"] == ["a", "b"]
    assert rule["data"]["values"] == [{"at": 0.5}]
    spans = frame.with_columns(low=pl.col("y") * 0.9, high=pl.col("y") * 1.1)
    spec = charts.line_chart(spans, "Title", marks={"L2": 0.5}, log_y=True).to_dict()
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rule", "text", "line", "rule", "point"]
    assert spec["layer"][1]["data"]["values"] == [{"label": "L2", "at": 0.5}]
