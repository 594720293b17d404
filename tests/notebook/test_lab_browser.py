"""In a real browser: does JupyterLab open on the landing page, run the lessons from its menu, draw the charts, move the widgets,
and send no request to another machine? Screenshots of it are in out/."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lab as stage
import pytest
from lab import ROOT, Lab, Window

jupytext = pytest.importorskip("jupytext", reason="jupytext (extra dev) is not installed")
nbformat = pytest.importorskip("nbformat", reason="nbformat (extra dev) is not installed")

NOTEBOOKS = ROOT / "notebooks"
#: Run from the menu; the lessons among them as soon as they are there.
RUN = [path for name in ("index", "00_*", "02_*") for path in sorted(NOTEBOOKS.glob(f"{name}.ipynb"))]
RUN_S = 240  # one notebook, on a busy machine
VEGA = "application/vnd.vegalite.v5+json"
#: Console errors of JupyterLab itself on a page without a fault.
HARMLESS = ("favicon", "ResizeObserver loop")


def few_rounds(text: str) -> str:
    """A lesson, or its pair, with as few rounds as can be: what is looked at is that its charts come, not how narrow they are."""
    return re.sub(r"\bROUNDS = \d+", "ROUNDS = 3", text)


@pytest.fixture(scope="module")
def executable() -> str:
    return stage.chromium()


@pytest.fixture(scope="module")
def lab(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    scratch = tmp_path_factory.mktemp("lab")
    ignored = shutil.ignore_patterns("__pycache__", ".*", "conftest.py")
    shutil.copytree(NOTEBOOKS, scratch / "notebooks", ignore=ignored)
    for path in (path.with_suffix(suffix) for path in RUN for suffix in (".py", ".ipynb")):
        (scratch / "notebooks" / path.name).write_text(few_rounds(path.read_text()))
    with stage.running(scratch / "notebooks", scratch, CI="true") as server:  # a bar of progress comes on slow days only
        yield server


@pytest.fixture(scope="module")
def chrome(executable: str) -> Iterator[Any]:
    with stage.browser(executable) as found:
        yield found


@pytest.fixture
def window(chrome: Any, lab: Lab) -> Iterator[Window]:
    with stage.window(chrome, lab) as found:
        yield found
        stage.end_kernels(lab)
        assert not found.outside, f"requests that leave the machine: {sorted(set(found.outside))}"
        errors = [error for error in found.errors if not any(word in error for word in HARMLESS)]
        assert not errors, "\n".join(errors)


def charts_in(path: Path) -> int:
    """Number of charts in the stored notebook."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return sum(VEGA in out.get("data", {}) for cell in cells for out in cell.outputs)


def test_the_landing_page_is_readable_without_running_it(window: Window) -> None:
    window.start()
    window.picture("landing")
    assert "Quickstart" in window.state()["links"]
    assert window.dialogs() == []
    window.panel.get_by_role("link", name="Quickstart", exact=True).click()
    window.page.locator(".lm-TabBar-tab.jp-mod-current", has_text="00_quickstart.ipynb").wait_for(timeout=120_000)


@pytest.mark.parametrize("path", [pytest.param(path, marks=pytest.mark.rust, id=path.stem[:5]) for path in RUN])
def test_run_all_from_the_menu(window: Window, path: Path) -> None:
    window.start("/lab/tree/index.ipynb")
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
    window.save()
    assert window.dialogs() == []
    assert pair_agrees(window.lab.folder / path.name)
    moved = move_widgets(window)
    if moved:
        window.picture(f"{path.stem}_moved")
    assert moved or path.stem[:2] != "02", "there is nothing to move"


def pair_agrees(path: Path) -> bool:
    """Whether a saved notebook still has the cells of its text pair, and both are unchanged."""
    texts = {one.suffix: one.read_text() for one in (path, path.with_suffix(".py"))}
    sources = [[cell.source for cell in jupytext.reads(text, fmt=suffix).cells] for suffix, text in texts.items()]
    given = jupytext.reads(few_rounds((NOTEBOOKS / path.name).read_text()), fmt=".ipynb")
    return sources[0] == sources[1] == [cell.source for cell in given.cells]


def move_widgets(window: Window) -> int:
    """Move every slider of the active notebook by the arrow keys, and its first switches; the output around each must change.
    Returns their number."""
    sliders = window.panel.locator(".jp-OutputArea-output .noUi-handle")
    for place in range(sliders.count()):
        handle = sliders.nth(place)
        at, largest = (handle.get_attribute(f"aria-value{name}") for name in ("now", "max"))
        key = "ArrowLeft" if float(at or 0) >= float(largest or 0) else "ArrowRight"
        handle.scroll_into_view_if_needed()
        with changes_around(window, handle, ".widget-slider"):
            handle.focus()
            for _ in range(3):
                handle.press(key)
        assert handle.get_attribute("aria-valuenow") != at, "the slider does not move"
    switches = window.panel.locator(".jp-OutputArea-output .widget-toggle-button")
    tried = min(switches.count(), 3)
    for place in range(tried):
        switch = switches.nth(place)
        switch.scroll_into_view_if_needed()
        with changes_around(window, switch, ".widget-toggle-button"):
            switch.click()
    return sliders.count() + tried


@contextmanager
def changes_around(window: Window, widget: Any, kind: str) -> Iterator[None]:
    """The enclosed action must change the output around `widget`, not the widget alone."""
    area = widget.locator("xpath=ancestor::div[contains(concat(' ', @class, ' '), ' jp-OutputArea-output ')][last()]")
    mask = [area.locator(kind)]
    before = area.screenshot(mask=mask)
    yield
    for _ in range(20):
        window.page.wait_for_timeout(500)
        if area.screenshot(mask=mask) != before:
            return
    pytest.fail(f"{kind} moves, and nothing else changes")


EXERCISES = f"""
import sys
sys.path.append({str(NOTEBOOKS)!r})
from course import check
import hftlab
from course.exercise import Step, exercise

def largest(answer):
    yield Step.expect("correct", answer([3, 9, 4]), 9, "the largest of [3, 9, 4]")
    yield Step.expect("hidden", answer(list(range(1_000))), 999, "the largest of a thousand")

for number in ("99.1", "99.2"):
    exercise(number, "The largest", minutes=1)(largest)
"""
SCRATCH = [
    EXERCISES,
    "check('99.1', lambda values: values[0])",
    "check('99.1', lambda values: 1 / 0)",
    "check('99.1', max)",
    "check('99.2', max)  # tagged solution",
    "import time\nfrom hftlab.presentation.progress import track\nfor _ in track(range(25), 'rounds'):\n    time.sleep(0.2)",
    "%backend",
]


def test_checks_and_progress_are_shown(chrome: Any, tmp_path: Path) -> None:
    """A wrong answer, one that raises, a right one, a progress bar; by the kernel "hftlab", which needs no %load_ext. The pass of
    a cell tagged "solution" is not stored."""
    cells = list(map(nbformat.v4.new_code_cell, SCRATCH))
    cells[4].metadata["tags"] = ["solution"]
    kernel = {"kernelspec": {"name": "hftlab", "display_name": "hftlab", "language": "python"}}
    (tmp_path / "work").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "work" / "index.ipynb")
    with (
        stage.running(tmp_path / "work", tmp_path, CI="") as server,  # in CI there is no bar
        stage.window(chrome, server, height=1500) as found,
    ):
        found.start()
        found.menu("Run", "Run All Cells")
        bar = found.panel.locator(".jp-OutputArea-output", has_text=re.compile(r"rounds: +\d+%.*/25 "))
        bar.wait_for(timeout=120_000)
        found.page.wait_for_timeout(500)
        found.picture("checks_and_progress")
        found.wait_for_all(120)
        state = found.state()
        assert not state["failed"], state["failed"]
        text = found.panel.inner_text()
        assert text.count("99.1 The largest: not yet") == 2
        assert "3, expected 9" in text
        assert "ZeroDivisionError: division by zero (line 1 of <lambda>" in text
        assert "99.2 The largest: passed" in text
        assert bar.count() == 0, "the bar stays after the end"
        assert found.dialogs() == []
        assert not found.outside
        found.page.evaluate("fetch('https://example.org/figures.json').catch(() => 0)")
        assert found.outside == ["https://example.org/figures.json"], "a request to another machine is detected"
        assert json.loads((server.home / "course.json").read_text())["passed"].keys() == {"99.1"}
