"""Are the stored figures whole, marked as stored, and drawn like those that are measured?"""

import json

import polars as pl
import pytest
from course.stored_network import NAMES, rounded, stored

from hftlab.errors import UnknownName


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_result_is_whole_and_marked_as_stored(name: str) -> None:
    figures = stored(name)
    assert figures.conditions.startswith("stored, not measured here: ")
    assert figures.payload["machine"]["time"][:10] in figures.notes()[-1]
    assert figures.payload["placement"]["realtime"], "it was to be measured with real-time scheduling"
    frame = figures.frame()
    assert frame["p50"].min() > 0
    assert frame["p50"].null_count() == 0
    text = json.dumps(figures.plot().to_dict())
    assert "stored, not measured here" in text
    assert "xdp-skb" in text
    assert len(figures.tables()[0].rows) == len(frame)


def test_the_parts_of_the_response_time_sum_to_one() -> None:
    shares = stored("tick-to-trade").shares().group_by("path", "load_profile", "quantile").agg(total=pl.col("share").sum())
    assert shares["total"].to_list() == pytest.approx([1.0] * len(shares), abs=1e-3)


def test_an_unknown_name_lists_the_known_ones_and_figures_have_five_digits() -> None:
    with pytest.raises(UnknownName, match="known: round trip, tick-to-trade"):
        stored("pong")
    assert rounded({"a": [1.2345678, 3, None, "x", (True, 1e9 / 7)]}) == {"a": [1.2346, 3, None, "x", [True, 142_860_000.0]]}
