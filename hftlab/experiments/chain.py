"""A chain of engines, each the one before with one thing changed: what each step was worth, all of them interleaved.

    chain({"naive": NaiveBook, "prices kept sorted": SortedBook}, feed)

All must be equal before a clock starts. Each but the last runs twice a round: every step has an A/A control of its own. Of
short passes the fastest of three counts, as in compare.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hftlab.engine.engine import Engine
from hftlab.engine.resolve import as_engine
from hftlab.errors import ConfigError
from hftlab.experiments.compare import SHORT_NS
from hftlab.feeds.feed import Feed
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Paired, check_rounds, interleave
from hftlab.measurement.preconditions import require_parity
from hftlab.measurement.result import Result
from hftlab.settings import Stage

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-chain/1"


@dataclass(frozen=True)
class Chain(Result):
    """`steps` are (name, what it is against the one before it); `whole` is the last against the first, which is named `first`."""

    first: str
    steps: tuple[tuple[str, Paired], ...]
    whole: Paired
    feed: str
    until: str
    rounds: int
    machine: dict[str, Any]

    def ratio(self, step: str) -> float:
        """How many times as fast as the one before it a step is. Raises KeyError."""
        return dict(self.steps)[step].ratio.median

    def frame(self) -> pl.DataFrame:
        """One row per engine: step, ns_per_message, ratio (the one before / this; above 1: faster), low, high, verdict."""
        import polars as pl

        rows: list[tuple[Any, ...]] = [(self.first, self.steps[0][1].base_ns, None, None, None, "")]
        for name, one in self.steps:
            rows.append((name, one.ns, one.ratio.median, one.ratio.low, one.ratio.high, one.verdict))
        return pl.DataFrame(rows, schema=["step", "ns_per_message", "ratio", "low", "high", "verdict"], orient="row")

    def plot(self) -> Any:
        """The waterfall of the steps as an Altair chart."""
        import polars as pl

        from hftlab.charts import waterfall_chart

        rows = [(self.first, self.steps[0][1].base_ns, "start"), *((name, one.ns, "step") for name, one in self.steps)]
        rows.append(("what remains", self.whole.ns, "end"))
        frame = pl.DataFrame(rows, schema=["label", "ns", "kind"], orient="row")
        return waterfall_chart(frame, "One step after the other", self._subtitle(), log=False)

    def _subtitle(self) -> str:
        return f"{self.feed} until {self.until}, {self.rounds} interleaved rounds"

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        told = f"all steps together: {self.whole.verdict} (A/A control {self.whole.control})"
        return [self._subtitle(), told, describe(self.machine)]

    def to_dict(self) -> dict[str, Any]:
        head = {"schema": SCHEMA, "feed": self.feed, "until": self.until, "rounds": self.rounds, "machine": self.machine}
        return {**head, "steps": self.frame().to_dicts(), "whole": self.whole.to_dict()}

    def __repr__(self) -> str:
        return f"<Chain of {len(self.steps) + 1} from {self.first} to {self.steps[-1][0]}: {self.whole.verdict}>"


def chain(engines: Mapping[str, Any], feed: Feed, *, rounds: int = 7, until: Stage = "order", seed: int = 1) -> Chain:
    """Run engines interleaved, unstamped, and compare each with the one before it.

    engines : name -> whatever `hftlab.as_engine` makes an engine of, from the first to the last
    rounds  : 3 to 1000; one more is run first, to warm up, and not counted
    raises  : ConfigError; HftlabError if one differs from the first on the first 20,000 messages
    """
    check_rounds(rounds)
    if len(engines) < 2:
        raise ConfigError(f"{len(engines)} engines in a chain; allowed is 2 or more")
    made = {name: as_engine(given, until=until) for name, given in engines.items()}
    require_parity(list(made.values()), feed)
    names = list(made)
    ran = [one.run(feed, record="none").elapsed_ns for one in made.values()]
    passes = 3 if max(ran) < SHORT_NS else 1
    work = {(name, copy): _pass(made[name], feed, passes) for name in names for copy in (0, 1) if copy == 0 or name != names[-1]}
    series = interleave(work, rounds, seed)

    def against(before: str, after: str) -> Paired:
        return Paired.of(series[before, 0], series[after, 0], series[before, 1], seed)

    steps = tuple((after, against(before, after)) for before, after in pairwise(names))
    return Chain(names[0], steps, against(names[0], names[-1]), feed.name, until, rounds, fingerprint())


def _pass(engine: Engine, feed: Feed, passes: int) -> Callable[[], float]:
    return lambda: min(engine.run(feed, record="none").ns_per_message for _ in range(passes))
