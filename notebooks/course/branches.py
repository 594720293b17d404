"""What a branch costs that the processor foresees, and one that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course.latency_map import PROBES
from course.rust_function import RustFunction
from hftlab.measurement import system
from hftlab.measurement.affinity import cpu_affinity

if TYPE_CHECKING:
    import polars as pl

PERIODS = (1, *(2**power for power in range(4, 18)))  # turns until they repeat
WRONG = 0.5  # share of random turns that nobody can foresee


def branches() -> pl.DataFrame:
    """Columns x (turns until they repeat), y (ns for a branch with its turn of the loop), series; one core, in Rust.

    raises : BackendMissing without a compiler
    """
    import polars as pl

    probe = RustFunction(PROBES.read_text(), "probe")
    with cpu_affinity(max(system.affinity())):
        costs = [probe(b"B" + period.to_bytes(8, "little")) / 1e3 for period in PERIODS]
    return pl.DataFrame({"series": ["one branch"] * len(costs), "x": PERIODS, "y": costs})


def mispredicted_ns(frame: pl.DataFrame) -> float:
    """What a wrong guess costs, ns: the longest pattern against one turn repeated, by the share of turns guessed wrong."""
    return float(frame["y"][-1] - frame["y"][0]) / WRONG


def remembered(frame: pl.DataFrame) -> int:
    """The longest pattern whose turns cost less than half of what a pattern does that nobody remembers."""
    low, high = float(frame["y"].min()), float(frame["y"][-1])  # type: ignore[arg-type]
    return int(frame.filter(frame["y"] < (low + high) / 2)["x"].max())  # type: ignore[arg-type]
