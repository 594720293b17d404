"""Does the round trip measure every transport, side by side, and say what it did?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from planted_stress import check_result

import hftlab.net
from hftlab.charts import render, round_trip_chart
from hftlab.cli.main import main
from hftlab.errors import BackendMissing, ConfigError, HftlabError, UnknownName
from hftlab.net import list_transports, measure_round_trip
from hftlab.net.transports import netns
from hftlab.net.transports.round_trip_report import RoundTripReport

pytestmark = pytest.mark.rust


@pytest.fixture(scope="module")
def report() -> RoundTripReport:
    return measure_round_trip(["memory", "udp-spin", "udp"], rounds=3, messages=200)


def test_the_probe_of_every_transport_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    transports = list_transports()
    frame = transports.frame()
    assert frame.columns == ["name", "works", "errno", "why", "needs", "sleeps", "what"]
    assert {"memory", "udp-spin", "tcp"} <= set(transports.working())
    for row in frame.to_dicts():
        assert row["works"] == (row["why"] == ""), row
        assert row["works"] <= (row["errno"] == 0), row
    assert transports["udp"].sleeps
    assert not transports["udp-spin"].sleeps
    assert [row[0] for row in transports.tables()[0].rows] == frame["name"].to_list()
    assert main(["net", "transports", "--json"]) == 0
    payload = json.loads(capsys.readouterr().out)
    again = type(transports).from_dict(payload)
    assert again.frame()["name"].to_list() == frame["name"].to_list()


def test_an_engine_without_transports_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import hftlab_rust

    monkeypatch.delattr(hftlab_rust, "transports")
    for function in (list_transports, measure_round_trip, hftlab.net.measure_tick_to_trade):
        with pytest.raises(BackendMissing, match="make rust"):
            function()
    assert main(["net", "tick-to-trade"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_transport_and_the_control_are_measured(report: RoundTripReport) -> None:
    frame = report.frame()
    assert set(frame["transport"]) == {"memory", "udp-spin", "udp-spin again", "udp"}
    trips = frame.filter(pl.col("measure") == "round trip")
    assert trips["n"].is_between(3, 3 * 200).all(), "fewer where time was up, as on a machine that is busy"
    assert (trips["p50"] > 0).all()
    assert (trips["min"] <= trips["p50"]).all()
    assert (trips["p50"] <= trips["max"]).all()
    ways = frame.filter(pl.col("measure") == "one way")
    assert (ways["p50"] < trips["p50"]).all(), "one way is less than the round trip"
    assert trips["p99.9"].is_null().all(), "600 samples are too few for p99.9"
    assert report.ratio("memory").median < 0.5
    assert report.ratio("udp-spin").median == 1.0
    assert report.control.low <= report.control.median <= report.control.high


def test_the_report_is_complete(report: RoundTripReport) -> None:
    check_result(report)
    rows = report.tables()[0].rows
    assert {row[0] for row in rows} == {result.name for result in report.results}
    assert rows[0][0] == "memory", "the quickest at the top"
    assert "58 bytes there and back, loopback" in report.conditions
    values = json.dumps(report.plot().to_dict())
    for name in ("memory", "udp-spin again", "p50", "log scale"):
        assert name in values
    pytest.importorskip("vl_convert")
    assert render(report.plot().to_dict())[0]["image/png"]
    empty = pl.DataFrame(schema={"transport": pl.String, "p50": pl.Float64, "p99": pl.Float64, "p99.9": pl.Float64})
    assert "nothing was measured" in json.dumps(round_trip_chart(empty).to_dict())


@pytest.mark.parametrize("name", ["shm", "tcp-spin", "udp", "multicast"])
def test_the_two_ends_may_be_two_processes(name: str) -> None:
    if why := list_transports()[name].reason(False):
        pytest.skip(why)
    before = set(Path("/dev/shm").glob("hftlab-*-between-*"))
    report = measure_round_trip([name], rounds=3, messages=100, processes=True)
    assert report[name].round_trip["n"] == 300
    assert report.base == name
    assert not set(Path("/dev/shm").glob("hftlab-*-between-*")) - before


def test_over_a_link_between_two_namespaces() -> None:
    if why := netns.refused():
        pytest.skip(why)
    names = [name for name in ("udp-spin", "packet", "xdp-skb") if list_transports()[name].works]
    report = measure_round_trip(names, rounds=3, messages=200, netns=True)
    assert report.network == "veth between two namespaces"
    assert {result.name for result in report.results} == {*names, "udp-spin again"}


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"transports": ["pigeon"]}, UnknownName, "unknown transport 'pigeon'; known: memory, shm"),
        ({"rounds": 2}, ConfigError, "rounds must be between 3 and 1,000, got 2"),
        ({"size": 15}, ConfigError, "size must be between 16 and 1,472 bytes, got 15"),
        ({"messages": 0}, ConfigError, "messages must be between 1 and 10,000,000, got 0"),
        ({"seed": -1}, ConfigError, "seed must be at least 0, got -1"),
        ({"cores": (0, 9999)}, ConfigError, "cores must be of .*, got 9999"),
        ({"cores": (0, 0)}, ConfigError, "cores must be two different ones, got 0 twice"),
        ({"transports": ["memory"], "processes": True}, HftlabError, "memory: its memory is that of one process"),
    ],
)
def test_what_is_not_allowed_is_refused(wrong: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        measure_round_trip(**wrong)


def test_the_command_writes_result_and_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, chart = tmp_path / "report.json", tmp_path / "chart.json"
    words = ["net", "round-trip", "memory", "udp-spin", "--rounds", "3", "--messages", "50", "--json"]
    assert main([*words, "--out", str(out), "--chart", str(chart)]) == 0
    printed, kept = json.loads(capsys.readouterr().out), json.loads(out.read_text())
    assert printed["rows"] == kept["rows"]
    assert np.isfinite(printed["results"][0]["medians_ns"]).all()
    assert "vega-lite" in chart.read_text()
    assert main(["net", "round-trip", "pigeon"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_spins_is_left_out_where_there_is_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hftlab.measurement.system.affinity", lambda: [0])
    report = measure_round_trip(rounds=3, messages=20)
    assert {result.name for result in report.results} <= {"udp", "udp again", "udp-busy", "epoll", "uring", "tcp"}
    assert "udp-spin: it spins, and there is one core for both ends" in report.skipped
    with pytest.raises(HftlabError, match="there is one core"):
        measure_round_trip(["udp-spin"], rounds=3)
