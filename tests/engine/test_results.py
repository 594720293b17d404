"""Do the results of the engine show what they hold, once as tables and once as plain values?"""

import json

import numpy as np
import pytest

import hftlab
from hftlab.engine.verify import Divergence
from hftlab.presentation.result import to_json
from hftlab.stages.signal import Signal

FEED = hftlab.synthetic("burst", 2_000)


class Shifted(Signal):
    """A mid that is one unit too high."""

    def update(self, *arguments: object) -> tuple[float, ...]:
        values = super().update(*arguments)  # type: ignore[arg-type]
        return (values[0] + 1, *values[1:])


def test_a_run_in_a_table_and_in_numbers() -> None:
    run = hftlab.Engine("python").run(FEED)
    rows = dict(run.tables()[0].rows)
    assert list(rows)[:3] == ["variant", "messages", "ns per message"]
    assert rows["messages"] == "2,000"
    assert rows["orders sent"] == f"{run.order_count:,}" == f"{len(run.orders):,}"
    assert {"messages", "elapsed_ns", "ns_per_message", "faults", "counts", "backend", "variant"} <= set(run.to_dict())
    assert json.loads(to_json(run.to_dict()))["counts"]["ADD"] == run.counts["ADD"]
    assert run.headline() in run._repr_html_()


def test_a_verdict_shows_the_first_difference() -> None:
    same = hftlab.verify("python", "python", FEED)
    assert (bool(same), same.tables(), same.notes()) == (True, [], [])
    verdict = hftlab.verify("python", hftlab.Engine(signal=Shifted), FEED)
    divergence = verdict.divergence
    assert divergence is not None
    assert (bool(verdict), divergence.what) == (False, "mid")
    rows = {name: (a, b, mark) for name, a, b, mark in verdict.tables()[0].rows}
    assert [name for name, (_, _, mark) in rows.items() if mark] == ["mid"]
    assert float(rows["mid"][1]) == float(rows["mid"][0]) + 1
    assert len(verdict.notes()) == len(divergence.before) <= 8
    stored = verdict.to_dict()
    assert set(stored) == {"a", "b", "feed", "messages", "same", "divergence"}
    assert json.loads(to_json(stored))["divergence"]["index"] == divergence.index


@pytest.mark.parametrize("value", [np.nan, b"\xff", 7])
def test_a_divergence_is_plain_in_json(value: object) -> None:
    stored = Divergence("x", -1, "", {"x": value}, {"x": 1}).to_dict()
    assert json.loads(to_json(stored))["a"]["x"] == {np.nan: None, b"\xff": "ff", 7: 7}[value]


def test_a_feed_says_what_it_carries() -> None:
    rows = dict(FEED.tables()[0].rows)
    assert rows["carries"] == "framed ITCH 5.0"
    assert rows["symbols"].startswith("8: HLAAA")
    assert "framed ITCH 5.0" in FEED._repr_html_()
