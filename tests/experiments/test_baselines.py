"""Is a baseline kept and compared with what it may be compared with, and refused in words where it may not?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hftlab.cli.main import main
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.experiments import baselines
from hftlab.experiments.baselines import Recipe, check_name, read, save, taken
from hftlab.experiments.drift import drift, unpaired
from hftlab.measurement.kept import differences, home, machine_id
from hftlab.measurement.machine import fingerprint


def report(times: float = 1.0, seed: int = 1, **machine: Any) -> dict[str, Any]:
    """A bench report of two engines, as plain values; `machine` changes its fingerprint."""
    rng = np.random.default_rng(seed)
    engines = [
        {
            "label": label,
            "backend": label.split()[0],
            "rounds_ns_per_message": (ns * rng.normal(1, 0.01, 7)).tolist(),
            "until_ns_per_message": {"tick": ns / 4, "book": ns / 2, "signal": 0.9 * ns, "order": ns},
            "latency_ns": [{"stage": "total", "median": ns, "p99": 2 * ns, "p99.9": None}],
            "control_ratios": rng.normal(1, 0.01, 7).tolist() if label == "rust best" else [],
        }
        for label, ns in (("python", 5_000 * times), ("rust best", 50.0))
    ]
    whole = {"feed": "calm-1000-1", "messages": 1_000, "rounds": 7, "machine": {**fingerprint(), **machine}}
    return {"schema": "hftlab-bench/1", **whole, "engines": engines}


def test_what_was_kept_is_read_back(home: Path) -> None:
    recipe = Recipe(regime="burst", messages=1_000, seed=3, engines=("x.py:X",))
    kept = report()
    path = save("before-1.0_x", kept, recipe)
    assert path == home / "baselines" / "before-1.0_x.json"
    found = read("before-1.0_x")
    assert found.recipe == recipe
    assert found.report == json.loads(json.dumps(kept))
    assert baselines.names() == ["before-1.0_x"]
    assert recipe.feed().name == "burst-1000-3"
    save("before-1.0_x", report(times=2), recipe)
    assert read("before-1.0_x").report != found.report
    assert list((home / "baselines").iterdir()) == [path]


def test_the_folder_is_the_users_own_unless_one_is_named(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    from hftlab.measurement import kept

    assert kept.home() == home
    monkeypatch.setenv("HOME", str(home / "of_user"))
    monkeypatch.delenv("HFTLAB_HOME")
    assert kept.home() == home / "of_user" / ".hftlab"


@pytest.mark.parametrize("name", ["", "a b", "../up", "a/b", ".hidden", "x" * 65, "größe", "a\n"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="allowed are 1 to 64 letters"):
        check_name(name)


def test_the_name_of_an_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="is the name of an engine"):
        check_name("python")


def test_what_became_slower_is_found_and_what_did_not_is_not() -> None:
    before, now = taken(report(), "before"), taken(report(times=1.5, seed=2))
    found = drift(before, now)
    verdicts = {(one.engine, one.metric): one.verdict for one in found.shifts}
    assert verdicts["python", "ns/message"].startswith("slower 1.")
    assert verdicts["rust best", "ns/message"] == "no difference seen"
    assert verdicts["python", "p99"] == "not judged: one figure a run"
    assert ("python", "p99.9") not in verdicts
    rows = {(row["engine"], row["metric"]): row for row in found.frame().to_dicts()}
    assert rows["python", "p50"]["ratio"] == pytest.approx(1 / 1.5)
    assert rows["python", "p50"]["low"] is None
    assert rows["python", "ns/message"]["control_a"] == pytest.approx(1, abs=0.02)
    assert rows["python", "ns/message"]["control_b_high"] >= 1 / 1.02
    told = found.to_dict()
    assert (told["schema"], told["interleaved"], told["forced_over"]) == ("hftlab-drift/1", False, [])
    assert json.loads(json.dumps(told)) == told
    assert "NOT taken interleaved" in str(found)
    assert repr(found).startswith("<Drift from before to now: python slower 1.")


def test_the_unpaired_interval_holds_the_true_ratio() -> None:
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        held.append(unpaired(110 * rng.normal(1, 0.03, 21), 100 * rng.normal(1, 0.03, 21)).holds(1.1))
    assert sum(held) >= 51


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cpu": "Other 9000"}, r"cpu: .* / Other 9000"),
        ({"governor": "powersave"}, r"governor: .* / powersave"),
        ({"kernel": "1.2.3"}, r"kernel: .* / 1\.2\.3"),
        ({"isolated": "1-3"}, r"isolated: .* / 1-3"),
        ({"builds": {"rust": "native"}}, r"builds rust: .* / native"),
        ({"caches": {"L2": 1}}, r"caches L2: .* / 1"),
        ({"numpy": "1.0"}, r"numpy: .* / 1\.0"),
        ({"boost": None}, r"boost: .* / not recorded"),
    ],
)
def test_another_machine_is_refused_unless_forced(change: dict[str, Any], words: str) -> None:
    before, now = taken(report(), "before"), taken(report(**change))
    with pytest.raises(HftlabError, match=words):
        drift(before, now)
    found = drift(before, now, force=True)
    assert found.forced
    assert f"FORCED over a difference: {found.forced[0]}" in str(found)
    assert machine_id(before.report["machine"]) != machine_id(now.report["machine"])


def test_load_is_no_other_machine_and_the_cores_are_told() -> None:
    before, now = taken(report(load_1min=0.1, affinity=[0])), taken(report(load_1min=7.0, affinity=[0, 1]))
    found = drift(before, now)
    assert "load of the machine: 0.10 / 7.00" in found.lines()
    assert "the cores they might run on differ: [0] / [0, 1]" in found.lines()
    assert differences(before.report["machine"], now.report["machine"]) == []
    assert machine_id(before.report["machine"]) == machine_id(now.report["machine"])


def test_another_feed_is_refused_and_another_engine_is_told() -> None:
    before, now = taken(report(), "before"), taken({**report(), "feed": "burst-1"})
    with pytest.raises(HftlabError, match="feed: calm-1000-1 / burst-1"):
        drift(before, now)
    with pytest.raises(UnknownName, match="'numba'; known: python, rust best"):
        drift(before, before, engine="numba")
    less = taken({**report(), "engines": report()["engines"][:1]}, "less")
    lines = drift(before, less).lines()
    assert "only in before: rust best" in lines
    assert any("less has no A/A control" in line for line in lines)
    assert {one.engine for one in drift(before, before, engine="rust").shifts} == {"rust best"}


def test_the_chart_shows_what_was_judged() -> None:
    vl_convert = pytest.importorskip("vl_convert")
    found = drift(taken(report(), "before"), taken(report(times=1.5, seed=2)))
    svg = vl_convert.vegalite_to_svg(found.plot().to_dict())
    for word in ("python: ns/message", "rust best: ns/message", "NOT interleaved", "A/A control", "slower"):
        assert word in svg


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": "x"}', '{"schema": "hftlab-baseline/1", "name": "b", "time": "", "commit": "", "recipe": 7}'],
)
def test_a_file_that_is_no_baseline_is_a_sentence(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = save("bad", report())
    path.write_text(text)
    assert main(["compare", "bad"]) == 2
    assert "bad.json: " in capsys.readouterr().err


def test_the_commands_keep_list_and_compare(capsys: pytest.CaptureFixture[str]) -> None:
    bench = ["bench", "--messages", "400", "--rounds", "3", "--json"]
    assert main([*bench, "--save", "before"]) == 0
    assert "kept as a baseline" in capsys.readouterr().err
    assert main(["history", "--baselines"]) == 0
    assert "before: calm-400-1, 3 rounds" in capsys.readouterr().out
    assert main(["compare", "before", "python", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["engine"] for row in told["shifts"]} == {"python"}
    assert told["b"]["name"] == "now"
    save("after", read("before").report)
    assert main(["compare", "before", "after"]) == 0
    text = capsys.readouterr().out
    for word in ("ns/message", "NOT interleaved", "A/A control", "python", "not judged"):
        assert word in text


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["compare", "befor"], "unknown baseline or engine 'befor'; known: before (baseline), auto, python"),
        (["compare", "python"], "'python' is an engine; compare it with what?"),
        (["compare", "python", "before"], "the baseline comes first"),
        (["compare", "before", "--messages", "500"], "--messages is for two engines; baseline 'before' brings its own"),
        (["compare", "before", "before", "--rounds", "5"], "--rounds is for two engines"),
        (["compare", "before"], "does not say what it ran on"),
        (["bench", "--save", "python"], "is the name of an engine"),
        (["bench", "--save", "x", "--rounds", "2"], "rounds is 2; a baseline needs 3 or more"),
        (["bench", "--save", "x", "--ablate"], "with --ablate there is none"),
    ],
)
def test_what_cannot_be_done_is_answered_in_a_sentence(words: list[str], answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    save("before", report())
    assert main(words) == 2
    assert answer in capsys.readouterr().err


def test_another_machine_is_refused_before_the_bench_is_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save("before", report(cpu="Other 9000"), Recipe())
    monkeypatch.setattr("hftlab.experiments.measure.measure", lambda *_, **__: pytest.fail("it was run"))
    assert main(["compare", "before"]) == 2
    assert "cpu: Other 9000 / " in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HFTLAB_HOME", str(tmp_path / "file"))
    assert home() == tmp_path / "file"
    with pytest.raises(HftlabError, match="cannot be written"):
        save("before", report())
