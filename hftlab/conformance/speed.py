"""How fast is the candidate beside the reference? Interleaved rounds in random order, and the candidate beside itself."""

from __future__ import annotations

import gc
import random
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from hftlab.conformance.candidate import Candidate
from hftlab.engine.engine import Engine, decode, synthetic
from hftlab.feeds.feed import EventFeed, Feed

MESSAGES = 10_000


@dataclass(frozen=True)
class Speed:
    """Whole passes in ns per message, one value per round. `again_ns` is a second copy of the candidate: the A/A control."""

    feed: str
    messages: int
    reference_ns: tuple[float, ...]
    candidate_ns: tuple[float, ...]
    again_ns: tuple[float, ...]

    @property
    def ratio(self) -> tuple[float, float, float]:
        """How many times the messages per second of the reference it makes: lowest, median, highest of the rounds."""
        return _span(self.reference_ns, self.candidate_ns)

    @property
    def control(self) -> tuple[float, float, float]:
        """The same of the candidate against itself: what the machine makes of nothing."""
        return _span(self.again_ns, self.candidate_ns)

    def __str__(self) -> str:
        ours, theirs = median(self.reference_ns), median(self.candidate_ns)
        return (
            f"speed: {theirs:,.1f} ns per message beside {ours:,.1f} of python, {_text(self.ratio)} its messages per second; "
            f"A/A control {_text(self.control)} ({self.feed}, {len(self.candidate_ns)} rounds)"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ratio": self.ratio, "control": self.control}


def _span(base: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, float, float]:
    ratios = [a / b for a, b in zip(base, other, strict=True)]
    return min(ratios), median(ratios), max(ratios)


def _text(span: tuple[float, float, float]) -> str:
    return f"{span[1]:.2f}x [{span[0]:.2f}, {span[2]:.2f}]"


def measure_speed(candidate: Candidate, rounds: int) -> tuple[Speed | None, str]:
    """The speed, or None and why it could not be measured.

    rounds : how many are counted; one more is run first, to warm up
    """
    feed: Feed = synthetic("calm", MESSAGES, 1)
    if "push" in candidate.absent:
        feed = EventFeed(decode(feed, "python"), symbols=feed.symbols, name=f"events of {feed.name}")
    engines = {"reference": candidate.reference(), "candidate": candidate.engine(), "again": candidate.engine()}
    seen: dict[str, list[float]] = {name: [] for name in engines}
    order = random.Random(1)
    try:
        for _ in range(rounds + 1):
            for name in order.sample(list(engines), len(engines)):
                seen[name].append(_pass(engines[name], feed))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return None, f"it raised {type(error).__name__}: {error}"
    ns = {f"{name}_ns": tuple(values[1:]) for name, values in seen.items()}
    return Speed(feed.name, MESSAGES, **ns), ""


def _pass(engine: Engine, feed: Feed) -> float:
    gc.collect()
    gc.disable()  # a collection of the suite's own garbage would be booked on an engine
    try:
        return engine.run(feed, record="none").ns_per_message
    finally:
        gc.enable()
