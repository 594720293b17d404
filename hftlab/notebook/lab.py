"""JupyterLab on the course: opened on its landing page, with settings that ask nobody outside of this machine for anything.

What the user has chosen in JupyterLab itself stays in force; only its windows are kept apart, so that those of another project
do not open here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from hftlab.errors import ConfigError, HftlabError
from hftlab.measurement.storage import user_folder
from hftlab.notebook import kernel

SETTINGS = Path(__file__).with_name("settings")
LANDING = "index.ipynb"
#: Not listed in the file browser: text pairs of the notebooks, which whoever writes lessons opens in an editor; litter.
HIDDEN = ("[0-9][0-9]_*.py", "index.py", "conftest.py", "__pycache__", "*.pyc", "*~")


def command(folder: Path, *, port: int | None = None, browser: bool = True) -> list[str]:
    """How JupyterLab is started on a folder: on this machine alone, without news, update checks and an extension shop."""
    first = next((name for name in (LANDING, "00_quickstart.ipynb") if (folder / name).is_file()), None)
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1"]
    words += [f"--LabApp.default_url=/lab/tree/{first}"] if first else []
    words += [f"--LabApp.app_settings_dir={SETTINGS}", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly"]
    words += [f"--ContentsManager.hide_globs={name}" for name in HIDDEN]
    words += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    words += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"] if port is not None else []
    words += [] if browser else ["--no-browser"]
    # JupyterLab refuses root, who is the only user of many a container; it listens to this machine alone, and asks for a token.
    return [*words, "--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else words


def environment(prefix: str | Path = sys.prefix) -> dict[str, str]:
    """The environment to start it in: windows in the user's own folder, and the kernel of `prefix` found."""
    out = {**os.environ, "JUPYTERLAB_WORKSPACES_DIR": str(user_folder() / "lab" / "workspaces")}
    if Path(prefix) != Path(sys.prefix):
        paths = [str(Path(prefix) / "share" / "jupyter"), os.environ.get("JUPYTER_PATH", "")]
        out["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    return out


def start(folder: Path, *, port: int | None = None, browser: bool = True, prefix: str | Path = sys.prefix) -> int:
    """Register the kernel, then become JupyterLab; the exit code where a process cannot become another (Windows).

    port    : this one or none; default 8888 or the next that is free
    browser : open the address, instead of printing it alone
    prefix  : the environment that gets the kernel
    raises  : ConfigError for a port out of range or a folder that is none, HftlabError without JupyterLab
    """
    if port is not None and not 1 <= port <= 65_535:
        raise ConfigError(f"port is {port}; allowed is 1 to 65,535")
    if not folder.is_dir():
        raise ConfigError(f"{folder}: this is not a folder")
    if not find_spec("jupyterlab"):
        raise HftlabError("JupyterLab is not installed: pip install jupyterlab")
    try:
        kernel.install(prefix)
    except HftlabError as error:
        print(f"hftlab: going on without it: {error}", file=sys.stderr)
    words, around = command(folder.resolve(), port=port, browser=browser), environment(prefix)
    if os.name != "nt":
        os.execve(words[0], words, around)
    return subprocess.run(words, env=around, check=False).returncode
