"""Which clocks there are, and how each is read: the system clocks of Python, the counter and the system clock of Rust."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hftlab.engine.session import Backend, backends, resolve

Stamps = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Calibration:
    """How many ns a tick is, and what that is worth; errors in parts per million (1 ppm is 1 us in a second).

    ns_per_tick : by the clock `against`, over `span_ns`
    bound_ppm   : what the uncertainty of its two moments leaves open
    again_ppm   : a second calibration of the same length, taken now, against the first
    drift_ppm   : the calibrated clock against `against` since the first calibration began, `drift_ns` ago
    """

    ns_per_tick: float
    against: str
    span_ns: int
    bound_ppm: float
    again_ppm: float
    drift_ppm: float
    drift_ns: int


@dataclass(frozen=True)
class Source:
    """A clock that can be read.

    kind        : "counter", "system" or "wall"
    reads       : the call or the instructions a reading is made of
    tick_ns     : what it counts in, as the system or the calibration says
    stamps      : n -> that many readings back to back, in ticks of ns_per_tick
    calibration : None where a tick is a nanosecond by definition
    warning     : what it must not be used for
    """

    name: str
    kind: str
    reads: str
    tick_ns: float
    ns_per_tick: float
    stamps: Callable[[int], Stamps]
    calibration: Calibration | None = None
    warning: str = ""


def python_stamps(clock: Callable[[], int]) -> Callable[[int], Stamps]:
    """A reader of a Python clock that answers in whole ns."""

    def stamps(n: int) -> Stamps:
        out = array("q", bytes(8 * n))
        for i in range(n):
            out[i] = clock()
        return np.frombuffer(out, np.int64)

    return stamps


def python_sources() -> list[Source]:
    """perf_counter_ns, and the wall clock as a warning."""
    clock, wall = time.get_clock_info("perf_counter"), time.get_clock_info("time")
    warning = "it can step, back too, when the date is set: no interval may be taken with it"
    return [
        Source(name, kind, info.implementation, info.resolution * 1e9, 1.0, python_stamps(read), None, warned)
        for name, kind, info, read, warned in (
            ("perf_counter_ns", "system", clock, time.perf_counter_ns, ""),
            ("time_ns", "wall", wall, time.time_ns, warning),
        )
    ]


def rust_sources(backend: Any) -> list[Source]:
    """The clocks of an extension that offers `clock_info` and `clock_stamps`, the best first; none of another engine."""
    if not hasattr(backend, "clock_info"):
        return []
    return [_rust_source(backend, told) for told in backend.clock_info()]


def _rust_source(backend: Any, told: dict[str, Any]) -> Source:
    name, ns_per_tick = told["name"], told["ns_per_tick"]

    def stamps(n: int) -> Stamps:
        return np.asarray(backend.clock_stamps(name, n)).astype(np.int64)

    counter = "against" in told
    names = Calibration.__dataclass_fields__
    calibration = Calibration(**{name: told[name] for name in names}) if counter else None
    return Source(name, "counter" if counter else "system", told["source"], ns_per_tick, ns_per_tick, stamps, calibration)


def every_source() -> list[Source]:
    """All clocks that can be read here: those of the Rust engine where it is installed, then those of Python."""
    rust = [resolve(info.name)[1] for info in backends() if info.available and info.name == "rust"]
    return [*(source for backend in rust for source in rust_sources(backend)), *python_sources()]


def source_of(backend: Backend) -> Source | None:
    """The clock that stamps an engine, if it is one that can be read from here."""
    known = rust_sources(backend)
    if not hasattr(backend, "clock_cost"):  # one that measures itself may read the same clock at another price
        known += python_sources()
    return next((source for source in known if source.name == backend.clock), None)
