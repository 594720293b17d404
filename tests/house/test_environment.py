"""Do the files that must say the same thing say it, and does none name the machine it was written on?"""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CRATE = tomllib.loads((ROOT / "rust_ext" / "Cargo.toml").read_text())["package"]

# What conda must bring and pip cannot: not named in pyproject.toml.
CONDA_ONLY = {"python", "pip", "make", "rust", "c-compiler"}

# Assembled, so that this file does not hold what it forbids.
MACHINE_PATH = re.compile(r"(?<![\w.\-])/(?:" + "|".join(["work", "root", "home", "Users"]) + r")/\w")
REGISTRY_HOST = re.compile(
    "|".join(
        r"\b" + host + r"\." + top
        for host, top in [
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("crates", "io"),
            ("anaconda", "org"),
            ("anaconda", "com"),
        ]
    )
)


def split(requirement: str) -> tuple[str, str]:
    """'maturin>=1.9.4,<2' -> ('maturin', '>=1.9.4,<2')."""
    name = re.match(r"[A-Za-z0-9_.\-]+", requirement)
    assert name, f"not a requirement: {requirement!r}"
    return name[0], requirement[name.end() :].replace(" ", "")


def conda_dependencies() -> dict[str, str]:
    """The list under ``dependencies:`` in environment.yml, by name."""
    lines = (ROOT / "environment.yml").read_text().partition("\ndependencies:\n")[2].splitlines()
    entries = [line.partition("#")[0].strip().removeprefix("- ") for line in lines]
    return dict(split(entry) for entry in entries if entry)


def test_conda_and_pip_ask_for_the_same_packages() -> None:
    extras = PROJECT["optional-dependencies"]
    pip = dict(split(entry) for entry in [*PROJECT["dependencies"], *extras["dev"]])
    conda = {name: bound for name, bound in conda_dependencies().items() if name not in CONDA_ONLY}
    assert conda == pip


def test_conda_brings_the_same_python_and_rust() -> None:
    conda = conda_dependencies()
    assert conda["python"] == PROJECT["requires-python"]
    assert conda["rust"] == ">=" + CRATE["rust-version"]


def test_dev_holds_the_profilers_and_the_builder_of_the_rust_engine() -> None:
    extras = PROJECT["optional-dependencies"]
    builder = tomllib.loads((ROOT / "rust_ext" / "pyproject.toml").read_text())["build-system"]["requires"]
    assert set(extras["profile"]) | set(builder) <= set(extras["dev"])


def test_one_version_everywhere() -> None:
    source = (ROOT / "hftlab" / "__init__.py").read_text()
    package = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    assert package, "hftlab/__init__.py has no line __version__ = ..."
    version = package[1]
    assert CRATE["version"] == version
    assert PROJECT["optional-dependencies"]["rust"] == [f"hftlab-rust=={version}"]
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def own_files() -> list[Path]:
    """Files git tracks, or would with the next ``git add``."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of tracked files")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("forbidden", [MACHINE_PATH, REGISTRY_HOST], ids=["machine path", "registry host"])
def test_no_file_names_a_machine_or_a_registry(forbidden: re.Pattern[str]) -> None:
    files = [path for path in own_files() if path.name != "Cargo.lock"]
    assert ROOT / "pyproject.toml" in files
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in files
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), start=1)
        if (match := forbidden.search(line))
    ]
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATH.search("File " + "/".join(["", "home", "someone", "x.py"]))
    assert MACHINE_PATH.search("wrote " + "/".join(["", "root", "x"]))
    assert not MACHINE_PATH.search("net/work/x and " + "a.b/home/x")
    assert REGISTRY_HOST.search("https://" + "files.pythonhosted" + ".org/x")
    assert not REGISTRY_HOST.search("hftlab.engine.session in pyproject.toml")
