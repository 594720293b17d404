"""Does the ping-pong measure every transport, side by side with the same in C, and say what it did?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hftlab.charts import render, round_trip_chart
from hftlab.cli.main import main
from hftlab.errors import BackendMissing, ConfigError, HftlabError, UnknownName
from hftlab.net.transports import bare, netns
from hftlab.net.transports.pingpong import pingpong
from hftlab.net.transports.rungs import Ladder
from hftlab.net.transports.transports import transports

pytestmark = pytest.mark.rust


@pytest.fixture(scope="module")
def found() -> Ladder:
    return pingpong(["memory", "udp-spin", "udp"], rounds=3, messages=400)


def test_the_probe_of_every_transport_is_a_row() -> None:
    found = transports()
    frame = found.frame()
    assert frame.columns == ["name", "works", "errno", "why", "needs", "sleeps", "what"]
    assert {"memory", "udp-spin", "tcp"} <= set(found.working())
    for row in frame.to_dicts():
        assert row["works"] == (row["why"] == ""), row
        assert row["works"] <= (row["errno"] == 0), row
    assert found["udp"].sleeps
    assert not found["udp-spin"].sleeps


def test_the_command_prints_the_probes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["net", "transports", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "hftlab-transports/1"
    assert {row["name"] for row in said["transports"]} == set(transports().frame()["name"])
    assert main(["net", "transports"]) == 0
    assert "works memory" in capsys.readouterr().out


def test_an_engine_without_transports_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import hftlab_rust

    monkeypatch.delattr(hftlab_rust, "transports")
    with pytest.raises(BackendMissing, match="make rust"):
        transports()


def test_every_transport_and_the_control_are_measured(found: Ladder) -> None:
    frame = found.frame()
    assert set(frame["transport"]) == {"memory", "udp-spin", "udp-spin again", "udp"}
    trips = frame.filter(pl.col("measure") == "round trip")
    assert trips["n"].to_list() == [3 * 400] * 4
    assert (trips["p50"] > 0).all()
    assert (trips["min"] <= trips["p50"]).all()
    assert (trips["p50"] <= trips["max"]).all()
    ways = frame.filter(pl.col("measure") == "one way")
    assert (ways["p50"] < trips["p50"]).all(), "there is less than there and back"
    assert trips["p99.9"].is_null().all(), "1,200 samples do not tell p99.9"


def test_memory_takes_a_fraction_of_a_socket(found: Ladder) -> None:
    assert found.ratio("memory").median < 0.5
    assert found.ratio("udp-spin").median == 1.0
    assert found.control.low <= 1.5
    assert found.control.high >= 0.67


def test_it_says_what_it_did(found: Ladder) -> None:
    told = found.to_dict()
    assert told["schema"] == "hftlab-pingpong/1"
    assert json.loads(json.dumps(told))["rounds"] == 3
    assert len(told["medians_ns"]["memory"]) == 3
    said = "\n".join(found.lines())
    assert "58 bytes there and back, loopback" in said
    assert "A/A control, udp-spin against itself" in said
    assert "less" in said
    assert "memory" in str(found)


def test_the_chart_has_a_rung_for_each(found: Ladder) -> None:
    chart = found.plot()
    values = json.dumps(chart.to_dict())
    for name in ("memory", "udp-spin again", "p50", "log scale"):
        assert name in values
    pytest.importorskip("vl_convert")
    assert render(chart.to_dict())["image/png"]


def test_a_chart_of_nothing_says_so() -> None:
    empty = pl.DataFrame(schema={"transport": pl.String, "p50": pl.Float64, "p99": pl.Float64, "p99.9": pl.Float64})
    assert "no transport was measured" in json.dumps(round_trip_chart(empty).to_dict())


@pytest.mark.parametrize("name", ["shm", "tcp-spin", "udp", "multicast"])
def test_the_two_ends_may_be_two_processes(name: str) -> None:
    if not transports()[name].works:
        pytest.skip(transports()[name].why)
    found = pingpong([name], rounds=3, messages=100, processes=True)
    assert found[name].trip.n == 300
    assert found.base == name
    assert not list(Path("/dev/shm").glob("hftlab-*-between-*"))


def test_over_a_wire_between_two_namespaces() -> None:
    if why := netns.refused():
        pytest.skip(why)
    names = [name for name in ("udp-spin", "packet", "xdp-skb") if transports()[name].works]
    found = pingpong(names, rounds=3, messages=200, netns=True)
    assert found.wire == "veth between two namespaces"
    assert {rung.name for rung in found.rungs} == {*names, "udp-spin again"}


def test_beside_the_same_in_c() -> None:
    if why := bare.refused():
        pytest.skip(why)
    names = [name for name in ("udp-spin", "xdp-skb") if transports()[name].works]
    found = pingpong(names, rounds=3, messages=500, bare=True)
    for name in names:
        ratio = found.ratio(name, f"C {name}").median
        assert 0.4 < ratio < 2.0, f"{name} takes {ratio:.2f} times what it takes in C; nothing else may cost so much"
        assert any(f"{name} takes" in line for line in found.words())


def test_the_c_program_compiles_without_a_warning() -> None:
    if why := bare.refused():
        pytest.skip(why)
    import subprocess

    words = ["cc", "-Wall", "-Wextra", "-Werror", "-std=gnu11", "-fsyntax-only", str(bare.SOURCE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ({"transports": ["pigeon"]}, UnknownName, "unknown transport 'pigeon'; known: memory, shm"),
        ({"rounds": 2}, ConfigError, "rounds must be between 3 and 1,000, got 2"),
        ({"size": 15}, ConfigError, "size is 15; allowed is 16 to 1472"),
        ({"messages": 0}, ConfigError, "messages is 0; allowed is 1 to"),
        ({"cores": (0, 9999)}, ConfigError, "core 9999 is not allowed"),
        ({"cores": (0, 0)}, ConfigError, "wait for each other"),
        ({"transports": ["memory"], "processes": True}, HftlabError, "memory: its memory is that of one process"),
    ],
)
def test_what_is_not_allowed_is_told(words: dict[str, object], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        pingpong(**words)  # type: ignore[arg-type]


def test_the_command_answers_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["net", "round-trip", "pigeon"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_writes_result_and_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, chart = tmp_path / "found.json", tmp_path / "ladder.json"
    words = ["net", "round-trip", "memory", "udp-spin", "--rounds", "3", "--messages", "50", "--json"]
    assert main([*words, "--out", str(out), "--chart", str(chart)]) == 0
    said, kept = json.loads(capsys.readouterr().out), json.loads(out.read_text())
    assert said["rows"] == kept["rows"]
    assert np.isfinite(said["medians_ns"]["memory"]).all()
    assert "vega-lite" in chart.read_text()


def test_who_spins_is_left_out_where_there_is_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hftlab.measurement.system.affinity", lambda: [0])
    found = pingpong(rounds=3, messages=20)
    assert {rung.name for rung in found.rungs} <= {"udp", "udp again", "epoll", "uring", "tcp"}
    assert "udp-spin: it spins, and there is one core for both ends" in found.skipped
    with pytest.raises(HftlabError, match="there is one core"):
        pingpong(["udp-spin"], rounds=3)


def test_the_modules_are_called_like_functions() -> None:
    import hftlab.net

    assert "memory" in hftlab.net.list_transports().working()
    assert hftlab.net.measure_round_trip(["memory"], rounds=3, messages=10).base == "memory"
