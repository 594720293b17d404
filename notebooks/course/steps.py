"""Engines in a row, each the one before with one thing changed: what every step is worth, in paired rounds.

    compare_steps({"naive": NaiveBook, "prices kept sorted": SortedBook}, feed)

All must be equal before anything is timed. Each runs twice a round, as the A/A control of the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hftlab.engine.resolve import as_engine
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.measurement.conditions import FeedResult, conditions, require_parity
from hftlab.measurement.paired import Paired, check_rounds, run_paired
from hftlab.presentation.document import Table, number, table
from hftlab.settings import Stage


@dataclass(frozen=True, kw_only=True, repr=False)
class StepComparison(FeedResult):
    """Engines in a row. steps: (name, what it is against the one before it); whole: the last against the first, named `first`."""

    schema = "hftlab-steps/1"
    first: str
    steps: tuple[tuple[str, Paired], ...]
    whole: Paired
    until: str

    def ratio(self, step: str) -> float:
        """How many times as fast as the one before it a step is. Raises KeyError."""
        return dict(self.steps)[step].ratio.median

    def records(self) -> list[dict[str, Any]]:
        """One per engine: step, ns_per_message, ratio (the one before / this; above 1: faster), low, high, verdict."""
        first = {"step": self.first, "ns_per_message": self.steps[0][1].base_ns, "ratio": None, "low": None, "high": None}
        others = [{"step": name, "ns_per_message": paired.ns, **paired.record()} for name, paired in self.steps]
        return [{**first, "verdict": ""}, *others]

    def plot(self) -> Any:
        """The waterfall of the steps as an Altair chart."""
        import polars as pl

        from hftlab.charts import waterfall_chart

        rows = [(row["step"], row["ns_per_message"], "step" if row["ratio"] else "start") for row in self.records()]
        rows.append(("what remains", self.whole.ns, "end"))
        frame = pl.DataFrame(rows, schema=["label", "ns", "kind"], orient="row")
        return waterfall_chart(frame, "One step after the other", self.subtitle(), log=False)

    def headline(self) -> str:
        return f"{self.subtitle()}, until {self.until}; all steps together: {self.whole.judgement}"

    def tables(self) -> list[Table]:
        rows = [(self.first, number(self.steps[0][1].base_ns), "", "")]
        rows += [(name, number(paired.ns), paired.judgement, str(paired.control)) for name, paired in self.steps]
        return [table("One step after the other", ("step", "ns per message", "against the one before", "A/A control"), rows)]


def compare_steps(
    engines: Mapping[str, Any], feed: Feed, *, rounds: int = 7, until: Stage = "order", seed: int = 1
) -> StepComparison:
    """Run engines interleaved, unstamped, and compare each with the one before it.

    engines : name -> whatever `hftlab.as_engine` makes an engine of, from the first to the last
    rounds  : 3 to 1000; one more is run first, to warm up, and not counted
    until   : last stage to run
    seed    : of the order within a round
    raises  : ConfigError; HftlabError if one differs from the first on the first 20,000 messages
    """
    check_rounds(rounds)
    if len(engines) < 2:
        raise ConfigError(f"engines must be at least 2, got {len(engines)}")
    resolved = {name: as_engine(given, until=until) for name, given in engines.items()}
    require_parity(list(resolved.values()), feed)
    *bases, last = resolved
    series = run_paired(resolved, feed, rounds, seed, twice=bases, what="steps")

    def against(before: str, after: str) -> Paired:
        return Paired.of(series[before, 0], series[after, 0], series[before, 1])

    return StepComparison(
        **conditions(resolved[last], resolved[last].run(feed, record="none"), feed, rounds),
        first=bases[0],
        steps=tuple((after, against(before, after)) for before, after in pairwise(resolved)),
        whole=against(bases[0], last),
        until=until,
    )
