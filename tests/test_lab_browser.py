"""In a real browser: does JupyterLab open on the landing page, run the lessons from its menu, draw the charts, move the widgets,
and never ask anybody outside of this machine? Pictures of it are in out/."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lab as stage
import nbformat
import pytest
from lab import ROOT, Lab, Window

NOTEBOOKS = ROOT / "notebooks"
#: Run from the menu; the lessons among them as soon as they are there.
RUN = [path for name in ("index", "00_*", "02_*", "11_*") for path in sorted(NOTEBOOKS.glob(f"{name}.ipynb"))]
RUN_S = 240  # one notebook, on a busy machine
VEGA = "application/vnd.vegalite.v5+json"
#: Said by JupyterLab itself on a page that is as it should be.
HARMLESS = ("favicon", "ResizeObserver loop")


@pytest.fixture(scope="module")
def executable() -> str:
    return stage.chromium()


@pytest.fixture(scope="module")
def lab(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    scratch = tmp_path_factory.mktemp("lab")
    ignored = shutil.ignore_patterns("__pycache__", ".*", "conftest.py")
    shutil.copytree(NOTEBOOKS, scratch / "notebooks", ignore=ignored)
    with stage.running(scratch / "notebooks", scratch) as server:
        yield server


@pytest.fixture(scope="module")
def chrome(executable: str) -> Iterator[Any]:
    with stage.browser(executable) as found:
        yield found


@pytest.fixture
def window(chrome: Any, lab: Lab) -> Iterator[Window]:
    with stage.window(chrome, lab) as found:
        yield found
        assert not found.outside, f"requests that leave the machine: {sorted(set(found.outside))}"
        errors = [error for error in found.errors if not any(word in error for word in HARMLESS)]
        assert not errors, "\n".join(errors)


def charts_in(path: Path) -> int:
    """Charts that the stored notebook holds."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return sum(VEGA in out.get("data", {}) for cell in cells for out in cell.outputs)


def test_the_landing_page_can_be_read_without_running_it(window: Window) -> None:
    window.start()
    window.picture("landing")
    state = window.state()
    assert state["charts"] + state["pictures"] >= 1  # the picture stands in for the chart where a clone is not trusted
    assert "Quickstart" in state["links"]
    assert window.dialogs() == []
    window.panel.locator("a", has_text="Quickstart").click()
    window.page.locator(".lm-TabBar-tab.jp-mod-current", has_text="00_quickstart.ipynb").wait_for(timeout=30_000)


@pytest.mark.parametrize("path", [pytest.param(path, marks=pytest.mark.rust, id=path.stem[:5]) for path in RUN])
def test_run_all_from_the_menu(window: Window, path: Path) -> None:
    window.start()
    if path.stem != "index":
        window.open(path.name)
    window.run_all(RUN_S)
    window.picture(path.stem)
    state = window.state()
    assert not state["failed"], state["failed"]
    assert not state["warned"], state["warned"]
    assert window.dialogs() == []
    assert state["blank"] == 0
    assert state["charts"] >= charts_in(path)
    moved = move_widgets(window)
    if moved:
        window.picture(f"{path.stem}_moved")
    assert moved >= (path.stem[:2] in ("02", "11")), "there is nothing to move"


def move_widgets(window: Window) -> int:
    """Push every slider of the notebook in front by the arrow keys; what stands around it must change. Returns how many."""
    sliders = window.panel.locator(".jupyter-widgets .noUi-handle")
    for place in range(sliders.count()):
        handle = sliders.nth(place)
        handle.scroll_into_view_if_needed()
        area = handle.locator("xpath=ancestor::div[contains(@class,'jp-Cell-outputArea')]")
        mask = [area.locator(".widget-slider")]
        before, at = area.screenshot(mask=mask), handle.get_attribute("aria-valuenow")
        largest = float(handle.get_attribute("aria-valuemax") or 0)
        key = "ArrowLeft" if float(at or 0) >= largest else "ArrowRight"
        handle.focus()
        for _ in range(3):
            handle.press(key)
        window.page.wait_for_timeout(500)
        window.idle()
        window.page.wait_for_timeout(1_000)
        assert handle.get_attribute("aria-valuenow") != at, "the slider does not move"
        assert area.screenshot(mask=mask) != before, "the slider moves, and nothing with it"
    return sliders.count()


SCRATCH = {
    "wrong": "import hftlab\nhftlab.check('99.1', lambda values: values[0])",
    "raises": "hftlab.check('99.1', lambda values: 1 / 0)",
    "right": "hftlab.check('99.1', max)",
    "progress": "import time\nfrom hftlab.progress import track\nfor _ in track(range(40), 'rounds'):\n    time.sleep(0.2)",
    "after": "hftlab.course.course().passed",
    "latency": "%latency python --messages 2000 --rounds 3",
}
EXERCISE = """
from hftlab.course.exercise import Step, exercise

@exercise("99.1", "The largest", minutes=1)
def largest(answer):
    yield Step.expect("correct", answer([3, 9, 4]), 9, "the largest of [3, 9, 4]")
    yield Step.expect("hidden", answer(list(range(1_000))), 999, "the largest of a thousand")
"""


@pytest.mark.parametrize("solution", [False, True], ids=["answer", "solution"])
def test_checks_and_progress_are_seen(chrome: Any, executable: str, tmp_path: Path, solution: bool) -> None:
    """A wrong answer, one that raises, a right one, a bar that moves; by the kernel "hftlab", which needs no %load_ext. What a
    cell tagged "solution" solves is not kept."""
    cells = [nbformat.v4.new_code_cell(EXERCISE), *map(nbformat.v4.new_code_cell, SCRATCH.values())]
    if solution:
        cells[3].metadata["tags"] = ["solution"]
    kernel = {"kernelspec": {"name": "hftlab", "display_name": "hftlab", "language": "python"}}
    (tmp_path / "work").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "work" / "index.ipynb")
    with (
        stage.running(tmp_path / "work", tmp_path, CI="") as server,  # in CI there is no bar
        stage.window(chrome, server, height=1500) as found,
    ):
        found.start()
        found.idle()
        found.menu("Run", "Run All Cells")
        bar = found.panel.locator(".widget-hprogress, .jupyter-widgets progress, .progress-bar").first
        bar.wait_for(timeout=30_000)
        found.page.wait_for_timeout(500)
        found.picture("checks_while_running")
        found.run_all(120)
        found.picture(f"checks_{'solution' if solution else 'answer'}")
        state = found.state()
        assert not state["failed"], state["failed"]
        text = found.panel.inner_text()
        assert "99.1 The largest: not yet" in text
        assert "3, expected 9" in text
        assert "ZeroDivisionError: division by zero" in text
        assert "99.1 The largest: passed" in text
        assert found.dialogs() == []
        assert not found.outside
        kept = server.home / "course.json"
        assert (json.loads(kept.read_text())["passed"].keys() if kept.exists() else set()) == (set() if solution else {"99.1"})
