"""Does the laboratory work without its annexes? `net/` and `loadtest/` are deleted, and it is asked to do what it always does."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hftlab.feeds.generate.synthetic import write

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("0[0-8]_*.py"))


@pytest.fixture(scope="module")
def without_annexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it, less its annexes."""
    folder = tmp_path_factory.mktemp("laboratory")
    shutil.copytree(ROOT / "hftlab", folder / "hftlab")
    for name in ("net", "loadtest"):
        shutil.rmtree(folder / "hftlab" / name)
    return folder


def run(folder: Path, *words: str, code: int = 0) -> str:
    """What a Python process prints that finds the package in `folder`, and the course in the repository."""
    path = os.pathsep.join([str(folder), str(ROOT / "notebooks")])
    environment = {**os.environ, "PYTHONPATH": path, "HFTLAB_HOME": str(folder / "home"), "NO_COLOR": "1"}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_what_is_missing_is_an_import_error_and_nothing_else_breaks(without_annexes: Path) -> None:
    script = f"""
import hftlab
assert hftlab.__file__.startswith({str(without_annexes)!r}), hftlab.__file__
assert {{"net", "loadtest", "stress", "Engine", "bench"}} <= set(dir(hftlab))
for name in ("net", "loadtest", "stress"):
    try:
        getattr(hftlab, name)
    except (ImportError, AttributeError) as error:
        assert "net" in str(error) or "loadtest" in str(error), error
    else:
        raise AssertionError(name)
for name in set(dir(hftlab)) - {{"net", "loadtest", "stress"}}:
    getattr(hftlab, name)
print(hftlab.Engine("python").run(hftlab.synthetic(messages=500)).messages)
"""
    assert run(without_annexes, "-c", script).strip() == "500"


@pytest.mark.slow
def test_the_bench_measures(without_annexes: Path, tmp_path: Path) -> None:
    day = tmp_path / "day.itch"
    write(day, "calm", 2_000)
    words = ["bench", "--feed", str(day), "--rounds", "3", "--json"]
    payload = json.loads(run(without_annexes, "-m", "hftlab.cli.main", *words))
    assert payload["schema"].startswith("hftlab-bench/")


def test_the_doctor_reports(without_annexes: Path) -> None:
    assert "Traceback" not in run(without_annexes, "-m", "hftlab.cli.main", "doctor")


@pytest.mark.parametrize("command", [["net", "transports"], ["stress", "--quick"], ["faults"]])
def test_a_command_of_an_annex_is_one_sentence(command: list[str], without_annexes: Path) -> None:
    printed = run(without_annexes, "-m", "hftlab.cli.main", *command, code=2)
    assert "Traceback" not in printed


@pytest.mark.slow
def test_a_lesson_imports_what_it_needs(without_annexes: Path) -> None:
    """All imports of each lesson, and every name that it takes from the package, without the measurements: in one process."""
    asked = {path.stem: needs(path) for path in LESSONS}
    assert all("hftlab" in code for code in asked.values())
    run(without_annexes, "-c", f"for name, code in {asked!r}.items():\n    exec(compile(code, name, 'exec'), {{}})")


def needs(lesson: Path) -> str:
    """The imports of a lesson and the names it takes from the package, as statements."""
    tree = ast.parse("\n".join(line for line in lesson.read_text().splitlines() if not line.lstrip().startswith(("%", "!"))))
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and attribute_of_package(node)}
    return "\n".join([*imports, *sorted(names)])


def attribute_of_package(node: ast.Attribute) -> bool:
    """Whether it is `hftlab.name`, `hftlab.folder.name` and so on."""
    inner = node.value
    return (
        attribute_of_package(inner) if isinstance(inner, ast.Attribute) else isinstance(inner, ast.Name) and inner.id == "hftlab"
    )


@pytest.mark.slow
def test_the_first_lesson_runs(without_annexes: Path) -> None:
    """The bench on a whole market is in it. It takes as few rounds as can be."""
    run(without_annexes, "-c", re.sub(r"\bROUNDS = \d+", "ROUNDS = 3", LESSONS[0].read_text()))
