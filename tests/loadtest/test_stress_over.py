"""The sweep over transports: does everything arrive, is theory met, and is loss told as loss?"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.errors import BackendMissing, ConfigError, HftlabError, UnknownName
from hftlab.loadtest import over as module
from hftlab.loadtest import sweep
from hftlab.loadtest.curve import LoadPoint
from hftlab.loadtest.over import OverTarget
from hftlab.loadtest.schedule import due_at
from hftlab.loadtest.sweep import _Runs
from hftlab.loadtest.target import Driven, Work
from hftlab.net.tick_to_trade.wire_path import Path, why_not
from hftlab.net.tick_to_trade.wire_round import Faults
from hftlab.net.transports.pingpong import cores_of

pytestmark = pytest.mark.rust

FEED = hftlab.synthetic(messages=24_000)
WORK = Work.of(FEED, 3_000, 20_000)
PATHS = ["memory", "shm", "udp+tcp", "udp-spin+tcp-spin"]


def target(path: str, faults: Faults | None = None) -> OverTarget:
    for name in Path.parse(path).names:
        if why := why_not(name, cores_of(None) == (None, None)):
            pytest.skip(why)
    return OverTarget(path, faults=faults)


def drive(path: str, calls: int, rate: float, faults: Faults | None = None) -> Driven:
    return WORK.drive(target(path, faults), due_at(calls, rate, "even"))


@pytest.mark.parametrize("path", PATHS)
def test_at_a_low_load_everything_arrives_and_counts_from_when_it_was_due(path: str) -> None:
    due = due_at(400, 4_000, "even")
    run = WORK.drive(target(path), due)
    assert run.lost == 0
    assert run.calls is not None
    assert 0.7 * 400 < len(run.due) <= 380 < run.calls <= 400, "what causes no order, and the first 5 %, are not timed"
    assert set(run.due.tolist()) <= set(due.tolist())
    assert (run.began >= run.due - 1).all()
    assert (run.done > run.began).all()
    assert (run.response >= run.service - 1).all()
    assert run.per_s == pytest.approx(4_000, rel=0.5)


@pytest.mark.parametrize("path", ["memory", "udp-spin+tcp-spin"])
def test_far_above_its_capacity_a_path_does_not_keep_up(path: str) -> None:
    start = time.monotonic()
    rounds = [drive(path, 10_000, 1e8)]
    point = LoadPoint.of(1e8, rounds)
    assert not point.sustained
    assert point.achieved < 0.5 * point.offered
    assert (point.median("response", "p50") or 0) > 10 * rounds[0].due[-1] / 2
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("path", ["memory", "udp-spin+tcp-spin"])
def test_a_trader_of_a_known_time_has_the_capacity_of_theory(path: str) -> None:
    """With wide margins below: a trader that is not let run, for others want its core, takes longer."""
    slow, delay = target(path, Faults(delay_ns=200_000)), 200_000
    theory = 1e9 / delay
    given: dict[str, Any] = {"loads": (0.2, 0.8, 2.0), "warm": 3_000, "messages": 2_000, "seconds": 0.02, "rounds": 1}
    curve = sweep([slow], FEED, arrivals="even", **given).curves[0]
    assert curve.target == f"rust over {path}"
    assert curve.capacity is not None
    assert 0.05 * theory < curve.capacity < 1.15 * theory
    assert curve.flat_out <= 1.01 * theory
    for point in curve.points:
        assert point.achieved <= 1.1 * theory
        assert (point.median("service", "p50") or 0) >= delay
    assert not curve.points[-1].sustained


def test_datagrams_that_were_lost_are_told_and_are_no_capacity() -> None:
    run = drive("udp-spin+tcp-spin", 1_000, 5_000, Faults(drop_every=100))
    assert run.lost is not None
    assert run.lost >= 10, "sent again, so that all of them are answered"
    assert run.calls == pytest.approx(1_000, abs=20)
    assert not run.kept_up
    point = LoadPoint.of(5_000, [run])
    assert not point.sustained
    assert point.lost == run.lost
    assert {row["lost"] for row in point.rows("udp", None)} == {run.lost}


def test_what_is_given_up_voids_what_comes_after_it() -> None:
    """Orders behind it may well equal those of the tick before: they are not told of."""
    run = drive("udp-spin+tcp-spin", 400, 5_000, Faults(drop_every=300, deaf=True))
    assert run.calls is not None
    assert 280 < run.calls < 300
    assert run.lost is not None
    assert run.lost > 90
    assert run.response.max() < 250e6
    assert not run.kept_up


def test_a_dead_trader_hangs_nobody() -> None:
    start = time.monotonic()
    with pytest.raises(HftlabError, match=r"shm: (no order came|the trader took no packet) any more; [0-9,]+ of [0-9,]+ ord"):
        drive("shm", 400, 5_000, Faults(dies_after=100))
    assert time.monotonic() - start < 10


def test_one_wrong_byte_and_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.ran

    def wrong(*given: Any) -> dict[str, Any]:
        found = real(*given)
        stream = bytearray(found["stream"])
        stream[47 * 50 + 20] ^= 1
        return {**found, "stream": bytes(stream)}

    monkeypatch.setattr(module, "ran", wrong)
    with pytest.raises(HftlabError, match="is not the one of the run without a wire; nothing is told"):
        drive("udp-spin+tcp-spin", 400, 5_000)


def test_a_call_of_several_messages_is_done_with_its_last_order() -> None:
    work = Work.of(FEED, 3_000, 200, 7)
    run = work.drive(target("memory"), due_at(200, 2_000, "even"))
    assert run.calls is not None
    assert 180 <= len(run.due) <= 190 < run.calls <= 200, "of seven messages at least one acts"
    assert (run.done > run.began).all()
    big = Work.of(FEED, 3_000, 20, 200)
    with pytest.raises(ConfigError, match=r"a call has .* bytes; allowed over memory is 1,400, a packet: fewer messages a call"):
        big.drive(target("memory"), due_at(20, 2_000, "even"))


def test_paths_stand_beside_the_engine_in_one_frame_and_one_chart() -> None:
    target("shm")
    found = sweep(["rust"], FEED, over=["shm"], loads=(0.01, 0.1), rounds=1, messages=2_000, warm=3_000, seconds=0.1)
    frame = found.frame()
    assert frame["target"].unique(maintain_order=True).to_list() == ["rust", "rust over shm"]
    assert frame.filter(frame["target"] == "rust")["lost"].is_null().all()
    assert frame.filter(frame["target"] == "rust over shm")["lost"].to_list() == [0] * (8 * len(found["rust over shm"].points))
    assert "rust over shm" in json.dumps(found.plot().to_dict())
    said = "\n".join(found.lines())
    assert "rust over shm: at " in said
    assert "from when its packet left a call's p" in said
    assert "every order told of equals that of the run without a wire" in said


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    target("shm")
    assert main(["stress", "sweep", "--quick", "--engine", "rust", "--rounds", "1", "--transport", "shm", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["targets"] == ["rust", "rust over shm"]
    assert [curve["target"] for curve in told["sweep"]["curves"]] == told["targets"]
    assert told["sweep"]["curves"][1]["points"][0]["lost"] == 0
    assert len(told["sweep"]["notes"]) == 1
    assert told["summary"][1]["soak"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweep", "--engine", "rust", "--transport", "pigeon"], "unknown transport 'pigeon'; known: memory, shm"),
        (["sweep", "--engine", "rust", "--transport", "shm+"], "path is 'shm+'; allowed is the name of a transport, or two"),
        (["sweep", "--engine", "python", "--transport", "shm"], "over shm is python; allowed is rust in any variant"),
        (
            ["soak", "--engine", "rust", "--transport", "shm"],
            "the parts are soak; allowed over a transport is sweep",
        ),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stress", *words, "--quick"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_what_is_not_there_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"loads": (0.1,), "rounds": 1, "messages": 200, "warm": 100, "seconds": 0.01}
    monkeypatch.setattr(module, "why_not", lambda name, alone: f"{name} is refused here")
    found = sweep(["rust"], FEED, over=["shm"], **given)
    assert [curve.target for curve in found.curves] == ["rust"]
    assert "over shm: left out: shm is refused here" in found.lines()
    with pytest.raises(HftlabError, match="not to be had here: shm: shm is refused here"):
        OverTarget("shm")

    def missing() -> None:
        raise BackendMissing("the Rust engine is not here")

    monkeypatch.setattr(module, "rust", missing)
    found = sweep(["python"], FEED, over=["shm", "udp+tcp"], **given)
    assert found.notes == ("over shm, udp+tcp: left out: the Rust engine is not here",)
    with pytest.raises(BackendMissing, match="is not here"):
        OverTarget("shm")


def test_a_path_is_for_the_sweep_alone() -> None:
    line = target("memory").open()
    for asked in (line.result, lambda: line.depth(1)):
        with pytest.raises(HftlabError, match="the books are the trader's, over memory; allowed over a path is the sweep"):
            asked()
    with pytest.raises(UnknownName, match="unknown transport 'pigeon'"):
        OverTarget("pigeon")
    with pytest.raises(HftlabError, match="causes no order in 5 calls"):
        Work.of(hftlab.synthetic(messages=30), 0, 5).drive(target("memory"), np.arange(5))


def test_both_sides_are_scheduled_as_the_caller_is(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = target("memory")
    monkeypatch.setattr(module.system, "scheduler", lambda: "SCHED_FIFO 50")
    real_time = target("memory")
    assert (plain.seats.fifo, real_time.seats.fifo) == (False, True)
    assert "default scheduling" in plain.said
    assert "real-time scheduling" in real_time.said
    runs = _Runs(WORK, "even", 1, 10.0, 1)
    lengths: list[int] = []
    monkeypatch.setattr(Work, "drive", lambda work, over, due: lengths.append(len(due)))
    for one in (plain, real_time):
        runs.run(one, 1_000.0)
    assert lengths == [12_001, 600], "0.6 s, or the system takes the core away"
