"""The soak: the same messages again and again through one session, under load, for as long as one likes.

A pass ends with an empty book (`hftlab.loadtest.feeds.repeatable`), so after each the engine must have the memory it had before.
Its kill switch is set: orders are decided and refused by risk, since what a run keeps of the orders it sends would grow by
design. Every sample holds the latencies of some passes, the memory of the process and of the engine, and what was allocated;
`soaked.py` judges them. Ctrl-C ends it early, and what was seen by then is the result.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from hftlab.callable_module import make_callable
from hftlab.engine.engine import synthetic
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.loadtest.feeds import repeatable
from hftlab.loadtest.schedule import Times, due_at
from hftlab.loadtest.soaked import Soak
from hftlab.loadtest.target import Calls, Driven, EngineTarget, Line, Target, Work
from hftlab.loadtest.targets import FEWEST, flat_out, targets_of
from hftlab.measurement import system
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import gc_paused

LONGEST_S = 7 * 86_400
_SAMPLES = 120  # of a soak of any length
_SHORTEST_S = 0.05  # a sample
_FLAT_OUT_S = 0.1


def soak(
    target: Any = "auto",
    feed: Feed | None = None,
    *,
    seconds: float = 120.0,
    load: float = 0.5,
    messages: int = 20_000,
    seed: int = 1,
) -> Soak:
    """Soak one target.

    target   : as for `hftlab.loadtest.sweep`; default the default engine
    seconds  : 0.1 to a week
    load     : share of what it does flat out, above 0 and at most 0.95, evenly spaced
    messages : of a pass, at most; fewer where a sample has no time for so many
    raises   : ConfigError; HftlabError for an engine that differs from the reference, or a debug build
    """
    if not 0.1 <= seconds <= LONGEST_S or not 0 < load <= 0.95 or messages < FEWEST:
        raise ConfigError(
            f"a soak of {seconds} s at a load of {load}, {messages} messages a pass; "
            f"allowed are 0.1 to {LONGEST_S} s, above 0 to 0.95, and {FEWEST} or more"
        )
    work = Work.of(synthetic("calm", messages, seed) if feed is None else feed, 0, messages)
    (found,) = targets_of([target], work)
    with gc_paused():
        rate = load * flat_out(found, work, 3, _FLAT_OUT_S)
    pieces = work.calls.head(max(FEWEST, int(rate * _sample_s(seconds))))
    calls = Calls.of(repeatable(pieces.data))
    return _Soaking(_killed(found), calls, due_at(len(calls), rate, "even")).run(seconds, work.name, rate, load)


def _sample_s(seconds: float) -> float:
    """How long a sample of a soak of so many seconds is."""
    return max(_SHORTEST_S, seconds / _SAMPLES)


def _killed(target: Target) -> Target:
    """An engine with its kill switch set; any other target as it is."""
    if not isinstance(target, EngineTarget):
        return target
    risk = replace(target.engine.settings().risk_config, kill=True)
    return EngineTarget(target.engine.replace(risk_config=risk), target.label)


class _Soaking:
    """Passes of one target on one line, and the samples so far."""

    def __init__(self, target: Target, calls: Calls, due: Times) -> None:
        self.label, self.line, self.calls, self.due = target.label, target.open(), calls, due
        self.asked = _allocations(target)
        self.samples: list[dict[str, Any]] = []
        self.messages = 0

    def run(self, seconds: float, feed: str, rate: float, load: float) -> Soak:
        interrupted, begin = False, perf_counter()
        gc.collect()
        gc.freeze()  # what was there before need not be looked through after every sample
        try:
            while perf_counter() - begin < seconds:
                self.samples.append(self._sample(begin, _sample_s(seconds)))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            gc.unfreeze()
        return Soak(self.label, feed, rate, load, seconds, interrupted, fingerprint(), tuple(self.samples))

    def _sample(self, begin: float, seconds: float) -> dict[str, Any]:
        """Passes for so long, and what is there after them."""
        runs: list[Driven] = []
        with gc_paused():  # which collects first: what is left of the sample before is not of this one
            end, asked = perf_counter() + seconds, self.asked()
            while not runs or perf_counter() < end:
                runs.append(self.line.drive(self.calls, self.due))
        allocations = None if asked is None else (self.asked() or 0) - asked
        messages = len(runs) * len(self.calls)
        self.messages += messages
        service, response = (np.concatenate([getattr(run, time) for run in runs]) for time in ("service", "response"))
        p50, p99 = np.quantile(service, [0.5, 0.99])
        return {
            "at_s": perf_counter() - begin,
            "messages": self.messages,
            "passes": len(runs),
            "rss_bytes": rss_bytes(),
            **_memory(self.line),
            "heap_blocks": getattr(sys, "getallocatedblocks", lambda: None)(),
            "allocations": None if allocations is None else allocations / messages,
            "service_p50": float(p50),
            "service_p99": float(p99),
            "response_p50": float(np.quantile(response, 0.5)),
            "response_p99": float(np.quantile(response, 0.99)),
            "response_max": float(response.max()),
        }


def _memory(line: Line) -> dict[str, int]:
    """Of the engine itself, between two passes."""
    result = line.counters()
    memory = result["memory"]
    size = memory.get("order_bytes", 0) + memory.get("level_bytes", 0)
    return {"engine_bytes": size, "live_orders": memory.get("live_orders", 0), "faults": int(sum(result["faults"]))}


def _allocations(target: Target) -> Callable[[], int | None]:
    """A reader of how often an engine has asked its heap; one that always says None where it does not count."""
    backend = target.engine.implementation if isinstance(target, EngineTarget) else None
    counter = getattr(backend, "allocations", None)
    return (lambda: int(counter()[0])) if counter else (lambda: None)


def rss_bytes() -> int | None:
    """Memory of this process that is in RAM; None where the system does not tell."""
    pages = system.read("proc/self/statm").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else None


make_callable(__name__)
