"""Which targets are put under load, and that they are right before any clock starts."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.resolve import as_engine
from hftlab.engine.session import backends
from hftlab.errors import ConfigError
from hftlab.feeds.itch import ItchFeed
from hftlab.loadtest.over import OverTarget
from hftlab.loadtest.target import Driven, EngineTarget, Target, Work
from hftlab.measurement.preconditions import require_parity

#: Messages on which engines must agree with the reference before they are put under load.
PREFIX = 5_000
FIRST, FEWEST = 300, 100  # calls


def every_engine() -> list[str]:
    """The engines that come with hftlab and are there, the reference first."""
    return [info.name for info in backends() if info.available and info.name in ("python", "rust")]


def targets_of(given: Iterable[Any] | None, work: Work | None = None) -> list[Target]:
    """Engines made targets, targets as they are; engines must agree with the reference on the head of the work.

    given  : as `hftlab.as_engine` takes them, or targets; None: every engine that comes with hftlab and is there
    raises : ConfigError for none, or two of one name; HftlabError for an engine that differs
    """
    asked: Iterable[Any] = every_engine() if given is None else given
    made: list[Target] = [one if _is_target(one) else engine_target(one) for one in asked]
    labels = [target.label for target in made]
    if not made or len(set(labels)) < len(labels):
        raise ConfigError(f"the targets are {', '.join(labels) or 'none'}; allowed is one or more, of different names")
    if work is not None:
        prefix = ItchFeed(work.warm + work.calls.head(PREFIX // work.calls.each + 1).data, name=work.name)
        for target in made:
            if isinstance(target, EngineTarget | OverTarget) and target.engine.backend != "python":
                require_parity([target.engine.as_reference(), target.engine], prefix, PREFIX)
    return made


def engine_target(given: Any) -> EngineTarget:
    """One engine, called what it was asked for by, or else by its own name."""
    engine = as_engine(given)
    named = isinstance(given, str) and ":" not in given and given != "auto"
    return EngineTarget(engine, given if named else _name(engine))


def flat_out(target: Target, work: Work, rounds: int, seconds: float) -> float:
    """Calls/s of a target when all are due at once, median over the rounds; seconds: about, of each.

    Over a wire that loses some of so many at once it is fewer, until none is lost: the rate would be that of sending again.
    """
    calls = min(FIRST, len(work.calls))  # to know how many there is time for

    def run() -> Driven:
        return work.drive(target, np.zeros(calls, np.int64))

    for _ in range(2):
        calls = min(max(FEWEST, int(run().per_s * seconds)), len(work.calls))
    runs = [run()]
    while len(runs) < rounds or (runs[-1].lost and calls > FEWEST):
        if runs[-1].lost and calls > FEWEST:
            calls, runs = max(FEWEST, calls // 2), []
        runs.append(run())
    return median(run.per_s for run in runs)


def _name(engine: Engine) -> str:
    own = [name for axis, name in engine.variant.items() if axis in engine.stages]
    return " ".join([engine.backend, *map(str, own)])


def _is_target(one: Any) -> bool:
    return not isinstance(one, (str, type, Engine)) and hasattr(one, "label") and hasattr(one, "open")
