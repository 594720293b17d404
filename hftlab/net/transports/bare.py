"""The same ping-pong in C, with nothing around it: what our transports are held against, in the same interleaved rounds.

The program, rust_ext/benches/bare/pingpong.c, is in the repository, not in the package. It is compiled with cc when it is first
asked for.
"""

from __future__ import annotations

import atexit
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from hftlab.errors import HftlabError
from hftlab.net.transports.rungs import BARE
from hftlab.net.transports.transports import engine

SOURCE = Path(__file__).resolve().parents[2] / "rust_ext" / "benches" / "bare" / "pingpong.c"
#: Those that are there in C.
NAMES = ("udp-spin", "tcp-spin", "xdp-skb", "xdp-drv")
#: As the Rust engine is built: optimised, for every processor of the architecture.
_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-pthread")
_PRIORITY = 50


def refused() -> str:
    """Why the C program cannot be had here; "" if it can."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return "the C ping-pong reads the time-stamp counter of x86-64"
    if not SOURCE.exists():
        return "the C ping-pong is in the repository, not in the package"
    return "" if shutil.which("cc") else "the C ping-pong needs cc, which is not on PATH"


@cache
def program() -> str:
    """Path of the compiled program. Raises HftlabError with what the compiler says."""
    folder = tempfile.mkdtemp(prefix="hftlab-bare-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, "pingpong")
    done = subprocess.run(["cc", *_FLAGS, "-o", path, str(SOURCE)], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise HftlabError(f"cc: {(done.stderr.strip().splitlines() or ['it failed without a word'])[0]}")
    return path


def programs(names: Iterable[str], seats: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A round in C, by the number of messages, for each of the names that is there in C; and why there is none, a sentence each.

    seats : size (bytes), cores (of the two ends), fifo
    """
    if why := refused():
        return {}, [why]
    made = program()
    return {BARE + name: partial(_round, made, name, dict(seats)) for name in names if name in NAMES}, []


def _round(made: str, name: str, seats: dict[str, Any], messages: int) -> dict[str, Any]:
    """As `hftlab_rust.transport_pingpong`. Raises HftlabError with what the program says."""
    cores = [-1 if core is None else core for core in seats["cores"]]
    priority = _PRIORITY if seats["fifo"] else 0
    words = [name, seats["size"], messages, messages // 20 + 10, *cores, priority]
    done = subprocess.run([made, *map(str, words)], capture_output=True, timeout=30, check=False)
    if done.returncode:
        raise HftlabError(f"{name} in C: {done.stderr.decode().strip() or f'exit code {done.returncode}'}")
    ticks = np.frombuffer(done.stdout, np.uint64).reshape(2, -1)
    trip, there = ticks * _ns_per_tick()
    refused = done.stderr.decode().split("\n")
    return {"round_trip_ns": trip, "there_ns": there, "refused": [text for text in refused if text]}


@cache
def _ns_per_tick() -> float:
    clock = next(clock for clock in engine().clock_info() if clock["name"] == "tsc")
    return float(clock["ns_per_tick"])
