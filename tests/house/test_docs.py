"""Do the pages made from the code say what the code says, and does the README stay one a newcomer reads?"""

import runpy
from pathlib import Path

import pytest

import hftlab

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["api", "cli"])
def test_the_page_is_that_of_the_code(page: str) -> None:
    made = runpy.run_path(str(ROOT / "docs" / f"make_{page}.py"))["markdown"]()
    assert (ROOT / "docs" / f"{page}.md").read_text() == made, "run `make docs`"


def test_every_public_name_is_documented() -> None:
    bare = [name for name in hftlab.__all__ if not (getattr(hftlab, name).__doc__ or "").strip() and name != "EVENT_DTYPE"]
    assert not bare


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 120
    assert max(map(len, lines)) <= 130


def test_the_python_of_the_readme_runs() -> None:
    code = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    small = code.replace("200_000", "1_000").replace("20_000", "500").replace('"rust naive", "rust"', '"python", "python"')
    exec(compile(small.replace('"rust"', '"python"'), "README.md", "exec"), {})
