"""Are the combinations of lesson 11 complete, does their waterfall follow its switches, and does the lower bound lie below?"""

import json
import math
import re

import pytest
from course.factorial import Factorial, factorial
from course.lower_bound import CLOCK, FRAMES, MEMORY, WHOLE, lower_bound

import hftlab

pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
from course.waterfall import waterfall

pytestmark = pytest.mark.rust


@pytest.fixture(scope="module")
def every() -> Factorial:
    return factorial(hftlab.synthetic("calm", 5_000), rounds=3, python=True)


def test_shares_multiply_to_the_whole_and_ways_to_one_end(every: Factorial) -> None:
    whole, n = every.ns() / every.ns(every.axes), len(every.axes)
    assert math.isclose(math.prod(every.shares().values()), whole)
    one, other = (every.path(order) for order in (every.axes, every.axes[::-1]))
    assert one["ns"][-1] == other["ns"][-1]
    assert one["ns"][1] == other["ns"][1] == every.ns()
    assert one["kind"].to_list() == ["start", *["step"] * (n + 1), "end"]
    assert len(every.frame()) == n * 2 ** (n - 1)
    assert len(every.sets) == 2**n
    with pytest.raises(hftlab.HftlabError, match="nonsense"):
        every.ns(["nonsense"])
    with pytest.raises(hftlab.HftlabError, match="has no variants"):
        factorial(backend="python")


def test_the_order_of_the_switches_is_the_order_of_the_steps(every: Factorial) -> None:
    panel = waterfall(every)
    axes = list(every.axes)
    assert panel.order == axes
    before = panel.picture.value
    panel.switches["book"].value = False
    assert panel.order == axes[1:]
    assert "so far" in panel.picture.value
    panel.switches["book"].value = True
    assert panel.order == [*axes[1:], "book"]
    assert panel.picture.value != before
    labels = [row["label"] for row in every.path(panel.order, python=False).to_dicts()]
    places = [re.sub("<[^>]*>", "", panel.picture.value).index(label.split(" ")[0]) for label in labels[1:-1]]
    assert len(places) == len(axes)
    panel.python.value = True
    assert "python" in panel.picture.value
    assert "image/png" in panel._repr_mimebundle_()[0]
    for switch in panel.switches.values():
        switch.value = False
    assert repr(panel) == "<Waterfall of rust: nothing switched on>"


def test_the_lower_bound_lies_below() -> None:
    feed = hftlab.synthetic("calm", 5_000)
    found = lower_bound(feed, rounds=3)
    assert found.ns[FRAMES] < found.ns[WHOLE]
    assert found.ns[CLOCK] > 0
    assert math.isclose(found.bytes_per_message, len(b"".join(feed.blocks())) / 5_000)
    assert math.isclose(found.ns[MEMORY] * found.bytes_per_ns, found.bytes_per_message)
    with pytest.raises(hftlab.HftlabError, match="wire bytes"):
        lower_bound(hftlab.EventFeed(hftlab.decode(hftlab.synthetic("calm", 100))))


def test_both_come_back_from_json_as_they_were(every: Factorial) -> None:
    for result in (every, lower_bound(hftlab.synthetic("calm", 600), rounds=3)):
        again = type(result).from_dict(json.loads(result.to_json()))
        assert again.to_json() == result.to_json()
        assert str(again) == str(result)
        assert "$schema" in result.plot().to_dict()
