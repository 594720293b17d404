"""The sweep over network paths: does everything arrive, is theory met, and does loss count as loss?"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from planted_stress import check_result

import hftlab
from hftlab.cli.main import main
from hftlab.errors import BackendMissing, ConfigError, HftlabError, UnknownName
from hftlab.loadtest import load_sweep, order_storms, path_target
from hftlab.loadtest.path_target import PathTarget
from hftlab.loadtest.schedule import due_at
from hftlab.loadtest.storms import Size
from hftlab.loadtest.sweep import CapacityCurve, LoadPoint
from hftlab.loadtest.target import Timings, Workload
from hftlab.measurement.noise import jitter
from hftlab.net.tick_to_trade.rounds import Faults
from hftlab.net.tick_to_trade.scenario import NetworkPath
from hftlab.net.transports import transports
from hftlab.net.transports.transports import Probe, ThreadPlacement

pytestmark = pytest.mark.rust

FEED = hftlab.synthetic(messages=24_000)
WORKLOAD = Workload.of(FEED, 3_000, 20_000)
PATHS = ["memory", "shm", "udp+tcp", "udp-spin+tcp-spin"]


def target(path: str, faults: Faults | None = None) -> PathTarget:
    if why := NetworkPath.parse(path).reason(ThreadPlacement.choose().single_core):
        pytest.skip(why)
    return PathTarget(path, faults=faults)


def drive(path: str, batches: int, rate: float, faults: Faults | None = None) -> Timings:
    return WORKLOAD.drive(target(path, faults), due_at(batches, rate, "even"))


@pytest.mark.parametrize("path", PATHS)
def test_at_a_low_load_everything_arrives_and_counts_from_when_it_was_due(path: str) -> None:
    due = due_at(400, 4_000, "even")
    run = WORKLOAD.drive(target(path), due)
    assert run.lost == 0
    assert run.completed is not None
    assert 0.7 * 400 < len(run.due) <= 380 < run.completed <= 400, "what causes no order, and the first 5 %, are not timed"
    assert set(run.due.tolist()) <= set(due.tolist())
    assert (run.began >= run.due - 1).all()
    assert (run.done > run.began).all()
    assert (run.response >= run.service - 1).all()
    assert run.per_s <= 4_100, "no more than was offered"


@pytest.mark.parametrize("path", ["memory", "udp-spin+tcp-spin"])
def test_far_above_its_capacity_a_path_does_not_keep_up(path: str) -> None:
    rounds = [drive(path, 10_000, 1e8)]
    point = LoadPoint.of(1e8, rounds)
    assert not point.sustained
    assert point.achieved < 0.5 * point.offered
    assert (point.median("response", "p50") or 0) > 10 * rounds[0].due[-1] / 2


def swept_with_delay(path: str, delay_ns: int) -> CapacityCurve:
    slow = target(path, Faults(delay_ns=delay_ns))
    plan: dict[str, Any] = {"loads": (0.2, 0.8, 2.0), "warm": 3_000, "messages": 2_000, "seconds": 0.02, "rounds": 1}
    return load_sweep([slow], FEED, arrivals="even", **plan).curves[0]


@pytest.mark.parametrize("path", ["memory", "udp-spin+tcp-spin"])
def test_a_trader_of_a_known_time_has_the_capacity_of_theory(path: str) -> None:
    """Nothing that runs beside can make the trader faster than its delay, so the bounds from above always hold. It can make it
    slower: the bound from below needs a measurement during which the machine itself lost little time, and is retried for one."""
    delay = 200_000
    theory, reached, disturbed, until = 1e9 / delay, False, False, time.monotonic() + 60
    while True:
        curve = swept_with_delay(path, delay)
        assert curve.target == f"rust over {path}"
        assert (curve.capacity or 0) < 1.15 * theory
        assert curve.flat_out <= 1.02 * theory
        for point in curve.points:
            assert point.achieved <= 1.1 * theory
            assert (point.median("service", "p50") or delay) >= delay
        assert not curve.points[-1].sustained
        reached = (curve.capacity or 0) > 0.05 * theory
        disturbed = jitter(0.1).lost_share > 0.02
        if reached or not disturbed or time.monotonic() > until:
            break
    assert reached or disturbed, f"capacity {curve.capacity} of {theory} on a machine that lost no time"


def test_datagrams_that_were_lost_count_and_are_no_capacity() -> None:
    run = drive("udp-spin+tcp-spin", 1_000, 5_000, Faults(drop_every=100))
    assert run.lost is not None
    assert run.lost >= 10, "sent again, so that all of them are answered"
    assert run.completed == pytest.approx(1_000, abs=20)
    assert not run.kept_up
    point = LoadPoint.of(5_000, [run])
    assert not point.sustained
    assert {row["lost"] for row in point.rows("udp", None)} == {run.lost}


def test_what_is_given_up_voids_what_comes_after_it() -> None:
    """Orders behind it may well equal those of the tick before: they are not counted."""
    run = drive("udp-spin+tcp-spin", 400, 5_000, Faults(drop_every=300, deaf=True))
    assert run.completed is not None
    assert 280 < run.completed < 300
    assert run.lost is not None
    assert run.lost > 90
    assert run.response.max() < 250e6
    assert not run.kept_up


def test_one_wrong_byte_and_there_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    real = path_target.run_in_rust

    def wrong(*arguments: Any) -> dict[str, Any]:
        raw = real(*arguments)
        stream = bytearray(raw["stream"])
        stream[47 * 50 + 20] ^= 1
        return {**raw, "stream": bytes(stream)}

    monkeypatch.setattr(path_target, "run_in_rust", wrong)
    with pytest.raises(HftlabError, match="differs from the run without a network; no result"):
        drive("udp-spin+tcp-spin", 400, 5_000)


def test_a_batch_of_several_messages_is_done_with_its_last_order() -> None:
    workload = Workload.of(FEED, 3_000, 200, 7)
    run = workload.drive(target("memory"), due_at(200, 2_000, "even"))
    assert run.completed is not None
    assert 180 <= len(run.due) <= 190 < run.completed <= 200, "of seven messages at least one acts"
    assert (run.done > run.began).all()
    big = Workload.of(FEED, 3_000, 20, 200)
    with pytest.raises(ConfigError, match=r"bytes of a batch over memory must be at most 1,400, a packet, got"):
        big.drive(target("memory"), due_at(20, 2_000, "even"))


def test_paths_stand_beside_the_engine_in_one_frame_and_one_chart() -> None:
    target("shm")
    sweep = load_sweep(["rust"], FEED, over=["shm"], loads=(0.01, 0.1), rounds=1, messages=2_000, warm=3_000, seconds=0.1)
    check_result(sweep)
    frame = sweep.frame()
    assert frame["target"].unique(maintain_order=True).to_list() == ["rust", "rust over shm"]
    assert frame.filter(frame["target"] == "rust")["lost"].is_null().all()
    assert frame.filter(frame["target"] == "rust over shm")["lost"].to_list() == [0] * (8 * len(sweep["rust over shm"].points))
    assert "rust over shm" in json.dumps(sweep.plot("rust over shm").to_dict())
    assert len(sweep.conditions) == 1
    assert sweep.tables()[2].columns[-1] == "lost"


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    target("shm")
    assert main(["stress", "sweep", "--quick", "--engine", "rust", "--rounds", "1", "--transport", "shm", "--json"]) == 0
    payload = json.loads(capsys.readouterr().out)
    assert payload["targets"] == ["rust", "rust over shm"]
    assert [curve["target"] for curve in payload["sweep"]["curves"]] == payload["targets"]
    assert payload["sweep"]["curves"][1]["points"][0]["lost"] == 0
    assert payload["summary"][1]["soak"] is None


def test_a_path_that_does_not_work_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    plan: dict[str, Any] = {"loads": (0.1,), "rounds": 1, "messages": 200, "warm": 100, "seconds": 0.01}
    monkeypatch.setattr(Probe, "reason", lambda probe, single_core: "it is refused here")
    sweep = load_sweep(["rust"], FEED, over=["shm"], **plan)
    assert [curve.target for curve in sweep.curves] == ["rust"]
    assert sweep.conditions == ("over shm: left out: shm: it is refused here",)
    with pytest.raises(HftlabError, match="not available here: shm: shm: it is refused here"):
        PathTarget("shm")

    def missing() -> None:
        raise BackendMissing("the Rust engine is not here")

    monkeypatch.setattr(path_target, "rust_transports", missing)
    monkeypatch.setattr(transports, "rust_transports", missing)
    sweep = load_sweep(["python"], FEED, over=["shm", "udp+tcp"], **plan)
    assert sweep.conditions == ("over shm, udp+tcp: left out: the Rust engine is not here",)
    with pytest.raises(BackendMissing, match="is not here"):
        PathTarget("shm")


def test_a_path_is_for_the_sweep_alone() -> None:
    with pytest.raises(HftlabError, match="rust over memory has no book to look at"):
        order_storms([target("memory")], ["calm"], size=Size(1_000))
    with pytest.raises(UnknownName, match="unknown transport 'pigeon'"):
        PathTarget("pigeon")
    with pytest.raises(HftlabError, match="causes no order in 5 batches"):
        Workload.of(hftlab.synthetic(messages=30), 0, 5).drive(target("memory"), np.arange(5))


def test_both_sides_are_scheduled_as_the_caller_is(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = target("memory")
    monkeypatch.setattr("hftlab.measurement.system.scheduler", lambda: "SCHED_FIFO 50")
    realtime = target("memory")
    assert [one.settings.placement.realtime for one in (plain, realtime)] == [False, True]
    assert "real-time scheduling" in realtime.notes()[0]
    assert [one.max_batches(1_000.0) for one in (plain, realtime)] == [None, 600], "0.6 s, or the system takes the core away"
