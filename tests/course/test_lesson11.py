"""Do the exercises of lesson 11 pass what is right, and say what is wrong with what is not?"""

import math
from itertools import permutations
from statistics import geometric_mean, median

import numpy as np
import pytest
from course import check

import hftlab
from hftlab.experiments.floor import CLOCK, FRAMES, MEMORY, WHOLE, floor
from hftlab.measurement.paired import Interval


def shares(times):  # type: ignore[no-untyped-def]
    worth = {name: [] for name in max(times, key=len)}  # type: ignore[var-annotated]
    for way in permutations(sorted(worth)):
        for place, name in enumerate(way):
            worth[name].append(times[frozenset(way[:place])] / times[frozenset(way[: place + 1])])
    return {name: geometric_mean(ratios) for name, ratios in worth.items()}


def test_whose_speed_up_it_is() -> None:
    assert check("11.1", shares)

    def from_naive(times):  # type: ignore[no-untyped-def]
        return {name: times[frozenset()] / times[frozenset(name)] for name in max(times, key=len)}

    def in_order(times):  # type: ignore[no-untyped-def]
        way = sorted(max(times, key=len))
        return {name: times[frozenset(way[:i])] / times[frozenset(way[: i + 1])] for i, name in enumerate(way)}

    def alike(times):  # type: ignore[no-untyped-def]
        names = max(times, key=len)
        return dict.fromkeys(names, (times[frozenset()] / times[names]) ** (1 / len(names)))

    for answer, said in (
        (from_naive, "multiply to 3.0000, the whole is 6.0000"),
        (in_order, "an order that nobody chose"),
        (alike, "fair over all orders"),
        (lambda times: 6.0, "expected a dict"),
    ):
        found = check("11.1", answer)
        assert not found
        assert said in str(found)
    assert "ZeroDivisionError" in str(check("11.1", lambda times: 1 / 0))


def claim(base, other, again, *, second=True, small=True, paired=True):  # type: ignore[no-untyped-def]
    base, other, again = map(np.array, (base, other, again))
    ratio, copy, control = Interval.of(base / other), Interval.of(again / other), Interval.of(base / again)
    if not ratio.side or (second and ratio.side != copy.side):
        return "no difference seen"
    if small and control.widened(0.995, 1.005).contains(ratio.median):
        return "no difference seen"
    return "faster" if ratio.side > 0 else "slower"


def test_what_may_be_claimed() -> None:
    assert check("11.2", claim)

    def overlap(base, other, again):  # type: ignore[no-untyped-def]
        if max(min(base), min(other)) < min(max(base), max(other)):
            return "no difference seen"
        return "faster" if median(other) < median(base) else "slower"

    for answer, said in (
        (lambda base, other, again: "faster" if median(other) < median(base) else "slower", "the same code twice"),
        (lambda *given: claim(*given, small=False), "where code happens to lie"),
        (overlap, "slow spells"),
        (lambda *given: "yes", "expected one of faster, slower, no difference seen"),
    ):
        found = check("11.2", answer)
        assert not found
        assert said in str(found).splitlines()[-1]
    assert "KeyError" in str(check("11.2", lambda *given: {}["base"]))


@pytest.mark.rust
def test_the_floor_lies_below() -> None:
    found = floor(hftlab.synthetic("calm", 5_000), rounds=3)
    assert found.ns[FRAMES] < found.ns[WHOLE]
    assert found.frame()["part"].to_list() == list(found.ns)
    assert found.ns[CLOCK] > 0
    size = len(b"".join(hftlab.synthetic("calm", 5_000).blocks()))
    assert math.isclose(found.bytes_per_message, size / 5_000)
    assert math.isclose(found.ns[MEMORY] * found.bytes_per_ns, found.bytes_per_message)
    assert found.plot().to_dict()
    assert found.to_dict()["schema"] == "hftlab-floor/1"
    with pytest.raises(hftlab.HftlabError, match="wire bytes"):
        floor(hftlab.EventFeed(hftlab.decode(hftlab.synthetic("calm", 100))))


@pytest.mark.rust
def test_stages_have_intervals_and_add_up() -> None:
    report = hftlab.bench(hftlab.synthetic("calm", 2_000), rounds=3)
    for one in report.measured:
        found = one.intervals()
        assert list(found) == ["tick", "book", "signal", "order", "total"]
        assert all(each.low <= each.median <= each.high for each in found.values())
        assert found["total"].median == one.whole_ns
    assert len(report.intervals()) == 5 * len(report.measured)
