"""sample: stacks of a running engine at a fixed rate, by py-spy at a process of its own; Rust functions as well."""

from __future__ import annotations

import re
from pathlib import Path

from hftlab.engine.engine import Engine
from hftlab.feeds.feed import Feed
from hftlab.presentation.progress import track
from hftlab.profiling.calls import Node, rectangles, tree_of
from hftlab.profiling.locations import RUST, Call, Locations
from hftlab.profiling.passes import child, is_python, job, open_session, program, run_tool
from hftlab.profiling.result import Observation, Row, Unavailable, row_of

SECONDS = 1.5
RATE = 400  # samples per second

_FRAME = re.compile(r"^(.*) \((.*?)(?::\d+)?\)$")
_HASH = re.compile(r"^h[0-9a-f]{16}$")
_LOOP = re.compile(r"^loop \(.*profiling/passes\.py(:\d+)?\)$")


def by_sample(engine: Engine, feed: Feed) -> Observation:
    """Passes for a second and a half in a child, with native frames where the system lets py-spy read them.

    raises : Unavailable without py-spy, where it may not look, or if the engine cannot be sent to a child
    """
    py_spy = program("py-spy")
    compiled = not is_python(open_session(engine, feed)[1])
    with job(engine, feed) as folder:
        native, raw, reason = True, "", ""
        for native in track((True, False) if compiled else (False,), f"sampling {engine.label}"):
            raw, reason = _record(py_spy, folder, native)
            if raw:
                break
    if not raw:
        raise Unavailable(f"py-spy could not look at the engine in a process of its own: {reason}")
    root = tree_of(parse(raw, Locations(engine)), Call("passes of the engine", "engine"))
    if not root.value:
        raise Unavailable("py-spy took no sample of the engine")
    error = (0.01 * 0.99 / root.value) ** 0.5
    remarks = [f"{root.value:,.0f} samples at {RATE} a second; a share of 1 % is uncertain by about {error:.1%}"]
    if compiled and not native:
        remarks.append(f"without native frames, which py-spy could not read here: {reason}")
    return Observation(_rows(root), remarks, rectangles(root))


def _record(py_spy: str, folder: Path, native: bool) -> tuple[str, str]:
    """(collapsed stacks, ""), or ("", the reason of py-spy)."""
    out = folder / "raw"
    words = ["record", "--format", "raw", "--full-filenames", "--function", "--rate", str(RATE), "--output", str(out)]
    command = [py_spy, *words, *(["--native"] if native else []), "--", *child("loop", folder, str(SECONDS))]
    lines = run_tool(command)
    if (folder / "ran").is_file() and out.is_file() and (raw := out.read_text(errors="replace")):
        out.unlink()
        return raw, ""
    return "", lines[-1].removeprefix("Reason: ")


def parse(raw: str, locations: Locations) -> list[tuple[list[Call], int]]:
    """The stacks below the loop of the child with their samples: importing and starting are no part of the engine."""
    out = []
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = stack.split(";")
        start = next((at for at, frame in enumerate(frames) if _LOOP.match(frame)), None)
        if start is not None and samples.isdigit():
            out.append(([_call(frame, locations) for frame in frames[start + 1 :]], int(samples)))
    return out


def _call(frame: str, locations: Locations) -> Call:
    match = _FRAME.match(frame)
    name, file = match.groups() if match else (frame, "")
    return locations.call(rust_name(name) if RUST in file or "::" in name else name, file)


def rust_name(name: str) -> str:
    """A Rust function without its path, its type parameters and its hash."""
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


def _rows(root: Node) -> list[Row]:
    rows = [
        row_of(
            "sample", ";".join(stack), len(stack) - 1, node.call.name, node.call.file, node.call.stage,
            int(node.value), int(node.own), node.value / root.value, node.own / root.value,
        )
        for stack, node in root.walk()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row["own"])
