"""The commands of the course: course (the lessons, and which are passed), lab (JupyterLab on the notebooks)."""

from __future__ import annotations

import sys
from pathlib import Path

import hftlab
from hftlab.cli.options import Action, Given, Options, show
from hftlab.errors import ConfigError


def course(options: Options) -> Action:
    """List the lessons, their minutes, and what you have passed."""
    options.add("--reset", action="store_true", help="begin anew; what was passed is moved aside, not deleted")
    options.json()
    return _course


def _course(given: Given) -> int:
    if find_course() is None:
        raise ConfigError("the course is in the repository, not in the package: run this command from a checkout of it")
    from course import progress
    from course.lessons import course

    if given.reset:
        aside = progress.reset()
        print(f"moved to {aside}; nothing is passed now" if aside else "there was nothing to forget", file=sys.stderr)
    return show(course(), given)


def lab(options: Options) -> Action:
    """Open JupyterLab on the course; it needs no network."""
    from hftlab.notebook.lab import start

    options.add("folder", metavar="FOLDER", nargs="?", help="of notebooks (default: those of the course)")
    options.of(start, but="folder", prefix=None)

    def act(given: Given) -> int:
        folder = Path(given.folder) if given.folder else find_course()
        if folder is None:
            raise ConfigError("the notebooks are in the repository, not in the package: name their folder, hftlab lab FOLDER")
        return int(given.call(start, folder=folder))

    return act


def find_course() -> Path | None:
    """The folder of the notebooks, with `course` importable from it: beside the package, or where the caller stands or above."""
    here = Path.cwd()
    for folder in (Path(hftlab.__file__).parent.parent, here, *here.parents):
        for notebooks in (folder / "notebooks", folder):
            if (notebooks / "course" / "exercise.py").is_file():
                if str(notebooks) not in sys.path:
                    sys.path.append(str(notebooks))
                return notebooks
    return None
