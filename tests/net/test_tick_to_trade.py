"""Tick-to-trade: is every order the right one, is a fault found and put where it belongs, are the figures what they say?"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path as File
from typing import Any

import numpy as np
import polars as pl
import pytest
from planted_stress import check_result

from hftlab.charts import render, tick_to_trade_chart
from hftlab.cli.main import main
from hftlab.engine.engine import Engine
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.events import EVENT_DTYPE
from hftlab.feeds.feed import EventFeed
from hftlab.feeds.generate.synthetic import generate
from hftlab.feeds.itch import ItchFeed
from hftlab.net import list_transports, measure_tick_to_trade
from hftlab.net.tick_to_trade.outside import OutsideTime
from hftlab.net.tick_to_trade.result import GOALS, MEASURES, PARTS, PathResult, TickToTradeReport, split
from hftlab.net.tick_to_trade.rounds import Faults, RoundSettings, Sample, check_orders, run_round
from hftlab.net.tick_to_trade.scenario import NetworkPath, Scenario, available_paths, eager_engine, make_scenario, offsets
from hftlab.net.transports import netns
from hftlab.net.transports.transports import ThreadPlacement

pytestmark = pytest.mark.rust

DATA = generate("burst", 8_000, 1)
WARM = 3_000
PATHS = ["memory", "shm", "udp-spin", "tcp-spin", "udp-spin+tcp-spin", "multicast+tcp-spin", "udp+tcp", "udp-spin+shm"]
SETTINGS = RoundSettings(ThreadPlacement.choose(), floor=50, probe=0.001, limit=20.0, timeout=5.0)


def scenario(load_profile: str = "closed", messages: int = 2_000, engine: Any = "rust", cooldown: int | None = None) -> Scenario:
    acts = eager_engine(engine, load_profile, cooldown=cooldown)
    return make_scenario(load_profile, DATA, WARM, acts, messages=messages, seconds=0.05)


def over(path: str, one: Scenario, faults: Faults | None = None, settings: RoundSettings = SETTINGS) -> Sample:
    parsed = NetworkPath.parse(path)
    if why := parsed.reason(settings.placement.single_core):
        pytest.skip(why)
    return run_round(path, parsed.ends(), one, replace(settings, faults=faults or Faults()))


@pytest.mark.parametrize(
    ("path", "engine"), [*((path, "rust") for path in PATHS), ("memory", "rust naive"), ("memory", "rust pool=False")]
)
def test_every_order_comes_and_is_the_one_it_should_be(path: str, engine: str) -> None:
    one = scenario(messages=300, engine=engine)
    sample = over(path, one)
    assert sample.counts["orders"] == len(one.cause) > 200
    assert sample.counts["messages"] == one.messages
    counted = int(np.count_nonzero(one.cause >= one.skipped))
    assert len(sample.service) == len(sample.response) == len(sample.engine) == counted
    assert (sample.service > 0).all()
    assert (sample.engine > 0).all()
    assert (sample.service > sample.engine).mean() > 0.99, "the clocks of two cores may be a little apart"
    assert (sample.response == sample.service).all(), "in a closed loop a tick is due when it leaves"


def test_the_orders_are_those_of_the_reference_in_python() -> None:
    one = scenario(messages=1_000)
    engine = Engine("python", order_config=one.settings.order_config, risk_config=one.settings.risk_config)
    stream = engine.run(ItchFeed(one.warm + one.data), record="none").order_stream
    assert stream[47 * (one.first - 1) :] == one.stream
    over("memory", one)


@pytest.mark.parametrize("load_profile", ["8x", "bursts", "20000/s"])
@pytest.mark.parametrize("path", ["shm", "udp-spin+tcp-spin"])
def test_at_a_pace_response_counts_from_when_a_tick_was_due(path: str, load_profile: str) -> None:
    one = scenario(load_profile)
    sample = over(path, one)
    assert sample.counts["orders"] == len(one.cause) > 20
    assert (sample.response >= sample.service - 1).all()
    assert (sample.late >= 0).all()
    assert sample.counts["packets"] == len(one.ends)


def test_one_wrong_byte_and_there_is_no_result() -> None:
    one = scenario(messages=500)
    wrong = bytearray(one.stream)
    wrong[47 * 200 + 20] ^= 1
    with pytest.raises(HftlabError, match=f"order {one.first + 200} differs from the run without a network; no result"):
        over("memory", replace(one, stream=bytes(wrong)))


def test_an_order_may_get_lost_only_where_the_transport_may_lose_it() -> None:
    one = scenario(messages=200)
    orders = len(one.cause)
    arrived = np.arange(float(orders))
    arrived[[5, 6]] = np.nan
    raw: dict[str, Any] = {"sent_ns": np.arange(float(len(one.ends))), "arrived_ns": arrived, "received_ns": np.zeros(orders)}
    raw |= {"stream": one.stream, "stopped": "no order came any more", "counts": {}, "duplicates": 0, "foreign": 0}
    assert np.flatnonzero(~check_orders("udp", one, raw, reliable=False)).tolist() == [5, 6]
    with pytest.raises(HftlabError, match=f"tcp: no order came any more; {orders - 2} of {orders} orders came"):
        check_orders("tcp", one, raw, reliable=True)
    with pytest.raises(HftlabError, match="orders came"):
        check_orders("udp", one, {**raw, "received_ns": np.zeros(orders - 1)}, reliable=False)
    for what in ("duplicates", "foreign"):
        with pytest.raises(HftlabError, match=f"{what} on the order connection must be 0, got 1"):
            check_orders("udp", one, {**raw, what: 1}, reliable=False)


@pytest.mark.parametrize("path", ["shm", "udp-spin+tcp-spin", "multicast+tcp-spin"])
def test_a_lost_packet_is_asked_for_and_every_order_comes(path: str) -> None:
    one = scenario(messages=300)
    sample = over(path, one, Faults(drop_every=100))
    assert sample.counts["gaps"] >= 2
    assert sample.counts["resent"] >= 2
    assert sample.counts["lost"] == 0
    assert sample.counts["orders"] == len(one.cause)
    assert sample.service.max() > 1e6, "the order of a lost tick comes late, and that counts"
    paced = scenario("bursts")  # those behind it are held up
    sample = over(path, paced, Faults(drop_every=200))
    assert sample.counts["recovered"] > 0
    assert sample.counts["orders"] == len(paced.cause)


def test_a_planted_delay_is_the_engine_s_and_not_the_transport_s() -> None:
    delay = 200_000  # ns, far beyond what a busy machine makes of a median
    one = scenario(messages=300)
    plain, slow = over("memory", one), over("memory", one, Faults(delay_ns=delay))
    assert np.median(slow.engine) > delay
    assert np.median(plain.engine) < delay / 4
    parts = split(slow.response, slow.engine, float(np.median(slow.floor)), 20.0)
    shares = {part: ns for name, part, ns in parts if name == "p50"}
    total = sum(shares.values())
    assert shares["engine"] > 0.7 * total, shares
    assert shares["transport"] < 0.2 * total, shares


def test_without_stamps_the_engine_s_time_is_not_known() -> None:
    sample = over("memory", scenario(messages=300), settings=replace(SETTINGS, stamps=False))
    assert not len(sample.engine)
    assert len(sample.service)
    assert not list(split(sample.response, sample.engine, 100.0, 20.0))


@pytest.fixture(scope="module")
def steady() -> tuple[Scenario, Scenario]:
    """Behind 100,000 messages: the best engine, and the naive one."""
    data = generate("market", 140_000, 1)
    plans = (("rust", 4_000), ("rust naive", 1_000))
    best, naive = (
        make_scenario("closed", data, 100_000, eager_engine(engine, "closed"), messages=n, seconds=0.1) for engine, n in plans
    )
    return best, naive


@pytest.mark.parametrize("path", ["shm", "udp-spin+tcp-spin"])
def test_in_steady_state_the_trader_leaves_the_heap_alone(path: str, steady: tuple[Scenario, Scenario]) -> None:
    sample = over(path, steady[0], settings=replace(SETTINGS, limit=10.0))
    assert sample.counts["orders"] > 3_500
    assert sample.counts["allocations"] == 0
    assert over(path, steady[1]).counts["allocations"] > 0, "or this test could not fail"


_WATCHED = """
import sys
sys.path += ["..", "../../notebooks"]
from test_tick_to_trade import SETTINGS, over, scenario
path, messages = sys.argv[1], int(sys.argv[2])
counts = over(path, scenario(messages=messages)).counts
assert counts["orders"] > messages // 2, counts
"""


@pytest.mark.parametrize(("path", "most"), [("shm", 0.5), ("udp-spin", None)])
def test_a_tick_over_shared_memory_asks_nothing_of_the_system(path: str, most: float | None, tmp_path: File) -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace on PATH")
    calls = []
    counted = ["-e", "trace=sendto"] if most is None else []  # how often a socket is polled depends on the machine
    for messages in (200, 1_000):
        log = tmp_path / f"{path}-{messages}"
        words = ["strace", "-f", "-c", *counted, "-o", str(log), sys.executable, "-c", _WATCHED, path, str(messages)]
        done = subprocess.run(words, cwd=File(__file__).parent, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            pytest.skip(f"strace: {done.stderr.strip().splitlines()[-1]}")
        total = next(line for line in log.read_text().splitlines() if line.endswith(" total"))
        calls.append(int(total.split()[3]))
    per_tick = (calls[1] - calls[0]) / 800
    assert per_tick < most if most is not None else per_tick > 1, f"{path}: {per_tick:.2f} calls per tick"


def test_a_closed_loop_s_packet_ends_with_the_tick_that_is_answered() -> None:
    one = scenario(messages=2_000, cooldown=10)
    assert (np.diff(one.ends) > 0).all()
    assert int(one.ends[-1]) <= len(one.data)
    assert set(one.ends.tolist()) <= set(offsets(one.data).tolist())
    assert (np.diff(one.orders, prepend=0) <= 1).all(), "never two orders of one packet"
    assert one.orders[-1] == len(one.cause) == len(one.stream) // 47
    assert (one.orders[one.cause] == np.arange(1, len(one.cause) + 1)).all()
    assert (np.diff(one.ends) <= 1400).all()
    assert (one.due_ns == -1).all()
    assert one.closed
    assert one.messages_per_s is None


def test_a_pace_is_a_pace() -> None:
    slow, quick, fixed, bursts = (scenario(load_profile) for load_profile in ("1x", "8x", "50000/s", "bursts"))
    both = min(len(slow.due_ns), len(quick.due_ns))
    assert both > 20
    assert np.abs(quick.due_ns[:both] - slow.due_ns[:both] / 8).max() <= 1
    assert fixed.messages_per_s == pytest.approx(50_000, rel=0.01)
    assert bursts.messages_per_s == pytest.approx(25_000, rel=0.1)
    for one in (slow, quick, fixed, bursts):
        assert (np.diff(one.due_ns) >= 0).all()
        assert int(one.due_ns[0]) == 0
        assert int(one.due_ns[-1]) <= 50_000_000
        assert not one.closed


def test_the_parts_of_a_quantile_sum_to_it() -> None:
    random = np.random.default_rng(1)
    engine = random.gamma(9, 40, 30_000)
    response = engine + 3_000 + random.exponential(500, 30_000)
    found = list(split(response, engine, 3_000.0, 0.0))
    assert [(name, part) for name, part, _ in found] == [(name, part) for name in ("p50", "p99") for part in PARTS]
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        parts = {part: ns for at, part, ns in found if at == name}
        assert sum(parts.values()) == pytest.approx(np.quantile(response, q), rel=0.02)
        assert parts["transport"] == 3_000
        assert all(ns >= 0 for ns in parts.values())
    assert not list(split(response[:50], engine[:50], 3_000.0, 0.0))[3:], "50 samples do not tell p99"
    over_all = {part: ns for _, part, ns in list(split(response, engine, 1e9, 0.0))[:3]}
    assert over_all["scheduling"] == 0, "the transports' share is never more than what is left"


@pytest.fixture(scope="module")
def report() -> TickToTradeReport:
    paths, plan = ["memory", "udp-spin+tcp-spin"], {"rounds": 3, "messages": 200, "seconds": 0.03}
    return measure_tick_to_trade(paths, load_profiles=["closed", "bursts"], regime="burst", **plan)  # type: ignore[arg-type]


def test_paths_and_load_profiles_are_measured_and_the_base_twice(report: TickToTradeReport) -> None:
    frame = report.frame()
    base, profiles = "udp-spin+tcp-spin", ("closed", "bursts")
    cells = {(path, profile) for path in ("memory", base) for profile in profiles}
    assert set(frame.select("path", "load_profile").unique().rows()) == {*cells, (base + " again", "closed")}
    assert frame.columns[:9] == ["path", "load_profile", "measure", "n", "min", "max", "mean", "p50", "p90"]
    assert set(frame["measure"]) == set(MEASURES)
    assert frame["p99.9"].is_null().all(), "so few samples cannot bear p99.9"
    assert (frame["p50"] > 0).all()
    assert (frame["max"] >= frame["p50"]).all()
    service = frame.filter(pl.col("measure") == "service")
    assert (service["least"] <= service["most"]).all()
    assert report.ratio(("memory", "closed"), (base, "closed")).median < 0.8
    sums = report.shares().group_by("path", "load_profile", "quantile").agg(pl.col("share").sum())
    assert sums["share"].to_list() == pytest.approx([1.0] * len(sums))


def test_the_report_is_complete(report: TickToTradeReport) -> None:
    check_result(report)
    notes = "\n".join(report.notes())
    orders = sum(result.counts["orders"] for result in report.results)
    assert f"all {orders:,} orders are byte for byte those of the same engine without a network" in notes
    assert "closed: every tick, bursts: every 4. tick of an instrument" in report.strategy
    table = report.tables()[0]
    measures = {profile: [row[1] for row in table.rows if row[0].endswith(profile)] for profile in report.load_profiles}
    assert measures == {"closed": ["response"] * 3, "bursts": ["response", "service"] * 2}
    values = json.dumps(report.plot().to_dict())
    for text in (
        "memory",
        "udp-spin+tcp-spin again",
        "transport",
        "scheduling",
        "What p50 is made of",
        "log scale",
        "closed loop",
    ):
        assert text in values
    assert "bursts: 25,0" in json.dumps(report.plot("bursts").to_dict())
    pytest.importorskip("vl_convert")
    assert render(report.plot("bursts").to_dict())[0]["image/png"]


def test_paths_through_the_kernel_are_stamped_outside_as_well(report: TickToTradeReport) -> None:
    if report.untapped:
        assert any("nothing was stamped outside" in note for note in report.notes())
        pytest.skip(report.untapped)
    (time,) = report.outside
    assert time.path == "udp-spin+tcp-spin"
    assert time.n > 5
    assert 0 < time.inside_ns < time.outside_ns, "handing over and sending take time, too"
    assert time.outside_ns < 10 * report["udp-spin+tcp-spin", "closed"].medians().max()
    assert any(note.startswith("udp-spin+tcp-spin: p50 of") for note in report.notes())
    assert OutsideTime("x", 9, 2_000.0, 1_910.0).agree
    assert not OutsideTime("x", 9, 2_000.0, 1_850.0).agree
    assert "they agree" in OutsideTime("x", 9, 20_000.0, 19_100.0).describe()


def test_goals_are_reached_or_not(report: TickToTradeReport) -> None:
    assert set(GOALS) == {"shm", "xdp-skb", "udp-spin+tcp-spin"}

    def verdict(p50: float, p99: float | None) -> str:
        times = {measure: {"n": 10, "p50": p50, "p99": p99} for measure in MEASURES}
        medians = {"service": (p50, 1e6), "transport alone": (p50, p50)}
        one = PathResult("udp-spin+tcp-spin", "closed", times, (), medians, None, {"orders": 1}, 0.0)  # type: ignore[arg-type]
        return next(note for note in replace(report, results=(one,), clock_ns=0.0)._goals())

    assert ": reached (1 of 2 rounds" in verdict(7_000, 10_000)
    assert ": not reached (1 of 2 rounds" in verdict(7_000, 12_000)
    assert ": not decided" in verdict(7_000, None), "nobody knows of p99"
    assert ": not reached" in verdict(9_000, None)
    assert "the transports alone take 9.00 us" in verdict(9_000, 10_000)


def test_charts_of_little_and_of_nothing() -> None:
    empty = pl.DataFrame(schema={"path": pl.String, "p50": pl.Float64, "p99": pl.Float64, "p99.9": pl.Float64})
    shares = pl.DataFrame(schema={"path": pl.String, "part": pl.String, "ns": pl.Float64, "share": pl.Float64})
    assert "nothing was measured" in json.dumps(tick_to_trade_chart(empty, shares).to_dict())
    one = pl.DataFrame({"path": ["shm"], "p50": [500.0], "p99": [None], "p99.9": [None]}, schema=empty.schema)
    assert "vconcat" not in tick_to_trade_chart(one, shares).to_dict(), "without shares there is one panel"


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: File) -> None:
    words = ["net", "tick-to-trade", "memory", "--rounds", "3"]
    more = ["--load-profiles", "closed", "--messages", "300", "--engine", "rust pool=False"]
    assert main([*words, *more, "--json", "--chart", str(tmp_path / "chart.json")]) == 0
    payload = json.loads(capsys.readouterr().out)
    assert payload["engine"] == "rust book=ladder orders=flat pool=False signal=incremental lookahead=auto"
    assert {row["path"] for row in payload["rows"]} == {"memory", "memory again"}
    assert (tmp_path / "chart.json").exists()
    assert main([*words, "--load-profiles", "20000/s", "--seconds", "0.02", "--no-stamps"]) == 0
    printed = capsys.readouterr().out
    assert "the engine's share is not known" in printed
    assert "20000/s" in printed


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"paths": ["pigeon"]}, UnknownName, "unknown transport 'pigeon'; known: memory, shm"),
        ({"paths": ["shm+shm+shm"]}, ConfigError, "path must be the name of a transport, or two: FEED[+]ORDERS, got 'shm"),
        ({"load_profiles": ["quick"]}, ConfigError, "load profile must be closed, bursts, a speed .*, got 'quick'"),
        ({"load_profiles": []}, ConfigError, "load_profiles must be one or more of closed, .*, got none"),
        ({"rounds": 2}, ConfigError, "rounds must be between 3 and 1,000, got 2"),
        ({"messages": 10}, ConfigError, "messages must be between 100 and 1,000,000, got 10"),
        ({"seconds": float("nan")}, ConfigError, "seconds must be between 0.01 and 10, got nan"),
        ({"seconds": 0.7, "realtime": True}, ConfigError, "seconds must be between 0.01 and 0.6 with real-time scheduling"),
        ({"seed": -1}, ConfigError, "seed must be at least 0, got -1"),
        ({"engine": "python"}, ConfigError, "engine must be rust in any variant, got python"),
        ({"cores": (0, 9999)}, ConfigError, "cores must be of .*, got 9999"),
        ({"feed": EventFeed(np.zeros(3, EVENT_DTYPE))}, ConfigError, "feed must be of ITCH bytes"),
        ({"threshold": 1e6}, HftlabError, "the feed causes no order in .* messages: lower the threshold"),
        ({"feed": ItchFeed(DATA)}, HftlabError, "must have more than the 20,000 messages that warm up, got 8,000"),
    ],
)
def test_what_cannot_be_is_one_sentence(wrong: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        measure_tick_to_trade(**{"paths": ["memory"], **wrong})


def test_on_one_core_what_spins_is_left_out() -> None:
    paths, skipped = available_paths((), single_core=True)
    assert [str(path) for path in paths] == ["udp+tcp"]
    assert any("there is one core for both ends" in line for line in skipped)
    with pytest.raises(HftlabError, match="not available here: shm: shm: it spins"):
        available_paths(["shm"], single_core=True)


def test_over_a_link_between_two_namespaces() -> None:
    if why := netns.refused():
        pytest.skip(why)
    known = list_transports()
    paths = [
        path for path in ("xdp-skb", "udp-spin+tcp-spin") if all(known[name].works for name in NetworkPath.parse(path).names)
    ]
    report = measure_tick_to_trade(paths, load_profiles=["closed"], rounds=3, messages=200, regime="burst", netns=True)
    assert report.network == "veth between two namespaces"
    assert {result.path.removesuffix(" again") for result in report.results} == set(paths)
    assert not list(netns.FOLDER.glob("hft-*"))
