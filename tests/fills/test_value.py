"""Does `latency_value` count what it says: decisions, latencies, intervals, money, strategies of one's own?"""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.engine.timing import Histogram
from hftlab.errors import ConfigError, FeedError, HftlabError, UnknownName
from hftlab.events import Kind
from hftlab.fills.accounts import SCHEDULES, Account, FeeSchedule
from hftlab.fills.delays import Latency, as_latencies, counted, marks_of, quantiles, read_hgrm, sampled
from hftlab.fills.proofs.planted import PERIOD_NS, planted_market
from hftlab.fills.requests import Reason, requests
from hftlab.fills.simulation import simulate
from hftlab.measurement.blocks import MIN_BLOCKS, Verdict, block_of, compare, sums

TIMES = {"horizon_s": 1.2, "markout_s": 1.0, "tick": 100}


@pytest.fixture(scope="module")
def market() -> hftlab.EventFeed:
    return planted_market(150, 100_000.0, 3)


def test_what_is_planted_is_decided_paired_and_told(market: hftlab.EventFeed, backend: str) -> None:
    result = hftlab.latency_value(market, [0, 1_000_000], backend=backend, marks={"shm": 600}, **TIMES)
    early, late = result.rows
    assert (early.attempts, early.filled, early.latency, late.latency) == (150, 1.0, "0", "1 ms")
    assert late.filled < 0.01
    assert result.difference("1 ms", "filled").verdict == Verdict.LOWER.value
    assert all(row.filled + row.through + row.canceled + row.expired == pytest.approx(1) for row in result.rows)
    again = hftlab.LatencyValue.from_dict(json.loads(result.to_json()))
    assert again.to_dict() == result.to_dict()
    assert again.frame().shape[0] == 2
    for assumption in ("one lot", "no impact", "losers of races invisible", "one venue", "one day"):
        assert all(assumption in table.note for table in result.tables()), assumption
        assert assumption in str(result.plot().to_dict()), assumption
    assert "5 to 10 µs" in str(result.plot().to_dict())


@pytest.mark.rust
def test_both_simulators_find_the_same(market: hftlab.EventFeed) -> None:
    python, rust = (hftlab.latency_value(market, [0, 50_000], backend=name, **TIMES) for name in ("python", "rust"))
    assert (python.rows, python.compared) == (rust.rows, rust.compared)


def test_money_is_ticks_times_the_tick_less_fees(market: hftlab.EventFeed) -> None:
    free = hftlab.latency_value(market, [0, 1_000], backend="python", lot=3, **TIMES)
    value = free.rows[0].value * 150 * 3 * 0.01
    assert free.rows[0].money == pytest.approx(value)
    fees = FeeSchedule("test", maker="0.25", taker="9")
    paid = hftlab.latency_value(market, [0, 1_000], backend="python", lot=3, fees=fees, **TIMES)
    filled = free.rows[0].filled * 150 * 3
    assert paid.rows[0].money == pytest.approx(value - 0.25 * filled)


def test_take_sends_the_orders_of_the_engine() -> None:
    feed = hftlab.synthetic("calm", 30_000, 4)
    sent = hftlab.Engine("python").run(feed, record="none").order_count
    result = hftlab.latency_value(feed, [0, 10**9], strategy="take", markout_s=0.1, horizon_s=2, backend="python", blocks=10)
    assert 0 < result.rows[0].attempts <= sent
    assert result.rows[0].filled > result.rows[1].filled


class Joiner:
    """Joins every better bid with one share, and says what it heard."""

    heard: ClassVar[list[tuple[int, int]]] = []

    def __init__(self) -> None:
        self.best, self.number = 0, 0

    def update(
        self, index: int, ts_ns: int, instrument: int, top: tuple[int, int, int, int], score: float
    ) -> list[dict[str, int]]:
        better, self.best = 0 < self.best < top[0] and top[2] > 0, top[0]
        if not better:
            return []
        self.number += 1
        before = {"action": 2, "order_id": self.number - 1}
        return [before, {"order_id": self.number, "instrument": instrument, "side": 1, "price": top[0], "qty": 1, "tif": 2}]

    def on_report(self, ts_ns: int, fill: tuple[int, ...]) -> None:
        self.heard.append((ts_ns, fill[1]))


def test_a_strategy_of_ones_own_is_played_once_per_latency(market: hftlab.EventFeed) -> None:
    Joiner.heard.clear()
    late = 10_000
    own = hftlab.latency_value(market, [0, late], strategy=Joiner, blocks=20, **TIMES)
    known = hftlab.latency_value(market, [0, late], blocks=20, backend="python", **TIMES)
    assert own.strategy == "Joiner"
    assert [row.attempts for row in own.rows] == [150, 150]
    assert [row.filled for row in own.rows] == pytest.approx([row.filled for row in known.rows], abs=0.02)
    assert {heard - ts_ns for heard, ts_ns in Joiner.heard} == {0, late}  # an answer is as late as an order


def test_a_function_is_a_strategy_and_nonsense_is_none(market: hftlab.EventFeed) -> None:
    def never(index: int, ts_ns: int, instrument: int, top: object, score: float) -> None:
        return None

    assert hftlab.latency_value(market, [0, 1], strategy=never, **TIMES).rows[0].attempts == 0
    with pytest.raises(ConfigError, match="a strategy must have update"):
        hftlab.latency_value(market, [0, 1], strategy=list, **TIMES)
    with pytest.raises(UnknownName, match="unknown strategy 'guess'; known: join, take"):
        hftlab.latency_value(market, [0, 1], strategy="guess")
    with pytest.raises(ConfigError, match="latencies must be at least 2"):
        hftlab.latency_value(market, [0])


def test_the_receive_time_decides_where_the_feed_has_one(market: hftlab.EventFeed) -> None:
    events = hftlab.decode(market)
    delayed = hftlab.EventFeed(events, symbols=market.symbols, recv_ns=events["ts_ns"] + 1_000_000)
    late = hftlab.latency_value(delayed, [0, 1], backend="python", **TIMES)
    early = hftlab.latency_value(delayed, [0, 1], backend="python", clock="exchange", **TIMES)
    assert (late.clock, early.clock) == ("receive", "exchange")
    assert late.rows[0].filled < 0.05 < early.rows[0].filled


def test_what_was_measured_is_drawn_in_blocks() -> None:
    times = np.arange(1_000) * 10_000  # a hundred to a millisecond
    measured = counted("engine", Histogram.of(np.array([100.0, 200.0, 300.0, 90_000.0])))
    drawn = measured.draw(times, (1,)).reshape(-1, 100)
    assert (drawn == drawn[:, :1]).all()  # a burst stays one
    assert len(np.unique(drawn)) > 1
    stretch = sampled("stamps", np.arange(10_000), stretch=50).draw(times, (2,)).reshape(-1, 50)
    assert (np.diff(stretch, axis=1) % 10_000 == 1).all()  # neighbours stay neighbours
    assert (measured.plus(5_000).draw(times, (1,)) == drawn.ravel() + 5_000).all()
    assert measured.draw(times, (1,)).tolist() == drawn.ravel().tolist()


def test_latencies_come_from_whatever_says_what_they_are(tmp_path: Path) -> None:
    histogram = Histogram.of(np.arange(1_000, 2_000))
    (tmp_path / "rust.hgrm").write_text(histogram.hgrm())
    read = read_hgrm(tmp_path / "rust.hgrm")
    assert read.quantile(0.5) == pytest.approx(1_500, rel=0.01)
    named = as_latencies(
        {"a": 5, "b": tmp_path / "rust.hgrm", "c": histogram, "d": Latency("x", 7), "e": quantiles("q", {0.5: 1, 1: 9})}
    )
    assert [latency.name for latency in named] == ["a", "b", "c", "d", "e"]
    assert [latency.name for latency in as_latencies([0, 250, 10_000, 2.5e9])] == ["0", "250 ns", "10 µs", "2.5 s"]
    assert marks_of([histogram, 9]).keys() == {"histogram p50", "histogram p99.9", "9 ns"}
    report = hftlab.latency("python", hftlab.synthetic("calm", 1_500, 1), rounds=3)
    assert as_latencies(report)[0].quantile(0.5) == pytest.approx(report["total"].quantile(0.5), rel=0.2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (-1, "latency must be between 0 and"),
        (object(), "latency must be ns, a Latency, a .hgrm file or a measured result, got object"),
        ([5, 5], "latencies must have different names, got 5 ns more than once"),
        (Histogram(), "the histogram of histogram must have at least one latency, got none"),
    ],
)
def test_what_is_no_latency_is_named(given: object, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        as_latencies(given)
    assert str(raised.value).startswith(message)


def test_a_hgrm_file_that_is_none_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.hgrm").write_text("Value Percentile\n1.0 0.5 1\nnonsense\n")
    with pytest.raises(FeedError, match="line 3 must begin with a value and a percentile, got 'nonsense'"):
        read_hgrm(tmp_path / "a.hgrm")
    with pytest.raises(FeedError, match="cannot be read"):
        read_hgrm(tmp_path / "b.hgrm")


def test_money_reconciles_to_the_unit_and_a_planted_cent_is_found() -> None:
    fills = np.zeros(4, hftlab.fills.requests.FILL_DTYPE)
    fills["price"], fills["qty"] = [2**62, 1, 7, 123_456_789], [2**31, 3, 2, 99]
    fills["side"], fills["reason"], fills["instrument"] = [1, 2, 1, 2], [1, 2, 3, 3], [1, 1, 2, 2]
    account = Account(10**9, 10**8, fees=SCHEDULES["us-maker-taker"], multiplier=50)
    account.book_all(fills)
    account.reconcile(fills)
    for change in ("cash", "fees"):
        setattr(account, change, getattr(account, change) + 1)
        with pytest.raises(HftlabError, match=f"{change} must reconcile with the fills"):
            account.reconcile(fills)
        setattr(account, change, getattr(account, change) - 1)
    account.positions[2] -= 1
    with pytest.raises(HftlabError, match="positions must reconcile"):
        account.reconcile(fills)
    with pytest.raises(ConfigError, match=r"maker must be a multiple of 0.000000001"):
        FeeSchedule("fine", maker="0.0000000001").units(Reason.QUEUE)


def test_intervals_need_blocks_and_hold_for_paired_differences() -> None:
    random = np.random.default_rng(5)
    block = block_of(np.arange(6_000) * PERIOD_NS, 60)
    noise = random.normal(0, 1, 6_000)
    base, other = noise, noise + 0.5 + random.normal(0, 0.1, 6_000)
    tried = sums(block, np.ones(6_000), 60)
    (apart,) = compare((sums(block, base, 60), tried), [(sums(block, other, 60), tried)])
    assert apart.low < 0.5 < apart.high < apart.low + 0.02
    assert apart.verdict is Verdict.HIGHER
    few = MIN_BLOCKS - 1
    (unknown,) = compare((sums(block, base, 60)[:few], tried[:few]), [(sums(block, other, 60)[:few], tried[:few])])
    assert unknown.verdict is Verdict.UNKNOWN
    assert unknown.low != unknown.low


def test_levels_alone_are_refused_or_guessed_by_a_named_model() -> None:
    rows = [
        (1, 1, 0, 100, 10, 1, Kind.ADD, 1),  # the level holds 10
        (2, 0, 0, 100, 4, 1, Kind.TRADE, 0),
        (3, 1, 1, 100, 4, 1, Kind.REPLACE, 0),  # set to 4: 4 traded, 2 canceled
        (4, 0, 0, 100, 5, 1, Kind.TRADE, 0),
    ]
    feed = hftlab.EventFeed(np.array(rows, hftlab.EVENT_DTYPE))
    order = requests([{"order_id": 1, "after": 0, "instrument": 1, "side": 1, "price": 100, "qty": 9}])
    with pytest.raises(ConfigError, match="queue_model must be None for a feed of orders"):
        simulate(feed, order, queue_model="trades")
    feed.by_order = False
    with pytest.raises(HftlabError, match=r"price levels \(L2\)"):
        simulate(feed, order)
    got = {model: simulate(feed, order, queue_model=model) for model in ("trades", "proportional")}
    assert {model: run.fills["qty"].tolist() for model, run in got.items()} == {"trades": [1], "proportional": [1]}
    assert "queue model trades" in str(got["trades"])
    with pytest.raises(UnknownName, match="unknown queue model 'guess'; known: trades, proportional"):
        simulate(feed, order, queue_model="guess")


def test_the_command_says_what_the_function_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed = hftlab.synthetic("calm", 20_000, 2)
    path = tmp_path / "day.itch"
    path.write_bytes(b"".join(bytes(block) for block in feed.blocks()))
    words = ["latency-value", str(path), "--backend", "python", "--latency", "0", "--latency", "50us", "--blocks", "10", "--json"]
    assert main(words) == 0
    payload = json.loads(capsys.readouterr().out)
    assert [row["latency"] for row in payload["rows"]] == ["0", "50 µs"]
    assert main([*words[:-1], "--chart", str(tmp_path / "chart.json"), "--measured", "1us"]) == 0
    assert "no impact" in (tmp_path / "chart.json").read_text()
    assert "one lot" in capsys.readouterr().out
    assert main([*words, "--latency", "5 parsecs"]) == 2
