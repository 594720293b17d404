"""Does every chart become a picture, with units on its axes and every label on it?"""

import json
from typing import Any

import polars as pl
import pytest

from hftlab import charts
from hftlab.charts.base import WIDTH, log_ticks
from hftlab.charts.show import png_size

vl_convert = pytest.importorskip("vl_convert")

STEPS = pl.DataFrame(
    [
        (start, axis, before, after, from_ns, to_ns, from_ns / to_ns, 0.98 * from_ns / to_ns, 1.03 * from_ns / to_ns, verdict)
        for start, axis, before, after, from_ns, to_ns, verdict in [
            ("naive", "book", "btree", "ladder", 120.0, 100.0, "faster 1.20x [1.18, 1.24]"),
            ("naive", "signal", "recompute", "incremental", 120.0, 120.0, "no difference seen"),
            ("best", "book", "ladder", "btree", 60.0, 90.0, "slower 1.50x [1.46, 1.53]"),
            ("ladder", "book", "btree", "ladder", 120.0, 130.0, "slower 1.08x [1.05, 1.11]"),
            ("ladder", "signal", "recompute", "incremental", 130.0, 60.0, "faster 2.17x [2.12, 2.23]"),
            ("ladder", "all", "naive", "best", 120.0, 60.0, "faster 2.00x [1.96, 2.06]"),
            ("naive", "A/A", "naive", "naive", 120.0, 120.0, "control"),
            ("best", "A/A", "best", "best", 60.0, 60.0, "control"),
        ]
    ],
    schema=["start", "axis", "from", "to", "from_ns_per_message", "to_ns_per_message", "ratio", "low", "high", "verdict"],
    orient="row",
)
POINTS = pl.DataFrame(
    [
        (name, size, ns * size**0.1, ns * 0.95 * size**0.1, ns * 1.1 * size**0.1)
        for name, ns in [("naive", 90.0), ("best", 40.0), ("best again", 41.0)]
        for size in (100, 1_000, 10_000)
    ],
    schema=["variant", "size", "ns_per_message", "low", "high"],
    orient="row",
)
WAYS = pl.DataFrame(
    [("no-op across", "", 0, 30.0)]
    + [
        (way, until, size, ns)
        for until in ("tick", "book")
        for way, size, ns in [
            ("Python engine", 100, 2_000.0),
            ("apply", 1, 110.0),
            ("message", 1, 70.0),
            ("push", 1, 400.0),
            ("push", 100, 40.0),
            ("push_events", 1, 5_000.0),
            ("push_events", 100, 90.0),
        ]
    ],
    schema=["way", "until", "messages_per_crossing", "ns_per_message"],
    orient="row",
).with_columns(low=pl.col("ns_per_message"), high=pl.col("ns_per_message"), min=pl.col("ns_per_message"))
COUNTS = pl.DataFrame({"series": ["one", "one", "other"], "x": [1, 10, 10], "y": [0.5, 2.0, 30.0]})
STAGES = pl.DataFrame({"engine": ["python", "rust"], "stage": ["book", "book"], "ns_per_message": [1_500.0, 30.0]})

CHARTS: dict[str, tuple[Any, list[str]]] = {
    "waterfall": (
        charts.ablation_chart(STEPS, "here"),
        ["ns per message", "book: btree → ladder", "+10.0", "−70.0", "120.0", "60.0"],
    ),
    "forest": (
        charts.forest_chart(STEPS, "here"),
        ["times as fast as before", "A/A control", "book: btree → ladder", "from naive", "from best", "no difference"],
    ),
    "scale": (
        charts.scaling_chart(POINTS, "live orders", {"L2 512 KiB": 5_000.0}, "here"),
        ["ns per message (log scale)", "live orders (log scale)", "best again", "L2 512 KiB", "10,000"],
    ),
    "border": (
        charts.ffi_chart(WAYS, "here"),
        ["ns per message (log scale)", "messages per crossing (log scale)", "push_events", "until tick", "Python engine"],
    ),
    "lines": (
        charts.line_chart(COUNTS, "Counted", "here", x="levels", y="reads", log_y=True),
        ["Counted", "levels", "reads (log scale)", "one", "other"],
    ),
    "stages": (charts.stage_chart(STAGES, "here"), ["ns per message (log scale)", "book", "python"]),
}


@pytest.mark.parametrize("name", CHARTS)
def test_the_chart_becomes_a_picture_with_every_word_on_it(name: str) -> None:
    chart, words = CHARTS[name]
    spec = chart.to_dict()
    svg = vl_convert.vegalite_to_svg(spec)
    assert [word for word in [*words, "here"] if word not in svg] == []
    png = charts.render(spec)["image/png"]
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = png_size(png)
    assert 400 < width / 2 <= WIDTH
    assert height / 2 > 100


def test_the_bars_of_the_waterfall_hang_together() -> None:
    spec = json.loads(CHARTS["waterfall"][0].to_json())
    bars = spec["layer"][0]["data"]["values"]
    assert [(bar["low"], bar["high"]) for bar in bars] == [(0, 120), (120, 130), (60, 130), (0, 60)]
    assert [bar["kind"] for bar in bars] == ["start", "slower", "faster", "end"]


def test_ticks_enclose_what_is_drawn() -> None:
    assert log_ticks(38.0, 610.0) == [20, 50, 100, 200, 500, 1000]
    assert log_ticks(0.73, 1.25, (1, 1.2, 1.5, 7, 8, 9)) == [0.7, 0.8, 0.9, 1, 1.2, 1.5]
