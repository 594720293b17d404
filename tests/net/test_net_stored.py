"""Are the stored figures whole, told as stored, and drawn like those that are measured?"""

import json

import polars as pl
import pytest

from hftlab.errors import UnknownName
from hftlab.net.tick_to_trade import stored as home
from hftlab.net.tick_to_trade.stored import MEASURES, rounded, stored


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_kept_is_whole_and_says_that_it_is_stored(name: str) -> None:
    kept = stored(name)
    assert kept.lines()[0].startswith("stored, not measured here: ")
    assert "root" not in str(kept)
    assert kept.told["machine"]["time"][:10] in kept.lines()[-1]
    assert not kept.told["refused"], "it was to be measured with real-time scheduling"
    frame = kept.frame()
    assert frame["p50"].min() > 0
    assert frame["p50"].null_count() == 0
    text = json.dumps(kept.plot().to_dict())
    assert "stored, not measured here" in text
    assert "xdp-skb" in text
    assert repr(kept) == f"<Stored {name}: {len(frame)} rows>"


def test_the_shares_of_the_wire_sum_to_one() -> None:
    shares = stored("wire").shares().group_by("path", "pace", "quantile").agg(total=pl.col("share").sum())
    assert shares["total"].to_list() == pytest.approx([1.0] * len(shares), abs=1e-3)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="known: pingpong, wire"):
        stored("pong")
    assert set(home.names()) == set(MEASURES)


def test_figures_are_kept_with_five_digits() -> None:
    assert rounded({"a": [1.2345678, 3, None, "x", (True, 1e9 / 7)]}) == {"a": [1.2346, 3, None, "x", [True, 142_860_000.0]]}
