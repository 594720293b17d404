"""The kernel "hftlab" of JupyterLab's launcher: this environment's Python, with `%load_ext hftlab` done already."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hftlab.errors import HftlabError

NAME = "hftlab"
LOGO = Path(__file__).with_name("logo")


def spec() -> dict[str, Any]:
    """What Jupyter is told: how the kernel is started, and what it is called."""
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--ext=hftlab"]
    return {"argv": start, "display_name": "hftlab", "language": "python", "metadata": {"debugger": True}}


def install(prefix: str | Path = sys.prefix) -> Path:
    """Write the kernel and its logo into PREFIX/share/jupyter/kernels/hftlab, if it is not there as it should be.

    raises : HftlabError if it cannot be written
    """
    folder = Path(prefix) / "share" / "jupyter" / "kernels" / NAME
    wanted = {path.name: path.read_bytes() for path in LOGO.iterdir() if path.name.startswith("logo-")}
    wanted["kernel.json"] = (json.dumps(spec(), indent=1) + "\n").encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in wanted.items():
            if not (folder / name).is_file() or (folder / name).read_bytes() != content:
                (folder / name).write_bytes(content)
    except OSError as error:
        raise HftlabError(f"{folder}: the kernel cannot be written: {error.strerror or error}") from None
    return folder
