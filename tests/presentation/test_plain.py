"""Do records come back from plain values as they were, and does a wrong payload get one sentence?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hftlab.errors import HftlabError
from hftlab.presentation.plain import PlainResult, from_plain, rows_table, to_plain
from hftlab.presentation.result import to_json


@dataclass(frozen=True)
class Point:
    name: str
    ns: float
    seen: dict[str, tuple[float, ...] | None]


@dataclass(frozen=True)
class Points(PlainResult):
    schema = "test-points/1"

    points: tuple[Point, ...]
    pair: tuple[int, str]
    maybe: Point | None = None

    def derived(self) -> dict[str, Any]:
        return {"count": len(self.points)}


POINTS = Points((Point("a", 1.5, {"p50": (1.0, 2.0), "p99": None}), Point("b", float("inf"), {})), (3, "x"), Point("c", 2, {}))


def test_a_record_comes_back_as_it_was() -> None:
    payload = POINTS.to_dict()
    assert payload["schema"] == "test-points/1"
    assert payload["count"] == 2
    assert Points.from_dict(payload) == POINTS
    assert to_plain({"a": np.arange(2), "b": (1, None)}) == {"a": [0, 1], "b": [1, None]}


def test_what_json_has_not_becomes_nan() -> None:
    import json

    again = Points.from_dict(json.loads(to_json(POINTS.to_dict())))
    assert np.isnan(again.points[1].ns)


@pytest.mark.parametrize("wrong", [{"points": 3}, {"points": [{}]}, {"pair": [1]}, {"pair": ["x", "x"]}, {"schema": "other/1"}])
def test_a_wrong_payload_is_one_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(HftlabError) as caught:
        Points.from_dict({**POINTS.to_dict(), **wrong})
    assert "\n" not in str(caught.value)
    with pytest.raises(HftlabError, match="Point cannot be read: KeyError"):
        from_plain(Point, {"name": "a"})


def test_rows_are_drawn_by_unit() -> None:
    columns = {"name": ("name", 1), "ns": ("us", 1e3), "share": ("share", 0), "good": ("good", 1)}
    rows = [{"name": "a", "ns": 1_500.0, "share": 0.25, "good": True}, {"name": "b", "ns": None, "share": 1, "good": False}]
    table = rows_table("title", rows, columns)
    assert table.columns == ("name", "us", "share", "good")
    assert table.rows == (("a", "1.50", "25%", "yes"), ("b", "n/a", "100%", "NO"))
