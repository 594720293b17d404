"""Lesson 04: do the right answers pass, do the wrong ones fail with a sentence that helps, is the naive book right?"""

import heapq
from bisect import bisect_left, insort
from pathlib import Path
from struct import Struct
from typing import Any

import pytest
from course import check
from course.lesson04 import piecemeal
from course.naivebook import NaiveBook

import hftlab
from hftlab.errors import ConfigError, HftlabError


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTLAB_HOME", str(tmp_path))


class Kept:
    """Sorted, changed by halving."""

    def __init__(self) -> None:
        self.prices: list[Any] = []

    def add(self, price: Any) -> None:
        insort(self.prices, price)

    def remove(self, price: Any) -> None:
        del self.prices[bisect_left(self.prices, price)]

    def best(self, n: int) -> list[Any]:
        return self.prices[: -n - 1 : -1]


class SortedWhenAsked(Kept):
    def best(self, n: int) -> list[Any]:
        return sorted(set(self.prices), reverse=True)[:n]


class SearchedFromTheFront(Kept):
    def remove(self, price: Any) -> None:
        self.prices.remove(price)


class LowestFirst(Kept):
    def best(self, n: int) -> list[Any]:
        return self.prices[:n]


class Heap:
    """Short calls but for those that find what was removed long ago."""

    def __init__(self) -> None:
        self.heap: list[Any] = []

    def add(self, price: Any) -> None:
        heapq.heappush(self.heap, -price)

    def remove(self, price: Any) -> None:
        raise NotImplementedError("not yet")

    def best(self, n: int) -> list[Any]:
        return [-price for price in heapq.nsmallest(n, self.heap)]


UNPACK = Struct(">3xH2xHIQ")


def at_one_go(data: bytes) -> list[tuple[int, int, int]]:
    return [(locate, high << 32 | low, ref) for locate, high, low, ref in UNPACK.iter_unpack(data)]


def test_the_solutions_pass() -> None:
    for number, answer in (("04.1", Kept), ("04.2", at_one_go)):
        found = check(number, answer)
        assert found, found


@pytest.mark.parametrize(
    ("number", "answer", "said"),
    [
        ("04.1", SortedWhenAsked, "comparisons a change, in the mean, with 1,000 prices"),
        ("04.1", SearchedFromTheFront, "comparisons a change, in the mean"),
        ("04.1", LowestFirst, "best(5) is ["),
        ("04.1", Heap, "NotImplementedError: not yet"),
        ("04.2", piecemeal, "times as fast as field by field"),
        ("04.2", lambda data: at_one_go(data)[:-1], ": 0 were returned"),
        ("04.2", lambda data: [(locate, ts & 0xFFFFFFFF, ref) for locate, ts, ref in at_one_go(data)], "message 0 is ("),
        ("04.2", lambda data: UNPACK.unpack(data), "error: unpack requires a buffer"),
    ],
)
def test_a_wrong_answer_is_told_why(number: str, answer: Any, said: str) -> None:
    found = check(number, answer)
    assert not found
    assert said in str(found)


def test_the_naive_book_keeps_the_contract() -> None:
    report = hftlab.conformance.conformance(NaiveBook, rounds=0)
    assert report, report


class Unlike(NaiveBook):
    def best(self, instrument: int) -> tuple[int, int, int, int]:
        bid, qty, *ask = super().best(instrument)
        return (bid, qty + (qty > 0), ask[0], ask[1])


def test_a_chain_compares_each_with_the_one_before() -> None:
    feed = hftlab.synthetic("calm", 600)
    found = hftlab.chain({"naive": NaiveBook, "naive too": NaiveBook, "ours": "python"}, feed, rounds=3, until="book")
    frame = found.frame()
    assert frame.columns == ["step", "ns_per_message", "ratio", "low", "high", "verdict"]
    assert frame["step"].to_list() == ["naive", "naive too", "ours"]
    assert found.ratio("ours") == found.steps[1][1].ratio.median == frame["ratio"][2]
    assert found.whole.ratio.median > 1.2
    assert found.to_dict()["steps"][0]["ratio"] is None
    assert "all steps together" in found.lines()[1]
    labels = [row["label"] for row in found.plot().to_dict()["layer"][0]["data"]["values"]]
    assert labels == ["naive", "naive too", "ours", "what remains"]


def test_no_chain_of_one_and_none_of_what_differs() -> None:
    feed = hftlab.synthetic("calm", 600)
    with pytest.raises(ConfigError, match="1 engines in a chain; allowed is 2 or more"):
        hftlab.chain({"naive": NaiveBook}, feed)
    with pytest.raises(HftlabError, match="no clock before equality"):
        hftlab.chain({"naive": NaiveBook, "other": Unlike}, feed, rounds=3)
