"""Does Amdahl's law say what a part can give, and does its inverse find how large the part is?"""

import math

import polars as pl
import pytest
from course.amdahl import amdahl_chart, share_of, speed_up

from hftlab.errors import ConfigError


def test_the_law() -> None:
    assert speed_up(0.5, 2) == pytest.approx(4 / 3)
    assert speed_up(0.9) == pytest.approx(10)
    assert speed_up(0.3, 1) == pytest.approx(1)
    assert (speed_up(0), speed_up(0, 50)) == (1, 1)
    assert speed_up(1, 7) == pytest.approx(7)
    assert speed_up(1) == math.inf
    assert speed_up(0.5, 0.5) == pytest.approx(1 / 1.5)


@pytest.mark.parametrize("times", [0, 0.5, 2, 4])
def test_the_share_is_found_again(times: float) -> None:
    whole = 0.6 + 0.4 * times  # a part of 0.4, done so many times
    assert share_of(whole, times) == pytest.approx(0.4)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"share must be between 0 and 1, got 1\.2"):
        speed_up(1.2, 2)
    with pytest.raises(ConfigError, match="times must be above 0, got 0"):
        speed_up(0.5, 0)
    with pytest.raises(ConfigError, match=r"times must be 0 .*, got 1"):
        share_of(1.1, 1)


def test_the_chart_draws_the_law() -> None:
    parts = pl.DataFrame({"part": ["a", "b"], "share": [0.5, 0.1], "times": [None, 4.0], "speed_up": [None, 1.1]})
    spec = amdahl_chart(parts).to_dict()
    lines, dots = (layer["data"]["values"] for layer in spec["layer"])
    last = next(row for row in reversed(lines) if row["part"] == "a")
    assert last["speed_up"] == pytest.approx(speed_up(0.5, 100), rel=1e-3)
    assert [(row["part"], row["times"]) for row in dots] == [("b", 4.0)]
    assert len(amdahl_chart(parts.select("part", "share")).to_dict()["layer"]) == 1
    assert "no part has a share" in str(amdahl_chart(parts.clear()).to_dict())
