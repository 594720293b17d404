"""Are the variants that hftlab lists those that Rust has, each with a word on what it is good at?"""

import json

import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.engine.variants import AXES, GOOD_AT


def test_every_name_says_what_it_is_good_at() -> None:
    assert {axis: tuple(words) for axis, words in GOOD_AT.items()} == AXES
    listed = hftlab.variants()
    assert [(row.axis, row.name) for row in listed] == [(axis, name) for axis, names in AXES.items() for name in names]
    assert [row[3] for row in listed.tables()[0].rows] == [row.good_at for row in listed]
    assert listed.frame().columns == ["axis", "name", "rank", "engines", "good_at"]


@pytest.mark.rust
def test_the_names_are_those_of_rust_in_its_order() -> None:
    import hftlab_rust

    for axis, names in hftlab_rust.variants().items():
        listed = [row.name for row in hftlab.variants() if row.axis == axis and "rust" in row.engines]
        assert listed == list(names)
        assert [name for name in AXES[axis] if name in names] == list(names)


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["variants"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for names in AXES.values() for name in names)
    assert main(["variants", "--json"]) == 0
    assert {row["axis"] for row in json.loads(capsys.readouterr().out)["variants"]} == set(AXES)
