"""Does a warm-up fill the book before the clock, unstamped, in every engine alike, and does a run say where its time went?"""

import gzip
from pathlib import Path

import numpy as np
import pytest

import hftlab
from hftlab.measurement.conditions import Market

WARM = hftlab.synthetic("deep", 3_000, warm=True, symbols=2)
EVENTS = hftlab.EventFeed(hftlab.decode(WARM), symbols=WARM.symbols).warmed(WARM.warm_up)


@pytest.mark.parametrize("feed", [WARM, EVENTS], ids=["bytes", "records"])
def test_the_warm_up_is_neither_timed_nor_stamped_and_changes_no_result(backend: str, feed: hftlab.Feed) -> None:
    engine = hftlab.Engine(backend)
    run = engine.run(feed, record="all", latency=True, keep="both", slowest=4)
    plain = engine.run(feed.warmed(0), record="all", latency="total")
    assert (run.messages, run.warm_up, plain.warm_up) == (WARM.warm_up + 3_000, WARM.warm_up, 0)
    assert run.latency is not None
    assert run.histograms is not None
    assert {len(ns) for ns in run.latency.values()} == {run.histograms["total"].n} == {3_000}
    assert run.slowest
    assert all(WARM.warm_up <= capture.first <= capture.at < run.messages for capture in run.slowest)
    longest = int(np.argmax(run.latency["total"]))
    assert run.slowest[0].at == WARM.warm_up + longest
    assert run.frame.equals(plain.frame)
    assert run.order_stream == plain.order_stream
    assert run.filled is not None
    assert run.ns_per_message == run.elapsed_ns / 3_000


def test_the_market_beside_a_result_is_that_of_the_timed_part() -> None:
    engine = hftlab.Engine("python")
    market = Market.of(engine, engine.run(WARM, record="none"), WARM)
    assert sum(market.kinds.values()) == 3_000
    assert market.steady
    assert (market.warm_up, market.instruments) == (WARM.warm_up, 2)
    assert market.levels > 200
    cold = WARM.warmed(0)
    assert not Market.of(engine, engine.run(cold, record="none"), cold).steady


def test_a_head_keeps_the_warm_up_before_it() -> None:
    head = WARM.head(10)
    assert head.warm_up == WARM.warm_up
    filling, rest = head.parts()
    assert len(hftlab.decode(rest)) == 10
    assert bytes(filling) + b"".join(map(bytes, rest.blocks())) == b"".join(map(bytes, head.blocks()))


def test_a_run_says_where_the_time_from_the_file_to_the_result_went(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "day.itch.gz"
    path.write_bytes(gzip.compress(b"".join(map(bytes, hftlab.synthetic(messages=5_000).blocks()))))
    run = hftlab.Engine(backend).run(hftlab.load(path))
    assert run.costs.keys() == {"engine", "recording", "reading", "decompressing"}
    assert min(run.costs.values()) > 0
    assert run.costs["engine"] + run.costs["recording"] <= run.wall_ns
    assert "decompressing" in run.whole_way()
    assert run.to_dict()["wall_ns"] == run.wall_ns
