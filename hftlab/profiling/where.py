"""Where a piece of code stands: its file as a reader knows it, never as this machine does, and the stage it belongs to."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from hftlab.engine.engine import Engine
from hftlab.profiling.result import Missing, Row
from hftlab.stages.protocols import Factory, label

PACKAGE = Path(__file__).resolve().parent.parent
BUILT_IN = "built-in"
#: In the order of the path; whatever is none of ours comes last.
STAGES = ("tick", "book", "signal", "order", "engine", "other")
_STEMS = {
    "tick": "tick frames itch",
    "book": "book store levels orders pool pages ahead prefetch btree sorted ladder far grid std fast flat boxed slab",
    "signal": "signal incremental recompute",
    "order": "order",
    "engine": "engine replay session runner py run record",
}
_STAGE_OF = {stem: stage for stage, stems in _STEMS.items() for stem in stems.split()}


def short(path: str) -> str:
    """A file by its place in hftlab, in the Rust engine, in a library; its bare name anywhere else."""
    if path in ("~", ""):
        return BUILT_IN
    if path.startswith("<"):
        return path
    place = Path(path)
    if place.is_relative_to(PACKAGE):
        return place.relative_to(PACKAGE).as_posix()
    if any(part.startswith("ipykernel_") for part in place.parts):
        return "notebook"
    for mark, keep in (("rust_ext/src/", "rust_ext/src/"), ("/site-packages/", ""), (f"/python3.{sys.version_info[1]}/", "")):
        if mark in place.as_posix():
            return keep + place.as_posix().partition(mark)[2]
    return place.name


def is_ours(file: str) -> bool:
    """Whether a short name is one of hftlab's own files."""
    return file.startswith("rust_ext/src/") or (PACKAGE / file).is_file()


def _home(factory: Factory) -> str:
    """The file that somebody's own stage is written in."""
    module = sys.modules.get(getattr(factory, "__module__", ""))
    return short(getattr(module, "__file__", None) or "notebook")


class Places:
    """The stages of one engine: ours by their files, somebody's own by their classes, or by a file that holds but one."""

    def __init__(self, engine: Engine) -> None:
        self.own = {label(made): "order" if stage == "entry" else stage for stage, made in engine.stages.items()}
        homes = [_home(made) for made in engine.stages.values()]
        # A file that holds two of them says nothing about what else is in it.
        self.homes = {home: stage for home, stage in zip(homes, self.own.values(), strict=False) if homes.count(home) == 1}

    def stage(self, file: str, name: str) -> str:
        """The stage of a function (its qualified name) in a file (as `short` gives it)."""
        if owner := self.own.get(name.partition(".")[0]):
            return owner
        return _STAGE_OF.get(Path(file).stem, "other") if is_ours(file) else self.homes.get(file, "other")


def shares(how: str, rows: Sequence[Row], tree: Sequence[Row]) -> dict[str, float]:
    """Share of the whole by stage, see `Profile.by_stage`; stages that take nothing are left out."""
    if tree:  # in which built-in functions stand below who called them
        parts = [(row["stage"], row["own"]) for row in tree]
    elif how == "line":
        parts = [(row["stage"], row["ns"]) for row in rows if not row["calls"]]
    elif how == "memory":
        parts = [(row["stage"], row["allocations_per_message"] or 0.0) for row in rows if row["kind"] == "stage"]
    else:
        parts = [(row["stage"], row["per_message"]) for row in rows if row.get("event") == "instructions" and "stage" in row]
    whole = sum(value for _, value in parts) or 1.0
    found = {name: sum(value for stage, value in parts if stage == name) / whole for name in STAGES}
    return {name: share for name, share in found.items() if share > 0}


def program(name: str) -> str:
    """The path of a program, on PATH or beside the interpreter.

    raises : Missing
    """
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if beside.is_file() else None)
    if found is None:
        raise Missing(f"there is no {name} here")
    return found
