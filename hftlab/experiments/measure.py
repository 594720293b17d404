"""Measuring engines side by side: equality first, then interleaved rounds in random order, stamped and unstamped.

Every figure of a comparison is taken in one run. A second copy of one contestant runs in the same rounds: the A/A control, which
shows what the machine makes of nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.resolve import as_engine
from hftlab.engine.session import backends
from hftlab.engine.variants import naive
from hftlab.errors import ConfigError
from hftlab.experiments.report import Report
from hftlab.feeds.feed import Feed
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.observe import Observer
from hftlab.measurement.paired import gc_paused
from hftlab.measurement.preconditions import require_parity
from hftlab.presentation.progress import track


def contestants(engines: Iterable[Any] = ()) -> list[Observer]:
    """Every available engine, the Rust engine twice, as the naive port and at its best; then the given ones."""
    found = []
    for info in backends():
        if info.available and info.name == "rust":
            found.append(Observer("rust naive", Engine("rust").replace(**naive(info.variants)), records=True))
        if info.available:
            label = "rust best" if info.name == "rust" else info.name
            found.append(Observer(label, Engine(info.name), records=True))
    for given in map(as_engine, engines):
        if given.label in (known := [one.label for one in found]):
            raise ConfigError(f"engine {given.label!r} is there twice; the others are {', '.join(known)}")
        found.append(Observer(given.label, given, records=True))
    return found


def measure(feed: Feed, *, rounds: int = 5, seed: int = 1, engines: Iterable[Any] = ()) -> Report:
    """Run every engine over the feed and report.

    rounds  : interleaved rounds, 1 to 1000; one more is run first, to warm up, and not counted
    seed    : of the order within a round
    engines : more of them beside those that are installed; whatever `hftlab.as_engine` makes an engine of
    raises  : HftlabError if two engines do not agree on the first 20,000 messages, or if one is a debug build
    """
    if not 1 <= rounds <= 1000:
        raise ConfigError(f"rounds is {rounds}; allowed is 1 to 1000")
    field = contestants(engines)
    require_parity([one.base for one in field], feed)
    order, control = random.Random(seed), field[-1]
    again: list[float] = []
    for one in field:
        one.warm_up(feed)
    for _ in track(range(rounds), "rounds"):
        for contestant in order.sample([*field, None], len(field) + 1):
            if contestant is None:
                with gc_paused():
                    again.append(control.plain(feed))
            else:
                contestant.round(feed, order)
    ratios = tuple(a / b for a, b in zip(control.passes[control.base.until], again, strict=True))
    return Report(
        feed=feed.name,
        messages=control.messages,
        rounds=rounds,
        machine=fingerprint(),
        measured=tuple(one.measured(ratios if one is control else ()) for one in field),
        missing={info.name: info.why for info in backends() if not info.available},
    )
