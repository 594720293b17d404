"""Does JupyterLab start on the course as it should: alone on this machine, with its kernel and logo, or say why not?"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

from hftlab.charts.base import png_size
from hftlab.cli.main import main
from hftlab.errors import ConfigError, HftlabError
from hftlab.notebook import lab as starter

ROOT = Path(__file__).resolve().parents[2]


def test_the_kernel_is_written_once_with_its_logo_and_jupyter_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = starter.install_kernel(tmp_path)
    assert folder == tmp_path / "share/jupyter/kernels/hftlab"
    spec = json.loads((folder / "kernel.json").read_text())
    assert (spec["argv"][0], spec["language"]) == (sys.executable, "python")
    assert "--ext=hftlab" in spec["argv"]
    assert {path.name for path in folder.iterdir()} == {"kernel.json", "logo-svg.svg", "logo-32x32.png", "logo-64x64.png"}
    assert [png_size((folder / f"logo-{size}x{size}.png").read_bytes()) for size in (32, 64)] == [(32, 32), (64, 64)]
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    starter.install_kernel(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    (folder / "kernel.json").write_text("{}")
    starter.install_kernel(tmp_path)
    assert json.loads((folder / "kernel.json").read_text()) == spec
    from jupyter_client.kernelspec import KernelSpecManager

    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    assert KernelSpecManager().get_kernel_spec("hftlab").display_name == "hftlab"


def test_jupyterlab_uses_no_network(tmp_path: Path) -> None:
    words = starter.command(tmp_path, browser=False)
    for word in (
        "--ServerApp.ip=127.0.0.1",
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        f"--LabApp.app_settings_dir={starter.SETTINGS}",
        "--no-browser",
    ):
        assert word in words
    overrides = json.loads((starter.SETTINGS / "overrides.json").read_text())
    assert overrides["@jupyterlab/apputils-extension:notification"] == {"fetchNews": "false", "checkForUpdates": False}
    assert overrides["@jupyterlab/extensionmanager-extension:plugin"] == {"enabled": False}


def test_it_opens_the_landing_page_where_there_is_one(tmp_path: Path) -> None:
    assert not [word for word in starter.command(tmp_path) if "default_url" in word]
    (tmp_path / "00_quickstart.ipynb").touch()
    assert "--LabApp.default_url=/lab/tree/00_quickstart.ipynb" in starter.command(tmp_path)
    (tmp_path / "index.ipynb").touch()
    assert "--LabApp.default_url=/lab/tree/index.ipynb" in starter.command(tmp_path)
    assert "--no-browser" not in starter.command(tmp_path)
    assert {"--ServerApp.port=9000", "--ServerApp.port_retries=0"} <= set(starter.command(tmp_path, port=9000))


def test_its_windows_are_stored_apart(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", "mine")
    assert starter.environment()["JUPYTERLAB_WORKSPACES_DIR"] == str(home / "lab" / "workspaces")
    assert starter.environment()["JUPYTER_PATH"] == "mine"
    other = starter.environment(tmp_path)["JUPYTER_PATH"].split(os.pathsep)
    assert other == [str(tmp_path / "share" / "jupyter"), "mine"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--port", "0"], "port must be between 1 and 65,535, got 0"),
        (["--port", "70000"], "got 70000"),
        (["no-such-folder"], "no-such-folder: not a folder"),
    ],
)
def test_bad_words_are_a_sentence(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = [] if words[0].startswith("no-") else [str(ROOT / "tests")]
    assert main(["lab", *folder, *words]) == 2
    assert expected in capsys.readouterr().err


def test_without_jupyterlab_or_notebooks_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(starter, "find_spec", lambda name: None if name == "jupyterlab" else find(name))
    with pytest.raises(HftlabError, match="JupyterLab is not installed"):
        starter.start(tmp_path)
    monkeypatch.setattr("course.lessons.notebooks", lambda: None)
    assert main(["lab"]) == 2
    with pytest.raises(ConfigError, match="not a folder"):
        starter.start(tmp_path / "nowhere")


def test_jupyterlab_starts_without_a_kernel_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = []
    monkeypatch.setattr(os, "execve", lambda *words: started.append(words))
    monkeypatch.setattr(starter.subprocess, "run", lambda *words, **more: type("Done", (), {"returncode": 0}))
    (tmp_path / "share").write_text("a file in the way")
    starter.start(tmp_path, browser=False, prefix=tmp_path)
    assert started
    assert "continuing without the kernel" in capsys.readouterr().err
