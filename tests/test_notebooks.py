"""Is every stored notebook the executed form of its text pair, fit to be read without running it?"""

import re
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="jupytext (extra dev) is not installed")
nbformat = pytest.importorskip("nbformat", reason="nbformat (extra dev) is not installed")

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
PAIRS = sorted(FOLDER.glob("[0-9]*.py"))
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=[path.stem for path in PAIRS])

# Assembled, so that this file does not hold what it forbids.
TOP_FOLDERS = "|".join(["work", "root", "home", "Users", "tmp", "opt"])
MACHINE_PATH = re.compile(rf"(?<![\w.\-])/(?:{TOP_FOLDERS})/\w")


def stored(pair: Path):
    """The notebook beside `pair`."""
    return nbformat.read(pair.with_suffix(".ipynb"), as_version=4)


def essence(cell) -> tuple[str, str, list[str]]:
    """What a text pair and its notebook must agree on: kind, source and tags."""
    return cell.cell_type, cell.source.strip(), sorted(cell.metadata.get("tags", []))


def texts(outputs) -> str:
    """All that `outputs` would show as text."""
    streams = [out.text for out in outputs if out.output_type == "stream"]
    bundles = [item for out in outputs for item in out.get("data", {}).items()]
    return "\n".join([*streams, *(text for kind, text in bundles if kind.startswith("text/"))])


def test_each_notebook_has_a_text_pair() -> None:
    assert sorted(FOLDER.glob("*.ipynb")) == [path.with_suffix(".ipynb") for path in PAIRS]


@each_pair
def test_the_pair_and_the_notebook_agree_cell_by_cell(pair: Path) -> None:
    assert [essence(c) for c in stored(pair).cells] == [essence(c) for c in jupytext.read(pair).cells]


@each_pair
def test_every_code_cell_was_executed_in_order(pair: Path) -> None:
    code = [cell for cell in stored(pair).cells if cell.cell_type == "code" and cell.source.strip()]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@each_pair
def test_outputs_are_stored_and_none_is_an_error(pair: Path) -> None:
    cells = [cell for cell in stored(pair).cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in cells), "no cell has an output"
    errors = [
        cell.source.splitlines()[0]
        for cell in cells
        for out in cell.outputs
        if out.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", [])
    ]
    assert not errors
    assert not [cell.source for cell in cells if "Traceback (most recent call last)" in texts(cell.outputs)]


@each_pair
def test_nothing_stored_tells_of_the_machine_or_the_hour(pair: Path) -> None:
    notebook = stored(pair)
    for cell in notebook.cells:
        assert "execution" not in cell.metadata, "executed with record_timing=True"
        shown = cell.source + "\n" + texts(cell.get("outputs", []))
        path = MACHINE_PATH.search(shown)
        assert path is None, f"the path {path[0]}... in: {cell.source.splitlines()[0]}"


@each_pair
def test_no_shell_escape(pair: Path) -> None:
    """A failing ``!command`` passes everywhere; ``%%bash`` fails as it should."""
    code = [cell.source for cell in stored(pair).cells if cell.cell_type == "code"]
    assert not [line for line in "\n".join(code).splitlines() if line.lstrip().startswith("!")]
