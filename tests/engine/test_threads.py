"""Does a run on several threads give the same bits as on one, and say where it ran on one?"""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hftlab
from hftlab.engine.live import LiveSession
from hftlab.engine.resolve import as_engine
from hftlab.engine.run import Run
from hftlab.errors import ConfigError, FaultError, FeedError
from hftlab.events import Kind
from hftlab.feeds.feed import EventFeed, Feed
from hftlab.feeds.itch import ItchFeed
from hftlab.settings import OrderConfig, RiskConfig

pytestmark = pytest.mark.rust

#: Orders at every turn, under limits that bite.
EAGER: dict[str, Any] = {
    "order_config": OrderConfig(threshold=0.1, cooldown=3),
    "risk_config": RiskConfig(max_orders_per_sec=7, position_limit=300, max_notional=5_000),
}
FEEDS: dict[str, Callable[[], Feed]] = {
    "calm": lambda: hftlab.synthetic("calm", 5_000, symbols=3),
    "burst": lambda: hftlab.synthetic("burst", 20_000, symbols=7),
    "deep": lambda: hftlab.synthetic("deep", 20_000, symbols=2),
    "market": lambda: hftlab.synthetic("market", 60_000),
    "whole_market": lambda: hftlab.synthetic("whole_market", 60_000, symbols=300),
    "records": lambda: EventFeed(hftlab.decode(hftlab.synthetic("market", 40_000, 2)), symbols=[f"S{i}" for i in range(1_001)]),
}


def everything(run: Run) -> dict[str, Any]:
    """What a run has and threads must not change."""
    plain = {
        name: getattr(run, name) for name in ("messages", "counts", "unknown", "faults", "rejects", "order_stream", "levels")
    }
    columns = {name: column.tobytes() for name, column in run.columns.items()}
    books = {name: run.book(name).rows() for name in list(run._names.values())[:200]}
    faults, orders = run.first_faults.rows(), run.orders.rows()
    return plain | columns | books | {"faults": faults, "orders": orders, "live": run.memory["live_orders"]}


def damaged(feed: Feed, seed: int) -> Feed:
    """Records of a feed with faults of every reason, and references that come again."""
    events, random = hftlab.decode(feed).copy(), np.random.default_rng(seed)
    for name, value in {"qty": 0, "price": 0, "side": 0, "instrument": 3, "order_id": 999_999}.items():
        events[name][random.random(len(events)) < 0.01] = value
    adds = np.flatnonzero(events["kind"] == Kind.ADD)
    again = random.choice(adds[1_000:], 40, replace=False)
    events["order_id"][again] = events["order_id"][again - random.integers(1, 900, 40)]
    return EventFeed(events, symbols=feed.symbols)


@pytest.mark.parametrize("name", FEEDS)
def test_threads_give_the_same_bits(name: str) -> None:
    feed = FEEDS[name]()
    for threads, record in ((2, "all"), (3, "top"), (4, "none")):
        engine = hftlab.Engine("rust", **EAGER)
        one, several = engine.run(feed, record), engine.replace(threads=threads).run(feed, record)  # type: ignore[arg-type]
        assert everything(one) == everything(several)
        assert several.order_count or name in ("calm", "deep")
        assert several.threads is not None
        assert sum(several.threads.messages) == several.messages
        assert f"threads={threads}" in several.notes()[0]
        assert not one.notes()


def test_faults_have_the_same_names_and_doubts_are_told() -> None:
    late = damaged(hftlab.synthetic("market", 60_000), 1)
    engine = hftlab.Engine("rust", **EAGER)
    one, several = engine.run(late), engine.replace(threads=2).run(late)
    assert everything(one) == everything(several)
    assert {"unknown_order", "wrong_instrument", "duplicate_order", "bad_side", "zero_qty"} <= set(several.faults)
    assert "ran on one thread, since message" in several.notes()[0]


def test_a_doubt_in_the_middle_is_run_one_by_one() -> None:
    whole = hftlab.decode(hftlab.synthetic("market", 60_000))
    bad = hftlab.decode(damaged(hftlab.synthetic("market", 60_000), 2))

    class Late(EventFeed):
        """A feed in blocks, of which only the first is flawless."""

        def event_blocks(self) -> Any:
            yield from (whole[:30_000], bad[30_000:45_000], whole[45_000:])

    feed = Late(whole)
    engine = hftlab.Engine("rust", **EAGER)
    one, several = engine.run(feed), engine.replace(threads=2).run(feed)
    assert everything(one) == everything(several)
    assert several.threads is not None
    assert several.threads.doubted is not None
    assert several.threads.doubted >= 29_000
    assert "one by one over all shards" in several.notes()[1]


@pytest.mark.parametrize(
    "name",
    ["itch50/nasdaq_20191230_first1000.itch", "itch50/aapl_20200130_first10k.itch", "dbn/esh4-glbx-mdp3-20231225.mbo.dbn.zst"],
)
def test_real_files(name: str, data_dir: Path) -> None:
    feed, engine = hftlab.load(data_dir / name), hftlab.Engine("rust", **EAGER)
    assert everything(engine.run(feed)) == everything(engine.replace(threads=2).run(feed))


def test_a_feed_that_breaks_off_and_a_strict_run_end_in_the_same_way(tmp_path: Path) -> None:
    whole = b"".join(bytes(block) for block in hftlab.synthetic("market", 9_000).blocks())
    packed = tmp_path / "day.itch.gz"
    packed.write_bytes(gzip.compress(whole, 1)[:-999])
    feeds = (ItchFeed(whole[:-5]), ItchFeed(whole + b"\0\0\0\0"), ItchFeed(packed))
    for feed in feeds:
        ends = []
        for threads in (1, 2):
            with pytest.raises(FeedError) as caught:
                hftlab.Engine("rust", threads=threads).run(feed)
            ends.append((str(caught.value), everything(caught.value.run)))
        assert ends[0] == ends[1]
    bad = damaged(hftlab.synthetic("market", 9_000), 3)
    texts = []
    for threads in (1, 2):
        with pytest.raises(FaultError) as fault:
            hftlab.Engine("rust", threads=threads, strict=True).run(bad)
        texts.append((str(fault.value), everything(fault.value.run)))
    assert texts[0] == texts[1]
    strict = hftlab.Engine("rust", threads=2, strict=True).run(hftlab.synthetic("calm", 500))
    assert strict.notes() == ["threads=2: ran on one thread, since a strict run ends at the first fault of the feed."]


def test_what_needs_one_thread_says_so() -> None:
    engine = hftlab.Engine("rust", threads=2)
    assert engine.label.endswith("threads=2")
    assert engine.as_reference().threads == 1
    assert as_engine("rust threads=3").threads == 3
    for refused in (
        lambda: engine.run(hftlab.synthetic("calm", 10), latency=True),
        lambda: LiveSession(engine),
        lambda: hftlab.Engine("python", threads=2),
        lambda: hftlab.Engine("rust", threads=65),
        lambda: as_engine("rust threads=many"),
    ):
        with pytest.raises(ConfigError, match="thread"):
            refused()
