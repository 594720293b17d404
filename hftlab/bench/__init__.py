"""The measuring bench. `hftlab.bench(feed)` measures every engine and gives a Report.

clock.py machine.py     what a number must not travel without
gate.py                 equality first: nothing is timed that is not right
measure.py report.py    every engine, stage by stage
paired.py               interleaved rounds, ratios with their intervals, the A/A control; the next four stand on it
compare.py percentiles.py  A/B: two engines, and what of the distribution changed
ablate.py               what each optimisation is worth
scale.py                what a message costs as the book grows
border.py crossing.py   what each way from Python into Rust costs
kept.py                 what outlives a run: the user's folder; the next two keep something there
baselines.py drift.py   reports under a name, and two of them compared
history.py levels.py    every run, and when a figure changed for good
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hftlab.callable_module import make_callable

if TYPE_CHECKING:
    from hftlab.bench.report import Report
    from hftlab.feeds.feed import Feed


def bench(
    feed: Feed | None = None,
    *,
    rounds: int = 5,
    messages: int = 100_000,
    seed: int = 1,
    engines: Iterable[Any] = (),
) -> Report:
    """Measure every engine on one feed, `engines` beside the installed ones; see `hftlab.bench.measure.measure`."""
    from hftlab.bench.measure import measure
    from hftlab.replay import synthetic

    return measure(synthetic("calm", messages, seed) if feed is None else feed, rounds=rounds, seed=seed, engines=engines)


make_callable(__name__)
