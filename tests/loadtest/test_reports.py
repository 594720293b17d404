"""Does every report of a load test come back from its JSON, print and draw; and is what makes no sense refused at once?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from planted_stress import Server, check_result

import hftlab
from hftlab.errors import ConfigError, UnknownName
from hftlab.loadtest import inject_faults, load_sweep, microbursts, order_storms, overload_test, run_seeds, soak_test
from hftlab.loadtest.storms import Size, storm_feed
from hftlab.loadtest.sweep import LoadSweep

FEED = hftlab.synthetic(messages=12_000)
TWO = {"warm": 0, "rounds": 1}


def two() -> list[Server]:
    return [Server(), Server(50_000, "quick")]


REPORTS: dict[str, tuple[Callable[[], Any], str, tuple[str, ...]]] = {
    "bursts": (
        lambda: microbursts(two(), FEED, factors=(10, 100), length_ms=50, **TWO),
        "target factor load peak_queue peak_theory drain_ns drain_theory_ns p50 p99 p99.9 max",
        ("time since the burst began (ms)", "calls waiting", "quick", "100x"),
    ),
    "sweep": (
        lambda: load_sweep(two(), FEED, loads=(0.5, 1.2), messages=1_000, seconds=1.2, arrivals="even", **TWO),
        "target offered_per_s load achieved_per_s sustained time percentile ns low high n lost",
        ("offered load", "response time, from the intended send time", "quick"),
    ),
    "storms": (
        lambda: order_storms(["python"], ["calm", "wide"], size=Size(2_000, 500, 100, 50)),
        "storm target ns_per_message p50 faults equal",
        ("wide", "ns per message", "log scale"),
    ),
    "overload": (
        lambda: overload_test(["python"], factor=8, length_ms=20, ring=32),
        "target factor peak_queue dropped_full stale_ms recovered lost suppressed equal",
        ("datagrams waiting", "time (ms)", "stale", "overload"),
    ),
    "soak": (
        lambda: soak_test(Server(10_000), FEED, seconds=0.6),
        "at_s messages rss_bytes engine_bytes service_p50 response_p99 faults",
        ("memory (MB)", "time (s)", "response p99"),
    ),
    "faults": (
        lambda: inject_faults(["python"], ["nothing", "reordering"]),
        "fault engine how seen recovered_ms verdict outcome",
        ("Orders held back after a fault", "reordering, python"),
    ),
}


@pytest.mark.parametrize("part", REPORTS)
def test_a_report_is_complete(part: str) -> None:
    make, columns, words = REPORTS[part]
    report = make()
    check_result(report)
    assert report.failures == []
    assert set(columns.split()) <= set(report.frame().columns)
    text = json.dumps(report.plot().to_dict())
    assert [word for word in words if word not in text] == []


def test_a_sweep_has_a_row_per_rate_time_and_percentile_and_a_chart_per_target() -> None:
    found: LoadSweep = REPORTS["sweep"][0]()
    assert found.frame().height == sum(len(curve.points) for curve in found.curves) * 2 * 4
    assert [row["capacity_per_s"] for row in found.to_dict()["summary"]] == [curve.capacity for curve in found.curves]
    assert [table.title for table in found.tables()] == ["capacity", "server under load", "quick under load"]
    for chart in (found.plot("quick"), found.plot(quietest=True)):
        assert "offered load" in json.dumps(chart.to_dict())
    with pytest.raises(UnknownName, match="known: server, quick"):
        found["slow"]


NAN = float("nan")
REFUSED: list[tuple[Callable[..., Any], dict[str, Any], tuple[dict[str, Any], ...]]] = [
    (
        load_sweep,
        {"targets": [Server()], "feed": FEED, "warm": 0, "messages": 1_000},
        (
            *({"loads": ()}, {"loads": (0.0, 1.0)}, {"rounds": 0}, {"seconds": 0.0}, {"seconds": NAN}, {"warm": 12_000}),
            *({"warm": -1}, {"batch": 0}, {"seed": -1}, {"targets": [Server(), Server()]}, {"targets": []}),
        ),
    ),
    (
        microbursts,
        {"targets": [Server()], "feed": FEED, "warm": 0, "rounds": 1, "factors": [10]},
        (
            *({"factors": [0.5]}, {"factors": []}, {"base": 0.0}, {"base": 1.0}, {"length_ms": 0.0}, {"length_ms": 5_000.0}),
            *({"length_ms": NAN}, {"seed": -1}, {"factors": [400], "length_ms": 100.0}),
        ),
    ),
    (order_storms, {"targets": ["python"]}, ({"names": []}, {"seed": -1})),
    (storm_feed, {"name": "deep"}, ({"size": Size(deep=1)},)),
    (
        overload_test,
        {"engines": ["python"]},
        ({"factor": 1.0}, {"length_ms": 0.0}, {"length_ms": NAN}, {"engines": []}, {"ring": 0}, {"seed": -1}),
    ),
    (
        soak_test,
        {"target": Server(), "feed": hftlab.synthetic(messages=100)},
        ({"seconds": 0.0}, {"seconds": 1e9}, {"seconds": NAN}, {"load": 0.0}, {"load": 1.0}, {"messages": 0}, {"seed": -1}),
    ),
    (inject_faults, {"engines": ["python"]}, ({"dead_s": 0.0}, {"dead_s": NAN}, {"seed": -1})),
    (run_seeds, {"engines": ["python"]}, ({"seeds": 0}, {"first": -1}, {"workers": 0})),
    (
        hftlab.stress,
        {"targets": [Server()], "feed": FEED},
        ({"parts": ()}, {"seconds": NAN}, {"seconds": 0.0}, {"rounds": -1}, {"seed": -1}, {"batch": 0}),
    ),
]


@pytest.mark.parametrize(("test", "given", "wrong"), [(test, given, one) for test, given, wrong in REFUSED for one in wrong])
def test_a_number_out_of_range_is_refused(test: Callable[..., Any], given: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must"):
        test(**{**given, **wrong})


@pytest.mark.parametrize(
    ("test", "given", "known"),
    [
        (storm_feed, {"name": "hail"}, "calm, burst"),
        (inject_faults, {"engines": ["python"], "names": ["x"]}, "nothing, packet loss"),
        (hftlab.stress, {"targets": ["python"], "parts": ["hail"]}, "sweep, bursts"),
        (load_sweep, {"targets": [Server()], "arrivals": "bursty"}, "poisson, even"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(test: Callable[..., Any], given: dict[str, Any], known: str) -> None:
    with pytest.raises(UnknownName, match=f"known: {known}"):
        test(**given)
