"""Is a plain chart of lines drawn as its frame says?"""

import polars as pl
import pytest

from hftlab.charts import lines_chart
from hftlab.errors import HftlabError


def test_a_line_per_series_and_the_rule() -> None:
    frame = pl.DataFrame({"series": ["a", "a", "b", "b"], "x": [0, 1, 0, 1], "y": [1.0, 2.0, 3.0, float("nan")]})
    spec = lines_chart(frame, "message", "shares", "Title", step=True, rule=0.5).to_dict()
    rule, lines = spec["layer"]
    assert lines["mark"]["interpolate"] == "step-after"
    assert len(lines["data"]["values"]) == 3  # NaN has no place
    assert lines["encoding"]["color"]["scale"]["domain"] == ["a", "b"]
    assert rule["data"]["values"] == [{"at": 0.5}]
    assert spec == lines_chart(frame, "message", "shares", "Title", step=True, rule=0.5).to_dict()


def test_nothing_and_a_missing_column() -> None:
    empty = pl.DataFrame(schema={"series": pl.String, "x": pl.Float64, "y": pl.Float64})
    assert "no data" in str(lines_chart(empty, "x", "y").to_dict())
    with pytest.raises(HftlabError, match="needs a column 'y'"):
        lines_chart(empty.drop("y"), "x", "y")
