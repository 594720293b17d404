"""The noise floor of a machine: spin on the clock, look at the gaps. What is longer than a reading was taken away, by an
interrupt, another process, or the hypervisor. In the manner of sysjitter and of the kernel's hwlat tracer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.session import backends, resolve
from hftlab.errors import ConfigError, check_range
from hftlab.measurement import system
from hftlab.measurement.clock import python_sources
from hftlab.measurement.distribution import PERCENTILES, has_enough_samples
from hftlab.presentation.document import Table, rows_table
from hftlab.presentation.result import StoredResult

#: From this many ns on a gap counts as time lost (a reading is well below, an interrupt is not), and as long.
LOST_NS, LONG_NS = 1_000.0, 10_000.0


@dataclass(frozen=True, repr=False)
class Jitter(StoredResult):
    """The gaps between readings of a spinning clock.

    clock       : which was read, and by whom
    watched_s   : time that was looked at
    gaps        : how many
    percentiles : of the gaps in ns, at most 1/64 too low; None where fewer than 100 gaps lie beyond
    max_ns      : the longest
    long        : gaps of 10 us and more
    lost_s      : time in gaps of 1 us and more
    steal_s     : what the hypervisor says it took meanwhile, over all cores, in steps of 10 ms; None where it says nothing
    """

    schema = "hftlab-jitter/2"
    clock: str
    watched_s: float
    gaps: int
    percentiles: dict[str, float | None]
    max_ns: float
    long: int
    lost_s: float
    steal_s: float | None

    @property
    def long_per_s(self) -> float:
        """Gaps of 10 us and more in a second."""
        return self.long / self.watched_s

    @property
    def lost_share(self) -> float:
        """Share of the time that was lost, 0 to 1."""
        return self.lost_s / self.watched_s

    def derived(self) -> dict[str, Any]:
        return {"long_per_s": self.long_per_s, "lost_share": self.lost_share}

    def records(self) -> list[dict[str, Any]]:
        """One: clock, p50 to p99.99 and max of the gaps in ns, n."""
        return [{"clock": self.clock, **self.percentiles, "max": self.max_ns, "n": self.gaps}]

    def headline(self) -> str:
        return f"{self.clock}, {self.watched_s:.2f} s: {self.summary()}"

    def summary(self) -> str:
        """One line: the longest gap, long ones in a second, and the time lost."""
        often = f"{self.long_per_s:,.0f} a second of 10 us and more"
        return f"longest gap {self.max_ns / 1e3:,.0f} us; {often}; {self.lost_share:.2%} of the time lost"

    def tables(self) -> list[Table]:
        columns = {name: (name, 1.0) for name in ("clock", *self.percentiles, "max", "n")}
        return [rows_table("Gaps between readings of a spinning clock, ns", self.records(), columns)]


def jitter(seconds: float = 1.0, *, engine: str = "auto") -> Jitter:
    """Spin for so long on the core this thread is on (see `hftlab.measurement.affinity.cpu_affinity`).

    seconds : 0.001 to 60
    engine  : "rust" for its clock, "python" for perf_counter_ns, "auto" for the best there is
    raises  : ConfigError for seconds out of range, or an engine without a spin
    """
    check_range("seconds", seconds, 0.001, 60)
    if engine == "auto":
        engine = "rust" if any(info.available for info in backends() if info.name == "rust") else "python"
    spin = _python_spin if engine == "python" else getattr(resolve(engine)[1], "jitter", None)
    if spin is None:
        raise ConfigError(f"backend {engine!r} has no spin; use 'auto', 'python' or 'rust'")
    before = system.steal()
    gaps = spin(seconds, LOST_NS, LONG_NS)
    after = system.steal()
    ns, counts = np.asarray(gaps["ns"], np.float64), np.asarray(gaps["counts"], np.int64)
    return Jitter(
        clock=f"{resolve(engine)[1].clock} in {engine}",
        watched_s=gaps["watched_ns"] / 1e9,
        gaps=int(counts.sum()),
        percentiles=_percentiles(ns, counts),
        max_ns=float(gaps["max_ns"]),
        long=int(gaps["long"]),
        lost_s=gaps["lost_ns"] / 1e9,
        steal_s=after[0] - before[0] if before and after else None,
    )


def _percentiles(ns: np.ndarray[Any, Any], counts: np.ndarray[Any, Any]) -> dict[str, float | None]:
    """Of values that were counted, ascending."""
    below = np.cumsum(counts)
    n = int(below[-1])
    return {
        name: float(ns[np.searchsorted(below, q * n)]) if has_enough_samples(n, q) else None for name, q in PERCENTILES.items()
    }


def _python_spin(seconds: float, lost_ns: float, long_ns: float) -> dict[str, Any]:
    """The same in Python: stretches of readings, counted between the stretches, which are not watched."""
    stamps, counts = python_sources()[0].stamps, Counter[int]()
    watched, end = 0, perf_counter_ns() + int(seconds * 1e9)
    while perf_counter_ns() < end:
        gaps = np.diff(stamps(20_000))
        watched += int(gaps.sum())
        counts.update(dict(zip(*(each.tolist() for each in np.unique(gaps, return_counts=True)), strict=True)))
    ns = sorted(counts)
    return {
        "ns": ns,
        "counts": [counts[value] for value in ns],
        "watched_ns": watched,
        "lost_ns": sum(value * counts[value] for value in ns if value >= lost_ns),
        "long": sum(counts[value] for value in ns if value >= long_ns),
        "max_ns": ns[-1],
    }
