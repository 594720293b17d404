"""Locations of code: a file as a reader knows it, without the paths of this machine, and the stage it belongs to."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from hftlab.engine.engine import Engine
from hftlab.stages.interfaces import Factory, label

PACKAGE = Path(__file__).resolve().parent.parent
RUST = "rust_ext/src/"
BUILT_IN = "built-in"
#: First name in rust_ext/src (a folder, or a file without its ending) -> stage. What is not named here belongs to the engine.
RUST_STAGES = {
    "event": "tick", "itch": "tick", "frames": "tick",
    "book": "book", "reserved": "book",
    "signal": "signal", "order": "order",
    "synthetic": "other", "net": "other", "protocols": "other",
}  # fmt: skip


def short_path(path: str) -> str:
    """A file by its place in hftlab, in the Rust engine or in a library; its bare name anywhere else."""
    if not path:
        return BUILT_IN
    if path.startswith("<"):
        return path
    place = Path(path)
    if place.is_relative_to(PACKAGE):
        return place.relative_to(PACKAGE).as_posix()
    if any(part.startswith("ipykernel_") for part in place.parts):
        return "notebook"
    for mark, keep in ((RUST, RUST), ("/site-packages/", ""), (f"/python3.{sys.version_info[1]}/", "")):
        if mark in place.as_posix():
            return keep + place.as_posix().partition(mark)[2]
    return place.name


def stage_of_file(file: str) -> str:
    """The stage of one of hftlab's own files (as `short_path` gives it); "other" for any other file.

    Rust: by the first name below rust_ext/src. Python: hftlab/stages/NAME.py is a stage, hftlab/feeds and hftlab/protocols are
    read by tick, hftlab/engine is the engine.
    """
    if file.startswith(RUST):
        return RUST_STAGES.get(file.removeprefix(RUST).partition("/")[0].removesuffix(".rs"), "engine")
    if not (PACKAGE / file).is_file():
        return "other"
    folder, _, name = file.rpartition("/")
    if folder == "stages":
        stage = name.removesuffix(".py")
        return stage if stage in ("tick", "book", "signal", "order") else "engine"
    return {"feeds": "tick", "protocols": "tick", "engine": "engine"}.get(folder.partition("/")[0], "other")


@dataclass(frozen=True)
class Call:
    """A function as it stands in a stack."""

    name: str
    stage: str
    file: str = ""


class Locations:
    """The stages of one engine: hftlab's own by their files, a user's by their classes, or by a file that holds only one."""

    def __init__(self, engine: Engine) -> None:
        self.classes = {label(factory): stage for stage, factory in engine.stages.items()}
        files = [_file_of(factory) for factory in engine.stages.values()]
        stages = zip(files, self.classes.values(), strict=False)
        self.files = {file: stage for file, stage in stages if files.count(file) == 1}

    def stage(self, file: str, name: str) -> str:
        """The stage of a function (its qualified name) in a file (as `short_path` gives it)."""
        if stage := self.classes.get(name.partition(".")[0]):
            return stage
        return self.files.get(file) or stage_of_file(file)

    def call(self, name: str, path: str) -> Call:
        """A function by its name, qualified or not, and the path of its file."""
        name, file = name.rpartition("<locals>.")[2], short_path(path)
        return Call(name, self.stage(file, name), file)


def _file_of(factory: Factory) -> str:
    """The file that a user's stage is written in."""
    module = sys.modules.get(getattr(factory, "__module__", ""))
    return short_path(getattr(module, "__file__", None) or "notebook")
