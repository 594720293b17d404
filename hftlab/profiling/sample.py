"""sample: where the time is seen when one looks now and then, by py-spy at a process of its own; Rust functions as well."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.presentation.progress import track
from hftlab.profiling import child
from hftlab.profiling.passes import is_python, opened
from hftlab.profiling.result import Found, Missing, Row
from hftlab.profiling.stacks import Call, Node, grow, rectangles
from hftlab.profiling.where import Places, program, short

if TYPE_CHECKING:
    from hftlab.profiling.result import Profile

MESSAGES = {"python": 20_000, "rust": 200_000}
COLUMNS: dict[str, type] = {
    "stack": str,
    "depth": int,
    "name": str,
    "file": str,
    "stage": str,
    "samples": int,
    "own": int,
    "share": float,
    "own_share": float,
}
SECONDS = 1.5
RATE = 400  # looks per second

_FRAME = re.compile(r"^(?P<name>.*) \((?P<file>.*?)(?::\d+)?\)$")
_HASH = re.compile(r"^h[0-9a-f]{16}$")
_LOOP = re.compile(r"^loop \(.*profiling/child\.py(:\d+)?\)$")


def look(engine: Engine, feed: Feed) -> Found:
    """Loop for a second and a half in a child, with native frames where the system lets py-spy read them.

    raises : Missing without py-spy, where it is not allowed to look, or if the engine cannot be sent to a child
    """
    spy = program("py-spy")
    compiled = not is_python(opened(engine, feed)[1])
    with child.job(engine, feed) as folder:
        native, raw, why = True, "", ""
        for native in track((True, False) if compiled else (False,), f"sampling {engine.label}"):
            raw, why = _record(spy, folder, native)
            if raw:
                break
    if not raw:
        raise Missing(f"py-spy could not look at the engine in a process of its own: {why}")
    stacks = parse(raw, Places(engine))
    if not stacks:
        raise Missing("py-spy did not once see the engine at work")
    root = grow(stacks, Call("the engine's passes", "engine"))
    notes = [f"{root.value:,.0f} samples at {RATE} a second; a share of 1 % is uncertain by about {_error(root.value):.1%}"]
    if compiled and not native:
        notes.append(f"without native frames, which py-spy could not read here: {why}")
    return Found(_rows(root), notes, rectangles(root))


def _record(spy: str, folder: Path, native: bool) -> tuple[str, str]:
    """Collapsed stacks, or what py-spy said instead."""
    out = folder / "raw"
    words = ["record", "--format", "raw", "--full-filenames", "--function", "--rate", str(RATE), "--output", str(out)]
    command = [spy, *words, *(["--native"] if native else []), "--", *child.command("loop", folder, str(SECONDS))]
    said = child.run(command)
    if (folder / "ran").is_file() and out.is_file() and (raw := out.read_text(errors="replace")):
        out.unlink()
        return raw, ""
    return "", said[-1].removeprefix("Reason: ")


def parse(raw: str, places: Places) -> list[tuple[list[Call], int]]:
    """The stacks below the loop of the child: importing and starting are no part of the engine."""
    out = []
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = stack.split(";")
        start = next((at for at, frame in enumerate(frames) if _LOOP.match(frame)), None)
        if start is not None and samples.isdigit():
            out.append(([_call(frame, places) for frame in frames[start + 1 :]], int(samples)))
    return out


def _call(frame: str, places: Places) -> Call:
    found = _FRAME.match(frame)
    name, file = (found["name"], short(found["file"])) if found else (frame, "")
    name = bare(name) if file.endswith(".rs") or "::" in name else name.rpartition("<locals>.")[2]
    return Call(name, places.stage(file, name), file)


def bare(name: str) -> str:
    """A Rust function without its path, its type parameters and the hash behind it."""
    out, depth = "", 0
    for letter in name:
        if letter == "<":
            depth += 1
        elif letter == ">" and depth:
            depth -= 1
        elif not depth:
            out += letter
    words = [word for word in out.split("::") if word and not _HASH.match(word)]
    return "::".join(words[-2:] if words and words[-1].startswith("{") else words[-1:]) or name


def _error(samples: float) -> float:
    return float((0.01 * 0.99 / max(samples, 1)) ** 0.5)


def _rows(root: Node) -> list[Row]:
    rows = []
    for stack, node in root.walk():
        call, whole = node.call, root.value
        found = (";".join(stack), len(stack) - 1, call.name, call.file, call.stage, int(node.value), int(node.own))
        rows.append(dict(zip(COLUMNS, (*found, node.value / whole, node.own / whole), strict=True)))
    return sorted(rows, key=lambda row: -row["own"])


def chart(profile: Profile) -> Any:
    """An icicle of the samples."""
    from hftlab.charts import icicle_chart

    return icicle_chart(profile.tree, "Where the time is seen", profile.subtitle(), "share of the samples")
