"""From wire to wire: is every order the right one, is a fault told and put where it belongs, are the figures what they say?"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path as File
from typing import Any

import numpy as np
import polars as pl
import pytest

from hftlab.charts import render, tick_to_trade_chart
from hftlab.cli.main import main
from hftlab.engine.engine import Engine
from hftlab.engine.timing import Histogram
from hftlab.errors import BackendMissing, ConfigError, HftlabError, UnknownName
from hftlab.events import EVENT_DTYPE
from hftlab.feeds.feed import EventFeed
from hftlab.feeds.generate.synthetic import generate
from hftlab.feeds.itch import ItchFeed
from hftlab.net.tick_to_trade.wire import wire
from hftlab.net.tick_to_trade.wire_found import MEASURES, PARTS, Leg, WireToWire, split
from hftlab.net.tick_to_trade.wire_path import Path, chosen
from hftlab.net.tick_to_trade.wire_round import Faults, Sample, Seats, check, run
from hftlab.net.tick_to_trade.wire_script import Script, acting, offsets, script
from hftlab.net.tick_to_trade.wire_words import GOALS, Goal, against
from hftlab.net.transports import netns
from hftlab.net.transports.pingpong import MESSAGES, cores_of
from hftlab.net.transports.transports import transports

pytestmark = pytest.mark.rust

DATA = generate("burst", 8_000, 1)
WARM = 3_000
PATHS = ["memory", "shm", "udp-spin", "tcp-spin", "udp-spin+tcp-spin", "multicast+tcp-spin", "udp+tcp", "udp-spin+shm"]
SEATS = Seats(cores=cores_of(None), floor=50, probe=0.001, patience=5.0)
SHORT = replace(SEATS, patience=0.3)


def made(pace: str = "closed", messages: int = 2_000, engine: Any = "rust", **more: Any) -> Script:
    acts = acting(engine, pace, more.get("threshold", 0.0), more.get("cooldown"))
    return script(pace, DATA, WARM, acts, messages=messages, seconds=0.05)


def over(path: str, one: Script, faults: Faults | None = None, seats: Seats = SEATS) -> Sample:
    for name in Path.parse(path).names:
        if not transports_here[name].works:
            pytest.skip(transports_here[name].why)
    return run(path, Path.parse(path).ends(None), one, seats, faults)


@pytest.fixture(scope="module", autouse=True)
def _probe() -> None:
    global transports_here
    transports_here = transports()


transports_here: Any = None


@pytest.mark.parametrize("path", PATHS)
def test_every_order_comes_and_is_the_one_it_should_be(path: str) -> None:
    one = made(messages=300)
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
    one = made(messages=1_000)
    engine = Engine("python", order_config=one.settings.order_config, risk_config=one.settings.risk_config)
    told = engine.run(ItchFeed(one.warm + one.data), record="none").order_stream
    assert told[47 * (one.first - 1) :] == one.stream
    over("memory", one)


@pytest.mark.parametrize("engine", ["rust naive", "rust pool=False"])
def test_any_variant_of_the_engine_runs(engine: str) -> None:
    assert over("memory", made(messages=300, engine=engine)).counts["orders"] > 200


@pytest.mark.parametrize("pace", ["8x", "bursts", "20000/s"])
@pytest.mark.parametrize("path", ["shm", "udp-spin+tcp-spin"])
def test_at_a_pace_response_counts_from_when_a_tick_was_due(path: str, pace: str) -> None:
    one = made(pace)
    sample = over(path, one)
    assert sample.counts["orders"] == len(one.cause) > 20
    assert (sample.response >= sample.service - 1).all()
    assert (sample.late >= 0).all()
    assert sample.sent == len(one.ends)


def test_one_wrong_byte_and_nothing_is_told() -> None:
    one = made(messages=500)
    wrong = bytearray(one.stream)
    wrong[47 * 200 + 20] ^= 1
    with pytest.raises(HftlabError, match=f"order {one.first + 200} is not the one of the run without a wire; nothing is told"):
        over("memory", replace(one, stream=bytes(wrong)))


def test_an_order_may_get_lost_only_where_the_transport_may_lose_it() -> None:
    one = made(messages=200)
    orders = len(one.cause)
    arrived = np.arange(float(orders))
    arrived[[5, 6]] = np.nan
    told: dict[str, Any] = {"sent_ns": np.arange(float(len(one.ends))), "arrived_ns": arrived, "received_ns": np.zeros(orders)}
    told |= {"stream": one.stream, "stopped": "no order came any more", "counts": {}, "duplicates": 0, "foreign": 0}
    assert np.flatnonzero(~check("udp", one, told, keeps=False)).tolist() == [5, 6]
    with pytest.raises(HftlabError, match=f"tcp: no order came any more; {orders - 2} of {orders} orders came"):
        check("tcp", one, told, keeps=True)
    with pytest.raises(HftlabError, match="orders came"):
        check("udp", one, {**told, "received_ns": np.zeros(orders - 1)}, keeps=False)
    for what in ("duplicates", "foreign"):
        with pytest.raises(HftlabError, match=f"1 {what} came over the wire of the orders; allowed is none"):
            check("udp", one, {**told, what: 1}, keeps=False)


@pytest.mark.parametrize("path", ["shm", "udp-spin+tcp-spin", "multicast+tcp-spin"])
def test_a_lost_packet_is_asked_for_and_every_order_comes(path: str) -> None:
    one = made(messages=300)
    sample = over(path, one, Faults(drop_every=100))
    assert sample.counts["gaps"] >= 2
    assert sample.counts["resent"] >= 2
    assert sample.counts["lost"] == 0
    assert sample.counts["orders"] == len(one.cause)
    assert sample.service.max() > 1e6, "the order of a lost tick comes late, and that counts"


def test_at_a_pace_a_lost_packet_holds_up_those_behind_it() -> None:
    one = made("bursts")
    sample = over("udp-spin", one, Faults(drop_every=200))
    assert sample.counts["recovered"] > 0
    assert sample.counts["orders"] == len(one.cause)


def test_a_packet_that_stays_lost_is_reported() -> None:
    start = time.monotonic()
    with pytest.raises(
        HftlabError, match=r"memory: no order came any more; \d+ of \d+ orders came .*arbiter: \d+ messages, \d+ req"
    ):
        over("memory", made(messages=300), Faults(drop_every=100, deaf=True), SHORT)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("path", ["memory", "udp-spin", "udp+tcp"])
def test_a_dead_trader_hangs_nobody(path: str) -> None:
    start = time.monotonic()
    with pytest.raises(HftlabError, match=r"no order came any more; [0-9,]+ of [0-9,]+ orders came"):
        over(path, made(messages=500), Faults(dies_after=100), SHORT)
    assert time.monotonic() - start < 10
    with pytest.raises(HftlabError, match=r"the trader took no packet any more|no order came any more"):
        over(path, made("bursts"), Faults(dies_after=10), SHORT)


def test_a_planted_delay_is_the_engine_s_and_not_the_transport_s() -> None:
    delay = 200_000  # ns, far beyond what a busy machine makes of a median
    one = made(messages=300)
    plain, slow = over("memory", one), over("memory", one, Faults(delay_ns=delay))
    assert np.median(slow.engine) > delay
    assert np.median(plain.engine) < delay / 4
    shares = {
        part: ns for name, part, ns in split(slow.response, slow.engine, float(np.median(slow.floor)), 20.0) if name == "p50"
    }
    total = sum(shares.values())
    assert shares["engine"] > 0.7 * total, shares
    assert shares["transport"] < 0.2 * total, shares


def test_without_stamps_the_engine_is_not_told() -> None:
    sample = over("memory", made(messages=300), seats=replace(SEATS, stamps=False))
    assert not len(sample.engine)
    assert len(sample.service)
    assert not list(split(sample.response, sample.engine, 100.0, 20.0))


@pytest.mark.parametrize("path", ["shm", "udp-spin+tcp-spin"])
def test_in_steady_state_the_trader_leaves_the_heap_alone(path: str) -> None:
    data = generate("market", 140_000, 1)
    one = script("closed", data, 100_000, acting("rust", "closed", 0.0, None), messages=4_000, seconds=0.1)
    sample = over(path, one, seats=replace(SEATS, limit=10.0))
    assert sample.counts["orders"] > 3_500
    assert sample.counts["allocations"] == 0
    naive = script("closed", data, 100_000, acting("rust naive", "closed", 0.0, None), messages=1_000, seconds=0.1)
    assert over(path, naive).counts["allocations"] > 0, "or this test could not fail"


_WATCHED = """
import sys
from test_net_wire import DATA, SEATS, Path, made, run
path, messages = sys.argv[1], int(sys.argv[2])
found = run(path, Path.parse(path).ends(None), made(messages=messages), SEATS)
assert found.counts["orders"] > messages // 2, found.counts
"""


@pytest.mark.parametrize(("path", "most"), [("shm", 0.2), ("udp-spin", None)])
def test_a_tick_over_shared_memory_asks_nothing_of_the_system(path: str, most: float | None, tmp_path: File) -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace on PATH")
    calls = []
    for messages in (200, 1_000):
        log = tmp_path / f"{path}-{messages}"
        words = ["strace", "-f", "-c", "-o", str(log), sys.executable, "-c", _WATCHED, path, str(messages)]
        done = subprocess.run(words, cwd=File(__file__).parent, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            pytest.skip(f"strace: {done.stderr.strip().splitlines()[-1]}")
        total = next(line for line in log.read_text().splitlines() if line.endswith(" total"))
        calls.append(int(total.split()[3]))
    per_tick = (calls[1] - calls[0]) / 800
    assert per_tick < most if most is not None else per_tick > 1, f"{path}: {per_tick:.2f} calls per tick"


def test_a_closed_loop_s_packet_ends_with_the_tick_that_is_answered() -> None:
    one = made(messages=2_000, cooldown=10)
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
    slow, quick, fixed, bursts = (made(pace) for pace in ("1x", "8x", "50000/s", "bursts"))
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
def found() -> WireToWire:
    paths = ["memory", "udp-spin+tcp-spin"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MESSAGES, "spins", 500)
        return wire(paths, paces=["closed", "bursts"], rounds=3, messages=200, seconds=0.03, regime="burst", bare=True)


def test_paths_and_paces_are_measured_and_the_base_twice(found: WireToWire) -> None:
    frame = found.frame()
    again = "udp-spin+tcp-spin again"
    legs = {("memory", "closed"), ("memory", "bursts"), ("udp-spin+tcp-spin", "closed"), ("udp-spin+tcp-spin", "bursts")}
    assert set(frame.select("path", "pace").unique().rows()) == {*legs, (again, "closed")}
    assert frame.columns[:9] == ["path", "pace", "measure", "n", "min", "p50", "p90", "p99", "p99.9"]
    assert frame["measure"].unique().sort().to_list() == ["engine", "response", "service", "transport alone"]
    assert frame["p99.9"].is_null().all(), "so few samples do not tell p99.9"
    assert (frame["p50"] > 0).all()
    assert (frame["max"] >= frame["p50"]).all()
    service = frame.filter(pl.col("measure") == "service")
    assert (service["least"] <= service["most"]).all()
    assert found.ratio(("memory", "closed"), ("udp-spin+tcp-spin", "closed")).median < 0.8
    assert found.control.low <= 1.5
    assert found.control.high >= 0.67


def test_it_says_what_it_did_and_what_it_found(found: WireToWire) -> None:
    said = "\n".join(found.lines())
    orders = sum(leg.counts["orders"] for leg in found.legs)
    assert f"all {orders:,} orders are byte for byte those of the same engine without a wire" in said
    assert "closed: every tick, bursts: every 4. tick of an instrument" in said
    assert "A/A control, udp-spin+tcp-spin against itself" in said
    assert "udp-spin+tcp-spin: p50" in said
    assert "goal 8; p99 n/a us, goal 11: not reached" in said, "a p99 that is not told reaches no goal"
    assert "which costs it a reading of the clock" in said
    table = str(found).splitlines()
    assert table[0].split()[-3:] == list(PARTS)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["schema"] == "hftlab-wire/1"
    assert len(told["medians_ns"]["memory, closed"]) == 3
    shares = found.shares()
    sums = shares.group_by("path", "pace", "quantile").agg(pl.col("share").sum())
    assert (sums["share"] - 1.0).abs().max() < 1e-9  # type: ignore[operator]


def test_our_transports_are_held_against_c_in_the_same_rounds(found: WireToWire) -> None:
    if not found.against_c():
        assert any("the C ping-pong" in line for line in found.skipped)
        pytest.skip(found.skipped[-1])
    assert set(found.against_c()) == {"udp-spin", "tcp-spin"}
    for name, ratio in found.against_c().items():
        assert 0.4 < ratio.median < 2.5, f"{name} takes {ratio} of what it takes in C"
        assert any(line.startswith(f"{name} takes") for line in found.words())


def test_goals_are_told_in_words() -> None:
    assert [goal.path for goal in GOALS] == ["shm", "xdp-skb", "udp-spin+tcp-spin"]
    quick = np.full(20_000, 500.0)
    leg = Leg("shm", "closed", {name: Histogram.of(quick) for name in MEASURES}, (), quick, quick, 1, 0, None, {}, 20.0)
    at_the_goal = "shm: p50 0.48 us, goal 0.6: reached (p50 0.48 to 0.48 us by round, 20000 of 20000 at the goal)"
    assert against(GOALS[0], leg) == at_the_goal
    assert "p50 0.48 us, goal 0.3: not reached: the transports alone take 0.48 us here, 160% of" in against(Goal("shm", 300), leg)


def test_the_chart_has_a_row_for_each_path(found: WireToWire) -> None:
    values = json.dumps(found.plot().to_dict())
    for text in ("memory", "udp-spin+tcp-spin again", "transport", "scheduling", "share of p50", "log scale", "closed loop"):
        assert text in values
    assert "bursts: 25,0" in json.dumps(found.plot("bursts").to_dict())
    pytest.importorskip("vl_convert")
    assert render(found.plot("bursts").to_dict())["image/png"]


def test_charts_of_little_and_of_nothing() -> None:
    empty = pl.DataFrame(schema={"path": pl.String, "p50": pl.Float64, "p99": pl.Float64, "p99.9": pl.Float64})
    shares = pl.DataFrame(schema={"path": pl.String, "part": pl.String, "ns": pl.Float64, "share": pl.Float64})
    assert "no path was measured" in json.dumps(tick_to_trade_chart(empty, shares).to_dict())
    one = pl.DataFrame({"path": ["shm"], "p50": [500.0], "p99": [None], "p99.9": [None]}, schema=empty.schema)
    values = tick_to_trade_chart(one, shares).to_dict()
    assert "hconcat" not in values, "without shares there is one panel"


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: File) -> None:
    words = ["memory", "--pace", "closed", "--rounds", "3", "--messages", "300", "--engine", "rust pool=False"]
    assert main(["net", "tick-to-trade", *words, "--json", "--chart", str(tmp_path / "wire.json")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["engine"] == "rust book=ladder orders=flat pool=False signal=incremental"
    assert {row["path"] for row in told["rows"]} == {"memory", "memory again"}
    assert (tmp_path / "wire.json").exists()
    assert main(["net", "tick-to-trade", "memory", "--pace", "20000/s", "--rounds", "3", "--seconds", "0.02", "--no-stamps"]) == 0
    said = capsys.readouterr().out
    assert "the engine's share is not told" in said
    assert "20000/s" in said


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ({"paths": ["pigeon"]}, UnknownName, "unknown transport 'pigeon'; known: memory, shm"),
        ({"paths": ["shm+shm+shm"]}, ConfigError, "path is 'shm[+]shm[+]shm'; allowed is the name of a transport, or two"),
        (
            {"paces": ["quick"]},
            ConfigError,
            "pace is 'quick'; allowed is closed, bursts, 1x, 8x or any speed, 50000/s or any rate",
        ),
        ({"paces": []}, ConfigError, "no pace was given; allowed is one or more of closed"),
        ({"rounds": 2}, ConfigError, "rounds must be between 3 and 1,000, got 2"),
        ({"messages": 10}, ConfigError, "messages is 10; allowed is 100 to 1,000,000"),
        ({"seconds": 0.7, "fifo": True}, ConfigError, "seconds is 0.7; allowed is 0.01 to 0.6 with real-time scheduling"),
        ({"engine": "python"}, ConfigError, "the engine is python; allowed is rust in any variant"),
        ({"cores": (0, 9999)}, ConfigError, "core 9999 is not allowed"),
        ({"feed": EventFeed(np.zeros(3, EVENT_DTYPE))}, ConfigError, "the feed is of events; allowed is one of ITCH"),
        (
            {"threshold": 1e6},
            HftlabError,
            "the feed causes no order in .* messages; allowed is one with some: lower the threshold",
        ),
        (
            {"feed": ItchFeed(DATA)},
            HftlabError,
            "the feed has 8,000 messages; 20,000 of them come before the wire",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(words: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        wire(**{"paths": ["memory"], **words})


def test_without_the_rust_engine_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import hftlab_rust

    monkeypatch.delattr(hftlab_rust, "transports")
    with pytest.raises(BackendMissing, match="make rust"):
        wire(["memory"])
    assert main(["net", "tick-to-trade"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_on_one_core_what_spins_is_passed_over() -> None:
    ways, skipped = chosen((), alone=True)
    assert [str(path) for path in ways] == ["udp+tcp"]
    assert any("there is one core for both sides" in line for line in skipped)
    with pytest.raises(HftlabError, match="not to be had here: shm: shm spins"):
        chosen(["shm"], alone=True)


def test_over_a_wire_between_two_namespaces() -> None:
    if why := netns.refused():
        pytest.skip(why)
    known = transports()
    paths = [path for path in ("xdp-skb", "udp-spin+tcp-spin") if all(known[name].works for name in Path.parse(path).names)]
    found = wire(paths, paces=["closed"], rounds=3, messages=200, regime="burst", netns=True)
    assert found.wire == "veth between two namespaces"
    assert {leg.path.removesuffix(" again") for leg in found.legs} == set(paths)
    assert not list(netns.FOLDER.glob("hft-*"))


def test_hftlab_net_wire_is_called_like_a_function() -> None:
    import hftlab.net

    assert callable(hftlab.net.tick_to_trade.wire)
    assert hftlab.net.tick_to_trade.wire.wire is wire
