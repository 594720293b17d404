"""What the commands of the course accept; options.py has the others."""

from __future__ import annotations

import argparse
import sys


def add_course(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    course = commands.add_parser("course", help="the lessons, their minutes, and what you have passed")
    course.add_argument("--reset", action="store_true", help="begin anew; what was passed is moved aside, not deleted")
    course.add_argument("--json", action="store_true", help="print one JSON object")


def add_lab(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    lab = commands.add_parser("lab", help="open JupyterLab on the course; it needs no network")
    lab.add_argument("folder", metavar="FOLDER", nargs="?", help="of notebooks (default: those of the course)")
    lab.add_argument("--no-browser", dest="browser", action="store_false", help="print the address instead of opening it")
    lab.add_argument("--port", type=int, default=None, help="this port or none (default: 8888 or the next that is free)")
    lab.add_argument(
        "--prefix", metavar="PATH", default=sys.prefix, help="the environment that gets the kernel (default: this one)"
    )
