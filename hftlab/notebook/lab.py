"""JupyterLab on the course: opened on its landing page, with its kernel, and with settings that use no network.

The user's own settings of JupyterLab stay in force; only its windows are stored apart, so that those of another project do not
open here. The kernel "hftlab" of the launcher is this environment's Python with `%load_ext hftlab` done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hftlab.errors import ConfigError, HftlabError, OutputError, check_range
from hftlab.presentation.output import user_folder, write_bytes

SETTINGS = Path(__file__).with_name("settings")
LOGO = Path(__file__).with_name("logo")
LANDING = "index.ipynb"
KERNEL = "hftlab"
#: Not listed in the file browser: text pairs of the notebooks, which authors of lessons open in an editor; temporary files.
HIDDEN = ("[0-9][0-9]_*.py", "index.py", "conftest.py", "__pycache__", "*.pyc", "*~")


def kernel_spec() -> dict[str, Any]:
    """The kernel.json of Jupyter: how the kernel is started, and its name."""
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", f"--ext={KERNEL}"]
    return {"argv": start, "display_name": KERNEL, "language": "python", "metadata": {"debugger": True}}


def install_kernel(prefix: str | Path = sys.prefix) -> Path:
    """Write the kernel and its logo into PREFIX/share/jupyter/kernels/hftlab, unless it is there already.

    raises : OutputError
    """
    folder = Path(prefix) / "share" / "jupyter" / "kernels" / KERNEL
    files = {path.name: path.read_bytes() for path in LOGO.iterdir() if path.name.startswith("logo-")}
    files["kernel.json"] = (json.dumps(kernel_spec(), indent=1) + "\n").encode()
    for name, content in files.items():
        if not (folder / name).is_file() or (folder / name).read_bytes() != content:
            write_bytes(folder / name, content)
    return folder


def command(folder: Path, *, port: int | None = None, browser: bool = True) -> list[str]:
    """The command that starts JupyterLab on a folder: local address only, without news, update checks and extension manager."""
    first = next((name for name in (LANDING, "00_quickstart.ipynb") if (folder / name).is_file()), None)
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1"]
    words += [f"--LabApp.default_url=/lab/tree/{first}"] if first else []
    words += [f"--LabApp.app_settings_dir={SETTINGS}", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly"]
    words += [f"--ContentsManager.hide_globs={name}" for name in HIDDEN]
    words += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    words += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"] if port is not None else []
    words += [] if browser else ["--no-browser"]
    # JupyterLab refuses root, the only user of many containers; here it listens to this machine alone, and asks for a token.
    return [*words, "--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else words


def environment(prefix: str | Path = sys.prefix) -> dict[str, str]:
    """The environment of JupyterLab: windows stored in the user's own folder, and the kernel of `prefix` on the path."""
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
    raises  : ConfigError for a port out of range or a folder that does not exist, HftlabError without JupyterLab
    """
    if port is not None:
        check_range("port", port, 1, 65_535)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: not a folder")
    if not find_spec("jupyterlab"):
        raise HftlabError("JupyterLab is not installed: pip install jupyterlab")
    try:
        install_kernel(prefix)
    except OutputError as error:
        print(f"hftlab: continuing without the kernel: {error}", file=sys.stderr)
    words, variables = command(folder.resolve(), port=port, browser=browser), environment(prefix)
    if os.name != "nt":
        os.execve(words[0], words, variables)
    return subprocess.run(words, env=variables, check=False).returncode
