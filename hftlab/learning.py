"""The commands of the course: course (lessons and how far one has come), lab (JupyterLab on the notebooks)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hftlab.errors import ConfigError
from hftlab.measuring import print_json


def course(arguments: argparse.Namespace) -> int:
    """The lessons; --reset begins anew and says where the old progress is."""
    from hftlab.course import progress
    from hftlab.course.lessons import course as lessons

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
    from hftlab.course.lessons import notebooks
    from hftlab.jupyter.lab import start

    folder = Path(arguments.folder) if arguments.folder else notebooks()
    if folder is None:
        raise ConfigError("the notebooks are in the repository, not in the package: name their folder, hftlab lab FOLDER")
    return start(folder, port=arguments.port, browser=arguments.browser, prefix=arguments.prefix)
