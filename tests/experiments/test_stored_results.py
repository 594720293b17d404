"""Does every result of an experiment show itself, give a frame and a chart, and come back from JSON as it was?"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.errors import HftlabError
from hftlab.experiments.latency import LatencyReport
from hftlab.experiments.open_loop import open_loop
from hftlab.experiments.slowest import SlowestMessages
from hftlab.measurement.clock import clocks
from hftlab.measurement.conditions import FeedResult
from hftlab.measurement.noise import jitter
from hftlab.presentation.document import Table
from hftlab.presentation.result import StoredResult

FEED = hftlab.synthetic(messages=600)


@cache
def latency() -> LatencyReport:
    return hftlab.latency("python", FEED, rounds=3, rate=20_000.0)


def slowest() -> SlowestMessages:
    found = latency().slowest
    assert found is not None
    return found


EXPERIMENTS: dict[str, Callable[[], Any]] = {
    "bench": lambda: hftlab.bench(FEED, rounds=2),
    "latency": latency,
    "slowest": slowest,
    "open loop": lambda: open_loop(hftlab.Engine("python"), FEED, 20_000.0, 300),
    "compare": lambda: hftlab.compare("python", "python", FEED, rounds=6),
    "clocks": lambda: clocks(2_000),
    "jitter": lambda: jitter(0.02, engine="python"),
}
RUST: dict[str, Callable[[], Any]] = {
    "ablate": lambda: hftlab.ablate(FEED, rounds=3),
    "scaling": lambda: hftlab.scaling("orders", [20, 100], ["naive", "best"], rounds=3, messages=200),
    "ffi": lambda: hftlab.ffi_overhead(rounds=3, messages=200),
}


@pytest.fixture(scope="module", params=[*EXPERIMENTS, *(pytest.param(name, marks=pytest.mark.rust) for name in RUST)])
def result(request: pytest.FixtureRequest) -> Any:
    return {**EXPERIMENTS, **RUST}[request.param]()


def test_it_comes_back_from_json_as_it_was(result: StoredResult) -> None:
    payload = json.loads(result.to_json())
    assert payload["schema"] == result.schema
    assert payload["schema"].startswith("hftlab-")
    again = type(result).from_dict(payload)
    assert again.to_json() == result.to_json()
    assert str(again) == str(result)


def test_another_schema_and_a_missing_field_are_refused(result: StoredResult) -> None:
    payload = json.loads(result.to_json())
    with pytest.raises(HftlabError, match=r"schema must be 'hftlab-.*', got 'hftlab-other/1'"):
        type(result).from_dict({**payload, "schema": "hftlab-other/1"})
    first = next(iter(type(result).__dataclass_fields__))  # type: ignore[attr-defined]
    del payload[first]
    with pytest.raises(HftlabError, match=f"missing required field `{first}`"):
        type(result).from_dict(payload)


def test_it_shows_tables_and_notes(result: StoredResult) -> None:
    tables = result.tables()
    assert tables
    assert all(isinstance(each, Table) and each.rows for each in tables)
    assert result.headline() in str(result).replace("\n", " ") or len(result.headline()) > 90
    assert "<table" in result._repr_html_()
    if isinstance(result, FeedResult):
        assert result.feed in " ".join(result.notes())
        assert result.machine["cpu"] in " ".join(result.notes())


def test_it_gives_a_frame_and_a_chart(result: Any) -> None:
    assert result.frame().height
    if hasattr(result, "plot"):
        assert "$schema" in result.plot().to_dict()


def test_a_stage_that_the_rounds_cannot_tell_from_nothing_is_a_bound_and_never_below_zero() -> None:
    payload = json.loads(hftlab.bench(FEED, rounds=2).to_json())
    for engine in payload["engines"]:
        engine["passes_ns"] = {"tick": [10.0, 12.0], "book": [30.0, 34.0], "signal": [29.0, 37.0], "order": [28.0, 36.0]}
    (table,) = (each for each in hftlab.BenchReport.from_dict(payload).tables() if "whole passes, ns" in each.title)
    assert table.rows[0][1:5] == ("11.0", "21.0", "< 3.0", "n/a")
    assert "its bound" in str(table.note)


@pytest.mark.rust
@pytest.mark.parametrize(
    "command",
    [
        "bench --ablate --feed DAY",
        "ablate --feed DAY",
        "ffi --messages 500",
        "scaling --variant best --messages 500",
        "compare python rust --feed DAY",
    ],
)
def test_the_command_saves_what_json_prints(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hftlab.experiments.scaling.decades", lambda axis, full: [20, 100])
    day, out = tmp_path / "day.itch", tmp_path / "deep" / "result.json"
    day.write_bytes(b"".join(FEED.blocks()))
    assert main([*command.replace("DAY", str(day)).split(), "--rounds", "3", "--json", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())
