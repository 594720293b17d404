"""The measuring bench. `hftlab.bench(feed)` measures every engine and gives a Report.

clock.py sources.py     which clock, how fine, what a reading costs
machine.py system.py    the fingerprint: what a number must not travel without
jitter.py pin.py        how quiet the machine is; a core of one's own, real-time scheduling
preconditions.py        equality first: nothing is timed that is not right
distribution.py         percentiles as far as a sample bears them, the clock's cost taken off
observe.py measured.py  one engine, round by round: whole passes and stamps, and whether they agree
measure.py report.py    every engine side by side
latency.py              one engine in depth; swept.py: caches swept before each message; openloop.py: from when it was due
paired.py               interleaved rounds, ratios with their intervals, the A/A control; the next four stand on it
compare.py percentiles.py  A/B: two engines, and what of the distribution changed
ablate.py               what each optimisation is worth
lattice.py              every combination of them, and the fair share of each
floor.py                what a message would cost if only the unavoidable were done
scale.py                what a message costs as the book grows
border.py crossing.py   what each way from Python into Rust costs
flight.py trace.py      what happened around the slowest messages
kept.py                 what outlives a run: the user's folder; the next two keep something there
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hftlab.experiments.report import Report
    from hftlab.feeds.feed import Feed


def bench(
    feed: Feed | None = None,
    *,
    rounds: int = 5,
    messages: int = 100_000,
    seed: int = 1,
    engines: Iterable[Any] = (),
) -> Report:
    """Measure every engine on one feed, `engines` beside the installed ones; see `hftlab.experiments.measure.measure`."""
    from hftlab.engine.engine import synthetic
    from hftlab.experiments.measure import measure

    return measure(synthetic("calm", messages, seed) if feed is None else feed, rounds=rounds, seed=seed, engines=engines)
