"""Do notebooks that a reader would call broken fail as tests, and do the charts of a seed come again?"""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from hftlab import charts

nbformat = pytest.importorskip("nbformat", reason="nbformat (extra dev) is not installed")
pytest.importorskip("nbval", reason="nbval (extra dev) is not installed")

ROOT = Path(__file__).resolve().parents[2]

#: The frame of one instrument, from a seed, then charts of it.
FRAME = """
import hftlab
import polars as pl
from hftlab import charts
charts.enable()
run = hftlab.Engine("python").run(hftlab.synthetic("calm", 2_000, seed={}))
rows = charts.thin(run.frame.filter(pl.col("instrument") == 1), 50)
"""
DRAWN = ("charts.price_chart(rows, 10_000)", "charts.depth_chart(run.book(run.name(1)), 10_000)", "charts.empty_chart()")

#: Cells of one notebook each: source, tag, stored text, and what comes of it: passed, skipped, or a failure that says so.
CASES: dict[str, list[tuple[str, str, str, str]]] = {
    "alive": [
        ("1 + 1", "nbval-check-output", "2", "passed"),
        ("raise KeyError", "raises-exception", "", "passed"),
        ("1 + 1", "nbval-ignore-output", "3", "passed"),
        ("import os; print('hftlab-notebooks-' in os.environ['HFTLAB_HOME'])", "nbval-check-output", "True\n", "passed"),
        ("1 + 1", "nbval-check-output", "3", "mismatch"),
        ("%nosuchmagic", "", "", "nosuchmagic"),
        ("%timeit -q -nx 1", "", "", "invalid literal"),
        ("1", "raises-exception", "", "nothing was raised"),
    ],
    "dead": [("import os; os._exit(1)", "", "", "the kernel died"), ("1", "", "", "skipped")],
    "slow": [("import time; time.sleep(60)", "timeout-1", "", "imeout"), ("1", "", "", "skipped")],
}


def write(path: Path, cells: list[tuple[str, str, str, str]]) -> None:
    """A notebook with outputs, as if it had been executed."""
    out = nbformat.v4.new_notebook()
    for place, (source, tag, text, _) in enumerate(cells, 1):
        cell = nbformat.v4.new_code_cell(source, execution_count=place, metadata={"tags": [tag] if tag else []})
        if text.endswith("\n"):
            cell.outputs = [nbformat.v4.new_output("stream", text=text)]
        elif text:
            cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": text}, execution_count=place)]
        out.cells.append(cell)
    nbformat.write(out, path)


def run(folder: Path) -> dict[str, list[str]]:
    """Run every notebook of `folder` as `make test` does; for each, what its cells came to: "passed", "skipped", or a text."""
    (folder / "conftest.py").write_text((ROOT / "notebooks" / "conftest.py").read_text())
    words = ["-m", "pytest", str(folder), "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    words += ["--nbval-cell-timeout=90", f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval_sanitize.cfg'}"]
    words += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), f"--junitxml={folder / 'out.xml'}"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300, cwd=folder, check=False)
    assert (folder / "out.xml").exists(), done.stdout + done.stderr
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(folder / "out.xml").iter("testcase"):
        name = (
            re.split(r"[./:]", case.attrib["classname"])[0] if "ipynb" in case.attrib["classname"] else case.attrib["classname"]
        )
        state = "passed"
        for child in case:
            if child.tag in ("failure", "error", "skipped"):
                state = "skipped" if child.tag == "skipped" else f"failed {child.text}"
        found.setdefault(name, []).append(state)
    return found


def with_charts(*seeds: int) -> Any:
    """A notebook that draws charts from each seed, with those of seed 1, drawn by this process, stored as its outputs."""
    import altair as alt

    names: dict[str, Any] = {}
    renderer = alt.renderers.active
    try:
        exec(FRAME.format(1), names)
        bundles = [charts.render(eval(source, names).to_dict())[0] for source in DRAWN]
        bundles = [{**bundle, "image/png": b64encode(bundle["image/png"]).decode()} for bundle in bundles]
    finally:
        alt.renderers.enable(renderer)
    cells = []
    for seed in seeds:
        cells.append(nbformat.v4.new_code_cell(FRAME.format(seed), execution_count=len(cells) + 1))
        for source, bundle in zip(DRAWN, bundles, strict=True):
            cell = nbformat.v4.new_code_cell(source, execution_count=len(cells) + 1, metadata={"tags": ["nbval-check-output"]})
            cell.outputs = [nbformat.v4.new_output("execute_result", bundle, execution_count=len(cells) + 1)]
            cells.append(cell)
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the cells of all notebooks here came to, in one run."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name, cells in CASES.items():
        write(folder / f"{name}.ipynb", cells)
    nbformat.write(with_charts(1, 2), folder / "charts.ipynb")
    return run(folder)


def test_what_a_reader_would_call_broken_fails(found: dict[str, list[str]]) -> None:
    assert found.keys() == {*CASES, "charts"}
    for name, cells in CASES.items():
        for state, (source, _, _, word) in zip(found[name], cells, strict=True):
            assert word in state, (source, state)
            assert state.startswith(word if word in ("passed", "skipped") else "failed"), (source, state)


def test_a_chart_is_compared_by_its_data(found: dict[str, list[str]]) -> None:
    """The same seed, the same plot: a chart that is stored is compared with that of a new run, in another process. Another seed
    is found out; a chart that no seed goes into is the same."""
    same, other = found["charts"][:4], found["charts"][4:]
    assert same == ["passed"] * 4
    assert [state.split()[0] for state in other] == ["passed", "failed", "failed", "passed"]
    assert all("vnd.vegalite" in state for state in other[1:3])
