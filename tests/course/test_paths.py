"""Does every path and every command that lessons and documents name exist?"""

import re
from pathlib import Path

import pytest

from hftlab.cli.main import GROUPS

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    path
    for pattern in ("notebooks/*.py", "notebooks/course/*.py", "README.md", "CONTRIBUTING.md", "docs/*.md")
    for path in sorted(ROOT.glob(pattern))
]
PATH = re.compile(r"(?<![\w/.])(?:hftlab|rust_ext|notebooks|examples|tests)/[\w./*{},-]+")

COMMAND = re.compile(r"(?m)(?:`|^(?:# )? {4})hftlab ([a-z]+(?: [a-z-]+)?)")
COMMANDS = {command for group in GROUPS.values() for command in group}


def expanded(path: str) -> list[str]:
    """A path with braces as the paths it stands for."""
    match = re.search(r"\{([^}]*)\}", path)
    if match is None:
        return [path]
    return [each for name in match[1].split(",") for each in expanded(path[: match.start()] + name + path[match.end() :])]


def missing(text: str) -> list[str]:
    """The paths in a text that are not in the repository. `NN` stands for the number of a lesson."""
    paths = [path for match in PATH.findall(text) for path in expanded(match.rstrip(".,-"))]
    return [path for path in paths if not list(ROOT.glob(path.rstrip("/").replace("NN", "*")))]


def unknown(text: str) -> list[str]:
    """The commands in a text, after a backtick or at the start of an indented line, that `hftlab` does not have."""
    return [found for found in COMMAND.findall(text) if not {found, found.partition(" ")[0]} & COMMANDS and found != "net"]


@pytest.mark.parametrize("path", TEXTS, ids=[str(path.relative_to(ROOT)) for path in TEXTS])
def test_every_path_and_command_in_a_text_exists(path: Path) -> None:
    text = path.read_text()
    assert not missing(text)
    assert not unknown(text)


def test_what_is_missing_is_found() -> None:
    text = "`hftlab/nowhere.py`, hftlab/engine/python.py and `notebooks/course/lessonNN.py`, rust_ext/src/{lib,gone}.rs."
    assert missing(text) == ["hftlab/nowhere.py", "rust_ext/src/gone.rs"]
    assert unknown("`hftlab ladder`, `hftlab net trader`, `hftlab bench --json`\n    hftlab net wire\n") == ["ladder", "net wire"]
