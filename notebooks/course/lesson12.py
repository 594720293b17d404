"""The exercises of lesson 12: mend a book, and the capstone, beat the reference book."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from course.exercise import Step, exercise
from hftlab import conformance
from hftlab.engine.engine import Engine, decode, synthetic
from hftlab.experiments.compare import compare
from hftlab.feeds.feed import EventFeed
from hftlab.stages.book import Book

if TYPE_CHECKING:
    from hftlab.conformance import ConformanceReport
    from hftlab.experiments.compare import Comparison

#: The checks that are about the book alone; together they take a second.
BOOK_CHECKS = (
    "refusals_of_add",
    "refusals_of_execute",
    "refusals_of_cancel",
    "refusals_of_delete",
    "refusals_of_replace",
    "partial_fills",
    "replace",
    "clear",
    "random_markets",
    "one_event_at_a_time",
    "queries",
    "queue_position",
)
#: What counts as faster: less could be this machine's doing. And how much slower the slowest hundredth may be.
FASTER, TAIL = 1.2, 0.9
MESSAGES, ROUNDS, ATTEMPTS = 12_000, 11, 3  # a p99 needs 10,000


@exercise("12.1", "Fix the hasty book", minutes=15)
def mended(answer: Any) -> Iterator[Step]:
    """`answer` is a book stage with an `apply` of its own."""
    own = isinstance(answer, type) and answer.__dict__.get("apply") not in (None, Book.apply)
    yield Step.claim("own", own, "it is a class with an `apply` of its own")
    yield from _judged(conformance.engine(answer, checks=BOOK_CHECKS, rounds=0))


@exercise("12.2", "Capstone: beat the reference book", minutes=60)
def beaten(answer: Any) -> Iterator[Step]:
    """`answer` is a book stage: right by every check of the contract, faster until "book", and no slower in the tail."""
    engine = Engine("python", book=answer)
    for checks in (BOOK_CHECKS, ()):  # the quick ones first: they find most mistakes
        yield from _judged(conformance.engine(engine, checks=checks, rounds=0))
    found = _compared(engine)
    ratio = _ratio(found, 0)
    message = f"{ratio:.2f}x as fast as the reference, until book: {found.verdict}; it must be at least {FASTER}, and significant"
    yield Step.claim("faster", found.faster and ratio >= FASTER, message)
    tail = _ratio(found, 2)
    yield Step.claim("tail", tail > TAIL, f"p99 is {tail:.2f}x as fast as that of the reference; it must be more than {TAIL}")


def _judged(report: ConformanceReport) -> Iterator[Step]:
    """One step for all checks: the number that passed, or the first that failed."""
    failed = next((result for result in report.results if result.outcome == "failed"), None)
    if failed:
        how_many = f"{report.count('failed')} of {len(report.results)} checks failed, first "
        yield Step("correct", False, f"{how_many}{failed.name} ({failed.question})\n{failed.reason}")
    else:
        yield Step.claim("correct", report, f"{report.count('passed')} checks of the contract passed")


@lru_cache(maxsize=1)
def _events() -> EventFeed:
    """A calm feed, decoded, so that only the book and the loop around it are timed."""
    feed = synthetic("calm", MESSAGES, seed=12)
    return EventFeed(decode(feed, "python"), symbols=feed.symbols, name=f"events of {feed.name}")


def _compared(engine: Engine) -> Comparison:
    """With the reference; again if the ratio is below that of p50, the steadiest figure: the machine was disturbed."""
    for seed in range(1, ATTEMPTS + 1):
        found = compare("python", engine, _events(), rounds=ROUNDS, until="book", seed=seed)
        enough = found.faster and _ratio(found, 0) >= FASTER and _ratio(found, 2) > TAIL
        if enough or _ratio(found, 1) < FASTER:
            break
    return found


def _ratio(found: Comparison, metric: int) -> float:
    """Median ratio of ns/message (0), p50 (1), p99 (2); NaN, which is never enough, where it could not be had."""
    paired = found.metrics[metric].paired
    return paired.ratio.median if paired else float("nan")
