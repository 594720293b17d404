"""The commands of the course: course (lessons and how far one has come), lab (JupyterLab on the notebooks)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import hftlab
from hftlab.cli.measuring import print_json
from hftlab.errors import ConfigError


def _find_course() -> Path | None:
    """The folder of the notebooks, with `course` importable from it: beside the package, or where the caller stands or above."""
    here = Path.cwd()
    for folder in (Path(hftlab.__file__).parent.parent, here, *here.parents):
        for notebooks in (folder / "notebooks", folder):
            if (notebooks / "course" / "exercise.py").is_file():
                if str(notebooks) not in sys.path:
                    sys.path.append(str(notebooks))
                return notebooks
    return None


def _require_course() -> Path:
    if (folder := _find_course()) is None:
        raise ConfigError("the course is in the repository, not in the package: run this command from a checkout of it")
    return folder


def course(arguments: argparse.Namespace) -> int:
    """The lessons; --reset begins anew and says where the old progress is."""
    _require_course()
    from course import progress
    from course.lessons import course as lessons

    if arguments.reset:
        aside = progress.reset()
        print(f"moved to {aside}; nothing is passed now" if aside else "there was nothing to forget", file=sys.stderr)
    found = lessons()
    if arguments.json:
        print_json(found.to_dict())
    else:
        print(found)
    return 0


def lab(arguments: argparse.Namespace) -> int:
    """JupyterLab in place of this process."""
    from hftlab.notebook.lab import start

    folder = Path(arguments.folder) if arguments.folder else _find_course()
    if folder is None:
        raise ConfigError("the notebooks are in the repository, not in the package: name their folder, hftlab lab FOLDER")
    return start(folder, port=arguments.port, browser=arguments.browser, prefix=arguments.prefix)
