"""Are the hard feeds valid, as hard as they say, and equal in every engine; and is an engine that is wrong on them found?"""

from typing import Any

import pytest
from planted_stress import FORGETFUL, Server

import hftlab
from hftlab.errors import ConfigError
from hftlab.events import Kind
from hftlab.feeds.generate.steady import steady
from hftlab.feeds.itch import ItchFeed
from hftlab.loadtest import order_storms
from hftlab.loadtest.soak import repeatable
from hftlab.loadtest.storms import STORMS, Size, StormReport, storm_end, storm_feed
from hftlab.loadtest.target import EngineTarget, differences
from hftlab.settings import Settings

SMALL = Size(messages=4_000, deep=2_000, deep_levels=300, wide=400)


@pytest.mark.parametrize("name", STORMS)
def test_every_feed_is_valid_and_the_same_each_time(name: str) -> None:
    made = storm_feed(name, SMALL)
    assert (made.build, made.traffic) == (storm_feed(name, SMALL).build, storm_feed(name, SMALL).traffic)
    assert made.traffic != storm_feed(name, SMALL, seed=2).traffic
    # strict: the first fault would raise
    run = hftlab.Engine("python", strict=True).run(ItchFeed(made.build + made.traffic), record="none")
    assert not run.unknown
    traffic = hftlab.decode(ItchFeed(made.traffic), "python")
    assert len(traffic) == made.messages >= 0.99 * SMALL.messages
    assert int(traffic["instrument"].max()) <= made.instruments


@pytest.mark.rust
@pytest.mark.parametrize("name", STORMS)
def test_both_engines_end_every_feed_equal(name: str) -> None:
    made = storm_feed(name, SMALL)
    python, rust = (storm_end(EngineTarget(hftlab.Engine(backend)), made) for backend in ("python", "rust"))
    assert differences(rust, python) == ()
    assert any(python["depth"].values())


def test_a_mass_cancel_empties_the_book_and_fills_it_again() -> None:
    made = storm_feed("mass_cancel", SMALL)
    session = hftlab.Engine("python").open(Settings(until="book", record="none"))
    session.push(made.build)
    full = session.counters()["memory"]["live_orders"]
    events = hftlab.decode(ItchFeed(made.traffic), "python")
    third = len(events) // 6
    assert events["kind"].tolist() == 2 * (third * [Kind.CANCEL] + third * [Kind.DELETE] + third * [Kind.ADD])
    cut = sum(2 + 23 for _ in range(third)) + sum(2 + 19 for _ in range(third))  # X has 23 bytes, D 19
    session.push(made.traffic[:cut])
    assert session.counters()["memory"]["live_orders"] == 0
    session.push(made.traffic[cut:])
    assert session.counters()["memory"]["live_orders"] == full == third


def test_a_deep_book_is_deep_and_a_wide_market_is_wide() -> None:
    deep, wide = storm_feed("deep", SMALL), storm_feed("wide", SMALL)
    session = hftlab.Engine("python").open(Settings(until="book", record="none"))
    session.push(deep.build + deep.traffic)
    assert session.counters()["memory"]["live_orders"] == 2_000
    assert len(session.depth(1)) > 500
    events = hftlab.decode(ItchFeed(wide.traffic), "python")
    assert len(set(events["instrument"].tolist())) == wide.instruments == 400
    assert (events["instrument"][1:] == events["instrument"][:-1]).mean() < 0.05


@pytest.mark.parametrize("feed", [hftlab.synthetic("burst", 3_000), steady(500, 3, 5, 2_000).feed()])
def test_a_repeatable_feed_ends_with_an_empty_book_each_time(feed: hftlab.Feed) -> None:
    data = b"".join(map(bytes, feed.blocks()))
    again = repeatable(data)
    assert again.startswith(data)
    session = hftlab.Engine("python").open(Settings(until="order", record="none"))
    for passes in (1, 2, 3):
        session.push(again)
        result = session.counters()
        assert (sum(result["faults"]), result["memory"]["live_orders"]) == (0, 0)
        assert result["messages"] == passes * len(hftlab.decode(ItchFeed(again), "python"))


def test_a_feed_with_faults_cannot_be_repeated() -> None:
    made = steady(100, messages=100)
    with pytest.raises(ConfigError, match="must have no faults, got order"):
        repeatable(made.steady)


@pytest.fixture(scope="module")
def found() -> StormReport:
    return order_storms(["python", FORGETFUL], ["calm", "mass_cancel"], size=SMALL)


def test_an_engine_that_ends_otherwise_is_found_and_nobody_else(found: StormReport) -> None:
    frame = found.frame()
    assert frame.filter(frame["target"] == "python")["equal"].to_list() == [True, True]
    wrong = frame.filter(frame["target"] != "python")
    assert not wrong.filter(wrong["storm"] == "mass_cancel")["equal"].any()
    assert "differs from the reference in" in found.failures[0]
    assert all("ForgetfulBook" in failure for failure in found.failures)


def test_a_target_that_is_no_engine_is_compared_with_the_reference() -> None:
    class Mute(Server):
        def open(self) -> Any:
            session = super().open()
            shared = {"counts": [], "order_stream": b"", "rejects": []}
            finish = session.finish
            session.finish = lambda: {**finish(), **shared}  # type: ignore[method-assign]
            return session

    found = order_storms([Mute()], ["calm"], size=SMALL)
    assert "counts, depth" in found.failures[0]
