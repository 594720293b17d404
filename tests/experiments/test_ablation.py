"""Does an ablation measure every switch it should, and say of planted costs what they are?"""

from collections.abc import Iterator
from itertools import pairwise

import planted
import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.errors import BackendMissing, HftlabError
from hftlab.experiments.ablation import Ablation, Kind, ablate, plan


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from planted.installed(monkeypatch, planted=planted.PlantedBackend(), wrong=planted.PlantedBackend("sorted"))


@pytest.fixture
def found(engine: None) -> Ablation:
    return hftlab.ablate(hftlab.synthetic(messages=300), backend="planted", rounds=3)


def test_every_name_is_switched_to_from_both_ends_and_the_ladder_is_whole() -> None:
    switches = [(switch.start, switch.axis, *switch.names) for switch in plan(planted.AXES)]
    for start, base in (("naive", 0), ("best", -1)):
        expected = [
            (start, axis, names[base], name) for axis, names in planted.AXES.items() for name in names if name != names[base]
        ]
        assert [one for one in switches if one[0] == start] == expected
    ladder = [one for one in plan(planted.AXES) if one.start == "ladder"]
    assert [switch.axis or switch.kind for switch in ladder] == [*planted.AXES, Kind.WHOLE]
    assert all(one.after == other.before for one, other in pairwise(ladder[:-1]))
    assert ladder[0].before == ladder[-1].before == {"book": "btree", "orders": "std", "pool": False, "signal": "recompute"}
    assert ladder[-2].after == ladder[-1].after == {"book": "ladder", "orders": "flat", "pool": True, "signal": "incremental"}


def test_planted_costs_are_found(found: Ablation) -> None:
    rows = {(row["start"], row["axis"], row["to"]): row for row in found.frame().to_dicts()}
    verdicts = {key: row["verdict"] for key, row in rows.items()}
    assert verdicts["naive", "book", "sorted"].startswith("faster 1.11x")
    assert verdicts["naive", "book", "ladder"].startswith("faster 1.25x")
    assert verdicts["naive", "pool", "True"] == "no difference seen"
    assert verdicts["naive", "signal", "incremental"].startswith("slower 1.10x")
    assert verdicts["best", "orders", "std"].startswith("slower 1.50x")
    assert verdicts["best", "signal", "recompute"].startswith("faster 1.20x")
    assert verdicts["ladder", "all", "best"].startswith("faster 1.67x")
    controls = [row for row in found.frame().to_dicts() if row["axis"] == "A/A"]
    assert [(row["start"], row["from"], row["ratio"]) for row in controls] == [
        ("naive", "naive", 1.0),
        ("best", "best", 1.0),
        ("ladder", "ladder std False recompute", 1.0),
        ("ladder", "ladder flat False recompute", 1.0),
        ("ladder", "ladder flat True recompute", 1.0),
    ]
    ladder = [row for row in found.frame().to_dicts() if row["start"] == "ladder" and row["axis"] != "A/A"]
    assert [row["to_ns_per_message"] for row in ladder] == [80, 50, 50, 60, 60]


def test_no_clock_starts_before_the_results_are_equal(engine: None) -> None:
    with pytest.raises(HftlabError, match="engines disagree; refusing to benchmark"):
        ablate(hftlab.synthetic(messages=300), backend="wrong", rounds=3)


def test_engines_that_cannot_be_ablated_are_told_apart(engine: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HftlabError, match="'python' has no variants"):
        ablate(backend="python", rounds=3)
    with pytest.raises(BackendMissing):
        ablate(rounds=3)
    assert main(["bench", "--ablate", "--messages", "300"]) == 2
    assert "'rust' is missing" in capsys.readouterr().err
