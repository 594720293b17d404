"""Run two engines over one feed and say whether they are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from hftlab.engine.divergence import Divergence, compare_errors, compare_rows, compare_totals
from hftlab.engine.engine import Engine, decode
from hftlab.engine.resolve import as_engine
from hftlab.engine.run import Run
from hftlab.errors import FeedError, HftlabError
from hftlab.events import Events
from hftlab.feeds.feed import Feed
from hftlab.presentation.document import Table
from hftlab.presentation.result import Result


@dataclass(frozen=True)
class Verdict(Result):
    """Whether two engines are the same on a feed. True in a condition if nothing differs.

    a, b       : their labels
    divergence : the first difference, None if there is none
    """

    a: str
    b: str
    feed: str
    messages: int
    divergence: Divergence | None = None

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return self.divergence is None

    def __bool__(self) -> bool:
        return self.same

    def headline(self) -> str:
        verdict = "identical" if self.divergence is None else f"DIFFERENT, {self.divergence.headline()}"
        return f"{self.a} and {self.b} on {self.feed}, {self.messages:,} messages: {verdict}"

    def tables(self) -> list[Table]:
        return [] if self.divergence is None else self.divergence.tables()

    def notes(self) -> list[str]:
        return [] if self.divergence is None else self.divergence.notes()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = {name: getattr(self, name) for name in ("a", "b", "feed", "messages", "same")}
        return {**plain, "divergence": self.divergence and self.divergence.to_dict()}


def verify(a: Any, b: Any, feed: Feed) -> Verdict:
    """Run both engines over the feed and compare events, tops, the nine signals, faults, counts and order bytes.

    a, b   : names of backends, engines (whose settings should differ in nothing but the engine), or whatever else
             `hftlab.as_engine` makes an engine of
    raises : HftlabError if the feed cannot be read, but only after what is good of it was found identical
    """
    verdict, error = compare(as_engine(a), as_engine(b), feed)
    if verdict and error is not None:
        raise error
    return verdict


def compare(a: Engine, b: Engine, feed: Feed) -> tuple[Verdict, HftlabError | None]:
    """The verdict, and the error with which the first engine stopped, if it did."""
    run_a, error_a = _run(a, feed)
    run_b, error_b = _run(b, feed)
    difference = (
        compare_rows(run_a, run_b, _events(a, feed), _events(b, feed))
        or compare_totals(run_a, run_b)
        or compare_errors(error_a, error_b)
    )
    return Verdict(a.label, b.label, feed.name, run_a.messages, difference), error_a


def _run(engine: Engine, feed: Feed) -> tuple[Run, HftlabError | None]:
    try:
        return engine.run(feed, record="all"), None
    except HftlabError as error:
        if error.run is None:
            raise
        return error.run, error


def _events(engine: Engine, feed: Feed) -> Events:
    try:
        return decode(feed, engine)
    except FeedError as error:
        return cast(Events, error.events)
